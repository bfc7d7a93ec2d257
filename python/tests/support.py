"""What several test files use: names, processes, waiting."""

import itertools
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Optional

import pytest
from zerobuffer import Writer

#: For tests of what only Linux has, or what only Linux lets a test look at.
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="looks into /dev/shm or /proc, which only Linux has")

#: Longer than anything takes on a busy machine; only a hung test meets it.
PATIENCE = 60.0

_counter = itertools.count()
_LAP = bytes(range(251))


def unique_name(label: str = "py") -> str:
    """Return a buffer name that no other test and no other process uses."""
    # The mark of a run of `cargo xtask test`, which looks for left-overs by it.
    mark = os.environ.get("ZEROBUFFER_TEST_MARK", "")
    return f"{mark}test-{label}-{os.getpid()}-{next(_counter)}"


def files_of(name: str) -> list[str]:
    """Return what lies in /dev/shm and the lock folder under a name.

    Elsewhere memory and semaphores are no files.
    """
    shared = Path("/dev/shm")
    found = [
        path
        for path in (shared.iterdir() if shared.is_dir() else ())
        if path.name in (name, f"sem.sem-w-{name}", f"sem.sem-r-{name}")
    ]
    found += [path for path in [Path("/tmp/zerobuffer", f"{name}.lock")] if path.exists()]
    return sorted(map(str, found))


def wait_until(condition: Callable[[], Any], what: str, patience: float = PATIENCE) -> None:
    """Wait for a condition that another process or thread brings about."""
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, f"waited {patience} s in vain until {what}"
        time.sleep(0.002)


def wait_until_asleep(pid: int) -> None:
    """Wait until the main thread of a process sleeps, and goes on sleeping.

    That is a thread that waits in a call. One that merely has no processor is not asleep.
    """
    stat = Path(f"/proc/{pid}/task/{pid}/stat")
    if not stat.exists():
        time.sleep(0.3)
        return
    end, asleep, used = time.monotonic() + PATIENCE, 0, ""
    while asleep < 6:
        assert time.monotonic() < end, f"process {pid} does not come to rest"
        time.sleep(0.005)
        fields = stat.read_text().rpartition(")")[2].split()
        # Its state, and its time in the program and in the system.
        now = " ".join([fields[0], *fields[11:13]])
        asleep = asleep + 1 if fields[0] == "S" and now == used else 0
        used = now


class Child:
    """A Python process that runs a piece of code and talks by lines."""

    def __init__(
        self, code: str, *args: str, python: Optional[str] = None, env: Optional[dict[str, str]] = None
    ) -> None:
        self.process = subprocess.Popen(
            [python or sys.executable, "-W", "error", "-u", "-c", textwrap.dedent(code), *args],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(env or {})},
        )

    @property
    def pid(self) -> int:
        return self.process.pid

    def line(self) -> str:
        """Read the next line that the child prints."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.finish(expect=None)
            pytest.fail("the child ended without the line that was expected")
        return line.rstrip("\n")

    def send(self, text: str = "") -> None:
        """Send a line to the child."""
        assert self.process.stdin is not None
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def finish(self, expect: Optional[int] = 0) -> str:
        """Wait for the end; returns the rest of the output."""
        out, err = self.process.communicate(timeout=PATIENCE)
        if expect is not None and self.process.returncode != expect:
            pytest.fail(f"the child ended with {self.process.returncode}, not {expect}\n{out}\n{err}")
        if expect == 0 and err:
            pytest.fail(f"the child wrote to stderr:\n{err}")
        return out

    def close(self) -> None:
        """End the child whatever it does."""
        if self.process.poll() is None:
            self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()
        self.process.wait()


@contextmanager
def child(code: str, *args: str, python: Optional[str] = None, env: Optional[dict[str, str]] = None) -> Iterator[Child]:
    """Run a piece of code in another Python process for the duration of the block."""
    process = Child(code, *args, python=python, env=env)
    try:
        yield process
    finally:
        process.close()


def required(variable: str, purpose: str) -> str:
    """Return an environment variable of the test run.

    Skips without it unless the run forbids skipping.
    """
    value = os.environ.get(variable)
    if value:
        return value
    if os.environ.get("ZEROBUFFER_TEST_REQUIRE"):
        pytest.fail(f"{variable} is not set: {purpose}")
    pytest.skip(f"{variable} is not set: {purpose}")


def pattern(size: int, seed: int) -> bytes:
    """Return contents that differ between frames and between positions."""
    start = seed * 31 % 251
    return (_LAP * ((start + size) // 251 + 1))[start : start + size]


def write_frames(name: str, count: int) -> None:
    """Write numbered frames of 1000 bytes; what a spawned process runs."""
    with Writer(name, timeout=PATIENCE) as writer:
        for i in range(count):
            writer.write_frame(bytes([i]) * 1000)


def in_container(script: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a shell script where shared memory is a container's 64 MiB; skip without the right to."""
    mounted = f"mount -t tmpfs -o size=64m,mode=1777 tmpfs /dev/shm || exit 77\n{script}"
    command = ["unshare", "--mount", "sh", "-c", mounted, "sh", *arguments]
    run = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    if run.returncode == 77 or "unshare failed" in run.stderr or "not permitted" in run.stderr:
        pytest.skip(f"no mount namespace here: {run.stderr.strip()}")
    return run
