"""The built wheel in an empty environment: nothing else is needed to import it and to stream."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from support import PATIENCE, required, unique_name

PROGRAM = """
import sys
import zerobuffer, zerobuffer_serve.services
with zerobuffer.Reader(sys.argv[1]) as reader, zerobuffer.Writer(sys.argv[1]) as writer:
    writer.set_metadata(b"meta")
    writer.write_frame(b"frame")
    print(bytes(reader.read_frame()), bytes(reader.get_metadata()), zerobuffer.__version__)
"""


@pytest.fixture(scope="module")
def wheel() -> Path:
    """The wheel under test."""
    return Path(required("ZEROBUFFER_TEST_WHEEL", "the path of the wheel that was built for this interpreter"))


def test_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "empty"
    # Not even pip is in it.
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True, timeout=4 * PATIENCE)
    python = environment / "bin/python"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(python)]
    subprocess.run([*pip, "install", "-q", "--no-index", str(wheel)], check=True, timeout=4 * PATIENCE)
    command = [str(python), "-I", "-W", "error", "-c", PROGRAM, unique_name("wheel")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert (result.returncode, result.stderr) == (0, "")
    version = wheel.name.split("-")[1]
    assert result.stdout == f"b'frame' b'meta' {version}\n"
    # The command is there without anything else.
    for command in ([str(environment / "bin/zerobuffer")], [str(python), "-m", "zerobuffer"]):
        result = subprocess.run([*command, "--version"], capture_output=True, text=True, timeout=PATIENCE)
        assert (result.returncode, result.stdout, result.stderr) == (0, f"zerobuffer {version}\n", "")


def test_contents(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for name in ("zerobuffer/py.typed", "zerobuffer/_zerobuffer.pyi", "zerobuffer_serve/py.typed"):
        assert name in names
    assert [name for name in names if name.startswith("zerobuffer/_zerobuffer.") and name.endswith(".so")]
    assert {name.split("/")[0] for name in names if "dist-info" not in name} == {"zerobuffer", "zerobuffer_serve"}
    scripts = zipfile.ZipFile(wheel).read(next(name for name in names if name.endswith("entry_points.txt")))
    assert b"zerobuffer=zerobuffer._command:main" in scripts.replace(b" ", b"")
    size = wheel.stat().st_size
    print(f"{wheel.name}: {size / 1e6:.2f} MB")
    assert size < 5_000_000
    assert "abi3" in wheel.name or sys.version_info < (3, 11) or "t-" in wheel.name
    text = zipfile.ZipFile(wheel).read(next(name for name in names if name.endswith("METADATA"))).decode()
    assert "Name: zerobuffer-ipc" in text
    assert "Requires-Dist: numpy" in text
    # Of 1.x: pip would warn of extras that are not there.
    for extra in ("linux", "darwin", "windows", "numpy"):
        assert f"Provides-Extra: {extra}" in text
