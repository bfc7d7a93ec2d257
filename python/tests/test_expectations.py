"""What a user expects without reading: seconds, Python's exceptions, helpful warnings."""

import asyncio
import json
import logging
import os
import pickle
import stat
import subprocess
import sys
import warnings
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import zerobuffer
from support import PATIENCE, child, linux_only, wait_until
from zerobuffer import (
    BufferConfig,
    BufferFullException,
    Frame,
    MetadataAlreadyWrittenException,
    Reader,
    ReaderStats,
    Writer,
    WriterStats,
    ZeroBufferException,
)
from zerobuffer.duplex import (
    DuplexChannelFactory,
    DuplexClient,
    ImmutableDuplexServer,
    MutableDuplexServer,
    ProcessingMode,
)

CONFIG = BufferConfig(4096, 64 * 1024)


def echo(frame: Frame, writer: Writer) -> None:
    writer.write_frame(frame.data)


def test_exceptions_of_pythons_kinds(name: str) -> None:
    with pytest.raises(FileNotFoundError) as missing:
        Writer(name)
    assert isinstance(missing.value, ZeroBufferException)
    assert name in str(missing.value)
    with Reader(name, BufferConfig(payload_size=4096)) as reader:
        with Writer(name, write_timeout=0.05) as writer:
            writer.write_frame(bytes(3000))
            with pytest.raises(TimeoutError) as late:
                writer.write_frame(bytes(3000))
            assert isinstance(late.value, BufferFullException)
        with Writer(name, full="refuse") as writer:
            with pytest.raises(BufferFullException) as full:
                writer.write_frame(bytes(3000))
            assert not isinstance(full.value, TimeoutError)
        frame = reader.read_frame()
        assert frame is not None
        frame.dispose()
        with pytest.raises(ConnectionError):
            reader.read_frame()
    with pytest.raises(ConnectionError, match="closed") as closed:
        reader.read_frame()
    for error in (missing.value, late.value, full.value, closed.value):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again)) == (type(error), str(error))


@linux_only
@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="needs root to become somebody else")
def test_no_permission_is_a_permission_error(name: str, tests_path: dict[str, str]) -> None:
    with Reader(name):
        code = """
        import os, sys
        import zerobuffer
        os.setgid(65534); os.setuid(65534)
        try:
            zerobuffer.Writer(sys.argv[1])
        except PermissionError as error:
            print(isinstance(error, zerobuffer.ZeroBufferException))
        """
        with child(code, name) as process:
            assert process.line() == "True"


def test_write_timeout_in_seconds(reader: Reader) -> None:
    with Writer(reader.name, write_timeout=2.5) as writer:
        assert writer.write_timeout == timedelta(seconds=2.5)
        writer.write_timeout = 5
        assert writer.write_timeout == timedelta(seconds=5)
        for wrong in ("5", None, True, [1]):
            with pytest.raises(TypeError, match="timedelta or a number of seconds"):
                writer.write_timeout = wrong  # type: ignore[assignment]
        for bad in (0, -1, float("nan"), timedelta()):
            with pytest.raises(ValueError, match="positive"):
                writer.write_timeout = bad
        writer.write_timeout = float("inf")
        writer.write_frame(b"x")


def test_stats_have_names_at_the_top(reader: Reader, writer: Writer) -> None:
    assert isinstance(reader.stats, ReaderStats)
    assert isinstance(writer.stats, WriterStats)
    assert zerobuffer.Loan is not None


def test_accidental_imports_of_1_x_stay() -> None:
    from zerobuffer.duplex import client, server
    from zerobuffer.reader import (
        FrameHeader,
        SequenceError,
        WriterDeadException,
        ZeroBufferException,
        align_to_boundary,
    )
    from zerobuffer.writer import BufferFullException, FrameTooLargeException, ReaderDeadException

    assert BufferFullException is zerobuffer.BufferFullException
    assert align_to_boundary(1) == 64
    assert {FrameHeader, SequenceError, WriterDeadException, ZeroBufferException, FrameTooLargeException}
    assert client.Reader is server.Reader is Reader
    assert ReaderDeadException is server.ReaderDeadException


def test_the_stubs_explain_what_they_declare() -> None:
    stub = Path(zerobuffer.__file__).with_name("_zerobuffer.pyi").read_text()
    for method in ("read_frame", "write_frame", "loan", "commit_frame", "get_metadata", "array"):
        after = stub[stub.index(f"def {method}(") :]
        assert '"""' in after[: after.index("\n\n")], method


def test_a_successor_repeats_the_metadata(name: str) -> None:
    with Reader(name) as reader:
        for run in range(3):
            with Writer(name) as camera:
                camera.set_metadata(b'{"camera": 1}')
                with pytest.raises(MetadataAlreadyWrittenException):
                    camera.set_metadata(b'{"camera": 1}')
                camera.write_frame(bytes([run]))
            frame = reader.read_frame()
            assert frame is not None
            assert bytes(frame) == bytes([run])
        metadata = reader.get_metadata()
        assert metadata is not None
        assert bytes(metadata) == b'{"camera": 1}'


def test_a_successor_has_metadata_of_its_own(name: str) -> None:
    """They come with its first frame, and not before; the frames before keep theirs."""
    with Reader(name) as reader:

        def metadata() -> bytes:
            return bytes(reader.get_metadata() or b"")

        first = Writer(name)
        first.set_metadata(b'{"shape": [2], "dtype": "u1"}')
        first.write_frame(b"ab")
        first.close()
        held = reader.read_frame(0)
        assert held is not None
        with Writer(name) as second:
            second.set_metadata(b'{"shape": [2, 2], "dtype": "u1"}')
            assert b"[2]" in metadata()
            second.write_frame(b"abcd")
            assert b"[2]" in metadata()
            frame = reader.read_frame(0)
            assert frame is not None
            assert b"[2, 2]" in metadata()
            assert bytes(frame) == b"abcd"
        assert bytes(held) == b"ab"


def test_what_everything_says_of_itself(name: str) -> None:
    """Name, state and counts; also of what is closed."""
    said: list[str] = []
    server = zerobuffer.Server(f"{name}-s", CONFIG)

    @server.handler
    def answer(request: Frame, response: Writer) -> None:
        said.append(repr(response))
        response.write_frame(request)

    assert repr(server) == f"<Server '{name}-s', stopped, 0 requests, 0 errors>"
    old = ImmutableDuplexServer(f"{name}-d", CONFIG)
    assert repr(old) == f"<ImmutableDuplexServer of '{name}-d', stopped, 0 requests, 0 errors>"
    reader = Reader(name, CONFIG)
    assert repr(reader) == f"<Reader '{name}', no writer, 0 frames read, 0 held, 0% in use>"
    writer, tap = Writer(name), zerobuffer.Tap(name)
    writer.write_frame(bytes(32752))
    assert repr(writer) == f"<Writer '{name}', connected, 1 frames written, 50% in use>"
    assert repr(tap) == f"<Tap of '{name}', live, 0 frames seen, 0 missed>"
    frame, seen = reader.read_frame(0), tap.next(0)
    assert repr(frame) == "Frame(sequence=1, size=32752)"
    assert repr(seen) == "TapFrame(sequence=1, size=32752)"
    assert repr(reader) == f"<Reader '{name}', writer connected, 1 frames read, 1 held, 50% in use>"
    assert repr(tap) == f"<Tap of '{name}', live, 1 frames seen, 0 missed>"
    with writer.loan(8) as loan:
        assert repr(loan) == f'Loan(buffer="{name}", open)'
        loan.abort()
    assert name in repr(zerobuffer.observe.inspect(name))
    tap.close()
    writer.close()
    del frame
    reader.close()
    assert repr(tap) == f"<Tap of '{name}', closed, 1 frames seen>"
    assert repr(writer).startswith(f"<Writer '{name}', closed, 1 frames written, ")
    assert repr(reader).startswith(f"<Reader '{name}', closed, 1 frames read, 0 held, ")
    with server, zerobuffer.Client(f"{name}-s") as client:
        response = client.call(b"x")
        assert repr(response) == "Response(sequence=1, size=1)"
        assert repr(client) == f"<Client of '{name}-s', connected, 1 responses, 1 held>"
        assert repr(server) == f"<Server '{name}-s', running, 1 requests, 0 errors>"
        response.dispose()
        assert repr(response) == "Response(sequence=1, size=1, released)"
    assert repr(client) == f"<Client of '{name}-s', closed, 1 responses, 0 held>"
    assert said == [f"<ResponseWriter of '{name}-s_response', request 1>"]


def test_frames_in_hand_are_counted(reader: Reader, writer: Writer) -> None:
    """Those that are released go on counting while something shows them."""
    for _ in range(3):
        writer.write_frame(b"12345678")
    assert reader.stats.held == 0
    frames = [reader.read_frame(0) for _ in range(3)]
    assert reader.stats.held == 3
    assert "3 held" in repr(reader)
    first, second, third = frames
    assert first is not None
    assert second is not None
    frames.clear()
    view = first.data[1:3]
    first.dispose()
    second.dispose()
    assert reader.stats.held == 2
    assert reader.stats.frames == 3
    del third
    assert reader.stats.held == 1
    assert bytes(view) == b"23"
    view.release()
    assert reader.stats.held == 0
    assert reader.utilization == 0.0


def test_responses_in_hand_are_counted(name: str) -> None:
    with ImmutableDuplexServer(name, CONFIG, persistent=True) as server:
        server.start(echo)
        with DuplexClient(name, timeout=60.0) as old:
            response = old.call(b"x", 60.0)
            assert "1 responses held" in repr(old)
            response.dispose()
            assert "0 responses held" in repr(old)
        with zerobuffer.Client(name) as client:
            kept = [client.call(b"x", 60.0) for _ in range(3)]
            assert "3 responses, 3 held" in repr(client)
            kept.pop().dispose()
            kept.pop()
            assert "3 responses, 1 held" in repr(client)


@pytest.mark.parametrize("how", ["write_frame", "pieces", "loan", "write_array", "coroutine"])
def test_the_first_dropped_frame_is_told(name: str, how: str, caplog: pytest.LogCaptureFixture) -> None:
    """Once: what follows is counted."""
    with Reader(name, BufferConfig(256, 4096)), Writer(name, full="drop") as writer:
        writer.write_array(bytes(3000), timestamp=1)
        for _ in range(3):
            assert writer.stats.dropped == 0 or "dropped" in caplog.text
            if how == "write_frame":
                writer.write_frame(bytes(3000))
            elif how == "pieces":
                writer.write_frame(memoryview(bytes(6000))[::2])
            elif how == "loan":
                with pytest.raises(BufferFullException), writer.loan(3000):
                    pass
            elif how == "write_array":
                writer.write_array(bytes(3000), timestamp=2)
            else:
                asyncio.run(writer.write_frame_async(bytes(3000)))
        assert writer.stats.dropped == 3
        assert "3 dropped" in repr(writer)
    told = [record for record in caplog.records if "was dropped" in record.message]
    assert [(record.name, record.levelname) for record in told] == [("zerobuffer.writer", "WARNING")]
    assert "the ring is full" in told[0].message
    assert "payload_size" in told[0].message


def test_a_frame_that_is_dropped_without_a_reader_is_told(name: str, caplog: pytest.LogCaptureFixture) -> None:
    reader = Reader(name)
    with Writer(name, full="drop", reconnect=True) as writer:
        reader.close()
        for _ in range(3):
            writer.write_frame(b"x")
        assert writer.stats.dropped == 3
    told = [record.message for record in caplog.records if "was dropped" in record.message]
    assert len(told) == 1
    assert "there is no reader" in told[0]


def test_a_loop_that_holds_its_frame_is_told_so(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """The default ring has room for one picture: the loop variable holds up the next."""
    with Reader(name) as reader, Writer(name, write_timeout=0.3) as writer:
        writer.write_frame(bytes(640 * 480 * 3))
        held = reader.read_frame()
        assert held is not None
        with pytest.raises(TimeoutError):
            writer.write_frame(bytes(640 * 480 * 3))
        with pytest.warns(RuntimeWarning, match=r"with frame.*payload_size"):
            reader.read_frame(0.2)
        reader.read_frame(0.2)
        held.dispose()
        assert [record.levelname for record in caplog.records if "held" in record.message] == ["WARNING"]


def test_frames_that_are_held_with_room_beside_them_are_nothing_to_warn_of(reader: Reader, writer: Writer) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        held = []
        for _ in range(3):
            writer.write_frame(bytes(10_000))
            held.append(reader.read_frame())
        assert reader.read_frame(0.2) is None


def test_the_response_ring_is_as_large_as_the_request_ring(name: str) -> None:
    for size in (64 * 1024, 1024 * 1024):
        with ImmutableDuplexServer(name, BufferConfig(4096, size), persistent=True) as server:
            server.start(echo)
            with DuplexClient(name) as client:
                assert client.call(bytes(size // 4)).is_valid
                if sys.platform == "linux":
                    assert size <= Path(f"/dev/shm/{name}_response").stat().st_size < size + 16384


def test_a_server_checks_its_arguments(name: str) -> None:
    server = ImmutableDuplexServer(name, CONFIG, persistent=True)
    start: Any = server.start
    for arguments, text in (
        ((echo, ProcessingMode.THREAD_POOL), "mode=ProcessingMode"),
        ((None,), "handler must be callable"),
        (("handler",), "handler must be callable"),
        ((echo, 5), "on_init must be callable"),
    ):
        with pytest.raises(TypeError, match=text):
            start(*arguments)
        with pytest.raises(TypeError, match=text):
            asyncio.run(server.start_async(*arguments))
    with pytest.raises(TypeError, match="handler must be callable"):
        MutableDuplexServer(name, CONFIG).start(None)  # type: ignore[arg-type]
    assert not server.is_running
    server.start(echo, mode=ProcessingMode.THREAD_POOL)
    with pytest.raises(ZeroBufferException, match="Server is already running"):
        server.start(echo)
    server.stop()


def test_what_ends_a_server_and_what_fails_in_it_is_logged(name: str, caplog: pytest.LogCaptureFixture) -> None:
    def fail(frame: Frame, writer: Writer) -> None:
        raise KeyError("no such picture")

    with ImmutableDuplexServer(name, CONFIG) as server:
        server.start(fail)
        with DuplexClient(name) as client:
            assert not client.call(b"x", timeout=0.3)
        wait_until(lambda: not server.is_running, "the server has ended with its client")
        wait_until(lambda: "persistent=True" in caplog.text, "the end is logged")
    with ImmutableDuplexServer(name, CONFIG, timeout=0.1) as server:
        server.start(echo)
        wait_until(lambda: caplog.text.count("persistent=True") == 2, "the end without a client is logged")
    levels = {record.levelno for record in caplog.records if "persistent=True" in record.message}
    assert levels == {logging.WARNING}
    assert "Traceback" in caplog.text
    assert 'raise KeyError("no such picture")' in caplog.text


@linux_only
@pytest.mark.parametrize("by", ["argument", "environment"])
def test_the_mode_reaches_everything(name: str, by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    options: dict[str, Any] = {"mode": 0o660} if by == "argument" else {}
    if by == "environment":
        monkeypatch.setenv("ZEROBUFFER_MODE", "0660")
    factory = DuplexChannelFactory.get_instance()
    with factory.create_immutable_server(name, CONFIG, persistent=True, **options) as server:
        server.start(echo)
        with factory.create_client(name, **options), Reader(name, **options):
            for end in ("", "_request", "_response"):
                assert stat.S_IMODE(Path(f"/dev/shm/{name}{end}").stat().st_mode) & 0o777 == 0o660
    with factory.create_mutable_server(name, CONFIG, **options) as mutable:
        mutable.start(lambda frame: None)
        assert stat.S_IMODE(Path(f"/dev/shm/{name}_request").stat().st_mode) & 0o777 == 0o660
    monkeypatch.setenv("ZEROBUFFER_MODE", "rw")
    with pytest.raises(ValueError, match="octal"):
        Reader(name)


def test_a_program_without_a_writer_fails(name: str) -> None:
    command = [sys.executable, "-m", "zerobuffer.cross_platform.reader", name, "--timeout-ms", "50"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 1
    done = subprocess.run([*command, "--json-output"], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert json.loads(done.stdout)["errors"]
