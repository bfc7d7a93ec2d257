"""Counters of an endpoint, taken at one moment."""

from typing import NamedTuple


class ReaderStats(NamedTuple):
    """Counters of a :class:`~zerobuffer.Reader` since it was created."""

    #: Frames handed out.
    frames: int
    #: Their bytes, without headers.
    bytes: int
    #: Frames that ``latest`` passed over.
    skipped: int
    #: Times a read had to wait.
    waits: int
    #: Seconds spent waiting.
    blocked: float
    #: Frames in hand at this moment: neither released nor dropped, or still shown by views and
    #: arrays. The writer cannot have their space.
    held: int = 0


class WriterStats(NamedTuple):
    """Counters of a :class:`~zerobuffer.Writer` since it was connected."""

    #: Frames published.
    frames: int
    #: Their bytes, without headers.
    bytes: int
    #: Frames dropped because the ring was full (``full="drop"``).
    dropped: int
    #: Times a write had to wait.
    waits: int
    #: Seconds spent waiting.
    blocked: float
