"""What a server shows of its request buffer: a Reader that reads nothing itself."""

from typing import NoReturn, Optional

from .._zerobuffer import DuplexServerBase
from ..exceptions import ZeroBufferException
from ..reader import Reader
from ..types import Frame

__all__ = ["RequestReader"]


class RequestReader(Reader):
    """The request buffer of a running server: state and metadata.

    The server itself reads the frames.
    """

    def __init__(self, core: DuplexServerBase, name: str) -> None:
        self._core = core
        self.name = name
        self._lane = None

    def _refuse(self) -> NoReturn:
        raise ZeroBufferException(f"'{self.name}': the server reads the requests; handlers get them")

    def read_frame(self, timeout: Optional[float] = 5.0) -> NoReturn:
        """Raise: the server reads the requests."""
        self._refuse()

    def latest(self, timeout: Optional[float] = 5.0) -> NoReturn:
        """Raise: the server reads the requests."""
        self._refuse()

    def release_frame(self, frame: Frame) -> None:
        """Release a frame that a handler was given."""
        frame.dispose()

    def get_metadata(self) -> Optional[memoryview]:
        """Return a copy of the client's metadata; None if it has written none."""
        metadata = self._core._request_metadata()
        return None if metadata is None else memoryview(metadata)

    def is_writer_connected(self, timeout_ms: Optional[float] = None) -> bool:
        """Whether a client is connected."""
        return self._core._is_client_connected()

    def _numbers(self) -> tuple[int, int, float, int]:
        return self._core._request_stats() or (0, 0, 0.0, 0)

    @property
    def frames_read(self) -> int:
        """Requests so far."""
        return self._numbers()[0]

    @property
    def bytes_read(self) -> int:
        """Their bytes."""
        return self._numbers()[1]

    @property
    def utilization(self) -> float:
        """Fraction of the request ring that is in use."""
        return self._numbers()[2]

    @property
    def capacity(self) -> int:
        """Size of the request ring in bytes."""
        return self._numbers()[3]

    @property
    def closed(self) -> bool:
        """Whether the server has stopped."""
        return self._core._request_stats() is None

    def _stats(self) -> tuple[int, int, int, int, float, int]:
        frames, size, _, _ = self._numbers()
        return frames, size, 0, 0, 0.0, 0

    def close(self) -> None:
        """Do nothing: the server closes the request buffer."""

    def __del__(self) -> None:
        pass
