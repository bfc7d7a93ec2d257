"""Round trip of a small request through a duplex channel, ours against 1.3.0: ``python benchmarks/python/duplex.py``.

Client and server are two processes; the same program runs under both packages, interleaved. Prints the median of the
runs' p50, with min and max. The environments are those of ``compare.py``.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROUNDS, REQUESTS, SIZE = 5, 2_000, 64


def serve(name: str) -> None:
    from zerobuffer import BufferConfig
    from zerobuffer.duplex import DuplexChannelFactory

    server = DuplexChannelFactory.get_instance().create_immutable_server(name, BufferConfig(4096, 1 << 20))
    server.start(lambda frame, response: response.write_frame(bytes(frame.data)))
    print("ready", flush=True)
    sys.stdin.readline()
    server.stop()


def call(name: str) -> None:
    from zerobuffer.duplex import DuplexClient

    deadline = time.monotonic() + 20
    while True:
        try:
            client = DuplexClient(name)
            break
        except Exception:  # 1.3.0's server creates its buffer some time after start()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
    request = os.urandom(SIZE)
    times = []
    for _ in range(REQUESTS):
        started = time.perf_counter()
        client.send_request(request)
        with client.receive_response(10_000) as response:
            assert bytes(response.data) == request
        times.append(time.perf_counter() - started)
    print(statistics.median(times[REQUESTS // 10 :]), flush=True)
    client.close()


def measure(python: str, name: str) -> float:
    """Microseconds."""
    run = [python, __file__]
    with subprocess.Popen([*run, "serve", name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/") as server:
        assert server.stdout is not None and server.stdout.readline() == "ready\n"
        seconds = float(subprocess.run([*run, "call", name], stdout=subprocess.PIPE, check=True, cwd="/").stdout)
        server.communicate("\n", timeout=60)
    for direction in ("request", "response"):  # 1.3.0 leaves its semaphores
        for semaphore in ("sem.sem-w-", "sem.sem-r-"):
            Path("/dev/shm", f"{semaphore}{name}_{direction}").unlink(missing_ok=True)
    return seconds * 1e6


def main() -> None:
    if len(sys.argv) == 3:
        {"serve": serve, "call": call}[sys.argv[1]](sys.argv[2])
        return
    from compare import environment

    times: dict[str, list[float]] = {"ours": [], "old": []}
    pythons = {label: environment(label) for label in times}
    for run in range(ROUNDS):
        for label, values in times.items():
            values.append(measure(pythons[label], f"bench-duplex-{os.getpid()}-{run}-{label}"))
    ours = statistics.median(times["ours"])
    for label, values in times.items():
        median = statistics.median(values)
        print(f"{label}: p50 {median:.1f} µs ({min(values):.1f} to {max(values):.1f}), {median / ours:.2f} of ours")


if __name__ == "__main__":
    main()
