"""The reading end of a buffer."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any, Literal, Optional, TypeVar

from ._aio import ReadLane
from ._context import AsyncClosing
from ._exit import remember
from ._mode import permissions
from ._zerobuffer import Frame, ReaderBase
from .exceptions import SequenceError as SequenceError
from .exceptions import WriterDeadException as WriterDeadException
from .exceptions import ZeroBufferException as ZeroBufferException
from .stats import ReaderStats
from .types import BufferConfig as BufferConfig
from .types import FrameHeader as FrameHeader
from .types import align_to_boundary as align_to_boundary

__all__ = ["Reader"]

_Own = TypeVar("_Own", bound="Reader")

#: Frames in a row of an asynchronous iteration, after which the event loop gets a turn.
_TURN = 32


class Reader(ReaderBase, AsyncClosing):
    """Creates a buffer and reads frames from it, in place.

    A reader may be used from several threads. Waiting calls let other Python threads run, answer
    Ctrl-C within 100 ms, and end with a :class:`ZeroBufferException` as soon as another thread
    calls :meth:`close`.

    Args:
        name: name of the buffer, 1 to 245 bytes, no ``/``.
        config: sizes; 1 KiB of metadata and a ring of 1 MiB by default.
        mode: permission bits of the shared objects. By default what the environment variable
            ``ZEROBUFFER_MODE`` says (octal, ``660``), or 600, which admits the own user only.
        wait: ``"adaptive"`` (spins briefly while frames come fast, then blocks), ``"block"`` or
            ``"spin"``.
        reclaim_on_release: reuse the space of a released frame at once. Views or arrays made from
            its data that live on then show other frames' bytes. By default such views keep the
            space.
        prefault: map all memory now rather than at its first use.
        global_: whether processes of other Windows sessions can find the buffer, which needs the
            privilege ``SeCreateGlobalPrivilege``; elsewhere every process can anyway, and this
            changes nothing.
        newest: hand out the newest frame only, for a consumer that is slower than its writer. A
            thread takes all frames out of the ring and keeps the last one. Each call copies that
            into private memory: a frame in hand holds no space of the ring, and never stops the
            writer. It is younger, when it is handed out, than the time between two frames and the
            time of that copy. Those passed over are ``stats.skipped``. The ring has room for three
            frames at least; a frame that is too large for that raises
            :class:`FrameTooLargeException`.

    Raises:
        ReaderAlreadyConnectedException: the name has a live reader.
        ZeroBufferException: invalid name, no permission, no privilege for ``global_``, not enough
            shared memory.
        ValueError: an option is not known, or a size is out of range.
    """

    name: str
    _newest = False
    #: The name is that of a broadcast, and that of the buffer is to be chosen.
    _subscribes = False

    def __init__(
        self,
        name: str,
        config: Optional[BufferConfig] = None,
        *,
        mode: Optional[int] = None,
        wait: Literal["adaptive", "block", "spin"] = "adaptive",
        reclaim_on_release: bool = False,
        prefault: bool = True,
        global_: bool = False,
        newest: bool = False,
    ) -> None:
        super().__init__(
            name,
            config,
            mode=permissions(mode),
            wait=wait,
            reclaim_on_release=reclaim_on_release,
            prefault=prefault,
            global_=global_,
            newest=newest,
            subscribe=self._subscribes,
        )
        self.name = self._buffer
        self._newest = newest
        self._lane: Optional[ReadLane] = None
        remember(self)

    @classmethod
    def subscribe(cls: type[_Own], name: str, config: Optional[BufferConfig] = None, **options: Any) -> _Own:
        """Subscribe to a broadcast: of a :class:`Broadcaster`, or of ``zerobuffer tee``.

        The reader creates a buffer ``NAME@SUBSCRIBER``, under a name that is free. The broadcaster
        connects to it when it is there. The reader gets the metadata, and each frame from then on.
        How much it may fall behind is what its ring holds::

            with zerobuffer.Reader.subscribe("camera", BufferConfig(4096, 64 << 20)) as reader:
                for frame in reader:
                    show(frame.array())

        Args:
            name: name of the broadcast.
            config: sizes. By default those of the buffer ``name``, at most 256 MiB, where there is
                one, as beside ``zerobuffer tee``. Otherwise those of a :class:`Reader`.
            **options: those of a :class:`Reader`.

        Raises:
            InvalidNameException: no such name is possible.
            ZeroBufferException: as for a :class:`Reader`.
        """
        reader = cls.__new__(cls)
        reader._subscribes = True
        reader.__init__(name, config, **options)  # type: ignore[misc]
        return reader

    @property
    def stats(self) -> ReaderStats:
        """Counters since the reader was created."""
        return ReaderStats(*self._stats())

    def __iter__(self) -> Iterator[Frame]:
        """Iterate over frames as they come, until the writer is gone and all are read.

        A frame's space is returned when the frame is released or the loop variable is bound to the
        next one. Give the ring room for two frames, or use ``with frame:`` in the loop.
        """
        try:
            while True:
                # Not kept in a variable: a suspended generator would hold the frame's space.
                yield self._next_frame()
        except WriterDeadException:
            return

    def _next_frame(self) -> Frame:
        while True:
            frame = self.read_frame(None)
            if frame is not None:
                return frame

    async def read_frame_async(self, timeout: Optional[float] = 5.0) -> Optional[Frame]:
        """As :meth:`read_frame`, without blocking the event loop.

        May be cancelled: a frame that has arrived by then is kept and comes first in the next read.

        Args:
            timeout: seconds; None waits for ever.

        Returns:
            The frame, or None if there was none in time.
        """
        return await self._reads().read(self, timeout)

    async def latest_async(self, timeout: Optional[float] = 5.0) -> Optional[Frame]:
        """As :meth:`latest`, without blocking the event loop."""
        return await self._reads().read(self, timeout, latest=True)

    def _reads(self) -> ReadLane:
        lane = self._lane
        if lane is None:
            lane = self._lane = ReadLane(self)
        return lane

    async def stream(self) -> AsyncIterator[Frame]:
        """Iterate over frames as they come, without blocking the event loop.

        It ends when the writer is gone.
        """
        lane = self._reads()
        read, calls, arrived = self.read_frame, lane.calls, lane.arrived
        held: list[Frame] = []
        turns = 0
        while True:
            turns += 1
            if turns == _TURN:
                turns = 0
                # The event loop gets a turn although nothing has to be waited for.
                await asyncio.sleep(0)
            try:
                # As the lane does, without its call.
                frame = read(0.0) if not calls and not arrived and lane.serving is None else None
                if frame is None:
                    frame = await lane.read(self, None)
            except WriterDeadException:
                return
            if frame is not None:
                held.append(frame)
                del frame
                # Popped as it is handed out: a suspended generator would hold the frame's space.
                yield held.pop()

    def __aiter__(self) -> AsyncIterator[Frame]:
        """As :meth:`stream`."""
        return self.stream()

    def __repr__(self) -> str:
        if "name" not in self.__dict__:
            return "<Reader, not initialised>"
        state = "closed" if self.closed else "writer connected" if self.is_writer_connected() else "no writer"
        counts = f"{self.frames_read} frames read"
        if self._newest:
            counts += f", {self.stats.skipped} skipped"
        counts += f", {self.stats.held} held"
        return f"<Reader '{self.name}', {state}, {counts}, {self.utilization:.0%} in use>"

    def __del__(self) -> None:
        self.close()
