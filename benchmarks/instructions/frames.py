"""What the Python package's instructions are counted of: ``frames.py BURSTS_OUT BURSTS_BACK``.

Writes a number of bursts of small frames, then as many more as are written and read in turn.
`cargo xtask instructions` runs it under callgrind with different numbers: what they differ by is
what the frames between them cost, whatever the start of Python takes.
"""

import os
import sys

from zerobuffer import BufferConfig, Reader, Writer

BURST, SIZE = 8, 64


def main() -> None:
    one_way, turns = int(sys.argv[1]), int(sys.argv[2])
    name = f"{os.environ.get('ZEROBUFFER_TEST_MARK', '')}instructions-{os.getpid()}"
    reader = Reader(name, BufferConfig(64, 1 << 20))
    writer = Writer(name)
    frame = bytes(SIZE)
    for _ in range(one_way * BURST):
        writer.write_frame(frame)
    for _ in range(turns):
        for _ in range(BURST):
            writer.write_frame(frame)
        for _ in range(BURST):
            received = reader.read_frame(timeout=1.0)
            assert len(received.data) == SIZE
            reader.release_frame(received)


if __name__ == "__main__":
    main()
