"""A writer that draws into the ring and a reader that computes there, without a copy.

Run ``python numpy_pair.py`` (starts both processes), or ``python numpy_pair.py write`` beside ``...
read``.
"""

import json
import subprocess
import sys

import numpy as np
from zerobuffer import BufferConfig, Reader, Writer

NAME = "example-numpy"
WIDTH, HEIGHT, FRAMES = 640, 480, 200


def read() -> None:
    """Create the buffer and print the brightness of each tenth picture."""
    with Reader(NAME, BufferConfig(payload_size=4 * WIDTH * HEIGHT * 3)) as reader:
        for frame in reader:
            with frame:
                picture = frame.array()  # shape and dtype come from the metadata
                if frame.sequence % 10 == 0:
                    print(f"frame {frame.sequence}: {picture.shape}, mean {picture.mean():.1f}")
                del picture
        print(f"{reader.frames_read} frames")


def write() -> None:
    """Wait for the reader and draw pictures in place."""
    caps = f"video/x-raw, format=(string)RGB, width=(int){WIDTH}, height=(int){HEIGHT}"
    with Writer(NAME, timeout=10.0) as writer:
        writer.set_metadata(json.dumps({"type": "example", "caps": caps}).encode())
        for i in range(FRAMES):
            with writer.loan((HEIGHT, WIDTH, 3), np.uint8) as view:
                picture = view.array()
                picture[:] = i % 256
                del picture


def main() -> int:
    """Run one end, or both."""
    if sys.argv[1:] == ["read"]:
        read()
    elif sys.argv[1:] == ["write"]:
        write()
    else:
        with subprocess.Popen([sys.executable, __file__, "write"]) as writer:
            read()
        return writer.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
