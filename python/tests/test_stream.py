"""Frames from one process to another: contents, order, timeouts, ends, metadata, counters."""

import os
import random
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from support import child, files_of, linux_only, pattern, wait_until
from zerobuffer import (
    BufferConfig,
    BufferFullException,
    FrameTooLargeException,
    InvalidFrameSizeException,
    MetadataAlreadyWrittenException,
    Reader,
    ReaderAlreadyConnectedException,
    ReaderDeadException,
    Writer,
    WriterAlreadyConnectedException,
    WriterDeadException,
    ZeroBufferException,
)

WRITE_RANDOM_SIZES = """
    import random, sys
    from support import pattern
    from zerobuffer import Writer
    name, count, largest = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    sizes = random.Random(7)
    with Writer(name) as writer:
        for index in range(count):
            size = sizes.randint(1, largest)
            data = pattern(size, index)
            if index % 3 == 0:
                writer.write_frame(data)
            elif index % 3 == 1:
                writer.get_frame_buffer(size)[:] = data
                writer.commit_frame()
            else:
                with writer.loan(size) as view:
                    view[:] = data
"""


@pytest.mark.parametrize(
    ("ring", "largest", "count"), [(1024, 1008, 2000), (64 * 1024, 4000, 5000), (8 << 20, 1 << 20, 60)]
)
def test_random_sizes_from_another_process(
    name: str, tests_path: dict[str, str], ring: int, largest: int, count: int
) -> None:
    sizes = random.Random(7)
    with Reader(name, BufferConfig(64, ring)) as reader:
        with child(WRITE_RANDOM_SIZES, name, str(count), str(largest), env=tests_path) as writer:
            for index in range(count):
                with reader.read_frame(timeout=30.0) or pytest.fail(f"no frame {index}") as frame:
                    size = sizes.randint(1, largest)
                    assert (frame.sequence, frame.size, len(frame)) == (index + 1, size, size)
                    assert frame.data == pattern(size, index)
            with pytest.raises(WriterDeadException):
                reader.read_frame(timeout=30.0)
            writer.finish()
        assert reader.frames_read == count


def test_several_frames_held_and_released_in_any_order(reader: Reader, writer: Writer) -> None:
    for lap in range(200):
        contents = [pattern(3000, lap * 10 + i) for i in range(10)]
        for content in contents:
            writer.write_frame(content)
        frames = [reader.read_frame(timeout=5.0) for _ in contents]
        for index in sorted(range(10), key=lambda i: (i * 7 + lap) % 10):
            frame = frames[index]
            assert frame is not None
            assert bytes(frame.data) == contents[index]
            reader.release_frame(frame)


def test_timeout_without_a_writer_is_none(reader: Reader) -> None:
    start = time.monotonic()
    assert reader.read_frame(timeout=0.2) is None
    assert time.monotonic() - start >= 0.19
    assert reader.read_frame(0) is None
    assert reader.read_frame(timeout=-1.0) is None
    with pytest.raises(ValueError, match="NaN"):
        reader.read_frame(float("nan"))
    with pytest.raises(TypeError):
        reader.read_frame("5")  # type: ignore[call-overload]


def test_the_end_of_a_writer_comes_after_its_frames(reader: Reader) -> None:
    with Writer(reader.name) as writer:
        for i in range(3):
            writer.write_frame(bytes([i]))
    for i in range(3):
        frame = reader.read_frame(timeout=5.0)
        assert frame is not None
        assert bytes(frame) == bytes([i])
    for _ in range(2):
        with pytest.raises(WriterDeadException):
            reader.read_frame(timeout=5.0)
    with Writer(reader.name) as writer:
        writer.write_frame(b"successor")
        frame = reader.read_frame(timeout=5.0)
        assert frame is not None
        assert bytes(frame) == b"successor"


def test_a_killed_writer_is_noticed_after_its_frames(name: str) -> None:
    code = """
        import sys, time
        from zerobuffer import Writer
        writer = Writer(sys.argv[1])
        writer.write_frame(b"last words")
        print("written")
        time.sleep(600)
    """
    with Reader(name) as reader, child(code, name) as writer:
        assert writer.line() == "written"
        assert reader.is_writer_connected()
        writer.process.kill()
        writer.process.wait()
        frame = reader.read_frame(timeout=5.0)
        assert frame is not None
        assert bytes(frame) == b"last words"
        with pytest.raises(WriterDeadException):
            reader.read_frame(timeout=30.0)
        assert not reader.is_writer_connected()


def test_a_closed_reader_is_noticed(name: str) -> None:
    reader = Reader(name)
    writer = Writer(name)
    assert writer.is_reader_connected()
    reader.close()
    assert not writer.is_reader_connected()
    with pytest.raises(ReaderDeadException):
        writer.write_frame(b"x")
    writer.close()


def test_iteration_ends_with_the_writer(reader: Reader) -> None:
    code = """
        import sys
        from zerobuffer import Writer
        with Writer(sys.argv[1]) as writer:
            for i in range(500):
                writer.write_frame(i.to_bytes(2, "little") * 500)
    """
    with child(code, reader.name) as writer:
        numbers = [int.from_bytes(bytes(frame.data[:2]), "little") for frame in reader]
        writer.finish()
    assert numbers == list(range(500))


def test_a_plain_loop_never_stalls(reader: Reader) -> None:
    """``frame = reader.read_frame()`` without any release, through many times the ring."""
    code = """
        import sys
        from zerobuffer import Writer
        with Writer(sys.argv[1]) as writer:
            for i in range(1000):
                writer.write_frame(bytes([i % 256]) * 20_000)
    """
    with child(code, reader.name) as writer:
        for i in range(1000):
            frame = reader.read_frame(timeout=20.0)
            assert frame is not None
            assert frame.data[0] == i % 256
        writer.finish()


def test_latest_skips_to_the_newest(reader: Reader, writer: Writer) -> None:
    assert reader.latest(timeout=0.05) is None
    for i in range(5):
        writer.write_frame(bytes([i]))
    frame = reader.latest()
    assert frame is not None
    assert (bytes(frame), frame.sequence) == (b"\4", 5)
    assert reader.stats.skipped == 4
    assert reader.latest(timeout=0) is None


def test_metadata(name: str) -> None:
    with Reader(name, BufferConfig(128, 1024)) as reader, Writer(name) as writer:
        assert reader.get_metadata() is None
        with pytest.raises(ZeroBufferException, match="121"):
            writer.set_metadata(bytes(121))
        writer.set_metadata(b"{'format': 'raw'}")
        with pytest.raises(MetadataAlreadyWrittenException):
            writer.set_metadata(b"again")
        metadata = reader.get_metadata()
        assert metadata is not None
        assert bytes(metadata) == b"{'format': 'raw'}"
        assert metadata.readonly
    assert bytes(metadata) == b"{'format': 'raw'}", "a view of the metadata outlives its reader"
    with pytest.raises(ZeroBufferException, match="closed"):
        reader.get_metadata()


def test_empty_metadata_is_an_empty_view(reader: Reader, writer: Writer) -> None:
    writer.set_metadata(b"")
    metadata = reader.get_metadata()
    assert metadata is not None
    assert (len(metadata), metadata.tobytes()) == (0, b"")


def test_counters(reader: Reader, writer: Writer) -> None:
    for size in (10, 20, 30):
        writer.write_frame(bytes(size))
    frame = reader.read_frame()
    assert frame is not None
    assert (reader.frames_read, reader.bytes_read) == (1, 10)
    assert reader.stats[:3] == (1, 10, 0)
    assert writer.stats[:3] == (3, 60, 0)
    assert reader.stats.blocked >= 0.0
    assert 0.0 < reader.utilization < 0.01
    assert reader.utilization == writer.utilization
    assert reader.capacity == writer.capacity == 64 * 1024


def test_sizes(name: str) -> None:
    with Reader(name, BufferConfig(64, 1024)) as reader, Writer(name) as writer:
        with pytest.raises(InvalidFrameSizeException):
            writer.write_frame(b"")
        for size in (0, -5):
            with pytest.raises(InvalidFrameSizeException):
                writer.get_frame_buffer(size)
        with pytest.raises(FrameTooLargeException, match="1008"):
            writer.write_frame(bytes(1009))
        with pytest.raises(FrameTooLargeException):
            writer.get_frame_buffer(2**40)
        for _ in range(5):
            writer.write_frame(bytes(1008))
            assert len(reader.read_frame() or b"") == 1008


def test_one_reader_and_one_writer(name: str) -> None:
    with Reader(name) as reader:
        with pytest.raises(ReaderAlreadyConnectedException):
            Reader(name)
        with Writer(name) as writer:
            with pytest.raises(WriterAlreadyConnectedException):
                Writer(name)
            writer.write_frame(b"undisturbed")
        frame = reader.read_frame()
        assert frame is not None
        assert bytes(frame) == b"undisturbed"


@pytest.mark.parametrize("wrong", ["", "a/b", ".", "..", "sem.x", "x" * 246, "a\0b"])
def test_names_that_are_no_names(wrong: str) -> None:
    with pytest.raises(ZeroBufferException):
        Reader(wrong)
    with pytest.raises(ZeroBufferException):
        Writer(wrong)


def test_no_such_buffer(name: str) -> None:
    with pytest.raises(ZeroBufferException, match=name):
        Writer(name)


def test_a_writer_can_wait_for_its_reader(name: str) -> None:
    code = """
        import sys
        from zerobuffer import Writer
        print("starting")
        with Writer(sys.argv[1], timeout=30.0) as writer:
            writer.write_frame(b"patience")
    """
    with child(code, name) as writer:
        assert writer.line() == "starting"
        time.sleep(0.2)
        with Reader(name) as reader:
            frame = reader.read_frame(timeout=30.0)
            assert frame is not None
            assert bytes(frame) == b"patience"
            writer.finish()


def test_waiting_for_a_reader_ends(name: str) -> None:
    start = time.monotonic()
    with pytest.raises(ZeroBufferException, match=name):
        Writer(name, timeout=0.2)
    assert time.monotonic() - start >= 0.19


def test_is_writer_connected_waits(reader: Reader) -> None:
    assert not reader.is_writer_connected()
    assert not reader.is_writer_connected(50)
    code = """
        import sys
        from zerobuffer import Writer
        with Writer(sys.argv[1]):
            sys.stdin.readline()
    """
    with child(code, reader.name) as writer:
        assert reader.is_writer_connected(timeout_ms=30_000)
        writer.send()
        writer.finish()
    wait_until(lambda: not reader.is_writer_connected(), "the writer is gone")


def test_close_is_idempotent_and_final(name: str) -> None:
    reader = Reader(name)
    writer = Writer(name)
    for endpoint in (writer, reader):
        endpoint.close()
        endpoint.close()
        assert endpoint.closed
    calls: list[Callable[[], object]] = [
        lambda: reader.read_frame(0),
        lambda: reader.latest(0),
        lambda: writer.write_frame(b"x"),
        lambda: writer.get_frame_buffer(1),
        lambda: writer.commit_frame(),
        lambda: writer.set_metadata(b"x"),
    ]
    for call in calls:
        with pytest.raises(ZeroBufferException, match="closed"):
            call()
    assert not reader.is_writer_connected()
    assert not writer.is_reader_connected()
    assert files_of(name) == []


def test_dropping_the_endpoints_cleans_up(name: str) -> None:
    reader = Reader(name)
    writer = Writer(name)
    # Elsewhere only the lock file is a file.
    assert len(files_of(name)) >= (3 if sys.platform == "linux" else 1)
    del writer, reader
    assert files_of(name) == []


@linux_only
def test_mode(name: str) -> None:
    with Reader(name, mode=0o640):
        assert os.stat(f"/dev/shm/{name}").st_mode & 0o777 == 0o640
    with Reader(name):
        assert os.stat(f"/dev/shm/{name}").st_mode & 0o777 == 0o600


def test_global(name: str) -> None:
    """For other Windows sessions; elsewhere the buffer is the usual one."""
    with Reader(name):
        usual = files_of(name)
    try:
        reader = Reader(name, global_=True)
    except ZeroBufferException as error:
        if sys.platform != "win32" or "SeCreateGlobalPrivilege" not in str(error):
            raise
        pytest.skip("this process may not create global objects")
    with reader, Writer(name) as writer:
        assert files_of(name) == usual
        writer.write_frame(b"to every session")
        frame = reader.read_frame()
        assert frame is not None
        assert bytes(frame.data) == b"to every session"
        frame.dispose()
    assert files_of(name) == []
    with pytest.raises(TypeError):
        Reader(name, None, True)  # type: ignore[call-arg]


@pytest.mark.parametrize("wait", ["adaptive", "block", "spin"])
def test_wait_strategies(name: str, wait: Any) -> None:
    with Reader(name, wait=wait) as reader, Writer(name, wait=wait) as writer:
        for i in range(100):
            writer.write_frame(bytes([i]) * 1000)
            frame = reader.read_frame()
            assert frame is not None
            assert frame.data[999] == i


def test_unknown_options(name: str) -> None:
    with pytest.raises(ValueError, match="'adaptive', 'block' or 'spin'"):
        Reader(name, wait="never")  # type: ignore[arg-type]
    with Reader(name):
        with pytest.raises(ValueError, match="'block', 'refuse' or 'drop'"):
            Writer(name, full="explode")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="positive"):
            Writer(name, write_timeout=timedelta())


@pytest.mark.parametrize("size", [2**63, 2**64, 10**30])
def test_numbers_beyond_64_bits_are_wrong_as_others_are(name: str, size: int) -> None:
    if size > 2**63:
        with pytest.raises(ValueError, match="out of range"):
            Reader(name, BufferConfig(payload_size=size))
    with pytest.raises(ValueError, match="out of range"):
        Reader(name, mode=-1)
    with Reader(name), Writer(name) as writer:
        with pytest.raises(FrameTooLargeException):
            writer.get_frame_buffer(size)
        with pytest.raises(InvalidFrameSizeException):
            writer.get_frame_buffer(-size)
        writer.get_frame_buffer(10)
        with pytest.raises(ZeroBufferException):
            writer.commit_frame(size=size)


def test_one_wait_counts_once(name: str) -> None:
    """However many slices of 50 ms it takes; a frame that is passed over was not read."""
    with Reader(name, BufferConfig(64, 1024)) as reader, Writer(name) as writer:
        assert reader.read_frame(timeout=0.3) is None
        assert reader.stats.waits == 1
        writer.write_timeout = timedelta(milliseconds=300)
        writer.write_frame(bytes(1000))
        with pytest.raises(BufferFullException):
            writer.write_frame(bytes(1000))
        with pytest.raises(BufferFullException):
            writer.get_frame_buffer(1000)
        assert writer.stats.waits == 2
