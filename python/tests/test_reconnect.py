"""``Writer(reconnect=True)``: a writer outlives its reader."""

import asyncio
import json
import os
import signal
import threading
import time
from typing import Any

import pytest
from support import PATIENCE, child, wait_until
from zerobuffer import (
    ClosedException,
    Reader,
    ReaderDeadException,
    Writer,
    WriterAlreadyConnectedException,
    WriterStats,
)

#: A consumer that says what it reads; it ends with a frame of 255.
CONSUMER = """
    import sys
    from zerobuffer import BufferConfig, Reader
    with Reader(sys.argv[1], BufferConfig(256, 64 * 1024)) as reader:
        print("there", flush=True)
        for frame in reader:
            with frame:
                print(frame.sequence, frame.data[0], bytes(reader.get_metadata() or b"").decode(), flush=True)
                if frame.data[0] == 255:
                    break
"""


@pytest.mark.parametrize("end", ["kill", "close"])
def test_a_reader_that_is_started_again_is_found(name: str, end: str, caplog: pytest.LogCaptureFixture) -> None:
    with child(CONSUMER, name) as first:
        assert first.line() == "there"
        writer = Writer(name, timeout=PATIENCE, reconnect=True, write_timeout=PATIENCE)
        writer.set_metadata(b"a camera")
        writer.write_frame(b"\1")
        assert first.line() == "1 1 a camera"
        if end == "kill":
            os.kill(first.pid, signal.SIGKILL)
            first.finish(expect=-signal.SIGKILL)
        else:
            writer.write_frame(b"\xff")
            assert first.line() == "2 255 a camera"
            first.finish()
    # Nobody is there: writes succeed until that is noticed, and then wait.
    writing = threading.Thread(target=write_until, args=(writer, 1))
    writing.start()
    time.sleep(0.3)
    with child(CONSUMER, name) as second:
        assert second.line() == "there"
        sequence, number, metadata = second.line().split(" ", 2)
        assert metadata == "a camera"
        assert int(sequence) == 1
        assert int(number) < 255
        writing.join()
        assert writer.reconnects == 1
        assert "1 times reconnected" in repr(writer)
        assert "reader is gone" in caplog.text
        writer.write_frame(b"\xff")
        lines: list[str] = []
        while not lines or lines[-1].split()[1] != "255":
            lines.append(second.line())
        # From the restart on nothing is lost.
        assert [int(line.split()[0]) for line in lines] == list(range(2, len(lines) + 2))
        second.finish()
    writer.close()
    with pytest.raises(ClosedException):
        writer.write_frame(b"x")


def write_until(writer: Writer, reconnects: int) -> None:
    count = 0
    while writer.reconnects < reconnects:
        writer.write_frame(bytes([count % 200]))
        count += 1
        time.sleep(0.001)


def test_counters_are_those_of_the_writer(name: str) -> None:
    reader = Reader(name)
    with Writer(name, reconnect=True, write_timeout=PATIENCE) as writer:
        for _ in range(3):
            writer.write_frame(b"x" * 10)
        reader.close()
        assert not writer.is_reader_connected()
        with Reader(name) as reader:
            for _ in range(2):
                writer.write_frame(b"y" * 10)
            frame = reader.read_frame(PATIENCE)
            assert frame is not None
            assert (frame.sequence, frame.data[0]) == (1, ord("y"))
            del frame
            assert writer.stats[:3] == (5, 50, 0)
            assert (writer.frames_written, writer.bytes_written) == (5, 50)
            assert writer.capacity == reader.capacity
            assert writer.is_reader_connected()
    assert isinstance(writer.stats, WriterStats)
    assert writer.frames_written == 5


def test_without_a_reader_writes_end_as_the_policy_says(name: str) -> None:
    Reader(name).close()
    for full in ("block", "refuse", "drop"):
        reader = Reader(name)
        options: dict[str, Any] = {"full": full}
        with Writer(name, reconnect=True, write_timeout=0.2, **options) as writer:
            reader.close()
            start = time.monotonic()
            if full == "drop":
                for _ in range(3):
                    writer.write_frame(b"x")
                assert writer.stats.dropped == 3
            else:
                with pytest.raises(ReaderDeadException):
                    writer.write_frame(b"x")
                with pytest.raises(ReaderDeadException, match="reconnect"):
                    writer.write_frame(b"x")
                with pytest.raises(ReaderDeadException), writer.loan(10):
                    pass
            waited = time.monotonic() - start
            assert waited >= 0.4 if full == "block" else waited < 5.0
            # One that comes later is still found.
            with Reader(name) as reader:
                writer.write_frame(b"found")
                assert bytes(reader.read_frame(PATIENCE) or b"") == b"found"


def test_a_stamped_array_without_a_reader_is_dropped_and_counted(name: str) -> None:
    with Reader(name):
        writer = Writer(name, reconnect=True, full="drop")
        writer.write_array([1, 2, 3], timestamp=1)
    for _ in range(3):
        writer.write_array([1, 2, 3], timestamp=1)
    assert writer.stats.dropped == 3
    writer.close()


def test_without_it_nothing_changes(name: str) -> None:
    reader = Reader(name)
    with Writer(name) as writer:
        reader.close()
        with pytest.raises(ReaderDeadException):
            writer.write_frame(b"x")
        with Reader(name), pytest.raises(ReaderDeadException):
            writer.write_frame(b"x")
        assert writer.reconnects == 0


def test_metadata_set_meanwhile_and_arrays(name: str) -> None:
    np = pytest.importorskip("numpy")
    reader = Reader(name)
    with Writer(name, reconnect=True, write_timeout=PATIENCE) as writer:
        writer.write_array(np.zeros((2, 3), "u1"))
        reader.close()
        with Reader(name) as reader:
            writer.write_array(np.ones((2, 3), "u1"))
            frame = reader.read_frame(PATIENCE)
            assert frame is not None
            assert json.loads(bytes(reader.get_metadata() or b""))["shape"] == [2, 3]
            assert frame.array().shape == (2, 3)
            del frame
    reader = Reader(name)
    with Writer(name, reconnect=True, write_timeout=0.2) as writer:
        reader.close()
        with pytest.raises(ReaderDeadException):
            writer.write_frame(b"x")
        writer.set_metadata(b"for the next")
        with Reader(name) as reader:
            writer.write_frame(b"x")
            assert bytes(reader.get_metadata() or b"") == b"for the next"


def test_another_writer_in_its_place_is_an_error(name: str) -> None:
    reader = Reader(name)
    with Writer(name, reconnect=True, write_timeout=PATIENCE) as writer:
        reader.close()
        with Reader(name), Writer(name), pytest.raises(WriterAlreadyConnectedException):
            writer.write_frame(b"x")


def test_close_ends_the_wait_for_a_reader(name: str) -> None:
    reader = Reader(name)
    writer = Writer(name, reconnect=True, write_timeout=PATIENCE)
    reader.close()
    ended: list[BaseException] = []

    def write() -> None:
        try:
            writer.write_frame(b"x")
        except BaseException as error:
            ended.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    time.sleep(0.2)
    start = time.monotonic()
    writer.close()
    thread.join()
    assert time.monotonic() - start < 5.0
    assert [type(error) for error in ended] == [ClosedException]


def test_coroutines_wait_without_blocking_the_loop(name: str) -> None:
    async def main() -> None:
        reader = Reader(name)
        async with Writer(name, reconnect=True, write_timeout=PATIENCE) as writer:
            reader.close()
            writes = [asyncio.ensure_future(writer.write_frame_async(bytes([i]))) for i in range(5)]
            await asyncio.sleep(0.2)
            assert not any(write.done() for write in writes)
            with Reader(name) as reader:
                await asyncio.wait_for(asyncio.gather(*writes), PATIENCE)
                assert [frame.data[0] for frame in (reader.read_frame(PATIENCE) for _ in range(5)) if frame] == [
                    *range(5)
                ]

    asyncio.run(main())


def test_ten_restarts(name: str) -> None:
    reader = Reader(name)
    with Writer(name, reconnect=True, write_timeout=PATIENCE) as writer:
        for restart in range(10):
            writer.write_frame(bytes([restart]))
            assert bytes(reader.read_frame(PATIENCE) or b"") == bytes([restart])
            reader.close()
            reader = Reader(name)
        wait_until(lambda: write_some(writer) == 10, "the last one is found")
        reader.close()


def write_some(writer: Writer) -> int:
    writer.write_frame(b"x")
    return writer.reconnects
