"""What ``zerobuffer.video`` refuses: connection strings, frames, pictures, streams."""

import json
import struct
from typing import Any

import numpy as np
import pytest
import zerobuffer
from support import PATIENCE, child
from zerobuffer import BufferConfig, Reader, Writer
from zerobuffer.video import VideoError, VideoReader, VideoWriter


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("shm://{}", (256 << 20, 5.0)),
        ("shm://{}?size=1MB&metadata=8KB&mode=OneWay&timeout=250", (1 << 20, 0.25)),
        ("SHM://{}?Size=512k&MODE=ONE_WAY&preview=true", (512 << 10, 5.0)),
    ],
)
def test_connection_strings(name: str, url: str, said: tuple[int, float]) -> None:
    with VideoReader.from_url(url.format(name), prefault=False) as reader:
        assert reader._reader is not None
        assert (reader.name, reader._reader.capacity, reader.timeout) == (name, *said)
        with VideoWriter.from_url(url.format(name), 25, (4, 2)) as writer:
            assert writer.isOpened()
    with VideoReader.from_url(url.format(name), buffer_size=65536, timeout=1) as reader:
        assert reader._reader is not None
        assert reader._reader.capacity == 65536


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("file:///tmp/x.mp4", "not in shared memory"),
        ("cam", "not in shared memory"),
        ("shm://", "names no buffer"),
        ("shm://cam?mode=Duplex", "zerobuffer.Server"),
        ("shm://cam?size=big", "size=big.* is no size"),
        ("shm://cam?size=1.2.3MB", "is no size"),
        ("shm://cam?timeout=soon", "timeout=soon.* milliseconds"),
    ],
)
def test_wrong_connection_strings(url: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        VideoReader.from_url(url)


CAPS = "video/x-raw, format=(string)BGR, width=(int)4, height=(int)2"


@pytest.mark.parametrize(
    ("metadata", "size", "message"),
    [
        (b"", 24, "24 bytes came, and its sender wrote no metadata"),
        (b"free text", 24, "describe no raw pictures"),
        (b"video/x-h264", 24, "describe no raw pictures"),
        (b"video/x-raw, format=BGR, height=(int)2", 24, "the caps have no width"),
        (b"video/x-raw, format=BGR, width=0, height=(int)2", 24, "width is '0'"),
        (b"video/x-raw, format=XYZ, width=4, height=2", 24, "pixel format 'XYZ' is not known"),
        (CAPS.encode(), 23, "the frame has 23 bytes, but BGR 4 x 2 has 24"),
        (json.dumps({"caps": CAPS, "frame_prefix": 24}).encode(), 24, "has 24 bytes, but BGR 4 x 2 has 48"),
        (
            json.dumps({"caps": CAPS, "frame_prefix": 24}).encode(),
            20,
            "20 bytes, fewer than the 24 of the announced stamp",
        ),
        (json.dumps({"caps": CAPS, "frame_prefix": 16}).encode(), 24, "frame_prefix is '16' where 0 or 24"),
        (json.dumps({"caps": CAPS, "width": 5, "height": 2, "format": "BGR"}).encode(), 24, "width 4, .* says 5"),
        (json.dumps({"caps": CAPS, "strides": [11]}).encode(), 24, r"strides \[11\] .* 12 bytes"),
    ],
)
def test_wrong_frames_are_one_exception(name: str, metadata: bytes, size: int, message: str) -> None:
    with VideoReader(name, timeout=PATIENCE) as reader, Writer(name) as writer:
        if metadata:
            writer.set_metadata(metadata)
        writer.write_frame(bytes(size))
        with pytest.raises(VideoError, match=message) as caught:
            reader.read()
        assert name in str(caught.value)
        assert isinstance(caught.value, ValueError)
        assert isinstance(caught.value, zerobuffer.ZeroBufferException)
        # It is over with that frame: the stream goes on.
        reader.timeout = 0.01
        assert reader.read() == (False, None)


def test_senders_that_say_nothing_can_be_described(name: str) -> None:
    with VideoReader(name, caps=CAPS) as reader, Writer(name) as writer:
        writer.write_frame(bytes(range(24)))
        writer.write_frame(struct.pack("<QQQ", 3, 4, 2**64 - 1) + bytes(range(24)))
        image = reader.read()[1]
        assert image is not None
        assert image.tobytes() == bytes(range(24))
        del image
        frame = reader.next_frame(PATIENCE)
        assert frame is not None
        assert (frame.number, frame.pts_ns, frame.exposure_us) == (3, 4, None)
        assert frame.array.tobytes() == bytes(range(24))
        del frame


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((48, 63, 3), np.uint8), "48 x 64 x 3 of uint8, the picture is 48 x 63 x 3 of uint8"),
        (np.zeros((48, 64), np.uint8), "48 x 64 x 3 of uint8, the picture is 48 x 64 of uint8"),
        (np.zeros((48, 64, 3), np.float32), "the picture is 48 x 64 x 3 of float32"),
        (bytes(100), "9216 of uint8, the picture is 100 of uint8"),
        (None, "a single value of object"),
        ([np.zeros((48, 64), np.uint8)] * 3, "48 x 64 of uint8, 48 x 64 of uint8, 48 x 64 of uint8"),
    ],
)
def test_wrong_pictures_are_one_exception(name: str, image: Any, message: str) -> None:
    with VideoReader(name) as reader, VideoWriter(name, 25, (64, 48)) as writer:
        refused(reader, writer, image, message)


def refused(reader: VideoReader, writer: VideoWriter, image: Any, message: str) -> None:
    with pytest.raises(VideoError, match=message):
        writer.write(image)
    writer.write(np.zeros((48, 64, 3), np.uint8))
    frame = reader.next_frame(PATIENCE)
    assert frame is not None
    assert (frame.sequence, frame.number) == (1, 0)
    del frame


@pytest.mark.parametrize(
    ("fps", "size", "format", "message"),
    [
        (25, (64, 48), "XYZ", "pixel format 'XYZ' is not known"),
        (25, (0, 48), "BGR", "width is '0'"),
        (25, (64, 2**40), "BGR", "too large|out of range|convert"),
        (-1, (64, 48), "BGR", "-1 is no rate"),
        ("fast", (64, 48), "BGR", "'fast' is no rate"),
        (float("inf"), (64, 48), "BGR", "inf is no rate"),
        (2**31, (64, 48), "BGR", "2147483648 is no rate"),
        (5000000.123, (64, 48), "BGR", "5000000.123 is no rate"),
        (25, (2**30, 2**30), "ARGB64", "exceeds the address space"),
    ],
)
def test_wrong_streams(name: str, fps: Any, size: Any, format: str, message: str) -> None:
    with VideoReader(name), pytest.raises(VideoError, match=message):
        VideoWriter(name, fps, size, format)


def test_nobody_reads(name: str) -> None:
    with pytest.raises(zerobuffer.BufferNotFoundException):
        VideoWriter(name, 25, (64, 48), timeout=0.05)
    # The pictures of an earlier sender are not taken: its description still holds.
    with Reader(name, BufferConfig(1024, 65536)) as reader:
        with Writer(name) as first:
            first.set_metadata(b"something else")
            first.write_frame(b"1")
        with pytest.raises(zerobuffer.WriteTimeoutException, match="32 bytes of that writer's frames are unread"):
            VideoWriter(name, 25, (64, 48), write_timeout=0.2)
        frame = reader.read_frame()
        assert frame is not None


def test_without_numpy_the_error_names_the_remedy(name: str) -> None:
    code = """
        import sys
        sys.modules["numpy"] = None
        from zerobuffer import video
        for make in (lambda: video.VideoReader(sys.argv[1]), lambda: video.VideoWriter(sys.argv[1], 25, (4, 2))):
            try:
                make()
            except ImportError as error:
                print(error)
    """
    with child(code, name) as process:
        assert process.finish().count("zerobuffer.video needs NumPy 1.20 or newer: pip install numpy") == 2
