"""Taps: the frames of a live stream, seen without taking part in it."""

import threading
import time
import weakref

import pytest
import zerobuffer
from support import PATIENCE, child
from zerobuffer import BufferConfig, Reader, Tap, Writer


def test_every_frame_is_seen_and_the_reader_gets_it_too(name: str) -> None:
    with Reader(name, BufferConfig(1024, 64 * 1024)) as reader, Writer(name) as writer, Tap(name) as tap:
        for number in range(1, 200):
            writer.write_frame(bytes([number]) * number)
            frame = tap.next(PATIENCE)
            assert frame is not None
            assert (frame.sequence, frame.size, frame.skipped) == (number, number, 0)
            assert bytes(frame) == bytes([number]) * number
            received = reader.read_frame()
            assert received is not None
            assert received.data == frame.data
            received.dispose()
        assert tap.missed == 0
        assert tap.unsupported is None
        assert tap.next(0) is None


def test_latest_passes_over_and_next_counts_what_it_missed(name: str) -> None:
    with Reader(name, BufferConfig(1024, 4096)) as reader, Writer(name) as writer, Tap(name) as tap:
        for number in range(1, 4):
            writer.write_frame(bytes([number]))
        newest = tap.latest(0)
        assert newest is not None
        assert (newest.sequence, newest.skipped) == (3, 0)
        assert tap.latest(0) is None
        for _ in range(100):
            writer.write_frame(bytes(500))
            while (frame := reader.read_frame(0)) is not None:
                frame.dispose()
        last = tap.next(0)
        assert last is not None
        assert (last.sequence, last.skipped, tap.missed) == (103, 99, 99)


def test_a_frame_is_a_copy_that_stays(name: str) -> None:
    with Reader(name, BufferConfig(1024, 4096)) as reader, Writer(name) as writer:
        writer.write_frame(b"first")
        with Tap(name) as tap:
            frame = tap.next(0)
        assert frame is not None
        for _ in range(20):
            received = reader.read_frame()
            assert received is not None
            received.dispose()
            writer.write_frame(bytes(1000))
        assert bytes(frame) == b"first"
        data = frame.data
        gone = weakref.ref(frame)
        del frame
        assert gone() is None
        assert bytes(data) == b"first"


def test_arrays_have_the_shape_of_the_description(name: str) -> None:
    np = pytest.importorskip("numpy")
    with Reader(name, BufferConfig(1024, 64 * 1024)) as reader, Writer(name) as writer, Tap(name) as tap:
        writer.set_metadata(b'{"caps": "video/x-raw, format=(string)RGB, width=(int)4, height=(int)2"}')
        writer.write_frame(bytes(range(24)))
        frame = tap.next(0)
        assert frame is not None
        assert frame.array().shape == (2, 4, 3)
        assert frame.array()[1, 0, 0] == 12
        assert frame.array(shape=(24,), dtype="u1").tolist() == list(range(24))
        assert np.asarray(frame).nbytes == 24
        assert tap.get_metadata() == bytes(reader.get_metadata() or b"")
        # The frame knows what it is when the buffer is gone, too.
        reader.close()
        assert frame.array().shape == (2, 4, 3)


def test_iteration_ends_with_the_buffer(name: str) -> None:
    reader = Reader(name, BufferConfig(1024, 64 * 1024))
    tap = Tap(name)
    assert tap.state == "no writer"
    seen: list[int] = []

    def follow() -> None:
        seen.extend(frame.sequence for frame in tap)

    thread = threading.Thread(target=follow)
    thread.start()
    with Writer(name) as writer:
        for number in range(1, 6):
            writer.write_frame(b"x")
            end = time.monotonic() + PATIENCE
            while len(seen) < number and time.monotonic() < end:
                time.sleep(0.001)
    reader.close()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert seen == [1, 2, 3, 4, 5]
    assert str(tap.state) == "ended"
    with pytest.raises(zerobuffer.ReaderDeadException, match=name):
        tap.next(0)


def test_a_closed_tap_ends_the_wait_of_another_thread(name: str) -> None:
    with Reader(name), Tap(name) as tap:
        errors: list[BaseException] = []

        def wait() -> None:
            try:
                tap.next(None)
            except zerobuffer.ClosedException as error:
                errors.append(error)

        thread = threading.Thread(target=wait)
        thread.start()
        time.sleep(0.1)
        tap.close()
        thread.join(PATIENCE)
        assert len(errors) == 1
        assert tap.closed


def test_a_killed_reader_is_the_end(name: str) -> None:
    code = "import sys, time, zerobuffer; r = zerobuffer.Reader(sys.argv[1]); print('ready'); time.sleep(100)"
    with child(code, name) as process:
        assert process.line() == "ready"
        with Tap(name) as tap:
            process.process.kill()
            process.process.wait()
            with pytest.raises(zerobuffer.ReaderDeadException):
                tap.next(PATIENCE)
    assert [left.name for left in zerobuffer.observe.clean(name)] == [name]


def test_what_is_not_there_or_makes_no_sense(name: str) -> None:
    with pytest.raises(zerobuffer.BufferNotFoundException, match=name):
        Tap(name)
    with pytest.raises(zerobuffer.ZeroBufferException, match="a/b"):
        Tap("a/b")
    with Reader(name), Tap(name) as tap, pytest.raises(ValueError, match="NaN"):
        tap.next(float("nan"))
