"""The programs of ``zerobuffer.cross_platform``: options, output, exit codes."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from support import PATIENCE, files_of
from zerobuffer import Reader


def start(module: str, *args: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-W", "error", "-m", f"zerobuffer.cross_platform.{module}", *args]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: "subprocess.Popen[str]", code: int = 0) -> str:
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == code, err
    return out


def pair(name: str, reader_args: list[str], writer_args: list[str], reader_code: int = 0) -> tuple[str, str]:
    reader = start("reader", name, *reader_args)
    deadline = time.monotonic() + PATIENCE
    while not files_of(name):
        assert reader.poll() is None, finish(reader)
        assert time.monotonic() < deadline
        time.sleep(0.01)
    written = finish(start("writer", name, *writer_args))
    return finish(reader, reader_code), written


@pytest.mark.parametrize("pattern", ["sequential", "random", "zero", "ones"])
def test_patterns(name: str, pattern: str) -> None:
    read, written = pair(
        name,
        ["-n", "50", "--size", "700", "--verify", pattern, "--json-output", "--checksum"],
        ["--frames", "50", "-s", "700", "--pattern", pattern, "-m", "meta data", "--json-output"],
    )
    result: dict[str, Any] = json.loads(read)
    assert (result["operation"], result["buffer_name"], result["frames_read"]) == ("read", name, 50)
    assert (result["verification_errors"], result["errors"], result["metadata_size"]) == (0, [], 9)
    assert len(result["checksums"]) == 50
    assert result["checksums"][0]["frame"] == 0
    result = json.loads(written)
    assert (result["operation"], result["frames_written"], result["frame_size"]) == ("write", 50, 700)
    assert result["metadata_size"] == 9
    assert result["throughput_mbps"] > 0


def test_text_output(name: str, tmp_path: Path) -> None:
    metadata = tmp_path / "metadata"
    metadata.write_bytes(b"from a file")
    read, written = pair(
        name, ["-n", "-1", "-v", "--timeout-ms", "20000"], ["-n", "150", "--metadata-file", str(metadata), "-v"], 1
    )
    assert "Wrote 150 frames in" in written
    assert "Wrote metadata: 11 bytes" in written
    assert "Wrote 100 frames..." in written
    assert "Read 150 frames in" in read
    assert "Throughput:" in read


def test_a_wrong_pattern_is_found(name: str) -> None:
    read, _ = pair(name, ["-n", "5", "--verify", "ones", "--json-output"], ["-n", "5"], reader_code=1)
    assert json.loads(read)["verification_errors"] == 5


def test_a_wrong_size_is_an_error(name: str) -> None:
    read, _ = pair(name, ["-n", "2", "-s", "10", "--json-output"], ["-n", "2", "-s", "20"], reader_code=1)
    assert json.loads(read)["errors"] == [f"Frame {i}: Expected size 10, got 20" for i in range(2)]


def test_failures_end_with_2(name: str) -> None:
    process = start("writer", name)
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (2, "")
    assert err.startswith("Error: ")
    assert name in err
    with Reader(name):
        assert len(json.loads(finish(start("reader", name, "--json-output"), 2))["errors"]) == 1


def test_the_package_itself_is_a_command(name: str) -> None:
    command = [sys.executable, "-m", "zerobuffer.cross_platform"]
    run = subprocess.run([*command, "writer", name], capture_output=True, text=True, timeout=PATIENCE)
    assert run.returncode == 2
    run = subprocess.run([*command, "relay"], capture_output=True, text=True, timeout=PATIENCE)
    assert run.returncode == 1
    assert "writer|reader" in run.stderr
