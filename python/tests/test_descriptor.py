"""The descriptor that event loops wait for, and who else uses the endpoint meanwhile."""

import asyncio
import os
import select
import selectors
import sys
import threading
import time
from collections.abc import Coroutine
from typing import Any, Callable

import pytest
from support import PATIENCE, child, wait_until
from zerobuffer import (
    BufferConfig,
    Client,
    Frame,
    NoResponseException,
    Reader,
    Server,
    Writer,
    WriterDeadException,
    ZeroBufferException,
    wait,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="descriptors of Linux")


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, PATIENCE))


def threads() -> "set[str]":
    """Names of all threads of the process, also of those that are not Python's."""
    names = set()
    for task in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{task}/comm") as comm:
                names.add(comm.read().strip())
        except FileNotFoundError:
            pass
    return names


@pytest.mark.parametrize("newest", [False, True])
def test_add_reader(name: str, newest: bool) -> None:
    """A program's own callback, as README says."""
    code = """
        import sys, time
        from zerobuffer import Writer
        with Writer(sys.argv[1], timeout=60.0) as writer:
            for i in range(30):
                writer.write_frame(bytes([i]) * 100)
                time.sleep(0.01)
    """

    async def main(reader: Reader) -> None:
        loop, got, over = asyncio.get_running_loop(), [], asyncio.Event()

        def on_readable() -> None:
            try:
                while (frame := reader.read_frame(0)) is not None:
                    got.append(frame.data[0])
                    frame.dispose()
            except WriterDeadException:
                over.set()

        loop.add_reader(reader, on_readable)
        with child(code, name) as writer:
            await over.wait()
            writer.finish()
        loop.remove_reader(reader)
        assert got == sorted(set(got))
        assert got[-1] == 29
        if not newest:
            assert got == list(range(30))

    with Reader(name, newest=newest) as reader:
        run(main(reader))


def test_poll_and_selectors(reader: Reader, writer: Writer) -> None:
    assert reader.fileno() == reader.fileno()
    poll, selector = select.poll(), selectors.DefaultSelector()
    poll.register(reader, select.POLLIN)
    selector.register(reader, selectors.EVENT_READ)
    assert poll.poll(1000), "the first look is yet to be taken"
    # It may be readable for nothing, once.
    wait_until(lambda: reader.read_frame(0) is None and poll.poll(0) == [], "it is not readable any more")
    writer.write_frame(b"x")
    assert poll.poll(PATIENCE * 1000)
    assert selector.select(PATIENCE)
    assert bytes(reader.read_frame(0) or b"") == b"x"
    # It may be readable for nothing, once.
    wait_until(lambda: reader.read_frame(0) is None and poll.poll(0) == [], "it is not readable any more")
    selector.close()


def test_a_closed_reader_has_no_descriptor(name: str) -> None:
    reader = Reader(name)
    number = reader.fileno()
    assert reader.read_frame(0) is None
    poll = select.poll()
    poll.register(number, select.POLLIN)
    reader.close()
    assert poll.poll(0), "who waits learns of the end"
    with pytest.raises(ZeroBufferException, match="closed"):
        reader.fileno()
    with pytest.raises(ZeroBufferException, match="closed"):
        reader.read_frame(0)


def test_no_thread_of_the_package_waits(name: str) -> None:
    """Reads, writes, and calls of many endpoints wait by the one thread of the core."""
    server = Server(f"{name}-server")

    @server.handler
    async def answer(request: Frame) -> bytes:
        await asyncio.sleep(0.2)
        return bytes(request)

    async def main() -> None:
        readers = [Reader(f"{name}-{i}", BufferConfig(64, 4096)) for i in range(20)]
        writers = [Writer(reader.name) for reader in readers]
        reads = [asyncio.ensure_future(reader.read_frame_async(None)) for reader in readers[:10]]
        for writer in writers[10:]:
            writer.write_frame(bytes(3000))
        writes = [asyncio.ensure_future(writer.write_frame_async(bytes(3000))) for writer in writers[10:]]
        async with server, await Client.connect_async(f"{name}-server") as client:
            calls = [asyncio.ensure_future(client.call_async(b"x")) for _ in range(5)]
            await asyncio.sleep(0.1)
            waiting = {thread for thread in threads() if thread.startswith(("zerobuffer-a", "zerobuffer-w", "asyncio"))}
            assert len(waiting) <= 1, waiting
            assert not [thread.name for thread in threading.enumerate() if thread.name == "zerobuffer-asyncio"]
            for writer in writers[:10]:
                writer.write_frame(b"y")
            for reader in readers[10:]:
                frame = reader.read_frame()
                assert frame is not None
                frame.dispose()
            await asyncio.gather(*reads, *writes, *calls)
        for endpoint in [*readers, *writers]:
            endpoint.close()

    run(main())


def test_a_thread_that_reads_beside_a_coroutine(reader: Reader, writer: Writer) -> None:
    """A waiting call of another thread takes the wake-ups away; the coroutine gets them back."""

    async def main() -> None:
        pending = asyncio.ensure_future(reader.read_frame_async(None))
        await asyncio.sleep(0.05)
        taken: list[Any] = []
        thread = threading.Thread(target=lambda: taken.append(reader.read_frame(0.3)))
        thread.start()
        await asyncio.sleep(0.1)
        writer.write_frame(b"one")
        writer.write_frame(b"two")
        frame = await pending
        assert frame is not None
        await asyncio.to_thread(thread.join)
        rest = taken[0]
        assert rest is not None
        assert {bytes(frame), bytes(rest)} == {b"one", b"two"}
        # Long after the thread has gone.
        late = asyncio.ensure_future(reader.read_frame_async(None))
        await asyncio.sleep(0.05)
        writer.write_frame(b"three")
        frame = await late
        assert bytes(frame or b"") == b"three"

    run(main())


def test_a_reservation_beside_a_coroutine_that_writes(reader: Reader, writer: Writer) -> None:
    async def main() -> None:
        view = await asyncio.to_thread(writer.get_frame_buffer, 4)
        # So that a descriptor is there.
        pending = asyncio.ensure_future(writer.write_frame_async(b"second"))
        await asyncio.sleep(0.1)
        assert not pending.done()
        view[:] = b"1st."
        await asyncio.to_thread(writer.commit_frame)
        await pending
        assert [bytes(reader.read_frame(0) or b"") for _ in range(2)] == [b"1st.", b"second"]

    run(main())


def test_a_write_that_waits_for_the_next_reader(name: str) -> None:
    async def main() -> None:
        first = Reader(name, BufferConfig(64, 4096))
        writer = Writer(name, reconnect=True, write_timeout=PATIENCE)
        await writer.write_frame_async(bytes(3000))
        pending = asyncio.ensure_future(writer.write_frame_async(b"for the next" * 200))
        await asyncio.sleep(0.1)
        first.close()
        await asyncio.sleep(0.3)
        assert not pending.done()
        with Reader(name, BufferConfig(64, 4096)) as second:
            await pending
            assert bytes(second.read_frame(0) or b"") == b"for the next" * 200
            # And the ring of that one is waited for, too.
            await writer.write_frame_async(bytes(3000))
            again = asyncio.ensure_future(writer.write_frame_async(bytes(3000)))
            await asyncio.sleep(0.1)
            assert not again.done()
            frame = second.read_frame(0)
            assert frame is not None
            frame.dispose()
            await again
        writer.close()

    run(main())


def test_an_iterator_is_written_whole_after_a_wait(name: str) -> None:
    async def main() -> None:
        with Reader(name, BufferConfig(64, 4096)) as reader, Writer(name) as writer:
            writer.write_frame(bytes(3900))
            pending = asyncio.ensure_future(writer.write_frame_async(iter(range(200))))
            await asyncio.sleep(0.1)
            frame = reader.read_frame(0)
            assert frame is not None
            frame.dispose()
            await pending
            assert bytes(reader.read_frame(0) or b"") == bytes(range(200))

    run(main())


def test_idle_waits_cost_nothing(name: str) -> None:
    """Also after a frame that nobody asks for."""

    async def main() -> None:
        with Reader(name) as reader, Writer(name) as writer:
            pending = asyncio.ensure_future(reader.read_frame_async(None))
            await asyncio.sleep(0.05)
            writer.write_frame(b"x")
            await pending
            writer.write_frame(b"nobody asks for this one")
            begun = time.process_time()
            await asyncio.sleep(1.0)
            assert time.process_time() - begun < 0.3

    run(main())


def test_requests_wait_for_room_and_responses_come_by_the_loop(name: str) -> None:
    """Requests that do not fit the ring, in order; a call without an answer; one after the end."""
    seen: list[int] = []
    go = threading.Event()
    server = Server(name, BufferConfig(4096, 4096))

    @server.handler
    def answer(request: Frame) -> bytes:
        seen.append(request.data[0])
        if request.data[0] == 99:
            go.wait(PATIENCE)
        return bytes(request.data[:1])

    async def main() -> None:
        async with await Client.connect_async(name) as client:
            answers = await asyncio.gather(*(client.call_async(bytes([i]) * 1000) for i in range(60)))
            assert [response.data[0] for response in answers] == list(range(60))
            assert seen == list(range(60))
            for response in answers:
                response.dispose()
            # The handler does not go on before all of this is over.
            with pytest.raises(NoResponseException):
                await client.call_async(bytes([99]), 0.1)
            pending = asyncio.ensure_future(client.call_async(bytes([99]), None))
            await asyncio.sleep(0.1)
            client.close()
            with pytest.raises(ZeroBufferException, match="closed"):
                await pending
            go.set()

    with server:
        run(main())


def test_two_event_loops_share_a_reader(name: str) -> None:
    """First called, first served, whichever loop it was."""

    async def take(reader: Reader, count: int, got: "list[int]") -> None:
        for _ in range(count):
            frame = await reader.read_frame_async(None)
            assert frame is not None
            got.append(frame.data[0])
            frame.dispose()

    with Reader(name) as reader, Writer(name) as writer:
        halves: list[list[int]] = [[], []]
        loops = [threading.Thread(target=run, args=(take(reader, 100, half),)) for half in halves]
        for loop in loops:
            loop.start()
        for i in range(200):
            writer.write_frame(bytes([i]))
            if i % 10 == 0:
                time.sleep(0.002)
        for loop in loops:
            loop.join(PATIENCE)
        assert sorted(halves[0] + halves[1]) == list(range(200))
        assert all(half == sorted(half) for half in halves)


def test_what_was_served_in_between_is_no_stall(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if that was a turn of the event loop's own, and not the descriptor's."""
    from zerobuffer import _engine

    monkeypatch.setattr(_engine, "_LONG", 0.0)
    seen: list[str] = []

    class Lane(_engine.Lane):
        found = False

        def serve(self, call: Any, seconds: float) -> bool:
            return self.found and bool(call.answer(True))

        def stalled(self) -> None:
            seen.append("stalled")

    async def main() -> None:
        loop, lane = asyncio.get_running_loop(), Lane()
        for _ in range(3):
            call = _engine.Call()
            lane.calls.append(call)
            lane._ready(loop)
            lane.found = True
            assert lane.run()
            assert await call.future
            lane.found = False
        assert seen == []
        lane.calls.append(_engine.Call())
        lane._ready(loop)
        lane._ready(loop)
        assert seen == ["stalled"]

    run(main())


def test_wait_sleeps_until_there_is_something(name: str) -> None:
    with Reader(f"{name}-1") as first, Reader(f"{name}-2") as second, Writer(f"{name}-2") as writer:
        begun = time.process_time()
        assert wait([first, second], 0.5) == []
        assert time.process_time() - begun < 0.1
        later = threading.Timer(0.2, writer.write_frame, (b"x",))
        later.start()
        assert wait([first, second], PATIENCE) == [second]
        later.join()


def test_coroutine_handlers_finish_at_the_end_of_with(name: str) -> None:
    """A handler that runs gets its time, and its client the answer."""
    begun = threading.Event()
    ends: list[str] = []

    def serve(how: Callable[[Server], None]) -> Server:
        server = Server(name)

        @server.handler
        async def answer(request: Frame) -> bytes:
            begun.set()
            await asyncio.sleep(0.7)
            ends.append("finished")
            return b"done"

        begun.clear()
        how(server)
        return server

    def plainly(server: Server) -> None:
        with server, Client(name) as client:
            answers: list[bytes] = []
            caller = threading.Thread(target=lambda: answers.append(bytes(client.call(b"x", PATIENCE))))
            caller.start()
            assert begun.wait(PATIENCE)
            server.stop()
            assert ends == ["finished"]
            caller.join(PATIENCE)
            assert answers == [b"done"]

    def in_a_loop(server: Server) -> None:
        async def main() -> None:
            client: Client
            async with server:
                client = await Client.connect_async(name)
                call = asyncio.ensure_future(client.call_async(b"x", PATIENCE))
                await asyncio.to_thread(begun.wait, PATIENCE)
            assert ends == ["finished", "finished"]
            assert bytes(await call) == b"done"
            client.close()

        run(main())

    serve(plainly)
    serve(in_a_loop)


def test_a_coroutine_handler_that_never_ends_is_cancelled(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from zerobuffer import _server

    monkeypatch.setattr(_server, "_FINISH", 0.3)
    begun, cancelled = threading.Event(), threading.Event()
    server = Server(name)

    @server.handler
    async def answer(request: Frame) -> None:
        begun.set()
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    with server, Client(name) as client:

        def call() -> None:
            with pytest.raises(ZeroBufferException):
                client.call(b"x", PATIENCE)

        caller = threading.Thread(target=call)
        caller.start()
        assert begun.wait(PATIENCE)
        start = time.monotonic()
        server.stop()
        assert time.monotonic() - start < 2.0
        assert cancelled.is_set()
        client.close()
        caller.join(PATIENCE)
    assert "1 of its handlers did not finish within 0.3 s" in caplog.text
    wait_until(lambda: not server.is_running, "the server has stopped")
