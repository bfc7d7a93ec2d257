"""OpenCV works on frames in the ring: blur pictures of one buffer into the next.

Needs ``pip install opencv-python-headless``. Arguments: the two names, width, height. It creates
the first buffer, and writes to the second once somebody reads that.
"""

import sys

import cv2
import numpy as np
from zerobuffer import BufferConfig, Reader, Writer


def blur(source: str, target: str, width: int, height: int) -> None:
    """Blur BGR pictures of ``source`` into ``target``."""
    shape = (height, width, 3)
    with (
        Reader(source, BufferConfig(payload_size=4 * width * height * 3)) as reader,
        Writer(target, timeout=60.0) as writer,
    ):
        for frame in reader:
            with frame, writer.loan(shape, np.uint8) as view:
                picture, result = frame.array(shape, np.uint8), view.array()
                cv2.GaussianBlur(picture, (9, 9), 0, dst=result)
                del picture, result


if __name__ == "__main__":
    blur(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
