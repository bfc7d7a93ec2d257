"""Looking at buffers from outside, and clearing up after the dead."""

import os
import signal

import pytest
import zerobuffer
from support import child, files_of, linux_only
from zerobuffer import BufferConfig, Reader, Writer, observe


def test_a_live_buffer(name: str) -> None:
    with Reader(name, BufferConfig(1024, 64 * 1024)) as reader, Writer(name) as writer:
        writer.set_metadata(b"about")
        writer.write_frame(bytes(1000))
        info = observe.inspect(name)
        assert (info.name, info.payload_size, info.metadata) == (name, 64 * 1024, b"about")
        assert info.reader is not None
        assert info.writer is not None
        assert info.reader.alive
        assert info.writer == (os.getpid(), True, info.writer.level)
        assert 0.01 < info.utilization < 0.05
        assert info.defects == []
        assert name in [buffer.name for buffer in observe.list()]
        assert observe.clean(name) == []
        assert not reader.closed
    with pytest.raises(FileNotFoundError, match=name):
        observe.inspect(name)


@linux_only
def test_what_a_killed_process_left_is_shown_and_removed(name: str) -> None:
    code = """
    import sys, time, zerobuffer
    reader = zerobuffer.Reader(sys.argv[1]); print("ready"); time.sleep(100)
    """
    with child(code, name) as process:
        assert process.line() == "ready"
        os.kill(process.pid, signal.SIGKILL)
        process.process.wait()
    reader = observe.inspect(name).reader
    assert reader is not None
    assert not reader.alive
    found = observe.clean(name, dry_run=True)
    assert [left.name for left in found] == [name]
    assert found[0].removed == []
    assert files_of(name)
    (left,) = observe.clean(name)
    assert left.bytes > 0
    assert sorted(left.removed) == sorted(left.objects)
    assert files_of(name) == []


def test_a_dead_readers_name_is_taken_over(name: str) -> None:
    code = "import sys, os, zerobuffer; reader = zerobuffer.Reader(sys.argv[1]); os._exit(0)"
    with child(code, name) as process:
        process.finish()
    with Reader(name) as reader, Writer(name) as writer:
        writer.write_frame(b"new")
        frame = reader.read_frame()
        assert frame is not None
        assert bytes(frame) == b"new"


def test_wrong_arguments() -> None:
    with pytest.raises(TypeError):
        observe.clean(5)  # type: ignore[arg-type]
    with pytest.raises(zerobuffer.ZeroBufferException):
        observe.inspect("a/b")
