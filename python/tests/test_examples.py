"""The examples run; those for other packages where these packages are."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support import PATIENCE, child, unique_name
from zerobuffer import BufferConfig, Reader, Writer

EXAMPLES = Path(__file__).parents[2] / "examples" / "python"


def load(file: str) -> Any:
    spec: Any = importlib.util.spec_from_file_location(file, EXAMPLES / f"{file}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_numpy_pair() -> None:
    run = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / "numpy_pair.py")],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert "frame 10: (480, 640, 3), mean 9.0" in run.stdout
    assert run.stdout.endswith("200 frames\n")


def test_asyncio_relay() -> None:
    source, target = unique_name("source"), unique_name("target")
    with Reader(target) as reader:
        command = [sys.executable, "-W", "error", str(EXAMPLES / "asyncio_relay.py"), f"{source}={target}"]
        relay = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        with Writer(source, timeout=PATIENCE) as writer:
            for i in range(200):
                writer.write_frame(bytes([i]) * 1000)
        assert [frame.data[999] for frame in reader] == list(range(200))
        assert relay.communicate(timeout=PATIENCE)[0] == "[200]\n"


@pytest.mark.skipif(importlib.util.find_spec("cv2") is None, reason="OpenCV is not installed")
def test_opencv_filter() -> None:
    source, target = unique_name("source"), unique_name("target")
    code = """
        import sys
        from zerobuffer import Writer
        with Writer(sys.argv[1], timeout=60.0) as writer:
            for i in range(5):
                writer.write_frame(bytes([i * 10]) * (16 * 12 * 3))
    """
    with Reader(target, BufferConfig(64, 1 << 20)) as reader, child(code, source) as writer:
        load("opencv_filter").blur(source, target, 16, 12)
        writer.finish()
        assert [frame.data[0] for frame in reader] == [0, 10, 20, 30, 40]


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")
def test_torch_tensor() -> None:
    name = unique_name("torch")
    code = """
        import array, sys
        from zerobuffer import Writer
        with Writer(sys.argv[1], timeout=60.0) as writer:
            for i in range(5):
                writer.write_frame(array.array("f", [i] * 8))
    """
    with child(code, name) as writer:
        assert load("torch_tensor").means(name) == [0.0, 1.0, 2.0, 3.0, 4.0]
        writer.finish()


@pytest.mark.skipif(importlib.util.find_spec("av") is None, reason="PyAV is not installed")
def test_pyav_encode(tmp_path: Path) -> None:
    name = unique_name("av")
    code = """
        import sys
        from zerobuffer import Writer
        with Writer(sys.argv[1], timeout=60.0) as writer:
            writer.set_metadata(b"video/x-raw, format=(string)RGB, width=(int)64, height=(int)48")
            for i in range(10):
                writer.write_frame(bytes([i * 20]) * (64 * 48 * 3))
    """
    with child(code, name) as writer:
        assert load("pyav_encode").encode(name, str(tmp_path / "out.mp4")) == 10
        writer.finish()
    assert (tmp_path / "out.mp4").stat().st_size > 200


def test_detect_service(capsys: pytest.CaptureFixture[str]) -> None:
    name = unique_name("detect")
    command = [sys.executable, str(EXAMPLES / "detect_service.py"), "serve", name]
    server = subprocess.Popen(command, stderr=subprocess.PIPE)
    try:
        assert load("detect_service").ask(name) == [(i, 2 * i) for i in range(1, 11)]
        assert "the server says ValueError" in capsys.readouterr().out
    finally:
        server.terminate()
        server.communicate(timeout=PATIENCE)
    if sys.platform != "win32":
        assert server.returncode == -15


def test_newest_frame() -> None:
    name = unique_name("newest")
    code = """
        import sys, time
        from zerobuffer import Writer
        with Writer(sys.argv[1], timeout=60.0) as writer:
            for i in range(100):
                writer.write_frame(bytes([i]) * 1000)
                time.sleep(0.003)
    """
    with child(code, name) as writer:
        seen, skipped = load("newest_frame").detect(name)
        writer.finish()
    assert seen + skipped == 100
    assert 0 < seen < 100


def test_several_consumers() -> None:
    names = [unique_name("consumer") for _ in range(3)]
    with Reader(names[0]) as quick, Reader(names[1], BufferConfig(64, 16 * 1024)) as slow:
        sent = load("several_consumers").run(names, pictures=50)
        assert sent[names[0]] == 50
        assert sent[names[2]] == 0
        assert [frame.data[0] for frame in quick] == list(range(50))
        assert 1 <= sum(1 for _ in slow) <= 5
