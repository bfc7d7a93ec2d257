"""Frames as arrays: shapes given, shapes from the metadata, DLPack, no copies."""

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from zerobuffer import BufferConfig, Frame, Reader, Writer
from zerobuffer._array import describe

CAPS = "video/x-raw, format=(string){}, width=(int){}, height=(int){}, framerate=(fraction)25/1"


def video(kind: str, width: int, height: int) -> bytes:
    """Metadata as the existing video clients write it."""
    fields = {"type": "send", "version": "1", "element_name": "src", "caps": CAPS.format(kind, width, height)}
    return json.dumps(fields).encode()


def send(reader: Reader, writer: Writer, data: Any) -> Frame:
    writer.write_frame(data)
    frame = reader.read_frame()
    assert frame is not None
    return frame


def test_given_shape_and_dtype(reader: Reader, writer: Writer) -> None:
    sent = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    frame = send(reader, writer, sent)
    rows = frame.array((3, 4, 5), np.float32)
    assert np.array_equal(rows, sent)
    assert np.array_equal(frame.array(shape=(3, -1), dtype="f4"), sent.reshape(3, 20))
    assert frame.array(dtype=np.uint16).shape == (120,)
    assert frame.array((2, 120)).dtype == np.uint8
    assert frame.array().shape == (240,)
    rows[0, 0, 0] = 99.0
    assert np.frombuffer(frame.data, np.float32)[0] == 99.0, "an array is a view of the ring"
    with pytest.raises(ValueError, match="reshape"):
        frame.array((7, 7))


@pytest.mark.parametrize(
    ("kind", "width", "height", "shape", "dtype"),
    [
        ("RGB", 8, 6, (6, 8, 3), "u1"),
        ("BGRx", 5, 6, (6, 5, 4), "u1"),
        ("GRAY8", 8, 6, (6, 8), "u1"),
        ("GRAY16_LE", 8, 6, (6, 8), "<u2"),
        ("YUY2", 8, 6, (6, 8, 2), "u1"),
        ("I420", 8, 6, (9, 8), "u1"),
        ("NV12", 8, 6, (9, 8), "u1"),
    ],
)
def test_shape_from_caps(
    reader: Reader, writer: Writer, kind: str, width: int, height: int, shape: Any, dtype: str
) -> None:
    writer.set_metadata(video(kind, width, height))
    sent = np.arange(np.prod(shape), dtype=dtype).reshape(shape)
    rows = send(reader, writer, sent).array()
    assert rows.shape == shape
    assert np.array_equal(rows, sent)


def test_padded_rows(reader: Reader, writer: Writer) -> None:
    """GStreamer rounds rows up to 4 bytes: 5 RGB pixels are 15 bytes in rows of 16."""
    writer.set_metadata(video("RGB", 5, 4))
    padded = np.arange(64, dtype=np.uint8).reshape(4, 16)
    rows = send(reader, writer, padded).array()
    assert np.array_equal(rows, padded[:, :15].reshape(4, 5, 3))
    assert rows.base is not None


def test_audio_and_explicit_metadata(reader: Reader, writer: Writer) -> None:
    writer.set_metadata(
        b"audio/x-raw, format=(string)S16LE, layout=(string)interleaved, channels=(int)2, rate=(int)48000"
    )
    sent = np.arange(20, dtype="<i2").reshape(10, 2)
    assert np.array_equal(send(reader, writer, sent).array(), sent)
    assert describe(b'{"shape": [2, 3], "dtype": "float64"}', 48) == ((2, 3), "float64", None, 0)


def test_a_frame_that_does_not_fit_its_caps(reader: Reader, writer: Writer) -> None:
    writer.set_metadata(video("RGB", 8, 6))
    frame = send(reader, writer, bytes(100))
    with pytest.raises(ValueError, match="the frame has 100 bytes, but RGB 8 x 6 has 144"):
        frame.array()
    assert frame.array((10, 10), "u1").shape == (10, 10)


@pytest.mark.parametrize(
    "metadata", [b"", b"free text", b"\xff\xfe", b'{"caps": 5}', b"[1]", b'{"a": "b"}', b"video/x-h264", b"{bad"]
)
def test_metadata_that_says_nothing(reader: Reader, writer: Writer, metadata: bytes) -> None:
    writer.set_metadata(metadata)
    assert send(reader, writer, b"12345678").array().shape == (8,)


@pytest.mark.parametrize(
    "metadata",
    [
        b'{"shape": [2, null], "dtype": "uint8"}',
        b'{"shape": ["x"], "dtype": "uint8"}',
        b'{"shape": [8, true], "dtype": "uint8"}',
        b'{"shape": [2.0, 4], "dtype": "uint8"}',
        b'{"shape": [-1, -1], "dtype": "uint8"}',
        b'{"shape": [-2], "dtype": "uint8"}',
        b'{"shape": [18446744073709551616], "dtype": "uint8"}',
        b'{"shape": [8], "dtype": "image"}',
        b'{"shape": [1], "dtype": "object"}',
        b'{"shape": [1], "dtype": "S0"}',
        b'{"shape": "round", "dtype": 7, "caps": 9}',
        b'{"a":' * 20_000,
    ],
)
def test_metadata_that_merely_resemble_a_description(name: str, metadata: bytes) -> None:
    with Reader(name, BufferConfig(200_000, 4096)) as reader, Writer(name) as writer:
        writer.set_metadata(metadata)
        frame = send(reader, writer, b"12345678")
        assert (frame.array().shape, frame.array().dtype) == ((8,), np.uint8)
        if hasattr(np, "from_dlpack"):
            assert np.from_dlpack(frame).tobytes() == b"12345678"


@pytest.mark.parametrize(
    ("caps", "message"),
    [
        ("audio/x-raw, format=F8LE", "format is 'F8LE'"),
        ("audio/x-raw, format=S16LE, channels=two", "channels is 'two'"),
        ("audio/x-raw, format=S16LE, channels=0", "channels is '0'"),
        ("audio/x-raw, format=S16LE, channels=3", "has 8 bytes, but S16LE of 3 channels has a multiple of 6"),
        ("video/x-raw, format=GRAY8, width=-2, height=-4", "width is '-2'"),
        ("video/x-raw, format=GRAY8, height=4", "the caps have no width"),
        ("video/x-raw, format=XYZ, width=2, height=4", "pixel format 'XYZ' is not known"),
        ("video/x-raw, format=v210, width=2, height=4", "8 bytes, but v210 2 x 4 has 512"),
    ],
)
def test_wrong_descriptions_are_errors(reader: Reader, writer: Writer, caps: str, message: str) -> None:
    writer.set_metadata(json.dumps({"caps": caps}).encode())
    frame = send(reader, writer, b"12345678")
    with pytest.raises(ValueError, match=message):
        frame.array()
    assert frame.array((8,), "u1").shape == (8,)


@pytest.mark.parametrize("announced", [True, False])
def test_stamps_are_not_pixels(reader: Reader, writer: Writer, announced: bool) -> None:
    described = json.loads(video("RGB", 5, 4))
    if announced:
        described["frame_prefix"] = 24
    writer.set_metadata(json.dumps(described).encode())
    padded = np.arange(64, dtype=np.uint8).reshape(4, 16)
    rows = send(reader, writer, bytes(24) + padded.tobytes()).array()
    assert np.array_equal(rows, padded[:, :15].reshape(4, 5, 3))


def test_two_readings_of_one_size_are_an_error(reader: Reader, writer: Writer) -> None:
    writer.set_metadata(video("GRAY8", 3, 24))
    with pytest.raises(ValueError, match="tight rows behind a stamp and as padded rows"):
        send(reader, writer, bytes(96)).array()


def test_planes(reader: Reader, writer: Writer) -> None:
    """Equal planes are one array; announced strides are kept."""
    described = json.loads(video("Y444", 4, 2))
    described["strides"] = [6, 6, 6]
    writer.set_metadata(json.dumps(described).encode())
    sent = np.arange(36, dtype=np.uint8)
    rows = send(reader, writer, sent).array()
    assert np.array_equal(rows, sent.reshape(3, 2, 6)[:, :, :4])


def test_asarray_is_a_view(reader: Reader, writer: Writer) -> None:
    frame = send(reader, writer, b"abcd")
    rows = np.asarray(frame)
    rows[0] = ord("X")
    assert bytes(frame) == b"Xbcd"
    assert np.shares_memory(rows, np.asarray(frame.data))


@pytest.mark.skipif(not hasattr(np, "from_dlpack"), reason="this NumPy has no from_dlpack")
def test_dlpack(reader: Reader, writer: Writer) -> None:
    frame = send(reader, writer, b"abcd")
    assert frame.__dlpack_device__() == (1, 0)
    tensor = np.from_dlpack(frame)
    assert tensor.tobytes() == b"abcd"
    frame.dispose()
    assert tensor.tobytes() == b"abcd", "a DLPack consumer keeps the space"
    assert reader.utilization > 0
    del tensor
    assert reader.utilization == 0


def test_arrays_of_a_released_frame(reader: Reader, writer: Writer) -> None:
    """NumPy must not make an array of objects of it."""
    frame = send(reader, writer, b"abcd")
    assert frame.__array__(np.uint16).tolist() == [97, 98, 99, 100], "elements are converted, as NumPy means it"
    assert np.shares_memory(frame.__array__(), np.asarray(frame))
    assert not np.shares_memory(frame.__array__(copy=True), np.asarray(frame))
    with pytest.raises(ValueError, match="copy"):
        frame.__array__(np.uint16, copy=False)
    frame.dispose()
    with pytest.raises(ValueError, match="released"):
        frame.array()
    with pytest.raises(ValueError, match="released"):
        np.asarray(frame)


def test_arrays_of_a_frame_keep_its_space(name: str) -> None:
    with Reader(name, BufferConfig(1024, 4096)) as reader, Writer(name, full="refuse") as writer:
        writer.set_metadata(video("RGB", 10, 10))
        rows = send(reader, writer, bytes(range(150)) * 2).array()
        for _ in range(10):
            assert send(reader, writer, b"x" * 300).size == 300
        assert rows.tobytes() == bytes(range(150)) * 2


def test_without_numpy() -> None:
    """NumPy is optional: all but the array methods work, and those say what is missing."""
    code = """
import sys
sys.modules["numpy"] = None
from zerobuffer import Frame
frame = Frame(memoryview(b"abc"), 0, 3, 1)
assert bytes(frame) == b"abc"
try:
    frame.array()
except ImportError as error:
    print(error)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install numpy" in run.stdout


def test_metadata_that_are_half_understood_are_told_once(
    reader: Reader, writer: Writer, caplog: pytest.LogCaptureFixture
) -> None:
    writer.set_metadata(b'{"caps": "video/x-bayer, format=(string)bggr, width=(int)4, height=(int)2"}')
    for _ in range(3):
        writer.write_frame(bytes(24))
        frame = reader.read_frame()
        assert frame is not None
        assert frame.array().shape == (24,)
        frame.dispose()
    assert [record.levelname for record in caplog.records if "not understood" in record.message] == ["WARNING"]
