"""Looking at buffers from outside, and removing what dead processes have left.

Nothing here takes part in a stream or disturbs it::

    from zerobuffer import observe

    for buffer in observe.list():
        print(buffer.name, buffer.utilization, buffer.reader)
    observe.clean(dry_run=True)
"""

import builtins
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Optional

from ._zerobuffer import _inspect, _left_behind, _list

__all__ = ["BufferInfo", "LeftOver", "Peer", "clean", "inspect", "list"]


class Peer(NamedTuple):
    """One end of a buffer."""

    #: Its process, by the number it has there.
    pid: int
    #: Whether it lives.
    alive: bool
    #: What it is capable of; 0 for another implementation.
    level: int


@dataclass(frozen=True)
class BufferInfo:
    """A copy of a buffer's state at one moment."""

    #: Its name.
    name: str
    #: Bytes of the metadata block.
    metadata_size: int
    #: Bytes of the ring.
    payload_size: int
    #: Bytes of the ring that are free.
    free: int
    #: What the writer has counted.
    written: int
    #: What the reader has counted.
    read: int
    #: The writer, if one is registered.
    writer: Optional[Peer]
    #: The reader, if one is registered.
    reader: Optional[Peer]
    #: The first 64 KiB of the metadata; None if none has been written.
    metadata: Optional[bytes]
    #: Permission bits.
    mode: int
    #: Its owner.
    uid: int
    #: What is wrong with it, in words; empty if nothing is.
    defects: builtins.list[str]

    @property
    def utilization(self) -> float:
        """Fraction of the ring that is in use, 0.0 to 1.0."""
        return 1.0 - self.free / self.payload_size if self.payload_size else 0.0


class LeftOver(NamedTuple):
    """What a dead process has left of one buffer."""

    #: The buffer's name.
    name: str
    #: Its files.
    objects: builtins.list[Path]
    #: Bytes of shared memory.
    bytes: int
    #: How it is known to be dead.
    reason: str
    #: The files that were removed.
    removed: builtins.list[Path]


def _info(fields: dict[str, Any]) -> BufferInfo:
    for end in ("writer", "reader"):
        if fields[end] is not None:
            fields[end] = Peer(*fields[end])
    return BufferInfo(**fields)


def inspect(name: str) -> BufferInfo:
    """Return the state of a buffer.

    Raises:
        BufferNotFoundException: there is none.
        AccessDeniedException: it is another user's.
    """
    return _info(_inspect(name))


def list() -> builtins.list[BufferInfo]:
    """Return the state of all buffers that this user can look at, by name."""
    return [_info(fields) for fields in _list()]


def clean(name: Optional[str] = None, *, dry_run: bool = False) -> builtins.list[LeftOver]:
    """Remove what dead processes have left of a buffer, or of all; return what was found.

    A :class:`~zerobuffer.Reader` takes a dead one's name over by itself: this is for names that
    nobody uses again.

    Args:
        name: the buffer; all if None.
        dry_run: tell what is there, and remove nothing.
    """
    if name is not None and not isinstance(name, str):
        raise TypeError(f"name must be a str or None, not {type(name).__name__}")
    return [LeftOver(*found) for found in _left_behind(name, not dry_run)]
