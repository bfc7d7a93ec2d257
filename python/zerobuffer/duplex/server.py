"""The answering end of a channel, as in 1.x: a thin layer over :class:`zerobuffer.Server`."""

import asyncio
import inspect
import logging
import os
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Literal, Optional, Union

from .._context import AsyncContext
from .._exit import let_go
from .._server import Server, answering, is_coroutine_function
from ..error_event_args import ErrorEventArgs
from ..exceptions import ReaderDeadException as ReaderDeadException
from ..exceptions import WriterDeadException
from ..exceptions import ZeroBufferException as ZeroBufferException
from ..reader import Reader as Reader
from ..types import BufferConfig, Frame
from ..writer import Writer
from ._ends import RequestReader
from .interfaces import IDuplexServer, IImmutableDuplexServer, IMutableDuplexServer
from .processing_mode import ProcessingMode

__all__ = ["ImmutableDuplexServer", "MutableDuplexServer"]

logger = logging.getLogger(__name__)

#: Seconds that a server waits for a client by default.
_TIMEOUT = 5.0


def _workers(mode: ProcessingMode, workers: Optional[int]) -> int:
    if mode is ProcessingMode.SINGLE_THREAD:
        return 0
    if mode is not ProcessingMode.THREAD_POOL:
        raise ValueError(f"Invalid processing mode: {mode}")
    count = max(2, os.cpu_count() or 2) if workers is None else workers
    if count < 1:
        raise ValueError(f"workers must be positive, not {workers}")
    return count


def _check(handler: Any, on_init: Any = None) -> None:
    """Refuse what cannot be called: arguments that stand in each other's places most of all."""
    if not callable(handler):
        raise TypeError(f"handler must be callable, not {type(handler).__name__}")
    if isinstance(on_init, ProcessingMode):
        raise TypeError("on_init stands before mode: pass mode=ProcessingMode...., or None as on_init")
    if on_init is not None and not callable(on_init):
        raise TypeError(f"on_init must be callable or None, not {type(on_init).__name__}")


def _refuse_coroutines(handler: Callable[..., object]) -> None:
    if is_coroutine_function(handler):
        raise TypeError("the handler is a coroutine function: give it to start_async")


class _Server(AsyncContext, IDuplexServer):
    """What both kinds of servers share."""

    def __init__(
        self,
        channel_name: str,
        config: BufferConfig,
        timeout: Optional[float],
        persistent: bool,
        mode: Optional[int],
        global_: bool,
        owner: Union[int, Literal["trusted", "any"], None],
    ) -> None:
        wait: Optional[float] = timeout
        if timeout is None and not persistent:
            wait = _TIMEOUT
        self._server = Server.__new__(Server)
        self._server._set_up(channel_name, config, 1, mode, wait, owner, persistent, global_)
        self._errors = 0
        self._error_handlers: list[Callable[[ErrorEventArgs], None]] = []
        self._lock = threading.RLock()

    @property
    def is_running(self) -> bool:
        """Whether requests are taken."""
        return self._server.is_running

    @property
    def request_reader(self) -> Optional[RequestReader]:
        """The request buffer: metadata and state; None while the server is stopped.

        A server that ends by itself reports that to its error handlers. It takes no further request
        from then on. It still has the buffer then, and lets go of it after them.
        """
        core = self._server._core
        if core._request_stats() is None:
            return None
        return RequestReader(core, f"{self._server.name}_request")

    def add_error_handler(self, handler: Callable[[ErrorEventArgs], None]) -> None:
        """Add a function that is called for every failure, on the thread where it happens."""
        with self._lock:
            if handler not in self._error_handlers:
                self._error_handlers.append(handler)

    def remove_error_handler(self, handler: Callable[[ErrorEventArgs], None]) -> None:
        """Remove it again."""
        with self._lock:
            if handler in self._error_handlers:
                self._error_handlers.remove(handler)

    def stop(self) -> None:
        """Take no further request and close the buffers; within 200 ms, from a handler too.

        A handler that is running may finish and answer. Requests that were not begun are dropped.
        """
        self._server.stop()
        self._forget()

    def drain(self, timeout: float = 5.0) -> bool:
        """Answer all requests that have been sent, then stop. False if that took too long."""
        drained = self._server.drain(timeout)
        self._forget()
        return drained

    async def stop_async(self) -> None:
        """As :meth:`stop`, without blocking the event loop."""
        await asyncio.get_running_loop().run_in_executor(None, self.stop)

    async def drain_async(self, timeout: float = 5.0) -> bool:
        """As :meth:`drain`, without blocking the event loop.

        Coroutine handlers need the loop to answer.
        """
        return await asyncio.get_running_loop().run_in_executor(None, self.drain, timeout)

    def _forget(self) -> None:
        let_go(self)

    def _report(self, exception: Exception, ends: bool) -> None:
        if ends:
            # Nothing else is left of it but what its user holds.
            self._forget()
            logger.warning(
                "The server of channel '%s' ends: %s. With persistent=True it would wait for the next client",
                self._server.name,
                exception,
            )
        elif isinstance(exception, WriterDeadException):
            logger.info("Client disconnected: %s", exception)
        else:
            self._errors += 1
            # With the traceback of a handler that failed.
            logger.error("%s: %s", type(exception).__name__, exception, exc_info=exception)
        event = ErrorEventArgs(exception)
        with self._lock:
            handlers = list(self._error_handlers)
        for handler in handlers:
            try:
                handler(event)
            except Exception as error:
                logger.error("Error in error handler: %s", error, exc_info=error)

    def __repr__(self) -> str:
        server = self._server
        state = "running" if server.is_running else "stopped"
        return f"<{type(self).__name__} of '{server.name}', {state}, {server.requests} requests, {self._errors} errors>"

    def _end(self) -> None:
        self.stop()

    async def _end_async(self) -> None:
        await self.stop_async()


class ImmutableDuplexServer(_Server, IImmutableDuplexServer):
    """A server whose handler reads the request and writes one response.

    Args:
        channel_name: name of the channel.
        config: sizes of the request buffer.
        timeout: seconds without a client after which that is reported; 5 unless persistent, then
            never.
        persistent: go on when the client has gone, or none has come in time. By default the server
            then reports it to its error handlers (``WriterDeadException`` for a client that has
            gone) and stops, as in 1.x.
        mode: permission bits of the request buffer, by default as for :class:`~zerobuffer.Reader`.
        global_: whether processes of other Windows sessions can find the request buffer. It needs
            the privilege ``SeCreateGlobalPrivilege`` and changes nothing elsewhere.
        owner: whose clients are answered, as for :class:`~zerobuffer.Writer`.
    """

    def __init__(
        self,
        channel_name: str,
        config: BufferConfig,
        timeout: Optional[float] = None,
        *,
        persistent: bool = False,
        mode: Optional[int] = None,
        global_: bool = False,
        owner: Union[int, Literal["trusted", "any"], None] = None,
    ) -> None:
        super().__init__(channel_name, config, timeout, persistent, mode, global_, owner)

    def start(
        self,
        handler: Callable[[Frame, Writer], None],
        on_init: Optional[Callable[[memoryview], None]] = None,
        mode: ProcessingMode = ProcessingMode.SINGLE_THREAD,
        *,
        workers: Optional[int] = None,
    ) -> None:
        """Create the request buffer, which exists when this returns, and serve from now on.

        Args:
            handler: is given each request and a writer for its response. The request is released
                when it returns.
            on_init: is given the client's metadata, if it has written any, before its first
                request; the view is valid during the call.
            mode: where handlers run.
            workers: threads of ``THREAD_POOL``; one per processor, at least two, by default.

        Raises:
            ZeroBufferException: the server is running.
            ReaderAlreadyConnectedException: the channel has a server.
            ValueError: ``mode`` or ``workers`` is wrong.
            TypeError: ``handler`` is a coroutine function.
        """
        _check(handler, on_init)
        _refuse_coroutines(handler)
        count = _workers(mode, workers)

        self._server._serve(answering(handler, None, True, False), count, self, on_init=on_init)

    async def start_async(
        self,
        handler: Callable[[Frame, Writer], Awaitable[None]],
        on_init: Optional[Callable[[memoryview], None]] = None,
        mode: ProcessingMode = ProcessingMode.SINGLE_THREAD,
        *,
        workers: Optional[int] = None,
    ) -> None:
        """As :meth:`start`, with a coroutine function that runs in this event loop.

        What it writes goes out when it has returned: writing never blocks the loop, at the price of
        one copy.
        """
        _check(handler, on_init)
        count = _workers(mode, workers)
        loop = asyncio.get_running_loop()

        answer = answering(handler, loop, True, False)
        await loop.run_in_executor(None, self._server._serve, answer, count, self, "writes", on_init)


class MutableDuplexServer(_Server, IMutableDuplexServer):
    """A server whose handler edits the request in place; the edited bytes are the response.

    Args: as :class:`ImmutableDuplexServer`.
    """

    def __init__(
        self,
        channel_name: str,
        config: BufferConfig,
        timeout: Optional[float] = None,
        *,
        persistent: bool = False,
        mode: Optional[int] = None,
        global_: bool = False,
        owner: Union[int, Literal["trusted", "any"], None] = None,
    ) -> None:
        super().__init__(channel_name, config, timeout, persistent, mode, global_, owner)

    def start(
        self,
        handler: Callable[[Frame], None],
        mode: ProcessingMode = ProcessingMode.SINGLE_THREAD,
        *,
        on_init: Optional[Callable[[memoryview], None]] = None,
        workers: Optional[int] = None,
    ) -> None:
        """As :meth:`ImmutableDuplexServer.start`; ``handler`` edits ``frame.data``.

        There is no response if it raises.
        """
        _check(handler, on_init)
        _refuse_coroutines(handler)
        self._server._serve(handler, _workers(mode, workers), self, "edits", on_init)

    async def start_async(
        self,
        handler: Callable[[Frame], Awaitable[None]],
        mode: ProcessingMode = ProcessingMode.SINGLE_THREAD,
        *,
        on_init: Optional[Callable[[memoryview], None]] = None,
        workers: Optional[int] = None,
    ) -> None:
        """As :meth:`start`, with a coroutine function that runs in this event loop."""
        _check(handler, on_init)
        count = _workers(mode, workers)
        loop = asyncio.get_running_loop()

        def edit(frame: Frame) -> None:
            async def run() -> None:
                result = handler(frame)
                if inspect.isawaitable(result):
                    await result

            asyncio.run_coroutine_threadsafe(run(), loop).result()

        await loop.run_in_executor(None, self._server._serve, edit, count, self, "edits", on_init)
