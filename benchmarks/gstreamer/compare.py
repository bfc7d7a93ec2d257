"""Frames per second and processor time of ``zerosink`` to ``zerosrc`` beside GStreamer's own ways.

Each round runs every way once: two programs, 1080p I420, unthrottled. A short run is taken off a
long one, for the start of the programs. Printed are medians, and their ratios to ``shmsink``.

There are two kinds of pictures. *Painted* ones are those of ``videotestsrc pattern=black``; the row
``nothing`` is what painting alone costs, in one program. *Unpainted* ones cost nothing: their
source takes a buffer of what downstream offers and leaves in it what it finds. What is measured
then is the transport alone.

At the end the same for three readers: ``shmsink`` with three ``shmsrc``, and ``zerobuffer tee``
between a ``zerosink`` and three ``zerosrc``.

``cargo xtask bench gstreamer [ROUNDS]`` builds what is needed and runs this. Take ratios: absolute
figures are the machine's.
"""

import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
BUILT = ROOT / "crates/gst-plugin-zerobuffer/target/release"
PLUGIN = BUILT / "libgstzerobuffer.so"
#: Runs a pipeline that may have the source that paints nothing.
UNPAINTED = BUILT / "examples/unpainted"
SIZE = 1920 * 1080 * 3 // 2
CAPS = "video/x-raw,format=I420,width=1920,height=1080,framerate=30/1"
#: The command, whose ``tee`` feeds several readers.
COMMAND = ROOT / "target/release/zerobuffer"
READERS = 3
#: Seconds that a run may take.
LIMIT = 60
#: Frames of a long and of a short run, of pictures that are painted, and of others.
PAINTED = (600, 30)
BLANK = {"zerosink": (60_000, 2_000), "shmsink": (30_000, 1_000), "fdsink|": (600, 30)}


def ways(folder: str, frames: int, painted: bool) -> dict[str, tuple[str, str]]:
    """Return the sender and the receiver of each way; ``|`` in a name stands for a pipe."""
    source = f"videotestsrc pattern=black num-buffers={frames} ! {CAPS}"
    if not painted:
        source = f"unpaintedsrc num-buffers={frames}"
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
        # What the pictures themselves cost, in one process that sends them nowhere.
        "nothing": (f"{source} ! {end}", ""),
        "fdsink|": (
            f"{source} ! fdsink fd=1 sync=false",
            f"fdsrc fd=0 blocksize={SIZE} ! rawvideoparse format=i420 width=1920 height=1080 ! {end}",
        ),
    }


def run(way: str, sender: str, receiver: str, environment: dict[str, str], frames: int) -> tuple[float, float]:
    """Run a sender and a receiver; returns seconds and seconds of processor time."""
    pipes = os.pipe() if way.endswith("|") else None
    launch = [str(UNPAINTED)] if sender.startswith("unpainted") else ["gst-launch-1.0", "-q"]
    began = time.monotonic()
    quiet = subprocess.DEVNULL
    # The sender of shmsink creates the socket, the receiver of zerosrc the buffer.
    order = [(sender, pipes[1] if pipes else quiet, quiet), (receiver, quiet, pipes[0] if pipes else quiet)]
    if way == "zerosink":
        order.reverse()
    if way == "nothing":
        order.pop()
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
    # One that ends at once leaves the other one waiting.
    guard = threading.Timer(LIMIT, lambda: [child.kill() for child in children])
    guard.start()
    for child in children:
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        processor += usage.ru_utime + usage.ru_stime
    guard.cancel()
    # shmsink ends with an error of its own when its reader leaves.
    if way != "shmsink" and any(child.returncode for child in children):
        raise SystemExit(f"{way} with {frames} frames failed: {[child.returncode for child in children]}")
    return time.monotonic() - began, processor


def measure(rounds: int, painted: bool, folder: str, environment: dict[str, str]) -> None:
    """Measure one kind of pictures and print."""
    results: dict[str, list[tuple[float, float]]] = {}
    for _ in range(rounds):
        for way in ways(folder, 0, painted):
            if way == "nothing" and not painted:
                continue
            long, short = PAINTED if painted else BLANK[way]
            times = {
                frames: run(way, *ways(folder, frames, painted)[way], environment, frames) for frames in (short, long)
            }
            seconds, processor = (times[long][part] - times[short][part] for part in (0, 1))
            results.setdefault(way, []).append(((long - short) / seconds, processor / (long - short)))
    print("painted" if painted else "unpainted")
    medians = {way: [statistics.median(part) for part in zip(*runs)] for way, runs in results.items()}
    rate, cost = medians["shmsink"]
    for way, (frames, processor) in medians.items():
        print(
            f"{way:<9} {frames:9.1f} frames/s ({frames / rate:.2f} x shmsink), "
            f"{processor * 1e6:7.1f} µs of processor time a frame ({processor / cost:.2f} x)"
        )


def run_three(way: str, folder: str, environment: dict[str, str], frames: int) -> tuple[float, float]:
    """Run a sender and three receivers until each has so many frames.

    Returns seconds and seconds of processor time.
    """
    source = f"videotestsrc pattern=black ! {CAPS}"
    launch = ["gst-launch-1.0", "-q"]
    name = f"zb-bench-three-{os.getpid()}"
    socket = Path(folder, f"three-{frames}-{time.monotonic_ns()}")
    shm = f"shmsink socket-path={socket} shm-size={64 << 20} wait-for-connection=true sync=false"
    if way == "shmsink":
        # The sender creates the socket, and waits for the first receiver.
        senders = [[*launch, *f"{source} ! {shm}".split()]]
        receivers = [f"shmsrc socket-path={socket}" for _ in range(READERS)]
    else:
        tee = [str(COMMAND), "tee", name, "--policy", "block:60", "--subscribers", str(READERS)]
        senders = [tee, [*launch, *f"{source} ! zerosink buffer-name={name} sync=false".split()]]
        receivers = [f"zerosrc buffer-name={name}@{number}" for number in range(READERS)]
    end = f"num-buffers={frames} ! fakesink sync=false"
    commands = senders + [[*launch, *f"{receiver} {end}".split()] for receiver in receivers]
    began = time.monotonic()
    children: list[subprocess.Popen[bytes]] = []
    for command in commands:
        quiet = subprocess.DEVNULL
        children.append(subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet, env=environment))
        while way == "shmsink" and not socket.exists() and children[0].poll() is None:
            time.sleep(0.01)
    guard = threading.Timer(LIMIT, lambda: [child.kill() for child in children])
    guard.start()
    processor = 0.0
    ends = []
    # The receivers end by themselves. Then the source is stopped, and the tee first.
    for child in [*children[len(senders) :], *children[: len(senders)]]:
        if child in children[: len(senders)]:
            # gst-launch removes the memory of shmsink after an interrupt alone.
            child.send_signal(signal.SIGINT)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        ends.append(child.returncode)
        processor += usage.ru_utime + usage.ru_stime
    guard.cancel()
    if any(ends[:READERS]):
        raise SystemExit(f"{way} to three readers failed: {ends}")
    return time.monotonic() - began, processor


def three_readers(rounds: int, folder: str, environment: dict[str, str]) -> None:
    """Measure one sender with three readers, and print."""
    results: dict[str, list[tuple[float, float]]] = {}
    long, short = PAINTED
    for _ in range(rounds):
        for way in ("shmsink", "tee"):
            times = {frames: run_three(way, folder, environment, frames) for frames in (short, long)}
            seconds, processor = (times[long][part] - times[short][part] for part in (0, 1))
            results.setdefault(way, []).append(((long - short) / seconds, processor / (long - short)))
    print("painted, three readers")
    medians = {way: [statistics.median(part) for part in zip(*runs)] for way, runs in results.items()}
    rate, cost = medians["shmsink"]
    for way, (frames, processor) in medians.items():
        print(
            f"{way:<9} {frames:9.1f} frames/s ({frames / rate:.2f} x shmsink), "
            f"{processor * 1e6:7.1f} µs of processor time a frame ({processor / cost:.2f} x)"
        )


def main(rounds: int, kinds: str) -> None:
    """Measure all kinds, or some: ``one``, ``three``."""
    for built in (PLUGIN, COMMAND if kinds == "three" else UNPAINTED):
        if not built.exists():
            raise SystemExit(f"{built} is missing: cargo xtask bench gstreamer builds it")
    with tempfile.TemporaryDirectory() as folder:
        # A folder with nothing but the plugin in it: GStreamer loads whatever lies beside it.
        (Path(folder) / PLUGIN.name).symlink_to(PLUGIN.resolve())
        environment = {**os.environ, "GST_PLUGIN_PATH": folder, "GST_REGISTRY": f"{folder}/registry.bin"}
        # The first program with a new registry looks through all plugins.
        subprocess.run(["gst-inspect-1.0", "zerosink"], env=environment, stdout=subprocess.DEVNULL, check=True)
        print(f"{platform.machine()}, {os.cpu_count()} processors, {rounds} rounds, 1080p I420")
        for painted in (True, False) if kinds != "three" else ():
            measure(rounds, painted, folder, environment)
        if kinds != "one":
            three_readers(rounds, folder, environment)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5, sys.argv[2] if len(sys.argv) > 2 else "all")
