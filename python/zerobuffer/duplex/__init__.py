"""Duplex channels: request and response over two buffers.

A server answers frames with frames; a client sends requests and gets responses.
"""

from .client import DuplexClient
from .factory import DuplexChannelFactory
from .interfaces import (
    IDuplexChannelFactory,
    IDuplexClient,
    IDuplexServer,
    IImmutableDuplexServer,
    IMutableDuplexServer,
)
from .processing_mode import ProcessingMode
from .response import DuplexResponse
from .server import ImmutableDuplexServer, MutableDuplexServer

__all__ = [
    "DuplexChannelFactory",
    "DuplexClient",
    "DuplexResponse",
    "IDuplexChannelFactory",
    "IDuplexClient",
    "IDuplexServer",
    "IImmutableDuplexServer",
    "IMutableDuplexServer",
    "ImmutableDuplexServer",
    "MutableDuplexServer",
    "ProcessingMode",
]
