"""What waits on behalf of coroutines: the event loop itself, or one thread of the process.

Every endpoint has lanes of waiting calls, served in their order. On Linux an endpoint has a
descriptor that is readable when there may be something to do. The event loop of a waiting call
watches it and serves the lane. No thread of the package takes part.

Where there is no descriptor, or the event loop cannot watch one, a thread serves the lanes. With
one lane it sleeps in the core until there is something. With several it polls each in turn, at
intervals that grow while nothing happens, up to 1 ms. It notices within one wait that a call was
withdrawn or that the interpreter shuts down, and ends soon after the last call.
"""

import asyncio
import contextlib
import os
import threading
import time
from collections import deque
from typing import Any, Optional, Protocol

__all__ = ["Call", "Descriptor", "Lane", "engine"]

#: Seconds of one wait in the core: a lane that comes meanwhile is first looked at after it.
_SLICE = 0.01
#: Seconds between two looks at several lanes, after something has happened, and at most.
_SHORTEST, _LONGEST = 0.00005, 0.001
#: Seconds an idle thread stays for the next call: starting one costs more than the calls of a busy
#: endpoint.
_LINGER = 0.2
#: Calls of one lane in a row, before the next lane's turn.
_AT_ONCE = 64
#: Seconds after which a call waits for long.
_LONG = 0.05
#: Seconds between two looks for an endpoint that has nothing to wait for at the moment.
_TICK = 0.005


class Descriptor(Protocol):
    """What an event loop can watch; open as long as the object lives."""

    def fileno(self) -> int: ...


class Call:
    """One waiting call."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self.loop.create_future()
        #: Nobody waits for the answer any more.
        self.withdrawn = False

    def answer(self, answer: Any) -> bool:
        """Hand a result or an exception to the event loop. False if that loop is closed."""
        if asyncio._get_running_loop() is self.loop:
            self._deliver(answer)
            return True
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
        #: What is being worked on, perhaps withdrawn already.
        self.serving: Optional[Call] = None
        self._again = False
        #: Since when an event loop has looked without success.
        self._in_vain: Optional[float] = None
        #: What the event loops watch.
        self._watched: dict[asyncio.AbstractEventLoop, Descriptor] = {}

    def serve(self, call: Any, seconds: float) -> bool:
        """Serve the first call, waiting at most so long. Whether it is done."""
        raise NotImplementedError

    def event(self) -> Optional[Descriptor]:
        """Return what is readable when there may be something; None if there is no such thing."""
        return None

    def ticks(self) -> bool:
        """Whether there is nothing to wait for at the moment, but will be."""
        return False

    def noticed(self) -> None:
        """The descriptor was readable."""

    def stalled(self) -> None:
        """A call has waited for long."""

    def enter(self, call: Any, tried: bool = True) -> None:
        """Append a call, which has been ``tried`` without success or not yet.

        If nothing can wait for it, the error is raised.
        """
        event = self.event()
        ticks = event is None and self.ticks()
        if not ticks and (event is None or not self._watch(call.loop, event)):
            engine.add(self, call)
            return
        with engine.changed:
            self.calls.append(call)
        if ticks:
            call.loop.call_later(_TICK, self._tick, call.loop)
        elif not tried:
            call.loop.call_soon(self.run)

    def _watch(self, loop: asyncio.AbstractEventLoop, event: Descriptor) -> bool:
        """Have the event loop serve the lane when the descriptor is readable, if it can do so."""
        before = self._watched.get(loop)
        if before is not None:
            if before.fileno() == event.fileno():
                return True
            loop.remove_reader(before.fileno())
        try:
            loop.add_reader(event.fileno(), self._ready, loop)
        except NotImplementedError:
            return False
        for other in [other for other in self._watched if other.is_closed()]:
            del self._watched[other]
        self._watched[loop] = event
        return True

    def _unwatch(self, loop: asyncio.AbstractEventLoop) -> None:
        event = self._watched.pop(loop, None)
        if event is not None:
            loop.remove_reader(event.fileno())

    def _ready(self, loop: asyncio.AbstractEventLoop) -> None:
        self.noticed()
        found = self.run()
        with engine.changed:
            first = self.calls[0] if self.calls else None
        if first is None:
            # It stays readable until somebody looks; mostly that is the next call, which comes now.
            if not found:
                self._unwatch(loop)
            return
        if not found and self._waits_for_long():
            # The loop was free meanwhile, and still nothing has come.
            try:
                self.stalled()
            except Exception as error:
                # A warning that is an error is one of the call.
                first.answer(error)
                with engine.changed:
                    engine.remove(self, first)
        self._follow(loop)

    def _waits_for_long(self) -> bool:
        """Whether nothing was found for long; this look was one without success."""
        now = time.monotonic()
        if self._in_vain is None:
            self._in_vain = now
            return False
        return now - self._in_vain >= _LONG

    def _follow(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wait for what the endpoint has now: it may have another peer."""
        try:
            event = self.event()
        except Exception:
            # The next attempt of the call raises it.
            loop.call_soon(self.run)
            return
        if event is not None:
            self._watch(loop, event)
        elif self.ticks():
            self._unwatch(loop)
            loop.call_later(_TICK, self._tick, loop)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        self.run()
        if self.calls:
            self._follow(loop)

    def run(self) -> bool:
        """Serve what can be served, in an event loop. Whether there was something."""
        served = self.serve_ready(0.0)
        if served > 0:
            # On whatever way the loop came here: this is no stall.
            self._in_vain = None
        if served >= _AT_ONCE:
            # Others have a turn.
            asyncio.get_running_loop().call_soon(self.run)
        return served > 0

    def serve_ready(self, seconds: float) -> int:
        """Serve calls while they are done at once, one thread at a time. How many were."""
        served = 0
        while served < _AT_ONCE:
            with engine.changed:
                if self.serving is not None:
                    # The thread that serves it looks once more.
                    self._again = True
                    return served
                if not self.calls:
                    return served
                call = self.serving = self.calls[0]
            done = True
            try:
                done = call.future.done() or self.serve(call, 0.0 if served else seconds)
            except Exception as error:
                call.answer(error)
            finally:
                with engine.changed:
                    self.serving = None
                    again, self._again = self._again, False
                    if done:
                        engine.remove(self, call)
                del call
            if done:
                served += 1
            elif not again:
                return served
        return served

    async def withdraw(self, call: Any) -> None:
        """Return when the call can no longer be served, so its data may change again."""
        with engine.changed:
            call.withdrawn = True
            if self.serving is not call and engine.remove(self, call):
                # Nobody has touched it. The next one may need less.
                call.future.cancel()
                if self.calls and self._watched:
                    call.loop.call_soon(self.run)
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
        #: Guards the calls of all lanes.
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
                found = lane.serve_ready(_SLICE if alone else 0.0) > 0 or found
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


engine = Engine()


def _forget() -> None:
    # In a forked child there is no thread, and another one may have held the lock.
    engine.__init__()  # type: ignore[misc]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
