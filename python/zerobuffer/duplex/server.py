"""The answering end of a channel."""

import asyncio
import contextlib
import inspect
import logging
import os
import threading
import weakref
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Optional, TypeVar

from .._exit import keep, let_go
from .._mode import permissions
from .._zerobuffer import DuplexResponder, DuplexServerBase
from ..error_event_args import ErrorEventArgs
from ..exceptions import (
    FrameTooLargeException,
    InvalidFrameSizeException,
    MetadataAlreadyWrittenException,
    WriterDeadException,
    ZeroBufferException,
)
from ..exceptions import (
    ReaderDeadException as ReaderDeadException,
)
from ..reader import Reader as Reader
from ..types import BufferConfig, Frame
from ..writer import Writer
from ._ends import RequestReader, ResponseWriter
from .interfaces import IDuplexServer, IImmutableDuplexServer, IMutableDuplexServer
from .processing_mode import ProcessingMode

__all__ = ["ImmutableDuplexServer", "MutableDuplexServer"]

logger = logging.getLogger(__name__)

#: Seconds that a server waits for a client by default.
_TIMEOUT = 5.0
#: Bytes of a frame's header in the ring.
_HEADER = 16
_Self = TypeVar("_Self", bound="_Server")


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
    if inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(getattr(handler, "__call__", None)):  # noqa: B004
        raise TypeError("the handler is a coroutine function: give it to start_async")


class _Server(IDuplexServer):
    """What both kinds of servers share."""

    def __init__(
        self,
        channel_name: str,
        config: BufferConfig,
        timeout: Optional[float],
        persistent: bool,
        mode: Optional[int],
        global_: bool,
    ) -> None:
        self._channel_name = channel_name
        wait: Optional[float] = timeout
        if timeout is None and not persistent:
            wait = _TIMEOUT
        self._core = DuplexServerBase(
            channel_name, config.metadata_size, config.payload_size, permissions(mode), persistent, wait, global_
        )
        self._error_handlers: list[Callable[[ErrorEventArgs], None]] = []
        self._lock = threading.RLock()

    @property
    def is_running(self) -> bool:
        """Whether requests are taken."""
        return self._core.is_running

    @property
    def request_reader(self) -> Optional[RequestReader]:
        """The request buffer: metadata and state; None while the server is stopped."""
        if self._core._request_stats() is None:
            return None
        return RequestReader(self, self._core, f"{self._channel_name}_request")

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
        self._core._stop()
        self._forget()

    def drain(self, timeout: float = 5.0) -> bool:
        """Answer all requests that have been sent, then stop.

        False if ``timeout`` seconds were not enough.
        """
        drained = self._core._drain(timeout)
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

    def _serve(
        self,
        handler: Callable[..., object],
        edits: bool,
        on_init: Optional[Callable[[memoryview], None]],
        workers: int,
    ) -> None:
        own = weakref.ref(self)

        def report(exception: Exception, ends: bool) -> None:
            server = own()
            if server is not None:
                server._report(exception, ends)

        self._core._start(handler, edits, on_init, report, workers)
        # As in 1.x a running server needs no other reference.
        keep(self)
        if not self.is_running:
            # It has ended meanwhile.
            self._forget()

    def _report(self, exception: Exception, ends: bool) -> None:
        if ends:
            # Nothing else is left of it but what its user holds.
            self._forget()
            logger.warning(
                "The server of channel '%s' ends: %s. With persistent=True it would wait for the next client",
                self._channel_name,
                exception,
            )
        elif isinstance(exception, WriterDeadException):
            logger.info("Client disconnected: %s", exception)
        else:
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

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(
        self,
        exc_type: Optional[type[BaseException]],
        exc_value: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.stop()

    async def __aenter__(self: _Self) -> _Self:
        return self

    async def __aexit__(
        self,
        exc_type: Optional[type[BaseException]],
        exc_value: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
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
    ) -> None:
        super().__init__(channel_name, config, timeout, persistent, mode, global_)

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

        def answer(frame: Frame, responder: DuplexResponder) -> None:
            handler(frame, ResponseWriter(responder))

        self._serve(answer, False, on_init, count)

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

        def answer(frame: Frame, responder: DuplexResponder) -> None:
            writer = _Collector(responder)

            async def run() -> None:
                result = handler(frame, writer)
                if inspect.isawaitable(result):
                    await result

            asyncio.run_coroutine_threadsafe(run(), loop).result()
            writer.send()

        await loop.run_in_executor(None, self._serve, answer, False, on_init, count)


class _Collector(ResponseWriter):
    """Keeps what a coroutine writes until it has returned, by the writer's own rules."""

    def __init__(self, responder: DuplexResponder) -> None:
        super().__init__(responder)
        self._metadata: Optional[bytes] = None
        self._frames: list[bytes] = []
        self._pending: Optional[memoryview] = None

    def _check(self, size: int) -> None:
        if size < 1:
            raise InvalidFrameSizeException(f"a frame cannot have {size} bytes: at least 1 is needed")
        largest = self.capacity - _HEADER
        if size > largest:
            raise FrameTooLargeException(f"a frame of {size} bytes: '{self.name}' takes at most {largest}")

    def write_frame(self, data: Any) -> None:
        self.abort_frame()
        frame = self._responder.copy(data)
        self._check(len(frame))
        self._frames.append(frame)

    def get_frame_buffer(self, size: int) -> memoryview:
        self.abort_frame()
        self._check(size)
        self._pending = memoryview(bytearray(size))
        return self._pending

    def commit_frame(self, *, size: Optional[int] = None) -> None:
        pending = self._pending
        if pending is None:
            raise ZeroBufferException(f"'{self.name}': there is no pending response to commit")
        count = len(pending) if size is None else size
        frame = bytes(pending[: max(count, 0)])
        reserved = len(pending)
        self.abort_frame()
        if count < 0:
            raise InvalidFrameSizeException(f"{count} bytes cannot be committed")
        if not 1 <= count <= reserved:
            raise ZeroBufferException(f"'{self.name}': {count} bytes cannot be committed, {reserved} are reserved")
        self._frames.append(frame)

    def abort_frame(self) -> bool:
        pending, self._pending = self._pending, None
        if pending is None:
            return False
        # As the view of a ring: what is written to it later would go nowhere.
        with contextlib.suppress(BufferError):
            pending.release()
        return True

    def set_metadata(self, data: Any) -> None:
        if self._frames:
            raise ZeroBufferException(f"'{self.name}': metadata come before the response")
        if self._metadata is not None:
            raise MetadataAlreadyWrittenException(f"'{self.name}': metadata can be written once")
        self._metadata = self._responder.copy(data)

    async def write_frame_async(self, data: Any) -> None:
        self.write_frame(data)

    def send(self) -> None:
        """Send it all, on the server's thread."""
        try:
            if self._metadata is not None:
                super().set_metadata(self._metadata)
        finally:
            # Metadata that are refused are reported; the response goes out nevertheless.
            for frame in self._frames:
                super().write_frame(frame)


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
    ) -> None:
        super().__init__(channel_name, config, timeout, persistent, mode, global_)

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
        self._serve(handler, True, on_init, _workers(mode, workers))

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

        await loop.run_in_executor(None, self._serve, edit, True, on_init, count)
