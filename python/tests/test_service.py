"""``Server`` and ``Client``: what new code uses for requests and responses."""

import asyncio
import contextlib
import gc
import logging
import os
import pickle
import signal
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from support import PATIENCE, child, wait_until
from zerobuffer import (
    BufferConfig,
    Client,
    ClosedException,
    Frame,
    NoResponseException,
    RemoteError,
    Response,
    ResponseTooLargeException,
    Server,
    Writer,
    ZeroBufferException,
)
from zerobuffer.duplex import DuplexClient, ImmutableDuplexServer

CONFIG = BufferConfig(4096, 256 * 1024)


def test_a_handler_answers(name: str) -> None:
    server = Server(name, CONFIG)

    @server.handler
    def shout(request: Frame) -> bytes:
        return bytes(request).upper()

    with server, Client(name) as client:
        assert server.is_running
        with client.call(b"hello") as response:
            assert bytes(response) == b"HELLO"
            assert len(response) == response.size == 5
        assert bytes(client.call(bytearray(b"again"))) == b"AGAIN"
        assert server.requests == 2
        assert client.is_server_connected
        assert "running" in repr(server)
        assert name in repr(client)
    assert not server.is_running


def test_a_response_is_a_frame(name: str) -> None:
    server = Server(name, CONFIG)

    @server.handler
    def echo(request: Frame) -> memoryview:
        return request.data

    with server, Client(name) as client:
        client.call(b"first").dispose()
        response = client.call(b"second")
        assert isinstance(response, Response)
        assert isinstance(response, Frame)
        assert (response.sequence, response.size, response.is_valid) == (2, 6, True)
        assert memoryview(response).tobytes() == b"second"
        with client.call(response) as again:
            assert bytes(again) == b"second"
        assert not again.is_valid
        view = response.data
        response.dispose()
        with pytest.raises(ValueError, match="release"):
            response.data  # noqa: B018
        with pytest.raises(ValueError, match="release"):
            bytes(response)
        with pytest.raises(ValueError, match="release"):
            view.tobytes()
        assert "1 held" not in repr(client)
        seen = weakref.ref(response)
        del response
        assert seen() is None


@pytest.mark.parametrize("size", [64, 40_000])
def test_a_call_that_has_to_wait_lets_other_threads_run(name: str, size: int) -> None:
    """In both directions: for room in the request ring, and for that in the response ring."""
    go_on, begun = threading.Event(), threading.Event()
    server = Server(name, BufferConfig(4096, 4 * (size + 16)))

    @server.handler
    def echo(request: Frame) -> memoryview:
        begun.set()
        assert go_on.wait(PATIENCE)
        return request.data

    with server, Client(name, response_size=2 * (size + 16), write_timeout=None) as client:

        def call(number: int) -> bool:
            with client.call(bytes([number]) * size, None) as response:
                return bytes(response) == bytes([number]) * size

        with ThreadPoolExecutor(12) as threads:
            answers = threads.map(call, range(12), timeout=PATIENCE)
            assert begun.wait(PATIENCE)
            # This thread runs although the ring is full and calls wait for room.
            time.sleep(0.1)
            go_on.set()
            assert all(answers)


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("kind", ["returns", "writes", "lends", "coroutine", "coroutine that writes", "object"])
def test_every_kind_of_handler(name: str, kind: str, workers: int) -> None:
    server = Server(name, CONFIG, workers=workers)

    def returns(request: Frame) -> memoryview:
        return memoryview(bytes(request)[::-1])

    def writes(request: Frame, response: Writer) -> None:
        response.write_frame(bytes(request)[::-1])

    def lends(request: Frame, response: Writer) -> None:
        with response.loan(request.size) as view:
            view[:] = bytes(request)[::-1]

    async def coroutine(request: Frame) -> bytes:
        await asyncio.sleep(0.001)
        return bytes(request)[::-1]

    async def coroutine_that_writes(request: Frame, response: Writer) -> None:
        await asyncio.sleep(0.001)
        response.write_frame(bytes(request)[::-1])

    class Callable:
        def __call__(self, request: Frame, factor: int = 1) -> bytes:
            return bytes(request)[::-1] * factor

    handlers: dict[str, Any] = {
        "returns": returns,
        "writes": writes,
        "lends": lends,
        "coroutine": coroutine,
        "coroutine that writes": coroutine_that_writes,
        "object": Callable(),
    }
    server.handler(handlers[kind])
    with server, Client(name) as client:
        for i in range(20):
            assert bytes(client.call(bytes([1, 2, i]))) == bytes([i, 2, 1])


def test_arrays_both_ways(name: str) -> None:
    np = pytest.importorskip("numpy")
    server = Server(name, CONFIG)

    @server.handler
    def double(request: Frame) -> Any:
        return request.array(dtype="f4", shape=(3, 4)) * 2

    with server, Client(name) as client:
        picture = np.arange(12, dtype="f4").reshape(3, 4)
        response = client.call(picture)
        assert (response.array((3, 4), "f4") == picture * 2).all()
        assert np.asarray(response).shape == (48,)
        assert np.from_dlpack(response).nbytes == 48
        kept = response.array((3, 4), "f4")
        response.dispose()
        for _ in range(20):
            client.call(picture + 1).dispose()
        assert (kept == picture * 2).all()
        with pytest.raises(ValueError, match="released"):
            _ = response.data


def test_what_a_handler_raises_reaches_its_client(name: str, caplog: pytest.LogCaptureFixture) -> None:
    server = Server(name, CONFIG)

    @server.handler
    def fail(request: Frame) -> Any:
        what = bytes(request)
        if what == b"key":
            raise KeyError("no such picture")
        if what == b"deep":
            raise ValueError("zażółć \0 😀" * 100)
        if what == b"nonsense":
            return 5
        if what == b"dict":
            return {}
        if what == b"nothing":
            return None
        if what == b"empty":
            return b""
        return b"fine"

    with server, Client(name) as client:
        for _ in range(2):
            with pytest.raises(RemoteError) as error:
                client.call(b"key")
            assert error.value.type == "KeyError"
            assert error.value.message == "'no such picture'"
            assert 'raise KeyError("no such picture")' in error.value.traceback
            assert isinstance(error.value, ZeroBufferException)
            again = pickle.loads(pickle.dumps(error.value))
            assert (again.type, again.traceback, str(again)) == (
                error.value.type,
                error.value.traceback,
                str(error.value),
            )
            with pytest.raises(RemoteError) as error:
                client.call(b"deep")
            assert error.value.message == "zażółć \0 😀" * 100
            for nonsense in (b"nonsense", b"dict"):
                with pytest.raises(RemoteError, match="TypeError"):
                    client.call(nonsense)
            with pytest.raises(RemoteError, match="InvalidFrameSize"):
                client.call(b"empty")
            with pytest.raises(RemoteError) as error:
                client.call(b"nothing")
            assert error.value.type == "no-answer"
            assert bytes(client.call(b"x")) == b"fine"
        with pytest.raises(RemoteError, match="KeyError"):
            asyncio.run(client.call_async(b"key"))
    assert server.errors >= 12
    assert any(record.exc_info for record in caplog.records if record.levelno == logging.ERROR)


def test_time_outs_a_large_response_and_a_closed_client(name: str) -> None:
    go = threading.Event()
    server = Server(name, CONFIG)

    @server.handler
    def answer(request: Frame) -> bytes:
        if bytes(request) == b"wait":
            go.wait(PATIENCE)
        return bytes(200_000) if bytes(request) == b"large" else b"x"

    with server, Client(name, response_size=64 * 1024) as client:
        for timeout in (0, -1, 0.05):
            with pytest.raises(TimeoutError) as late:
                client.call(b"wait", timeout)
            assert isinstance(late.value, NoResponseException)
            go.set()
            assert bytes(client.call(b"then")) == b"x"
            go.clear()
        go.set()
        with pytest.raises(ResponseTooLargeException, match="response_size"):
            client.call(b"large")
        for wrong in (float("nan"),):
            with pytest.raises(ValueError, match="NaN"):
                client.call(b"x", wrong)
            with pytest.raises(ValueError, match="NaN"):
                asyncio.run(client.call_async(b"x", wrong))
        wrong_data: list[Any] = [None, "text", 5, {}]
        for data in wrong_data:
            with pytest.raises(TypeError):
                client.call(data)
        assert bytes(client.call(b"x", None)) == b"x"
    with pytest.raises(ClosedException):
        client.call(b"x")
    with pytest.raises(FileNotFoundError):
        Client(name, timeout=0.01)


def test_many_calls_of_threads_and_tasks(name: str) -> None:
    order: list[int] = []
    server = Server(name, CONFIG, workers=2)

    @server.handler
    def echo(request: Frame) -> bytes:
        order.append(int.from_bytes(request.data[:4], "little"))
        return bytes(request)

    async def tasks(client: Client) -> None:
        calls = [asyncio.ensure_future(client.call_async(i.to_bytes(4, "little") + bytes(500))) for i in range(400)]
        for i in range(0, 400, 7):
            calls[i].cancel()
        answers = await asyncio.gather(*calls, return_exceptions=True)
        for i, answer in enumerate(answers):
            if i % 7:
                assert not isinstance(answer, BaseException), answer
                assert int.from_bytes(answer.data[:4], "little") == i
                answer.dispose()
            else:
                assert isinstance(answer, asyncio.CancelledError)

    with server, Client(name) as client:
        with ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(lambda i: bytes(client.call(i.to_bytes(4, "little"))), range(600)))
        assert [int.from_bytes(answer, "little") for answer in answers] == list(range(600))
        asyncio.run(tasks(client))


def test_asynchronous_contexts(name: str) -> None:
    async def main() -> None:
        server = Server(name, CONFIG)
        here = asyncio.get_running_loop()

        @server.handler
        async def handle(request: Frame) -> bytes:
            assert asyncio.get_running_loop() is here
            await asyncio.sleep(0)
            return bytes(request)

        async with server, await Client.connect_async(name) as client:
            assert [bytes(await client.call_async(bytes([i]))) for i in range(5)] == [bytes([i]) for i in range(5)]
            assert not await server.wait_async(0.01)
        assert await server.wait_async(0.01)

    asyncio.run(main())


def test_several_clients_one_after_the_other(name: str) -> None:
    server = Server(name, CONFIG)
    server.handler(lambda request: bytes(request))
    with server:
        for i in range(4):
            with Client(name) as client:
                client.set_metadata(b"client %d" % i)
                assert bytes(client.call(bytes([i]))) == bytes([i])
                assert server.metadata == b"client %d" % i
        code = """
        import sys, os, zerobuffer
        client = zerobuffer.Client(sys.argv[1]); assert bytes(client.call(b"x")) == b"x"
        os._exit(0)
        """
        with child(code, name) as process:
            process.finish()
        with contextlib.ExitStack() as stack:

            def connected() -> bool:
                with contextlib.suppress(ZeroBufferException):
                    stack.enter_context(Client(name))
                    return True
                return False

            wait_until(connected, "a client takes the dead one's place")


def test_wait_and_stop(name: str) -> None:
    server = Server(name, CONFIG)
    with pytest.raises(ZeroBufferException, match="no handler"):
        server.start()
    with pytest.raises(TypeError):
        server.handler(None)  # type: ignore[type-var]

    @server.handler
    def stop(request: Frame) -> bytes:
        server.stop()
        return b"stopped"

    with server:
        with pytest.raises(ZeroBufferException, match="while it runs"):
            server.handler(stop)
        with pytest.raises(ZeroBufferException, match="already running"):
            server.start()
        assert not server.wait(0.01)
        threading.Timer(0.1, server.stop).start()
        assert server.wait(PATIENCE)
    with server, Client(name) as client:
        with contextlib.suppress(ConnectionError):
            client.call(b"x")
        assert server.wait(PATIENCE)
    with pytest.raises(ValueError, match="workers"):
        Server(name, workers=0)


def test_a_killed_server_is_a_connection_error(name: str) -> None:
    code = """
    import sys, time, zerobuffer
    server = zerobuffer.Server(sys.argv[1])
    @server.handler
    def sleep(request):
        time.sleep(100)
    with server:
        print("ready"); server.wait()
    """
    with child(code, name) as process:
        assert process.line() == "ready"
        with Client(name) as client:
            threading.Timer(0.2, os.kill, (process.pid, signal.SIGKILL)).start()
            started = time.monotonic()
            with pytest.raises(ConnectionError):
                client.call(b"x", PATIENCE)
            assert time.monotonic() - started < 10
    server = Server(name)
    server.handler(bytes)
    with server, Client(name) as client:
        assert bytes(client.call(b"again")) == b"again"


def test_a_server_of_bound_methods_is_collected(name: str) -> None:
    class Service:
        def __init__(self) -> None:
            self.server = Server(name, CONFIG)
            self.server.handler(self.answer)
            self.server.start()

        def answer(self, request: Frame) -> bytes:
            return bytes(request)

    service = Service()
    with Client(name) as client:
        assert bytes(client.call(b"x")) == b"x"
    service.server.stop()
    gone = weakref.ref(service)
    del service

    def is_gone() -> bool:
        gc.collect()
        return gone() is None

    wait_until(is_gone, "the service is collected")


@pytest.mark.parametrize("workers", [1, 3])
def test_a_thread_that_calls_handlers_keeps_what_it_has(name: str, workers: int) -> None:
    """What handlers put into a ``threading.local`` is there for the next one of the thread."""
    kept = threading.local()
    server = Server(name, CONFIG, workers=workers)

    @server.handler
    def count(request: Frame) -> bytes:
        kept.calls = getattr(kept, "calls", 0) + 1
        calls: int = kept.calls
        return f"{threading.get_ident()} {calls}".encode()

    with server, Client(name) as client:
        seen: dict[str, list[int]] = {}
        for _ in range(50):
            thread, calls = bytes(client.call(b"x")).decode().split()
            seen.setdefault(thread, []).append(int(calls))
        assert 1 <= len(seen) <= workers
        assert all(calls == list(range(1, len(calls) + 1)) for calls in seen.values())


def test_the_1_x_names_keep_a_falsy_response_that_says_why(name: str) -> None:
    def fail(frame: Frame, writer: Writer) -> None:
        if bytes(frame) == b"large":
            writer.write_frame(bytes(100_000))
        raise ValueError("no")

    seen: list[Exception] = []
    with ImmutableDuplexServer(name, CONFIG, persistent=True) as server:
        server.add_error_handler(lambda event: seen.append(event.exception))
        server.start(fail)
        with DuplexClient(name, response_size=64 * 1024) as client:
            started = time.monotonic()
            response = client.call(b"x", 30.0)
            assert time.monotonic() - started < 10
            assert not response
            assert not response.is_valid
            assert isinstance(response.error, RemoteError)
            assert response.error.type == "ValueError"
            client.send_request(b"x")
            response = client.receive_response(30_000)
            assert not response
            assert isinstance(response.error, RemoteError)
            assert isinstance(client.call(b"large").error, ResponseTooLargeException)
            assert isinstance(asyncio.run(client.call_async(b"x")).error, RemoteError)
            assert client.receive_response(1).error is None
    assert any(type(error) is ValueError for error in seen)


@pytest.mark.parametrize("kind", ["function", "coroutine"])
def test_a_response_is_lent_as_any_frame(name: str, kind: str) -> None:
    """By size and by shape, shortened, given up, and ended by the calls of 1.x."""
    pytest.importorskip("numpy")
    server = Server(name, CONFIG)

    def lend(request: Frame, response: Writer) -> None:
        how = bytes(request)
        if how == b"shape":
            with response.loan((2, 3), "<u2") as view:
                assert "open" in repr(view)
                view.array()[...] = 7
                assert (len(view), view.nbytes) == (12, 12)
        elif how == b"short":
            with response.loan(10) as view:
                view[:] = b"0123456789"
                view.commit(4)
            assert not view.is_open
        elif how == b"abort":
            with response.loan(10) as view:
                view.abort()
            response.write_frame(b"instead")
        elif how == b"inside":
            with response.loan(3) as view:
                view[:] = b"abc"
                response.commit_frame(size=2)
        elif how == b"error":
            with contextlib.suppress(KeyError), response.loan(10):
                raise KeyError
            response.write_frame(b"after")
        elif how == b"wrong":
            with response.loan((2, -3), "u1"):
                pass

    async def lend_async(request: Frame, response: Writer) -> None:
        lend(request, response)

    server.handler(lend if kind == "function" else lend_async)
    with server, Client(name) as client:
        assert client.call(b"shape").array((2, 3), "<u2").tolist() == [[7] * 3] * 2
        for how, expected in [(b"short", b"0123"), (b"abort", b"instead"), (b"inside", b"ab"), (b"error", b"after")]:
            assert bytes(client.call(how)) == expected
        with pytest.raises(RemoteError, match="negative"):
            client.call(b"wrong")
