"""Forked children leave the parent's endpoints alone, and using one there raises.

Spawn and sub-interpreters are here too.
"""

import asyncio
import multiprocessing
import os
import subprocess
import sys
from typing import Any

import pytest
from support import PATIENCE, linux_only, write_frames
from zerobuffer import BufferConfig, Client, Reader, Server, Tap, Writer, ZeroBufferException

pytestmark = linux_only

#: What a child may try with the endpoints of its parent.
USES = [
    "reader.read_frame(0)",
    "reader.read_frame(0.1)",
    "reader.latest(0)",
    "reader.get_metadata()",
    "reader.is_writer_connected()",
    "reader.is_writer_connected(10)",
    "writer.write_frame(b'x')",
    "writer.write_frame(bytes(100_000))",
    "writer.get_frame_buffer(10)",
    "writer.commit_frame()",
    "writer.set_metadata(b'x')",
    "writer.is_reader_connected()",
    "writer.loan(10).__enter__()",
]


def in_child(function: Any) -> int:
    """Run a function in a forked child; returns its exit code."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            code = function()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize("use", USES)
@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_using_an_endpoint_of_the_parent_raises(reader: Reader, writer: Writer, use: str) -> None:
    def attempt() -> int:
        try:
            eval(use, {"reader": reader, "writer": writer})
        except ZeroBufferException as error:
            return 0 if "fork" in str(error) else 1
        return 2

    assert in_child(attempt) == 0
    writer.write_frame(b"undisturbed")
    frame = reader.read_frame()
    assert frame is not None
    assert (bytes(frame), frame.sequence) == (b"undisturbed", 1)


@pytest.mark.parametrize(
    "use",
    [
        "client.call(b'x')",
        "client.call(b'x', None)",
        "client.set_metadata(b'x')",
        "asyncio.run(client.call_async(b'x'))",
        "server.start()",
    ],
)
@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_using_a_channel_of_the_parent_raises(name: str, use: str) -> None:
    """And a child that stops, closes and collects there disturbs nothing."""
    server = Server(name)
    server.handler(bytes)

    def attempt() -> int:
        try:
            eval(use, {"asyncio": asyncio, "client": client, "server": server, "tap": tap})
        except ZeroBufferException:
            pass
        else:
            return 2
        client.close()
        server.stop()
        tap.close()
        return 0

    with server, Client(name) as client, Reader(f"{name}-r") as reader, Tap(reader.name) as tap:
        assert bytes(client.call(b"before")) == b"before"
        assert in_child(attempt) == 0
        assert bytes(client.call(b"after")) == b"after"


@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_closing_and_collecting_in_the_child(name: str) -> None:
    reader = Reader(name, BufferConfig(64, 8192))
    writer = Writer(name)
    writer.write_frame(b"before")
    writer.write_frame(b"second")
    frames = [reader.read_frame()]
    views = [frames[0].data]  # type: ignore[union-attr]
    box: list[Any] = [reader, writer]

    def attempt() -> int:
        views.clear()
        frames.clear()
        for endpoint in box:
            endpoint.close()
        box.clear()
        return 0

    assert in_child(attempt) == 0
    assert os.path.exists(f"/dev/shm/{name}")
    assert views[0] == b"before"
    frames.clear()
    views.clear()
    writer.write_frame(b"after")
    assert [bytes(reader.read_frame() or b"") for _ in range(2)] == [b"second", b"after"]
    assert writer.is_reader_connected()
    assert reader.is_writer_connected()
    writer.close()
    reader.close()


def test_a_child_that_exits_normally_destroys_nothing(name: str) -> None:
    """``__del__`` and the interpreter's shutdown run in such a child."""
    code = f"""
import os, sys
from zerobuffer import Reader, Writer
reader = Reader({name!r})
writer = Writer({name!r})
writer.write_frame(b"frame")
frame = reader.read_frame()
data = frame.data
if os.fork() == 0:
    sys.exit(0)
os.wait()
writer.write_frame(b"second")
assert bytes(reader.read_frame()) == b"second"
assert bytes(data) == b"frame"
assert os.path.exists("/dev/shm/{name}")
print("alive")
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stdout, run.stderr) == (0, "alive\n", "")


def test_a_child_of_a_blocked_reader(name: str) -> None:
    """The fork happens while another thread waits and holds whatever it holds."""
    code = f"""
import os, threading, time
from zerobuffer import Reader, Writer, ZeroBufferException
reader = Reader({name!r})
writer = Writer({name!r})
result = []
thread = threading.Thread(target=lambda: result.append(reader.read_frame(None)))
thread.start()
time.sleep(0.1)
pid = os.fork()
if pid == 0:
    try:
        reader.read_frame(None)
    except ZeroBufferException as error:
        reader.close()
        writer.close()
        os._exit(0 if "fork" in str(error) else 1)
    os._exit(2)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
writer.write_frame(b"frame")
thread.join()
assert bytes(result[0]) == b"frame"
writer.close()
reader.close()
print("alive")
"""
    run = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stdout, run.stderr) == (0, "alive\n", "")


def test_a_child_may_have_endpoints_of_its_own(name: str, reader: Reader) -> None:
    code = f"""
import os, sys
from zerobuffer import Reader, Writer
reader = Reader({name + "-own"!r})
pid = os.fork()
if pid == 0:
    with Writer({name + "-own"!r}) as writer:
        writer.write_frame(b"from the child")
    with Reader({name + "-childs"!r}) as own, Writer({name + "-childs"!r}) as writer:
        writer.write_frame(b"mine")
        assert bytes(own.read_frame()) == b"mine"
    sys.exit(0)
assert bytes(reader.read_frame(30.0)) == b"from the child"
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
reader.close()
print("alive")
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stdout, run.stderr) == (0, "alive\n", "")


def test_spawn(reader: Reader) -> None:
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=write_frames, args=(reader.name, 50))
    process.start()
    for i in range(50):
        frame = reader.read_frame(timeout=PATIENCE)
        assert frame is not None
        assert frame.data == bytes([i]) * 1000
    process.join()
    assert process.exitcode == 0


def test_endpoints_cannot_be_pickled(reader: Reader, writer: Writer) -> None:
    import pickle

    writer.write_frame(b"x")
    for endpoint in (reader, writer, reader.read_frame()):
        with pytest.raises(TypeError, match="pickle"):
            pickle.dumps(endpoint)


def test_subinterpreters_refuse_clearly() -> None:
    code = """
import sys
import zerobuffer
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
script = '''
try:
    import zerobuffer
except ImportError as error:
    print(error, flush=True)
'''
interpreter = interpreters.create()
if hasattr(interpreters, "exec"):
    interpreters.exec(interpreter, script)
else:
    interpreters.run_string(interpreter, script)
interpreters.destroy(interpreter)
"""
    run = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    assert "subinterpreter" in run.stdout
