"""Round trips by ``Client.call`` and a handler of ``Server``."""

from __future__ import annotations

import threading
import time
from typing import Any

from drive import BEGIN, END, NUMBER, Look, Put, Take, Task, ask, finish, tell
from zerobuffer import BufferConfig, Client, Server


class _Client:
    """The request is kept until its answer is asked for: both are one call."""

    def __init__(self, task: Task) -> None:
        self.client = Client(task.name, timeout=20.0)
        self.request: Any = None

    def receiver(self, task: Task, name: str) -> Take:
        call = self.client.call

        def take(look: Look) -> int:
            with call(self.request, 10.0) as response:
                return look(response.data)

        return take

    def sender(self, task: Task, name: str) -> tuple[Put, Any]:
        def put(frame: Any) -> None:
            self.request = frame

        return put, None


def run(task: Task, role: str) -> None:
    if role == "client":
        ask(task, _Client(task))
        return
    ring = (task.size + 16) * task.depth + 1024
    server = Server(task.name, BufferConfig(4096, ring))
    moments: dict[int, float] = {}
    ended = threading.Event()

    @server.handler
    def echo(request: Any) -> Any:
        number = NUMBER.unpack_from(request.data)[0]
        if number in (BEGIN, END):
            moments[number] = time.process_time()
            if number == END:
                ended.set()
        return request.data

    with server:
        tell("ready")
        ended.wait()
        finish({"cpu": moments[END] - moments[BEGIN]})
