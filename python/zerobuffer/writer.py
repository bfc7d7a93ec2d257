"""The writing end of a buffer."""

import asyncio
import time
from collections.abc import Iterable
from datetime import timedelta
from types import TracebackType
from typing import Any, Literal, Optional, Union

from ._aio import WriteLane
from ._exit import remember
from ._zerobuffer import WriterBase
from .exceptions import BufferFullException as BufferFullException
from .exceptions import BufferNotFoundException
from .exceptions import FrameTooLargeException as FrameTooLargeException
from .exceptions import InvalidFrameSizeException as InvalidFrameSizeException
from .exceptions import MetadataAlreadyWrittenException as MetadataAlreadyWrittenException
from .exceptions import ReaderDeadException as ReaderDeadException
from .exceptions import WriterAlreadyConnectedException as WriterAlreadyConnectedException
from .exceptions import ZeroBufferException as ZeroBufferException
from .stats import WriterStats
from .types import FrameHeader as FrameHeader
from .types import align_to_boundary as align_to_boundary

__all__ = ["Writer"]

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


class Writer(WriterBase):
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
            ``"drop"`` drops the frame and counts it in ``stats``.
        wait: ``"adaptive"``, ``"block"`` or ``"spin"``, as for the reader.
        owner: whose buffers are written to: those of the own user and of root (``"trusted"``), of
            one more user by number, or ``"any"``. By default what ``ZEROBUFFER_OWNER`` says, or
            ``"trusted"``.

    Raises:
        WriterAlreadyConnectedException: the buffer has a live writer, or its reader has not yet
            noticed that the last one crashed.
        ZeroBufferException: no such buffer in time, no live reader, no permission, another protocol
            version.
        ValueError: an option is not known.
    """

    name: str

    def __init__(
        self,
        name: str,
        *,
        timeout: Optional[float] = 0.0,
        write_timeout: Union[timedelta, float] = timedelta(seconds=5),
        full: Literal["block", "refuse", "drop"] = "block",
        wait: Literal["adaptive", "block", "spin"] = "adaptive",
        owner: Union[int, Literal["trusted", "any"], None] = None,
    ) -> None:
        super().__init__(
            name,
            timeout=timeout,
            write_timeout_ns=_nanoseconds(write_timeout),
            full=full,
            wait=wait,
            owner=owner,
        )
        self.name = name
        self._full = full
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

    async def write_frame_async(self, data: Union[bytes, bytearray, memoryview, Iterable[int]]) -> None:
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

        Returns a connected writer.

        Args:
            name: name of the buffer.
            timeout: seconds; None waits for ever.
            **options: those of the constructor.
        """
        end = None if timeout is None else time.monotonic() + timeout
        pause = 0.002
        while True:
            try:
                return cls(name, timeout=0.0, **options)
            except BufferNotFoundException:
                if end is not None and time.monotonic() >= end:
                    raise
            await asyncio.sleep(pause if end is None else max(0.0, min(pause, end - time.monotonic())))
            pause = min(2 * pause, 0.05)

    async def __aenter__(self) -> "Writer":
        return self

    async def __aexit__(
        self,
        exc_type: Optional[type[BaseException]],
        exc_value: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        if "name" not in self.__dict__:
            return "<Writer, not initialised>"
        state = "closed" if self.closed else "connected" if self.is_reader_connected() else "reader gone"
        return f"<Writer '{self.name}', {state}, {self.frames_written} frames written, {self.utilization:.0%} in use>"

    def __enter__(self) -> "Writer":
        return self

    def __exit__(
        self,
        exc_type: Optional[type[BaseException]],
        exc_value: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()
