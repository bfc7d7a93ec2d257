"""Several clients of one ``Server`` at the same time, each on a channel of its own."""

import asyncio
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support import PATIENCE, child, linux_only, wait_until
from zerobuffer import (
    BufferConfig,
    Client,
    Frame,
    ReaderAlreadyConnectedException,
    RemoteError,
    Server,
    Writer,
)
from zerobuffer.duplex import DuplexClient

CONFIG = BufferConfig(64, 64 * 1024)

#: Connects, says so, and sends requests on command.
CLIENT = """
import sys
from zerobuffer.duplex import DuplexClient

client = DuplexClient(sys.argv[1], timeout=30.0, response_size=4096)
print("connected", flush=True)
sent = 0
for line in sys.stdin:
    command, _, argument = line.strip().partition(" ")
    if command == "send":
        sent = int(argument)
        for number in range(sent):
            client.send_request(number.to_bytes(4, "little") * 250)
        print("sent", flush=True)
    elif command == "take":
        for number in range(sent):
            with client.receive_response(timeout=30.0) as response:
                assert bytes(response) == number.to_bytes(4, "little") * 250, number
        print("taken", flush=True)
    elif command == "call":
        for number in range(int(argument)):
            request = number.to_bytes(4, "little")
            with client.call(request, timeout=30.0) as response:
                assert bytes(response) == request, number
        print("called", flush=True)
"""


def own_channels(name: str) -> list[str]:
    """What exists of the clients' channels."""
    folders = [folder for folder in (Path("/dev/shm"), Path("/tmp/zerobuffer")) if folder.is_dir()]
    return sorted(path.name for folder in folders for path in folder.iterdir() if f"{name}+" in path.name)


def echo(request: Frame) -> bytes:
    return bytes(request)


@linux_only
@pytest.mark.parametrize("workers", [1, 3])
def test_eight_clients_of_which_one_is_stopped(name: str, workers: int) -> None:
    server = Server(name, CONFIG, workers=workers, clients=8)
    server.handler(echo)
    with server, ExitStack() as stack:
        clients = [stack.enter_context(child(CLIENT, name)) for _ in range(8)]
        assert [client.line() for client in clients] == ["connected"] * 8
        assert server.clients == 8
        stopped, *others = clients
        # 40 KB of responses for a ring of 4 KB.
        stopped.send("send 40")
        assert stopped.line() == "sent"
        os.kill(stopped.pid, signal.SIGSTOP)
        for client in others:
            client.send("call 200")
        # A handler that waited for the stopped one would wait for 5 seconds, and time and again.
        for client in others:
            assert client.line() == "called"
        os.kill(stopped.pid, signal.SIGCONT)
        stopped.send("take")
        assert stopped.line() == "taken"
        assert server.requests == 40 + 7 * 200
        assert server.errors == 0
        os.kill(clients[1].pid, signal.SIGKILL)
        wait_until(lambda: server.clients == 7, "the killed one is gone")
    wait_until(lambda: own_channels(name) == [], "nothing is left of the clients")


def test_true_is_64_clients_and_one_too_many_is_refused(name: str) -> None:
    assert Server(name, clients=True)._core is not None
    with pytest.raises(ValueError, match="must not be negative"):
        Server(name, clients=-1)
    with pytest.raises(TypeError):
        Server(name, clients="many")  # type: ignore[arg-type]
    server = Server(name, CONFIG, clients=2)
    server.handler(echo)
    with server:
        with Client(name) as first, Client(name) as second:
            assert first.channel != second.channel
            assert first.channel.startswith(f"{name}+")
            with pytest.raises(ReaderAlreadyConnectedException, match="2 of 2 clients"):
                Client(name, timeout=0.1)
            # The plain channel is for one that does not ask.
            with Client(name, own_channel=False) as plain:
                assert plain.channel == name
                assert bytes(plain.call(b"plain")) == b"plain"
                assert server.clients == 3
            assert bytes(first.call(b"1")) + bytes(second.call(b"2")) == b"12"
        wait_until(lambda: own_channels(name) == [] or server.clients == 0, "both have gone")
        # The client of 1.x asks, too.
        wait_until(lambda: _connects(name), "a place is free")
        assert server.requests == 4


def _connects(name: str) -> bool:
    try:
        client = DuplexClient(name, response_size=4096)
    except ReaderAlreadyConnectedException:
        return False
    with client, client.call(b"1.x", timeout=PATIENCE) as response:
        return bytes(response) == b"1.x"


def test_a_server_of_one_client_is_as_ever(name: str) -> None:
    server = Server(name, CONFIG)
    server.handler(echo)
    with server, Client(name) as client:
        assert client.channel == name
        wait_until(lambda: own_channels(name) == [], "nothing is left of the clients")
        with pytest.raises(ReaderAlreadyConnectedException, match=r"already has a client.*clients=True"):
            Client(name, timeout=0.1)


def test_the_handler_can_tell_clients_apart(name: str) -> None:
    server = Server(name, CONFIG, clients=3)
    threads = set()

    @server.handler
    def whose(request: Frame, writer: Writer) -> None:
        threads.add(threading.get_ident())
        if bytes(request) == b"fail":
            raise LookupError("no such thing")
        writer.write_frame(writer.channel.encode())  # type: ignore[attr-defined]

    with server, Client(name) as first, Client(name) as second:
        for client in (first, second, first):
            assert bytes(client.call(b"who")).decode() == client.channel
        with pytest.raises(RemoteError, match="no such thing"):
            second.call(b"fail")
        assert bytes(first.call(b"who")).decode() == first.channel
    assert len(threads) == 1, "one worker calls the handler for all"


def test_coroutine_handlers_of_several_clients(name: str) -> None:
    async def run() -> None:
        server = Server(name, CONFIG, workers=4, clients=4)
        running = 0
        together = asyncio.Event()

        @server.handler
        async def slow(request: Frame) -> bytes:
            nonlocal running
            running += 1
            if running == 4:
                together.set()
            # The first ones go on when all clients' handlers run.
            await asyncio.wait_for(together.wait(), PATIENCE)
            return bytes(request)

        async with server:
            clients = [await Client.connect_async(name) for _ in range(4)]

            async def ask(number: int, client: Any) -> None:
                for key in range(5):
                    request = bytes([number, key])
                    assert bytes(await client.call_async(request, timeout=PATIENCE)) == request

            await asyncio.gather(*(ask(number, client) for number, client in enumerate(clients)))
            for client in clients:
                client.close()

    asyncio.run(run())
    wait_until(lambda: own_channels(name) == [], "nothing is left of the clients")


def test_a_place_is_waited_for_without_blocking_the_event_loop(name: str) -> None:
    async def run() -> None:
        server = Server(name, CONFIG, clients=1)
        server.handler(echo)
        turns = 0

        async def tick() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0.01)

        async with server:
            first = await Client.connect_async(name)
            ticking = asyncio.create_task(tick())
            waiting = asyncio.create_task(Client.connect_async(name, timeout=PATIENCE))
            # An attempt gives another client half a second to leave.
            while turns < 100:
                await asyncio.sleep(0.01)
            assert not waiting.done(), "there is no place"
            first.close()
            second = await waiting
            assert bytes(await second.call_async(b"second", timeout=PATIENCE)) == b"second"
            with pytest.raises(ReaderAlreadyConnectedException, match="1 of 1 clients"):
                await Client.connect_async(name, timeout=0.2)
            ticking.cancel()
            second.close()

    asyncio.run(run())
    wait_until(lambda: own_channels(name) == [], "nothing is left of the clients")


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("way", ["get_frame_buffer", "loan", "write_frame"])
def test_answers_written_in_place_arrive_whatever_their_turn(name: str, way: str, workers: int) -> None:
    """Many wait for their turn, or for room in a ring of 8 KiB."""
    server = Server(name, CONFIG, workers=workers, clients=4)

    @server.handler
    def answer(request: Frame, writer: Writer) -> None:
        data = bytes(request)
        if way == "write_frame":
            writer.write_frame(data)
        elif way == "loan":
            with writer.loan(len(data)) as place:
                place[:] = data
        else:
            writer.get_frame_buffer(len(data))[:] = data
            writer.commit_frame()

    with server:
        questions = [bytes([1 + number % 250]) * 1000 for number in range(120)]
        with Client(name, timeout=PATIENCE, response_size=8192) as client, ThreadPoolExecutor(16) as threads:
            answers = list(threads.map(lambda question: bytes(client.call(question, PATIENCE)), questions))
        assert answers == questions
