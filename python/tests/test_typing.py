"""The examples of the papers and a user's own code, as the type checkers see them."""

import importlib.util
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import zerobuffer

ROOT = Path(__file__).parents[2]
PAPERS = [ROOT / "README.md", ROOT / "python" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
#: Snippets that run; those that are only shown need what is not installed.
SNIPPET = re.compile(r"<!-- (?:run|file): [^\n]+ -->\n```python\n(.*?)```", re.S)
CHECKERS = {"mypy": ["mypy", "--strict", "--no-incremental"], "pyright": ["pyright", "--pythonpath", sys.executable]}

#: Calls of which a checker knows the result, and wrong ones that it finds.
RIGHT = """
    from typing import Optional
    from zerobuffer import Client, Frame, Reader, ReaderStats, Response, Server, Writer, WriterStats, observe
    from zerobuffer import Broadcaster, BroadcastStats, Delivery, Subscriber

    def right(reader: Reader, writer: Writer, client: Client) -> None:
        frame: Frame = reader.read_frame(None)
        perhaps: Optional[Frame] = reader.read_frame(1.0)
        stats: tuple[ReaderStats, WriterStats] = (reader.stats, writer.stats)
        with writer.loan(10) as view, writer.loan((2, 5), "u1") as other:
            view[:] = bytes(10)
            other.array()[:] = 1
        writer.write_array(frame.array(), timestamp=5)
        response: Response = client.call(b"x", timeout=None)
        infos: list[observe.BufferInfo] = observe.list()
        print(perhaps, stats, response, infos)

    class Own(Reader):
        pass

    def broadcast(camera: Broadcaster) -> None:
        sent: Delivery = camera.write_frame(b"x")
        camera.write_array([1, 2], timestamp=5)
        own: Own = Own.subscribe("x", newest=True)
        subscribers: list[Subscriber] = camera.subscribers
        total: BroadcastStats = camera.stats
        print(sent.dropped, own, subscribers, total)

    Broadcaster("x", policy=0.5, policies={"a*": "disconnect", "b": 1}, owner=5, max_subscribers=3)
    Reader("x", newest=True, wait="spin")
    Writer("x", full="drop", owner="any", reconnect=True)
    Server("x", owner=1000)
"""
WRONG = [
    'Reader("x", wait="sometimes")',
    'Writer("x", full="explode")',
    'Writer("x", owner="nobody")',
    'Writer("x", write_timeout="5 s")',
    'Reader("x", mode="0600")',
    "Reader(5)",
    'Broadcaster("x", policy="wait")',
    'Broadcaster("x", policies={"a": "never"})',
    'Client("x", wait="never")',
]


def check(checker: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    if importlib.util.find_spec(checker) is None:
        pytest.skip(f"{checker} is not installed")
    package = Path(zerobuffer.__file__).parents[1]
    (folder / "pyrightconfig.json").write_text(
        f'{{"extraPaths": ["{package}"], "typeCheckingMode": "standard", "reportMissingModuleSource": false}}'
    )
    environment = {**os.environ}
    if "site-packages" not in package.parts:
        environment["MYPYPATH"] = str(package)
    command = [sys.executable, "-m", *CHECKERS[checker], *sorted(path.name for path in folder.glob("*.py"))]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("checker", CHECKERS)
def test_the_examples_of_the_papers(checker: str, tmp_path: Path) -> None:
    count = 0
    for paper in PAPERS:
        for snippet in SNIPPET.findall(paper.read_text()):
            count += 1
            # What examples hand frames to has its own types, or none, and need not be installed.
            snippet = re.sub(
                r"^import cv2$", "import cv2  # type: ignore[import-not-found, unused-ignore]", snippet, flags=re.M
            )
            (tmp_path / f"example_{count:02}.py").write_text(snippet)
    assert count >= 26
    run = check(checker, tmp_path)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("checker", CHECKERS)
def test_right_and_wrong_calls(checker: str, tmp_path: Path) -> None:
    (tmp_path / "right.py").write_text(textwrap.dedent(RIGHT))
    for number, call in enumerate(WRONG):
        (tmp_path / f"wrong_{number}.py").write_text(f"from zerobuffer import *\n{call}\n")
    run = check(checker, tmp_path)
    assert run.returncode == 1, run.stdout + run.stderr
    found = run.stdout
    assert "right.py" not in found, found
    for number, call in enumerate(WRONG):
        assert f"wrong_{number}.py" in found, (call, found)


def test_hover_in_an_editor_that_uses_jedi() -> None:
    """What is shown is the docstring of the stub, or of the class."""
    jedi = pytest.importorskip("jedi")
    wanted = {
        "zerobuffer.Reader('x').read_frame": "next frame",
        "zerobuffer.Writer('x').loan": "in place",
        "zerobuffer.Writer('x').write_array": "one frame",
        "zerobuffer.Client('x').call": "RemoteError",
        "zerobuffer.Reader": "Creates a buffer",
        "zerobuffer.Tap": "without taking part",
        "zerobuffer.Broadcaster": "any number of subscribers",
        "zerobuffer.Reader.subscribe": "Subscribe to a broadcast",
        "zerobuffer.observe.clean": "dead",
    }
    for call, words in wanted.items():
        code = f"import zerobuffer\n{call}"
        found = jedi.Script(code).help(2, len(call))
        shown = "\n".join(name.docstring() for name in found)
        assert words in shown, (call, shown)


def test_a_module_for_help_and_hover() -> None:
    """All that a user can call has a docstring, at run time and in the stub."""
    bare = []
    for name in zerobuffer.__all__:
        thing = getattr(zerobuffer, name)
        if not thing.__doc__:
            bare.append(name)
        if isinstance(thing, type):
            for member, value in vars(thing).items():
                shown = callable(value) or isinstance(value, property)
                if shown and not member.startswith("_") and not value.__doc__:
                    bare.append(f"{name}.{member}")
    assert bare == []
