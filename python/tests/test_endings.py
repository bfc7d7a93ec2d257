"""Ways to end the interpreter with live endpoints: no abort, no wrong word, no file left.

Each is a process of its own, with Python's development mode on and warnings as errors.
"""

import subprocess
import sys
import textwrap

import pytest
from support import PATIENCE, files_of

BEFORE = """
import asyncio, atexit, gc, os, signal, sys, threading, time, weakref
import zerobuffer
from zerobuffer import BufferConfig, Reader, Writer, ZeroBufferException
from zerobuffer.duplex import DuplexClient, ImmutableDuplexServer, MutableDuplexServer, ProcessingMode
NAME = sys.argv[1]
SMALL = BufferConfig(4096, 65536)
def pair():
    reader = Reader(NAME, SMALL)
    return reader, Writer(NAME)
def serve(**options):
    server = ImmutableDuplexServer(NAME, SMALL, persistent=True)
    server.start(lambda frame, writer: writer.write_frame(frame.data), **options)
    return server
"""

#: What the process does, and what it returns if not 0.
WAYS = {
    "globals": "reader, writer = pair()",
    "held frame": "reader, writer = pair(); writer.write_frame(b'x'); frame = reader.read_frame(); view = frame.data",
    "reservation": "reader, writer = pair(); view = writer.get_frame_buffer(100)",
    "entered loan": "reader, writer = pair(); loan = writer.loan(9); view = loan.__enter__()",
    "cycle": "reader, writer = pair(); box = [reader, writer]; box.append(box); gc.disable(); del box, reader, writer",
    "del that uses endpoints": """
        reader, writer = pair()
        class Late:
            def __del__(self):
                for call in (lambda: writer.write_frame(b"late"), lambda: reader.read_frame(0), lambda: Writer("none")):
                    try:
                        call()
                    except ZeroBufferException:
                        pass
        sys.late = late = Late()
    """,
    "del in a module that goes last": """
        reader, writer = pair()
        class Late:
            def __init__(self, *used):
                self.used = used
            def __del__(self):
                reader, writer, error = self.used
                for call in (lambda: writer.write_frame(b"late"), lambda: reader.read_frame(0), reader.close):
                    try:
                        call()
                    except error:
                        pass
        sys.modules["sys"].late = Late(reader, writer, ZeroBufferException)
    """,
    "suspended generator": """
        reader, writer = pair()
        def frames():
            try:
                for frame in reader:
                    yield frame
            finally:
                try:
                    reader.read_frame(0)
                    writer.write_frame(b"end")
                except ZeroBufferException:
                    pass
        writer.write_frame(b"x")
        generator = frames(); next(generator)
        sys.kept = generator
    """,
    "atexit before": """
        def late():
            try:
                writer.write_frame(b"late")
            except ZeroBufferException:
                pass
        atexit.register(late)
        reader, writer = pair()
    """,
    "atexit that opens": "atexit.register(lambda: setattr(sys, 'late', Reader(NAME, SMALL)))",
    "daemon thread reads": """
        reader, writer = pair()
        threading.Thread(target=reader.read_frame, args=(None,), daemon=True).start(); time.sleep(0.1)
    """,
    "daemon thread writes": """
        reader, writer = pair()
        def write():
            while True:
                writer.write_frame(bytes(30000))
        threading.Thread(target=write, daemon=True).start(); time.sleep(0.2)
    """,
    "daemon thread streams both": """
        reader, writer = pair()
        def write():
            while True:
                writer.write_frame(bytes(100))
        def read():
            for frame in reader:
                frame.array() if "numpy" in sys.modules else bytes(frame)
        for target in (write, read):
            threading.Thread(target=target, daemon=True).start()
        time.sleep(0.3)
    """,
    "broadcaster": """
        reader = Reader.subscribe(NAME); broadcaster = zerobuffer.Broadcaster(NAME)
        broadcaster.wait_for_subscribers(); broadcaster.write_frame(b"x")
    """,
    "daemon thread broadcasts": """
        reader = Reader(NAME + "@stuck", SMALL); broadcaster = zerobuffer.Broadcaster(NAME, policy=600.0)
        broadcaster.wait_for_subscribers()
        def write():
            while True:
                broadcaster.write_frame(bytes(30000))
        threading.Thread(target=write, daemon=True).start(); time.sleep(0.2)
    """,
    "thread that ends soon": """
        reader, writer = pair()
        thread = threading.Thread(target=reader.read_frame, args=(0.3,)); thread.start()
    """,
    "event loop with a waiting read": """
        reader, writer = pair()
        async def main():
            asyncio.ensure_future(reader.read_frame_async(None)); await asyncio.sleep(0.05)
        asyncio.run(main())
    """,
    "event loop with a waiting write": """
        reader, writer = pair()
        async def main():
            tasks = [asyncio.ensure_future(writer.write_frame_async(bytes(30000))) for _ in range(4)]
            await asyncio.sleep(0.05)
        asyncio.run(main())
    """,
    "server": "server = serve()",
    "server without a name": "serve()",
    "server and client": "server = serve(); client = DuplexClient(NAME); response = client.call(b'hello')",
    "server with a busy handler": """
        server = ImmutableDuplexServer(NAME, SMALL, persistent=True)
        server.start(lambda frame, writer: time.sleep(0.5))
        client = DuplexClient(NAME); client.send_request(b"x"); time.sleep(0.1)
    """,
    "pool with busy handlers": """
        server = ImmutableDuplexServer(NAME, SMALL, persistent=True)
        server.start(lambda frame, writer: time.sleep(0.5), None, ProcessingMode.THREAD_POOL)
        client = DuplexClient(NAME); [client.send_request(b"x") for _ in range(4)]; time.sleep(0.1)
    """,
    "daemon thread calls": """
        server = serve(); client = DuplexClient(NAME)
        def call():
            while True:
                client.call(b"x")
        threading.Thread(target=call, daemon=True).start(); time.sleep(0.2)
    """,
    "sys.exit": ("reader, writer = pair(); sys.exit(3)", 3),
    "exception": ("reader, writer = pair(); raise SystemExit('ended')", 1),
    "keyboard interrupt": ("reader, writer = pair(); server = None; signal.raise_signal(signal.SIGINT)", -2),
    "exit in a thread": "reader, writer = pair(); thread = threading.Thread(target=sys.exit); thread.start()",
    "forked child exits": """
        reader, writer = pair()
        child = os.fork()
        if child == 0:
            sys.exit(0)
        assert os.waitpid(child, 0)[1] == 0
        writer.write_frame(b"still there"); assert bytes(reader.read_frame()) == b"still there"
    """,
    "handed to the module": "zerobuffer.kept = pair()",
    "weak finalizer": """
        reader, writer = pair()
        class Thing: pass
        thing = Thing(); weakref.finalize(thing, writer.close); weakref.finalize(reader, print, end="")
    """,
}


@pytest.mark.parametrize("way", WAYS)
def test_the_interpreter_ends_well(name: str, way: str) -> None:
    given = WAYS[way]
    code, expected = given if isinstance(given, tuple) else (given, 0)
    if "fork" in code and not hasattr(__import__("os"), "fork"):
        pytest.skip("no fork here")
    # A fork in a process with threads is warned of from 3.12 on, with reason.
    warn = ["-W", "ignore:.*multi-threaded:DeprecationWarning"] if "fork" in code else []
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", *warn, "-c", BEFORE + textwrap.dedent(code), name],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == expected, done.stderr
    said = {"exception": "ended\n"}.get(way, "")
    if way != "keyboard interrupt":
        assert done.stderr == said
    left = [f"{name}{end}" for end in ("", "_request", "_response", "@stuck") if files_of(f"{name}{end}")]
    assert left == []
