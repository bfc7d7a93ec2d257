"""What Python brings along: Pipe, Queue, and shared_memory with two semaphores.

Their ends must come from one parent. So the server forks the client, and the process that the
supervisor takes for the client passes its lines on.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import tempfile
from itertools import cycle
from multiprocessing import shared_memory
from pathlib import Path
from typing import Any

from drive import NUMBER, Loan, Look, Put, Take, Task, answer, ask, receive, send

PR_SET_PDEATHSIG = 1
FORK = multiprocessing.get_context("fork")


class _Pipe:
    def __init__(self, task: Task) -> None:
        self.reader, self.writer = FORK.Pipe(duplex=False)

    def receiver(self, task: Task) -> Take:
        receive = self.reader.recv_bytes
        return lambda look: look(receive())

    def sender(self, task: Task) -> tuple[Put, Any]:
        return self.writer.send_bytes, None


class _Queue:
    def __init__(self, task: Task) -> None:
        self.queue = FORK.Queue(task.depth)

    def receiver(self, task: Task) -> Take:
        get = self.queue.get
        return lambda look: look(get())

    def sender(self, task: Task) -> tuple[Put, Any]:
        put = self.queue.put
        # A copy: a thread of the queue pickles it some time later.
        return lambda data: put(bytes(data)), None


class _Shm:
    """What one writes by hand: slots in one segment, and semaphores for the free and the full."""

    def __init__(self, task: Task) -> None:
        self.memory = shared_memory.SharedMemory(create=True, size=task.size * task.depth)
        self.memory.unlink()
        view = self.memory.buf
        self.slots = [view[i * task.size : (i + 1) * task.size] for i in range(task.depth)]
        self.free, self.full = FORK.Semaphore(task.depth), FORK.Semaphore(0)

    def receiver(self, task: Task) -> Take:
        wait, give = self.full.acquire, self.free.release
        turns = cycle(self.slots)

        def take(look: Look) -> int:
            wait()
            value = look(next(turns))
            give()
            return value

        return take

    def sender(self, task: Task) -> tuple[Put, Loan]:
        wait, give, mark = self.free.acquire, self.full.release, NUMBER.pack_into
        turns = cycle(self.slots)

        def put(data: Any) -> None:
            wait()
            next(turns)[:] = data
            give()

        def loan(number: int) -> None:
            wait()
            mark(next(turns), 0, number)
            give()

        return put, loan


CHANNELS = {"py-pipe": _Pipe, "py-queue": _Queue, "py-shm": _Shm}


class _Ends:
    """Both directions, made before the fork; each process uses its ends of them."""

    def __init__(self, task: Task) -> None:
        names = [f"{task.name}-there", f"{task.name}-back"] if task.kind in ("trip", "paced") else [task.name]
        self.channels = {name: CHANNELS[task.system](task) for name in names}

    def receiver(self, task: Task, name: str) -> Take:
        return self.channels[name].receiver(task)

    def sender(self, task: Task, name: str) -> tuple[Put, Any]:
        return self.channels[name].sender(task)


def run(task: Task, role: str) -> None:
    pipes = [Path(tempfile.gettempdir(), f"{task.name}.{end}") for end in ("in", "out")]
    if role == "client":
        _relay(*pipes)
        return
    for pipe in pipes:
        os.mkfifo(pipe)
    ends = _Ends(task)
    round_trip = task.kind in ("trip", "paced")
    child = os.fork()
    if child == 0:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        # In this order the relay opens them, too.
        os.dup2(os.open(pipes[0], os.O_RDONLY), 0)
        os.dup2(os.open(pipes[1], os.O_WRONLY), 1)
        sys.stdin = open(0, closefd=False)
        (ask if round_trip else send)(task, ends)
        os._exit(0)
    (answer if round_trip else receive)(task, ends)
    _, status = os.waitpid(child, 0)
    for pipe in pipes:
        pipe.unlink()
    os._exit(1 if status else 0)


def _relay(to: Path, back: Path) -> None:
    with open(to, "w") as to_client, open(back) as from_client:
        print(from_client.readline(), end="", flush=True)
        to_client.write(sys.stdin.readline())
