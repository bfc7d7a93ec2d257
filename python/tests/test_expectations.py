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
