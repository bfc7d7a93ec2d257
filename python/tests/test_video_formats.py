"""Pixel formats of ``zerobuffer.video``: lossless round trips, conversions by OpenCV and PyAV."""

from typing import Any

import numpy as np
import pytest
from support import PATIENCE
from zerobuffer import Writer
from zerobuffer.video import VideoError, VideoFrame, VideoReader, VideoWriter, _av, _convert

#: Bytes of a ring: tests of small pictures need no more, and making a large one takes time.
ROOM = 1 << 18
SIZES = [(64, 48), (33, 17)]
#: What PyAV's formats have in common with the table.
KNOWN = sorted(_av._NAMES)


def noise(size: int) -> bytes:
    return np.random.default_rng(size).bytes(size)


def sent(reader: VideoReader, writer: VideoWriter, image: Any) -> VideoFrame:
    writer.write(image)
    frame = reader.next_frame(PATIENCE)
    assert frame is not None
    return frame


def pixels(writer: VideoWriter) -> int:
    return writer._length - 24


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("format", KNOWN)
def test_through_pyav_and_back(name: str, format: str, size: tuple[int, int]) -> None:
    """Every byte of a picture, of each format that FFmpeg has too, through a frame of PyAV."""
    pytest.importorskip("av")
    with VideoReader(name, buffer_size=ROOM) as reader, VideoWriter(name, 25, size, format) as writer:
        data = np.frombuffer(noise(pixels(writer)), np.uint8)
        frame = sent(reader, writer, data)
        picture = frame.to_av()
        assert (picture.width, picture.height, picture.format.name) == (*size, _av._NAMES[format])
        assert picture.pts * picture.time_base == 0
        again = sent(reader, writer, picture)
        assert bytes(again.data[24:]) == data.tobytes()
        assert again.pts_ns == 0
        # As planes, and as one array where it is one.
        for form in (again.planes, again):
            assert bytes(sent(reader, writer, form).data[24:]) == data.tobytes()
        del frame, picture, again, form


@pytest.mark.parametrize("format", ["v210", "UYVP", "IYU1", "NV12_10LE32", "RGB8P", "ARGB64"])
def test_formats_that_only_gstreamer_has(name: str, format: str) -> None:
    with VideoReader(name, buffer_size=ROOM) as reader, VideoWriter(name, 25, (48, 16), format) as writer:
        data = noise(pixels(writer))
        frame = sent(reader, writer, np.frombuffer(data, np.uint8))
        assert bytes(sent(reader, writer, frame).data[24:]) == data
        with pytest.raises(VideoError, match=f"{format} 48 x 16 to BGR: read {format} and convert it yourself"):
            frame.to("BGR")
        del frame


def test_a_format_that_is_no_one_array(name: str) -> None:
    with VideoReader(name, buffer_size=ROOM) as reader, VideoWriter(name, 25, (33, 17), "I420") as writer:
        frame = sent(reader, writer, np.frombuffer(noise(pixels(writer)), np.uint8))
        assert [plane.shape for plane in frame.planes] == [(17, 33), (9, 17), (9, 17)]
        with pytest.raises(VideoError, match=r"I420 33 x 17 pictures are no one array: use the frame's 'planes'"):
            frame.array  # noqa: B018
        del frame


def ramp(width: int = 64, height: int = 48) -> Any:
    """A smooth picture: subsampled chroma loses little of it."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    return np.stack([40 + 2 * x, 220 - 3 * y, 60 + x + y], axis=2).astype(np.uint8)


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """Hide every converter but one, which must be there."""
    allowed: str = request.param
    if allowed != "none":
        pytest.importorskip(allowed)
    real = _convert.optional
    monkeypatch.setattr(_convert, "optional", lambda module: real(module) if module == allowed else None)
    return allowed


CHROMA = ["I420", "YV12", "NV12", "NV21", "YUY2", "UYVY", "YVYU", "Y42B", "Y444", "NV16", "NV24"]


@pytest.mark.parametrize("only", ["cv2", "av"], indirect=True)
@pytest.mark.parametrize("colorimetry", ["bt601", "bt709", "1:4:0:0"])
@pytest.mark.parametrize("format", CHROMA)
def test_colours_come_out_as_they_went_in(name: str, only: str, colorimetry: str, format: str) -> None:
    """FFmpeg makes the picture, with the matrix and the range that the caps announce."""
    av = pytest.importorskip("av")
    space, full = {"bt601": (5, 1), "bt709": (1, 1), "1:4:0:0": (5, 2)}[colorimetry]
    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(ramp()), format="bgr24").reformat(
        format=_av._NAMES[format], dst_colorspace=space, dst_color_range=full
    )
    caps = f"video/x-raw, format=(string){format}, width=(int)64, height=(int)48, colorimetry=(string){colorimetry}"
    with VideoReader(name, buffer_size=ROOM, format="BGR") as reader, Writer(name) as writer:
        writer.set_metadata(caps.encode())
        with (
            VideoReader(f"{name}-x", buffer_size=ROOM) as other,
            VideoWriter(f"{name}-x", 25, (64, 48), format) as helper,
        ):
            made = sent(other, helper, picture)
            writer.write_frame(bytes(made.data[24:]))
            del made
        frame = reader.next_frame(PATIENCE)
        assert frame is not None
        error = np.abs(frame.array.astype(int) - ramp())
        # The edges are where a converter may place chroma otherwise.
        assert error[2:-2, 2:-2].max() <= 8, f"{only}: {error.max()}"
        assert error.mean() < 3
        del frame


@pytest.mark.parametrize("only", ["cv2", "av", "none"], indirect=True)
@pytest.mark.parametrize("target", ["BGR", "RGB", "BGRA", "RGBA"])
@pytest.mark.parametrize("source", ["BGR", "RGB", "RGBA", "BGRA", "ARGB", "ABGR", "RGBx", "xBGR"])
def test_components_in_another_order(name: str, only: str, source: str, target: str) -> None:
    values = {"R": 10, "G": 20, "B": 30, "A": 255, "x": 255}
    with VideoReader(name, buffer_size=ROOM) as reader, VideoWriter(name, 25, (8, 4), source) as writer:
        image = np.empty((4, 8, len(source)), np.uint8)
        image[:] = [values[component] for component in source]
        found = sent(reader, writer, image).to(target)
        assert found.shape == (4, 8, len(target))
        assert found[2, 3].tolist() == [values[component] for component in target]
        del found


@pytest.mark.parametrize("only", ["none"], indirect=True)
def test_without_a_converter_the_error_names_the_remedy(name: str, only: str) -> None:
    with VideoReader(name, buffer_size=ROOM, format="BGR") as reader, VideoWriter(name, 25, (64, 48), "I420") as writer:
        writer.write(np.zeros((72, 64), np.uint8))
        with pytest.raises(VideoError, match=r"neither OpenCV nor PyAV .* I420 64 x 48 to BGR: pip install opencv"):
            reader.read()
        writer.write(np.full((72, 64), 7, np.uint8))
        frame = reader.next_frame(PATIENCE)
        assert frame is not None
        assert frame.to("I420")[0, 0] == 7
        assert frame.to("GRAY8").shape == (48, 64)
        with pytest.raises(VideoError, match="pixel format 'bgr24' is not known"):
            frame.to("bgr24")
        del frame


@pytest.mark.parametrize("only", ["av"], indirect=True)
@pytest.mark.parametrize("target", ["I420", "NV12", "GRAY16_LE", "Y444_10LE", "P010_10LE"])
def test_any_format_by_pyav(name: str, only: str, target: str) -> None:
    with VideoReader(name, buffer_size=ROOM, format=target) as reader, VideoWriter(name, 25, (64, 48)) as writer:
        writer.write(ramp())
        ok, image = reader.read()
        assert ok
        assert image is not None
        assert image.dtype == (np.uint8 if target in ("I420", "NV12") else np.uint16)
        assert reader.frame_shape == (image.shape if target != "P010_10LE" else reader.frame_shape)
        del image


def test_padded_rows_and_copies(name: str) -> None:
    """A sender with GStreamer's padding: arrays have its strides, and PyAV's frames none of it."""
    pytest.importorskip("av")
    with VideoReader(name, buffer_size=ROOM) as reader, Writer(name) as writer:
        writer.set_metadata(b"video/x-raw, format=(string)RGB, width=(int)5, height=(int)4")
        padded = np.arange(64, dtype=np.uint8).reshape(4, 16)
        writer.write_frame(padded)
        frame = reader.next_frame(PATIENCE)
        assert frame is not None
        assert frame.array.strides == (16, 3, 1)
        assert np.array_equal(frame.to_av().to_ndarray(), padded[:, :15].reshape(4, 5, 3))
        del frame
