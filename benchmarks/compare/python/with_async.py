"""A stream read by ``async for``, in the event loop of asyncio or of uvloop."""

from __future__ import annotations

import asyncio
import time

import with_zerobuffer
from drive import BEGIN, END, Task, _look, finish, send, tell
from zerobuffer import BufferConfig, Reader


def run(task: Task, role: str) -> None:
    if role == "client":
        send(task, with_zerobuffer)
        return
    if not task.system.endswith("-uvloop"):
        asyncio.run(_receive(task))
        return
    import uvloop

    uvloop.run(_receive(task))


async def _receive(task: Task) -> None:
    look = _look(task)
    expected = first = 0
    start = cpu = 0.0
    async with Reader(task.name, BufferConfig(64, task.depth * (task.size + 16) + 1024)) as reader:
        tell("ready")
        async for frame in reader:
            number = look(frame.data)
            frame.dispose()
            if number == expected:
                expected += 1
            elif number == BEGIN:
                start, cpu, first = time.perf_counter(), time.process_time(), expected
            elif number == END:
                break
            else:
                raise RuntimeError(f"frame {number} came, {expected} was expected")
        assert start, "the stream ended before it began"
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        finish({"frames": expected - first, "seconds": seconds, "cpu": cpu})
