"""The interfaces of duplex channels, as in 1.x: code may rely on them for any class."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import Optional

from ..error_event_args import ErrorEventArgs
from ..reader import Reader
from ..types import BufferConfig, Frame
from ..writer import Writer
from .processing_mode import ProcessingMode
from .response import DuplexResponse

__all__ = [
    "DuplexResponse",
    "IDuplexChannelFactory",
    "IDuplexClient",
    "IDuplexServer",
    "IImmutableDuplexServer",
    "IMutableDuplexServer",
]


class IDuplexClient(ABC):
    """The asking end of a channel."""

    @abstractmethod
    def send_request(self, data: bytes) -> int:
        """Send a request; return the sequence number that its response bears."""

    @abstractmethod
    def acquire_request_buffer(self, size: int) -> tuple[int, memoryview]:
        """Reserve a request; return its sequence number and its place in the ring."""

    @abstractmethod
    def commit_request(self) -> None:
        """Send the request of :meth:`acquire_request_buffer`."""

    @abstractmethod
    def receive_response(self, timeout_ms: int) -> DuplexResponse:
        """Return the next response, or a falsy one after the timeout."""

    @property
    @abstractmethod
    def is_server_connected(self) -> bool:
        """Whether a server reads requests and writes responses."""

    @abstractmethod
    def close(self) -> None:
        """Leave the channel."""

    @abstractmethod
    def __enter__(self) -> "IDuplexClient": ...

    @abstractmethod
    def __exit__(
        self,
        exc_type: Optional[type[BaseException]],
        exc_value: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None: ...


class IDuplexServer(ABC):
    """What both kinds of servers do."""

    @abstractmethod
    def stop(self) -> None:
        """Take no further request."""

    @property
    @abstractmethod
    def is_running(self) -> bool:
        """Whether requests are taken."""

    @abstractmethod
    def add_error_handler(self, handler: Callable[[ErrorEventArgs], None]) -> None:
        """Add a function that is called for every failure."""

    @abstractmethod
    def remove_error_handler(self, handler: Callable[[ErrorEventArgs], None]) -> None:
        """Remove it again."""


class IImmutableDuplexServer(IDuplexServer):
    """A server whose handler reads the request and writes a response."""

    @property
    @abstractmethod
    def request_reader(self) -> Optional[Reader]:
        """The request buffer, for its metadata and state."""

    @abstractmethod
    def start(
        self,
        handler: Callable[[Frame, Writer], None],
        on_init: Optional[Callable[[memoryview], None]] = None,
        mode: ProcessingMode = ProcessingMode.SINGLE_THREAD,
    ) -> None:
        """Serve from now on."""


class IMutableDuplexServer(IDuplexServer):
    """A server whose handler edits the request in place; the edited bytes are the response."""

    @abstractmethod
    def start(self, handler: Callable[[Frame], None], mode: ProcessingMode = ProcessingMode.SINGLE_THREAD) -> None:
        """Serve from now on."""


class IDuplexChannelFactory(ABC):
    """Makes servers and clients."""

    @abstractmethod
    def create_immutable_server(
        self, channel_name: str, config: BufferConfig, timeout: Optional[float] = None
    ) -> IImmutableDuplexServer:
        """Return a server whose handler writes responses."""

    @abstractmethod
    def create_mutable_server(self, channel_name: str, config: BufferConfig) -> IMutableDuplexServer:
        """Return a server whose handler edits requests."""

    @abstractmethod
    def create_client(self, channel_name: str) -> IDuplexClient:
        """Connect to a running server."""
