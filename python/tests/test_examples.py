"""The examples run; those for other packages where these packages are."""

import importlib
import importlib.util
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import PATIENCE, child, in_container, required, unique_name
from zerobuffer import BufferConfig, Reader, Writer
from zerobuffer.video import VideoReader

EXAMPLES = Path(__file__).parents[2] / "examples" / "python"


def load(file: str) -> Any:
    spec: Any = importlib.util.spec_from_file_location(file, EXAMPLES / f"{file}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_numpy_pair() -> None:
    run = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / "numpy_pair.py"), "both", unique_name("numpy")],
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


def test_torch_tensor(capsys: pytest.CaptureFixture[str]) -> None:
    """With PyTorch where it is installed, else with NumPy, and the reason printed."""
    name = unique_name("torch")
    code = """
        import sys, numpy
        from zerobuffer import Writer
        with Writer(sys.argv[1], timeout=60.0) as writer:
            for i in range(5):
                writer.write_array(numpy.full((4, 2), i, "f4"))
    """
    with child(code, name) as writer:
        example = load("torch_tensor")
        assert example.means(name) == [0.0, 1.0, 2.0, 3.0, 4.0]
        writer.finish()
    said = capsys.readouterr().err
    assert said == "" if example.library.__name__ == "torch" else "No module named 'torch'" in said


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


@pytest.mark.skipif(importlib.util.find_spec("cv2") is None, reason="OpenCV is not installed")
def test_webcam() -> None:
    """A clip in the place of the camera: its pictures as OpenCV reads them."""
    import cv2

    clip = required("ZEROBUFFER_TEST_CLIP", "the pictures to send")
    name = unique_name("webcam")
    command = [sys.executable, str(EXAMPLES / "webcam.py"), name, clip]
    expected = cv2.VideoCapture(clip)
    with VideoReader(name, timeout=PATIENCE) as reader:
        sender = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        count = 0
        for frame in reader:
            with frame:
                assert np.array_equal(frame.array, expected.read()[1])
            count += 1
        assert sender.communicate(timeout=PATIENCE)[0] == "132 pictures\n"
    assert count == 132


def test_resolution_change() -> None:
    name = unique_name("resolution")
    command = [sys.executable, "-W", "error", str(EXAMPLES / "resolution_change.py"), "camera", name]
    camera = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    sizes = load("resolution_change").view(name)
    _, said = camera.communicate(timeout=PATIENCE)
    assert (camera.returncode, said) == (0, "")
    assert sizes == [(640, 480)] * 20 + [(1280, 720)] * 20 + [(320, 240)] * 20


@pytest.mark.skipif(importlib.util.find_spec("cv2") is None, reason="OpenCV is not installed")
def test_mjpeg_page() -> None:
    cv2: Any = importlib.import_module("cv2")
    name = unique_name("page")
    code = """
        import itertools, select, sys, numpy
        from zerobuffer import Writer
        with Writer(sys.argv[1], timeout=60.0) as writer:
            for i in itertools.count():
                writer.write_array(numpy.full((48, 64, 3), i % 250, "u1"))
                if select.select([sys.stdin], [], [], 0.01)[0]:
                    break
    """
    command = [sys.executable, "-W", "error", str(EXAMPLES / "mjpeg_page.py"), name, "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        with child(code, name) as camera:
            with urllib.request.urlopen(address, timeout=PATIENCE) as page:
                assert b"/stream.mjpeg" in page.read()
            streams = [urllib.request.urlopen(f"{address}stream.mjpeg", timeout=PATIENCE) for _ in range(2)]
            for stream in streams:
                means = []
                for _ in range(3):
                    assert stream.readline() == b"--frame\r\n"
                    assert stream.readline() == b"Content-Type: image/jpeg\r\n"
                    size = int(stream.readline().split()[1])
                    assert stream.readline() == b"\r\n"
                    picture = cv2.imdecode(np.frombuffer(stream.read(size), "u1"), cv2.IMREAD_COLOR)
                    assert stream.readline() == b"\r\n"
                    assert picture.shape == (48, 64, 3)
                    means.append(float(picture.mean()))
                # Later ones, of values that begin anew now and then.
                assert all(0 < (later - earlier) % 250 < 200 for earlier, later in zip(means, means[1:])), means
                stream.close()
            camera.finish()
        _, said = server.communicate(timeout=PATIENCE)
        assert (server.returncode, said) == (0, "")
    finally:
        server.kill()
        server.wait()


def test_record_replay(tmp_path: Path) -> None:
    name, file = unique_name("record"), str(tmp_path / "stream.mcap")
    code = """
        import sys, time
        from zerobuffer import Writer
        with Writer(sys.argv[1], timeout=60.0) as writer:
            for i in range(10):
                writer.write_frame(bytes([i]) * 100)
                time.sleep(0.05)
    """
    with child(code, name) as camera:
        load("record_replay").record(name, file)
        camera.finish()
    times = load("record_replay").replay(name, file)
    assert len(times) == 10
    # As long as it was, and no burst; a busy machine delays single frames.
    assert times[-1] > 0.4
    assert min(later - earlier for earlier, later in zip(times, times[1:])) < 0.2
    assert sum(later - earlier > 0.02 for earlier, later in zip(times, times[1:])) >= 5


@pytest.mark.skipif(sys.platform != "linux", reason="mount namespaces of Linux")
def test_small_container() -> None:
    script = f"""
        "{sys.executable}" -W error "$1" $2 & reader=$!
        "{sys.executable}" -c '
import sys
from zerobuffer import Writer
with Writer(sys.argv[1], timeout=60.0) as writer:
    for i in range(5):
        writer.write_frame(bytes(1920 * 1080 * 3))
' $2 && wait $reader
    """
    run = in_container(script, str(EXAMPLES / "small_container.py"), unique_name("container"))
    assert (run.returncode, run.stderr) == (0, "")
    lines = run.stdout.splitlines()
    assert "needs" in lines[0]
    assert "shared memory" in lines[0]
    assert lines[-2:] == ["a ring of 8 pictures", "5 pictures"]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="SIGKILL")
def test_restart_of_either_side() -> None:
    name = unique_name("restart")

    def start(role: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-u", "-W", "error", str(EXAMPLES / "restart.py"), role, name]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def numbers(detector: "subprocess.Popen[str]", count: int) -> list[int]:
        assert detector.stdout is not None
        return [int(detector.stdout.readline()) for _ in range(count)]

    running: list[subprocess.Popen[str]] = []
    try:
        running += [start("detector"), start("camera")]
        assert numbers(running[0], 10) == list(range(10))
        running[0].kill()
        running[0].wait()
        # The camera goes on; what was under way meanwhile is lost.
        running.append(start("detector"))
        seen = numbers(running[2], 10)
        assert seen == list(range(seen[0], seen[0] + 10))
        assert seen[0] >= 10
        running[1].kill()
        running[1].wait()
        # The detector goes on with the next camera, behind the last frames of the first.
        running.append(start("camera"))
        seen = numbers(running[2], 1)
        while seen[-1] != 9:
            seen += numbers(running[2], 1)
        assert seen[-10:] == list(range(10))
    finally:
        for process in running:
            process.kill()
            process.communicate()
        Reader(name).close()
