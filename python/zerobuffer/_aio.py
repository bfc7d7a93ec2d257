"""Asynchronous calls: one thread per endpoint waits for the core, and ends soon after the last.

The thread waits in slices, so it notices within one that its call was cancelled or that the interpreter shuts down;
the event loop is woken once per result and polls nothing.
"""

import asyncio
import contextlib
import threading
import time
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any, Generic, Optional, TypeVar

from ._zerobuffer import Frame, ReaderBase, WriterBase
from .exceptions import BufferFullException

if TYPE_CHECKING:
    from .reader import Reader
    from .writer import Writer

#: Seconds of one wait in the thread.
_SLICE = 0.1
#: Seconds an idle thread stays for the next call: starting one costs more than the calls of a busy endpoint.
_LINGER = 0.2
#: Calls that did not have to wait, after which the event loop gets a turn.
_TURN = 32

_Endpoint = TypeVar("_Endpoint", ReaderBase, WriterBase)


class _Request:
    """One waiting call."""

    def __init__(self, data: Any = None, deadline: float = 0.0) -> None:
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self.loop.create_future()
        self.data = data
        self.deadline = deadline
        #: Nobody waits for the answer any more: a read must not keep a frame, a write must not be tried again.
        self.withdrawn = False
        #: The frame on its way to the event loop.
        self.frame: Optional[Frame] = None


class _Queue(Generic[_Endpoint]):
    """Waiting calls of one endpoint, served in their order."""

    def __init__(self, endpoint: _Endpoint) -> None:
        # Weak: the endpoint owns its queue, and must go when its user lets go of it.
        self._endpoint: weakref.ref[_Endpoint] = weakref.ref(endpoint)
        self._changed = threading.Condition()
        self._requests: deque[_Request] = deque()
        #: What the thread is working on, perhaps withdrawn already.
        self._serving: Optional[_Request] = None
        self._thread: Optional[threading.Thread] = None
        self._ready = 0

    def _serve(self, endpoint: _Endpoint, request: _Request) -> bool:
        """Serve the first request for one slice, in the thread. Whether it is done."""
        raise NotImplementedError

    async def _turn(self) -> None:
        """Let the event loop run now and then although nothing has to be waited for."""
        self._ready += 1
        if self._ready % _TURN == 0:
            await asyncio.sleep(0)

    def _add(self, request: _Request) -> None:
        with self._changed:
            self._requests.append(request)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="zerobuffer-asyncio")
                self._thread.start()
            else:
                self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._requests and not self._changed.wait_for(lambda: bool(self._requests), _LINGER):
                    self._thread = None
                    return
                request = self._serving = self._requests[0]
            endpoint = self._endpoint()
            try:
                done = endpoint is None or request.future.done() or self._serve(endpoint, request)
            except Exception as error:
                self._answer(request, error)
                done = True
            del endpoint
            with self._changed:
                self._serving = None
                if done and request in self._requests:
                    self._requests.remove(request)
            if not done and not threading.main_thread().is_alive():
                # The interpreter is shutting down and waits for this thread; nobody waits for the answer.
                return
            del request

    def _answer(self, request: _Request, answer: Any) -> bool:
        """Hand a result or an exception to the event loop of a request. False if that loop is closed."""
        try:
            request.loop.call_soon_threadsafe(self._deliver, request, answer)
        except RuntimeError:
            return False
        return True

    def _deliver(self, request: _Request, answer: Any) -> None:
        """Complete a request, in its event loop."""
        if request.future.done():
            return
        if isinstance(answer, BaseException):
            request.future.set_exception(answer)
        else:
            request.future.set_result(answer)


class ReadQueue(_Queue[ReaderBase]):
    """Asynchronous reads of one reader."""

    async def read(self, reader: "Reader", timeout: Optional[float]) -> Optional[Frame]:
        """Return the next frame, or None after ``timeout`` seconds."""
        await self._turn()
        with self._changed:
            # A withdrawn read may have a frame in hand that comes before all that are in the ring.
            first = not self._requests and self._serving is None
        if first:
            frame = reader.read_frame(0)
            if frame is not None or (timeout is not None and timeout <= 0):
                return frame
        request = _Request()
        timer = None
        if timeout is not None:
            timer = request.loop.call_later(timeout, self._expire, request)
        self._add(request)
        try:
            answer: Optional[Frame] = await request.future
            request.frame = None
            return answer
        finally:
            if timer is not None:
                timer.cancel()
            self._give_up(request)

    def _expire(self, request: _Request) -> None:
        with self._changed:
            if not request.future.done():
                request.withdrawn = request.frame is None
                request.future.set_result(request.frame)

    def _give_up(self, request: _Request) -> None:
        """End a read, whatever its outcome; a frame that its caller will never see goes back before the next read."""
        endpoint = self._endpoint()
        with self._changed:
            request.withdrawn = True
            if request in self._requests:
                self._requests.remove(request)
            frame, request.frame = request.frame, None
            if frame is not None and endpoint is not None:
                endpoint._give_back(frame)

    def _serve(self, endpoint: ReaderBase, request: _Request) -> bool:
        frame = endpoint.read_frame(_SLICE)
        if frame is None:
            return False
        with self._changed:
            if not request.withdrawn:
                # Before the event loop can act on the answer.
                request.frame = frame
                if self._answer(request, frame):
                    return True
                request.frame = None
            endpoint._give_back(frame)
        return True


class WriteQueue(_Queue[WriterBase]):
    """Asynchronous writes of one writer."""

    async def write(self, writer: "Writer", data: Any) -> None:
        """Write one frame; waits for space up to the write timeout."""
        with self._changed:
            first = not self._requests
        if first:
            try:
                writer._write_within(data, 0.0)
            except BufferFullException:
                if writer._full != "block":
                    raise
            else:
                # Only now: a turn before the write would let a later call overtake it.
                await self._turn()
                return
        request = _Request(data, time.monotonic() + writer._write_timeout_ns / 1e9)
        self._add(request)
        try:
            await asyncio.shield(request.future)
        except asyncio.CancelledError:
            await self._withdraw(request)
            raise

    async def _withdraw(self, request: _Request) -> None:
        """Return when the frame can no longer be sent: its data may change once the caller has control again."""
        with self._changed:
            request.withdrawn = True
            if request in self._requests and self._requests[0] is not request:
                # Waits behind others: the thread has not touched it.
                self._requests.remove(request)
                return
        while not request.future.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([request.future])
        if not request.future.cancelled():
            request.future.exception()  # Seen: nobody is left to tell.

    def _serve(self, endpoint: WriterBase, request: _Request) -> bool:
        if request.withdrawn:
            self._answer(request, None)
            return True
        left = max(request.deadline - time.monotonic(), 0.0)
        try:
            endpoint._write_within(request.data, min(left, _SLICE))
        except BufferFullException:
            if left > 0.0:
                return False
            raise
        self._answer(request, None)
        return True
