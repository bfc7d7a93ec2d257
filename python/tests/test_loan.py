"""Writing in place: get_frame_buffer, commit, abort, loan, and early ends of reservations."""

import gc
import threading
import weakref
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from zerobuffer import (
    BufferConfig,
    BufferFullException,
    FrameTooLargeException,
    InvalidFrameSizeException,
    Reader,
    Writer,
    ZeroBufferException,
)


def received(reader: Reader) -> bytes:
    frame = reader.read_frame(timeout=5.0)
    assert frame is not None
    return bytes(frame)


def test_get_and_commit(reader: Reader, writer: Writer) -> None:
    buffer = writer.get_frame_buffer(size=4000)
    assert (buffer.nbytes, buffer.readonly, buffer.format) == (4000, False, "B")
    buffer[:] = np.arange(1000, dtype=np.float32).tobytes()
    assert reader.read_frame(0) is None
    writer.commit_frame()
    assert np.frombuffer(received(reader), np.float32).tolist() == list(range(1000))
    assert (writer.frames_written, writer.bytes_written) == (1, 4000)


def test_arrays_write_in_place(reader: Reader, writer: Writer) -> None:
    rows = np.frombuffer(writer.get_frame_buffer(600), dtype=np.uint8).reshape(10, 20, 3)
    rows[:] = 7
    writer.commit_frame()
    assert received(reader) == b"\7" * 600


def test_nothing_pending(writer: Writer) -> None:
    with pytest.raises(ZeroBufferException):
        writer.commit_frame()
    assert writer.abort_frame() is False
    writer.get_frame_buffer(10)
    writer.commit_frame()
    with pytest.raises(ZeroBufferException):
        writer.commit_frame()


def test_abort(reader: Reader, writer: Writer) -> None:
    buffer = writer.get_frame_buffer(100)
    buffer[:] = b"x" * 100
    assert writer.abort_frame() is True
    with pytest.raises(ValueError, match="released"):
        buffer[0] = 1
    assert reader.read_frame(0) is None
    writer.write_frame(b"next")
    assert received(reader) == b"next"
    assert writer.frames_written == 1


def test_a_second_reservation_replaces_the_first(reader: Reader, writer: Writer) -> None:
    first = writer.get_frame_buffer(100)
    second = writer.get_frame_buffer(50)
    with pytest.raises(ValueError, match="released"):
        first[0] = 1
    second[:] = b"2" * 50
    writer.commit_frame()
    assert received(reader) == b"2" * 50
    assert reader.read_frame(0) is None


def test_a_write_replaces_the_reservation_of_its_thread(reader: Reader, writer: Writer) -> None:
    buffer = writer.get_frame_buffer(100)
    writer.write_frame(b"written")
    with pytest.raises(ValueError, match="released"):
        buffer[0] = 1
    with pytest.raises(ZeroBufferException):
        writer.commit_frame()
    assert received(reader) == b"written"
    assert reader.read_frame(0) is None


def test_the_view_ends_with_the_commit(reader: Reader, writer: Writer) -> None:
    buffer = writer.get_frame_buffer(10)
    buffer[:] = b"0123456789"
    writer.commit_frame()
    with pytest.raises(ValueError, match="released"):
        buffer[0] = 1
    assert received(reader) == b"0123456789"


def test_commit_with_fewer_bytes(reader: Reader, writer: Writer) -> None:
    writer.get_frame_buffer(1000)[:5] = b"short"
    writer.commit_frame(size=5)
    assert received(reader) == b"short"
    writer.get_frame_buffer(10)
    for wrong in (11, 0, -1):
        with pytest.raises(ZeroBufferException):
            writer.commit_frame(size=wrong)
    writer.commit_frame()
    assert len(received(reader)) == 10


def test_commit_from_another_thread(reader: Reader, writer: Writer) -> None:
    writer.get_frame_buffer(4)[:] = b"over"
    thread = threading.Thread(target=writer.commit_frame)
    thread.start()
    thread.join()
    assert received(reader) == b"over"
    writer.write_frame(b"usable")
    assert received(reader) == b"usable"


def test_loan(reader: Reader, writer: Writer) -> None:
    with writer.loan(6) as view:
        view[:] = b"loaned"
        assert reader.read_frame(0) is None
    with pytest.raises(ValueError, match="released"):
        view[0] = 1
    assert received(reader) == b"loaned"


def test_a_loan_is_given_up_on_an_exception(reader: Reader, writer: Writer) -> None:
    with pytest.raises(RuntimeError, match="boom"), writer.loan(6) as view:
        view[:] = b"loaned"
        raise RuntimeError("boom")
    assert reader.read_frame(0) is None
    writer.write_frame(b"next")
    assert received(reader) == b"next"


def test_a_loan_inside_a_loan(reader: Reader, writer: Writer) -> None:
    outer = writer.loan(5)
    with pytest.raises(ZeroBufferException, match="given up"), outer as view:
        with writer.loan(3) as inner:
            inner[:] = b"abc"
        with pytest.raises(ValueError, match="released"):
            view[0] = 1
    assert received(reader) == b"abc"
    assert reader.read_frame(0) is None


def test_loan_sizes(writer: Writer) -> None:
    with pytest.raises(InvalidFrameSizeException), writer.loan(0):
        pass
    with pytest.raises(FrameTooLargeException), writer.loan(10**9):
        pass
    with pytest.raises(TypeError):
        writer.loan("5")  # type: ignore[call-overload]


@pytest.mark.parametrize("then", ["close", "drop"])
def test_views_of_a_closed_writer(name: str, then: str) -> None:
    reader = Reader(name)
    writer = Writer(name)
    buffer = writer.get_frame_buffer(100)
    rows = np.frombuffer(buffer, np.uint8)
    if then == "close":
        writer.close()
        with pytest.raises(ZeroBufferException, match="closed"):
            writer.commit_frame()
        with pytest.raises(ValueError, match="released"):
            buffer[0] = 1
    del writer
    reader.close()
    rows[:] = 1
    assert rows.sum() == 100


def test_a_thread_that_ended_does_not_block_the_writer(reader: Reader, writer: Writer) -> None:
    def fail() -> None:
        writer.get_frame_buffer(100)

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    writer.write_timeout = timedelta(seconds=60)
    writer.write_frame(b"after")
    assert received(reader) == b"after"


def test_a_forgotten_reservation_of_a_live_thread_ends_after_the_write_timeout(reader: Reader, writer: Writer) -> None:
    forgotten = writer.get_frame_buffer(100)
    writer.write_timeout = timedelta(milliseconds=200)
    thread = threading.Thread(target=writer.write_frame, args=(b"other",))
    thread.start()
    thread.join()
    assert received(reader) == b"other"
    with pytest.raises(ValueError, match="released"):
        forgotten[0] = 1
    with pytest.raises(ZeroBufferException):
        writer.commit_frame()


def test_threads_reserve_in_turn(name: str) -> None:
    """Each thread's frame arrives whole: a reservation is left alone while its thread fills it."""
    with Reader(name, BufferConfig(64, 256 * 1024)) as reader, Writer(name) as writer:
        writer.write_timeout = timedelta(seconds=60)

        def work(number: int) -> None:
            for i in range(50):
                if i % 2:
                    place = writer.get_frame_buffer(500)
                    for position in range(0, 500, 100):
                        place[position : position + 100] = bytes([number]) * 100
                    writer.commit_frame()
                else:
                    with writer.loan(500) as view:
                        view[:] = bytes([number]) * 500

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        counts = [0] * 4
        for _ in range(200):
            data = received(reader)
            assert data == data[:1] * 500
            counts[data[0]] += 1
        for thread in threads:
            thread.join()
        assert counts == [50] * 4


def test_a_loan_can_be_shortened_and_cancelled(reader: Reader, writer: Writer) -> None:
    with writer.loan(100) as view:
        view[:5] = b"short"
        view.commit(5)
        assert not view.is_open
    assert received(reader) == b"short"
    with writer.loan(100) as view:
        view.abort()
    with writer.loan(4) as view:
        view[:] = b"full"
        view.commit()
        with pytest.raises(ZeroBufferException, match="ended"):
            view.commit()
    assert received(reader) == b"full"
    for _ in range(3):
        with writer.loan(8) as view:
            view.abort()
            break
    assert reader.read_frame(0) is None


def test_a_wrong_size_leaves_the_loan_open(reader: Reader, writer: Writer) -> None:
    with writer.loan(8) as view:
        view[:] = b"12345678"
        for wrong in (0, 9, -1):
            with pytest.raises(ZeroBufferException):
                view.commit(wrong)
        view.commit(3)
    assert received(reader) == b"123"
    assert reader.read_frame(0) is None


def test_the_calls_of_the_writer_inside_a_loan(reader: Reader, writer: Writer) -> None:
    with writer.loan(8) as view:
        view[:3] = b"abc"
        writer.commit_frame(size=3)
    with writer.loan(8):
        assert writer.abort_frame()
    assert received(reader) == b"abc"
    assert reader.read_frame(0) is None


def test_a_loan_is_used_like_its_memoryview(reader: Reader, writer: Writer) -> None:
    with writer.loan(8) as view:
        view[:] = bytes(8)
        assert len(view) == view.nbytes == 8
        assert view == bytes(8)
        assert view.cast("I")[1] == 0
        assert isinstance(view.data, memoryview)
        assert "open" in repr(view)
        with pytest.raises(AttributeError):
            _ = view.nothing  # type: ignore[attr-defined]
    assert received(reader) == bytes(8)


def test_a_loan_of_an_array(reader: Reader, writer: Writer) -> None:
    np = pytest.importorskip("numpy")
    with writer.loan((3, 4), np.float32) as view:
        array = view.array()
        assert array.shape == (3, 4)
        array[:] = 1.5
        del array
    frame = reader.read_frame(0)
    assert frame is not None
    assert frame.array((3, 4), "f4").sum() == 18
    for shape, dtype, error in (((2,), object, TypeError), ((-1, 2), "u1", ValueError), ((2,), "nonsense", TypeError)):
        with pytest.raises(error):
            writer.loan(shape, dtype)


def test_a_cycle_through_a_loan_is_collected(reader: Reader) -> None:
    class Camera(Writer):
        pass

    camera = Camera(reader.name)
    camera.kept = camera.loan(4)  # type: ignore[attr-defined]
    gone = weakref.ref(camera)
    del camera
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("owner", ["alive", "ended"])
@pytest.mark.parametrize("kept", ["view", "array"])
def test_what_is_taken_away_cannot_be_written_any_more(name: str, kept: str, owner: str) -> None:
    """The place of a reservation is used again only once nobody can write into it."""
    with Reader(name, BufferConfig(payload_size=64 * 1024)) as reader, Writer(name, write_timeout=0.2) as writer:
        held: list[Any] = []
        stop = threading.Event()
        wrote = threading.Event()

        def reserve() -> None:
            view = writer.get_frame_buffer(20_000)
            held.append(np.frombuffer(view, np.uint8) if kept == "array" else view)
            wrote.set()
            if owner == "alive":
                stop.wait()

        def scribble() -> None:
            while not stop.is_set():
                try:
                    held[0][0:20_000] = held[0][0:20_000].__class__(b"\xff" * 20_000) if kept == "view" else 255
                except ValueError:
                    return

        thread = threading.Thread(target=reserve)
        thread.start()
        wrote.wait()
        if owner == "ended":
            thread.join()
        scribbler = threading.Thread(target=scribble)
        scribbler.start()
        try:
            for _ in range(3):
                if kept == "array":
                    with pytest.raises(BufferFullException, match="arrays"):
                        writer.write_frame(bytes(20_000))
                else:
                    writer.write_frame(bytes(20_000))
                    frame = reader.read_frame(0)
                    assert frame is not None
                    assert bytes(frame) == bytes(20_000)
                    frame.dispose()
        finally:
            stop.set()
            thread.join()
            scribbler.join()
        held.clear()
        gc.collect()
        writer.write_frame(b"free again")
        assert received(reader) == b"free again"
