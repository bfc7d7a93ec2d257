"""Duplex channels: the published calls, the README's calls, and what is new."""

import asyncio
import contextlib
import gc
import sys
import threading
import time
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zerobuffer
from support import PATIENCE, Child, child, files_of, pattern, required, unique_name, wait_until
from zerobuffer import BufferConfig, ErrorEventArgs, Frame, Reader, Writer
from zerobuffer.duplex import (
    DuplexChannelFactory,
    DuplexClient,
    DuplexResponse,
    IDuplexChannelFactory,
    IDuplexClient,
    IImmutableDuplexServer,
    ImmutableDuplexServer,
    IMutableDuplexServer,
    MutableDuplexServer,
    ProcessingMode,
)

CONFIG = BufferConfig(4096, 1024 * 1024)
SMALL = 1024 * 1024

ECHO = """
    import sys
    from zerobuffer import BufferConfig
    from zerobuffer.duplex import ImmutableDuplexServer

    def echo(frame, writer):
        writer.write_frame(frame.data)

    server = ImmutableDuplexServer(sys.argv[1], BufferConfig(4096, 1 << 20), persistent=True)
    server.start(echo)
    print("ready", flush=True)
    sys.stdin.readline()
    server.stop()
"""


@pytest.fixture
def channel() -> Iterator[str]:
    """A channel of its own; nothing may be left of it."""
    name = unique_name("duplex")
    yield name
    gc.collect()
    wait_until(lambda: not files_of(f"{name}_request") and not files_of(f"{name}_response"), "both buffers are gone")


def echo(frame: Frame, writer: Writer) -> None:
    writer.write_frame(frame.data)


def connect(channel: str) -> DuplexClient:
    return DuplexClient(channel, response_size=SMALL, timeout=PATIENCE)


class Server:
    """A server in this process with a record of its errors."""

    def __init__(self, channel: str, handler: Callable[..., Any], persistent: bool = True, **options: Any) -> None:
        self.errors: list[Exception] = []
        self.server = ImmutableDuplexServer(channel, CONFIG, persistent=persistent)
        self.server.add_error_handler(lambda event: self.errors.append(event.exception))
        self.server.start(handler, **options)

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.server.stop()


def test_readme(channel: str) -> None:
    factory = DuplexChannelFactory()
    config = BufferConfig(metadata_size=4096, payload_size=10 * 1024 * 1024)
    server = factory.create_immutable_server(channel, config)

    def handle_request(frame: Frame, response_writer: Writer) -> None:
        with frame:
            request_data = bytes(frame.data)
            response_writer.write_frame(request_data.upper())

    server.start(handle_request, mode=ProcessingMode.SINGLE_THREAD)
    client = factory.create_client(channel)
    client.send_request(b"Hello, server!")
    response = client.receive_response(timeout=5.0)
    if response:
        with response:
            assert response.data is not None
            assert bytes(response.data) == b"HELLO, SERVER!"
            assert response.sequence == 1
    else:
        pytest.fail("no response")
    client.close()
    server.stop()


def test_readme_error_handling_and_metadata(channel: str) -> None:
    seen: list[object] = []
    server = DuplexChannelFactory.get_instance().create_immutable_server(channel, CONFIG)

    def handle_error(args: ErrorEventArgs) -> None:
        seen.append(args.exception)

    def on_init(metadata: memoryview) -> None:
        seen.append(bytes(metadata).decode())
        kept.append(metadata)

    kept: list[memoryview] = []

    def fail(frame: Frame, writer: Writer) -> None:
        raise LookupError("handler")

    server.add_error_handler(handle_error)
    server.add_error_handler(handle_error)
    server.start(fail, on_init=on_init)
    with connect(channel) as client:
        client.set_metadata(b"camera 7")
        for _ in range(2):
            # The failure comes back at once.
            assert not client.call(b"x", timeout=PATIENCE)
        reader = server.request_reader
        assert isinstance(reader, Reader)
        metadata = reader.get_metadata()
        assert metadata is not None
        assert bytes(metadata) == b"camera 7"
        assert reader.frames_read == 2
        with pytest.raises(zerobuffer.ZeroBufferException, match="handlers get them"):
            reader.read_frame()
    assert seen[0] == "camera 7"
    assert [type(item) for item in seen[1:3]] == [LookupError, LookupError]
    with pytest.raises(ValueError, match="released"):
        kept[0].tobytes()
    # Not persistent: the end of its client stops it, and is reported as in 1.x.
    wait_until(lambda: not server.is_running, "the server has stopped")
    wait_until(lambda: isinstance(seen[-1], zerobuffer.WriterDeadException), "the handlers were told")
    server.remove_error_handler(handle_error)
    wait_until(lambda: server.request_reader is None, "the request buffer is gone")


def test_the_request_buffer_stays_until_all_have_heard_of_the_end(channel: str) -> None:
    """Error handlers may look at it; it goes when they have returned."""
    seen: list[object] = []
    go = threading.Event()
    server = ImmutableDuplexServer(channel, CONFIG)

    def hear(event: ErrorEventArgs) -> None:
        reader = server.request_reader
        seen.append((type(event.exception), server.is_running, reader is not None and reader.frames_read))
        go.wait(PATIENCE)

    server.add_error_handler(hear)
    server.start(echo)
    with connect(channel) as client:
        assert client.call(b"x", PATIENCE)
    wait_until(lambda: seen, "the handler is told")
    assert seen == [(zerobuffer.WriterDeadException, False, 1)]
    assert server.request_reader is not None
    go.set()
    wait_until(lambda: server.request_reader is None, "the request buffer is gone")


def test_the_classes_are_what_they_were() -> None:
    assert issubclass(ImmutableDuplexServer, IImmutableDuplexServer)
    assert issubclass(MutableDuplexServer, IMutableDuplexServer)
    assert issubclass(DuplexClient, IDuplexClient)
    assert issubclass(DuplexChannelFactory, IDuplexChannelFactory)
    assert DuplexChannelFactory.get_instance() is DuplexChannelFactory.get_instance()
    assert [mode.value for mode in ProcessingMode] == ["single_thread", "thread_pool"]
    missing = [name for name in zerobuffer.duplex.__all__ if not hasattr(zerobuffer, name)]
    assert missing == []


def test_old_calls(channel: str) -> None:
    with Server(channel, echo), connect(channel) as client:
        assert client.send_request(b"one") == 1
        sequence, room = client.acquire_request_buffer(3)
        assert sequence == 2
        room[:] = b"two"
        client.commit_request()
        with pytest.raises(ValueError, match="released"):
            room[0] = 1
        first = client.receive_response(5000)
        assert (first.sequence, first.to_bytes(), len(first), first.is_valid) == (1, b"one", 3, True)
        client.release_response(first)
        assert not first
        with pytest.raises(ValueError, match="released"):
            first.to_bytes()
        second = client.receive_response(timeout_ms=5000)
        assert (second.sequence, second.to_bytes()) == (2, b"two")
        second.dispose()
        second.dispose()
        nothing = client.receive_response(timeout_ms=1)
        assert isinstance(nothing, DuplexResponse)
        assert (bool(nothing), nothing.is_valid, nothing.sequence, nothing.data, len(nothing)) == (
            False,
            False,
            0,
            None,
            0,
        )
        with pytest.raises(TypeError):
            client.receive_response(1, timeout=1.0)
        assert client.is_server_connected
        with pytest.raises(zerobuffer.ZeroBufferException, match="no pending request"):
            client.commit_request()
        client.acquire_request_buffer(10)
        with pytest.raises(zerobuffer.ZeroBufferException, match="neither sent nor given up"):
            client.send_request(b"in between")
        assert client.abort_request()
        assert not client.abort_request()
        assert client.send_request(b"three") == 3
    assert not client.is_server_connected
    with pytest.raises(zerobuffer.ZeroBufferException, match="closed"):
        client.send_request(b"late")
    client.close()


def test_every_way_of_answering(channel: str) -> None:
    def handler(frame: Frame, writer: Writer) -> None:
        data = bytes(frame.data)
        kind, rest = data[0], data[1:]
        assert isinstance(writer, Writer)
        if kind == 0:
            writer.write_frame(rest)
        elif kind == 1:
            room = writer.get_frame_buffer(len(rest))
            room[:] = rest
            writer.commit_frame()
        elif kind == 2:
            with writer.loan(len(rest)) as view:
                view[:] = rest
        elif kind == 3:
            with pytest.raises(RuntimeError), writer.loan(5):
                raise RuntimeError
            writer.get_frame_buffer(1)
            assert writer.abort_frame()
            room = writer.get_frame_buffer(100)
            room[: len(rest)] = rest
            writer.commit_frame(size=len(rest))
        elif kind == 4:
            writer.write_frame(list(rest))
        elif kind == 5:
            writer.write_frame(memoryview(rest[::-1])[::-1])
        assert writer.is_reader_connected()
        assert writer.capacity == SMALL
        assert writer.frames_written >= 1

    with Server(channel, handler) as server, connect(channel) as client:
        for kind in range(6):
            with client.call(bytes([kind]) + b"answer", PATIENCE) as response:
                assert response.to_bytes() == b"answer"
        assert server.errors == []


def test_a_missing_and_a_second_answer_are_reported(channel: str) -> None:
    keep: list[Writer] = []

    def handler(frame: Frame, writer: Writer) -> None:
        keep.append(writer)
        for number in range(bytes(frame.data)[0]):
            if number % 2:
                room = writer.get_frame_buffer(1)
                room[0] = number
                writer.commit_frame()
            else:
                writer.write_frame(bytes([number]))

    with Server(channel, handler) as server, connect(channel) as client:
        assert client.call(b"\x03", PATIENCE).to_bytes() == b"\x00"
        assert not client.call(b"\x00", 0.1)
        assert client.call(b"\x01", PATIENCE).to_bytes() == b"\x00"
        wait_until(lambda: len(server.errors) == 2, "both are reported")
        texts = [str(error) for error in server.errors]
        assert "request 1 wrote 3 responses" in texts[0]
        assert "request 2 wrote 0 responses" in texts[1]
        with pytest.raises(zerobuffer.ZeroBufferException, match="its handler has returned"):
            keep[0].write_frame(b"late")


def test_a_pool_overlaps_and_keeps_the_order(channel: str) -> None:
    # All five are in their handlers at once, and go on in the opposite order of their requests.
    together = threading.Barrier(5)
    turns = [threading.Event() for _ in range(6)]
    turns[1].set()
    written: list[int] = []

    def handler(frame: Frame, writer: Writer) -> None:
        step = frame.data[0]
        together.wait(PATIENCE)
        assert turns[step].wait(PATIENCE)
        written.append(step)
        if step < 5:
            turns[step + 1].set()
        writer.write_frame(frame.data)

    with Server(channel, handler, mode=ProcessingMode.THREAD_POOL, workers=5) as server, connect(channel) as client:
        for step in (5, 4, 3, 2, 1):
            client.send_request(bytes([step]))
        answers = [client.receive_response(timeout=PATIENCE) for _ in range(5)]
        assert [answer.to_bytes()[0] for answer in answers] == [5, 4, 3, 2, 1]
        assert [answer.sequence for answer in answers] == [1, 2, 3, 4, 5]
        assert written == [1, 2, 3, 4, 5]
        assert server.errors == []


def test_a_global_channel(channel: str) -> None:
    """For other Windows sessions; elsewhere the buffers are the usual ones."""
    try:
        server = ImmutableDuplexServer(channel, CONFIG, persistent=True, global_=True)
        server.start(echo)
    except zerobuffer.ZeroBufferException as error:
        if sys.platform != "win32" or "SeCreateGlobalPrivilege" not in str(error):
            raise
        pytest.skip("this process may not create global objects")
    with server, DuplexClient(channel, response_size=SMALL, timeout=PATIENCE, global_=True) as client:
        assert len(files_of(f"{channel}_request")) == len(files_of(f"{channel}_response")) > 0
        with client.call(b"to every session", PATIENCE) as response:
            assert response.is_valid
            assert response.data is not None
            assert bytes(response.data) == b"to every session"
    with MutableDuplexServer(channel, CONFIG, global_=True) as mutable:
        mutable.start(lambda frame: None)
        assert mutable.is_running


@pytest.mark.parametrize("mode", [ProcessingMode.SINGLE_THREAD, ProcessingMode.THREAD_POOL])
def test_a_mutable_server(channel: str, mode: ProcessingMode) -> None:
    def handler(frame: Frame) -> None:
        with frame:
            data = frame.data
            for i in range(len(data)):
                data[i] ^= 0xFF
            if len(data) == 3:
                raise ValueError("three")

    errors: list[str] = []
    with DuplexChannelFactory().create_mutable_server(channel, CONFIG, persistent=True) as server:
        server.add_error_handler(lambda event: errors.append(str(event.exception)))
        server.start(handler, mode)
        with connect(channel) as client:
            for size in (1, 2, 100):
                data = pattern(size, size)
                assert client.call(data, PATIENCE).to_bytes() == bytes(byte ^ 0xFF for byte in data)
            assert not client.call(b"abc", 0.1)
            wait_until(lambda: errors == ["three"], "the exception is reported")


def test_start_and_stop(channel: str) -> None:
    server = ImmutableDuplexServer(channel, CONFIG, persistent=True)
    assert not server.is_running
    server.stop()
    with pytest.raises(ValueError, match="Invalid processing mode"):
        server.start(echo, None, "fast")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="workers"):
        server.start(echo, mode=ProcessingMode.THREAD_POOL, workers=0)
    assert not server.is_running
    for _ in range(3):
        server.start(echo)
        assert server.is_running
        with pytest.raises(zerobuffer.ZeroBufferException, match="already running"):
            server.start(echo)
        other = ImmutableDuplexServer(channel, CONFIG)
        with pytest.raises(zerobuffer.ReaderAlreadyConnectedException):
            other.start(echo)
        # The buffer exists when start returns.
        with DuplexClient(channel, response_size=4096) as client:
            assert client.call(b"x", PATIENCE)
            server.stop()
            assert not server.is_running
            with pytest.raises((zerobuffer.WriterDeadException, zerobuffer.ReaderDeadException)):
                client.call(b"x", PATIENCE)


def test_stop_from_a_handler_and_while_one_is_busy(channel: str) -> None:
    times: list[float] = []
    release = threading.Event()

    def handler(frame: Frame, writer: Writer) -> None:
        if bytes(frame.data) == b"wait":
            release.wait(PATIENCE)
        else:
            started = time.monotonic()
            server.server.stop()
            times.append(time.monotonic() - started)
        writer.write_frame(b"answered")

    with Server(channel, handler) as server, connect(channel) as client:
        assert client.call(b"stop", PATIENCE).to_bytes() == b"answered"
        assert times[0] < 1.0
    with Server(channel, handler) as server, connect(channel) as client:
        client.send_request(b"wait")
        wait_until(lambda: client.is_server_connected, "the server is connected")
        time.sleep(0.05)
        started = time.monotonic()
        server.server.stop()
        assert time.monotonic() - started < 1.0
        release.set()
        assert client.receive_response(timeout=PATIENCE).to_bytes() == b"answered"
        assert server.errors == []


def test_no_client_in_time_is_reported(channel: str) -> None:
    errors: list[Exception] = []
    server = ImmutableDuplexServer(channel, CONFIG, 0.1)
    server.add_error_handler(lambda event: errors.append(event.exception))
    server.start(echo)
    wait_until(lambda: not server.is_running and bool(errors), "it has stopped")
    assert "no client has connected within" in str(errors[0])


def test_errors_of_error_handlers_and_of_on_init(channel: str, caplog: pytest.LogCaptureFixture) -> None:
    def bad_handler(event: ErrorEventArgs) -> None:
        raise KeyError("bad handler")

    def on_init(metadata: memoryview) -> None:
        raise RuntimeError(f"init {len(metadata)}")

    with Server(channel, echo) as server:
        server.server.stop()
        server.server.add_error_handler(bad_handler)
        server.server.start(echo, on_init)
        with connect(channel) as client:
            client.set_metadata(b"")
            assert client.call(b"x", PATIENCE)
        assert str(server.errors[0]) == "init 0"
    assert any("Error in error handler" in record.message for record in caplog.records)


def test_five_threads_share_a_client(channel: str) -> None:
    wrong: list[Any] = []

    def ask(thread: int) -> None:
        for i in range(20):
            data = f"{thread} {i}".encode()
            with client.call(data, PATIENCE) as response:
                if response.to_bytes() != data:
                    wrong.append((data, response))

    with Server(channel, echo), connect(channel) as client:
        threads = [threading.Thread(target=ask, args=(i,)) for i in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_a_full_response_ring_names_its_parameter() -> None:
    name = unique_name("space")
    with Server(name, echo), pytest.raises(zerobuffer.ZeroBufferException, match="response_size"):
        DuplexClient(name, response_size=1 << 50)
    with pytest.raises(zerobuffer.ZeroBufferException, match="has no server"):
        DuplexClient(name)
    assert files_of(f"{name}_response") == []


def test_processes_and_a_killed_client(channel: str) -> None:
    with child(ECHO, channel) as server:
        assert server.line() == "ready"
        for _ in range(3):
            with child(
                """
                import sys
                from zerobuffer.duplex import DuplexClient
                client = DuplexClient(sys.argv[1], response_size=65536, timeout=30)
                for i in range(5):
                    client.send_request(b"not waited for")
                print("sent", flush=True)
                sys.stdin.readline()
                """,
                channel,
            ) as client:
                assert client.line() == "sent"
                client.process.kill()
            with connect(channel) as next_client:
                for i in range(3):
                    assert next_client.call(pattern(1000, i), PATIENCE).to_bytes() == pattern(1000, i)
        server.send("end")
        server.finish()


def test_a_killed_server_is_noticed(channel: str) -> None:
    with child(ECHO, channel) as server:
        assert server.line() == "ready"
        with connect(channel) as client:
            assert client.call(b"x", PATIENCE)
            server.process.kill()
            server.process.wait()
            started = time.monotonic()
            with pytest.raises((zerobuffer.WriterDeadException, zerobuffer.ReaderDeadException)):
                client.call(b"x", PATIENCE)
            assert time.monotonic() - started < 5
    # The dead server's buffer is taken over by the next one.
    with Server(channel, echo):
        pass


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_who_receives_learns_of_a_dead_writer_whichever_buffer_ends_first(channel: str, end: str) -> None:
    def ends(server: Child) -> None:
        if end == "kill":
            server.process.kill()
        else:
            server.send()

    # As in 1.3.0: always this class, of the two that the ends of a channel's buffers have.
    for attempt in range(10):
        with child(ECHO, channel) as server:
            assert server.line() == "ready"
            with connect(channel) as client:
                assert client.call(b"x", PATIENCE)
                ending = threading.Timer(0.03 + 0.007 * attempt, ends, [server])
                ending.start()
                with pytest.raises(zerobuffer.WriterDeadException):
                    client.receive_response(timeout=PATIENCE)
                ending.join()
            server.finish(expect=None)
        # The dead server's buffer is taken over by the next one.
        with Server(channel, echo):
            pass


def test_a_running_server_ends_with_its_interpreter(channel: str) -> None:
    with child(
        """
        import sys
        from zerobuffer import BufferConfig
        from zerobuffer.duplex import ImmutableDuplexServer
        ImmutableDuplexServer(sys.argv[1], BufferConfig(), persistent=True).start(lambda frame, writer: None)
        """,
        channel,
    ) as process:
        process.finish()


OLD = """
    import sys
    sys.path.remove("")
    from importlib.metadata import version
    assert version("zerobuffer-ipc") == "1.3.0"
    from zerobuffer import BufferConfig
    from zerobuffer.duplex import DuplexChannelFactory
    factory = DuplexChannelFactory.get_instance()
    if sys.argv[2] == "client":
        client = factory.create_client(sys.argv[1])
        for i in range(1, 30):
            data = bytes([i]) * (i * 997)
            assert client.send_request(data) == i
            with client.receive_response(20000) as response:
                assert (response.sequence, bytes(response.data)) == (i, data), response
        client.close()
    else:
        inits = []
        server = factory.create_immutable_server(sys.argv[1], BufferConfig(4096, 1 << 20), 5.0)
        echo = lambda frame, writer: writer.write_frame(bytes(frame.data))
        server.start(echo, lambda view: inits.append(bytes(view)))
        print("ready", flush=True)
        sys.stdin.readline()
        assert inits == [b"metadata"], inits
        server.stop()
    print("done", flush=True)
"""


def old(channel: str, role: str) -> Child:
    python = required("ZEROBUFFER_TEST_OLD_PYTHON", "a Python with zerobuffer-ipc 1.3.0")
    return Child(OLD, channel, role, python=python, env={"PYTHONPATH": ""})


def remove_files(name: str) -> None:
    """1.3.0 leaves its semaphores behind."""
    for path in files_of(name):
        Path(path).unlink()


@pytest.mark.parametrize("mode", list(ProcessingMode))
def test_an_old_client_asks_our_server(mode: ProcessingMode) -> None:
    channel = unique_name("old")
    with Server(channel, echo, mode=mode) as server:
        for _ in range(2):
            client = old(channel, "client")
            try:
                assert client.line() == "done"
                client.finish(expect=None)
            finally:
                client.close()
        wait_until(lambda: len(server.errors) == 2, "the ends of both clients are reported")
        assert {type(error) for error in server.errors} == {zerobuffer.WriterDeadException}
    remove_files(f"{channel}_response")


def test_our_client_asks_an_old_server() -> None:
    channel = unique_name("old")
    server = old(channel, "server")
    try:
        assert server.line() == "ready"
        with connect(channel) as client:
            client.set_metadata(b"metadata")
            for i in range(1, 30):
                data = pattern(i * 997, i)
                with client.call(data, PATIENCE) as response:
                    assert (response.sequence, response.to_bytes()) == (i, data)
            server.send("end")
            assert server.line() == "done"
            with pytest.raises((zerobuffer.WriterDeadException, zerobuffer.ReaderDeadException)):
                client.call(b"x", PATIENCE)
        server.finish(expect=None)
    finally:
        server.close()
        remove_files(f"{channel}_request")


def test_coroutines(channel: str) -> None:
    async def handler(frame: Frame, writer: Writer) -> None:
        data = bytes(frame.data)
        await asyncio.sleep(0.01)
        if len(data) % 2:
            writer.write_frame(data)
        else:
            room = writer.get_frame_buffer(len(data))
            room[:] = data
            writer.commit_frame()

    async def run() -> None:
        async with ImmutableDuplexServer(channel, CONFIG, persistent=True) as server:
            await server.start_async(handler, mode=ProcessingMode.THREAD_POOL, workers=4)
            async with connect(channel) as client:
                requests = [pattern(size, size) for size in range(1, 20)]
                answers = await asyncio.gather(*(client.call_async(data, PATIENCE) for data in requests))
                assert [answer.to_bytes() for answer in answers] == requests
                sequence = await client.send_request_async(b"sent")
                # A response that comes in a cancelled wait is not lost.
                waiting = asyncio.ensure_future(client.receive_response_async(timeout=PATIENCE))
                await asyncio.sleep(0.005)
                waiting.cancel()
                await asyncio.sleep(0.2)
                response = await client.receive_response_async(timeout=PATIENCE)
                assert (response.sequence, response.to_bytes()) == (sequence, b"sent")
                assert not await client.receive_response_async(timeout_ms=1)

    asyncio.run(run())


def test_a_mutable_server_of_coroutines(channel: str) -> None:
    async def handler(frame: Frame) -> None:
        await asyncio.sleep(0)
        frame.data[0] = 42

    async def run() -> None:
        async with MutableDuplexServer(channel, CONFIG, persistent=True) as server:
            await server.start_async(handler)
            async with connect(channel) as client:
                assert (await client.call_async(b"xyz", PATIENCE)).to_bytes() == b"*yz"

    asyncio.run(run())


def test_a_coroutine_s_writer_has_the_rules_of_a_function_s(channel: str) -> None:
    def answer(frame: Frame, writer: Writer) -> None:
        kind = bytes(frame.data).decode()
        room = writer.get_frame_buffer(4) if kind.startswith("commit") else memoryview(b"")
        try:
            if kind == "commit 2":
                room[:] = b"abcd"
                writer.commit_frame(size=2)
                with pytest.raises(ValueError, match="released"):
                    room[0] = 1
                return
            if kind.startswith("commit "):
                writer.commit_frame(size=int(kind[7:]))
            elif kind.startswith("get "):
                writer.get_frame_buffer(int(kind[4:]))
            elif kind == "commit nothing":
                writer.commit_frame()
            elif kind == "array":
                return writer.write_frame(memoryview(array("I", [1, 2, 3]))[::2])
            else:
                other: dict[str, Any] = {"int": 7, "str": "x", "none": None, "empty": b"", "large": bytes(SMALL)}
                writer.write_frame(other[kind])
        except (zerobuffer.ZeroBufferException, TypeError) as error:
            writer.abort_frame()
            writer.write_frame(type(error).__name__.encode())

    async def answer_async(frame: Frame, writer: Writer) -> None:
        answer(frame, writer)

    kinds = ["commit 2", "commit 5", "commit -1", "commit 0", "get 0", "get -1", f"get {SMALL}"]
    kinds += ["int", "str", "none", "empty", "large", "array"]

    async def ask() -> list[bytes]:
        async with connect(channel) as client:
            return [(await client.call_async(kind.encode(), PATIENCE)).to_bytes() for kind in kinds]

    async def run() -> list[bytes]:
        async with ImmutableDuplexServer(channel, CONFIG, persistent=True) as server:
            await server.start_async(answer_async)
            return await ask()

    with Server(channel, answer):
        expected = asyncio.run(ask())
    assert expected[:3] == [b"ab", b"ZeroBufferException", b"InvalidFrameSizeException"]
    assert expected[7:10] == [b"TypeError"] * 3
    assert asyncio.run(run()) == expected


def test_a_coroutine_that_writes_metadata_does_not_block_its_loop(channel: str) -> None:
    entered: list[bytes] = []
    errors: list[Exception] = []

    async def handler(frame: Frame, writer: Writer) -> None:
        data = bytes(frame.data)
        entered.append(data)
        if data == b"first":
            while b"second" not in entered:
                await asyncio.sleep(0.001)
            # The second is in its handler, and has its turn to write only after this one.
            await asyncio.sleep(0.05)
        else:
            writer.set_metadata(b"from the server")
            with pytest.raises(zerobuffer.MetadataAlreadyWrittenException):
                writer.set_metadata(b"again")
        writer.write_frame(data)
        with pytest.raises(zerobuffer.ZeroBufferException, match="before the response"):
            writer.set_metadata(b"late")

    async def run() -> None:
        async with ImmutableDuplexServer(channel, CONFIG, persistent=True) as server:
            server.add_error_handler(lambda event: errors.append(event.exception))
            await server.start_async(handler, mode=ProcessingMode.THREAD_POOL, workers=2)
            async with connect(channel) as client:
                answers = await asyncio.gather(*(client.call_async(text, PATIENCE) for text in (b"first", b"second")))
                assert [answer.to_bytes() for answer in answers] == [b"first", b"second"]
                assert errors == []
                # Written already: reported, and answered nevertheless.
                assert (await client.call_async(b"second", PATIENCE)).to_bytes() == b"second"
                assert await server.drain_async(PATIENCE)
        assert [type(error) for error in errors] == [zerobuffer.MetadataAlreadyWrittenException]

    asyncio.run(run())


def test_a_blocking_receive_gets_what_a_cancelled_one_hands_back(channel: str) -> None:
    go = threading.Event()

    def handler(frame: Frame, writer: Writer) -> None:
        go.wait(PATIENCE)
        writer.write_frame(frame.data)

    async def run(client: DuplexClient) -> None:
        client.send_request(b"sent")
        waiting = asyncio.ensure_future(client.receive_response_async(timeout=PATIENCE))
        await asyncio.sleep(0.02)
        waiting.cancel()
        # The cancelled wait still has its thread, which takes the response.
        go.set()
        response = await asyncio.get_running_loop().run_in_executor(
            None, lambda: client.receive_response(timeout=PATIENCE)
        )
        assert response.to_bytes() == b"sent"

    with Server(channel, handler), connect(channel) as client:
        for _ in range(10):
            go.clear()
            asyncio.run(run(client))
        started = time.monotonic()
        assert not client.receive_response(timeout=0.2)
        assert time.monotonic() - started >= 0.19
        with pytest.raises(ValueError, match="NaN"):
            client.receive_response(timeout=float("nan"))


def test_a_timeout_of_none_waits_for_ever(channel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from zerobuffer.duplex import client as module

    # In place of five seconds.
    default = 0.2
    monkeypatch.setattr(module, "_FIVE_SECONDS", default)
    for call in (DuplexClient.receive_response, DuplexClient.receive_response_async):
        defaults: Any = call.__kwdefaults__
        assert defaults["timeout"] == 5.0
        monkeypatch.setitem(defaults, "timeout", default)

    def handler(frame: Frame, writer: Writer) -> None:
        if frame.sequence == 1:
            time.sleep(3 * default)
        writer.write_frame(frame.data)

    async def run(client: DuplexClient) -> list[DuplexResponse]:
        blocking = asyncio.get_running_loop().run_in_executor(None, lambda: client.receive_response(timeout=None))
        return list(await asyncio.gather(client.receive_response_async(timeout=None), blocking))

    with Server(channel, handler), connect(channel) as client:
        client.send_request(b"slow")
        client.send_request(b"next")
        assert not client.receive_response(), "the default is shorter than the handler takes"
        answers = asyncio.run(run(client))
        assert sorted(answer.to_bytes() for answer in answers) == [b"next", b"slow"]
        with pytest.raises(TypeError, match="not both"):
            client.receive_response(1, timeout=None)


def test_start_refuses_coroutine_functions(channel: str) -> None:
    async def answer(frame: Frame, writer: Writer) -> None:
        pass

    async def edit(frame: Frame) -> None:
        pass

    with pytest.raises(TypeError, match="start_async"):
        ImmutableDuplexServer(channel, CONFIG).start(answer)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="start_async"):
        MutableDuplexServer(channel, CONFIG).start(edit)  # type: ignore[arg-type]


def test_at_most_one_thread_waits_for_all_calls_of_a_client(channel: str, way: str) -> None:
    go = threading.Event()

    def handler(frame: Frame, writer: Writer) -> None:
        go.wait(PATIENCE)
        writer.write_frame(frame.data)

    def waiting() -> list[int]:
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        return [ident for ident, name in names.items() if name == "zerobuffer-asyncio" and ident is not None]

    async def run(client: DuplexClient) -> None:
        calls = [asyncio.ensure_future(client.call_async(bytes([i]), PATIENCE)) for i in range(20)]
        calls.append(asyncio.ensure_future(client.receive_response_async(timeout=PATIENCE)))
        while way == "thread" and not waiting():
            await asyncio.sleep(0.01)
        before = waiting()
        assert len(before) == (way == "thread")
        await asyncio.sleep(0.3)
        assert waiting() == before
        calls[3].cancel()
        assert not await client.receive_response_async(timeout=0.05)
        await client.send_request_async(b"sent")
        go.set()
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert isinstance(answers.pop(3), asyncio.CancelledError)
        assert [answer.to_bytes() for answer in answers if isinstance(answer, DuplexResponse)] == [
            *(bytes([i]) for i in range(20) if i != 3),
            b"sent",
        ]

    wait_until(lambda: waiting() == [], "those of other tests have ended")
    with Server(channel, handler), connect(channel) as client:
        asyncio.run(run(client))
        wait_until(lambda: waiting() == [], "the thread has ended")


@pytest.mark.usefixtures("way")
def test_no_response_is_lost_or_doubled_by_cancelling(channel: str) -> None:
    async def run(client: DuplexClient) -> None:
        got: list[int] = []
        for i in range(300):
            client.send_request(bytes([i % 256]))
            waits = [asyncio.ensure_future(client.receive_response_async(timeout=PATIENCE)) for _ in range(2)]
            for _ in range(i % 7):
                await asyncio.sleep(0)
            if i % 3:
                await asyncio.sleep(i % 5 / 5000)
            waits[i % 2].cancel()
            with contextlib.suppress(asyncio.CancelledError):
                got.append((await waits[i % 2]).sequence)
            if i % 2:
                waits[(i + 1) % 2].cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    got.append((await waits[(i + 1) % 2]).sequence)
            elif len(got) == i + 1:
                waits[(i + 1) % 2].cancel()
            else:
                got.append((await waits[(i + 1) % 2]).sequence)
            while len(got) < i + 1:
                got.append((await client.receive_response_async(timeout=PATIENCE)).sequence)
        assert sorted(got) == list(range(1, 301))

    with Server(channel, echo), connect(channel) as client:
        asyncio.run(run(client))


@pytest.mark.usefixtures("way")
def test_the_end_of_a_server_ends_all_waiting_calls(channel: str) -> None:
    async def run(client: DuplexClient, server: Server) -> None:
        calls = [asyncio.ensure_future(client.call_async(b"x", None)) for _ in range(3)]
        calls.append(asyncio.ensure_future(client.receive_response_async(timeout=None)))
        await asyncio.sleep(0.1)
        server.server.stop()
        first, *others = await asyncio.gather(*calls, return_exceptions=True)
        # Its handler was running: it may finish, and its client learns that it wrote nothing.
        assert isinstance(first, DuplexResponse)
        assert isinstance(first.error, zerobuffer.RemoteError)
        for answer in others:
            assert isinstance(answer, (zerobuffer.WriterDeadException, zerobuffer.ReaderDeadException))

    # A handler that writes nothing would be reported to its client at once.
    with Server(channel, lambda frame, writer: time.sleep(0.5)) as server, connect(channel) as client:
        asyncio.run(run(client, server))
