"""Round trips through a duplex channel of ZeroBuffer's Python package, 2.x or 1.3.0."""

from __future__ import annotations

import threading
import time
from typing import Any

from drive import BEGIN, END, NUMBER, Look, Put, Take, Task, ask, finish, tell, until
from zerobuffer import BufferConfig
from zerobuffer.duplex import DuplexChannelFactory, DuplexClient


class _Client:
    """Both directions are one client: the answers' end is asked for first."""

    def __init__(self, task: Task) -> None:
        # 1.3.0's server creates its buffer some time after start().
        self.client: Any = until("the server", lambda: DuplexClient(task.name))

    def receiver(self, task: Task, name: str) -> Take:
        receive = self.client.receive_response

        def take(look: Look) -> int:
            with receive(10_000) as response:
                return look(response.data)

        return take

    def sender(self, task: Task, name: str) -> tuple[Put, Any]:
        return self.client.send_request, None


def run(task: Task, role: str) -> None:
    if role == "client":
        ask(task, _Client(task))
        return
    ring = (task.size + 16) * task.depth + 1024
    server = DuplexChannelFactory.get_instance().create_immutable_server(task.name, BufferConfig(64, ring))
    moments: dict[int, float] = {}
    ended = threading.Event()

    def handle(request: Any, response: Any) -> None:
        number = NUMBER.unpack_from(request.data)[0]
        response.write_frame(request.data)
        if number in (BEGIN, END):
            moments[number] = time.process_time()
        if number == END:
            ended.set()

    server.start(handle)
    tell("ready")
    ended.wait()
    finish({"cpu": moments[END] - moments[BEGIN]})
    server.stop()
