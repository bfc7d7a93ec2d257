"""A webcam, or a video file, into a buffer: OpenCV captures, any reader of the buffer sees it.

Needs ``pip install opencv-python-headless``. Arguments: the name of the buffer, and the path of a
file or of a camera (by default the first camera).
"""

import sys
from typing import Union

import cv2
from zerobuffer.video import VideoWriter


def send(name: str, source: Union[int, str]) -> int:
    """Send pictures until the source ends; returns their number."""
    camera = cv2.VideoCapture(source)
    size = (int(camera.get(cv2.CAP_PROP_FRAME_WIDTH)), int(camera.get(cv2.CAP_PROP_FRAME_HEIGHT)))
    count = 0
    with VideoWriter(name, camera.get(cv2.CAP_PROP_FPS), size, timeout=60.0) as writer:
        while True:
            # OpenCV decodes straight into the ring.
            if not camera.grab():
                return count
            with writer.loan() as image:
                camera.retrieve(image)
                del image
            count += 1


if __name__ == "__main__":
    print(send(sys.argv[1], sys.argv[2] if sys.argv[2:] else 0), "pictures")
