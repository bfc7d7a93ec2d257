"""Makes servers and clients of duplex channels."""

import threading
from typing import ClassVar, Optional

from ..types import BufferConfig
from .client import DuplexClient
from .interfaces import IDuplexChannelFactory
from .server import ImmutableDuplexServer, MutableDuplexServer

__all__ = ["DuplexChannelFactory"]


class DuplexChannelFactory(IDuplexChannelFactory):
    """Makes servers and clients."""

    _instance: ClassVar[Optional["DuplexChannelFactory"]] = None
    _lock: ClassVar[threading.Lock] = threading.Lock()

    @classmethod
    def get_instance(cls) -> "DuplexChannelFactory":
        """Return the one instance that all callers share."""
        with cls._lock:
            if cls._instance is None:
                cls._instance = cls()
            return cls._instance

    def create_immutable_server(
        self, channel_name: str, config: BufferConfig, timeout: Optional[float] = None, *, persistent: bool = False
    ) -> ImmutableDuplexServer:
        """Return a server whose handler writes responses; see :class:`ImmutableDuplexServer`."""
        return ImmutableDuplexServer(channel_name, config, timeout, persistent=persistent)

    def create_mutable_server(
        self, channel_name: str, config: BufferConfig, timeout: Optional[float] = None, *, persistent: bool = False
    ) -> MutableDuplexServer:
        """Return a server whose handler edits requests; see :class:`MutableDuplexServer`."""
        return MutableDuplexServer(channel_name, config, timeout, persistent=persistent)

    def create_client(
        self, channel_name: str, *, response_size: int = 256 * 1024 * 1024, timeout: Optional[float] = 0.0
    ) -> DuplexClient:
        """Connect to a running server; see :class:`DuplexClient`."""
        return DuplexClient(channel_name, response_size=response_size, timeout=timeout)
