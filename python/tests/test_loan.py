"""Writing in place: get_frame_buffer, commit, abort, loan; and everything that ends a reservation early (P7)."""

import threading
from datetime import timedelta

import numpy as np
import pytest
from zerobuffer import (
    BufferConfig,
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
        writer.loan("5")  # type: ignore[arg-type]


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
                    view = writer.get_frame_buffer(500)
                    for position in range(0, 500, 100):
                        view[position : position + 100] = bytes([number]) * 100
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
