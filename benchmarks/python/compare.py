"""Frames per second of the Python packages, side by side: ``python benchmarks/python/compare.py [--rounds 5]``.

Two processes each, default wait strategies, interleaved rounds; prints a Markdown table of medians with min and max, and
the ratio to ours. Installs everything into private environments under ``target/bench-python`` (ours is built from this
checkout in release mode).
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STREAM = Path(__file__).with_name("stream.py")
PACKAGES = {"ours": [str(ROOT)], "old": ["zerobuffer-ipc==1.3.0", "posix-ipc==1.3.2"], "iceoryx2": ["iceoryx2==0.10.0"]}

# label, environment, system of stream.py
SYSTEMS = [
    ("ours, write_frame", "ours", "zerobuffer"),
    ("ours, get_frame_buffer", "ours", "zerobuffer-buffer"),
    ("zerobuffer-ipc 1.3.0, write_frame", "old", "zerobuffer"),
    ("zerobuffer-ipc 1.3.0, get_frame_buffer", "old", "zerobuffer-buffer"),
    ("iceoryx2 0.10.0, polled", "iceoryx2", "iceoryx2"),
]
# payload bytes, ring depth in frames, frames timed by the fast systems and by the old package
SIZES = [(64, 1024, 200_000, 5_000), (65_536, 64, 20_000, 2_000), (3_110_400, 8, 600, 300)]


def environment(label: str) -> str:
    folder = ROOT / "target" / "bench-python" / label
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--upgrade", *PACKAGES[label]], check=True)
    return str(python)


def measure(python: str, system: str, size: int, depth: int, count: int, run: int) -> float:
    """Microseconds per frame."""
    name = f"bench-{os.getpid()}-{run}"
    arguments = [name, str(size), str(count), str(depth)]
    # Not from the checkout: its package folder must not stand in for the installed one.
    with subprocess.Popen(
        [python, STREAM, system, "read", *arguments], stdout=subprocess.PIPE, text=True, cwd="/"
    ) as reader:
        assert reader.stdout is not None and reader.stdout.readline() == "ready\n"
        with subprocess.Popen(
            [python, STREAM, system, "write", *arguments], stdin=subprocess.PIPE, text=True, cwd="/"
        ) as writer:
            seconds = float(reader.stdout.readline())
            writer.communicate("\n", timeout=60)
    for semaphore in ("sem.sem-w-", "sem.sem-r-"):  # 1.3.0 leaves them
        Path("/dev/shm", semaphore + name).unlink(missing_ok=True)
    return seconds * 1e6


def foreign_load() -> float:
    return os.getloadavg()[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    pythons = {label: environment(label) for label in PACKAGES}
    print(f"{platform.machine()}, {os.cpu_count()} processors, Linux {platform.release()}, load before {foreign_load():.2f}")
    run = 0
    for size, depth, fast, slow in SIZES:
        times: dict[str, list[float]] = {label: [] for label, _, _ in SYSTEMS}
        for _ in range(rounds):
            for label, packages, system in SYSTEMS:
                run += 1
                count = slow if packages == "old" else fast
                times[label].append(measure(pythons[packages], system, size, depth, count, run))
        print(f"\n| {size} bytes, ring of {depth} frames | µs per frame: median (min to max) | time relative to ours |")
        print("|---|---|---|")
        ours = statistics.median(times[SYSTEMS[0][0]])
        for label, values in times.items():
            median = statistics.median(values)
            print(f"| {label} | {median:.2f} ({min(values):.2f} to {max(values):.2f}) | {median / ours:.2f} |")
    print(f"\nload after {foreign_load():.2f}, of which about 2 is this program")


if __name__ == "__main__":
    main()
