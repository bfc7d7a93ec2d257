"""The one thread that waits on behalf of all coroutines of the process.

Every endpoint has lanes of waiting calls, served in their order. With one lane the thread sleeps in
the core until there is something. With several it polls each in turn, at intervals that grow while
nothing happens, up to 1 ms. It notices within one wait that a call was withdrawn or that the
interpreter shuts down. It ends soon after the last call. Event loops are woken once per result and
poll nothing.
"""

import asyncio
import contextlib
import os
import threading
from collections import deque
from typing import Any, Optional

__all__ = ["Call", "Lane", "engine"]

#: Seconds of one wait in the core: a lane that comes meanwhile is first looked at after it.
_SLICE = 0.01
#: Seconds between two looks at several lanes, after something has happened, and at most.
_SHORTEST, _LONGEST = 0.00005, 0.001
#: Seconds an idle thread stays for the next call: starting one costs more than the calls of a busy
#: endpoint.
_LINGER = 0.2
#: Calls of one lane in a row, before the next lane's turn.
_AT_ONCE = 64


class Call:
    """One waiting call."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self.loop.create_future()
        #: Nobody waits for the answer any more.
        self.withdrawn = False

    def answer(self, answer: Any) -> bool:
        """Hand a result or an exception to the event loop. False if that loop is closed."""
        try:
            self.loop.call_soon_threadsafe(self._deliver, answer)
        except RuntimeError:
            return False
        return True

    def _deliver(self, answer: Any) -> None:
        if self.future.done():
            self.refused(answer)
        elif isinstance(answer, BaseException):
            self.future.set_exception(answer)
        else:
            self.future.set_result(answer)

    def refused(self, answer: Any) -> None:
        """Take an answer back that comes after the call has ended."""


class Lane:
    """Waiting calls of one endpoint, in their order."""

    def __init__(self) -> None:
        self.calls: deque[Any] = deque()
        #: What the thread is working on, perhaps withdrawn already.
        self.serving: Optional[Call] = None

    def serve(self, call: Any, seconds: float) -> bool:
        """Serve the first call, waiting at most so long, in the thread. Whether it is done."""
        raise NotImplementedError

    async def withdraw(self, call: Any) -> None:
        """Return when the call can no longer be served, so its data may change again."""
        with engine.changed:
            call.withdrawn = True
            if self.serving is not call and engine.remove(self, call):
                # The thread has not touched it.
                call.future.cancel()
                return
        while not call.future.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([call.future])
        if not call.future.cancelled():
            call.future.exception()  # Seen: nobody is left to tell.

    @property
    def is_idle(self) -> bool:
        """Whether a call may go ahead at once: none waits, and no withdrawn one still runs."""
        return not self.calls and self.serving is None


class Engine:
    """The thread, and the lanes that it serves."""

    def __init__(self) -> None:
        self.changed = threading.Condition(threading.RLock())
        #: Those with calls, in the order of their first; the values mean nothing.
        self._lanes: dict[Lane, None] = {}
        self._thread: Optional[threading.Thread] = None

    def add(self, lane: Lane, call: Any) -> None:
        """Append a call. If the thread cannot be started, the error is raised."""
        with self.changed:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="zerobuffer-asyncio")
                # It cannot go on before the lock is free. What follows cannot fail.
                thread.start()
                self._thread = thread
            lane.calls.append(call)
            self._lanes[lane] = None
            self.changed.notify()

    def remove(self, lane: Lane, call: Any) -> bool:
        """Take a call out that need not wait any more. Whether it was waiting."""
        with self.changed:
            try:
                lane.calls.remove(call)
            except ValueError:
                return False
            if not lane.calls:
                self._lanes.pop(lane, None)
            return True

    def _run(self) -> None:
        pause = _SHORTEST
        while True:
            with self.changed:
                if not self._lanes:
                    self.changed.wait(_LINGER)
                if not self._lanes:
                    self._thread = None
                    return
                lanes = list(self._lanes)
            alone = len(lanes) == 1
            found = False
            for lane in lanes:
                found = self._serve(lane, _SLICE if alone else 0.0) or found
            # Its variables go with each round: a thread that lingers must not keep an endpoint
            # alive.
            del lane, lanes
            if not threading.main_thread().is_alive():
                # The interpreter is shutting down and waits for this thread; nobody waits for the
                # answers.
                with self.changed:
                    self._lanes.clear()
                    self._thread = None
                return
            if found or alone:
                pause = _SHORTEST
                continue
            with self.changed:
                self.changed.wait(pause)
            pause = min(2 * pause, _LONGEST)

    def _serve(self, lane: Lane, seconds: float) -> bool:
        """Serve a lane's calls while they are done at once. Whether one was."""
        for served in range(_AT_ONCE):
            with self.changed:
                if not lane.calls:
                    return served > 0
                call = lane.serving = lane.calls[0]
            done = True
            try:
                done = call.future.done() or lane.serve(call, 0.0 if served else seconds)
            except Exception as error:
                call.answer(error)
            finally:
                with self.changed:
                    lane.serving = None
                    if done:
                        self.remove(lane, call)
                del call
            if not done:
                return served > 0
        return True


engine = Engine()


def _forget() -> None:
    # In a forked child there is no thread, and another one may have held the lock.
    engine.__init__()  # type: ignore[misc]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
