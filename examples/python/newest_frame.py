"""A slow detector beside a fast camera: it always takes the newest picture.

``python newest_frame.py NAME``: creates the buffer and waits for the camera, any program that
writes frames.
"""

import sys
import time

from zerobuffer import BufferConfig, Reader, WriterDeadException


def detect(name: str, seconds: float = 0.02) -> tuple[int, int]:
    """Take ``seconds`` per picture until the camera has left; return those seen and skipped."""
    # Three pictures are enough: one is kept, one is taken, one is written.
    with Reader(name, BufferConfig(payload_size=3 * (480 * 640 * 3 + 16)), newest=True) as reader:
        while True:
            try:
                frame = reader.read_frame(timeout=60.0)
            except WriterDeadException:
                break
            if frame is not None:
                time.sleep(seconds)  # the detector; the camera goes on meanwhile
        stats = reader.stats
    print(f"{stats.frames} seen, {stats.skipped} skipped")
    return stats.frames, stats.skipped


if __name__ == "__main__":
    detect(sys.argv[1])
