"""Camera and detector, each of which may be killed and started again while the other goes on.

The camera outlives its detector: ``Writer(reconnect=True)`` waits for the next reader. The detector
outlives its camera: after ``WriterDeadException`` it reads on, and gets the frames of the next one.
``python restart.py detector NAME`` and ``python restart.py camera NAME``, in any order.
"""

import sys
import time
from typing import Optional

from zerobuffer import Reader, Writer, WriterDeadException


def camera(name: str, pictures: Optional[int] = None, rate: float = 50.0) -> None:
    """Send numbered pictures, for ever or so many."""
    # None would wait for ever; so long a write waits for a detector that is started again.
    with Writer(name, timeout=None, reconnect=True, write_timeout=60.0) as writer:
        sent = 0
        while pictures is None or sent < pictures:
            writer.write_frame(sent.to_bytes(8, "little") + bytes(1000))
            sent += 1
            time.sleep(1.0 / rate)
        print(f"camera: {sent} sent, {writer.reconnects} detectors came back", flush=True)


def detector(name: str, pictures: Optional[int] = None) -> None:
    """Print the number of each picture, for ever or so many."""
    seen = 0
    with Reader(name) as reader:
        while pictures is None or seen < pictures:
            try:
                frame = reader.read_frame(timeout=1.0)
            except WriterDeadException:
                # Said again by each read until there is a camera again.
                reader.is_writer_connected(timeout_ms=1000)
                continue
            if frame is not None:
                with frame:
                    print(int.from_bytes(frame.data[:8], "little"), flush=True)
                seen += 1


if __name__ == "__main__":
    {"camera": camera, "detector": detector}[sys.argv[1]](sys.argv[2])
