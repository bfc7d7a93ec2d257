"""What a client receives."""

from dataclasses import dataclass
from types import TracebackType
from typing import Optional

from ..types import Frame

__all__ = ["DuplexResponse"]


@dataclass
class DuplexResponse:
    """A response: the sequence number of its request, and its bytes in the response ring.

    False, and not valid, if there was none in time.
    """

    sequence: int
    data: Optional[memoryview]
    _frame: Optional[Frame] = None

    @property
    def is_valid(self) -> bool:
        """Whether there is a response; not any more once disposed."""
        return len(self) > 0

    def to_bytes(self) -> bytes:
        """Return a copy of the bytes; ``ValueError`` once disposed."""
        return b"" if self.data is None else bytes(self.data)

    def dispose(self) -> None:
        """Return the response's space to the ring; ``data`` is released. Idempotent."""
        frame, self._frame = self._frame, None
        if frame is not None:
            self._size = 0
            frame.dispose()

    def __len__(self) -> int:
        size: int = self.__dict__.get("_size", -1)
        if size < 0:
            size = 0 if self.data is None else self.data.nbytes
        return size

    def __enter__(self) -> "DuplexResponse":
        return self

    def __exit__(
        self,
        exc_type: Optional[type[BaseException]],
        exc_value: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.dispose()
