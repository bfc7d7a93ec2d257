"""What a server shows of its buffers: a Writer for one response, and a Reader without reads."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn, Optional

from .._zerobuffer import DuplexResponder, DuplexServerBase
from ..exceptions import ZeroBufferException
from ..reader import Reader
from ..types import Frame
from ..writer import Writer

if TYPE_CHECKING:
    from .server import _Server

__all__ = ["RequestReader", "ResponseWriter"]

_FIVE_SECONDS = 5_000_000_000


class ResponseWriter(Writer):
    """Writes the response to one request, until the handler returns.

    The first frame is the response. It bears the request's sequence number and goes out in the
    order of the requests: writing waits for earlier ones. Further frames are dropped, and reported
    to the error handlers.
    """

    def __init__(self, responder: DuplexResponder) -> None:
        self._responder = responder
        self._timeout_ns = _FIVE_SECONDS
        self.name = responder.name
        self._full = "block"
        self._lane = None

    def write_frame(self, data: Any) -> None:
        """Send ``data`` as the response."""
        self._responder.write(data)

    def get_frame_buffer(self, size: int) -> memoryview:
        """Reserve the response and return its place in the ring as a writable memoryview."""
        return self._responder.begin(size)

    def commit_frame(self, *, size: Optional[int] = None) -> None:
        """Send the response of :meth:`get_frame_buffer`, or its first ``size`` bytes."""
        self._responder.commit(size)

    def abort_frame(self) -> bool:
        """Give the response of :meth:`get_frame_buffer` up; whether there was one."""
        return self._responder.abort()

    @contextmanager
    def loan(self, size: int) -> Iterator[memoryview]:  # type: ignore[override]
        """``with writer.loan(size) as view:`` writes the response in place."""
        view = self.get_frame_buffer(size)
        try:
            yield view
        except BaseException:
            self.abort_frame()
            raise
        self.commit_frame()

    def set_metadata(self, data: Any) -> None:
        """Write the response buffer's metadata, once per client, before the response."""
        self._responder.set_metadata(data)

    def is_reader_connected(self) -> bool:
        """Whether the client is there."""
        return self._responder.is_client_connected

    @property
    def frames_written(self) -> int:
        """Responses to this client so far."""
        return self._responder.stats()[0]

    @property
    def bytes_written(self) -> int:
        """Their bytes."""
        return self._responder.stats()[1]

    @property
    def utilization(self) -> float:
        """Fraction of the response ring that is in use."""
        return self._responder.stats()[4]

    @property
    def capacity(self) -> int:
        """Size of the response ring in bytes."""
        return self._responder.stats()[5]

    @property
    def closed(self) -> bool:
        """Always False: the server closes the response buffer."""
        return False

    def close(self) -> None:
        """Do nothing: the server closes the response buffer."""

    def _stats(self) -> tuple[int, int, int, int, float]:
        frames, size, waits, blocked, _, _ = self._responder.stats()
        return frames, size, 0, waits, blocked

    @property
    def _sequence_number(self) -> int:
        return self._responder.sequence

    @property
    def _write_timeout_ns(self) -> int:
        return self._timeout_ns

    @_write_timeout_ns.setter
    def _write_timeout_ns(self, value: int) -> None:
        self._responder.set_write_timeout_ns(value)
        self._timeout_ns = value

    def _write_within(self, data: Any, timeout: float) -> None:
        self.write_frame(data)

    def __del__(self) -> None:
        pass


class RequestReader(Reader):
    """The request buffer of a running server: state and metadata.

    The server itself reads the frames.
    """

    def __init__(self, server: "_Server", core: DuplexServerBase, name: str) -> None:
        self._core = core
        self.name = name
        self._lane = None

    def _refuse(self) -> NoReturn:
        raise ZeroBufferException(f"'{self.name}': the server reads the requests; handlers get them")

    def read_frame(self, timeout: Optional[float] = 5.0) -> Optional[Frame]:
        """Raise: the server reads the requests."""
        self._refuse()

    def latest(self, timeout: Optional[float] = 5.0) -> Optional[Frame]:
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

    def _stats(self) -> tuple[int, int, int, int, float]:
        frames, size, _, _ = self._numbers()
        return frames, size, 0, 0, 0.0

    def close(self) -> None:
        """Do nothing: the server closes the request buffer."""

    def __del__(self) -> None:
        pass
