"""Several consumers of one camera, each with a buffer of its own.

The camera's process writes each picture into a buffer per consumer. A consumer that is slow or gone
does not hold up the others. Its pictures are dropped and counted, and it is connected again when it
comes back. ``python several_consumers.py CONSUMER...``: each consumer is a reader of that name.
"""

import sys
import time
from typing import Optional

from zerobuffer import BufferNotFoundException, ReaderDeadException, Writer, ZeroBufferException


class Outlet:
    """The way to one consumer."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.writer: Optional[Writer] = None
        self.sent = 0

    def send(self, picture: bytes) -> None:
        """Send a picture if the consumer is there and has room."""
        try:
            if self.writer is None:
                self.writer = Writer(self.name, full="drop")
            self.writer.write_frame(picture)
            self.sent += 1
        except BufferNotFoundException:
            pass  # not there yet
        except ReaderDeadException:
            self.close()  # it may come back
        except ZeroBufferException as error:
            print(f"{self.name}: {error}")

    def close(self) -> None:
        """Leave the consumer."""
        if self.writer is not None:
            self.writer.close()
        self.writer = None


def run(names: list[str], pictures: int = 300, rate: float = 200.0) -> dict[str, int]:
    """Send pictures to all consumers; returns how many each was sent."""
    outlets = [Outlet(name) for name in names]
    for i in range(pictures):
        picture = bytes([i % 256]) * 3000
        for outlet in outlets:
            outlet.send(picture)
        time.sleep(1.0 / rate)
    for outlet in outlets:
        outlet.close()
    return {outlet.name: outlet.sent for outlet in outlets}


if __name__ == "__main__":
    print(run(sys.argv[1:]))
