"""What the two ends do with a system: stream, answer, ask. As ``src/ends/drive.rs``."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from struct import Struct
from typing import Any

BEGIN, END = 2**64 - 2, 2**64 - 1
WARM_UP = 0.1  # before anything is measured, as a share of what is
SETTLE = 0.02  # after the first frame, as for the Rust ends
CLOCK_EVERY = 64 << 10  # bytes sent between two looks at the clock
MAX_SAMPLES = 1 << 20
RATES = {"paced": 1000, "fps": 60}
NUMBER = Struct("<Q")

Look = Callable[[Any], int]
Take = Callable[[Look], int]  # waits for a frame, shows it, gives it back
Put = Callable[[Any], None]  # sends a copy
Loan = Callable[[int], None]  # sends a frame whose first 8 bytes, the number, are written in place


@dataclass
class Task:
    system: str
    kind: str
    name: str
    size: int
    depth: int
    seconds: float
    touch: str


def until(what: str, look: Callable[[], Any], every: float = 0.0002) -> Any:
    """Repeats a look at something that is not there yet; an exception is "not yet"."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return look()
        except Exception:  # each package and version has its own class for "not there yet"
            if time.monotonic() > deadline:
                raise RuntimeError(f"{what} did not come") from None
            time.sleep(every)


def _look(task: Task) -> Look:
    """Reads 8 bytes of each cache line, or what is asked for; returns the frame's number.

    Up to 4 KiB one byte of each line: there numpy's call takes longer than the reading.
    """
    unpack = NUMBER.unpack_from
    if task.touch == "head" or task.kind in ("loan", "start") or (task.touch == "lines" and task.size <= 64):
        return lambda frame: unpack(frame)[0]
    if task.touch == "lines" and task.size <= 4096:

        def sample(frame: Any) -> int:
            memoryview(frame)[::64].tobytes()
            return unpack(frame)[0]

        return sample
    import numpy

    view, word, xor = numpy.frombuffer, numpy.uint64, numpy.bitwise_xor.reduce
    step = 8 if task.touch == "lines" else 1

    def look(frame: Any) -> int:
        xor(view(frame, word)[::step])
        return unpack(frame)[0]

    return look


def _head(frame: Any) -> int:
    return NUMBER.unpack_from(frame)[0]


def tell(line: str) -> None:
    print(line, flush=True)


def finish(result: dict[str, Any]) -> None:
    """Reports, then stays until the supervisor has looked at this process."""
    # The process to look at, which may be behind one that passes its lines on.
    tell(json.dumps({"pid": os.getpid(), **result}))
    sys.stdin.readline()


class _Pace:
    """Sleeps to fixed moments; one that has passed is skipped, not caught up with."""

    def __init__(self, rate: int) -> None:
        self.period = 1 / rate
        self.next = time.monotonic() + self.period

    def wait(self) -> None:
        now = time.monotonic()
        if now < self.next:
            time.sleep(self.next - now)
            self.next += self.period
        else:
            self.next = now + self.period


def receive(task: Task, ends: Any) -> None:
    look = _look(task)
    started = time.monotonic()
    take: Take = ends.receiver(task, task.name)
    created = time.monotonic() - started
    tell("ready")
    if task.kind == "start":
        sent = take(_head)
        first = time.monotonic_ns() - sent
        return finish({"create": created, "first": first / 1e9})
    expected = first = 0
    start = cpu = 0.0
    while True:
        number = take(look)
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


def send(task: Task, ends: Any) -> None:
    frame = bytearray(os.urandom(task.size))
    started = time.monotonic_ns()
    put, loan = ends.sender(task, task.name)
    mark = NUMBER.pack_into
    if task.kind == "start":
        mark(frame, 0, started)
        put(frame)
        return finish({})

    def copy(number: int) -> None:
        mark(frame, 0, number)
        put(frame)

    one = loan if task.kind == "loan" else copy
    pace = _Pace(RATES[task.kind]) if task.kind in RATES else None
    every = range(1 if pace else max(1, CLOCK_EVERY // task.size))
    one(0)
    time.sleep(SETTLE)
    number = 1

    def stream(span: float) -> None:
        nonlocal number
        limit = time.perf_counter() + span
        while time.perf_counter() < limit:
            for _ in every:
                if pace:
                    pace.wait()
                one(number)
                number += 1

    stream(task.seconds * WARM_UP)
    copy(BEGIN)
    cpu = time.process_time()
    stream(task.seconds)
    cpu = time.process_time() - cpu
    copy(END)
    finish({"cpu": cpu})


def answer(task: Task, ends: Any) -> None:
    take: Take = ends.receiver(task, f"{task.name}-there")
    tell("ready")
    put, _ = ends.sender(task, f"{task.name}-back")

    def reply(frame: Any) -> int:
        put(frame)
        return NUMBER.unpack_from(frame)[0]

    cpu = 0.0
    while True:
        number = take(reply)
        if number == BEGIN:
            cpu = time.process_time()
        elif number == END:
            break
    finish({"cpu": time.process_time() - cpu})


def ask(task: Task, ends: Any) -> None:
    look = _look(task)
    take: Take = ends.receiver(task, f"{task.name}-back")
    put, _ = ends.sender(task, f"{task.name}-there")
    frame = bytearray(os.urandom(task.size))
    mark, clock = NUMBER.pack_into, time.perf_counter_ns

    def round_trip(number: int) -> None:
        mark(frame, 0, number)
        put(frame)
        got = take(look)
        if got != number:
            raise RuntimeError(f"the answer to {number} is {got}")

    number = 0

    def rounds(span: float) -> list[int]:
        nonlocal number
        times: list[int] = []
        pace = _Pace(RATES[task.kind]) if task.kind in RATES else None
        last = clock()
        limit = last + int(span * 1e9)
        while last < limit and len(times) < MAX_SAMPLES:
            if pace:
                pace.wait()
                last = clock()
            round_trip(number)
            number += 1
            now = clock()
            times.append(now - last)
            last = now
        return times

    rounds(task.seconds * WARM_UP)
    round_trip(BEGIN)
    cpu = time.process_time()
    times = sorted(rounds(task.seconds))
    cpu = time.process_time() - cpu
    round_trip(END)

    def at(share: float) -> float:
        return times[max(1, math.ceil(len(times) * share)) - 1] / 1e3

    result = {"p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "p999": at(0.999)}
    finish({"frames": len(times), "cpu": cpu, **result})
