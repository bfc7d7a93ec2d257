"""ZeroBuffer: zero-copy streaming of variable-size frames between two processes.

A :class:`Reader` creates a named ring buffer in shared memory, a :class:`Writer` of another process
attaches to it. Frames are read in place: ``frame.data`` is a memoryview of the ring.
"""

from . import _logging, observe
from ._client import Client, Response
from ._responding import ResponseWriter
from ._server import Server
from ._wait import wait
from ._zerobuffer import Loan
from ._zerobuffer import __version__ as __version__
from .broadcast import Broadcaster, BroadcastStats, Delivery, Subscriber
from .duplex import (
    DuplexChannelFactory,
    DuplexClient,
    DuplexResponse,
    IDuplexChannelFactory,
    IDuplexClient,
    IDuplexServer,
    IImmutableDuplexServer,
    ImmutableDuplexServer,
    IMutableDuplexServer,
    MutableDuplexServer,
    ProcessingMode,
)
from .error_event_args import ErrorEventArgs
from .exceptions import (
    AccessDeniedException,
    BufferFullException,
    BufferNotFoundException,
    ClosedException,
    FrameTooLargeException,
    InvalidFrameSizeException,
    InvalidNameException,
    MetadataAlreadyWrittenException,
    NoResponseException,
    ReaderAlreadyConnectedException,
    ReaderDeadException,
    RemoteError,
    ResponseTooLargeException,
    SequenceError,
    WriterAlreadyConnectedException,
    WriterDeadException,
    WriteTimeoutException,
    ZeroBufferException,
)
from .reader import Reader
from .stats import ReaderStats, WriterStats
from .tap import Tap, TapFrame
from .types import OIEB, BufferConfig, Frame, FrameHeader
from .writer import Writer

_logging.configure()

__all__ = [
    "OIEB",
    "AccessDeniedException",
    "BroadcastStats",
    "Broadcaster",
    "BufferConfig",
    "BufferFullException",
    "BufferNotFoundException",
    "Client",
    "ClosedException",
    "Delivery",
    "DuplexChannelFactory",
    "DuplexClient",
    "DuplexResponse",
    "ErrorEventArgs",
    "Frame",
    "FrameHeader",
    "FrameTooLargeException",
    "IDuplexChannelFactory",
    "IDuplexClient",
    "IDuplexServer",
    "IImmutableDuplexServer",
    "IMutableDuplexServer",
    "ImmutableDuplexServer",
    "InvalidFrameSizeException",
    "InvalidNameException",
    "Loan",
    "MetadataAlreadyWrittenException",
    "MutableDuplexServer",
    "NoResponseException",
    "ProcessingMode",
    "Reader",
    "ReaderAlreadyConnectedException",
    "ReaderDeadException",
    "ReaderStats",
    "RemoteError",
    "Response",
    "ResponseTooLargeException",
    "ResponseWriter",
    "SequenceError",
    "Server",
    "Subscriber",
    "Tap",
    "TapFrame",
    "WriteTimeoutException",
    "Writer",
    "WriterAlreadyConnectedException",
    "WriterDeadException",
    "WriterStats",
    "ZeroBufferException",
    "observe",
    "wait",
]
