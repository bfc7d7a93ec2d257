"""A ``VideoReader`` in the loops of supervision, pims, PyAV, ultralytics, Pillow, Jupyter."""

import io
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import PATIENCE, child
from zerobuffer.video import Loader, VideoReader, VideoWriter

SENDER = """
    import sys
    import numpy as np
    from zerobuffer.video import VideoWriter
    with VideoWriter(sys.argv[1], 25, (64, 48), sys.argv[2], timeout=60.0) as writer:
        for index in range(10):
            writer.write(np.full((48, 64, 3), index * 10, np.uint8))
"""


def test_the_loop_of_ultralytics(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What its predictor does with a loader: of its class, unpacked in threes, pictures kept."""
    loaders: Any = types.ModuleType("ultralytics.data.loaders")

    class LoadStreams:
        def __init__(self, sources: str) -> None:
            raise AssertionError("opens files")

    loaders.LoadStreams = LoadStreams
    monkeypatch.setitem(sys.modules, "ultralytics.data.loaders", loaders)

    class Camera(Loader, loaders.LoadStreams):  # type: ignore[misc]
        pass

    with VideoReader(name, format="BGR", buffer_size=3 * 64 * 48 * 3) as reader, child(SENDER, name, "RGB") as sender:
        camera = Camera(reader)
        assert isinstance(camera, LoadStreams)
        assert (camera.mode, camera.bs, len(camera), camera.source_type.stream) == ("stream", 1, 1, True)
        results = []
        for paths, images, info in camera:
            assert (paths, len(images), len(info)) == ([name], 1, 1)
            results.append(images[0])
        sender.finish()
        assert camera.fps == 25
        camera.close()
    assert [int(image[0, 0, 0]) for image in results] == [index * 10 for index in range(10)]
    assert camera.count == 10


def test_pims(name: str) -> None:
    pims = pytest.importorskip("pims")
    with VideoReader(name, format="BGR") as reader, child(SENDER, name, "BGR") as sender:
        assert (reader.frame_shape, reader.pixel_type) == ((48, 64, 3), np.uint8)
        # Its own abstract class asks for just this much.
        needed = pims.base_frames.FramesStream.__abstractmethods__
        assert {"__iter__", "frame_shape"} <= needed
        assert all(hasattr(reader, method) for method in needed)
        inverted = [pims.Frame(255 - np.asarray(frame), frame_no=frame.number) for frame in reader]
        sender.finish()
        reader.close()
    assert [(int(frame[0, 0, 0]), frame.frame_no) for frame in inverted] == [(255 - 10 * i, i) for i in range(10)]


def test_pyav_encodes(name: str, tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    with (
        VideoReader(name) as reader,
        av.open(str(tmp_path / "out.mp4"), "w") as out,
        child(SENDER, name, "BGR") as sender,
    ):
        stream: Any = out.add_stream("mpeg4", rate=round(reader.fps))
        stream.width, stream.height = reader.width, reader.height
        for frame in reader:
            out.mux(stream.encode(frame.to_av().reformat(format="yuv420p")))
        out.mux(stream.encode())
        sender.finish()
    with av.open(str(tmp_path / "out.mp4")) as made:
        frames = list(made.decode(video=0))
        assert [float(frame.pts * frame.time_base) for frame in frames] == pytest.approx([i / 25 for i in range(10)])
        assert frames[5].to_ndarray(format="bgr24").mean() == pytest.approx(50, abs=3)


def test_supervision(name: str) -> None:
    sv = pytest.importorskip("supervision")
    with VideoReader(name, format="BGR", copy=True) as reader, child(SENDER, name, "BGR") as sender:
        info = sv.VideoInfo(width=reader.width, height=reader.height, fps=int(reader.fps))
        assert info.resolution_wh == (64, 48)
        boxes = sv.Detections(xyxy=np.array([[10.0, 10.0, 30.0, 30.0]]), class_id=np.array([0]))
        drawn = [sv.BoxAnnotator().annotate(image, boxes) for image in reader.images()]
        sender.finish()
    assert len(drawn) == 10
    assert [int(image[0, 0, 0]) for image in drawn] == [index * 10 for index in range(10)]
    assert len(np.unique(drawn[3])) > 1


def test_pillow_and_png(name: str) -> None:
    image_module = pytest.importorskip("PIL.Image")
    with VideoReader(name) as reader, VideoWriter(name, 25, (5, 4)) as writer:
        image = np.zeros((4, 5, 3), np.uint8)
        image[1, 2] = (30, 20, 10)
        writer.write(image)
        frame = reader.next_frame(PATIENCE)
        assert frame is not None
        assert frame.to_pil().getpixel((2, 1)) == (10, 20, 30)
        png = image_module.open(io.BytesIO(frame._repr_png_() or b""))
        assert (png.format, png.size, png.getpixel((2, 1))) == ("PNG", (5, 4), (10, 20, 30))
        frame.release()
        assert frame._repr_png_() is None
        assert "released" in repr(frame)
    with VideoReader(name) as reader, VideoWriter(name, 25, (5, 4), "GRAY8") as writer:
        writer.write(np.full((4, 5), 77, np.uint8))
        frame = reader.next_frame(PATIENCE)
        assert frame is not None
        assert (frame.to_pil().mode, frame.to_pil().getpixel((0, 0))) == ("L", 77)
        del frame


def test_jupyter_shows_a_stream_in_one_place(name: str) -> None:
    """A real IPython shell, which publishes what a notebook would show."""
    pytest.importorskip("IPython")
    pytest.importorskip("PIL")
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output

    InteractiveShell.instance()
    try:
        with VideoReader(name, timeout=PATIENCE) as reader, child(SENDER, name, "RGB") as sender:
            with capture_output() as captured:
                reader.show(rate=1e9)
            sender.finish()
    finally:
        InteractiveShell.clear_instance()
    assert len(captured.outputs) == 10
    assert all("image/png" in output.data for output in captured.outputs)
