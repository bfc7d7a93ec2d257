"""What a handler writes its response with."""

import contextlib
from typing import Any, Optional

from ._zerobuffer import DuplexResponder, Loan, _loan
from .exceptions import (
    FrameTooLargeException,
    InvalidFrameSizeException,
    MetadataAlreadyWrittenException,
    ZeroBufferException,
)
from .writer import Writer

__all__ = ["Collector", "ResponseWriter"]

_FIVE_SECONDS = 5_000_000_000
#: Bytes of a frame's header in the ring.
_HEADER = 16


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
        #: The channel of the request: the server's, or one of a client's own.
        self.channel: str = responder.channel
        self._full = "block"
        self._reconnect = False
        self._lane = None

    def write_frame(self, data: Any) -> None:
        """Send ``data`` as the response."""
        self._responder.write(data)

    def write_array(self, array: Any, *, timestamp: Optional[int] = None) -> None:
        """Send an array as the response, by its bytes: the client knows shape and dtype."""
        if timestamp is not None:
            raise ValueError("a response has no stamp: give no timestamp")
        self.write_frame(array)

    def get_frame_buffer(self, size: int) -> memoryview:
        """Reserve the response and return its place in the ring as a writable memoryview."""
        return self._responder.begin(size)

    def commit_frame(self, *, size: Optional[int] = None) -> None:
        """Send the response of :meth:`get_frame_buffer`, or its first ``size`` bytes."""
        self._responder.commit(size)

    def abort_frame(self) -> bool:
        """Give the response of :meth:`get_frame_buffer` up; whether there was one."""
        return self._responder.abort()

    def loan(self, size: Any, dtype: Any = None) -> Loan:
        """``with writer.loan(size) as view:`` writes the response in place."""
        return _loan(self, size, dtype)

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

    def _try_write(self, data: Any, again: bool) -> bool:
        self.write_frame(data)
        return True

    def __repr__(self) -> str:
        return f"<ResponseWriter of '{self.name}', request {self._sequence_number}>"

    def __del__(self) -> None:
        pass


class Collector(ResponseWriter):
    """Keeps what a coroutine writes until it has returned, under the rules of its writer."""

    def __init__(self, responder: DuplexResponder) -> None:
        super().__init__(responder)
        self._metadata: Optional[bytes] = None
        self._frames: list[bytes] = []
        self._pending: Optional[memoryview] = None

    def _check(self, size: int) -> None:
        if size < 1:
            raise InvalidFrameSizeException(f"a frame cannot have {size} bytes: at least 1 is needed")
        largest = self.capacity - _HEADER
        if size > largest:
            raise FrameTooLargeException(f"a frame of {size} bytes: '{self.name}' takes at most {largest}")

    def write_frame(self, data: Any) -> None:
        self.abort_frame()
        frame = self._responder.copy(data)
        self._check(len(frame))
        self._frames.append(frame)

    def get_frame_buffer(self, size: int) -> memoryview:
        self.abort_frame()
        self._check(size)
        self._pending = memoryview(bytearray(size))
        return self._pending

    def commit_frame(self, *, size: Optional[int] = None) -> None:
        pending = self._pending
        if pending is None:
            raise ZeroBufferException(f"'{self.name}': there is no pending response to commit")
        count = len(pending) if size is None else size
        frame = bytes(pending[: max(count, 0)])
        reserved = len(pending)
        self.abort_frame()
        if count < 0:
            raise InvalidFrameSizeException(f"{count} bytes cannot be committed")
        if not 1 <= count <= reserved:
            raise ZeroBufferException(f"'{self.name}': {count} bytes cannot be committed, {reserved} are reserved")
        self._frames.append(frame)

    def abort_frame(self) -> bool:
        pending, self._pending = self._pending, None
        if pending is None:
            return False
        # As the view of a ring: what is written to it later would go nowhere.
        with contextlib.suppress(BufferError):
            pending.release()
        return True

    def set_metadata(self, data: Any) -> None:
        if self._frames:
            raise ZeroBufferException(f"'{self.name}': metadata come before the response")
        if self._metadata is not None:
            raise MetadataAlreadyWrittenException(f"'{self.name}': metadata can be written once")
        self._metadata = self._responder.copy(data)

    async def write_frame_async(self, data: Any) -> None:
        self.write_frame(data)

    def send(self) -> None:
        """Send it all, on the server's thread."""
        try:
            if self._metadata is not None:
                super().set_metadata(self._metadata)
        finally:
            # Metadata that are refused are reported; the response goes out nevertheless.
            for frame in self._frames:
                super().write_frame(frame)
