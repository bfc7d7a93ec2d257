"""A stream is recorded into a file and played again with its timing, by the command of the package.

``python record_replay.py record NAME FILE`` records until the writer of NAME has left.
``python record_replay.py replay NAME FILE`` plays the file into a buffer, whose reader creates it.
The file is MCAP, which other tools read, too. ``zerobuffer record --help`` has all options.
"""

import subprocess
import sys
import time

from zerobuffer import Reader

#: The command ``zerobuffer``, whether or not its script is in the PATH.
COMMAND = [sys.executable, "-m", "zerobuffer"]


def record(name: str, file: str) -> None:
    """Record what is sent to a buffer of this name, with the times of arrival."""
    subprocess.run([*COMMAND, "record", name, "--output", file, "--force"], check=True)


def replay(name: str, file: str, speed: float = 1.0) -> list[float]:
    """Play a recording of NAME; return the times of its frames, in seconds from the first."""
    times = []
    with Reader(name) as reader:
        player = subprocess.Popen([*COMMAND, "replay", file, "--speed", str(speed)])
        for frame in reader:
            with frame:
                times.append(time.monotonic())
        if player.wait():
            raise SystemExit(player.returncode)
    print(f"{len(times)} frames in {times[-1] - times[0]:.3f} s")
    return [moment - times[0] for moment in times]


if __name__ == "__main__":
    role, name, file = sys.argv[1:]
    if role == "record":
        record(name, file)
    else:
        replay(name, file)
