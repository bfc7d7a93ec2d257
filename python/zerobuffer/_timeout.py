"""Timeouts in seconds: what they may be, and what is left of one."""

import asyncio
import math
import time
from collections.abc import Callable
from typing import Optional, TypeVar

from .exceptions import BufferNotFoundException

__all__ = ["Deadline", "checked", "connected"]

_Endpoint = TypeVar("_Endpoint")
#: Seconds between two looks for what is to be connected to: at first, and at most.
_SHORTEST, _LONGEST = 0.002, 0.05


def checked(timeout: Optional[float]) -> Optional[float]:
    """Return a timeout that is one; ``ValueError`` for NaN, ``TypeError`` for what is no number."""
    if timeout is not None and math.isnan(timeout):
        raise ValueError("timeout must be a number of seconds, not NaN")
    return timeout


class Deadline:
    """A timeout that runs. None never ends; what is not positive has ended at once."""

    def __init__(self, timeout: Optional[float]) -> None:
        seconds = checked(timeout)
        #: A monotonic time.
        self.end = None if seconds is None else time.monotonic() + seconds

    def left(self, most: float) -> float:
        """Return how many seconds the next slice may have; 0 once the time is up."""
        return most if self.end is None else min(most, max(0.0, self.end - time.monotonic()))

    @property
    def is_over(self) -> bool:
        """Whether the time is up."""
        return self.end is not None and time.monotonic() >= self.end


async def connected(connect: Callable[[], _Endpoint], timeout: Optional[float], *taken: type[Exception]) -> _Endpoint:
    """Return what ``connect`` makes as soon as its other end is there, and has a place.

    One attempt may wait for another endpoint that is about to leave, so each is made in a thread.
    It is tried at intervals that grow to 50 ms. No descriptor says that a name has appeared. A
    watch of the folder of all buffers would wake each waiting process for every buffer of the
    machine. Linux also gives a user few such watches. ``taken`` are the errors that say that others
    have all places.
    """
    deadline = Deadline(timeout)
    pause = _SHORTEST
    passing: tuple[type[Exception], ...] = (BufferNotFoundException, *taken)
    while True:
        try:
            return await asyncio.to_thread(connect)
        except passing:
            if deadline.is_over:
                raise
        await asyncio.sleep(deadline.left(pause))
        pause = min(2 * pause, _LONGEST)
