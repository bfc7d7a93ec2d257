"""Ten thousand operations of coroutines at once, cancelled at random: order, and nothing lost."""

import asyncio
import random
from typing import Any

import pytest
from support import PATIENCE
from zerobuffer import BufferConfig, Client, Frame, Reader, Server, Writer

COUNT = 10_000
pytestmark = pytest.mark.usefixtures("way")


async def cancel_some(tasks: "list[asyncio.Task[Any]]", share: float, dice: random.Random) -> None:
    """Cancel so many of the tasks, in any order, while the others go on."""
    chosen = dice.sample(tasks, int(len(tasks) * share))
    for number, task in enumerate(chosen):
        task.cancel()
        if number % 20 == 0:
            await asyncio.sleep(0)


# While the tasks are cancelled nobody takes what has arrived: on a slow machine that is for long,
# and is warned of with reason.
@pytest.mark.filterwarnings("ignore:.*are held:RuntimeWarning")
def test_reads_and_writes(name: str) -> None:
    dice = random.Random(11)

    async def main(reader: Reader, writer: Writer) -> None:
        reads = [asyncio.ensure_future(reader.read_frame_async(None)) for _ in range(COUNT)]
        await asyncio.sleep(0)
        writes = [asyncio.ensure_future(writer.write_frame_async(i.to_bytes(4, "little"))) for i in range(COUNT)]
        await asyncio.gather(cancel_some(reads, 0.15, dice), cancel_some(writes, 0.3, dice))
        got: list[tuple[int, int]] = []

        async def take(task: "asyncio.Task[Any]") -> None:
            frame = await task
            got.append((frame.sequence, int.from_bytes(frame.data, "little")))
            frame.dispose()

        # In the order of the calls: a frame must not reach a later one first.
        async def take_all() -> None:
            for task in reads:
                try:
                    await take(task)
                except asyncio.CancelledError:
                    if not task.cancelled():
                        raise

        taking = asyncio.ensure_future(take_all())
        await asyncio.wait(writes)
        sent = writer.frames_written
        ended = sum(not write.cancelled() for write in writes)
        assert ended <= sent <= COUNT
        survivors = sum(not task.cancelled() for task in reads)
        while len(got) < min(sent, survivors):
            await asyncio.sleep(0.01)
        taking.cancel()
        for task in reads:
            task.cancel()
        await asyncio.wait([taking, *reads])
        while len(got) < sent:
            frame = reader.read_frame(PATIENCE)
            assert frame is not None
            got.append((frame.sequence, int.from_bytes(frame.data, "little")))
        assert [sequence for sequence, _ in got] == list(range(1, sent + 1))
        values = [value for _, value in got]
        assert values == sorted(set(values)), "in the order of the writes, each once"
        assert {i for i, write in enumerate(writes) if not write.cancelled()} <= set(values)

    with Reader(name, BufferConfig(64, 16 * 1024)) as reader, Writer(name, write_timeout=120.0) as writer:
        asyncio.run(asyncio.wait_for(main(reader, writer), 150))


def test_calls(name: str) -> None:
    dice = random.Random(13)
    seen: list[int] = []
    server = Server(name, BufferConfig(4096, 8 * 1024))

    @server.handler
    def answer(request: Frame) -> bytes:
        number = int.from_bytes(request.data, "little")
        seen.append(number)
        return (3 * number).to_bytes(8, "little")

    async def one(client: Client, number: int) -> None:
        response = await client.call_async(number.to_bytes(4, "little"), 120.0)
        assert int.from_bytes(response.data, "little") == 3 * number
        response.dispose()

    async def main() -> None:
        # Room for all responses: a busy machine's event loop may come to them late.
        with Client(name, response_size=1 << 20, write_timeout=120.0) as client:
            calls = [asyncio.ensure_future(one(client, i)) for i in range(COUNT)]
            await asyncio.sleep(0)
            await cancel_some(calls, 0.2, dice)
            ended = await asyncio.gather(*calls, return_exceptions=True)
            wrong = [end for end in ended if end is not None and not isinstance(end, asyncio.CancelledError)]
            assert wrong == []
            assert sum(end is None for end in ended) >= COUNT * 0.8

    with server:
        asyncio.run(asyncio.wait_for(main(), 150))
    assert seen == sorted(set(seen)), "in the order of the calls, each once"
    assert COUNT * 0.8 <= len(seen) <= COUNT
