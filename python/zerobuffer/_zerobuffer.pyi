# The compiled module. Its classes are used through zerobuffer.Reader, zerobuffer.Writer and
# zerobuffer.Frame.

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, NoReturn, Optional, SupportsBytes, SupportsIndex, Union, final, overload

import numpy as np
from typing_extensions import Buffer, Self, TypeAlias, disjoint_base

from .types import BufferConfig

__all__ = [
    "Bell",
    "BroadcasterBase",
    "DuplexClientBase",
    "DuplexResponder",
    "DuplexServerBase",
    "Event",
    "Frame",
    "Loan",
    "PendingCall",
    "ReaderBase",
    "Response",
    "TapBase",
    "WriterBase",
    "__version__",
    "_announce",
    "_command",
    "_describe",
    "_forget_threads",
    "_inspect",
    "_left_behind",
    "_levels_changed",
    "_list",
    "_loan",
    "_picture",
    "_serving_threads",
]

__version__: Final[str]

def _command(again: Sequence[str], arguments: Sequence[str]) -> int: ...
def _announce(
    format: str, size: tuple[int, int], rate: Optional[tuple[int, int]], stamped: bool
) -> tuple[bytes, int, Optional[dict[str, Any]]]: ...
def _picture(metadata: bytes, size: Optional[int] = None) -> Optional[dict[str, Any]]: ...
def _describe(metadata: bytes, size: int) -> Optional[tuple[list[int], str, Optional[list[int]], int]]: ...
def _forget_threads() -> None: ...
def _inspect(name: str) -> dict[str, Any]: ...
def _loan(writer: Any, size: Any, dtype: Any = None) -> Loan: ...
def _levels_changed() -> None: ...
def _list() -> list[dict[str, Any]]: ...
def _serving_threads() -> int: ...
def _left_behind(name: Optional[str], remove: bool) -> list[tuple[str, list[Path], int, str, list[Path]]]: ...

_Data: TypeAlias = Union[Buffer, SupportsBytes, Iterable[int]]
_Wait: TypeAlias = Literal["adaptive", "block", "spin"]
_Full: TypeAlias = Literal["block", "refuse", "drop"]
_Owner: TypeAlias = Union[int, Literal["trusted", "any"], None]
_Policy: TypeAlias = Union[Literal["drop", "block", "disconnect"], float]

@disjoint_base
class Frame:
    """A received frame: zero-copy access to its bytes in the ring.

    Its ring space goes back to the writer when the frame is released or dropped, and no view or
    array made from it is left. ``Reader.release_frame``, ``dispose`` and leaving a ``with`` block
    release it.
    """

    def __new__(
        cls,
        memory_view: memoryview,
        offset: int,
        size: int,
        sequence: int,
        on_dispose: Optional[Callable[[], object]] = None,
    ) -> Self:
        """Make a frame of a memoryview of your own, as in 1.x.

        Received frames come from a :class:`Reader`.
        """

    @property
    def data(self) -> memoryview:
        """The frame's bytes in the ring: a writable memoryview, no copy.

        ``ValueError`` after release.
        """

    @property
    def size(self) -> int:
        """Number of bytes."""

    @property
    def sequence(self) -> int:
        """Sequence number, counted by the writer from 1."""

    @property
    def is_valid(self) -> bool:
        """Whether the frame has data: False once released."""

    @property
    def _metadata(self) -> Optional[bytes]: ...
    def dispose(self) -> None:
        """Release the frame and its memoryview; further calls do nothing."""

    def array(self, shape: Any = None, dtype: Any = None) -> np.ndarray[Any, Any]:
        """Return the frame as a NumPy array, without a copy.

        Args:
            shape: extents; by default what the buffer's metadata says, or all bytes in one row.
            dtype: type of the elements; by default what the buffer's metadata says, or bytes.
        """

    def __array__(self, dtype: Any = None, copy: Optional[bool] = None) -> np.ndarray[Any, Any]: ...
    def __dlpack__(self, **options: Any) -> Any: ...
    def __dlpack_device__(self) -> tuple[int, int]: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...
    def __len__(self) -> int: ...
    def __bytes__(self) -> bytes: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        exc_type: Optional[type[BaseException]] = None,
        exc_value: Optional[BaseException] = None,
        traceback: Optional[TracebackType] = None,
    ) -> None: ...

@disjoint_base
class Response(Frame):
    """The answer to one request, in the response ring.

    A frame, whose number is that of the request. Its space is returned when it is disposed or
    dropped.
    """

    @property
    def sequence(self) -> int:
        """The sequence number of the request."""

@final
class Loan:
    """A frame to be written in place.

    Entering it reserves the space. Leaving it publishes the frame, or nothing if an exception
    leaves the block. ``commit`` publishes it before that, shortened perhaps, and ``abort`` gives it
    up. It is used like the memoryview of its bytes: indexed, handed to whatever takes a buffer;
    ``data`` is that memoryview.
    """

    def commit(self, size: Optional[int] = None) -> None:
        """Publish the frame, or its first ``size`` bytes.

        The end of the block then does nothing.
        """

    def abort(self) -> None:
        """Give the frame up: nothing is published, and the end of the block does nothing."""

    @property
    def data(self) -> memoryview:
        """The memoryview of the bytes."""

    def array(self, shape: Any = None, dtype: Any = None) -> np.ndarray[Any, Any]:
        """Return the bytes as a NumPy array.

        Shape and dtype default to those that ``Writer.loan`` was given.
        """

    @property
    def is_open(self) -> bool:
        """Whether the frame can still be written."""

    @property
    def nbytes(self) -> int:
        """Number of bytes."""

    def cast(self, format: str, shape: Optional[Sequence[int]] = None) -> memoryview:
        """As ``memoryview.cast``."""

    def tobytes(self) -> bytes:
        """Return a copy of the bytes."""

    def __buffer__(self, flags: int, /) -> memoryview: ...
    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, key: SupportsIndex, /) -> int: ...
    @overload
    def __getitem__(self, key: slice, /) -> memoryview: ...
    @overload
    def __setitem__(self, key: SupportsIndex, value: int, /) -> None: ...
    @overload
    def __setitem__(self, key: slice, value: Buffer, /) -> None: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        exc_type: Optional[type[BaseException]] = None,
        exc_value: Optional[BaseException] = None,
        traceback: Optional[TracebackType] = None,
    ) -> None: ...

@disjoint_base
class ReaderBase:
    """The native half of ``zerobuffer.Reader``."""

    def __init__(
        self,
        name: str,
        config: Optional[BufferConfig] = None,
        *,
        mode: int = 0o600,
        wait: _Wait = "adaptive",
        reclaim_on_release: bool = False,
        prefault: bool = True,
        global_: bool = False,
        newest: bool = False,
        subscribe: bool = False,
    ) -> None: ...
    def __new__(cls, *args: Any, **kwargs: Any) -> Self: ...
    @property
    def _buffer(self) -> str: ...
    @overload
    def read_frame(self, timeout: None) -> Frame: ...
    @overload
    def read_frame(self, timeout: Optional[float] = 5.0) -> Optional[Frame]:
        """Return the next frame, or None if there is none in time.

        Args:
            timeout: seconds; None waits for ever, 0 not at all.

        Raises:
            WriterDeadException: the writer has gone, and all its frames are read.
            ClosedException: the reader is closed.
        """

    @overload
    def latest(self, timeout: None) -> Frame: ...
    @overload
    def latest(self, timeout: Optional[float] = 5.0) -> Optional[Frame]:
        """Skip to the newest frame; as :meth:`read_frame` if there is none yet."""

    def release_frame(self, frame: Frame) -> None:
        """Give a frame's space back: the same as ``frame.dispose()``."""

    def get_metadata(self) -> Optional[memoryview]:
        """Return the metadata block, read-only: None if never written, empty if written empty."""

    def is_writer_connected(self, timeout_ms: Optional[float] = None) -> bool:
        """Tell whether a writer is attached; with ``timeout_ms`` wait that long for one.

        False once closed.
        """

    @property
    def frames_read(self) -> int:
        """Frames handed out so far."""

    @property
    def bytes_read(self) -> int:
        """Bytes handed out so far, without headers."""

    @property
    def utilization(self) -> float:
        """Fraction of the ring that is in use, 0.0 to 1.0."""

    @property
    def capacity(self) -> int:
        """Size of the ring in bytes."""

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` has run."""

    def close(self) -> None:
        """Remove the buffer; a blocked call of another thread ends at once. May be repeated."""

    def _stats(self) -> tuple[int, int, int, int, float, int]: ...
    def _give_back(self, frame: Frame) -> bool: ...
    def fileno(self) -> int:
        """Return a descriptor for ``loop.add_reader``, ``selectors``, ``select.poll``; Linux only.

        It is readable when ``read_frame(0)`` has something to say. Read until that returns None, or
        raises. This last call makes the descriptor unreadable until there is more. About once a
        second it may be readable for nothing. It is closed with the reader's last reference.

        Raises:
            OSError: there is no such thing on this system.
        """

    def _event(self) -> Optional[Event]: ...
    def _stalled(self) -> None: ...

@disjoint_base
class WriterBase:
    """The native half of ``zerobuffer.Writer``."""

    def __init__(
        self,
        name: str,
        *,
        timeout: Optional[float] = 0.0,
        write_timeout_ns: int = 5_000_000_000,
        full: _Full = "block",
        wait: _Wait = "adaptive",
        owner: _Owner = None,
        reconnect: bool = False,
    ) -> None: ...
    def __new__(cls, *args: Any, **kwargs: Any) -> Self: ...
    def write_frame(self, data: _Data) -> None:
        """Write one frame, copied once into the ring.

        Args:
            data: anything with the buffer protocol, and arrays of any kind (NumPy, pandas, DLPack),
                by their bytes. Iterables of ints and objects with ``__bytes__`` are converted.

        Raises:
            WriteTimeoutException: the ring stayed full for the write timeout.
            ReaderDeadException: the reader has gone.
            TypeError: ``data`` is str, int, None, a dict, a set, or an array of Python objects.
        """

    def get_frame_buffer(self, size: int) -> memoryview:
        """Reserve a frame of ``size`` bytes; return its place in the ring, writable."""

    def commit_frame(self, *, size: Optional[int] = None) -> None:
        """Publish the frame of :meth:`get_frame_buffer`, or its first ``size`` bytes.

        The memoryview is released.
        """

    def abort_frame(self) -> bool:
        """Give the frame of :meth:`get_frame_buffer` up; nothing is published.

        Returns whether there was one.
        """

    @overload
    def loan(self, size: int) -> Loan:
        """Return a frame to be written in place: ``with writer.loan(size) as view:``."""

    @overload
    def loan(self, size: Union[SupportsIndex, Sequence[SupportsIndex]], dtype: Any) -> Loan:
        """Return an array to be written in place.

        ``with writer.loan((480, 640, 3), "u1") as view: view.array()``.
        """

    def set_metadata(self, data: _Data) -> None:
        """Write the metadata block, once per writer.

        The metadata of an earlier writer are replaced as soon as its frames are read. The call
        waits for that, at most the write timeout. The reader sees the new ones with this
        writer's first frame.

        Raises:
            MetadataAlreadyWrittenException: this writer has written them; or an earlier one has
                written other bytes, and the reader is of another implementation.
            WriteTimeoutException: the earlier writer's frames were not read in time.
        """

    def is_reader_connected(self) -> bool:
        """Tell whether the reader is there. False once closed."""

    @property
    def frames_written(self) -> int:
        """Frames written so far."""

    @property
    def bytes_written(self) -> int:
        """Bytes written so far, without headers."""

    @property
    def utilization(self) -> float:
        """Fraction of the ring that is in use, 0.0 to 1.0."""

    @property
    def capacity(self) -> int:
        """Size of the ring in bytes."""

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` has run."""

    @property
    def reconnects(self) -> int:
        """Times that the writer has attached to another reader (``reconnect=True``)."""

    @property
    def _sequence_number(self) -> int: ...
    @property
    def _write_timeout_ns(self) -> int: ...
    @_write_timeout_ns.setter
    def _write_timeout_ns(self, value: int) -> None: ...
    def close(self) -> None:
        """Leave the buffer; a blocked call of another thread ends at once. May be repeated."""

    def _stats(self) -> tuple[int, int, int, int, float]: ...
    def _write_within(self, data: _Data, timeout: float) -> None: ...
    def _try_write(self, data: _Data, again: bool) -> bool: ...
    def _event(self) -> Optional[Event]: ...

@disjoint_base
class DuplexServerBase:
    """The native half of the duplex servers."""

    def __new__(
        cls,
        channel_name: str,
        metadata_size: int,
        payload_size: int,
        mode: int,
        persistent: bool,
        timeout: Optional[float],
        global_: bool,
        owner: _Owner = None,
        clients: int = 0,
    ) -> DuplexServerBase: ...
    @property
    def is_running(self) -> bool:
        """Whether requests are taken."""

    def _start(
        self,
        handler: Callable[..., object],
        way: Literal["writes", "returns", "edits"],
        on_init: Optional[Callable[[memoryview], object]],
        on_error: Callable[[Exception, bool], object],
        workers: int,
    ) -> None: ...
    def _stop(self) -> bool: ...
    def _drain(self, timeout: float) -> bool: ...
    def _request_stats(self) -> Optional[tuple[int, int, float, int]]: ...
    def _requests(self) -> Optional[int]: ...
    def _clients(self) -> int: ...
    def _request_metadata(self) -> Optional[bytes]: ...
    def _is_client_connected(self) -> bool: ...

@final
class DuplexResponder:
    """Answers one request, until its handler returns."""

    def write(self, data: _Data) -> None: ...
    def begin(self, size: int) -> memoryview: ...
    def commit(self, size: Optional[int] = None) -> None: ...
    def abort(self) -> bool: ...
    @staticmethod
    def copy(data: _Data) -> bytes: ...
    def set_metadata(self, data: _Data) -> None: ...
    def set_write_timeout_ns(self, nanoseconds: int) -> None: ...
    @property
    def channel(self) -> str: ...
    @property
    def is_client_connected(self) -> bool: ...
    def stats(self) -> tuple[int, int, int, float, float, int]: ...
    @property
    def sequence(self) -> int: ...
    @property
    def name(self) -> str: ...

@disjoint_base
class DuplexClientBase:
    """The native half of ``zerobuffer.duplex.DuplexClient``."""

    def __new__(
        cls,
        channel_name: str,
        *,
        response_size: Optional[int],
        response_metadata_size: int,
        timeout: Optional[float],
        write_timeout: Optional[float],
        mode: int,
        wait: _Wait,
        global_: bool,
        owner: _Owner = None,
        own_channel: bool = True,
    ) -> DuplexClientBase: ...
    @property
    def channel(self) -> str: ...
    def send_request(self, data: _Data) -> int: ...
    def acquire_request_buffer(self, size: int) -> tuple[int, memoryview]: ...
    def commit_request(self, *, size: Optional[int] = None) -> None: ...
    def abort_request(self) -> bool: ...
    def _receive(self, timeout: Optional[float]) -> Optional[Response]: ...
    def _await_arrival(self, seen: int, timeout: float) -> int: ...
    def _call(self, data: _Data, timeout: Optional[float]) -> Response: ...
    def _missing(self, request: int, timeout: Optional[float]) -> NoReturn: ...
    def _submit(self, data: _Data) -> PendingCall: ...
    def _try_submit(self, data: _Data) -> Optional[PendingCall]: ...
    def _try_send(self, data: _Data) -> Optional[int]: ...
    def _poll_submit(self, data: _Data, bell: Bell) -> Optional[PendingCall]: ...
    def _poll_send(self, data: _Data, bell: Bell) -> Optional[int]: ...
    def _poll_receive(self, bell: Bell) -> Optional[Response]: ...
    def _answered(self) -> int: ...
    def _held(self) -> int: ...
    def _stalled(self) -> None: ...
    def set_metadata(self, data: _Data) -> None: ...
    @property
    def is_server_connected(self) -> bool: ...
    def close(self) -> None: ...

@final
class Event:
    """The descriptor of an endpoint, which stays open for as long as this object lives."""

    def fileno(self) -> int:
        """Return its number."""

@final
class Bell:
    """The wakers of a client's calls: they leave the numbers of their requests here."""

    def __new__(cls) -> Self: ...
    def fileno(self) -> int:
        """Return the number of the descriptor, which is readable when there are numbers."""

    def _take(self) -> list[int]: ...

@final
class PendingCall:
    """A request under way."""

    def wait(self, timeout: Optional[float]) -> Optional[Response]: ...
    def _poll(self, bell: Bell) -> Optional[Response]: ...
    @property
    def sequence(self) -> int: ...

@disjoint_base
class TapBase:
    """The native half of ``zerobuffer.Tap``."""

    def __new__(cls, name: str) -> Self: ...
    def _see(self, newest: bool, timeout: Optional[float]) -> Optional[tuple[memoryview, int, Optional[int]]]: ...
    def _seen_metadata(self) -> Optional[bytes]: ...
    def get_metadata(self) -> Optional[bytes]:
        """Return a copy of the metadata block as it is now: None if never written.

        Raises:
            ReaderDeadException: the buffer has ended.
            ClosedException: the tap is closed.
        """

    @property
    def missed(self) -> Optional[int]:
        """Frames that :meth:`Tap.next` has missed; None if their numbers do not tell.

        The numbers of a duplex channel do not.
        """

    @property
    def state(self) -> Literal["live", "no writer", "overrun", "ended"]:
        """How it is with the stream now.

        ``"overrun"``: the last look found frames, and each was overwritten before it was copied.
        """

    @property
    def unsupported(self) -> Optional[str]:
        """Why only frames are seen that the reader has not taken yet; None if all are seen."""

    @property
    def name(self) -> str:
        """The buffer's name."""

    @property
    def capacity(self) -> int:
        """Size of the ring in bytes."""

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` has run."""

    def close(self) -> None:
        """Close the tap; a waiting call of another thread ends within 100 ms."""

@disjoint_base
class BroadcasterBase:
    """The native half of ``zerobuffer.Broadcaster``."""

    def __new__(
        cls,
        name: str,
        policy: _Policy,
        policies: Sequence[tuple[str, _Policy]],
        owner: _Owner,
        wait: _Wait,
        max_subscribers: int,
    ) -> Self: ...
    @overload
    def _write(
        self, data: _Data, timestamp: Optional[int], metadata: Optional[bytes], times: None
    ) -> tuple[int, int, int]: ...
    @overload
    def _write(
        self, data: _Data, timestamp: Optional[int], metadata: Optional[bytes], times: int
    ) -> Optional[tuple[int, int, int]]: ...
    def set_metadata(self, data: _Data) -> None: ...
    def _metadata_since(self, times: int) -> Optional[tuple[int, bytes]]: ...
    def wait_for_subscribers(self, count: int = 1, timeout: Optional[float] = 5.0) -> bool:
        """Wait until so many subscribers are connected.

        Args:
            count: how many.
            timeout: seconds; None waits for ever, 0 not at all.

        Returns:
            False if there are not so many in time.

        Raises:
            ClosedException: the broadcaster is closed.
        """

    def _subscribers(
        self,
    ) -> list[tuple[str, str, str, int, int, int, int, float, float, Optional[str]]]: ...
    def _stats(self) -> tuple[int, int, int, int, int, int, int]: ...
    @property
    def name(self) -> str:
        """The name of the broadcast."""

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` has run."""

    def close(self) -> None:
        """End the broadcast; a blocked call of another thread ends at once. May be repeated.

        Each subscriber reads what it has, and sees then that its writer has gone.
        """
