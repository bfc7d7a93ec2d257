"""The published client at one end. Prints the SHA-1 of each frame that it got or answered with."""

import hashlib
import sys
import threading

from rocket_welder_sdk.connection_string import ConnectionString
from rocket_welder_sdk.controllers import DuplexShmController, OneWayShmController

mode, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
if mode == "Legacy":
    # A reader of the published package: the metadata of its buffer are written once.
    from zerobuffer import BufferConfig, Reader

    with Reader(name, BufferConfig(4096, 16 << 20)) as reader:
        print("started", flush=True)
        for _ in range(count):
            frame = reader.read_frame(timeout=30.0)
            if frame is not None:
                reader.release_frame(frame)
        # The sender tries for five seconds.
        threading.Event().wait(10)
    sys.exit(0)

lines: list[str] = []
done = threading.Event()


def note(line: str) -> None:
    """Keep a line until all frames have come."""
    lines.append(line)
    if len(lines) == count:
        done.set()


def received(picture) -> None:
    """Take a frame of a one-way stream."""
    note(hashlib.sha1(picture.tobytes()).hexdigest())


def answered(metadata, picture, answer) -> None:
    """Answer a picture with itself and a pixel of our own."""
    answer[:] = picture
    answer[0, 0] = (1, 2, 3)
    note(f"{hashlib.sha1(answer.tobytes()).hexdigest()} {metadata.frame_number} {metadata.timestamp_ns}")


connection = ConnectionString.parse(f"shm://{name}?size=64MB&metadata=4KB&mode={mode}&timeout=20000")
if mode == "Duplex":
    controller = DuplexShmController(connection)
    controller.start(answered)
else:
    controller = OneWayShmController(connection)
    controller.start(received)
print("started", flush=True)
finished = done.wait(60)
# The last answer is on its way when its callback returns.
threading.Event().wait(0.5)
print("\n".join(lines), flush=True)
controller.stop()
sys.exit(0 if finished else 1)
