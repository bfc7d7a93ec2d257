"""What a closed endpoint keeps: its counters, and neither ring nor handlers."""

import gc
import os
import signal
import subprocess
import sys
import textwrap
import weakref
from pathlib import Path
from typing import Any, Callable

import pytest
from support import PATIENCE, child, files_of, linux_only, wait_until
from zerobuffer import BufferConfig, Frame, Reader, Writer
from zerobuffer.duplex import DuplexClient, ImmutableDuplexServer, MutableDuplexServer

CONFIG = BufferConfig(4096, 64 * 1024)


def inode(name: str) -> int:
    return Path("/dev/shm", name).stat().st_ino


def mappings(*inodes: int) -> list[str]:
    """Where this process has files mapped; a name says nothing once it is removed."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    return [line for line in lines if int(line.split()[4]) in inodes]


@linux_only
def test_closed_endpoints_are_unmapped(name: str) -> None:
    reader = Reader(name, BufferConfig(payload_size=1024 * 1024))
    writer = Writer(name)
    ring = inode(name)
    assert mappings(ring)
    writer.set_metadata(b'{"shape": [2, 2], "dtype": "<u2"}')
    writer.write_frame(b"12345678")
    frame = reader.read_frame()
    assert frame is not None
    writer.close()
    reader.close()
    assert writer.frames_written == reader.frames_read == 1
    assert writer.bytes_written == reader.stats.bytes == 8
    assert reader.capacity == writer.capacity == 1024 * 1024
    assert reader.utilization > 0
    assert not reader.is_writer_connected()
    assert mappings(ring)
    # A frame that outlives its reader is whole.
    assert frame.array().shape == (2, 2)
    frame.dispose()
    del frame
    gc.collect()
    assert mappings(ring) == []
    assert reader.closed
    assert writer.closed


@linux_only
def test_closed_duplex_ends_are_unmapped(name: str) -> None:
    server = ImmutableDuplexServer(name, CONFIG, persistent=True)
    server.start(lambda frame, writer: writer.write_frame(frame.data))
    client = DuplexClient(name)
    with client.call(b"hello") as response:
        assert response.to_bytes() == b"hello"
    rings = inode(f"{name}_request"), inode(f"{name}_response")
    assert len(mappings(*rings)) >= 2
    client.close()
    server.stop()
    wait_until(lambda: mappings(*rings) == [], "the channel is unmapped")
    client.close()
    assert not client.is_server_connected
    with pytest.raises(ConnectionError, match="closed"):
        client.send_request(b"x")


class Service:
    """Owns its server, whose handlers are its bound methods: a cycle."""

    def __init__(self, channel: str, kind: type, persistent: bool) -> None:
        self.seen: list[bytes] = []
        self.server = kind(channel, CONFIG, persistent=persistent)
        self.server.add_error_handler(self.failed)
        handler: Any = self.answer if kind is ImmutableDuplexServer else self.edit
        self.server.start(handler, on_init=self.init)

    def has_ended(self) -> bool:
        return not self.server.is_running

    def init(self, metadata: memoryview) -> None:
        self.seen.append(bytes(metadata))

    def answer(self, frame: Frame, writer: Writer) -> None:
        writer.write_frame(frame.data)

    def edit(self, frame: Frame) -> None:
        self.seen.append(bytes(frame.data))

    def failed(self, event: object) -> None:
        self.seen.append(b"failed")


@pytest.mark.parametrize("kind", [ImmutableDuplexServer, MutableDuplexServer])
@pytest.mark.parametrize("ending", ["stop", "drain", "itself", "with"])
def test_a_service_of_bound_methods_is_collected(name: str, kind: type, ending: str) -> None:
    for _ in range(3):
        service = Service(name, kind, persistent=ending != "itself")
        with DuplexClient(name) as client:
            client.set_metadata(b"about")
            assert client.call(b"hello").to_bytes() == b"hello"
        if ending == "stop":
            service.server.stop()
        elif ending == "drain":
            assert service.server.drain()
        elif ending == "with":
            with service.server:
                pass
        else:
            wait_until(service.has_ended, "the server has ended")
        gone = weakref.ref(service)
        del service

        def is_gone(gone: Callable[[], object] = gone) -> bool:
            gc.collect()
            return gone() is None

        wait_until(is_gone, "the service is collected")


ENDPOINTS = """
    import sys
    from zerobuffer import BufferConfig, Reader, Writer
    reader = Reader(sys.argv[1])
    writer = Writer(sys.argv[1])
"""


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("where", ["waiting", "sleeping", "computing"])
def test_a_signal_that_ends_the_process_leaves_nothing(name: str, number: signal.Signals, where: str) -> None:
    wait = {
        "waiting": "reader.read_frame(None)",
        "sleeping": "import time; time.sleep(100)",
        "computing": "\n    while True: pass",
    }[where]
    with child(f"{ENDPOINTS}\n    print('ready')\n    {wait}", name) as process:
        assert process.line() == "ready"
        os.kill(process.pid, number)
        assert process.process.wait(PATIENCE) == -number
    assert files_of(name) == []


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_a_handler_of_the_program_stays(name: str) -> None:
    code = f"""
    import os, signal
    signal.signal(signal.SIGTERM, lambda *_: print("mine"))
    {textwrap.dedent(ENDPOINTS)}
    os.kill(os.getpid(), signal.SIGTERM)
    assert reader.read_frame(0) is None
    """
    code = "\n".join(line.strip() for line in code.splitlines())
    with child(code, name) as process:
        assert process.line() == "mine"
        process.finish()
    assert files_of(name) == []


def test_one_close_that_fails_leaves_the_others_closed(name: str) -> None:
    code = """
    import sys
    from zerobuffer import Reader
    class Bad(Reader):
        def close(self):
            super().close()
            raise RuntimeError("no")
        def __del__(self):
            pass
    readers = [Bad(f"{sys.argv[1]}-{i}") if i % 2 else Reader(f"{sys.argv[1]}-{i}") for i in range(6)]
    print("made", flush=True)
    """
    with child(code, name) as process:
        assert process.line() == "made"
        process.finish()
    assert [files_of(f"{name}-{i}") for i in range(6)] == [[]] * 6


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="timers of POSIX")
def test_a_signal_handler_may_open_and_close_endpoints(name: str) -> None:
    code = """
    import signal, sys
    from zerobuffer import Reader
    from zerobuffer.duplex import DuplexChannelFactory
    count = 0
    def handler(*_):
        global count
        count += 1
        with Reader(f"{sys.argv[1]}-{count}"):
            DuplexChannelFactory.get_instance()
    signal.signal(signal.SIGALRM, handler)
    for i in range(150):
        # Once a round, at another moment each: one that came again by itself would nest on a busy machine.
        signal.setitimer(signal.ITIMER_REAL, 0.00002 * (1 + i % 50))
        Reader(sys.argv[1]).close()
        DuplexChannelFactory._instance = None
        DuplexChannelFactory.get_instance()
    signal.setitimer(signal.ITIMER_REAL, 0)
    print("handled" if count > 5 else count)
    """
    with child(code, name) as process:
        assert process.line() == "handled"
        process.finish()


def test_the_first_use_may_come_in_the_middle_of_the_first_use(name: str) -> None:
    """A signal handler may run while the logger is looked up."""
    code = """
    import logging, sys
    from zerobuffer import Reader
    real = logging.getLogger
    def interrupted(logger=None):
        logging.getLogger = real
        Reader(sys.argv[1] + "-inner").close()
        return real(logger)
    logging.getLogger = interrupted
    Reader(sys.argv[1]).close()
    print("done" if logging.getLogger is real else "not interrupted")
    """
    with child(code, name) as process:
        assert process.line() == "done"
        process.finish()


def test_metadata_of_a_peer_take_linear_time() -> None:
    code = """
    import time
    from zerobuffer._array import describe
    pieces = "a", "a ", "=", "a=(", '"', "a=\t", "["
    for text in [piece * (60_000 // len(piece)) for piece in pieces]:
        for prefix in ("video/x-raw,", '{"caps": "video/x-raw,', '{"shape": [1], "dtype": "', "{"):
            start = time.process_time()
            try:
                describe((prefix + text + '"}' * prefix.startswith("{")).encode(), 10)
            except ValueError:
                pass
            assert time.process_time() - start < 1.0, (prefix, text[:5])
    """
    with child(code) as process:
        process.finish()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="subinterpreters that share nothing need 3.12")
def test_a_subinterpreter_that_is_first_locks_nobody_out() -> None:
    code = """
    try:
        import _interpreters as interpreters
    except ImportError:
        import _xxsubinterpreters as interpreters
    sub = interpreters.create()
    try:
        error = interpreters.run_string(sub, "import zerobuffer")
    except Exception as raised:
        error = raised
    assert "subinterpreters" in str(error), error
    import zerobuffer
    print(zerobuffer.Reader.__name__)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.stdout.strip() == "Reader", done.stderr
