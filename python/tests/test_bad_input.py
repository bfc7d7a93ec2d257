"""What every call can be given: timeouts of all kinds, and buffers that go while it waits."""

import asyncio
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest
import zerobuffer
from support import PATIENCE, unique_name
from zerobuffer import Broadcaster, BufferConfig, Client, Frame, Reader, Server, Tap, Writer
from zerobuffer.duplex import DuplexClient, ImmutableDuplexServer


class Ends:
    """Endpoints that nothing comes to: an idle reader, and servers whose handlers do not return."""

    def __init__(self, name: str, stack: ExitStack) -> None:
        self.name = name
        self.go = threading.Event()
        self.reader = stack.enter_context(Reader(name))
        self.lonely = stack.enter_context(Reader(f"{name}-lonely"))
        self.writer = stack.enter_context(Writer(name))
        self.tap = stack.enter_context(Tap(name))
        self.broadcaster = stack.enter_context(Broadcaster(name))
        self.server = Server(f"{name}-s")
        self.server.handler(self.handle)
        stack.enter_context(self.server)
        self.client = stack.enter_context(Client(f"{name}-s"))
        old = stack.enter_context(ImmutableDuplexServer(f"{name}-d", BufferConfig(64, 65536), persistent=True))
        old.start(self.handle_old)
        self.old_client = stack.enter_context(DuplexClient(f"{name}-d", timeout=PATIENCE))
        # First of all at the end.
        stack.callback(self.go.set)

    @property
    def absent(self) -> str:
        return f"{self.name}-absent"

    def handle(self, request: Frame) -> bytes:
        self.go.wait(PATIENCE)
        return bytes(request)

    def handle_old(self, request: Frame, writer: Writer) -> None:
        self.go.wait(PATIENCE)
        writer.write_frame(request)


@pytest.fixture
def ends(name: str) -> Iterator[Ends]:
    with ExitStack() as stack:
        yield Ends(name, stack)


@pytest.fixture(scope="module")
def idle() -> Iterator[Ends]:
    """Ends for all tests that leave them as they are."""
    with ExitStack() as stack:
        yield Ends(unique_name("idle"), stack)


def milliseconds(timeout: Any) -> Any:
    return timeout if isinstance(timeout, str) else timeout * 1000


#: Every call that takes a timeout.
CALLS: dict[str, Callable[[Ends, Any], Any]] = {
    "read_frame": lambda ends, timeout: ends.reader.read_frame(timeout),
    "latest": lambda ends, timeout: ends.reader.latest(timeout),
    "read_frame_async": lambda ends, timeout: asyncio.run(ends.reader.read_frame_async(timeout)),
    "latest_async": lambda ends, timeout: asyncio.run(ends.reader.latest_async(timeout)),
    "wait": lambda ends, timeout: zerobuffer.wait([ends.reader, ends.lonely], timeout),
    "Tap.next": lambda ends, timeout: ends.tap.next(timeout),
    "Tap.latest": lambda ends, timeout: ends.tap.latest(timeout),
    "wait_for_subscribers": lambda ends, timeout: ends.broadcaster.wait_for_subscribers(1, timeout),
    "is_writer_connected": lambda ends, timeout: ends.lonely.is_writer_connected(milliseconds(timeout)),
    "Writer": lambda ends, timeout: Writer(ends.absent, timeout=timeout),
    "Writer.connect_async": lambda ends, timeout: asyncio.run(Writer.connect_async(ends.absent, timeout=timeout)),
    "Client": lambda ends, timeout: Client(ends.absent, timeout=timeout),
    "Client.connect_async": lambda ends, timeout: asyncio.run(Client.connect_async(ends.absent, timeout=timeout)),
    "Client.call": lambda ends, timeout: ends.client.call(b"x", timeout),
    "Client.call_async": lambda ends, timeout: asyncio.run(ends.client.call_async(b"x", timeout)),
    "Server.wait": lambda ends, timeout: ends.server.wait(timeout),
    "Server.wait_async": lambda ends, timeout: asyncio.run(ends.server.wait_async(timeout)),
    "DuplexClient": lambda ends, timeout: DuplexClient(ends.absent, timeout=timeout),
    "DuplexClient.call": lambda ends, timeout: ends.old_client.call(b"x", timeout),
    "DuplexClient.call_async": lambda ends, timeout: asyncio.run(ends.old_client.call_async(b"x", timeout)),
    "receive_response": lambda ends, timeout: ends.old_client.receive_response(timeout=timeout),
    "receive_response_async": lambda ends, timeout: asyncio.run(
        ends.old_client.receive_response_async(timeout=timeout)
    ),
}


@pytest.mark.parametrize("call", CALLS)
def test_any_timeout(idle: Ends, call: str) -> None:
    """It ends without a result, or is an error; it never waits for ever."""
    for timeout in (0, 0.0, -1, -math.inf, 1e-9, 0.02):
        with suppress(FileNotFoundError, TimeoutError):
            assert not CALLS[call](idle, timeout), timeout
    with pytest.raises(ValueError, match="NaN"):
        CALLS[call](idle, math.nan)
    with pytest.raises(TypeError):
        CALLS[call](idle, "1")


def make(ends: Ends, what: str) -> None:
    """Bring about what a call waits for."""
    if what == "frame":
        ends.writer.write_frame(b"at last")
    elif what == "answers":
        ends.go.set()
    elif what == "subscriber":
        made.append(Reader.subscribe(ends.name).close)
    else:
        server = Server(ends.absent)
        server.handler(bytes)
        server.start()
        reader = Reader(ends.absent)
        made.extend([server.stop, reader.close])


made: "list[Callable[[], None]]" = []


@pytest.mark.parametrize("timeout", [None, math.inf], ids=str)
@pytest.mark.parametrize(
    ("call", "what"),
    [
        ("read_frame", "frame"),
        ("latest", "frame"),
        ("read_frame_async", "frame"),
        ("latest_async", "frame"),
        ("wait", "frame"),
        ("Tap.next", "frame"),
        ("wait_for_subscribers", "subscriber"),
        ("Writer", "peer"),
        ("Writer.connect_async", "peer"),
        ("Client", "peer"),
        ("Client.connect_async", "peer"),
        ("Client.call", "answers"),
        ("Client.call_async", "answers"),
        ("DuplexClient.call", "answers"),
        ("DuplexClient.call_async", "answers"),
    ],
)
def test_for_ever(ends: Ends, call: str, what: str, timeout: Any) -> None:
    got: list[Any] = []
    waiting = threading.Thread(target=lambda: got.append(CALLS[call](ends, timeout)))
    waiting.start()
    waiting.join(0.03)
    assert waiting.is_alive()
    try:
        make(ends, what)
        waiting.join(PATIENCE)
        assert not waiting.is_alive()
        (result,) = got
        assert result
        if what == "peer":
            result.close()
    finally:
        while made:
            made.pop()()


def test_a_buffer_that_goes_while_its_write_waits(name: str) -> None:
    """The write is an error and leaves nothing; the next one goes out."""

    async def main(reader: Reader, writer: Writer) -> None:
        await writer.write_frame_async(bytes(3000))
        view = memoryview(bytearray(b"gone" * 500))
        frame = reader.read_frame(0)
        assert frame is not None
        lost = [asyncio.ensure_future(writer.write_frame_async(data)) for data in (view, frame)]
        kept = asyncio.ensure_future(writer.write_frame_async(b"next"))
        await asyncio.sleep(0.05)
        assert not any(write.done() for write in [*lost, kept])
        view.release()
        frame.dispose()
        for write in lost:
            with pytest.raises(ValueError, match="released"):
                await write
        await kept
        after = reader.read_frame(0)
        assert after is not None
        assert (bytes(after), after.sequence) == (b"next", 2)

    with Reader(name, BufferConfig(64, 4096)) as reader, Writer(name) as writer:
        asyncio.run(main(reader, writer))


def test_a_request_whose_buffer_goes_while_it_waits(name: str) -> None:
    go = threading.Event()
    server = Server(name, BufferConfig(64, 4096))

    @server.handler
    def answer(request: Frame) -> bytes:
        go.wait(PATIENCE)
        return bytes(request.data[:1])

    async def main(client: Client) -> None:
        calls = [asyncio.ensure_future(client.call_async(bytes([i]) * 1800, PATIENCE)) for i in range(4)]
        view = memoryview(bytearray(1800))
        lost = asyncio.ensure_future(client.call_async(view, PATIENCE))
        late = asyncio.ensure_future(client.call_async(b"\x09", PATIENCE))
        await asyncio.sleep(0.05)
        view.release()
        go.set()
        with pytest.raises(ValueError, match="released"):
            await lost
        assert [response.data[0] for response in await asyncio.gather(*calls, late)] == [0, 1, 2, 3, 9]

    with server, Client(name, response_size=65536) as client:
        asyncio.run(main(client))


def test_a_buffer_cannot_be_resized_while_its_write_waits(name: str) -> None:
    with Reader(name, BufferConfig(64, 4096)) as reader, Writer(name, write_timeout=PATIENCE) as writer:
        writer.write_frame(bytes(4000))
        data = bytearray(b"whole" * 100)
        waiting = threading.Thread(target=writer.write_frame, args=(data,))
        waiting.start()
        waiting.join(0.1)
        assert waiting.is_alive()
        with pytest.raises(BufferError):
            data.extend(bytes(1 << 20))
        frame = reader.read_frame(0)
        assert frame is not None
        frame.dispose()
        waiting.join(PATIENCE)
        data.extend(b"!")
        assert bytes(reader.read_frame(PATIENCE) or b"") == b"whole" * 100
