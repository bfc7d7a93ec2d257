"""Closes what is still open when the interpreter exits, or when a signal ends it.

A daemon thread that waits in a call keeps its endpoint from being collected. Without this, the
buffer's files would stay. A thread that waits then gets the exception of a closed endpoint, as from
any other ``close``. Where that ends a daemon thread, which the exit would have ended anyway, it is
not printed.

SIGTERM and SIGHUP end a process without any exit. The first endpoint that the main thread opens
handles them, unless the application does. Open endpoints are then closed, and the process ends by
the signal as before.
"""

import atexit
import logging
import os
import signal
import threading
import time
import weakref
from collections.abc import Callable
from types import FrameType
from typing import Optional, Protocol

from ._zerobuffer import _forget_threads, _serving_threads
from .exceptions import ZeroBufferException

__all__ = ["keep", "let_go", "remember"]

logger = logging.getLogger(__name__)


class _Closable(Protocol):
    def close(self) -> None: ...


class _Stoppable(Protocol):
    def stop(self) -> None: ...


#: Servers that run: they need no other reference.
_running: "set[_Stoppable]" = set()
#: By identity. No lock: a signal handler may open and close endpoints at any time, and each change
#: is one step.
_open: "dict[int, weakref.ref[_Closable]]" = {}
_SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
_guarded = False
#: Seconds that handlers get to end.
_PATIENCE = 5.0


def remember(endpoint: _Closable) -> None:
    """Close the endpoint when the interpreter exits, if it still exists then."""
    key = id(endpoint)

    def forget(gone: "weakref.ref[_Closable]") -> None:
        # A new endpoint may have the same identity already.
        if _open.get(key) is gone:
            _open.pop(key, None)

    _open[key] = weakref.ref(endpoint, forget)
    if not _guarded:
        _guard()


def keep(server: _Stoppable) -> None:
    """Hold a server, and stop it when the interpreter exits."""
    _running.add(server)
    if not _guarded:
        _guard()


def let_go(server: _Stoppable) -> None:
    """Hold it no longer."""
    _running.discard(server)


class _Quiet:
    """Prints what ends a thread, unless that is our own doing."""

    def __init__(self, previous: Callable[[threading.ExceptHookArgs], object]) -> None:
        self._previous = previous

    def __call__(self, args: threading.ExceptHookArgs) -> None:
        ended_here = issubclass(args.exc_type, ZeroBufferException) and args.thread is not None and args.thread.daemon
        if not ended_here:
            self._previous(args)


def _close_open() -> None:
    endpoints = [reference() for reference in list(_open.values())]
    _open.clear()
    servers = list(_running)
    _running.clear()
    ends = [endpoint.close for endpoint in endpoints if endpoint is not None]
    for end in ends + [server.stop for server in servers]:
        try:
            end()
        except Exception:
            # The others are closed nevertheless.
            logger.exception("%r failed at the exit", end)


@atexit.register
def _close_all() -> None:
    if _open or _running:
        threading.excepthook = _Quiet(threading.excepthook)
    _close_open()
    # The interpreter ends a thread that comes back to it later, which a thread that calls handlers
    # may not survive.
    deadline = time.monotonic() + _PATIENCE
    while _serving_threads() and time.monotonic() < deadline:
        time.sleep(0.01)


def _guard() -> None:
    """Close endpoints on the signals that would end the process by default."""
    global _guarded
    if threading.current_thread() is not threading.main_thread():
        return
    _guarded = True
    for number in _SIGNALS:
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _end)


def _end(number: int, _frame: Optional[FrameType]) -> None:
    try:
        _close_open()
    finally:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


def _forget_all() -> None:
    # A forked child that exits in good order leaves its parent's endpoints alone.
    _open.clear()
    _running.clear()
    # Nor does it wait for threads, which are not in it.
    _forget_threads()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
