"""Waiting for several readers at once."""

import math
import select
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Optional

from ._timeout import Deadline
from .exceptions import ZeroBufferException
from .reader import Reader

__all__ = ["wait"]

#: Seconds between two looks at the readers where there is nothing to wait for: at first, and at
#: most.
_SHORTEST, _LONGEST = 0.00005, 0.001
#: Seconds of one wait: the poll takes milliseconds as an int.
_SLICE = 3600.0


def wait(readers: Iterable[Reader], timeout: Optional[float] = None) -> list[Reader]:
    """Wait until at least one of several readers has something to read.

    Returns all that have, in the order given.

    A reader whose writer has gone, or that is closed, has something, too: its next read raises.
    Elsewhere than on Linux the readers are looked at in turn, at most 1 ms apart. One reader alone
    is better waited for by ``read_frame`` there.

    Args:
        readers: the readers; each is to be read by the calling thread.
        timeout: seconds; None waits for ever, 0 only looks. The list is empty if nothing came in
            time.
    """
    waiting = list(readers)
    for reader in waiting:
        if not isinstance(reader, Reader):
            raise TypeError(f"readers must be Reader objects, not {type(reader).__name__}")
    deadline = Deadline(timeout)
    if not waiting and timeout is None:
        raise ValueError("there is no reader to wait for")
    pause: Optional[Callable[[float], None]] = None
    while True:
        ready = [reader for reader in waiting if _has_something(reader)]
        if ready or deadline.is_over:
            return ready
        if pause is None:
            pause = _pauses(waiting)
        pause(deadline.left(_SLICE))


def _pauses(readers: Sequence[Reader]) -> Callable[[float], None]:
    """Return what waits until there may be something, at most so many seconds."""
    events = [reader._event() for reader in readers]
    if readers and None not in events:
        poll = select.poll()
        for event in events:
            if event is not None:
                # It is open for as long as its reader is there.
                poll.register(event, select.POLLIN)

        def listen(seconds: float) -> None:
            poll.poll(math.ceil(seconds * 1000))

        return listen
    pause = _SHORTEST

    def sleep(seconds: float) -> None:
        nonlocal pause
        time.sleep(min(pause, seconds))
        pause = min(2 * pause, _LONGEST)

    return sleep


def _has_something(reader: Reader) -> bool:
    try:
        frame = reader.read_frame(0)
    except ZeroBufferException:
        return True
    if frame is None:
        return False
    # It comes first in the next read.
    reader._give_back(frame)
    return True
