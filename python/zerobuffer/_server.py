"""``Server``: a handler that answers requests."""

import asyncio
import inspect
import logging
import operator
import threading
import time
import weakref
from collections.abc import Awaitable, Callable
from typing import Any, Literal, Optional, Protocol, TypeVar, Union

from ._context import AsyncContext
from ._exit import keep, let_go
from ._mode import permissions
from ._responding import Collector, ResponseWriter
from ._timeout import Deadline
from ._zerobuffer import DuplexResponder, DuplexServerBase, Frame
from .exceptions import WriterDeadException, ZeroBufferException
from .types import BufferConfig

__all__ = ["Server"]

logger = logging.getLogger("zerobuffer.duplex.server")

_Handler = TypeVar("_Handler", bound=Callable[..., Any])
#: How many clients True stands for.
_CLIENTS = 64
#: Seconds of one wait, before the next look at signals.
_SLICE = 0.05
#: Seconds that coroutine handlers get to finish when their server stops; then they are cancelled.
_FINISH = 5.0


class _Face(Protocol):
    """What its user holds of a server."""

    def stop(self) -> None: ...
    def _report(self, exception: Exception, ends: bool) -> None: ...


class Server(AsyncContext):
    """Answers the requests of one :class:`~zerobuffer.Client` after the other, or of several.

    ::

        server = Server("detector", BufferConfig(payload_size=64 * 1024 * 1024))

        @server.handler
        def detect(request):
            return boxes_of(request.array())

        with server:
            server.wait()

    The handler is a plain function or a coroutine function. It is given the request, a
    :class:`~zerobuffer.Frame` that is released when it returns. If it takes a second argument, that
    is a :class:`~zerobuffer.ResponseWriter`, a writer for the response. It returns the response
    (bytes, a buffer, an array), or None after writing it through the writer. What it raises is
    raised in the client as :class:`~zerobuffer.RemoteError`, and logged with its traceback.

    Args:
        name: name of the server.
        config: sizes of the request buffer; 4 KiB of metadata and a ring of 1 MiB by default.
        workers: handlers that run at once, each in a thread of its own; responses go out in the
            order of the requests.
        mode: permission bits of the request buffer, by default as for :class:`~zerobuffer.Reader`.
        client_timeout: seconds without a client after which that is logged; None never.
        owner: whose clients are answered, as for :class:`~zerobuffer.Writer`.
        clients: how many clients are served at the same time; True for 64. By default one is
            served after the other. The workers call the handler for all of them; a client that is
            slow or stopped holds up no other. ``writer.channel`` tells whose request it is.

    Raises:
        ValueError: ``workers`` is not positive, or ``clients`` is negative.
    """

    def __init__(
        self,
        name: str,
        config: Optional[BufferConfig] = None,
        *,
        workers: int = 1,
        mode: Optional[int] = None,
        client_timeout: Optional[float] = None,
        owner: Union[int, Literal["trusted", "any"], None] = None,
        clients: Union[int, bool] = 0,
    ) -> None:
        if workers < 1:
            raise ValueError(f"workers must be positive, not {workers}")
        most = _CLIENTS if clients is True else operator.index(clients)
        if most < 0:
            raise ValueError(f"clients must not be negative, not {clients}")
        config = config if config is not None else BufferConfig(metadata_size=4096)
        self._set_up(name, config, workers, mode, client_timeout, owner, clients=most)

    def _set_up(
        self,
        name: str,
        config: BufferConfig,
        workers: int = 1,
        mode: Optional[int] = None,
        client_timeout: Optional[float] = None,
        owner: Union[int, Literal["trusted", "any"], None] = None,
        persistent: bool = True,
        global_: bool = False,
        clients: int = 0,
    ) -> None:
        """Set all options, also those of 1.x alone."""
        self.name = name
        self._workers = 0 if workers == 1 else workers
        self._core = DuplexServerBase(
            name,
            config.metadata_size,
            config.payload_size,
            permissions(mode),
            persistent,
            client_timeout,
            global_,
            owner,
            clients,
        )
        self._handler: Optional[Callable[..., Any]] = None
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._own_loop: Optional[threading.Thread] = None
        #: Coroutine handlers that run.
        self._tasks: set[asyncio.Task[Any]] = set()
        self.errors = 0

    def handler(self, function: _Handler) -> _Handler:
        """Set the handler; a decorator. It may be replaced while the server is stopped."""
        if not callable(function):
            raise TypeError(f"the handler must be callable, not {type(function).__name__}")
        if self._core.is_running:
            raise ZeroBufferException(f"server '{self.name}': the handler cannot be replaced while it runs")
        self._handler = function
        return function

    def start(self) -> "Server":
        """Create the request buffer, which exists when this returns, and serve.

        ``with server:`` does it.

        Raises:
            ZeroBufferException: there is no handler, or the server runs.
            ReaderAlreadyConnectedException: another server has the name.
        """
        handler = self._handler
        if handler is None:
            raise ZeroBufferException(f"server '{self.name}' has no handler: decorate one with @server.handler")
        if is_coroutine_function(handler) and self._loop is None:
            self._start_loop()
        try:
            if not is_coroutine_function(handler) and not _takes_writer(handler):
                # Called without a function in between.
                self._serve(handler, self._workers, self, "returns")
            else:
                self._serve(answering(handler, self._loop, tasks=self._tasks), self._workers, self)
        except BaseException:
            self._stop_loop()
            raise
        return self

    def _serve(
        self,
        handler: Callable[..., object],
        workers: int,
        face: _Face,
        way: Literal["writes", "returns", "edits"] = "writes",
        on_init: Optional[Callable[[memoryview], None]] = None,
    ) -> None:
        """Serve under a face that hears of failures and is kept while it runs."""
        own = weakref.ref(face)

        def report(exception: Exception, ends: bool) -> None:
            server = own()
            if server is not None:
                server._report(exception, ends)

        self._core._start(handler, way, on_init, report, workers)
        keep(face)
        if not self.is_running:
            # It has ended meanwhile.
            let_go(face)

    def stop(self) -> None:
        """Take no further request; within 200 ms, from a handler too.

        A handler that is running may finish and answer. A plain function does so in its own time. A
        coroutine gets 5 seconds, for which this waits; then it is cancelled, which is logged.
        """
        self._core._stop()
        let_go(self)
        self._stop_loop()

    def drain(self, timeout: float = 5.0) -> bool:
        """Answer all requests that have been sent, then stop.

        False if ``timeout`` seconds were not enough.
        """
        drained = self._core._drain(timeout)
        let_go(self)
        self._stop_loop()
        return drained

    def wait(self, timeout: Optional[float] = None) -> bool:
        """Wait until the server is stopped, by another thread or a handler.

        False if it was not in time.
        """
        deadline = Deadline(timeout)
        while self._core.is_running:
            if deadline.is_over:
                return False
            time.sleep(deadline.left(_SLICE))
        return True

    async def wait_async(self, timeout: Optional[float] = None) -> bool:
        """As :meth:`wait`, without blocking the event loop."""
        deadline = Deadline(timeout)
        while self._core.is_running:
            if deadline.is_over:
                return False
            await asyncio.sleep(deadline.left(_SLICE))
        return True

    @property
    def is_running(self) -> bool:
        """Whether requests are taken."""
        return self._core.is_running

    @property
    def is_client_connected(self) -> bool:
        """Whether a client is connected."""
        return self._core._is_client_connected()

    @property
    def clients(self) -> int:
        """How many clients are connected."""
        return self._core._clients()

    @property
    def requests(self) -> int:
        """Requests of this run so far, of all clients."""
        return self._core._requests() or 0

    @property
    def metadata(self) -> Optional[bytes]:
        """A copy of the client's metadata; None if it has written none.

        Of several clients it is the one on the plain channel.
        """
        return self._core._request_metadata()

    def _report(self, exception: Exception, ends: bool) -> None:
        if isinstance(exception, WriterDeadException):
            logger.info("The client of '%s' has left: %s", self.name, exception)
            return
        self.errors += 1
        logger.error("%s: %s", type(exception).__name__, exception, exc_info=exception)

    def _start_loop(self) -> None:
        """Run an event loop for coroutine handlers, in a thread of its own."""
        loop = asyncio.new_event_loop()
        thread = threading.Thread(
            target=_run_loop, args=(loop, self.name, self._tasks), name="zerobuffer-server", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:
            loop.close()
            raise
        self._loop, self._own_loop = loop, thread

    def _stop_loop(self) -> None:
        thread, self._own_loop = self._own_loop, None
        loop, self._loop = self._loop, None
        if thread is not None and loop is not None:
            loop.call_soon_threadsafe(loop.stop)
            if thread is not threading.current_thread():
                # One that is cancelled may take its time, too.
                thread.join(_FINISH + 1.0)

    def __repr__(self) -> str:
        state = "running" if self.is_running else "stopped"
        return f"<Server '{self.name}', {state}, {self.requests} requests, {self.errors} errors>"

    def _begin(self) -> None:
        self.start()

    def _end(self) -> None:
        self.stop()

    async def _begin_async(self) -> None:
        self._loop = asyncio.get_running_loop()
        try:
            self.start()
        except BaseException:
            self._loop = None
            raise

    async def _end_async(self) -> None:
        # A handler that is running may need this event loop to finish.
        await asyncio.get_running_loop().run_in_executor(None, self.stop)
        await _finish(self.name, self._tasks - {asyncio.current_task()})


async def _finish(name: str, tasks: "set[Any]") -> None:
    """Wait for handlers; cancel those that take too long."""
    if not tasks:
        return
    _, late = await asyncio.wait(tasks, timeout=_FINISH)
    if late:
        logger.warning(
            "The server '%s' has stopped: %d of its handlers did not finish within %g s and are cancelled, their "
            "requests get no answer",
            name,
            len(late),
            _FINISH,
        )
        for task in late:
            task.cancel()
        await asyncio.wait(late, timeout=1.0)


def _run_loop(loop: asyncio.AbstractEventLoop, name: str, handlers: "set[asyncio.Task[Any]]") -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        # Those that were handed over and have not begun do so now.
        loop.run_until_complete(asyncio.sleep(0))
        loop.run_until_complete(_finish(name, set(handlers)))
        # What handlers have started beside themselves.
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    finally:
        loop.close()


def is_coroutine_function(handler: Any) -> bool:
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(getattr(handler, "__call__", None))  # noqa: B004


def _takes_writer(handler: Callable[..., Any]) -> bool:
    """Whether a handler wants a second argument."""
    try:
        parameters = inspect.signature(handler).parameters.values()
    except (TypeError, ValueError):
        return False
    places = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    wanted = [p for p in places if p.default is p.empty]
    return len(wanted) >= 2 or any(p.kind is p.VAR_POSITIONAL for p in parameters)


def answering(
    handler: Callable[..., Any],
    loop: Optional[asyncio.AbstractEventLoop],
    takes_writer: Optional[bool] = None,
    returns: bool = True,
    tasks: "Optional[set[asyncio.Task[Any]]]" = None,
) -> Callable[[Frame, DuplexResponder], None]:
    """Return what the core calls for each request. It refers to the handler, and not to the server.

    Args:
        handler: a plain function or a coroutine function.
        loop: where a coroutine function runs; None for a plain one.
        takes_writer: whether it is given a writer; by default if it wants a second argument.
        returns: whether what it returns is the response.
        tasks: where coroutines are noted while they run.
    """
    writes = _takes_writer(handler) if takes_writer is None else takes_writer

    def answer(request: Frame, responder: DuplexResponder) -> None:
        result = handler(request, ResponseWriter(responder)) if writes else handler(request)
        if returns and result is not None:
            responder.write(result)

    async def finish(waiting: Awaitable[Any]) -> Any:
        task = asyncio.current_task()
        if tasks is None or task is None:
            return await waiting
        tasks.add(task)
        try:
            return await waiting
        finally:
            tasks.discard(task)

    def answer_in_loop(request: Frame, responder: DuplexResponder) -> None:
        assert loop is not None
        # What it writes goes out when it has returned: writing never blocks the event loop.
        writer = Collector(responder) if writes else None
        waiting = handler(request, writer) if writes else handler(request)
        result = waiting
        if inspect.isawaitable(waiting):
            result = asyncio.run_coroutine_threadsafe(finish(waiting), loop).result()
        if writer is not None:
            writer.send()
        if returns and result is not None:
            responder.write(result)

    return answer if loop is None or (returns and not is_coroutine_function(handler)) else answer_in_loop
