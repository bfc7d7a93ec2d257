"""Seeing the frames of a live stream without taking part in it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Optional

from ._context import Closing
from ._zerobuffer import TapBase
from .exceptions import ClosedException, ReaderDeadException

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Tap", "TapFrame"]


class TapFrame:
    """A frame that a tap has seen: a copy of its own, which stays as it is."""

    __slots__ = ("__weakref__", "_metadata", "data", "sequence", "skipped")

    def __init__(self, data: memoryview, sequence: int, skipped: Optional[int], metadata: Optional[bytes]) -> None:
        #: Its bytes.
        self.data = data
        #: Its number, counted by the writer from 1.
        self.sequence = sequence
        #: Frames between the one that the tap gave before and this one; None if the numbers do not
        #: tell.
        self.skipped = skipped
        self._metadata = metadata

    @property
    def size(self) -> int:
        """Number of bytes."""
        return self.data.nbytes

    def array(self, shape: Any = None, dtype: Any = None) -> "np.ndarray[Any, Any]":
        """Return the frame as a NumPy array, without a further copy.

        Args:
            shape: by default what the buffer's metadata say, else one dimension.
            dtype: by default what the buffer's metadata say, else bytes.

        Raises:
            ImportError: NumPy is missing.
            ValueError: shape, dtype or metadata do not fit the frame.
        """
        from ._array import frame_array

        metadata = self._metadata if shape is None or dtype is None else None
        return frame_array(self, shape, dtype, metadata)

    def __array__(self, dtype: Any = None, copy: Optional[bool] = None) -> "np.ndarray[Any, Any]":
        """Return the bytes, for NumPy."""
        import numpy as np

        flat: np.ndarray[Any, Any] = np.frombuffer(self.data, np.uint8)
        if dtype is None or flat.dtype == dtype:
            return flat.copy() if copy else flat
        if copy is False:
            raise ValueError(f"elements of type {dtype} cannot be had from bytes without a copy")
        return flat.astype(dtype)

    def __len__(self) -> int:
        """Return the number of bytes."""
        return self.data.nbytes

    def __bytes__(self) -> bytes:
        """Return a copy of the bytes."""
        return self.data.tobytes()

    def __repr__(self) -> str:
        """Return number and size."""
        return f"TapFrame(sequence={self.sequence}, size={self.size})"


class Tap(TapBase, Closing):
    """Sees the frames of a live stream without taking part in it.

    A tap needs read permission for the buffer, and nothing else. It takes no lock and writes
    nothing, so neither end of the stream notices it, however many taps there are. Each frame is
    seen whole or not at all. A frame that is overwritten before it is copied is missed::

        with zerobuffer.Tap("camera") as tap:
            for frame in tap:
                show(frame.array())

    A tap begins with the newest frame. It sees every frame of a paced stream if two looks and one
    copy together take less time than one frame. Beside an end of another implementation, only
    frames are seen that the reader has not taken yet: :attr:`unsupported` says so.

    Args:
        name: name of the buffer.

    Raises:
        BufferNotFoundException: there is no buffer of that name.
        AccessDeniedException: the buffer may not be read.
        ZeroBufferException: invalid name, or a damaged buffer.
    """

    #: How many frames were seen.
    _count = 0

    def next(self, timeout: Optional[float] = 5.0) -> Optional[TapFrame]:
        """Return the next frame, or None if there is none in time.

        If frames were overwritten since the last call, this is the newest one, and
        ``frame.skipped`` tells how many were missed.

        Args:
            timeout: seconds; None waits for ever, 0 not at all.

        Raises:
            ReaderDeadException: the buffer has ended, and what was left of it is seen.
            ClosedException: the tap is closed.
        """
        return self._frame(self._see(False, timeout))

    def latest(self, timeout: Optional[float] = 5.0) -> Optional[TapFrame]:
        """Return the newest frame, if it is newer than the one before; else wait for one.

        The frames before it are passed over, and do not count as missed.

        Args:
            timeout: seconds; None waits for ever, 0 not at all.

        Raises:
            ReaderDeadException: the buffer has ended, and what was left of it is seen.
            ClosedException: the tap is closed.
        """
        return self._frame(self._see(True, timeout))

    def _frame(self, seen: Optional[tuple[memoryview, int, Optional[int]]]) -> Optional[TapFrame]:
        if seen is None:
            return None
        self._count += 1
        return TapFrame(*seen, self._seen_metadata() or None)

    def __repr__(self) -> str:
        """Return name, state and counts."""
        state: str
        try:
            state, missed = self.state, self.missed
        except ClosedException:
            state, missed = "closed", None
        counts = f"{self._count} frames seen" + ("" if missed is None else f", {missed} missed")
        return f"<Tap of '{self.name}', {state}, {counts}>"

    def __iter__(self) -> Iterator[TapFrame]:
        """Return the tap: frames come until the buffer ends or the tap is closed."""
        return self

    def __next__(self) -> TapFrame:
        """Return the next frame, and wait for it."""
        try:
            frame = self.next(None)
        except (ReaderDeadException, ClosedException):
            raise StopIteration from None
        if frame is None:
            raise StopIteration
        return frame
