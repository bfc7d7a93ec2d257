"""ZeroBuffer: zero-copy streaming of variable-size frames between two processes.

A :class:`Reader` creates a named ring buffer in shared memory, a :class:`Writer` of another process attaches to it.
Frames are read in place: ``frame.data`` is a memoryview of the ring.
"""

from . import _logging
from ._zerobuffer import __version__ as __version__
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
    BufferFullException,
    FrameTooLargeException,
    InvalidFrameSizeException,
    MetadataAlreadyWrittenException,
    ReaderAlreadyConnectedException,
    ReaderDeadException,
    SequenceError,
    WriterAlreadyConnectedException,
    WriterDeadException,
    ZeroBufferException,
)
from .reader import Reader
from .types import OIEB, BufferConfig, Frame, FrameHeader
from .writer import Writer

_logging.configure()

__all__ = [
    "OIEB",
    "BufferConfig",
    "BufferFullException",
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
    "MetadataAlreadyWrittenException",
    "MutableDuplexServer",
    "ProcessingMode",
    "Reader",
    "ReaderAlreadyConnectedException",
    "ReaderDeadException",
    "SequenceError",
    "Writer",
    "WriterAlreadyConnectedException",
    "WriterDeadException",
    "ZeroBufferException",
]
