"""Every Python snippet of the README runs, and those of the README of 1.3.0 that stand alone."""

import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import PATIENCE, child
from zerobuffer import BufferConfig, Reader, Writer, WriterDeadException

README = Path(__file__).parents[2] / "README-python.md"
SNIPPET = re.compile(r"(?:<!-- run: (\w+) -->\n)?```python\n(.*?)```", re.S)

SEND = """
    import sys
    from zerobuffer import Writer
    with Writer(sys.argv[1], timeout=60.0) as writer:
        writer.set_metadata(b"meta")
        for i in range(20):
            writer.write_frame(bytes([i]) * 100)
"""


def snippets() -> list[tuple[str, str]]:
    return [(match[1], match[2]) for match in SNIPPET.finditer(README.read_text())]


def test_every_snippet_is_marked() -> None:
    assert len(snippets()) >= 9
    assert {kind for kind, _ in snippets()} == {"reader", "writer", "both"}


@pytest.mark.parametrize("number", range(len(snippets())))
def test_snippet(name: str, number: int) -> None:
    kind, code = snippets()[number]
    code = code.replace('"my-buffer"', repr(name))
    command = [sys.executable, "-W", "error", "-c", code]
    if kind == "reader":
        with child(SEND, name) as writer:
            run = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
            writer.finish()
        assert "20" in run.stdout
    elif kind == "writer":
        with Reader(name) as reader:
            run = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
            assert bytes(reader.get_metadata() or b"") == b"{'format': 'raw', 'version': 1}"
            assert [bytes(frame).decode() for frame in reader] == [f"Frame {i}" for i in range(100)]
    else:
        run = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert run.returncode == 0, run.stderr


def test_published_quick_start(name: str) -> None:
    """Both options of the published reader loop, each with a frame of its own."""
    config = BufferConfig(metadata_size=1024, payload_size=1024 * 1024)
    got = []
    with Reader(name, config) as reader, child(SEND, name) as writer:
        with pytest.raises(WriterDeadException):
            while True:
                frame = reader.read_frame(timeout=5.0)
                if frame:
                    data = frame.data
                    got.append((frame.sequence, len(data)))
                    reader.release_frame(frame)
                frame = reader.read_frame(timeout=5.0)
                if frame:
                    with frame:
                        data = frame.data
                        got.append((frame.sequence, len(data)))
        writer.finish()
    assert got == [(i + 1, 100) for i in range(20)]


def test_published_writer_and_arrays(reader: Reader) -> None:
    with Writer(reader.name) as writer:
        metadata = b"{'format': 'raw', 'version': 1}"
        writer.set_metadata(metadata)
        for i in range(100):
            data = f"Frame {i}".encode()
            writer.write_frame(data)
        for i in range(100):
            assert bytes(reader.read_frame() or b"") == f"Frame {i}".encode()
        arr: Any = np.arange(1000, dtype=np.float32)
        view = memoryview(arr)
        writer.write_frame(view)
        buffer = writer.get_frame_buffer(size=4000)
        buffer[:] = arr.tobytes()
        writer.commit_frame()
        for _ in range(2):
            frame = reader.read_frame()
            assert frame is not None
            with frame:
                assert np.array_equal(np.frombuffer(frame.data, np.float32), arr)


def test_published_frame_management(reader: Reader, writer: Writer) -> None:
    """``reader.read_frame()`` with and without a context manager, also when processing fails."""
    for _ in range(3):
        writer.write_frame(b"x" * 10)
    frame = reader.read_frame()
    if frame:
        reader.release_frame(frame)
    frame = reader.read_frame()
    with pytest.raises(ZeroDivisionError):
        if frame:
            with frame:
                _ = 1 / (len(frame.data) - 10)
    assert frame is not None
    assert not frame.is_valid


def test_published_thread_safety(reader: Reader, writer: Writer) -> None:
    """Call methods on the same instance, read and write concurrently."""
    got: list[bytes] = []

    def read() -> None:
        for _ in range(25):
            frame = reader.read_frame(timeout=PATIENCE)
            assert frame is not None
            with frame:
                got.append(bytes(frame.data))

    def write() -> None:
        for _ in range(25):
            writer.write_frame(b"t")

    threads = [threading.Thread(target=read) for _ in range(2)]
    threads += [threading.Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [b"t"] * 50


def test_snippets_of_the_page_on_video(name: str) -> None:
    page = (README.parent / "docs" / "video.md").read_text()
    found = [match[2].replace('"my-buffer"', repr(name)) for match in SNIPPET.finditer(page)]
    assert found
    for code in found:
        run = subprocess.run(
            [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=PATIENCE
        )
        assert (run.returncode, run.stderr) == (0, "")
        assert run.stdout.startswith("(72, 64) 0.0 video/x-raw")
