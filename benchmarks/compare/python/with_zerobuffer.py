"""ZeroBuffer's Python package, 2.x or 1.3.0: the same program for both."""

from __future__ import annotations

from typing import Any

from drive import NUMBER, Loan, Look, Put, Take, Task, until
from zerobuffer import BufferConfig, Reader, Writer


def receiver(task: Task, name: str) -> Take:
    # Frames must not fill the ring exactly: a writer of 1.3.0 that finds the reader at its end
    # stops for good.
    reader = Reader(name, BufferConfig(64, task.depth * (task.size + 16) + 1024))

    def take(look: Look) -> int:
        # 1.3.0 raises "writer dead" on a timeout before the first writer, so the wait is long.
        frame = reader.read_frame(timeout=60.0)
        assert frame is not None
        value = look(frame.data)
        reader.release_frame(frame)
        return value

    return take


def sender(task: Task, name: str) -> tuple[Put, Loan]:
    # Attempts of 1.3.0 while its buffer is being made can spoil it for good: seldom ones do so
    # seldom.
    every = 0.01 if task.system.startswith("py-old") else 0.0002
    writer: Any = until("the buffer", lambda: Writer(name), every)
    size, mark = task.size, NUMBER.pack_into

    def fill(data: Any) -> None:
        buffer = writer.get_frame_buffer(size)
        buffer[:] = data
        writer.commit_frame()

    def loan(number: int) -> None:
        mark(writer.get_frame_buffer(size), 0, number)
        writer.commit_frame()

    return (fill if task.system.endswith("-buffer") else writer.write_frame), loan
