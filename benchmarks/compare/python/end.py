"""One end of one measurement: ``end.py SYSTEM ROLE KIND NAME BYTES DEPTH SECONDS TOUCH``.

The same words, the same order of events and the same result lines as the Rust ends (``src/ends``);
the supervisor starts both alike. Runs under the interpreter whose packages are measured.
"""

from __future__ import annotations

import importlib
import sys

from drive import Task, answer, ask, receive, send

# Which file has a system's ends: functions `receiver(task, name)` and `sender(task, name)`.
FILES = {
    "py-ours": "with_zerobuffer",
    "py-ours-buffer": "with_zerobuffer",
    "py-old": "with_zerobuffer",
    "py-old-buffer": "with_zerobuffer",
    "py-ours-duplex": "with_duplex",
    "py-ours-call": "with_call",
    "py-ours-async": "with_async",
    "py-ours-uvloop": "with_async",
    "py-old-duplex": "with_duplex",
    "py-iceoryx2": "with_iceoryx2",
    "py-iceoryx2-event": "with_iceoryx2",
    "py-zmq": "with_zmq",
    "py-pipe": "with_multiprocessing",
    "py-queue": "with_multiprocessing",
    "py-shm": "with_multiprocessing",
}


def main() -> None:
    system, role, kind, name, size, depth, seconds, touch = sys.argv[1:]
    task = Task(system, kind, name, int(size), int(depth), float(seconds), touch)
    ends = importlib.import_module(FILES[system])
    if hasattr(ends, "run"):  # both ends need a common parent
        ends.run(task, role)
        return
    round_trip = kind in ("trip", "paced")
    part = {
        ("server", False): receive,
        ("client", False): send,
        ("server", True): answer,
        ("client", True): ask,
    }[role, round_trip]
    part(task, ends)


if __name__ == "__main__":
    main()
