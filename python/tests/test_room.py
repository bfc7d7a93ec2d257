"""What a ring holds with default settings: as many frames as its size says."""

import numpy as np
import pytest
from support import child, pattern
from zerobuffer import BufferConfig, BufferFullException, Frame, Reader, Writer

#: A paced stream first: the writer has seen its reader read at once, and its reader has slept
#: between frames.
PACED = 20

WRITE = """
    import sys, time
    from support import pattern
    from zerobuffer import BufferFullException, Writer
    name, paced, held, size = sys.argv[1], *map(int, sys.argv[2:])
    with Writer(name) as writer:
        for index in range(paced):
            writer.write_frame(pattern(size, index))
            time.sleep(0.002)
        writer.write_timeout = 0.05
        for index in range(paced, paced + held):
            print(index)
            sys.stdin.readline()
            writer.write_frame(pattern(size, index))
        try:
            writer.write_frame(pattern(size, 0))
        except BufferFullException:
            print("full")
        writer.write_timeout = 5
        sys.stdin.readline()
        writer.write_frame(pattern(size, paced + held))
"""


def space_of(size: int) -> int:
    """Return what a frame takes from the ring."""
    return -(-(size + 16) // 16) * 16


def taken(reader: Reader, index: int, size: int) -> Frame:
    frame = reader.read_frame(timeout=30.0)
    assert frame is not None, f"no frame {index}"
    assert (frame.sequence, bytes(frame.data)) == (index + 1, pattern(size, index))
    return frame


@pytest.mark.parametrize(("frames", "size"), [(1, 1000), (2, 1000), (10, 100), (10, 900_000), (16, 112), (64, 4000)])
def test_a_ring_of_some_frames_takes_as_many_held_frames(
    name: str, tests_path: dict[str, str], frames: int, size: int
) -> None:
    with Reader(name, BufferConfig(payload_size=frames * space_of(size))) as reader:
        # What is rounded up to 64 may have room for some more.
        frames = reader.capacity // space_of(size)
        with child(WRITE, name, *map(str, (PACED, frames, size)), env=tests_path) as writer:
            for index in range(PACED):
                taken(reader, index, size).dispose()
            held = []
            for index in range(PACED, PACED + frames):
                assert writer.line() == str(index)
                writer.send()
                held.append(taken(reader, index, size))
            # No room was left over, and none was taken from a frame that is held.
            assert writer.line() == "full"
            for index, frame in enumerate(held, PACED):
                assert bytes(frame.data) == pattern(size, index)
            held[0].dispose()
            writer.send()
            taken(reader, PACED + frames, size).dispose()
            for frame in held[1:]:
                frame.dispose()
            writer.finish()


def test_arrays_that_outlive_their_frames_hold_as_many(name: str) -> None:
    frames, size = 12, 240
    with Reader(name, BufferConfig(payload_size=frames * space_of(size))) as reader, Writer(name) as writer:
        writer.write_timeout = 0.05
        arrays = []
        for index in range(frames):
            writer.write_frame(pattern(size, index))
            frame = taken(reader, index, size)
            arrays.append(frame.array())
            del frame
        with pytest.raises(BufferFullException):
            writer.write_frame(bytes(size))
        assert all(np.array_equal(array, np.frombuffer(pattern(size, i), np.uint8)) for i, array in enumerate(arrays))
        del arrays[0]
        writer.write_frame(pattern(size, frames))
