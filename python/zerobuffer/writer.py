"""The writing end of a buffer."""

import json
import logging
import operator
from datetime import timedelta
from struct import Struct
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Optional, Union

from ._aio import WriteLane
from ._context import AsyncClosing
from ._exit import remember
from ._timeout import connected
from ._zerobuffer import DuplexResponder, WriterBase
from .exceptions import BufferFullException as BufferFullException
from .exceptions import FrameTooLargeException as FrameTooLargeException
from .exceptions import InvalidFrameSizeException as InvalidFrameSizeException
from .exceptions import MetadataAlreadyWrittenException as MetadataAlreadyWrittenException
from .exceptions import ReaderDeadException as ReaderDeadException
from .exceptions import WriterAlreadyConnectedException as WriterAlreadyConnectedException
from .exceptions import ZeroBufferException as ZeroBufferException
from .stats import WriterStats
from .types import FrameHeader as FrameHeader
from .types import align_to_boundary as align_to_boundary

if TYPE_CHECKING:
    import numpy as np

    from ._zerobuffer import _Data

__all__ = ["Writer"]

logger = logging.getLogger(__name__)

_MICROSECOND = timedelta(microseconds=1)
#: Longest write timeout that the core counts, about 292 years; ``timedelta.max`` stands for it.
_LONGEST = 2**63 - 1


def _nanoseconds(timeout: Union[timedelta, float]) -> int:
    """Read a ``timedelta``, or a number of seconds."""
    if not isinstance(timeout, timedelta):
        if isinstance(timeout, (bool, str)) or not hasattr(type(timeout), "__float__"):
            kind = type(timeout).__name__
            raise TypeError(f"write_timeout must be a timedelta or a number of seconds, not '{kind}'")
        seconds = float(timeout)
        if not seconds > 0:
            raise ValueError(f"write_timeout must be positive, not {timeout}")
        return max(1, int(min(seconds * 1e9, float(2**62)))) if seconds < 2**62 / 1e9 else _LONGEST
    if timeout <= timedelta():
        raise ValueError(f"write_timeout must be positive, not {timeout}")
    return min(timeout // _MICROSECOND * 1000, _LONGEST)


#: The stamp in front of pictures and arrays (docs/video.md): number, nanoseconds, exposure in
#: microseconds.
_STAMP = Struct("<3Q")
_NONE = 2**64 - 1


def _nanosecond(timestamp: Any) -> int:
    if isinstance(timestamp, bool) or not hasattr(type(timestamp), "__index__"):
        kind = type(timestamp).__name__
        raise TypeError(f"timestamp must be a whole number of nanoseconds, as time.time_ns() gives, not '{kind}'")
    nanoseconds = operator.index(timestamp)
    if not 0 <= nanoseconds < _NONE:
        raise ValueError(f"timestamp must be 0 to 2**64 - 2 nanoseconds, not {nanoseconds}")
    return nanoseconds


def _put(view: Any, array: "np.ndarray[Any, Any]") -> None:
    """Copy an array behind the stamp. What refers to the loan is gone at the return."""
    import numpy as np

    target: np.ndarray[Any, Any] = np.ndarray(array.shape, array.dtype, buffer=view.data, offset=_STAMP.size)
    target[...] = array


class _Described(NamedTuple):
    """Metadata, and the arrays that they promise; without a shape, the metadata themselves tell."""

    metadata: bytes
    shape: Optional[tuple[int, ...]] = None
    dtype: str = ""
    stamped: bool = False

    @classmethod
    def of(cls, shape: tuple[int, ...], dtype: str, stamped: bool) -> "_Described":
        fields = {"shape": list(shape), "dtype": dtype, "frame_prefix": _STAMP.size if stamped else 0}
        return cls(json.dumps(fields).encode(), shape, dtype, stamped)

    def check(
        self,
        name: str,
        array: "np.ndarray[Any, Any]",
        stamped: bool,
        remedy: str = "metadata are written once: use another buffer, or write_frame",
    ) -> None:
        """Raise ValueError for an array that the reader would take for something else."""
        shape: Optional[tuple[int, ...]] = self.shape
        dtype, promised = self.dtype, self.stamped
        if shape is None:
            from ._array import describe

            found = describe(self.metadata, array.nbytes + (_STAMP.size if stamped else 0))
            if found is None:
                return
            shape, dtype, promised = found.shape, found.dtype, found.offset >= _STAMP.size
        import numpy as np

        if array.shape == shape and array.dtype == np.dtype(dtype) and stamped == promised:
            return
        stamps = {True: "with a timestamp", False: "without a timestamp"}
        raise ValueError(
            f"'{name}': an array of shape {array.shape} and dtype {array.dtype.str} {stamps[stamped]} does not fit the "
            f"stream, whose metadata say shape {shape}, dtype {dtype}, {stamps[promised]}; {remedy}"
        )


class Writer(WriterBase, AsyncClosing):
    """Attaches to a buffer and writes frames into it.

    A writer may be used from several threads. Waiting calls let other Python threads run, answer
    Ctrl-C within 100 ms, and end with a :class:`ZeroBufferException` as soon as another thread
    calls :meth:`close`.

    Args:
        name: name of the buffer, which its reader has created.
        timeout: seconds to wait for the reader to appear; None waits for ever.
        write_timeout: how long a write waits for space; a ``timedelta``, or seconds.
        full: what a write into a full ring does. ``"block"`` waits and raises
            :class:`BufferFullException` after the write timeout. ``"refuse"`` raises it at once.
            ``"drop"`` drops the frame and counts it in ``stats``; the first one is reported in the
            log.
        wait: ``"adaptive"``, ``"block"`` or ``"spin"``, as for the reader.
        owner: whose buffers are written to: those of the own user and of root (``"trusted"``), of
            one more user by number, or ``"any"``. By default what ``ZEROBUFFER_OWNER`` says, or
            ``"trusted"``.
        reconnect: outlive the reader. After its end the next call waits for a new reader of the
            name, at most the write timeout, and goes on with that one. Metadata are written again,
            and sequence numbers begin at 1. What the first reader had not read is lost. So is what
            is written until its end is noticed: up to 100 ms, or what the ring has room for.
            ``full="refuse"`` raises :class:`ReaderDeadException` while there is no reader,
            ``full="drop"`` drops and counts.

    Raises:
        WriterAlreadyConnectedException: the buffer has a live writer, or its reader has not yet
            noticed that the last one crashed.
        ZeroBufferException: no such buffer in time, no live reader, no permission, another protocol
            version.
        ValueError: an option is not known.
    """

    name: str
    #: What this writer knows of the metadata.
    _description: Optional[_Described] = None
    _reconnect = False

    def __init__(
        self,
        name: str,
        *,
        timeout: Optional[float] = 0.0,
        write_timeout: Union[timedelta, float] = timedelta(seconds=5),
        full: Literal["block", "refuse", "drop"] = "block",
        wait: Literal["adaptive", "block", "spin"] = "adaptive",
        owner: Union[int, Literal["trusted", "any"], None] = None,
        reconnect: bool = False,
    ) -> None:
        super().__init__(
            name,
            timeout=timeout,
            write_timeout_ns=_nanoseconds(write_timeout),
            full=full,
            wait=wait,
            owner=owner,
            reconnect=reconnect,
        )
        self.name = name
        self._full = full
        self._reconnect = reconnect
        self._lane: Optional[WriteLane] = None
        remember(self)

    @property
    def write_timeout(self) -> timedelta:
        """How long a write waits for space; must be positive."""
        return timedelta(microseconds=self._write_timeout_ns // 1000)

    @write_timeout.setter
    def write_timeout(self, value: Union[timedelta, float]) -> None:
        self._write_timeout_ns = _nanoseconds(value)

    @property
    def stats(self) -> WriterStats:
        """Counters since the writer was connected."""
        return WriterStats(*self._stats())

    def set_metadata(self, data: Any) -> None:
        """Write the metadata block, once.

        A writer that was started anew may repeat what its predecessor wrote.

        Raises:
            MetadataAlreadyWrittenException: there are others.
        """
        # An iterator has its bytes once.
        data = DuplexResponder.copy(data)
        super().set_metadata(data)
        self._description = _Described(data)

    def write_array(self, array: Any, *, timestamp: Optional[int] = None) -> None:
        """Write an array as one frame; ``frame.array()`` of the reader has its shape and dtype.

        The first array of a writer without metadata describes the stream: shape and dtype are
        written into the metadata block. From then on all arrays are of that kind. Metadata that the
        program has written itself count in the same way, if they describe arrays or pictures.

        Args:
            array: a NumPy array, or anything that can be one: a tensor, a picture, what offers
                DLPack; of any layout.
            timestamp: the frame's time in nanoseconds (``time.time_ns()``), which goes into a stamp
                in front of the elements, with the frame's number. All arrays of a stream have one,
                or none has.

        Raises:
            ValueError: shape, dtype or stamp are not those of the stream. Nothing is written.
            TypeError: an array of Python objects.
            BufferFullException: as for :meth:`write_frame`.
        """
        from ._array import taken_array

        if timestamp is not None:
            timestamp = _nanosecond(timestamp)
        taken = taken_array(array)
        described = self._description
        if described is None:
            described = _Described.of(taken.shape, taken.dtype.str, timestamp is not None)
            self._describe(described)
        described.check(self.name, taken, timestamp is not None)
        if timestamp is None:
            self.write_frame(taken)
            return
        try:
            loan = self.loan(_STAMP.size + taken.nbytes)
            with loan as view:
                _STAMP.pack_into(view, 0, self._sequence_number, timestamp, _NONE)
                _put(view, taken)
        except (BufferFullException, ReaderDeadException) as error:
            # It is counted.
            if self._full != "drop" or not (self._reconnect or isinstance(error, BufferFullException)):
                raise

    def _describe(self, described: "_Described") -> None:
        try:
            super().set_metadata(described.metadata)
        except ZeroBufferException as error:
            if type(error) is not ZeroBufferException:
                raise
            logger.warning("The arrays of '%s' are not described: %s", self.name, error)
        self._description = described

    async def write_frame_async(self, data: "_Data") -> None:
        """As :meth:`write_frame`, without blocking the event loop while the ring is full.

        May be cancelled: the frame has then been written whole or not at all. ``data`` must not
        change before the call is over. Writes that are under way at the same time go out in the
        order of their calls.
        """
        lane = self._lane
        if lane is None:
            lane = self._lane = WriteLane(self)
        await lane.write(self, data)

    @classmethod
    async def connect_async(cls, name: str, *, timeout: Optional[float] = 5.0, **options: Any) -> "Writer":
        """Wait for the reader to create the buffer, without blocking the event loop.

        Returns a connected writer. The buffer is looked for at most 50 ms apart.

        Args:
            name: name of the buffer.
            timeout: seconds; None waits for ever.
            **options: those of the constructor.
        """
        return await connected(lambda: cls(name, timeout=0.0, **options), timeout)

    def __repr__(self) -> str:
        if "name" not in self.__dict__:
            return "<Writer, not initialised>"
        state = "closed" if self.closed else "connected" if self.is_reader_connected() else "reader gone"
        again = f", {self.reconnects} times reconnected" if self._reconnect else ""
        if self._full == "drop":
            again += f", {self.stats.dropped} dropped"
        return (
            f"<Writer '{self.name}', {state}, {self.frames_written} frames written{again}, "
            f"{self.utilization:.0%} in use>"
        )

    def __del__(self) -> None:
        self.close()
