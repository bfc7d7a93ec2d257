"""Every Python snippet of docs/duplex.md runs."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support import PATIENCE, unique_name

DOCUMENT = Path(__file__).parents[2] / "docs" / "duplex.md"
SNIPPETS = dict(re.findall(r"<!-- run: (\w+) -->\n```python\n(.*?)```", DOCUMENT.read_text(), re.S))


def test_all_snippets_are_run() -> None:
    assert DOCUMENT.read_text().count("```python") == len(SNIPPETS) == 5


@pytest.mark.parametrize("label", list(SNIPPETS))
def test_snippet(label: str) -> None:
    for package in re.findall(r"^import (cv2|numpy)", SNIPPETS[label], re.M):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    code = SNIPPETS[label].replace('"doc-', f'"{unique_name("doc")}-')
    run = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=PATIENCE)
    assert (run.returncode, run.stderr) == (0, "")
    expected = {"echo": "b'hello' 1\n", "coroutines": "b'HELLO'\n", "several": "2 True\n"}
    # The server may or may not hear of its client's end before its own.
    heard = [line for line in run.stdout.splitlines(keepends=True) if "the client has gone" not in line]
    assert "".join(heard) == expected.get(label, "")
