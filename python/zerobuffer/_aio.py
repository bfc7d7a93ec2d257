"""Reads and writes of coroutines."""

import asyncio
import sys
import time
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any, Optional

from ._engine import Call, Descriptor, Lane, engine
from ._timeout import checked
from ._zerobuffer import DuplexResponder, Frame, ReaderBase
from .exceptions import BufferFullException, ReaderDeadException, ZeroBufferException

if TYPE_CHECKING:
    from .reader import Reader
    from .writer import Writer

__all__ = ["ReadLane", "WriteLane"]

#: Calls that did not have to wait, after which the event loop gets a turn.
_TURN = 32
#: Seconds from which a timeout is none.
_FOR_EVER = 1e9
#: Endpoints have descriptors.
_LOOPS = sys.platform == "linux"


class _Read(Call):
    """A waiting read."""

    def __init__(self, latest: bool) -> None:
        super().__init__()
        self.latest = latest
        #: One of the frames that have arrived is for it.
        self.served = False


def _read(endpoint: ReaderBase, latest: bool, seconds: float) -> Optional[Frame]:
    return endpoint.latest(seconds) if latest else endpoint.read_frame(seconds)


class ReadLane(Lane):
    """Reads of one reader: first called, first served."""

    def __init__(self, reader: "Reader") -> None:
        super().__init__()
        # Weak: the endpoint owns its lane, and must go when its user lets go of it.
        self._reader: weakref.ref[ReaderBase] = weakref.ref(reader)
        self._turns = 0
        #: Frames for calls that are served, and have not gone on yet. Each takes the oldest. So a
        #: call that is cancelled by then leaves its frame to the next one, and the order stays.
        self.arrived: deque[Frame] = deque()

    @property
    def is_idle(self) -> bool:
        """Whether a call may go ahead at once."""
        return not self.calls and self.serving is None and not self.arrived

    def event(self) -> Optional[Descriptor]:
        """Return the reader's descriptor."""
        reader = self._reader()
        return None if reader is None else reader._event()

    def stalled(self) -> None:
        """Say what may keep the writer waiting."""
        reader = self._reader()
        if reader is not None:
            reader._stalled()

    async def read(self, reader: "Reader", timeout: Optional[float], latest: bool = False) -> Optional[Frame]:
        """Return the next frame, or None after ``timeout`` seconds."""
        checked(timeout)
        self._turns += 1
        # Now and then the event loop gets a turn although nothing has to be waited for; the call
        # keeps its place.
        tried = self.is_idle and self._turns % _TURN != 0
        if tried:
            frame = _read(reader, latest, 0.0)
            if frame is not None or (timeout is not None and timeout <= 0):
                return frame
        call = _Read(latest)
        timer = None
        if timeout is not None and timeout > 0:
            timer = call.loop.call_later(timeout, self._expire, call)
        try:
            self.enter(call, tried)
            if timeout is not None and timeout <= 0:
                await asyncio.sleep(0)
                self._expire(call)
            await call.future
            return self._take(call)
        finally:
            if timer is not None:
                timer.cancel()
            self._give_up(call)

    def _expire(self, call: _Read) -> None:
        with engine.changed:
            if not call.served and not call.future.done():
                call.withdrawn = True
                call.future.set_result(None)

    def _take(self, call: _Read) -> Optional[Frame]:
        with engine.changed:
            if not call.served:
                return None
            call.served = False
            return self.arrived.popleft()

    def _give_up(self, call: _Read) -> None:
        """End a read. If it was served, there is a frame too many: the newest goes back."""
        reader = self._reader()
        with engine.changed:
            call.withdrawn = True
            engine.remove(self, call)
            if call.served:
                call.served = False
                frame = self.arrived.pop()
                if reader is not None:
                    reader._give_back(frame)

    def serve(self, call: _Read, seconds: float) -> bool:
        """Read for the first call."""
        reader = self._reader()
        if reader is None:
            return True
        frame = _read(reader, call.latest, seconds)
        if frame is None:
            return False
        with engine.changed:
            if not call.withdrawn:
                # Before the event loop can act on the answer.
                call.served = True
                self.arrived.append(frame)
                if call.answer(True):
                    return True
                call.served = False
                self.arrived.pop()
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
        self._turns = 0

    def event(self) -> Optional[Descriptor]:
        """Return the descriptor of the writer's present connection."""
        writer = self._writer()
        return None if writer is None else writer._event()

    def ticks(self) -> bool:
        """Whether the next reader is waited for."""
        writer = self._writer()
        return _LOOPS and writer is not None and writer._reconnect

    async def write(self, writer: "Writer", data: Any) -> None:
        """Write one frame; waits for space up to the write timeout."""
        if hasattr(type(data), "__next__"):
            # There is no second look at it.
            data = DuplexResponder.copy(data)
        if self.is_idle and writer._try_write(data, False):
            self._turns += 1
            if self._turns % _TURN == 0:
                # Only now: a turn before the write would let a later call overtake it.
                await asyncio.sleep(0)
            return
        seconds = writer._write_timeout_ns / 1e9
        call = _Write(data, time.monotonic() + seconds)
        self.enter(call)
        timer = call.loop.call_later(seconds, self.run) if seconds < _FOR_EVER else None
        try:
            await asyncio.shield(call.future)
        except asyncio.CancelledError:
            await self.withdraw(call)
            raise
        finally:
            if timer is not None:
                timer.cancel()

    def serve(self, call: _Write, seconds: float) -> bool:
        """Write the first call's frame."""
        writer = self._writer()
        if call.withdrawn or writer is None:
            call.answer(None)
            return True
        left = max(call.deadline - time.monotonic(), 0.0)
        if left > 0.0 and seconds <= 0.0:
            if not writer._try_write(call.data, True):
                return False
            call.answer(None)
            return True
        try:
            writer._write_within(call.data, min(left, seconds))
        except (BufferFullException, ReaderDeadException) as error:
            if left > 0.0 and (isinstance(error, BufferFullException) or _waits(writer, error)):
                return False
            raise
        call.answer(None)
        return True
