"""Makes servers and clients of duplex channels."""

import threading
from typing import ClassVar, Optional

from ..types import BufferConfig
from .client import DuplexClient
from .interfaces import IDuplexChannelFactory
from .server import ImmutableDuplexServer, MutableDuplexServer

__all__ = ["DuplexChannelFactory"]

#: Reentrant: a signal handler may ask for the instance while it is made.
_lock = threading.RLock()


class DuplexChannelFactory(IDuplexChannelFactory):
    """Makes servers and clients."""

    _instance: ClassVar[Optional["DuplexChannelFactory"]] = None

    @classmethod
    def get_instance(cls) -> "DuplexChannelFactory":
        """Return the one instance that all callers share."""
        instance = cls._instance
        if instance is None:
            with _lock:
                instance = cls._instance = cls._instance or cls()
        return instance

    def create_immutable_server(
        self,
        channel_name: str,
        config: BufferConfig,
        timeout: Optional[float] = None,
        *,
        persistent: bool = False,
        mode: Optional[int] = None,
    ) -> ImmutableDuplexServer:
        """Return a server whose handler writes responses; see :class:`ImmutableDuplexServer`."""
        return ImmutableDuplexServer(channel_name, config, timeout, persistent=persistent, mode=mode)

    def create_mutable_server(
        self,
        channel_name: str,
        config: BufferConfig,
        timeout: Optional[float] = None,
        *,
        persistent: bool = False,
        mode: Optional[int] = None,
    ) -> MutableDuplexServer:
        """Return a server whose handler edits requests; see :class:`MutableDuplexServer`."""
        return MutableDuplexServer(channel_name, config, timeout, persistent=persistent, mode=mode)

    def create_client(
        self,
        channel_name: str,
        *,
        response_size: Optional[int] = None,
        timeout: Optional[float] = 0.0,
        mode: Optional[int] = None,
    ) -> DuplexClient:
        """Connect to a running server; see :class:`DuplexClient`."""
        return DuplexClient(channel_name, response_size=response_size, timeout=timeout, mode=mode)
