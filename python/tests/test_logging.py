"""Loggers, levels and categories as the README describes them; silence by default."""

import logging
import subprocess
import sys
from typing import Optional, Union

import pytest
from zerobuffer import BufferConfig, Reader, Writer, WriterDeadException, ZeroBufferException
from zerobuffer.duplex import ImmutableDuplexServer

SESSION = """
import sys
from zerobuffer import BufferConfig, Reader, Writer
with Reader(sys.argv[1], BufferConfig(64, 4096)) as reader, Writer(sys.argv[1]) as writer:
    writer.set_metadata(b"meta")
    reader.get_metadata()
    for i in range(3):
        writer.write_frame(bytes(1500))
        reader.release_frame(reader.read_frame())
"""


def run(name: str, value: Optional[str], setup: str = "") -> "subprocess.CompletedProcess[str]":
    import os

    env = {key: text for key, text in os.environ.items() if key != "ZEROBUFFER_LOG_LEVEL"}
    if value is not None:
        env["ZEROBUFFER_LOG_LEVEL"] = value
    return subprocess.run(
        [sys.executable, "-c", setup + SESSION, name], capture_output=True, text=True, env=env, timeout=60
    )


def messages(caplog: pytest.LogCaptureFixture, logger: str, level: int) -> str:
    return "\n".join(r.getMessage() for r in caplog.records if (r.name, r.levelno) == (logger, level))


def test_silent_by_default(name: str) -> None:
    result = run(name, None)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_null_handler() -> None:
    handlers = logging.getLogger("zerobuffer").handlers
    assert any(isinstance(handler, logging.NullHandler) for handler in handlers)


def test_debug(name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "zerobuffer")
    with Reader(name, BufferConfig(64, 4096)) as reader, Writer(name) as writer:
        for _ in range(4):
            writer.write_frame(bytes(1500))
            frame = reader.read_frame()
            assert frame is not None
            reader.release_frame(frame)
        writer.get_frame_buffer(100)
        writer.commit_frame()
        assert reader.read_frame() is not None
        assert reader.read_frame(0.01) is None
    read, written = messages(caplog, "zerobuffer.reader", 10), messages(caplog, "zerobuffer.writer", 10)
    assert "Creating reader" in read
    assert "payload_size=4096" in read
    assert "seq=4, size=1500" in read
    assert "Released frame: seq=4" in read
    assert "timed out after 10ms" in read
    assert "timeout=0s" in messages(caplog, "zerobuffer.writer", 10)
    assert "seq=4, size=1500" in written
    assert "seq=5, size=100" in written
    both = (read + written).lower()
    for category in ("wrap", "semaphore", "free"):
        assert category in both, f"the README promises records about {category}"


def test_each_wrap_around(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """Also when the position after a frame is not lower than the one before."""
    caplog.set_level(logging.DEBUG, "zerobuffer")
    with Reader(name, BufferConfig(64, 256)) as reader, Writer(name) as writer:
        for size in (140, 140, 140):
            writer.write_frame(bytes(size))
            frame = reader.read_frame()
            assert frame is not None
            reader.release_frame(frame)
    for logger in ("zerobuffer.reader", "zerobuffer.writer"):
        assert messages(caplog, logger, 10).count("Wrap-around: from position 160 to 160 of 256") == 2


def test_info(name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "zerobuffer")
    with Reader(name) as reader, Writer(name) as writer:
        writer.set_metadata(b"meta")
        reader.get_metadata()
        writer.write_frame(b"x")
        reader.read_frame()
    read, written = messages(caplog, "zerobuffer.reader", 20), messages(caplog, "zerobuffer.writer", 20)
    assert "created buffer" in read
    assert "Metadata" in read
    assert "closed buffer" in read
    assert "1 frames" in read
    assert "attached to buffer" in written
    assert "metadata written" in written
    assert "left buffer" in written
    assert messages(caplog, "zerobuffer.reader", 10) == messages(caplog, "zerobuffer.writer", 10) == ""


def test_warning_and_error(name: str, caplog: pytest.LogCaptureFixture) -> None:
    with Reader(name) as reader:
        assert reader.get_metadata() is None
        assert "No metadata" in messages(caplog, "zerobuffer.reader", 30)
        with pytest.raises(ZeroBufferException):
            Reader(name)
        assert "Cannot create reader" in messages(caplog, "zerobuffer.reader", 40)
    with pytest.raises(ZeroBufferException):
        Writer(name)
    assert "Cannot connect writer" in messages(caplog, "zerobuffer.writer", 40)


def test_only_the_chosen_logger_speaks(name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "zerobuffer.reader")
    with Reader(name) as reader, Writer(name) as writer:
        writer.write_frame(b"x")
        reader.read_frame()
        assert "seq=1" in messages(caplog, "zerobuffer.reader", 10)
        assert messages(caplog, "zerobuffer.writer", 10) == ""


def test_a_level_changed_in_mid_stream_counts_at_once(
    reader: Reader, writer: Writer, caplog: pytest.LogCaptureFixture
) -> None:
    logger = logging.getLogger("zerobuffer.writer")
    for i in range(6):
        with caplog.at_level(logging.DEBUG if i % 2 else logging.INFO, "zerobuffer.writer"):
            writer.write_frame(b"x")
    lines = [
        line for line in messages(caplog, "zerobuffer.writer", 10).splitlines() if "seq=" in line and "Wrote" in line
    ]
    assert [line.split("seq=")[1].split(",")[0] for line in lines] == ["2", "4", "6"]
    logging.disable(logging.CRITICAL)
    try:
        with caplog.at_level(logging.DEBUG, "zerobuffer.writer"):
            logging.disable(logging.CRITICAL)
            caplog.clear()
            writer.write_frame(b"x")
            assert caplog.records == []
    finally:
        logging.disable(logging.NOTSET)
    assert logger.level == logging.NOTSET
    assert len(list(iter(lambda: reader.read_frame(0), None))) == 7


def test_the_end_of_a_writer_is_logged(name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "zerobuffer")
    with Reader(name) as reader:
        with Writer(name):
            assert reader.read_frame(timeout=0.01) is None
        with pytest.raises(WriterDeadException):
            reader.read_frame(timeout=5.0)
    assert "has left" in messages(caplog, "zerobuffer.reader", 20)


@pytest.mark.parametrize(("value", "levels"), [("DEBUG", {"DEBUG", "INFO"}), ("info", {"INFO"}), ("ERROR", set())])
def test_the_variable_alone_prints(name: str, value: str, levels: set[str]) -> None:
    result = run(name, value)
    assert (result.returncode, result.stdout) == (0, "")
    found = {line.split(" - ")[2] for line in result.stderr.splitlines()}
    assert found == levels


@pytest.mark.parametrize("value", ["LOUD", "BASIC_FORMAT", "42", "debug,info"])
def test_an_unknown_value_warns_and_is_ignored(name: str, value: str) -> None:
    result = run(name, value)
    assert result.returncode == 0
    assert f"ZEROBUFFER_LOG_LEVEL={value!r} is not a log level" in result.stderr
    assert "zerobuffer.reader" not in result.stderr


def test_an_application_with_handlers_prints_once(name: str) -> None:
    result = run(name, "INFO", "import logging; logging.basicConfig(format='APP %(message)s')\n")
    lines = result.stderr.splitlines()
    assert lines
    assert all(line.startswith("APP ") for line in lines)


def test_handlers_of_the_application_may_use_the_endpoint(name: str) -> None:
    """Records are emitted with no lock held."""

    class Nosy(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            for endpoint in endpoints:
                endpoint.stats  # noqa: B018
                endpoint.utilization  # noqa: B018

    logger = logging.getLogger("zerobuffer")
    handler = Nosy()
    endpoints: list[Union[Reader, Writer]] = []
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        with Reader(name) as reader, Writer(name) as writer:
            endpoints += [reader, writer]
            for _ in range(100):
                writer.write_frame(b"x")
                assert reader.read_frame() is not None
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)


def test_an_exception_of_a_handler_costs_no_frame(name: str) -> None:
    """A Ctrl-C comes wherever Python code runs, in a handler too."""
    raised: list[str] = []

    class Interrupted(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            text = record.getMessage()
            if text.startswith("Read frame") and text not in raised:
                raised.append(text)
                raise KeyboardInterrupt

    logger = logging.getLogger("zerobuffer.reader")
    handler = Interrupted()
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        with Reader(name) as reader, Writer(name) as writer:
            for number in range(3):
                writer.write_frame(b"%d" % number)
            for number in range(3):
                with pytest.raises(KeyboardInterrupt):
                    reader.read_frame(0)
                frame = reader.read_frame(0)
                assert frame is not None
                assert bytes(frame.data) == b"%d" % number
                reader.release_frame(frame)
            assert reader.read_frame(0) is None
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
    assert len(raised) == 3


def test_a_change_of_level_counts_at_once(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """What an endpoint knows of its logger is forgotten with each change, wherever it is made."""
    own, above = logging.getLogger("zerobuffer.reader"), logging.getLogger("zerobuffer")

    def logs() -> bool:
        caplog.clear()
        writer.write_frame(b"x")
        frame = reader.read_frame(0)
        assert frame is not None
        reader.release_frame(frame)
        found = messages(caplog, "zerobuffer.reader", logging.DEBUG)
        assert ("Read frame" in found) == ("Released frame" in found)
        return "Read frame" in found

    with Reader(name) as reader, Writer(name) as writer:
        try:
            for logger in own, above:
                assert not logs()
                logger.setLevel(logging.DEBUG)
                assert logs()
                logging.disable(logging.DEBUG)
                assert not logs()
                logging.disable(logging.NOTSET)
                assert logs()
                logger.disabled = True
                assert not (logs() and logger is own)
                logger.disabled = False
                assert logs()
                logger.setLevel(logging.NOTSET)
            own.disabled = True
            own.setLevel(logging.DEBUG)
            assert not logs()
            own.disabled = False
            assert logs(), "what a disabled logger said was not kept"
        finally:
            logging.disable(logging.NOTSET)
            for logger in own, above:
                logger.disabled = False
                logger.setLevel(logging.NOTSET)
        assert not logs()


@pytest.mark.parametrize("end", ["stop", "drain"])
def test_what_a_server_logs_last_is_handed_on(name: str, end: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "zerobuffer"):
        server = ImmutableDuplexServer(name, BufferConfig(64, 4096), persistent=True)
        server.start(lambda frame, writer: writer.write_frame(frame.data))
        getattr(server, end)()
    assert f"server of channel '{name}' has ended" in messages(caplog, "zerobuffer.duplex.server", logging.INFO)
