"""Requests and responses of coroutines."""

import asyncio
import sys
import time
from collections.abc import Callable
from typing import Any, Optional

from ._engine import Call, Descriptor, Lane, engine
from ._zerobuffer import Bell, DuplexClientBase, Response

__all__ = ["ANY", "RequestLane", "ResponseLane"]

Answer = Optional[Response]
#: In place of a request's number: whichever response no call waits for.
ANY = 2**64 - 1
#: Seconds between two looks whether held frames keep the server waiting.
_LOOK = 0.5


def _bell() -> Optional[Bell]:
    """Return what rings when the core has something, where an event loop can hear it."""
    return None if sys.platform == "win32" else Bell()


class _Request(Call):
    """A request that waits for room."""

    def __init__(self, attempt: Callable[[Optional[Bell]], Any], deadline: Optional[float]) -> None:
        super().__init__()
        self.attempt = attempt
        self.deadline = deadline


class RequestLane(Lane):
    """Requests of one client: first called, first sent."""

    def __init__(self) -> None:
        super().__init__()
        self._bell: Optional[Bell] = None

    def event(self) -> Optional[Descriptor]:
        """Return the bell of the requests."""
        return self._bell

    def noticed(self) -> None:
        """Silence it."""
        if self._bell is not None:
            self._bell._take()

    async def send(
        self, attempt: Callable[[Optional[Bell]], Any], full: Callable[[], Any], timeout: Optional[float]
    ) -> Any:
        """Return what ``attempt`` does once there is room; until then it gives None at once.

        It has a bell rung when there may be room. After ``timeout`` seconds ``full``, the same call
        with the error, has the last word.
        """
        if self._bell is None:
            self._bell = _bell()
        if self.is_idle:
            sent = attempt(self._bell)
            if sent is not None:
                return sent
        call = _Request(attempt, None if timeout is None else time.monotonic() + timeout)
        self.enter(call)
        timer = None if timeout is None else call.loop.call_later(timeout, self.run)
        try:
            sent = await asyncio.shield(call.future)
        except asyncio.CancelledError:
            await self.withdraw(call)
            raise
        finally:
            if timer is not None:
                timer.cancel()
        return full() if sent is None else sent

    def serve(self, call: _Request, seconds: float) -> bool:
        """Try to send the first request."""
        late = call.deadline is not None and time.monotonic() >= call.deadline
        sent = None if call.withdrawn else call.attempt(self._bell)
        if sent is None and not late and not call.withdrawn:
            if seconds > 0.0:
                # In the thread, nothing tells when a request ring has room again.
                time.sleep(min(seconds, 0.0005))
            return False
        call.answer(sent)
        return True


class _Wait(Call):
    """A call that waits for its response."""

    def __init__(
        self, poll: Callable[[Optional[Bell]], Answer], end: Optional[float], refuse: Callable[[Any], None]
    ) -> None:
        super().__init__()
        self.poll = poll
        self.end = end
        self.refuse = refuse

    def look(self, bell: Optional[Bell]) -> bool:
        """Answer if the response is there or the time is up. Whether it is done."""
        if self.future.done():
            return True
        late = self.end is not None and time.monotonic() >= self.end
        try:
            answer = self.poll(bell)
        except Exception as error:
            self.answer(error)
            return True
        if answer is None and not late:
            return False
        if not self.answer(answer):
            self.refused(answer)
        return True

    def refused(self, answer: Any) -> None:
        """Take a response back."""
        if isinstance(answer, Response):
            self.refuse(answer)

    async def result(self) -> Answer:
        """Return the answer. One that comes after a cancellation goes to ``refuse``."""
        try:
            answer: Answer = await self.future
            return answer
        except asyncio.CancelledError:
            if self.future.done() and not self.future.cancelled() and self.future.exception() is None:
                self.refused(self.future.result())
            raise


class ResponseLane(Lane):
    """The calls of one client that wait for responses, which come in any order."""

    def __init__(self, core: DuplexClientBase) -> None:
        super().__init__()
        self._core = core
        self._seen = 0
        self._bell: Optional[Bell] = None
        #: Those that an event loop serves, by their requests.
        self._waits: dict[int, list[_Wait]] = {}
        self._timer: Optional[asyncio.TimerHandle] = None

    async def wait(
        self,
        number: int,
        poll: Callable[[Optional[Bell]], Answer],
        end: Optional[float],
        refuse: Callable[[Response], None],
    ) -> Answer:
        """Return what ``poll`` finds until ``end``, a monotonic time.

        It must not block, and has a bell rung for ``number`` when it may find something.
        """
        if self._bell is None:
            self._bell = _bell()
        answer = poll(self._bell)
        if answer is not None or (end is not None and time.monotonic() >= end):
            if self._waits.get(number):
                # It took the wake-up that those wait for.
                asyncio.get_running_loop().call_soon(self._look_for, number)
            return answer
        wait = _Wait(poll, end, refuse)
        if self._bell is None or not self._watch(wait.loop, self._bell):
            return await self._wait_by_thread(wait)
        with engine.changed:
            self._waits.setdefault(number, []).append(wait)
        self._look_around(wait.loop)
        timer = None if end is None else wait.loop.call_later(end - time.monotonic(), wait.look, self._bell)
        try:
            return await wait.result()
        finally:
            if timer is not None:
                timer.cancel()
            self._leave(number, wait)

    def _leave(self, number: int, wait: _Wait) -> None:
        with engine.changed:
            waits = self._waits.get(number, [])
            if wait in waits:
                waits.remove(wait)
            if not waits:
                self._waits.pop(number, None)
        # What is found for it from here on is refused.
        wait.future.cancel()
        if waits:
            # What it has handed back is for another one.
            wait.loop.call_soon(self._look_for, number)

    def _ready(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._bell is None:
            return
        numbers = dict.fromkeys(self._bell._take())
        for number in numbers:
            self._look_for(number)
        if not self._waits and not numbers:
            self._unwatch(loop)

    def _look_for(self, number: int) -> None:
        with engine.changed:
            waits = list(self._waits.get(number, ()))
        for wait in waits:
            if not wait.look(self._bell):
                return

    def _look_around(self, loop: asyncio.AbstractEventLoop) -> None:
        """Now and then look whether held frames keep the server waiting."""
        if self._timer is None or self._timer.cancelled() or self._timer.when() < loop.time() - _LOOK:
            self._timer = loop.call_later(_LOOK, self._looked, loop)

    def _looked(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        if self._waits:
            self._core._stalled()
            self._look_around(loop)

    async def _wait_by_thread(self, wait: _Wait) -> Answer:
        engine.add(self, wait)
        try:
            return await wait.result()
        finally:
            engine.remove(self, wait)
            # What the thread has found for it meanwhile is refused.
            wait.future.cancel()

    def serve(self, call: _Wait, seconds: float) -> bool:
        """Answer what can be answered, and wait for the next response, in the thread."""
        left = self._look()
        if call not in left:
            return True
        try:
            self._seen = self._core._await_arrival(self._seen, seconds)
        except Exception as error:
            # Those whose responses have come before get them.
            for wait in self._look():
                wait.answer(error)
                engine.remove(self, wait)
            return True
        return False

    def _look(self) -> list[_Wait]:
        """Answer what can be answered; return the others."""
        with engine.changed:
            waits = list(self.calls)
        left = []
        for wait in waits:
            if wait.look(None):
                engine.remove(self, wait)
            else:
                left.append(wait)
        return left
