"""A slow detector beside a fast camera: it always takes the newest picture.

``python newest_frame.py NAME``: creates the buffer and waits for the camera, any program that
writes frames.
"""

import sys
import time

from zerobuffer import BufferConfig, Reader, WriterDeadException


def detect(name: str, seconds: float = 0.02) -> tuple[int, int]:
    """Take ``seconds`` per picture until the camera has left; return those seen and skipped."""
    # Room for several pictures: the camera goes on while one is looked at.
    with Reader(name, BufferConfig(payload_size=8 * 480 * 640 * 3)) as reader:
        while True:
            try:
                frame = reader.latest(timeout=60.0)
            except WriterDeadException:
                break
            if frame is None:
                continue
            with frame:
                time.sleep(seconds)  # the detector
        stats = reader.stats
    print(f"{stats.frames} seen, {stats.skipped} skipped")
    return stats.frames, stats.skipped


if __name__ == "__main__":
    detect(sys.argv[1])
