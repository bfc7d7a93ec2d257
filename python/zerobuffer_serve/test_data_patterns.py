"""Frame and metadata contents on which all implementations agree, byte for byte."""

from collections.abc import Sequence
from typing import Union

_LAP = bytes(range(256))


def _counting(size: int, start: int) -> bytes:
    first = start % 256
    return (_LAP * (size // 256 + 2))[first : first + size]


class TestDataPatterns:
    """Deterministic contents; all methods are static."""

    #: Not a test class, whatever pytest thinks of the name.
    __test__ = False

    @staticmethod
    def generate_frame_data(size: int, sequence: int) -> bytes:
        """Return ``size`` bytes; byte i is ``(i + sequence) % 256``."""
        return _counting(size, sequence)

    @staticmethod
    def generate_simple_frame_data(size: int) -> bytes:
        """Return ``size`` bytes; byte i is ``i % 256``."""
        return _counting(size, 0)

    @staticmethod
    def verify_simple_frame_data(data: Union[bytes, bytearray, memoryview, Sequence[int]]) -> bool:
        """Whether ``data`` is what ``generate_simple_frame_data`` returns for its length."""
        return all(data[i] == i % 256 for i in range(len(data)))

    @staticmethod
    def generate_metadata(size: int) -> bytes:
        """Return ``size`` bytes; byte i is ``i % 256``."""
        return _counting(size, 0)
