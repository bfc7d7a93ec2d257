"""Every Python snippet of the papers runs, and those of the README of 1.3.0 that stand alone."""

import ast
import inspect
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from support import PATIENCE, child
from zerobuffer import BufferConfig, Reader, Writer, WriterDeadException
from zerobuffer.video import VideoReader, VideoWriter

ROOT = Path(__file__).parents[2]
#: README, the package's front page, and all pages of the documentation.
PAGES = [ROOT / "README.md", ROOT / "python" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
#: What is to be done with a snippet stands before it. ``shown`` says why it does not run here.
SNIPPET = re.compile(r"(?:<!-- (run|file|shown): ([^\n]+) -->\n)?```python\n(.*?)```", re.S)

SEND = """
    import sys
    from zerobuffer import Writer
    with Writer(sys.argv[1], timeout=60.0) as writer:
        writer.set_metadata(b"meta")
        for i in range(20):
            writer.write_frame(bytes([i]) * 100)
"""


class Snippet(NamedTuple):
    """A piece of Python on a page."""

    page: str
    what: str
    kind: str
    code: str


def snippets() -> list[Snippet]:
    return [
        Snippet(page.name, match[1], match[2], match[3])
        for page in PAGES
        for match in SNIPPET.finditer(page.read_text())
    ]


def run_here() -> list[Snippet]:
    """Those of the papers; the page on channels has kinds of its own and a test of its own."""
    return [found for found in snippets() if found.what == "run" and found.page != "duplex.md"]


def test_every_snippet_is_marked() -> None:
    assert [found for found in snippets() if not found.what] == []
    assert len(run_here()) >= 20
    assert {found.kind for found in run_here()} == {"reader", "writer", "both"}
    assert {found.kind for found in snippets() if found.what == "file"} == {"camera.py", "detector.py"}


@pytest.mark.parametrize("number", range(len(run_here())))
def test_snippet(name: str, number: int) -> None:
    page, _, kind, code = run_here()[number]
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
    assert run.returncode == 0, (page, run.stderr)
    if page == "video.md":
        assert run.stdout.startswith("(72, 64) 0.0 video/x-raw")


def test_the_programs_of_the_tutorial(name: str, tmp_path: Path) -> None:
    """Camera and detector run as the page says; the screen has every picture with its mark."""
    screen = f"{name}-screen"
    for found in snippets():
        if found.what == "file":
            code = found.code.replace('"camera"', repr(name)).replace('"screen"', repr(screen))
            (tmp_path / found.kind).write_text(code)
    command = [sys.executable, "-W", "error"]
    with VideoReader(screen, buffer_size=8 << 20, timeout=PATIENCE) as reader:
        detector = subprocess.Popen([*command, str(tmp_path / "detector.py")], stdout=subprocess.PIPE, text=True)
        camera = subprocess.Popen([*command, str(tmp_path / "camera.py"), "20"])
        marked = [int((frame.array == 255).all(axis=2).sum()) for frame in reader]
        assert camera.wait(PATIENCE) == 0
        assert detector.communicate(timeout=PATIENCE)[0] == "sent 20 pictures on\n"
        # A square of 80 by 80 has 4 * 79 pixels at its edge.
        assert marked == [4 * 79] * 20
        assert reader.fps == 30


@pytest.mark.parametrize("kind", [VideoReader, VideoWriter])
def test_the_reference_has_every_argument_with_its_default(kind: type) -> None:
    page = (ROOT / "docs" / "video.md").read_text().split(f"## {kind.__name__}\n")[1]
    rows = re.findall(r"^\| `(\w+)` \| (?:`([^|]*)`)? ?\|", page.split("\n\n|", 2)[1], re.M)

    def value(text: str) -> object:
        return eval(compile(ast.parse(text, mode="eval"), "the page", "eval"), {})

    parameters = list(inspect.signature(kind).parameters.values())
    named = [parameter for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD]
    said = {name: value(default) if default else inspect.Parameter.empty for name, default in rows}
    assert said == {parameter.name: parameter.default for parameter in named}


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
