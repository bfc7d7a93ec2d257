"""A camera changes its resolution while its viewer runs, and neither is started again.

A stream is described once. So the camera opens another ``VideoWriter`` for the other size, and a
viewer with ``reconnect=True`` goes on with it. ``python resolution_change.py view NAME`` in one
process, ``python resolution_change.py camera NAME`` in another.
"""

import sys

import numpy as np
from zerobuffer.video import VideoReader, VideoWriter

SIZES = ((640, 480), (1280, 720), (320, 240))


def camera(name: str, pictures: int = 20) -> None:
    """Send pictures of each size."""
    for width, height in SIZES:
        # It waits until the viewer has taken the last picture of the size before.
        with VideoWriter(name, 25, (width, height), timeout=60.0) as writer:
            for i in range(pictures):
                writer.write(np.full((height, width, 3), i, np.uint8))


def view(name: str, pictures: int = 60) -> list[tuple[int, int]]:
    """Return width and height of each picture."""
    sizes: list[tuple[int, int]] = []
    with VideoReader(name, reconnect=True, timeout=60.0) as viewer:
        while len(sizes) < pictures:
            ok, picture = viewer.read()
            if not ok or picture is None:
                break
            height, width = picture.shape[:2]
            if (width, height) not in sizes:
                print(f"pictures of {width} x {height}")
            sizes.append((width, height))
    return sizes


if __name__ == "__main__":
    {"view": view, "camera": camera}[sys.argv[1]](sys.argv[2])
