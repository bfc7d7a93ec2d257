"""A detector as a service: arrays go in and come out, and exceptions reach the caller.

``python detect_service.py serve NAME`` in one process, ``python detect_service.py ask NAME`` in
another.
"""

import sys

import numpy as np
from zerobuffer import BufferConfig, Client, Frame, RemoteError, Server

SHAPE = (480, 640, 3)


def serve(name: str) -> None:
    """Find the brightest pixel of each picture, until Ctrl-C."""
    server = Server(name, BufferConfig(payload_size=4 * 480 * 640 * 3), workers=2)

    @server.handler
    def brightest(request: Frame) -> "np.ndarray[tuple[int], np.dtype[np.int32]]":
        picture = request.array(SHAPE, np.uint8)  # ValueError for a picture of another size
        row, column, _ = np.unravel_index(int(picture.argmax()), SHAPE)
        return np.array([row, column], np.int32)

    with server:
        server.wait()


def ask(name: str) -> list[tuple[int, int]]:
    """Ask for some pictures; the last one is too small, which the server complains about."""
    found = []
    with Client(name, timeout=60.0) as client:
        for i in range(1, 11):
            picture = np.zeros(SHAPE, np.uint8)
            picture[i, 2 * i, 0] = 255
            with client.call(picture, timeout=60.0) as response:
                row, column = response.array(dtype=np.int32).tolist()
            found.append((row, column))
        try:
            client.call(b"too small", timeout=60.0)
        except RemoteError as error:
            print(f"the server says {error.type}: {error.message}")
    print(found)
    return found


if __name__ == "__main__":
    {"serve": serve, "ask": ask}[sys.argv[1]](sys.argv[2])
