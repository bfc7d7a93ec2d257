"""Looking at buffers from outside, and clearing up after the dead."""

import os
import signal
import threading
from contextlib import ExitStack

import pytest
import zerobuffer
from support import PATIENCE, child, files_of, linux_only
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


def test_a_wait_for_several_readers(name: str) -> None:
    with ExitStack() as stack:
        readers = [stack.enter_context(Reader(f"{name}-{i}")) for i in range(4)]
        writers = [stack.enter_context(Writer(reader.name)) for reader in readers]
        assert zerobuffer.wait(readers, 0) == []
        assert zerobuffer.wait(readers, 0.01) == []
        for i in (2, 0):
            writers[i].write_frame(bytes([i]))
            writers[i].write_frame(b"second")
        assert zerobuffer.wait(readers, 0) == zerobuffer.wait(readers) == [readers[0], readers[2]]
        # What was looked at is read first, and counted once.
        assert [bytes(frame) for frame in (readers[2].read_frame(), readers[2].read_frame()) if frame] == [
            b"\2",
            b"second",
        ]
        assert readers[2].frames_read == 2
        assert zerobuffer.wait(readers) == [readers[0]]
        threading.Timer(0.1, writers[3].write_frame, (b"late",)).start()
        assert zerobuffer.wait(readers[1:], PATIENCE) == [readers[3]]
        writers[1].close()
        assert zerobuffer.wait(readers[1:2], PATIENCE) == [readers[1]]
        with pytest.raises(ConnectionError):
            readers[1].read_frame(0)
    with pytest.raises(TypeError):
        zerobuffer.wait([name])  # type: ignore[list-item]
    for timeout in (None, float("nan")):
        with pytest.raises(ValueError, match=r"NaN|no reader"):
            zerobuffer.wait([], timeout)


@linux_only
@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="needs root to become somebody else")
def test_buffers_of_other_users_are_refused_unless_told(name: str) -> None:
    code = """
    import os, sys, time, zerobuffer
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
    with zerobuffer.Reader(sys.argv[1], mode=0o666) as reader:
        print("ready"); sys.stdin.readline()
    """
    with child(code, name) as process:
        assert process.line() == "ready"
        with pytest.raises(zerobuffer.ZeroBufferException, match="owner"):
            Writer(name)
        Writer(name, owner=65534).close()
        Writer(name, owner="any").close()
        with pytest.raises(ValueError, match="trusted"):
            Writer(name, owner="nobody")  # type: ignore[arg-type]
        process.send()
        process.finish()
