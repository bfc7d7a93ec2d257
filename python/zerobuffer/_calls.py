"""Requests and responses of coroutines."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Optional

from ._engine import Call, Lane, engine
from ._zerobuffer import DuplexClientBase, Frame

__all__ = ["RequestLane", "ResponseLane"]

Answer = Optional[tuple[int, Frame]]


class _Request(Call):
    """A request that waits for room."""

    def __init__(self, attempt: Callable[[], Any], deadline: Optional[float]) -> None:
        super().__init__()
        self.attempt = attempt
        self.deadline = deadline


class RequestLane(Lane):
    """Requests of one client: first called, first sent."""

    async def send(self, attempt: Callable[[], Any], full: Callable[[], Any], timeout: Optional[float]) -> Any:
        """Return what ``attempt`` does once there is room; it gives None until then at once.

        After ``timeout`` seconds ``full``, the same call with the error, has the last word.
        """
        if self.is_idle:
            sent = attempt()
            if sent is not None:
                return sent
        call = _Request(attempt, None if timeout is None else time.monotonic() + timeout)
        engine.add(self, call)
        try:
            sent = await asyncio.shield(call.future)
        except asyncio.CancelledError:
            await self.withdraw(call)
            raise
        return full() if sent is None else sent

    def serve(self, call: _Request, seconds: float) -> bool:
        """Try to send the first request, in the thread."""
        late = call.deadline is not None and time.monotonic() >= call.deadline
        sent = None if call.withdrawn else call.attempt()
        if sent is None and not late and not call.withdrawn:
            # Nothing tells when a request ring has room again.
            time.sleep(min(seconds, 0.0005))
            return False
        call.answer(sent)
        return True


class _Wait(Call):
    """A call that waits for its response."""

    def __init__(self, poll: Callable[[], Answer], end: Optional[float], refuse: Callable[[Any], None]) -> None:
        super().__init__()
        self.poll = poll
        self.end = end
        self.refuse = refuse

    def look(self) -> bool:
        """Answer if the response is there or the time is up, in the thread. Whether it is done."""
        if self.future.done():
            return True
        late = self.end is not None and time.monotonic() >= self.end
        try:
            answer = self.poll()
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
        if isinstance(answer, tuple):
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

    async def wait(
        self, poll: Callable[[], Answer], end: Optional[float], refuse: Callable[[tuple[int, Frame]], None]
    ) -> Answer:
        """Return what ``poll`` finds until ``end``, a monotonic time. It must not block."""
        answer = poll()
        if answer is not None or (end is not None and time.monotonic() >= end):
            return answer
        wait = _Wait(poll, end, refuse)
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
            if wait.look():
                engine.remove(self, wait)
            else:
                left.append(wait)
        return left
