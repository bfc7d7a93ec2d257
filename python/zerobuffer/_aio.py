"""Reads and writes of coroutines."""

import asyncio
import time
import weakref
from typing import TYPE_CHECKING, Any, Optional

from ._engine import Call, Lane, engine
from ._zerobuffer import Frame, ReaderBase
from .exceptions import BufferFullException, ReaderDeadException, ZeroBufferException

if TYPE_CHECKING:
    from .reader import Reader
    from .writer import Writer

__all__ = ["ReadLane", "WriteLane"]

#: Calls that did not have to wait, after which the event loop gets a turn.
_TURN = 32


class _Read(Call):
    """A waiting read."""

    def __init__(self, latest: bool) -> None:
        super().__init__()
        self.latest = latest
        #: The frame on its way to the event loop.
        self.frame: Optional[Frame] = None


def _read(endpoint: ReaderBase, latest: bool, seconds: float) -> Optional[Frame]:
    return endpoint.latest(seconds) if latest else endpoint.read_frame(seconds)


class ReadLane(Lane):
    """Reads of one reader: first called, first served."""

    def __init__(self, reader: "Reader") -> None:
        super().__init__()
        # Weak: the endpoint owns its lane, and must go when its user lets go of it.
        self._reader: weakref.ref[ReaderBase] = weakref.ref(reader)
        self._ready = 0

    async def read(self, reader: "Reader", timeout: Optional[float], latest: bool = False) -> Optional[Frame]:
        """Return the next frame, or None after ``timeout`` seconds."""
        if timeout is not None and timeout != timeout:
            raise ValueError("timeout must be a number of seconds, not NaN")
        self._ready += 1
        # Now and then the event loop gets a turn although nothing has to be waited for; the call
        # keeps its place.
        if self.is_idle and self._ready % _TURN:
            frame = _read(reader, latest, 0)
            if frame is not None or (timeout is not None and timeout <= 0):
                return frame
        call = _Read(latest)
        timer = None
        if timeout is not None and timeout > 0:
            timer = call.loop.call_later(timeout, self._expire, call)
        try:
            engine.add(self, call)
            if timeout is not None and timeout <= 0:
                await asyncio.sleep(0)
                self._expire(call)
            answer: Optional[Frame] = await call.future
            call.frame = None
            return answer
        finally:
            if timer is not None:
                timer.cancel()
            self._give_up(call)

    def _expire(self, call: _Read) -> None:
        with engine.changed:
            if not call.future.done():
                call.withdrawn = call.frame is None
                call.future.set_result(call.frame)

    def _give_up(self, call: _Read) -> None:
        """End a read. A frame that its caller will never see goes back before the next read."""
        reader = self._reader()
        with engine.changed:
            call.withdrawn = True
            engine.remove(self, call)
            frame, call.frame = call.frame, None
            if frame is not None and reader is not None:
                reader._give_back(frame)

    def serve(self, call: _Read, seconds: float) -> bool:
        """Read for the first call, in the thread."""
        reader = self._reader()
        if reader is None:
            return True
        frame = _read(reader, call.latest, seconds)
        if frame is None:
            return False
        with engine.changed:
            if not call.withdrawn:
                # Before the event loop can act on the answer.
                call.frame = frame
                if call.answer(frame):
                    return True
                call.frame = None
            reader._give_back(frame)
        return True


class _Write(Call):
    """A waiting write."""

    def __init__(self, data: Any, deadline: float) -> None:
        super().__init__()
        self.data = data
        self.deadline = deadline


def _waits(writer: "Writer", error: ZeroBufferException) -> bool:
    """Whether a write goes on when it has met this error."""
    return writer._full == "block" and (isinstance(error, BufferFullException) or writer._reconnect)


class WriteLane(Lane):
    """Writes of one writer: first called, first sent."""

    def __init__(self, writer: "Writer") -> None:
        super().__init__()
        self._writer: weakref.ref[Writer] = weakref.ref(writer)
        self._ready = 0

    async def write(self, writer: "Writer", data: Any) -> None:
        """Write one frame; waits for space up to the write timeout."""
        if self.is_idle:
            try:
                writer._write_within(data, 0.0)
            except (BufferFullException, ReaderDeadException) as error:
                if not _waits(writer, error):
                    raise
            else:
                self._ready += 1
                if self._ready % _TURN == 0:
                    # Only now: a turn before the write would let a later call overtake it.
                    await asyncio.sleep(0)
                return
        call = _Write(data, time.monotonic() + writer._write_timeout_ns / 1e9)
        engine.add(self, call)
        try:
            await asyncio.shield(call.future)
        except asyncio.CancelledError:
            await self.withdraw(call)
            raise

    def serve(self, call: _Write, seconds: float) -> bool:
        """Write the first call's frame, in the thread."""
        writer = self._writer()
        if call.withdrawn or writer is None:
            call.answer(None)
            return True
        left = max(call.deadline - time.monotonic(), 0.0)
        try:
            writer._write_within(call.data, min(left, seconds))
        except (BufferFullException, ReaderDeadException) as error:
            if left > 0.0 and (isinstance(error, BufferFullException) or _waits(writer, error)):
                return False
            raise
        call.answer(None)
        return True
