"""One source, many subscribers: slow, stopped, killed, of 1.3.0, coming and going."""

import gc
import logging
import os
import signal
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zerobuffer
from support import (
    PATIENCE,
    child,
    files_of,
    linux_only,
    pattern,
    required,
    unique_name,
    wait_until,
    wait_until_asleep,
)
from zerobuffer import (
    Broadcaster,
    BufferConfig,
    ClosedException,
    InvalidFrameSizeException,
    InvalidNameException,
    Reader,
    Writer,
    WriterDeadException,
)


@pytest.fixture
def cam() -> Iterator[str]:
    """The name of a broadcast; nothing may be left of its subscribers."""
    unique = unique_name("cam")
    yield unique
    gc.collect()
    left = [name for name in os.listdir("/dev/shm") if unique in name] if os.path.isdir("/dev/shm") else []
    assert left == []


def test_every_subscriber_gets_metadata_and_frames(cam: str) -> None:
    with Reader.subscribe(cam) as early, Broadcaster(cam) as broadcaster:
        broadcaster.set_metadata(b"caps")
        assert broadcaster.write_frame(b"one") == (1, 0, 0)
        with Reader.subscribe(cam, BufferConfig(64, 4096), mode=0o600) as late:
            assert late.name.startswith(f"{cam}@")
            assert late.name != early.name
            assert late.capacity == 4096
            assert broadcaster.wait_for_subscribers(2, PATIENCE)
            assert not broadcaster.wait_for_subscribers(3, 0.05)
            assert bytes(late.get_metadata() or b"") == b"caps"
            delivery = broadcaster.write_frame(bytearray(b"two"))
            assert (delivery.sent, delivery.dropped, delivery.gone) == (2, 0, 0)
            for reader, expected in ((early, [b"one", b"two"]), (late, [b"two"])):
                for data in expected:
                    frame = reader.read_frame(PATIENCE)
                    assert frame is not None
                    with frame:
                        assert bytes(frame.data) == data
            assert {one.buffer for one in broadcaster.subscribers} == {early.name, late.name}
        wait_until(lambda: len(broadcaster.subscribers) == 1, "the one that left is dropped")
        stats = broadcaster.stats
        assert (stats.frames, stats.bytes, stats.sent, stats.joined, stats.left) == (2, 6, 3, 2, 1)
        broadcaster.close()
        with pytest.raises(WriterDeadException):
            early.read_frame(PATIENCE)


def test_a_subscriber_is_as_large_as_the_buffer_of_the_broadcast(cam: str) -> None:
    with Reader.subscribe(cam) as reader:
        assert reader.capacity == 1024 * 1024
    with Reader(cam, BufferConfig(2048, 192 * 1024)), Reader.subscribe(cam, newest=True) as reader:
        assert reader.capacity == 192 * 1024


class _Own(Reader):
    """A reader of the application's."""


def test_a_subclass_subscribes(cam: str) -> None:
    with _Own.subscribe(cam) as reader:
        assert type(reader) is _Own
        assert reader.name == reader._buffer


def test_policies(cam: str) -> None:
    config = BufferConfig(64, 1024)
    with ExitStack() as stack:
        slow, out = (stack.enter_context(Reader(f"{cam}@{name}", config)) for name in ("slow", "out"))
        broadcaster = stack.enter_context(Broadcaster(cam, policies={"out": "disconnect", "slo*": "drop"}))
        for number in range(100):
            broadcaster.write_frame(bytes([number]) * 100)
        one = broadcaster.subscribers[0]
        assert (one.name, one.policy, one.frames + one.dropped, one.waits) == ("slow", "drop", 100, 0)
        assert one.dropped > 50
        assert broadcaster.stats.disconnected == 1
        for _ in range(one.frames):
            frame = slow.read_frame(PATIENCE)
            assert frame is not None
            frame.dispose()
        assert sum(1 for _ in out) < 20
    # One that takes nothing costs its limit once.
    with Reader(f"{cam}@stuck", config), Broadcaster(cam, policy=0.2) as broadcaster:
        begun = time.monotonic()
        for _ in range(100):
            broadcaster.write_frame(bytes(100))
        took = time.monotonic() - begun
        assert 0.2 <= took < 2.0
        assert broadcaster.subscribers[0].waits == 1


def test_one_that_is_waited_for_gets_everything(cam: str) -> None:
    with Reader(f"{cam}@slow", BufferConfig(64, 1024)) as slow, Broadcaster(cam, policy="block") as broadcaster:
        assert broadcaster.wait_for_subscribers()
        got: list[int] = []

        def read() -> None:
            for frame in slow:
                with frame:
                    got.append(frame.data[0])
                time.sleep(0.002)

        thread = threading.Thread(target=read)
        thread.start()

        def write(number: int) -> None:
            for _ in range(30):
                broadcaster.write_frame(bytes([number]) * 100)

        # Several threads write; each frame goes out whole.
        writers = [threading.Thread(target=write, args=(number,)) for number in range(3)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        broadcaster.close()
        thread.join()
        assert sorted(got) == [0] * 30 + [1] * 30 + [2] * 30


def test_what_cannot_be(cam: str) -> None:
    wrong: Any
    for wrong in ("wait", 0, -1, float("nan")):
        with pytest.raises(ValueError, match="policy"):
            Broadcaster(cam, policy=wrong)
        with pytest.raises(ValueError, match="policy"):
            Broadcaster(cam, policies={"a": wrong})
    for wrong in (None, True, b"drop", []):
        with pytest.raises(TypeError):
            Broadcaster(cam, policy=wrong)
    with pytest.raises(ValueError, match="max_subscribers"):
        Broadcaster(cam, max_subscribers=0)
    for name in ("", "a/b", "n" * 244):
        with pytest.raises(InvalidNameException):
            Broadcaster(name)
        with pytest.raises(InvalidNameException):
            Reader.subscribe(name)
    with Broadcaster(cam) as broadcaster:
        with pytest.raises(InvalidFrameSizeException):
            broadcaster.write_frame(b"")
        with pytest.raises(TypeError):
            broadcaster.write_frame("text")  # type: ignore[arg-type]
    for use in (
        lambda: broadcaster.write_frame(b"x"),
        lambda: broadcaster.write_array(np.zeros(3)),
        lambda: broadcaster.set_metadata(b"x"),
        lambda: broadcaster.wait_for_subscribers(),
    ):
        with pytest.raises(ClosedException):
            use()
    # As of other closed endpoints, what it did remains.
    assert broadcaster.subscribers == []
    assert broadcaster.stats.frames == 0
    broadcaster.close()


def test_texts(cam: str) -> None:
    broadcaster = Broadcaster(cam)
    assert repr(broadcaster) == f"<Broadcaster '{cam}', 0 subscribers, 0 frames written, 0 copies dropped>"
    with Reader(f"{cam}@v", BufferConfig(64, 1024)) as reader:
        assert broadcaster.wait_for_subscribers()
        for _ in range(20):
            broadcaster.write_frame(bytes(100))
        dropped = broadcaster.stats.dropped
        assert dropped > 5
        assert repr(broadcaster) == f"<Broadcaster '{cam}', 1 subscribers, 20 frames written, {dropped} copies dropped>"
        assert repr(reader).startswith(f"<Reader '{cam}@v', writer connected, ")
    broadcaster.close()
    assert repr(broadcaster) == f"<Broadcaster '{cam}', closed, 20 frames written, {dropped} copies dropped>"


def test_log_lines(cam: str, caplog: pytest.LogCaptureFixture) -> None:
    """A subscriber comes, misses its first frame, which is a warning, and goes."""
    caplog.set_level(logging.INFO, logger="zerobuffer")
    with Broadcaster(cam) as broadcaster:
        with Reader(f"{cam}@slow", BufferConfig(64, 1024)):
            assert broadcaster.wait_for_subscribers()
            for _ in range(30):
                broadcaster.write_frame(bytes(100))
        wait_until(lambda: not broadcaster.subscribers, "it has left")

        def said(level: int, *words: str) -> int:
            # What the broadcaster's own thread logs comes with the next call.
            assert broadcaster.stats.joined == 1
            records = [record for record in caplog.records if record.name == "zerobuffer.broadcast"]
            texts = [record.getMessage() for record in records if record.levelno == level]
            return sum(all(word in text for word in words) for text in texts)

        wait_until(lambda: said(logging.INFO, f"{cam}@slow", "has left"), "its end is said")
        assert said(logging.INFO, cam, "broadcasting") == 1
        assert said(logging.INFO, f"{cam}@slow", "has come") == 1
        assert said(logging.WARNING, f"{cam}@slow", "misses a frame") == 1


@pytest.mark.parametrize("stamped", [False, True])
def test_arrays(cam: str, stamped: bool) -> None:
    """Shape and dtype arrive, also others in the middle; the stamp has the number of the source."""
    with Reader.subscribe(cam) as reader, Broadcaster(cam, policy="block") as broadcaster:
        assert broadcaster.wait_for_subscribers()
        got: list[Any] = []

        def read() -> None:
            frame = reader.read_frame(PATIENCE)
            assert frame is not None
            with frame:
                head = bytes(frame.data[:24]) if stamped else None
                got.append((frame.array().copy(), head))

        number = 0
        for dtype, shape in (("<u2", (3, 4)), ("<f4", (5,)), ("|u1", (2, 2, 3))):
            for step in range(2):
                array: Any = (np.arange(int(np.prod(shape))) + step).astype(dtype).reshape(shape)
                number += 1
                # A stream that changes waits until the frames before are taken.
                thread = threading.Thread(target=read)
                thread.start()
                assert broadcaster.write_array(array, timestamp=number * 10 if stamped else None).sent == 1
                thread.join(PATIENCE)
                seen, head = got.pop()
                assert got == []
                assert (seen.shape, seen.dtype.str) == (shape, dtype)
                assert (seen == array).all()
                if head is not None:
                    assert struct.unpack("<3Q", head) == (number, number * 10, 2**64 - 1)


def test_a_subscriber_sees_from_stamps_what_it_has_missed(cam: str) -> None:
    with Reader(f"{cam}@v", BufferConfig(256, 1024)) as reader, Broadcaster(cam) as broadcaster:
        assert broadcaster.wait_for_subscribers()
        for _ in range(50):
            broadcaster.write_array(np.zeros(100, np.uint8), timestamp=1)
        kept = broadcaster.subscribers[0].frames
        assert kept < 50
        for _ in range(kept):
            frame = reader.read_frame(PATIENCE)
            assert frame is not None
            frame.dispose()
        assert broadcaster.write_array(np.zeros(100, np.uint8), timestamp=1).sent == 1
        frame = reader.read_frame(PATIENCE)
        assert frame is not None
        with frame:
            assert struct.unpack_from("<Q", frame.data) == (51,)
            assert frame.sequence == kept + 1


def test_arrays_beside_metadata_of_the_program(cam: str) -> None:
    with Reader.subscribe(cam) as reader, Broadcaster(cam) as broadcaster:
        assert broadcaster.wait_for_subscribers()
        broadcaster.set_metadata(b"video/x-raw, format=(string)RGB, width=(int)4, height=(int)2")
        with pytest.raises(ValueError, match="does not fit the stream"):
            broadcaster.write_array(np.zeros((3, 8), np.uint8))
        with pytest.raises(ValueError, match="30 bytes"):
            broadcaster.write_array(np.zeros((2, 5, 3), np.uint8))
        with pytest.raises(ValueError, match="timestamp"):
            broadcaster.write_array(np.zeros((2, 4, 3), np.uint8), timestamp=-1)
        assert broadcaster.stats.frames == 0
        assert broadcaster.write_array(np.full((2, 4, 3), 7, np.uint8)).sent == 1
        frame = reader.read_frame(PATIENCE)
        assert frame is not None
        with frame:
            assert frame.array().shape == (2, 4, 3)
        with pytest.raises(TypeError):
            broadcaster.write_array(np.array([object()]))


def thread_at_rest(act: "Callable[[], object]") -> "tuple[threading.Thread, list[BaseException]]":
    """Run it in a thread, until that waits; what it has raised."""
    raised: list[BaseException] = []
    begun = threading.Event()

    def run() -> None:
        begun.set()
        try:
            act()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert begun.wait(PATIENCE)
    time.sleep(0.2)
    assert thread.is_alive()
    return thread, raised


def test_metadata_of_one_thread_beside_arrays_of_another(cam: str) -> None:
    """Each call sees what was set by those whose turn was before it."""
    caps = b"video/x-raw, format=(string)RGB, width=(int)4, height=(int)2"
    with Reader(f"{cam}@v", BufferConfig(256, 1024)) as reader, Broadcaster(cam, policy=3600.0) as broadcaster:
        assert broadcaster.wait_for_subscribers()
        five = np.full(5, 7, np.uint8)
        while broadcaster.subscribers[0].utilization < 0.9:
            broadcaster.write_array(five)
        # One that waits for room, one whose turn is behind it, and one whose turn is last.
        first, of_first = thread_at_rest(lambda: [broadcaster.write_array(five) for _ in range(40)])
        second, of_second = thread_at_rest(lambda: broadcaster.set_metadata(caps))
        third, of_third = thread_at_rest(lambda: broadcaster.write_array(five))
        while first.is_alive() or second.is_alive() or third.is_alive():
            frame = reader.read_frame(0.1)
            if frame is not None:
                with frame:
                    assert frame.array().shape == (5,)
        assert of_second == []
        # Their arrays do not fit any more.
        for raised in (of_first, of_third):
            assert [type(error) for error in raised] == [ValueError], raised
            assert "the frame has 5 bytes" in str(raised[0])
        assert broadcaster.write_array(np.zeros((2, 4, 3), np.uint8)).sent == 1
        frame = reader.read_frame(PATIENCE)
        assert frame is not None
        with frame:
            assert frame.array().shape == (2, 4, 3)
        metadata = reader.get_metadata()
        assert metadata is not None
        assert bytes(metadata) == caps


def test_metadata_of_an_iterator_are_those_that_arrays_must_fit(cam: str) -> None:
    caps = b"video/x-raw, format=(string)RGB, width=(int)4, height=(int)2"
    with Reader.subscribe(cam) as reader, Broadcaster(cam) as broadcaster:
        assert broadcaster.wait_for_subscribers()
        broadcaster.set_metadata(iter(caps))
        with pytest.raises(ValueError, match="the frame has 5 bytes"):
            broadcaster.write_array(np.zeros(5, np.uint8))
        assert broadcaster.write_array(np.zeros((2, 4, 3), np.uint8)).sent == 1
        metadata = reader.get_metadata()
        assert metadata is not None
        assert bytes(metadata) == caps
    with Reader(f"{cam}-plain", BufferConfig(256, 4096)) as reader, Writer(f"{cam}-plain") as writer:
        writer.set_metadata(iter(caps))
        with pytest.raises(ValueError, match="the frame has 5 bytes"):
            writer.write_array(np.zeros(5, np.uint8))
        metadata = reader.get_metadata()
        assert metadata is not None
        assert bytes(metadata) == caps


def test_an_empty_array_describes_nothing(cam: str) -> None:
    with Reader.subscribe(cam) as reader, Broadcaster(cam) as broadcaster:
        assert broadcaster.wait_for_subscribers()
        with pytest.raises(InvalidFrameSizeException):
            broadcaster.write_array(np.zeros(0))
        assert reader.get_metadata() is None
        assert broadcaster.write_array(np.zeros(0), timestamp=1).sent == 1
        frame = reader.read_frame(PATIENCE)
        assert frame is not None
        with frame:
            assert frame.array().shape == (0,)


def test_another_thread_closes_while_a_call_waits(cam: str) -> None:
    with Reader(f"{cam}@stuck", BufferConfig(64, 1024)), Broadcaster(cam, policy=3600) as broadcaster:
        assert broadcaster.wait_for_subscribers()
        ended: list[BaseException] = []

        def write() -> None:
            try:
                while True:
                    broadcaster.write_frame(bytes(100))
            except ClosedException as error:
                ended.append(error)

        thread = threading.Thread(target=write)
        thread.start()
        wait_until(lambda: broadcaster.subscribers[0].utilization > 0.8, "a call waits")
        broadcaster.close()
        thread.join(PATIENCE)
        assert len(ended) == 1


@linux_only
def test_a_signal_ends_a_call_that_waits(cam: str) -> None:
    code = """
        import os, signal, sys, threading
        from zerobuffer import Broadcaster, ZeroBufferException
        broadcaster = Broadcaster(sys.argv[1], policy=3600)
        assert broadcaster.wait_for_subscribers(1, 60)
        nested = []
        def handler(number, frame):
            try:
                broadcaster.write_frame(b"from the handler")
            except ZeroBufferException as error:
                nested.append(str(error))
            raise KeyboardInterrupt
        signal.signal(signal.SIGINT, handler)
        print("ready")
        try:
            while True:
                broadcaster.write_frame(bytes(100))
        except KeyboardInterrupt:
            print("interrupted", len(nested))
        print(broadcaster.subscribers[0].dropped)
        broadcaster.close()
    """
    with Reader(f"{cam}@stuck", BufferConfig(64, 1024)), child(code, cam) as process:
        assert process.line() == "ready"
        wait_until_asleep(process.pid)
        os.kill(process.pid, signal.SIGINT)
        assert process.line() == "interrupted 1"
        assert process.line() == "1"
        process.finish()


@linux_only
@pytest.mark.parametrize("waits", ["write", "wait_for_subscribers"])
def test_a_handler_may_close_and_ask_what_waits(cam: str, waits: str) -> None:
    code = """
        import signal, sys
        from zerobuffer import Broadcaster
        broadcaster = Broadcaster(sys.argv[1], policy=3600)
        assert broadcaster.wait_for_subscribers(1, 60)
        def handler(number, frame):
            print("handled", len(broadcaster.subscribers), broadcaster.stats.joined, repr(broadcaster)[:12])
            broadcaster.close()
        signal.signal(signal.SIGUSR1, handler)
        print("waiting")
        try:
            while sys.argv[2] == "write":
                broadcaster.write_frame(bytes(100))
            broadcaster.wait_for_subscribers(9, None)
        except Exception as error:
            print("ended", type(error).__name__)
    """
    with Reader(f"{cam}@stuck", BufferConfig(64, 1024)) as stuck, child(code, cam, waits) as process:
        assert process.line() == "waiting"
        wait_until_asleep(process.pid)
        os.kill(process.pid, signal.SIGUSR1)
        assert process.line() == "handled 1 1 <Broadcaster"
        assert process.line() == "ended ClosedException"
        process.finish()
        wait_until(lambda: not stuck.is_writer_connected(), "the subscriber has lost its writer")


@linux_only
def test_a_forked_child_leaves_the_broadcast_alone(cam: str) -> None:
    with Reader.subscribe(cam) as reader, Broadcaster(cam) as broadcaster:
        assert broadcaster.wait_for_subscribers()
        pid = os.fork()
        if pid == 0:
            try:
                broadcaster.write_frame(b"x")
            except zerobuffer.ZeroBufferException as error:
                status = 0 if "parent" in str(error) else 2
            else:
                status = 1
            if "parent" not in repr(broadcaster) or broadcaster.stats.frames != 0:
                status = 3
            broadcaster.close()
            os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert broadcaster.write_frame(b"x").sent == 1
        frame = reader.read_frame(PATIENCE)
        assert frame is not None
        frame.dispose()


OLD_SUBSCRIBER = """
    import sys
    from zerobuffer import BufferConfig, Reader, WriterDeadException
    pattern = lambda size, seed: (bytes(range(251)) * ((seed * 31 % 251 + size) // 251 + 1))[seed * 31 % 251 :][:size]
    with Reader(sys.argv[1], BufferConfig(1024, 1 << 20)) as reader:
        print("created")
        index = 0
        while True:
            try:
                # 1.3.0 notices that its writer has left when this time has passed.
                frame = reader.read_frame(timeout=1.0)
            except WriterDeadException:
                break
            if frame is None:
                continue
            with frame:
                assert bytes(frame.data) == pattern(1 + index * 37 % 50_000, index), index
            index += 1
        print(bytes(reader.get_metadata()).decode(), index)
"""


@linux_only
def test_1_3_0_subscribes_beside_one_that_is_stopped_and_one_that_is_killed(cam: str) -> None:
    old = required("ZEROBUFFER_TEST_OLD_PYTHON", "the interpreter of an environment with zerobuffer-ipc 1.3.0")
    idle = """
        import sys
        from zerobuffer import BufferConfig, Reader
        reader = Reader.subscribe(sys.argv[1], BufferConfig(64, 256 * 1024))
        print(reader.name)
        for frame in reader:
            frame.dispose()
    """
    frames = 1000
    with ExitStack() as stack:
        legacy = stack.enter_context(child(OLD_SUBSCRIBER, f"{cam}@exact-old", python=old))
        stopped, killed = (stack.enter_context(child(idle, cam)) for _ in range(2))
        native = stack.enter_context(Reader(f"{cam}@exact-new", BufferConfig(64, 1 << 20)))
        assert legacy.line() == "created"
        names = {stopped.line(), killed.line()}
        assert len(names) == 2
        got: list[bytes] = []
        thread = threading.Thread(target=lambda: got.extend(bytes(frame) for frame in native))
        thread.start()
        with Broadcaster(cam, policies={"exact-*": PATIENCE}) as broadcaster:
            assert broadcaster.wait_for_subscribers(4, PATIENCE)
            broadcaster.set_metadata(b"about")
            for index in range(frames):
                if index == 200:
                    os.kill(stopped.pid, signal.SIGSTOP)
                if index == 300:
                    os.kill(killed.pid, signal.SIGKILL)
                    killed.process.wait()
                assert broadcaster.write_frame(pattern(1 + index * 37 % 50_000, index)).sent >= 2
            wait_until(lambda: len(broadcaster.subscribers) == 3, "the killed one is dropped")
            by_name = {one.name: one for one in broadcaster.subscribers}
            assert by_name["exact-old"].frames == by_name["exact-new"].frames == frames
            assert broadcaster.stats.dropped > 0
        thread.join(PATIENCE)
        assert got == [pattern(1 + index * 37 % 50_000, index) for index in range(frames)]
        assert legacy.finish().split() == ["about", str(frames)]
        os.kill(stopped.pid, signal.SIGCONT)
        stopped.finish()
    for name in names:
        # What the killed one left is its successor's.
        Reader(name, BufferConfig(64, 64)).close()
        assert files_of(name) == []
    for path in (f"/dev/shm/sem.sem-w-{cam}@exact-old", f"/dev/shm/sem.sem-r-{cam}@exact-old"):
        Path(path).unlink(missing_ok=True)


def test_a_plain_writer_is_left_its_buffer(cam: str) -> None:
    with Reader(f"{cam}@taken") as reader, Writer(reader.name) as writer, Broadcaster(cam) as broadcaster:
        assert not broadcaster.wait_for_subscribers(1, 0.1)
        writer.write_frame(b"mine")
        writer.close()
        assert broadcaster.wait_for_subscribers(1, PATIENCE)
