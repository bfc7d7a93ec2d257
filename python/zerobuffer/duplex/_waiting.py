"""Waits for responses on behalf of coroutines: one thread per client, which ends soon after the last call."""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any, Optional

from .._zerobuffer import DuplexClientBase, Frame

__all__ = ["Waiting"]

#: Seconds of one wait in the thread.
_SLICE = 0.05
#: Seconds an idle thread stays for the next call: starting one costs more than the calls of a busy client.
_LINGER = 0.2

Answer = Optional[tuple[int, Frame]]


class _Wait:
    """One waiting call."""

    def __init__(
        self, poll: Callable[[], Answer], end: Optional[float], refuse: Callable[[tuple[int, Frame]], None]
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Answer] = self.loop.create_future()
        self.poll = poll
        self.end = end
        self.refuse = refuse

    def look(self) -> bool:
        """Answer the call if its response is there or its time is up, in the thread. Whether it is done."""
        late = self.end is not None and time.monotonic() >= self.end
        try:
            answer = self.poll()
        except Exception as error:
            self.answer(error)
            return True
        if answer is None and not late:
            return False
        self.answer(answer)
        return True

    def answer(self, answer: Any) -> None:
        """Hand a result or an exception to the event loop."""
        try:
            self.loop.call_soon_threadsafe(self._deliver, answer)
        except RuntimeError:
            # The loop is closed.
            self._return(answer)

    def _deliver(self, answer: Any) -> None:
        if self.future.done():
            self._return(answer)
        elif isinstance(answer, Exception):
            self.future.set_exception(answer)
        else:
            self.future.set_result(answer)

    def _return(self, answer: Any) -> None:
        if isinstance(answer, tuple):
            self.refuse(answer)

    async def result(self) -> Answer:
        """Return the answer. One that comes after a cancellation goes to ``refuse``."""
        try:
            return await self.future
        except asyncio.CancelledError:
            if self.future.done() and not self.future.cancelled() and self.future.exception() is None:
                self._return(self.future.result())
            raise


class Waiting:
    """The waiting calls of one client."""

    def __init__(self, core: DuplexClientBase) -> None:
        self._core = core
        self._changed = threading.Condition()
        self._waits: list[_Wait] = []
        self._thread: Optional[threading.Thread] = None

    async def wait(
        self, poll: Callable[[], Answer], end: Optional[float], refuse: Callable[[tuple[int, Frame]], None]
    ) -> Answer:
        """Return what ``poll`` finds until ``end``, a time of the monotonic clock. ``poll`` must not block."""
        wait = _Wait(poll, end, refuse)
        with self._changed:
            self._waits.append(wait)
        try:
            # Once it is in the list: what comes after this look wakes the thread, which then finds it there.
            answer = poll()
            if answer is not None or (end is not None and time.monotonic() >= end):
                return answer
            self._start()
            return await wait.result()
        finally:
            self._done(wait)
            # What the thread has found for it meanwhile is refused.
            wait.future.cancel()

    def _start(self) -> None:
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="zerobuffer-duplex-asyncio", daemon=True)
                self._thread.start()
            else:
                self._changed.notify()

    def _run(self) -> None:
        seen = 0
        while True:
            with self._changed:
                if not self._waits and not self._changed.wait_for(lambda: bool(self._waits), _LINGER):
                    self._thread = None
                    return
            # Its variables go with it: a thread that lingers must not keep a client alive.
            seen = self._round(seen)

    def _round(self, seen: int) -> int:
        """Answer what can be answered and wait for the next response, for one slice; ``seen`` have come so far."""
        with self._changed:
            waits = list(self._waits)
        left = self._look(waits)
        if not left:
            return seen
        now = time.monotonic()
        ends = [wait.end - now for wait in left if wait.end is not None]
        try:
            return self._core._await_arrival(seen, max(0.0, min([_SLICE, *ends])))
        except Exception as error:
            # Those whose responses have come before get them.
            for wait in self._look(left):
                self._done(wait)
                wait.answer(error)
        return seen

    def _look(self, waits: list[_Wait]) -> list[_Wait]:
        """Answer what can be answered; return the others."""
        left = []
        for wait in waits:
            if wait.look():
                self._done(wait)
            else:
                left.append(wait)
        return left

    def _done(self, wait: _Wait) -> None:
        with self._changed:
            if wait in self._waits:
                self._waits.remove(wait)
