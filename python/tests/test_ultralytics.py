"""A ``VideoReader`` in the loop of the real ultralytics.

``cargo xtask test ultralytics`` installs it.
"""

import os
from pathlib import Path
from typing import Any

import pytest
from support import PATIENCE, child
from zerobuffer.video import Loader, VideoReader

SENDER = """
    import sys
    import numpy as np
    from zerobuffer.video import VideoWriter
    with VideoWriter(sys.argv[1], 25, (64, 48), "RGB", timeout=60.0) as writer:
        for index in range(10):
            writer.write(np.full((48, 64, 3), index * 10, np.uint8))
"""


@pytest.mark.filterwarnings("ignore")
def test_a_model_predicts_on_a_stream(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.environ.get("ZEROBUFFER_ULTRALYTICS") != "1":
        pytest.skip("cargo xtask test ultralytics installs it, and a torch for processors")
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(tmp_path))
    ultralytics: Any = pytest.importorskip("ultralytics")
    loaders: Any = pytest.importorskip("ultralytics.data.loaders")

    class Camera(Loader, loaders.LoadStreams):  # type: ignore[misc]
        pass

    # A model without its weights: what it finds is nothing, how it is fed is the same.
    model = ultralytics.YOLO("yolo11n.yaml")
    with VideoReader(name, format="BGR", timeout=PATIENCE) as reader, child(SENDER, name) as sender:
        camera = Camera(reader)
        results = list(model(camera, stream=True, imgsz=64, device="cpu", verbose=False))
        sender.finish()
    assert [int(result.orig_img[0, 0, 0]) for result in results] == [index * 10 for index in range(10)]
    assert {result.path for result in results} == {name}
    assert {result.orig_shape for result in results} == {(48, 64)}
    assert camera.count == 10
