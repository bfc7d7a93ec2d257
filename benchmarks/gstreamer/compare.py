"""Frames per second and processor time of ``zerosink`` to ``zerosrc`` beside GStreamer's own ways.

Each round runs every way once: two ``gst-launch-1.0``, 1080p I420, unthrottled. A short run is
taken off a long one, for the start of the programs. Printed are medians, and their ratios to
``shmsink``.

Build the plugin as ``docs/gstreamer.md`` says, in release mode, then run
``python3 benchmarks/gstreamer/compare.py [ROUNDS [PLUGIN]]``. Take ratios: absolute figures are the
machine's.
"""

import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
PLUGIN = ROOT / "crates/gst-plugin-zerobuffer/target/release/libgstzerobuffer.so"
SIZE = 1920 * 1080 * 3 // 2
CAPS = "video/x-raw,format=I420,width=1920,height=1080,framerate=30/1"
LONG, SHORT = 600, 30


def ways(folder: str, frames: int) -> dict[str, tuple[str, str]]:
    """Return the sender and the receiver of each way; ``|`` in a name stands for a pipe."""
    source = f"videotestsrc pattern=black num-buffers={frames} ! {CAPS}"
    name = f"zb-bench-{os.getpid()}"
    shm = f"{folder}/socket-{frames}-{time.monotonic_ns()}"
    end = "fakesink sync=false"
    return {
        "zerosink": (
            f"{source} ! zerosink buffer-name={name} sync=false",
            f"zerosrc buffer-name={name} num-buffers={frames} ! {end}",
        ),
        "shmsink": (
            f"{source} ! shmsink socket-path={shm} shm-size={64 << 20} wait-for-connection=true sync=false",
            f"shmsrc socket-path={shm} num-buffers={frames} ! {end}",
        ),
        "fdsink|": (
            f"{source} ! fdsink fd=1 sync=false",
            f"fdsrc fd=0 blocksize={SIZE} ! rawvideoparse format=i420 width=1920 height=1080 ! {end}",
        ),
    }


def run(way: str, sender: str, receiver: str, environment: dict[str, str], frames: int) -> tuple[float, float]:
    """Run a sender and a receiver; returns seconds and seconds of processor time."""
    pipes = os.pipe() if way.endswith("|") else None
    launch = ["gst-launch-1.0", "-q"]
    began = time.monotonic()
    quiet = subprocess.DEVNULL
    # The sender of shmsink creates the socket, the receiver of zerosrc the buffer.
    order = [(sender, pipes[1] if pipes else quiet, quiet), (receiver, quiet, pipes[0] if pipes else quiet)]
    if way == "zerosink":
        order.reverse()
    children = []
    for pipeline, output, source in order:
        children.append(
            subprocess.Popen([*launch, *pipeline.split()], stdin=source, stdout=output, stderr=quiet, env=environment)
        )
        if way == "shmsink":
            socket = Path(sender.partition("socket-path=")[2].split()[0])
            while not socket.exists() and children[0].poll() is None:
                time.sleep(0.01)
    if pipes:
        os.close(pipes[0])
        os.close(pipes[1])
    processor = 0.0
    for child in children:
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        processor += usage.ru_utime + usage.ru_stime
    # shmsink ends with an error of its own when its reader leaves.
    if way != "shmsink" and any(child.returncode for child in children):
        raise SystemExit(f"{way} with {frames} frames failed: {[child.returncode for child in children]}")
    return time.monotonic() - began, processor


def main(rounds: int, plugin: Path) -> None:
    """Measure and print."""
    if not plugin.exists():
        raise SystemExit(f"{plugin} is missing: build the plugin first")
    with tempfile.TemporaryDirectory() as folder:
        # A folder with nothing but the plugin in it: GStreamer loads whatever lies beside it.
        (Path(folder) / PLUGIN.name).symlink_to(plugin.resolve())
        environment = {**os.environ, "GST_PLUGIN_PATH": folder, "GST_REGISTRY": f"{folder}/registry.bin"}
        # The first program with a new registry looks through all plugins.
        subprocess.run(["gst-inspect-1.0", "zerosink"], env=environment, stdout=subprocess.DEVNULL, check=True)
        results: dict[str, list[tuple[float, float]]] = {}
        for _ in range(rounds):
            for way in ways(folder, LONG):
                times = {frames: run(way, *ways(folder, frames)[way], environment, frames) for frames in (SHORT, LONG)}
                seconds, processor = (times[LONG][part] - times[SHORT][part] for part in (0, 1))
                results.setdefault(way, []).append(((LONG - SHORT) / seconds, processor / (LONG - SHORT)))
    print(f"{platform.machine()}, {os.cpu_count()} processors, {rounds} rounds of {LONG} frames, 1080p I420")
    medians = {way: [statistics.median(part) for part in zip(*runs)] for way, runs in results.items()}
    rate, cost = medians["shmsink"]
    for way, (frames, processor) in medians.items():
        print(
            f"{way:<9} {frames:7.1f} frames/s ({frames / rate:.2f} x shmsink), "
            f"{processor * 1e3:.2f} ms of processor time a frame ({processor / cost:.2f} x)"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3, Path(sys.argv[2]) if len(sys.argv) > 2 else PLUGIN)
