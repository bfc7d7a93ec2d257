"""The command that the package brings along: whole, in the process of an interpreter."""

import json
import os
import signal
import subprocess
import sys
import time
from typing import Any, Optional

import pytest
import zerobuffer
from support import PATIENCE, files_of, wait_until
from zerobuffer import BufferConfig, Reader, Writer

COMMAND = [sys.executable, "-X", "dev", "-W", "error", "-m", "zerobuffer"]


def command(*words: str, given: Optional[bytes] = None, code: int = 0) -> str:
    """Run a command line; return what it prints, on both outputs if it fails."""
    run = subprocess.run([*COMMAND, *words], input=given, capture_output=True, timeout=PATIENCE, check=False)
    assert run.returncode == code, run.stderr.decode()
    assert b"Traceback" not in run.stderr
    return run.stdout.decode() if code == 0 else (run.stdout + run.stderr).decode()


def test_version_and_help() -> None:
    assert command("--version").split() == ["zerobuffer", zerobuffer.__version__]
    listed = command("--help")
    for name in ("ls", "top", "inspect", "clean", "send", "recv", "record", "replay", "tee", "bench", "serve", "call"):
        assert f"  {name} " in listed
    said = command("nonsense", code=2)
    assert said.startswith("zerobuffer: error: ")
    assert said.count("\n") == 1


def test_a_live_buffer_is_listed(name: str) -> None:
    with Reader(name, BufferConfig(64, 4096)), Writer(name) as writer:
        writer.write_frame(b"x" * 100)
        assert name in command("ls")
        shown: Any = json.loads(command("inspect", name, "--json"))
        assert name in json.dumps(shown)
    assert name in command("inspect", name, code=4)


def test_frames_go_in_and_out(name: str) -> None:
    with Reader(name) as reader:
        command("send", name, "--size", "4", given=b"abcdefgh")
        assert [bytes(frame) for frame in reader] == [b"abcd", b"efgh"]
    receive = subprocess.Popen([*COMMAND, "recv", name], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with Writer(name, timeout=PATIENCE) as writer:
        writer.write_frame(b"one")
        writer.write_frame(b"two")
    out, err = receive.communicate(timeout=PATIENCE)
    assert (out, receive.returncode) == (b"onetwo", 0), err


def test_what_needs_two_processes_starts_itself_again() -> None:
    assert "frames" in command("demo", "--seconds", "0.5")


@pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
def test_a_signal_ends_it_in_good_order(name: str, number: str) -> None:
    process = subprocess.Popen([*COMMAND, "recv", name], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until(lambda: files_of(name) != [], "the buffer is there")
    time.sleep(0.2)
    os.kill(process.pid, getattr(signal, number))
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == -getattr(signal, number)
    assert b"Traceback" not in err
    assert files_of(name) == []
