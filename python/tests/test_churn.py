"""Long runs leave memory, descriptors and threads as they were."""

import gc
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
from support import linux_only, unique_name
from zerobuffer import BufferConfig, Reader, Writer

pytestmark = linux_only


def resident() -> int:
    """Resident memory of this process that no file backs, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no RssAnon in /proc/self/status")


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_100000_frames(reader: Reader, writer: Writer) -> None:
    held: list[Any] = []

    def work(count: int) -> None:
        for i in range(count):
            size = 1 + i * 37 % 3000
            if i % 3:
                writer.write_frame(bytes(size))
            else:
                with writer.loan(size) as view:
                    view[0] = i % 256
            frame = reader.read_frame()
            assert frame is not None
            kind = i % 6
            if kind == 0:
                held.append(np.asarray(frame))
            elif kind == 1:
                assert frame.data.nbytes == size
            elif kind == 2:
                frame.dispose()
            elif kind == 3:
                with frame:
                    held.append(frame.data[:10])
            if len(held) > 5:
                held.clear()

    work(3000)
    gc.collect()
    memory, files, threads = resident(), descriptors(), threading.active_count()
    work(97_000)
    held.clear()
    gc.collect()
    assert writer.frames_written == reader.frames_read == 100_000
    assert (descriptors(), threading.active_count()) == (files, threads)
    # A leak of 100 bytes per frame would be 9.7 MB.
    assert resident() - memory < 2_000_000
    assert reader.utilization == 0.0


def test_300_buffers() -> None:
    def work(count: int) -> None:
        for i in range(count):
            name = unique_name("churn")
            with Reader(name, BufferConfig(64, 4096)) as reader, Writer(name) as writer:
                writer.set_metadata(b"x")
                writer.write_frame(bytes([i % 256]))
                frame = reader.read_frame()
                assert frame is not None
                assert reader.get_metadata() is not None

    work(30)
    gc.collect()
    memory, files, threads = resident(), descriptors(), threading.active_count()
    shared = set(os.listdir("/dev/shm"))
    work(270)
    gc.collect()
    assert (descriptors(), threading.active_count()) == (files, threads)
    assert resident() - memory < 2_000_000
    assert not {entry for entry in set(os.listdir("/dev/shm")) - shared if f"-{os.getpid()}-" in entry}
