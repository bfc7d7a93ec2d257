"""Plain data of the protocol, and ``Frame``, as in 1.x."""

import struct
from dataclasses import dataclass
from typing import ClassVar

from ._zerobuffer import Frame

__all__ = ["BLOCK_ALIGNMENT", "OIEB", "BufferConfig", "Frame", "FrameHeader", "ProtocolVersion", "align_to_boundary"]

#: Sizes of the metadata block and of the ring are rounded up to a multiple of this.
BLOCK_ALIGNMENT = 64


def align_to_boundary(size: int, alignment: int = BLOCK_ALIGNMENT) -> int:
    """Round ``size`` up to a multiple of ``alignment``."""
    return -(-size // alignment) * alignment


@dataclass
class BufferConfig:
    """Sizes of a buffer, in bytes; both are rounded up to 64 when the buffer is created.

    Args:
        metadata_size: size of the metadata block; its content can have 8 bytes less.
        payload_size: size of the ring; the largest frame has 16 bytes less. A frame of n bytes
            takes n + 16 bytes of it, rounded up to 16. The ring holds as many frames as fit, unread
            or held by the reader.

    Raises:
        ValueError: a size is not positive.
    """

    metadata_size: int = 1024
    payload_size: int = 1024 * 1024

    def __post_init__(self) -> None:
        for name in ("metadata_size", "payload_size"):
            value = getattr(self, name)
            if value <= 0:
                raise ValueError(f"{name} must be positive, not {value}")


@dataclass
class ProtocolVersion:
    """Version of the protocol, four bytes of the control block."""

    major: int
    minor: int
    patch: int
    reserved: int

    FORMAT: ClassVar[str] = "<4B"
    SIZE: ClassVar[int] = 4

    def pack(self) -> bytes:
        """Return the bytes as they stand in shared memory."""
        return struct.pack(self.FORMAT, self.major, self.minor, self.patch, self.reserved)

    @classmethod
    def unpack(cls, data: bytes) -> "ProtocolVersion":
        """Read the first 4 bytes of ``data``; ``struct.error`` if there are fewer."""
        return cls(*struct.unpack_from(cls.FORMAT, data))


@dataclass
class OIEB:
    """The control block at the start of a buffer's shared memory: 128 bytes.

    Its old name is "operation info exchange block" (OIEB).
    """

    oieb_size: int
    version: ProtocolVersion
    metadata_size: int
    metadata_free_bytes: int
    metadata_written_bytes: int
    payload_size: int
    payload_free_bytes: int
    payload_write_pos: int
    payload_read_pos: int
    payload_written_count: int
    payload_read_count: int
    writer_pid: int
    reader_pid: int
    _reserved: tuple[int, int, int, int] = (0, 0, 0, 0)

    FORMAT: ClassVar[str] = "<I4B11Q4Q"
    SIZE: ClassVar[int] = 128

    def pack(self) -> bytes:
        """Return the 128 bytes as they stand in shared memory."""
        version = self.version
        return struct.pack(
            self.FORMAT,
            self.oieb_size,
            *(version.major, version.minor, version.patch, version.reserved),
            *(self.metadata_size, self.metadata_free_bytes, self.metadata_written_bytes),
            *(self.payload_size, self.payload_free_bytes, self.payload_write_pos, self.payload_read_pos),
            *(self.payload_written_count, self.payload_read_count, self.writer_pid, self.reader_pid),
            *self._reserved,
        )

    @classmethod
    def unpack(cls, data: bytes) -> "OIEB":
        """Read the first 128 bytes of ``data``; ``ValueError`` if there are fewer."""
        if len(data) < cls.SIZE:
            raise ValueError(f"a control block has {cls.SIZE} bytes, not {len(data)}")
        size, major, minor, patch, reserved, *fields = struct.unpack_from(cls.FORMAT, data)
        block = cls(size, ProtocolVersion(major, minor, patch, reserved), *fields[:11])
        w, x, y, z = fields[11:]
        block._reserved = (w, x, y, z)
        return block

    def calculate_used_bytes(self) -> int:
        """Bytes from the read position to the write position, in the order of the ring."""
        used = self.payload_write_pos - self.payload_read_pos
        return used if used >= 0 else used + self.payload_size


@dataclass
class FrameHeader:
    """The 16 bytes in front of every frame in the ring."""

    payload_size: int
    sequence_number: int

    FORMAT: ClassVar[str] = "<2Q"
    SIZE: ClassVar[int] = 16
    #: A header with this size marks the end of a lap: the next frame is at the start of the ring.
    WRAP_MARKER: ClassVar[int] = 0

    def pack(self) -> bytes:
        """Return the bytes as they stand in shared memory."""
        return struct.pack(self.FORMAT, self.payload_size, self.sequence_number)

    @classmethod
    def unpack(cls, data: bytes) -> "FrameHeader":
        """Read the first 16 bytes of ``data``; ``ValueError`` if there are fewer."""
        if len(data) < cls.SIZE:
            raise ValueError(f"a frame header has {cls.SIZE} bytes, not {len(data)}")
        return cls(*struct.unpack_from(cls.FORMAT, data))

    def is_wrap_marker(self) -> bool:
        """Whether this header ends a lap."""
        return self.payload_size == self.WRAP_MARKER
