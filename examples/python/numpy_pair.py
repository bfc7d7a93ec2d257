"""A writer that draws into the ring and a reader that computes there, without a copy.

Run ``python numpy_pair.py`` (starts both processes), or ``python numpy_pair.py write`` beside ``...
read``. A second word is the buffer's name.
"""

import json
import subprocess
import sys

import numpy as np
from zerobuffer import BufferConfig, Reader, Writer

WIDTH, HEIGHT, FRAMES = 640, 480, 200


def read(name: str) -> None:
    """Create the buffer and print the brightness of each tenth picture."""
    with Reader(name, BufferConfig(payload_size=4 * WIDTH * HEIGHT * 3)) as reader:
        for frame in reader:
            with frame:
                picture = frame.array()  # shape and dtype come from the metadata
                if frame.sequence % 10 == 0:
                    print(f"frame {frame.sequence}: {picture.shape}, mean {picture.mean():.1f}")
                del picture
        print(f"{reader.frames_read} frames")


def write(name: str) -> None:
    """Wait for the reader and draw pictures in place."""
    caps = f"video/x-raw, format=(string)RGB, width=(int){WIDTH}, height=(int){HEIGHT}"
    with Writer(name, timeout=10.0) as writer:
        writer.set_metadata(json.dumps({"type": "example", "caps": caps}).encode())
        for i in range(FRAMES):
            with writer.loan((HEIGHT, WIDTH, 3), np.uint8) as view:
                picture = view.array()
                picture[:] = i % 256
                del picture


def main(role: str = "both", name: str = "example-numpy") -> int:
    """Run one end, or both."""
    if role == "read":
        read(name)
    elif role == "write":
        write(name)
    else:
        with subprocess.Popen([sys.executable, __file__, "write", name]) as writer:
            read(name)
        return writer.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
