"""The exceptions of the package; all derive from :class:`ZeroBufferException`.

Those that Python has a class of its own for derive from that, too. So ``except TimeoutError``,
``ConnectionError``, ``FileNotFoundError`` and ``PermissionError`` work as elsewhere.
"""

from typing import Any


class ZeroBufferException(Exception):
    """Base of all errors that concern a buffer: corrupt, no space, another protocol version."""


class InvalidNameException(ZeroBufferException, ValueError):
    """The name cannot be the name of a buffer."""


class BufferNotFoundException(ZeroBufferException, FileNotFoundError):
    """No buffer of this name is there (in time)."""


class AccessDeniedException(ZeroBufferException, PermissionError):
    """The operating system does not let this user at the buffer."""


class ClosedException(ZeroBufferException, ConnectionError):
    """The endpoint has been closed."""


class WriterDeadException(ZeroBufferException, ConnectionError):
    """The writer is gone (closed or dead), and all its frames are read."""

    def __init__(self, message: str = "Writer process is dead") -> None:
        super().__init__(message)


class ReaderDeadException(ZeroBufferException, ConnectionError):
    """The reader is gone (closed or dead): nobody will read what is written."""

    def __init__(self, message: str = "Reader process is dead") -> None:
        super().__init__(message)


class WriterAlreadyConnectedException(ZeroBufferException):
    """The buffer has a writer; there can be only one."""

    def __init__(self, message: str = "Another writer is already connected") -> None:
        super().__init__(message)


class ReaderAlreadyConnectedException(ZeroBufferException):
    """The name has a live reader; there can be only one."""

    def __init__(self, message: str = "Another reader is already connected") -> None:
        super().__init__(message)


class BufferFullException(ZeroBufferException):
    """The ring stayed full for the whole write timeout (or is full, with ``full="refuse"``)."""

    def __init__(self, message: str = "Buffer is full") -> None:
        super().__init__(message)


class WriteTimeoutException(BufferFullException, TimeoutError):
    """The ring stayed full for the whole write timeout."""


class FrameTooLargeException(ZeroBufferException):
    """The frame does not fit into the ring, however empty it gets.

    Of a reader of the newest frame: the ring does not hold three of it.
    """

    def __init__(self, message: str = "Frame size exceeds buffer capacity") -> None:
        super().__init__(message)


class InvalidFrameSizeException(ZeroBufferException):
    """The size cannot be the size of a frame: a frame has at least one byte."""

    def __init__(self, message: str = "Invalid frame size (zero or too large)") -> None:
        super().__init__(message)


class SequenceError(ZeroBufferException):
    """A frame arrived whose sequence number is not the next one.

    Attributes:
        expected: the number that was due.
        got: the number that came.
    """

    def __init__(self, expected: int, got: int) -> None:
        super().__init__(f"Sequence error: expected {expected}, got {got}")
        self.expected = expected
        self.got = got

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.expected, self.got)


class MetadataAlreadyWrittenException(ZeroBufferException):
    """This writer has written its metadata, or an earlier one has and they cannot be replaced."""

    def __init__(self, message: str = "Metadata has already been written") -> None:
        super().__init__(message)


class NoResponseException(ZeroBufferException, TimeoutError):
    """The response to a request has not come in time.

    Attributes:
        request: the request's sequence number.
    """

    def __init__(self, message: str = "No response in time", request: int = 0) -> None:
        super().__init__(message)
        self.request = request

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.request)


class ResponseTooLargeException(FrameTooLargeException):
    """A response does not fit the client's response ring: connect with a larger ``response_size``.

    Attributes:
        request: the request's sequence number.
    """

    def __init__(self, message: str = "The response does not fit the response ring", request: int = 0) -> None:
        super().__init__(message)
        self.request = request

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.request)


class RemoteError(ZeroBufferException):
    """The handler of a request failed.

    Attributes:
        type: what it raised: the name of the exception's class; or ``no-answer``, if it wrote no
            response.
        message: the exception's text.
        traceback: the server's traceback as text, cut to fit the response ring; may be empty.
        request: the request's sequence number.
    """

    def __init__(self, type: str, message: str = "", traceback: str = "", request: int = 0) -> None:
        super().__init__(f"{type}: {message}" if message else type)
        self.type = type
        self.message = message
        self.traceback = traceback
        self.request = request

    def __reduce__(self) -> tuple[Any, ...]:
        return self.__class__, (self.type, self.message, self.traceback, self.request)
