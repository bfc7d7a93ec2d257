"""Closes what is still open when the interpreter exits.

A daemon thread that waits in a call keeps its endpoint from being collected: without this, the buffer's files would
stay. A thread that waits then gets the exception of a closed endpoint, as from any other ``close``; where that ends a
daemon thread, which the exit would have ended anyway, it is not printed.
"""

import atexit
import os
import threading
import weakref
from collections.abc import Callable
from typing import Protocol

from .exceptions import ZeroBufferException

__all__ = ["remember"]


class _Closable(Protocol):
    def close(self) -> None: ...


_open: "weakref.WeakSet[_Closable]" = weakref.WeakSet()
_lock = threading.Lock()


def remember(endpoint: _Closable) -> None:
    """Close the endpoint when the interpreter exits, if it still exists then."""
    with _lock:
        _open.add(endpoint)


class _Quiet:
    """Prints what ends a thread, unless that is our own doing."""

    def __init__(self, previous: Callable[[threading.ExceptHookArgs], object]) -> None:
        self._previous = previous

    def __call__(self, args: threading.ExceptHookArgs) -> None:
        ended_here = issubclass(args.exc_type, ZeroBufferException) and args.thread is not None and args.thread.daemon
        if not ended_here:
            self._previous(args)


@atexit.register
def _close_all() -> None:
    with _lock:
        endpoints = list(_open)
        _open.clear()
    if endpoints:
        threading.excepthook = _Quiet(threading.excepthook)
    for endpoint in endpoints:
        endpoint.close()


def _forget_all() -> None:
    # A forked child that exits in good order leaves its parent's endpoints alone. Another thread of the parent may
    # have held the lock, or be half way through a change of the set.
    global _open, _lock
    _open = weakref.WeakSet()
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
