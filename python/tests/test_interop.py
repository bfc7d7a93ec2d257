"""The published 1.3.0 at the other end, and programs for it on this package unchanged."""

import itertools
import random
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import PATIENCE, child, linux_only, pattern, required, unique_name, wait_until
from zerobuffer import (
    BufferConfig,
    Reader,
    ReaderDeadException,
    Writer,
    WriterAlreadyConnectedException,
    WriterDeadException,
)

pytestmark = linux_only

LAP = "lambda size, seed: (bytes(range(251)) * ((seed * 31 % 251 + size) // 251 + 1))[seed * 31 % 251 :][:size]"


@pytest.fixture(scope="session")
def old() -> str:
    """The interpreter of an environment with zerobuffer-ipc 1.3.0."""
    return required("ZEROBUFFER_TEST_OLD_PYTHON", "the interpreter of an environment with zerobuffer-ipc 1.3.0")


@pytest.fixture
def shared() -> Iterator[str]:
    """A name whose semaphores 1.3.0 may leave behind, as it always does."""
    name = unique_name("old")
    yield name
    for path in (f"/dev/shm/sem.sem-w-{name}", f"/dev/shm/sem.sem-r-{name}", f"/dev/shm/{name}"):
        Path(path).unlink(missing_ok=True)


OLD_WRITER = f"""
    import random, sys
    from zerobuffer import Writer
    pattern = {LAP}
    name, count, largest, step = sys.argv[1], *map(int, sys.argv[2:5])
    sizes = random.Random(5)
    with Writer(name) as writer:
        writer.set_metadata(b"from 1.3.0")
        for index in range(count):
            data = pattern(sizes.randrange(step, largest + 1, step), index)
            if index % 2:
                writer.write_frame(data)
            else:
                writer.get_frame_buffer(len(data))[:] = data
                writer.commit_frame()
        print("written")
        sys.stdin.readline()
"""

OLD_READER = f"""
    import random, sys
    from zerobuffer import BufferConfig, Reader, WriterDeadException
    pattern = {LAP}
    name, count, largest, ring = sys.argv[1], *map(int, sys.argv[2:5])
    sizes = random.Random(5)
    with Reader(name, BufferConfig(1024, ring)) as reader:
        print("created")
        for index in range(count):
            frame = reader.read_frame(timeout=60.0)
            assert frame is not None, index
            assert frame.sequence == index + 1
            with frame:
                assert bytes(frame.data) == pattern(sizes.randint(1, largest), index), index
        metadata = reader.get_metadata()
        print(bytes(metadata).decode() if metadata is not None else "no metadata")
        metadata = None
        try:
            print(reader.read_frame(timeout=2.0))
        except WriterDeadException:
            print("end")
"""


# Sizes in steps of 16, and any: then 1.3.0 leaves tails that no reader of its own could take. A
# native reader takes them.
@pytest.mark.parametrize(("ring", "largest", "count", "step"), [(16384, 4000, 2000, 16), (8192, 2000, 2000, 1)])
def test_old_writer(old: str, shared: str, ring: int, largest: int, count: int, step: int) -> None:
    sizes = random.Random(5)
    with Reader(shared, BufferConfig(1024, ring)) as reader:
        with child(OLD_WRITER, shared, str(count), str(largest), str(step), python=old) as writer:
            held = []
            for index in range(count):
                frame = reader.read_frame(timeout=PATIENCE)
                assert frame is not None
                assert frame.sequence == index + 1
                assert frame.data == pattern(sizes.randrange(step, largest + 1, step), index)
                held.append(frame)
                if len(held) == 2:
                    # The younger one first: space goes back in the order of the ring all the same.
                    held.pop().dispose()
                    held.pop().dispose()
            assert bytes(reader.get_metadata() or b"") == b"from 1.3.0"
            assert writer.line() == "written"
            assert reader.is_writer_connected()
            writer.send()
            writer.finish()
        with pytest.raises(WriterDeadException):
            reader.read_frame(timeout=PATIENCE)


def test_old_reader(old: str, shared: str) -> None:
    count, largest = 2000, 3000
    sizes = random.Random(5)
    with child(OLD_READER, shared, str(count), str(largest), "16384", python=old) as reader:
        assert reader.line() == "created"
        with Writer(shared, timeout=PATIENCE) as writer:
            writer.set_metadata(b"from 2.0.0")
            for index in range(count):
                data = pattern(sizes.randint(1, largest), index)
                if index % 3 == 0:
                    writer.write_frame(data)
                elif index % 3 == 1:
                    writer.get_frame_buffer(len(data))[:] = data
                    writer.commit_frame()
                else:
                    with writer.loan(len(data)) as view:
                        view[:] = data
            assert reader.line() == "from 2.0.0"
        assert reader.line() == "end"
        reader.finish()


def test_a_killed_old_writer(old: str, shared: str) -> None:
    with Reader(shared) as reader, child(OLD_WRITER, shared, "3", "64", "16", python=old) as writer:
        assert writer.line() == "written"
        writer.process.kill()
        writer.process.wait()
        for _ in range(3):
            assert reader.read_frame(timeout=PATIENCE) is not None
        with pytest.raises(WriterDeadException):
            reader.read_frame(timeout=PATIENCE)
        with Writer(shared) as successor:
            successor.write_frame(b"next")
            frame = reader.read_frame(timeout=PATIENCE)
            assert frame is not None
            assert (bytes(frame), frame.sequence) == (b"next", 4)


def test_an_old_reader_that_is_killed(old: str, shared: str) -> None:
    with child(OLD_READER, shared, "1000", "64", "4096", python=old) as reader:
        assert reader.line() == "created"
        with Writer(shared) as writer:
            writer.write_frame(b"\0" * 8)
            reader.process.kill()
            reader.process.wait()
            wait_until(lambda: not writer.is_reader_connected(), "the reader's death is noticed")
            with pytest.raises(ReaderDeadException):
                for _ in itertools.repeat(None, 5):
                    writer.write_frame(bytes(2000))
    with Reader(shared, BufferConfig(64, 4096)) as successor, Writer(shared) as writer:
        writer.write_frame(b"taken over")
        assert bytes(successor.read_frame(timeout=PATIENCE) or b"") == b"taken over"


def test_old_and_new_writers_exclude_each_other(old: str, shared: str) -> None:
    with Reader(shared) as reader, child(OLD_WRITER, shared, "1", "64", "16", python=old) as writer:
        assert writer.line() == "written"
        with pytest.raises(WriterAlreadyConnectedException):
            Writer(shared)
        assert reader.read_frame(timeout=PATIENCE) is not None
        writer.send()
        writer.finish()
        with Writer(shared), child(OLD_WRITER, shared, "1", "64", "16", python=old) as refused:
            refused.process.wait(PATIENCE)
            assert refused.process.returncode == 1
            assert "WriterAlreadyConnected" in (refused.process.stderr.read() if refused.process.stderr else "")


#: A program in the manner of 1.x that uses its surface (without the duplex part); its output must
#: be the same.
PROGRAM = """
import logging
import os
import sys
import threading
from datetime import timedelta

import zerobuffer
from zerobuffer import (
    OIEB, BufferConfig, BufferFullException, Frame, FrameHeader, FrameTooLargeException, InvalidFrameSizeException,
    MetadataAlreadyWrittenException, Reader, ReaderDeadException, SequenceError, Writer,
    WriterAlreadyConnectedException, WriterDeadException, ZeroBufferException,
)
from zerobuffer.error_event_args import ErrorEventArgs
from zerobuffer.types import BLOCK_ALIGNMENT, ProtocolVersion, align_to_boundary
from zerobuffer_serve.services import BufferNamingService
from zerobuffer_serve.test_data_patterns import TestDataPatterns

name = sys.argv[1]
config = BufferConfig(metadata_size=256, payload_size=10 * 1024)
print(config, BLOCK_ALIGNMENT, align_to_boundary(100))


class Counting(Reader):
    def __init__(self, name):
        super().__init__(name, config)
        self.count = 0

    def read_frame(self, timeout=5.0):
        frame = super().read_frame(timeout)
        self.count += frame is not None
        return frame


reader = Counting(name)
print(reader.name == name, reader.is_writer_connected(), reader.is_writer_connected(timeout_ms=10))
print(reader.get_metadata())
writer = Writer(name)
print(reader.is_writer_connected(), writer.is_reader_connected(), writer.write_timeout)
writer.write_timeout = timedelta(milliseconds=100)
writer.set_metadata(bytearray(b"meta"))
try:
    writer.set_metadata(b"again")
except MetadataAlreadyWrittenException:
    print("metadata once")
print(bytes(reader.get_metadata()))
for i in range(40):
    data = TestDataPatterns.generate_frame_data(size=1000 + 16 * i, sequence=i)
    if i % 2:
        writer.write_frame(memoryview(data))
    else:
        buffer = writer.get_frame_buffer(len(data))
        buffer[:] = data
        writer.commit_frame()
    frame = reader.read_frame(timeout=1.0)
    assert frame.is_valid and len(frame) == frame.size == len(data) and frame.sequence == i + 1
    assert bytes(frame) == data and frame.data[0] == data[0]
    if i % 3 == 0:
        reader.release_frame(frame)
    elif i % 3 == 1:
        with frame:
            pass
    else:
        frame.dispose()
    try:
        frame.data
    except ValueError:
        pass
    else:
        print("not released")
print(repr(frame), reader.frames_read, reader.bytes_read, writer.frames_written, writer.bytes_written, reader.count)
for bad in (b"", bytes(11000)):
    try:
        writer.write_frame(bad)
    except (InvalidFrameSizeException, FrameTooLargeException) as error:
        print(type(error).__name__)
try:
    while True:
        writer.write_frame(bytes(2000))
except BufferFullException:
    print("full")
try:
    Writer(name)
except WriterAlreadyConnectedException as error:
    print(type(error).__name__)
try:
    Writer("no-such-buffer-" + name)
except ZeroBufferException:
    print("no buffer")
got = []
thread = threading.Thread(target=lambda: got.append(reader.read_frame(timeout=5.0)))
thread.start()
thread.join()
print(len(got[0]))
got[0].dispose()
while True:
    frame = reader.read_frame(timeout=0.01)
    if frame is None:
        break
    reader.release_frame(frame)
writer.close()
writer.close()
try:
    reader.read_frame(timeout=0.2)
except WriterDeadException as error:
    print("writer gone")
try:
    writer.write_frame(b"x")
except ZeroBufferException:
    print("closed")
reader.close()
reader.close()
try:
    reader.read_frame()
except ZeroBufferException:
    print("closed")
with Reader(name) as reader, Writer(name) as writer:
    writer.write_frame([1, 2, 3])
    print(bytes(reader.read_frame(None)))
    reader.close()
    try:
        writer.write_frame(b"x")
    except ReaderDeadException:
        print("reader gone")
print(OIEB.SIZE, FrameHeader.unpack(FrameHeader(5, 6).pack()), ProtocolVersion.unpack(b"\\1\\0\\0\\0"))
disposed = []
frame = Frame(memoryview(bytearray(b"abcdef")), 1, 3, 9, lambda: disposed.append(1))
print(frame, bytes(frame), ErrorEventArgs(ValueError("x")), SequenceError(1, 2))
with frame:
    pass
print(disposed, BufferNamingService(logging.getLogger("x")).get_buffer_name("a").startswith(f"a_{os.getpid()}_"))
"""


def test_a_program_for_1_3_0_runs_unmodified(old: str, shared: str) -> None:
    outputs = []
    for python in (old, sys.executable):
        command = [python, "-c", textwrap.dedent(PROGRAM), shared]
        result = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        assert result.returncode == 0, result.stderr
        outputs.append(result.stdout)
        for path in Path("/dev/shm").glob(f"sem.sem-?-{shared}"):
            path.unlink()
    assert outputs[0] == outputs[1]
    assert outputs[0].count("\n") >= 20
