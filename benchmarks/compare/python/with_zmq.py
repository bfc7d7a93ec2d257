"""pyzmq over ipc: PUSH and PULL, large frames received without a copy."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import zmq
from drive import Loan, Look, Put, Take, Task

CONTEXT = zmq.Context()


def _address(name: str) -> str:
    return f"ipc://{Path(tempfile.gettempdir(), name)}"


def receiver(task: Task, name: str) -> Take:
    socket = CONTEXT.socket(zmq.PULL)
    socket.setsockopt(zmq.RCVHWM, task.depth)
    socket.bind(_address(name))
    large = task.size >= zmq.COPY_THRESHOLD

    def take(look: Look) -> int:
        return look(socket.recv(copy=False).buffer if large else socket.recv())

    return take


def sender(task: Task, name: str) -> tuple[Put, Loan]:
    socket = CONTEXT.socket(zmq.PUSH)
    socket.setsockopt(zmq.SNDHWM, task.depth)
    socket.connect(_address(name))

    def put(data: Any) -> None:
        # A copy: the caller changes its frame as soon as this returns.
        socket.send(data, copy=True)

    def loan(number: int) -> None:
        raise NotImplementedError(number)

    return put, loan
