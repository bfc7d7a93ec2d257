"""Every public name of 1.x is there, with its signature, defaults, values and texts."""

import inspect
import pickle
import struct
import subprocess
import sys
from datetime import timedelta
from importlib import import_module, metadata
from typing import Any

import pytest
import zerobuffer
from zerobuffer import BufferConfig, ErrorEventArgs, Frame, Reader, Writer, exceptions, types
from zerobuffer.error_event_args import ErrorEventArgs as ErrorEventArgsOfModule
from zerobuffer.types import OIEB, FrameHeader, ProtocolVersion, align_to_boundary

STREAM_NAMES = {
    "Reader",
    "Writer",
    "BufferConfig",
    "Frame",
    "OIEB",
    "FrameHeader",
    "ZeroBufferException",
    "WriterDeadException",
    "ReaderDeadException",
    "WriterAlreadyConnectedException",
    "ReaderAlreadyConnectedException",
    "BufferFullException",
    "FrameTooLargeException",
    "SequenceError",
    "InvalidFrameSizeException",
    "MetadataAlreadyWrittenException",
    "ErrorEventArgs",
}


def test_package_names() -> None:
    assert set(zerobuffer.__all__) >= STREAM_NAMES
    for name in zerobuffer.__all__:
        assert hasattr(zerobuffer, name)


def test_version_is_that_of_the_distribution() -> None:
    assert zerobuffer.__version__ == metadata.version("zerobuffer-ipc")


def test_no_mandatory_dependency() -> None:
    needs = metadata.requires("zerobuffer-ipc") or []
    assert [need for need in needs if "extra ==" not in need] == []


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("zerobuffer.reader", ["Reader"]),
        ("zerobuffer.writer", ["Writer"]),
        ("zerobuffer.exceptions", [name for name in STREAM_NAMES if name.endswith(("Exception", "Error"))]),
        ("zerobuffer.error_event_args", ["ErrorEventArgs"]),
        ("zerobuffer.types", ["BLOCK_ALIGNMENT", "align_to_boundary", "ProtocolVersion", "OIEB", "FrameHeader"]),
        ("zerobuffer.types", ["BufferConfig", "Frame"]),
        ("zerobuffer.cross_platform", ["writer_main", "reader_main"]),
        ("zerobuffer_serve", ["__version__"]),
        ("zerobuffer_serve.services", ["BufferNamingService"]),
        ("zerobuffer_serve.test_data_patterns", ["TestDataPatterns"]),
    ],
)
def test_module_names(module: str, names: list[str]) -> None:
    loaded = import_module(module)
    for name in names:
        assert hasattr(loaded, name)


def test_the_package_and_its_modules_name_the_same_classes() -> None:
    assert zerobuffer.Frame is types.Frame
    assert zerobuffer.BufferConfig is types.BufferConfig
    assert zerobuffer.ErrorEventArgs is ErrorEventArgsOfModule
    assert zerobuffer.WriterDeadException is exceptions.WriterDeadException
    assert (Reader.__module__, Writer.__module__, Frame.__module__) == (
        "zerobuffer.reader",
        "zerobuffer.writer",
        "zerobuffer.types",
    )


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        (Reader, {"name": inspect.Parameter.empty, "config": None}),
        (Reader.read_frame, {"timeout": 5.0}),
        (Reader.release_frame, {"frame": inspect.Parameter.empty}),
        (Reader.is_writer_connected, {"timeout_ms": None}),
        (Reader.get_metadata, {}),
        (Reader.close, {}),
        (Writer, {"name": inspect.Parameter.empty}),
        (Writer.set_metadata, {"data": inspect.Parameter.empty}),
        (Writer.write_frame, {"data": inspect.Parameter.empty}),
        (Writer.get_frame_buffer, {"size": inspect.Parameter.empty}),
        (Writer.commit_frame, {}),
        (Writer.is_reader_connected, {}),
        (Writer.close, {}),
        (BufferConfig, {"metadata_size": 1024, "payload_size": 1024 * 1024}),
    ],
)
def test_signature(function: Any, parameters: dict[str, Any]) -> None:
    found = {
        name: parameter.default
        for name, parameter in inspect.signature(function).parameters.items()
        if name != "self" and parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    }
    assert found == parameters


def test_additions_are_keyword_only() -> None:
    for function in (Reader, Writer, Writer.commit_frame):
        extra = [
            parameter.kind
            for name, parameter in inspect.signature(function).parameters.items()
            if name not in ("self", "name", "config")
        ]
        assert extra
        assert set(extra) == {inspect.Parameter.KEYWORD_ONLY}


def test_frame_signature() -> None:
    parameters = inspect.signature(Frame).parameters
    assert list(parameters) == ["memory_view", "offset", "size", "sequence", "on_dispose"]
    assert parameters["on_dispose"].default is None


@pytest.mark.parametrize(
    ("cls", "text"),
    [
        (exceptions.WriterDeadException, "Writer process is dead"),
        (exceptions.ReaderDeadException, "Reader process is dead"),
        (exceptions.WriterAlreadyConnectedException, "Another writer is already connected"),
        (exceptions.ReaderAlreadyConnectedException, "Another reader is already connected"),
        (exceptions.BufferFullException, "Buffer is full"),
        (exceptions.FrameTooLargeException, "Frame size exceeds buffer capacity"),
        (exceptions.InvalidFrameSizeException, "Invalid frame size (zero or too large)"),
        (exceptions.MetadataAlreadyWrittenException, "Metadata has already been written"),
    ],
)
def test_exception(cls: Any, text: str) -> None:
    assert issubclass(cls, exceptions.ZeroBufferException)
    assert str(cls()) == text
    by_keyword: Any = cls
    assert str(cls("other")) == str(by_keyword(message="other")) == "other"
    again = pickle.loads(pickle.dumps(cls("other")))
    assert type(again) is cls
    assert str(again) == "other"


def test_sequence_error() -> None:
    error = exceptions.SequenceError(4, got=7)
    assert (error.expected, error.got, str(error)) == (4, 7, "Sequence error: expected 4, got 7")
    again = pickle.loads(pickle.dumps(error))
    assert (again.expected, again.got, str(again)) == (4, 7, str(error))


def test_error_event_args() -> None:
    args = ErrorEventArgs(ValueError("boom"))
    assert isinstance(args.exception, ValueError)
    assert str(args) == "ErrorEventArgs(ValueError: boom)"
    assert repr(args) == "ErrorEventArgs(exception=ValueError('boom'))"
    with pytest.raises(TypeError):
        ErrorEventArgs("boom")  # type: ignore[arg-type]
    with pytest.raises(AttributeError):
        args.exception = ValueError()  # type: ignore[misc]


def test_buffer_config() -> None:
    config = BufferConfig()
    assert (config.metadata_size, config.payload_size) == (1024, 1024 * 1024)
    assert config == BufferConfig(payload_size=1048576)
    assert repr(config) == "BufferConfig(metadata_size=1024, payload_size=1048576)"
    config.payload_size = 5
    assert config.payload_size == 5
    for wrong in ({"metadata_size": 0}, {"metadata_size": -1}, {"payload_size": 0}):
        with pytest.raises(ValueError, match="must be positive"):
            BufferConfig(**wrong)


def test_alignment() -> None:
    assert types.BLOCK_ALIGNMENT == 64
    assert [align_to_boundary(n) for n in (0, 1, 64, 65)] == [0, 64, 64, 128]
    assert align_to_boundary(10, 8) == align_to_boundary(10, alignment=8) == 16


def test_protocol_version() -> None:
    version = ProtocolVersion(1, 2, 3, 0)
    assert (ProtocolVersion.FORMAT, ProtocolVersion.SIZE) == ("<4B", 4)
    assert version.pack() == b"\1\2\3\0"
    assert ProtocolVersion.unpack(b"\1\2\3\0tail") == version
    with pytest.raises(struct.error):
        ProtocolVersion.unpack(b"\1")


def test_frame_header() -> None:
    header = FrameHeader(payload_size=5, sequence_number=2**40)
    assert (FrameHeader.FORMAT, FrameHeader.SIZE, FrameHeader.WRAP_MARKER) == ("<2Q", 16, 0)
    assert header.pack() == struct.pack("<QQ", 5, 2**40)
    assert FrameHeader.unpack(header.pack() + b"data") == header
    assert not header.is_wrap_marker()
    assert FrameHeader(0, 0).is_wrap_marker()
    with pytest.raises(ValueError, match="16 bytes, not 15"):
        FrameHeader.unpack(bytes(15))


def test_oieb() -> None:
    block = OIEB(128, ProtocolVersion(1, 0, 0, 0), 1024, 900, 124, 4096, 4000, 96, 0, 3, 2, 11, 22)
    assert (OIEB.FORMAT, OIEB.SIZE) == ("<I4B11Q4Q", 128)
    assert block._reserved == (0, 0, 0, 0)
    packed = block.pack()
    assert len(packed) == 128
    assert struct.unpack_from("<Q", packed, 80) == (11,)
    assert struct.unpack_from("<Q", packed, 88) == (22,)
    assert OIEB.unpack(packed + b"more") == block
    assert block.calculate_used_bytes() == 96
    block.payload_read_pos = 100
    assert block.calculate_used_bytes() == 4092
    with pytest.raises(ValueError, match="128 bytes, not 127"):
        OIEB.unpack(packed[:127])


def test_write_timeout(writer: Writer) -> None:
    assert writer.write_timeout == timedelta(seconds=5)
    writer.write_timeout = timedelta(milliseconds=250)
    assert writer.write_timeout == timedelta(milliseconds=250)
    for wrong in (timedelta(), timedelta(seconds=-1)):
        with pytest.raises(ValueError, match="positive"):
            writer.write_timeout = wrong
    writer.write_timeout = timedelta.max
    assert writer.write_timeout > timedelta(days=36500)


def test_attributes(reader: Reader, writer: Writer) -> None:
    assert reader.name == writer.name
    writer.name = "renamed"
    assert writer.name == "renamed"
    assert (reader.frames_read, reader.bytes_read) == (0, 0)
    assert (writer.frames_written, writer.bytes_written) == (0, 0)
    assert writer._sequence_number == 1
    writer.write_frame(b"12345")
    assert writer._sequence_number == 2
    assert (writer.frames_written, writer.bytes_written) == (1, 5)
    with pytest.raises(AttributeError):
        reader.frames_read = 3  # type: ignore[misc]


@pytest.mark.parametrize("module", ["oieb_view", "shared_memory", "platform", "platform.linux"])
def test_removed_modules_name_the_migration_page(module: str) -> None:
    with pytest.raises(ImportError, match="migration"):
        import_module(f"zerobuffer.{module}")


def test_subclasses_may_have_a_constructor_of_their_own(name: str) -> None:
    class Camera(Reader):
        def __init__(self, number: int) -> None:
            super().__init__(name, BufferConfig(64, 4096))
            self.number = number

    camera = Camera(3)
    with camera, Writer(name) as writer:
        writer.write_frame(b"x")
        frame = camera.read_frame(timeout=5.0)
        assert frame is not None
        assert (camera.number, bytes(frame)) == (3, b"x")


def test_import_prints_nothing() -> None:
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", "import zerobuffer"], capture_output=True, text=True, check=True
    )
    assert run.stdout + run.stderr == ""
