"""Views never show another frame's bytes and never point at freed memory."""

import ctypes
import gc
import subprocess
import sys
import traceback
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support import child, pattern, unique_name
from zerobuffer import BufferConfig, BufferFullException, Frame, Reader, Writer

RING = 4096


@pytest.fixture
def small(name: str) -> Any:
    """A reader and a writer of a ring with room for three frames of 1000 bytes."""
    with Reader(name, BufferConfig(64, RING)) as reader, Writer(name, full="refuse") as writer:
        yield reader, writer


def next_frame(reader: Reader) -> Frame:
    frame = reader.read_frame(timeout=5.0)
    assert frame is not None
    return frame


def fill(writer: Writer, seed: int = 100) -> int:
    """Write until the ring is full."""
    count = 0
    try:
        while True:
            writer.write_frame(pattern(1000, seed + count))
            count += 1
    except BufferFullException:
        return count


def test_data_of_a_dropped_frame(small: tuple[Reader, Writer]) -> None:
    reader, writer = small
    writer.write_frame(pattern(1000, 1))
    assert bytes(next_frame(reader).data) == pattern(1000, 1)
    writer.write_frame(pattern(1000, 2))
    data = next_frame(reader).data
    gc.collect()
    fill(writer)
    assert data == pattern(1000, 2), "a view keeps its bytes although the Frame object is gone"
    before = reader.utilization
    data.release()
    assert reader.utilization < before


DERIVATIONS: dict[str, Callable[[Frame], Any]] = {
    "slice": lambda frame: frame.data[100:],
    "cast": lambda frame: frame.data.cast("d"),
    "numpy": lambda frame: np.asarray(frame.data),
    "frombuffer": lambda frame: np.frombuffer(frame.data, dtype=np.uint16),
    "memoryview of it": lambda frame: memoryview(frame.data),
    "asarray of the frame": lambda frame: np.asarray(frame),
}


@pytest.mark.parametrize("derive", DERIVATIONS)
@pytest.mark.parametrize("how", ["release_frame", "dispose", "with", "del"])
def test_derived_views_keep_the_space(small: tuple[Reader, Writer], derive: str, how: str) -> None:
    reader, writer = small
    content = pattern(1000, 5)
    writer.write_frame(content)
    frame = next_frame(reader)
    view = DERIVATIONS[derive](frame)
    if how == "release_frame":
        reader.release_frame(frame)
    elif how == "dispose":
        frame.dispose()
    elif how == "with":
        with frame:
            pass
    del frame
    for lap in range(5):
        fill(writer, lap)
        while reader.read_frame(0) is not None:
            pass
    expected = content[100:] if derive == "slice" else content
    assert view.tobytes() == expected
    del view
    gc.collect()
    assert reader.utilization == 0.0


def test_the_frames_own_view_goes_with_its_release(small: tuple[Reader, Writer]) -> None:
    """Code that merely keeps ``d = frame.data`` does not stall a small ring."""
    reader, writer = small
    kept = []
    for i in range(20):
        writer.write_frame(pattern(3000, i))
        frame = next_frame(reader)
        data = frame.data
        assert data == pattern(3000, i)
        kept.append(data)
        reader.release_frame(frame)
        assert not frame.is_valid
        assert frame.size == 3000
        with pytest.raises(ValueError, match="released"):
            _ = frame.data
        with pytest.raises(ValueError, match="released"):
            data.tobytes()
        with pytest.raises(ValueError, match="released"):
            bytes(frame)
        with pytest.raises(BufferError, match="released"):
            memoryview(frame)
        frame.dispose()


def test_a_consumer_of_the_buffer_survives_release(small: tuple[Reader, Writer]) -> None:
    reader, writer = small
    writer.write_frame(b"A" * 1000)
    frame = next_frame(reader)
    consumer = (ctypes.c_char * 1000).from_buffer(frame.data)
    frame.dispose()
    fill(writer)
    assert bytes(consumer) == b"A" * 1000
    del consumer
    gc.collect()


def test_frame_data_is_writable_in_place(small: tuple[Reader, Writer]) -> None:
    reader, writer = small
    writer.write_frame(b"abcdef")
    frame = next_frame(reader)
    frame.data[:3] = b"xyz"
    np.asarray(frame)[5] = ord("!")
    assert bytes(frame) == b"xyzde!"
    assert frame.data is frame.data


@pytest.mark.parametrize("order", ["reader first", "frame first"])
def test_views_outlive_the_reader(name: str, order: str) -> None:
    reader = Reader(name, BufferConfig(64, RING))
    writer = Writer(name)
    writer.write_frame(pattern(1000, 1))
    frame = next_frame(reader)
    view, rows = frame.data, np.asarray(frame)
    if order == "frame first":
        del frame
    reader.close()
    del reader
    writer.close()
    del writer
    gc.collect()
    assert view == pattern(1000, 1)
    assert rows.tobytes() == pattern(1000, 1)
    rows[0] = 7
    assert view[0] == 7
    with Reader(name, BufferConfig(64, RING)) as successor, Writer(name) as writer:
        writer.write_frame(pattern(1000, 9))
        assert next_frame(successor).data == pattern(1000, 9)
        assert view[1:] == pattern(1000, 1)[1:]


def test_frames_outlive_the_reader(name: str) -> None:
    with Reader(name) as reader, Writer(name) as writer:
        writer.write_frame(b"unread")
        writer.write_frame(b"read")
        frames = [next_frame(reader), next_frame(reader)]
    assert [bytes(frame) for frame in frames] == [b"unread", b"read"]
    frames[0].dispose()
    del frames


def test_garbage_cycles_are_collected_when_a_wait_stalls(name: str) -> None:
    """A view in a cycle holds the only space; the waiting read collects it."""

    class Node:
        view: Any
        me: Any

    code = """
        import sys
        from zerobuffer import Writer
        with Writer(sys.argv[1]) as writer:
            for i in range(4):
                writer.write_frame(bytes([i]) * 3000)
    """
    gc.disable()
    try:
        with Reader(name, BufferConfig(64, RING)) as reader, child(code, name) as writer:
            for i in range(4):
                frame = reader.read_frame(timeout=20.0)
                assert frame is not None, f"stalled at frame {i}"
                node = Node()
                node.me, node.view = node, frame.data
                assert node.view[0] == i
                del node, frame
            writer.finish()
    finally:
        gc.enable()


def test_a_stall_by_live_views_is_said_once(name: str) -> None:
    with Reader(name, BufferConfig(64, RING)) as reader, Writer(name, full="refuse") as writer:
        writer.write_frame(bytes(3000))
        view = np.asarray(next_frame(reader))
        with pytest.warns(RuntimeWarning, match=r"1 released frame\(s\) are still held") as caught:
            assert reader.read_frame(timeout=0.3) is None
        assert name in str(caught[0].message)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert reader.read_frame(timeout=0.2) is None
        del view
        assert reader.utilization == 0.0


def test_no_warning_without_a_reason(name: str) -> None:
    """A view in a large ring does not keep the writer waiting."""
    with Reader(name) as reader, Writer(name) as writer:
        writer.write_frame(bytes(3000))
        view = np.asarray(next_frame(reader))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert reader.read_frame(timeout=0.2) is None
        assert view.size == 3000


def test_reclaim_on_release(name: str) -> None:
    with Reader(name, BufferConfig(64, RING), reclaim_on_release=True) as reader, Writer(name, full="refuse") as writer:
        writer.write_frame(b"A" * 1000)
        frame = next_frame(reader)
        rows = np.asarray(frame)
        reader.release_frame(frame)
        assert reader.utilization == 0.0
        while fill(writer) and reader.read_frame(0) is not None:
            while reader.read_frame(0) is not None:
                pass
            if rows[0] != ord("A"):
                break
        assert rows[0] != ord("A"), "the array shows what came next, as asked for"
        writer.write_frame(b"B" * 500)
        assert bytes(next_frame(reader).data) == b"B" * 500, "dropping a frame does not invalidate its view"
    assert rows.size == 1000


def test_exceptions_with_tracebacks(small: tuple[Reader, Writer]) -> None:
    reader, writer = small
    writer.write_frame(pattern(1000, 3))
    kept: list[BaseException] = []

    def process(frame: Frame) -> None:
        rows = np.asarray(frame.data)
        raise RuntimeError(f"cannot process {rows.size} bytes")

    frame = next_frame(reader)
    try:
        with frame:
            process(frame)
    except RuntimeError as error:
        kept.append(error)
    del frame
    fill(writer)
    innermost = [entry for entry, _ in traceback.walk_tb(kept[0].__traceback__)][-1]
    assert innermost.f_locals["rows"].tobytes() == pattern(1000, 3)
    del innermost
    kept.clear()
    gc.collect()
    while reader.read_frame(0) is not None:
        pass
    assert reader.utilization == 0.0


def test_cycles_through_frames_are_collected(small: tuple[Reader, Writer]) -> None:
    reader, writer = small

    class Owner:
        frame: Any
        me: Any

    writer.write_frame(bytes(1000))
    owner = Owner()
    owner.me, owner.frame = owner, next_frame(reader)
    gone = weakref.ref(owner.frame)
    del owner
    gc.collect()
    assert gone() is None
    assert reader.utilization == 0.0
    calls: list[type] = []
    built = Owner()
    built.me = lambda owner=built: calls.append(type(owner))
    built.frame = Frame(memoryview(bytearray(10)), 0, 10, 1, built.me)
    gone = weakref.ref(built.frame)
    del built
    gc.collect()
    assert gone() is None
    assert len(calls) == 1


def test_frames_released_by_other_threads(small: tuple[Reader, Writer]) -> None:
    import threading

    reader, writer = small
    rows: Any = None
    for i in range(50):
        writer.write_frame(pattern(1000, i))
        frames = [next_frame(reader)]
        rows = np.asarray(frames[0])
        thread = threading.Thread(target=lambda frames=frames: frames.pop().dispose())
        thread.start()
        thread.join()
        assert rows.tobytes() == pattern(1000, i)
    del rows
    assert reader.utilization == 0.0


def test_frames_built_by_user_code() -> None:
    calls: list[str] = []
    memory = bytearray(range(100))
    frame = Frame(memoryview(memory), 10, 5, 42, lambda: calls.append("disposed"))
    assert (frame.size, len(frame), frame.sequence, frame.is_valid) == (5, 5, 42, True)
    assert repr(frame) == "Frame(sequence=42, size=5)"
    assert bytes(frame) == frame.data == bytes(range(10, 15))
    frame.data[0] = 99
    assert memory[10] == 99
    assert np.asarray(frame).tolist() == [99, 11, 12, 13, 14]
    with frame as same:
        assert same is frame
    assert calls == ["disposed"]
    frame.dispose()
    assert calls == ["disposed"]
    assert not frame.is_valid
    with pytest.raises(ValueError, match="released"):
        _ = frame.data
    keyword = Frame(
        memory_view=memoryview(memory), offset=0, size=1, sequence=1, on_dispose=lambda: calls.append("dropped")
    )
    del keyword
    assert calls == ["disposed", "dropped"]


@pytest.mark.parametrize(
    "ending",
    ["", "reader.close()", "del reader, writer", "sys.exit()", "os._exit(0)", "raise SystemExit(0)", "frame.dispose()"],
)
def test_interpreter_exit(ending: str) -> None:
    name = unique_name("exit")
    code = f"""
import os, sys
import numpy as np
from zerobuffer import Reader, Writer
reader = Reader({name!r})
writer = Writer({name!r})
writer.write_frame(bytes(5000))
writer.write_frame(bytes(5000))
frame = reader.read_frame()
second = reader.read_frame()
view, rows = frame.data, np.asarray(second)
cycle = [view, reader, writer, frame]
cycle.append(cycle)
keep = sys.modules[__name__]
print("done", flush=True)
{ending}
"""
    run = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stdout, run.stderr) == (0, "done\n", "")
    with Reader(name):
        pass
