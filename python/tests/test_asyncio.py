"""Asynchronous reading and writing: no frame and no thread is lost, whatever is cancelled.

By the event loop itself, and by the thread that waits where the loop cannot.
"""

import asyncio
import gc
import random
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Coroutine
from contextlib import ExitStack
from datetime import timedelta
from typing import Any, TypeVar

import pytest
from support import PATIENCE, child, unique_name, wait_until
from zerobuffer import (
    BufferConfig,
    BufferFullException,
    Frame,
    Reader,
    Writer,
    WriterDeadException,
    ZeroBufferException,
)
from zerobuffer.duplex import DuplexClient, ImmutableDuplexServer

T = TypeVar("T")


pytestmark = pytest.mark.usefixtures("way")


@pytest.fixture
def by_thread(way: str) -> None:
    """Is for the thread alone."""
    if way != "thread":
        pytest.skip("no thread takes part")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine; afterwards no thread of the package may be left."""

    async def limited() -> T:
        return await asyncio.wait_for(work, PATIENCE)

    try:
        return asyncio.run(limited())
    finally:
        wait_until(lambda: waiters() == [], "the waiting threads have ended")


def waiters() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("zerobuffer")]


async def received(frame: Awaitable[Any]) -> bytes:
    got = await frame
    assert isinstance(got, Frame)
    return bytes(got)


def test_stream_from_another_process(reader: Reader) -> None:
    code = """
        import sys, time
        from zerobuffer import Writer
        with Writer(sys.argv[1]) as writer:
            for i in range(300):
                writer.write_frame(i.to_bytes(2, "little") * 200)
                if i % 50 == 0:
                    time.sleep(0.02)
    """

    async def consume() -> list[int]:
        return [int.from_bytes(frame.data[:2], "little") async for frame in reader.stream()]

    with child(code, reader.name) as writer:
        assert run(consume()) == list(range(300))
        writer.finish()


def test_the_loop_runs_while_a_read_waits(reader: Reader, writer: Writer) -> None:
    async def work() -> int:
        turns = 0
        pending = asyncio.ensure_future(reader.read_frame_async(None))
        while turns < 50:
            await asyncio.sleep(0)
            turns += 1
        assert not pending.done()
        writer.write_frame(b"late")
        assert await received(pending) == b"late"
        return turns

    assert run(work()) == 50


def test_timeout(reader: Reader) -> None:
    async def work() -> None:
        start = time.monotonic()
        assert await reader.read_frame_async(0.2) is None
        assert time.monotonic() - start >= 0.19
        assert await reader.read_frame_async(0) is None
        assert await reader.read_frame_async(timeout=-1.0) is None

    run(work())


def test_the_end_of_the_writer(reader: Reader) -> None:
    async def work() -> None:
        with Writer(reader.name) as writer:
            pending = asyncio.ensure_future(reader.read_frame_async(None))
            await asyncio.sleep(0.05)
            writer.write_frame(b"last")
            assert await received(pending) == b"last"
            pending = asyncio.ensure_future(reader.read_frame_async(None))
            await asyncio.sleep(0.05)
        with pytest.raises(WriterDeadException):
            await pending
        assert [frame async for frame in reader.stream()] == []

    run(work())


@pytest.mark.parametrize("delay", [0.0, 0.001, 0.01, 0.06])
def test_cancelled_reads_lose_nothing(reader: Reader, writer: Writer, delay: float) -> None:
    """Reads are cancelled all the time while frames come in; every frame arrives once, in order."""
    count = 200 if delay < 0.01 else 30

    async def work() -> list[int]:
        numbers: list[int] = []
        sent = 0
        while len(numbers) < count:
            pending = asyncio.ensure_future(reader.read_frame_async(None))
            if sent < count:
                await asyncio.sleep(delay)
                writer.write_frame(bytes([sent]))
                sent += 1
                await asyncio.sleep(0 if sent % 3 else delay)
                pending.cancel()
            try:
                frame = await pending
            except asyncio.CancelledError:
                continue
            assert frame is not None
            numbers.append(frame.data[0])
        return numbers

    assert run(work()) == list(range(count))
    assert reader.frames_read == count


def test_order_when_the_next_read_comes_before_the_cancelled_one_has_handed_back(
    reader: Reader, writer: Writer, by_thread: None
) -> None:
    """A frame taken for a cancelled read is not overtaken by the next one."""

    async def work() -> list[int]:
        async def read() -> Any:
            try:
                return await reader.read_frame_async(None)
            except asyncio.CancelledError:
                return await reader.read_frame_async(PATIENCE)

        pending = asyncio.ensure_future(read())
        await asyncio.sleep(0.05)
        pending.cancel()
        writer.write_frame(b"first")
        wait_until(lambda: reader.frames_read == 1, "the thread has taken the first frame")
        writer.write_frame(b"second")
        frames = [await pending, await reader.read_frame_async(PATIENCE)]
        return [frame.sequence for frame in frames]

    assert run(work()) == [1, 2]


def test_a_loop_that_ends_with_an_answer_under_way_loses_no_frame(
    reader: Reader, writer: Writer, by_thread: None
) -> None:
    loop = asyncio.new_event_loop()
    # which learns that the task is destroyed
    loop.set_exception_handler(lambda _loop, _context: None)
    pending = loop.create_task(reader.read_frame_async(None))
    loop.run_until_complete(asyncio.sleep(0.05))
    writer.write_frame(b"kept")
    wait_until(lambda: waiters() == [], "the waiting thread has handed its frame over and ended")
    loop.close()
    del pending
    gc.collect()
    frame = reader.read_frame(0)
    assert frame is not None
    assert bytes(frame) == b"kept"


def test_a_frame_of_a_cancelled_read_comes_next_in_a_plain_read(reader: Reader, writer: Writer) -> None:
    async def work() -> None:
        for i in range(20):
            pending = asyncio.ensure_future(reader.read_frame_async(None))
            await asyncio.sleep(0.002)
            writer.write_frame(bytes([i]))
            pending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await pending
            frame = await asyncio.get_running_loop().run_in_executor(None, reader.read_frame, PATIENCE)
            assert frame is not None
            assert bytes(frame) == bytes([i])

    run(work())
    assert reader.utilization == 0.0


def test_wait_for_loses_nothing(reader: Reader, writer: Writer) -> None:
    async def work() -> None:
        for i in range(20):
            try:
                frame = await asyncio.wait_for(reader.read_frame_async(None), 0.005)
            except asyncio.TimeoutError:
                frame = None
            assert frame is None
            writer.write_frame(bytes([i]))
            assert await received(reader.read_frame_async(PATIENCE)) == bytes([i])

    run(work())


def test_a_loop_that_ends_with_reads_pending(reader: Reader, writer: Writer) -> None:
    async def abandon() -> None:
        for _ in range(3):
            # Abandoned on purpose.
            asyncio.ensure_future(reader.read_frame_async(None))  # noqa: RUF006
        await asyncio.sleep(0.05)

    run(abandon())
    writer.write_frame(b"kept")

    async def resume() -> bytes:
        return await received(reader.read_frame_async(PATIENCE))

    assert run(resume()) == b"kept"


def test_several_reads_at_once(reader: Reader, writer: Writer, way: str) -> None:
    async def work() -> set[bytes]:
        pending = [asyncio.ensure_future(received(reader.read_frame_async(None))) for _ in range(10)]
        await asyncio.sleep(0.02)
        assert len(waiters()) == (way == "thread")
        for i in range(10):
            writer.write_frame(bytes([i]))
        return set(await asyncio.gather(*pending))

    assert run(work()) == {bytes([i]) for i in range(10)}


def test_close_ends_pending_reads(name: str) -> None:
    async def work() -> None:
        reader = Reader(name)
        pending = [asyncio.ensure_future(reader.read_frame_async(None)) for _ in range(3)]
        await asyncio.sleep(0.05)
        reader.close()
        for task in pending:
            with pytest.raises(ZeroBufferException, match="closed"):
                await task

    run(work())


def test_writing(name: str) -> None:
    """More than the ring holds, while the reader takes its time; the order is that of the calls."""

    async def work() -> list[int]:
        with Reader(name, BufferConfig(64, 4096)) as reader, Writer(name) as writer:
            writer.write_timeout = timedelta(seconds=PATIENCE)
            tasks = [asyncio.ensure_future(writer.write_frame_async(bytes([i]) * 1000)) for i in range(40)]
            numbers = []
            for _ in range(40):
                frame = await reader.read_frame_async(PATIENCE)
                assert frame is not None
                with frame:
                    numbers.append(frame.data[999])
            await asyncio.gather(*tasks)
            return numbers

    assert run(work()) == list(range(40))


def test_a_full_ring_raises_after_the_write_timeout(name: str) -> None:
    async def work() -> None:
        with Reader(name, BufferConfig(64, 4096)), Writer(name) as writer:
            writer.write_timeout = timedelta(milliseconds=250)
            await writer.write_frame_async(bytes(4000))
            start = time.monotonic()
            with pytest.raises(BufferFullException):
                await writer.write_frame_async(bytes(1000))
            assert time.monotonic() - start >= 0.2
            with pytest.raises(TypeError):
                await writer.write_frame_async(5)  # type: ignore[arg-type]

    run(work())


def test_refusing_writers_raise_at_once(name: str) -> None:
    async def work() -> None:
        with Reader(name, BufferConfig(64, 4096)), Writer(name, full="refuse") as writer:
            await writer.write_frame_async(bytes(4000))
            with pytest.raises(BufferFullException):
                await writer.write_frame_async(bytes(1000))
            assert waiters() == []

    run(work())


def test_cancelled_writes_are_whole_or_not_at_all(name: str) -> None:
    async def work() -> None:
        with Reader(name, BufferConfig(64, 4096)) as reader, Writer(name) as writer:
            writer.write_timeout = timedelta(seconds=PATIENCE)
            await writer.write_frame_async(b"A" * 4000)
            cancelled = asyncio.ensure_future(writer.write_frame_async(b"B" * 1000))
            kept = asyncio.ensure_future(writer.write_frame_async(b"C" * 1000))
            await asyncio.sleep(0.15)
            cancelled.cancel()
            with pytest.raises(asyncio.CancelledError):
                await cancelled
            assert await received(reader.read_frame_async(PATIENCE)) == b"A" * 4000
            await kept
            assert await received(reader.read_frame_async(PATIENCE)) == b"C" * 1000
            assert await reader.read_frame_async(0.1) is None

    run(work())


def test_an_interpreter_that_exits_with_reads_pending() -> None:
    """The loop is stopped, not closed; the waiting thread must not keep the process alive."""
    name = unique_name("exit")
    code = f"""
import asyncio
from zerobuffer import Reader
reader = Reader({name!r})
loop = asyncio.new_event_loop()
task = loop.create_task(reader.read_frame_async(None))
loop.run_until_complete(asyncio.sleep(0.1))
task._log_destroy_pending = False
print("leaving")
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE)
    assert (result.returncode, result.stdout) == (0, "leaving\n")
    with Reader(name):
        pass


def _waiting_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "zerobuffer-asyncio"]


def test_reads_of_many_tasks_are_served_in_their_order(name: str) -> None:
    """Also where the event loop gets a turn in between."""

    async def main(reader: Reader, writer: Writer) -> None:
        for start in (0, 100):
            if start:
                # Those that have to wait, too.
                reads = [asyncio.ensure_future(reader.read_frame_async(None)) for _ in range(100)]
                await asyncio.sleep(0.05)
            for i in range(100):
                writer.write_frame(bytes([start + i]))
            if not start:
                reads = [asyncio.ensure_future(reader.read_frame_async(None)) for _ in range(100)]
            frames = await asyncio.gather(*reads)
            assert [frame.data[0] for frame in frames if frame is not None] == list(range(start, start + 100))
            del frames, reads

    with Reader(name, BufferConfig(payload_size=64 * 1024)) as reader, Writer(name) as writer:
        asyncio.run(main(reader, writer))


def test_requests_of_many_tasks_are_sent_in_their_order(name: str) -> None:
    seen: list[int] = []

    def handler(frame: Frame, writer: Writer) -> None:
        seen.append(int.from_bytes(frame.data[:4], "little"))
        writer.write_frame(frame.data[:4])

    async def main() -> None:
        with DuplexClient(name, response_size=64 * 1024) as client:
            calls = [client.call_async(i.to_bytes(4, "little") + bytes(2000), 60.0) for i in range(300)]
            answers = await asyncio.gather(*calls)
            assert [int.from_bytes(answer.to_bytes(), "little") for answer in answers] == list(range(300))

    # Far fewer requests fit the ring than are sent.
    with ImmutableDuplexServer(name, BufferConfig(4096, 32 * 1024), persistent=True) as server:
        server.start(handler)
        asyncio.run(main())
    assert seen == list(range(300))


def test_one_thread_waits_for_all_endpoints_of_the_process(name: str, way: str) -> None:
    expected = ["zerobuffer-asyncio"] if way == "thread" else []

    async def main() -> None:
        with ExitStack() as stack:
            readers = [stack.enter_context(Reader(f"{name}-{i}", BufferConfig(64, 4096))) for i in range(12)]
            writers = [stack.enter_context(Writer(reader.name)) for reader in readers]
            for writer in writers[:3]:
                writer.write_frame(bytes(3000))
            reads = [asyncio.ensure_future(reader.read_frame_async(None)) for reader in readers[3:]]
            writes = [asyncio.ensure_future(writer.write_frame_async(bytes(3000))) for writer in writers[:3]]
            await asyncio.sleep(0.2)
            assert _waiting_threads() == expected
            for i, writer in enumerate(writers[3:]):
                writer.write_frame(bytes([i]))
            frames = await asyncio.wait_for(asyncio.gather(*reads), PATIENCE)
            assert [frame.data[0] for frame in frames if frame is not None] == list(range(9))
            for reader in readers[:3]:
                frame = reader.read_frame()
                assert frame is not None
                frame.dispose()
            await asyncio.wait_for(asyncio.gather(*writes), PATIENCE)
            assert _waiting_threads() == expected

    asyncio.run(main())
    wait_until(lambda: not _waiting_threads(), "the thread has ended")


def test_a_thread_that_cannot_be_started_fails_one_call(
    reader: Reader, writer: Writer, monkeypatch: pytest.MonkeyPatch, by_thread: None
) -> None:
    wait_until(lambda: not _waiting_threads(), "the thread of other tests has ended")

    async def main() -> None:
        def refuse(thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            for _ in range(2):
                with pytest.raises(RuntimeError, match="can't start"):
                    await asyncio.wait_for(reader.read_frame_async(5.0), PATIENCE)
        late = asyncio.ensure_future(reader.read_frame_async(PATIENCE))
        await asyncio.sleep(0.05)
        writer.write_frame(b"after all")
        frame = await late
        assert frame is not None
        assert bytes(frame) == b"after all"

    asyncio.run(main())


def test_random_cancellations_keep_the_order(name: str) -> None:
    """Reads are given up at any moment; what the others get is in order, and nothing is lost."""
    total = 3000
    dice = random.Random(7)

    async def read(reader: Reader, got: list[int]) -> None:
        while len(got) < total:
            task = asyncio.ensure_future(reader.read_frame_async(PATIENCE))
            if dice.random() < 0.2:
                await asyncio.sleep(dice.choice([0, 0, 0.0005]))
                task.cancel()
            try:
                frame = await task
            except asyncio.CancelledError:
                continue
            assert frame is not None
            got.append(int.from_bytes(frame.data, "little"))
            frame.dispose()

    async def write(writer: Writer) -> None:
        sent = 0
        while sent < total:
            task = asyncio.ensure_future(writer.write_frame_async(sent.to_bytes(4, "little")))
            before = writer.frames_written
            if dice.random() < 0.2:
                await asyncio.sleep(0)
                task.cancel()
            await asyncio.wait([task])
            sent += writer.frames_written - before

    async def main() -> None:
        got: list[int] = []
        with Reader(name, BufferConfig(64, 1024)) as reader, Writer(name) as writer:
            await asyncio.wait_for(asyncio.gather(read(reader, got), write(writer)), 120)
        assert got == list(range(total))

    asyncio.run(main())


def test_endpoints_are_asynchronous_contexts(name: str) -> None:
    async def main() -> None:
        async with Reader(name) as reader:
            with pytest.raises(FileNotFoundError):
                await Writer.connect_async(f"{name}-none", timeout=0.05)
            async with await Writer.connect_async(name, timeout=PATIENCE, full="refuse") as writer:
                for i in range(5):
                    writer.write_frame(bytes([i]))
                newest = await reader.latest_async()
                assert newest is not None
                assert newest.data[0] == 4
                assert await reader.latest_async(0.01) is None
                assert await reader.read_frame_async(0) is None
                with pytest.raises(ValueError, match="NaN"):
                    await reader.read_frame_async(float("nan"))
                writer.write_frame(b"last")
            assert [bytes(frame) async for frame in reader] == [b"last"]
        assert reader.closed
        assert writer.closed
        assert "closed" in repr(reader)
        assert name in repr(writer)

    async def wait_for_it() -> None:
        late = asyncio.ensure_future(Writer.connect_async(name, timeout=None))
        await asyncio.sleep(0.1)
        with Reader(name):
            (await late).close()

    asyncio.run(main())
    asyncio.run(wait_for_it())
