"""Many threads on one endpoint, closing during a wait, and the free interpreter lock."""

import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from support import PATIENCE, child, files_of, wait_until
from zerobuffer import BufferConfig, BufferFullException, Reader, Writer, WriterDeadException, ZeroBufferException


class Outcome:
    """Runs a call in a thread and keeps how it ended."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self.result: Any = None
        self.error: Any = None
        self.started = threading.Event()

        def run() -> None:
            self.started.set()
            try:
                self.result = call()
            except BaseException as error:
                self.error = error

        self.thread = threading.Thread(target=run)
        self.thread.start()
        self.started.wait()

    def join(self) -> None:
        self.thread.join(timeout=30.0)
        assert not self.thread.is_alive()


def test_close_ends_a_blocked_read(name: str) -> None:
    reader = Reader(name)
    with Writer(name):
        outcome = Outcome(lambda: reader.read_frame(None))
        time.sleep(0.1)
        start = time.monotonic()
        reader.close()
        outcome.join()
        assert time.monotonic() - start < 5.0
        assert isinstance(outcome.error, ZeroBufferException)
        assert "closed" in str(outcome.error)


@pytest.mark.parametrize("api", ["write_frame", "get_frame_buffer", "loan"])
def test_close_ends_a_blocked_write(name: str, api: str) -> None:
    with Reader(name, BufferConfig(64, 4096)):
        writer = Writer(name, write_timeout=timedelta(seconds=600))
        writer.write_frame(bytes(4000))

        def loan() -> None:
            with writer.loan(1000):
                pass

        calls: dict[str, Callable[[], Any]] = {
            "write_frame": lambda: writer.write_frame(bytes(1000)),
            "get_frame_buffer": lambda: writer.get_frame_buffer(1000),
            "loan": loan,
        }
        outcome = Outcome(calls[api])
        time.sleep(0.1)
        writer.close()
        outcome.join()
        assert isinstance(outcome.error, ZeroBufferException)
        assert "closed" in str(outcome.error)


def test_nothing_waits_for_a_blocked_read(reader: Reader) -> None:
    """Properties, metadata and other reads answer while one thread waits for ever."""
    with Writer(reader.name) as writer:
        writer.set_metadata(b"meta")
        blocked = Outcome(lambda: reader.read_frame(None))
        time.sleep(0.05)
        for _ in range(20):
            start = time.monotonic()
            assert reader.is_writer_connected()
            assert reader.frames_read == 0
            assert reader.utilization == 0.0
            assert reader.stats.frames == 0
            assert bytes(reader.get_metadata() or b"") == b"meta"
            assert reader.read_frame(0) is None
            assert time.monotonic() - start < 5.0
        assert reader.read_frame(timeout=0.2) is None
        assert blocked.thread.is_alive()
        writer.write_frame(b"end")
        blocked.join()
        assert bytes(blocked.result) == b"end"


def test_the_interpreter_is_free_while_one_thread_waits(reader: Reader) -> None:
    with Writer(reader.name) as writer:
        blocked = Outcome(lambda: reader.read_frame(None))
        counted = 0
        end = time.monotonic() + 0.3
        while time.monotonic() < end:
            counted += 1
        writer.write_frame(b"end")
        blocked.join()
    alone = 0
    end = time.monotonic() + 0.3
    while time.monotonic() < end:
        alone += 1
    # On a shared machine the two counts differ; a held lock would leave next to nothing.
    assert counted > alone / 20


def test_many_readers_and_writers_on_one_buffer(name: str) -> None:
    """Every frame arrives once, whole, in exactly one of the reading threads."""
    count, threads = 400, 4
    with Reader(name, BufferConfig(64, 16 * 1024)) as reader, Writer(name) as writer:
        writer.write_timeout = timedelta(seconds=60)
        seen: list[tuple[int, int, int]] = []
        enough = threading.Event()

        def write(number: int) -> None:
            for i in range(count):
                writer.write_frame(bytes([number]) + i.to_bytes(2, "little") + bytes([number]) * (i % 700))

        def read() -> None:
            while not enough.is_set():
                frame = reader.read_frame(timeout=0.05)
                if frame is None:
                    continue
                with frame:
                    data = bytes(frame)
                number = data[0]
                assert data[3:] == bytes([number]) * (len(data) - 3)
                seen.append((number, int.from_bytes(data[1:3], "little"), frame.sequence))
                if len(seen) == count * threads:
                    enough.set()

        outcomes = [Outcome(lambda number=n: write(number)) for n in range(threads)]  # type: ignore[misc]
        outcomes += [Outcome(read) for _ in range(threads)]
        for outcome in outcomes:
            outcome.join()
            assert outcome.error is None
        assert sorted(sequence for _, _, sequence in seen) == list(range(1, count * threads + 1))
        assert sorted((number, i) for number, i, _ in seen) == [(n, i) for n in range(threads) for i in range(count)]
        assert (reader.frames_read, writer.frames_written) == (count * threads, count * threads)


def test_a_full_ring_does_not_stop_other_calls(name: str) -> None:
    with Reader(name, BufferConfig(64, 4096)) as reader, Writer(name) as writer:
        writer.write_frame(bytes(4000))
        blocked = Outcome(lambda: writer.write_frame(bytes(2000)))
        time.sleep(0.05)
        assert writer.is_reader_connected()
        assert writer.frames_written == 1
        assert writer.utilization > 0.9
        frame = reader.read_frame()
        assert frame is not None
        frame.dispose()
        blocked.join()
        assert blocked.error is None
        assert writer.frames_written == 2


def test_write_timeout(name: str) -> None:
    with Reader(name, BufferConfig(64, 4096)), Writer(name, write_timeout=timedelta(milliseconds=200)) as writer:
        writer.write_frame(bytes(4000))
        for call in (lambda: writer.write_frame(bytes(1000)), lambda: writer.get_frame_buffer(1000)):
            start = time.monotonic()
            with pytest.raises(BufferFullException, match="4096"):
                call()
            assert time.monotonic() - start >= 0.19
        assert writer.frames_written == 1
        assert writer.stats.blocked > 0.1


def test_refuse(name: str) -> None:
    with Reader(name, BufferConfig(64, 4096)) as reader, Writer(name, full="refuse") as writer:
        writer.write_frame(bytes(4000))
        start = time.monotonic()
        for call in (lambda: writer.write_frame(bytes(1000)), lambda: writer.get_frame_buffer(1000)):
            with pytest.raises(BufferFullException):
                call()
        assert time.monotonic() - start < 4.0
        assert len(reader.read_frame() or b"") == 4000
        writer.write_frame(bytes(1000))


def test_drop(name: str) -> None:
    with Reader(name, BufferConfig(64, 4096)) as reader, Writer(name, full="drop") as writer:
        writer.write_frame(bytes(4000))
        for _ in range(3):
            writer.write_frame(bytes(1000))
        writer.write_frame(memoryview(bytes(2000))[::2])
        with pytest.raises(BufferFullException):
            writer.get_frame_buffer(1000)
        assert (writer.stats.frames, writer.stats.dropped) == (1, 5)
        frame = reader.read_frame()
        assert frame is not None
        frame.dispose()
        writer.write_frame(b"after")
        frame = reader.read_frame()
        assert frame is not None
        assert (bytes(frame), frame.sequence) == (b"after", 2)


def test_concurrent_close(name: str) -> None:
    for _ in range(20):
        reader = Reader(name)
        writer = Writer(name)
        outcomes = [Outcome(reader.close) for _ in range(3)] + [Outcome(writer.close) for _ in range(3)]
        outcomes.append(Outcome(lambda reader=reader: reader.read_frame(None)))  # type: ignore[misc]
        for outcome in outcomes:
            outcome.join()
            assert outcome.error is None or isinstance(outcome.error, ZeroBufferException)


def test_frames_are_read_while_another_thread_keeps_the_interpreter_busy(reader: Reader, writer: Writer) -> None:
    stop = threading.Event()

    def spin() -> None:
        while not stop.is_set():
            pass

    interval = sys.getswitchinterval()
    sys.setswitchinterval(0.001)
    busy = threading.Thread(target=spin)
    busy.start()
    try:
        for i in range(200):
            writer.write_frame(bytes([i]))
            assert bytes(reader.read_frame(timeout=20.0) or b"") == bytes([i])
    finally:
        stop.set()
        busy.join()
        sys.setswitchinterval(interval)
    wait_until(lambda: not busy.is_alive(), "the busy thread ends")


@pytest.mark.parametrize(
    "wait",
    [
        "reader.read_frame(None)",
        "reader.latest(None)",
        "[Writer(sys.argv[1], write_timeout=timedelta.max).write_frame(bytes(900)) for _ in range(3)]",
    ],
)
def test_a_daemon_thread_that_waits_at_exit_leaves_no_files(name: str, wait: str) -> None:
    code = f"""
        import sys, threading, time
        from datetime import timedelta
        from zerobuffer import BufferConfig, Reader, Writer

        reader = Reader(sys.argv[1], BufferConfig(64, 1024))
        threading.Thread(target=lambda: {wait}, daemon=True).start()
        time.sleep(0.2)
        print("exits")
    """
    with child(code, name) as process:
        # Nothing on stderr: the thread's end is not an error.
        assert process.finish() == "exits\n"
    assert files_of(name) == []


def test_a_forked_child_that_exits_leaves_the_files_of_its_parent(name: str) -> None:
    code = """
        import os, sys
        from zerobuffer import Reader, Writer

        reader, writer = Reader(sys.argv[1]), Writer(sys.argv[1])
        pid = os.fork()
        if pid == 0:
            own = Reader(sys.argv[1] + "-child")
            sys.exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        assert not os.path.exists(f"/dev/shm/{sys.argv[1]}-child")
        writer.write_frame(b"undisturbed")
        print(bytes(reader.read_frame()).decode())
    """
    with child(code, name) as process:
        assert process.finish() == "undisturbed\n"
    assert files_of(name) == []


def test_the_writer_of_a_daemon_thread_leaves_in_good_order_at_exit(name: str) -> None:
    code = """
        import sys, threading, time
        from zerobuffer import Writer

        def stream():
            writer = Writer(sys.argv[1])
            while True:
                writer.write_frame(b"frame")
                time.sleep(0.01)

        threading.Thread(target=stream, daemon=True).start()
        time.sleep(0.2)
    """
    with Reader(name) as reader, child(code, name) as process:
        process.finish()
        with pytest.raises(WriterDeadException, match="its writer is gone"):  # a dead one is named
            while reader.read_frame(PATIENCE):
                pass
