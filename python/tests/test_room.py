"""What a ring holds with default settings: as many frames as its size says."""

import os
import random
import re
import signal
import time

import numpy as np
import pytest
from support import child, linux_only, pattern
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


#: Reads batches of frames, each after a line on its input.
READ = """
    import sys
    from support import pattern
    from zerobuffer import BufferConfig, Reader
    name, ring, size, *batches = sys.argv[1], *map(int, sys.argv[2:])
    with Reader(name, BufferConfig(payload_size=ring)) as reader:
        print("created")
        index = 0
        for batch in batches:
            sys.stdin.readline()
            for _ in range(batch):
                frame = reader.read_frame(timeout=60.0)
                assert frame is not None, index
                assert (frame.sequence, bytes(frame.data)) == (index + 1, pattern(size, index)), index
                frame.dispose()
                index += 1
            print(index)
"""

#: Seconds that a writer waits where there must be room.
HURRIED = 0.05

#: Answers each batch with one frame, over two buffers.
ANSWER = """
    import sys
    from support import pattern
    from zerobuffer import BufferConfig, Reader, Writer
    there, back, ring, size, rounds = *sys.argv[1:3], *map(int, sys.argv[3:])
    with Reader(there, BufferConfig(payload_size=ring)) as reader:
        print("created")
        with Writer(back, timeout=60.0) as writer:
            for index in range(rounds):
                frame = reader.read_frame(timeout=60.0)
                assert frame is not None, index
                assert bytes(frame.data) == pattern(size, index), index
                frame.dispose()
                writer.write_frame(pattern(10, index))
            sys.stdin.readline()
"""


def hurried(name: str) -> Writer:
    """Return a writer that hardly waits for room, so a missing byte is an error."""
    writer = Writer(name, timeout=60.0)
    writer.write_timeout = HURRIED
    return writer


@pytest.mark.parametrize(("ring", "size"), [(32 << 20, 900_000), (1 << 20, 40_000), (64 << 10, 1000), (8 << 10, 100)])
def test_a_burst_after_a_paced_stream_finds_the_whole_ring(
    name: str, tests_path: dict[str, str], ring: int, size: int
) -> None:
    fit = ring // space_of(size)
    with child(READ, name, *map(str, (ring, size, PACED, fit)), env=tests_path) as reader:
        assert reader.line() == "created"
        with hurried(name) as writer:
            reader.send()
            # Whether the reader keeps pace with these is the scheduler's affair.
            writer.write_timeout = 60.0
            for index in range(PACED):
                writer.write_frame(pattern(size, index))
                time.sleep(0.002)
            assert reader.line() == str(PACED)
            writer.write_timeout = HURRIED
            for index in range(PACED, PACED + fit):
                writer.write_frame(pattern(size, index))
            reader.send()
            assert reader.line() == str(PACED + fit)
            reader.finish()


@linux_only
@pytest.mark.parametrize("asleep", [True, False], ids=["asleep", "awake"])
def test_a_stopped_reader_leaves_the_whole_ring(name: str, tests_path: dict[str, str], asleep: bool) -> None:
    size, fit = 50_000, 16
    ring = fit * space_of(size)
    with child(READ, name, *map(str, (ring, size, PACED, fit)), env=tests_path) as reader:
        assert reader.line() == "created"
        with hurried(name) as writer:
            reader.send()
            # Whether the reader keeps pace with these is the scheduler's affair.
            writer.write_timeout = 60.0
            for index in range(PACED):
                writer.write_frame(pattern(size, index))
                time.sleep(0.002)
            assert reader.line() == str(PACED)
            writer.write_timeout = HURRIED
            if asleep:
                reader.send()
                time.sleep(0.05)
            os.kill(reader.pid, signal.SIGSTOP)
            try:
                time.sleep(0.02)
                for index in range(PACED, PACED + fit):
                    writer.write_frame(pattern(size, index))
                with pytest.raises(BufferFullException):
                    writer.write_frame(pattern(size, 0))
            finally:
                os.kill(reader.pid, signal.SIGCONT)
            if not asleep:
                reader.send()
            assert reader.line() == str(PACED + fit)
            reader.finish()


def test_a_slow_detector_costs_no_frame_that_the_ring_has_room_for(name: str) -> None:
    size, depth, meanwhile = 30_000, 8, 5
    with Reader(name, BufferConfig(payload_size=depth * space_of(size))) as reader, hurried(name) as writer:
        index = seen = 0
        for _ in range(12):
            latest = reader.latest(timeout=0.0)
            if latest is not None:
                seen = latest.sequence
                assert (seen, bytes(latest.data)) == (index, pattern(size, index - 1)), "the newest one"
            # While it works on that one, five more come.
            for _ in range(meanwhile):
                writer.write_frame(pattern(size, index))
                index += 1
            if latest is not None:
                latest.dispose()
        newest = reader.latest(timeout=0.0)
        assert newest is not None
        assert newest.sequence == index
        assert seen == index - meanwhile
        newest.dispose()


@pytest.mark.parametrize("size", [1, 16, 17, 100, 1000, 5000, 16_000])
def test_a_drained_ring_takes_what_its_size_says_in_any_order_of_release(name: str, size: int) -> None:
    ring, dice = 16_384, random.Random(size)
    fit = ring // space_of(size)
    with Reader(name, BufferConfig(payload_size=ring)) as reader, Writer(name, full="refuse") as writer:
        index = 0
        for _ in range(8):
            held = []
            for _ in range(fit):
                writer.write_frame(pattern(size, index))
                held.append(taken(reader, index, size))
                index += 1
            with pytest.raises(BufferFullException) as full:
                writer.write_frame(pattern(size, index))
            numbers = re.findall(r"\b\d+\b", str(full.value).split("' ")[1])
            needed, free, capacity, gap, outstanding = map(int, numbers[:5])
            left = ring - fit * space_of(size)
            assert (needed, free, capacity, outstanding) == (space_of(size), left, ring, ring - left)
            assert gap <= free
            dice.shuffle(held)
            while held:
                frame = held.pop()
                assert bytes(frame.data) == pattern(size, frame.sequence - 1)
                frame.dispose()


@pytest.mark.parametrize("size", [1, 17, 1000, 5000])
def test_a_ring_with_a_history_takes_what_its_size_says(name: str, size: int) -> None:
    ring, dice = 16_384, random.Random(size)
    fit = ring // (space_of(size) + 16)
    with Reader(name, BufferConfig(payload_size=ring)) as reader, Writer(name, full="refuse") as writer:
        index, held = 0, list[Frame]()
        for _ in range(3000):
            # Space returns in order.
            outstanding = index + 1 - min(frame.sequence for frame in held) if held else 0
            if outstanding < fit and dice.random() < 0.66:
                writer.write_frame(pattern(size, index))
                held.append(taken(reader, index, size))
                index += 1
            elif held:
                frame = held.pop(dice.randrange(len(held)))
                assert bytes(frame.data) == pattern(size, frame.sequence - 1)
                frame.dispose()
        for frame in held:
            frame.dispose()


@pytest.mark.parametrize("ring", [8 << 10, 64 << 10, 1 << 20])
def test_lockstep_over_two_buffers_never_sleeps_beside_space(name: str, tests_path: dict[str, str], ring: int) -> None:
    size, rounds, back = ring // 64 - 16, 100, f"{name}-back"
    fit = ring // space_of(size)
    words = [name, back, *map(str, (ring, size, rounds))]
    with Reader(back, BufferConfig(payload_size=ring)) as reader, child(ANSWER, *words, env=tests_path) as peer:
        assert peer.line() == "created"
        with Writer(name) as writer:
            sent = 0
            for got in range(rounds):
                # As much as the ring takes. The peer gives back one; the next is due at once.
                while sent < min(got + fit, rounds):
                    writer.write_frame(pattern(size, sent))
                    sent += 1
                taken(reader, got, 10).dispose()
            peer.send()
            peer.finish()


@pytest.mark.parametrize("ring", [256, 4096, 1 << 20])
def test_one_thread_writes_and_reads_in_turn(name: str, ring: int) -> None:
    with Reader(name, BufferConfig(payload_size=ring)) as reader, Writer(name, full="refuse") as writer:
        for index in range(400):
            size = index * 37 % (ring - 16) + 1
            writer.write_frame(pattern(size, index))
            taken(reader, index, size).dispose()


def test_every_size_passes_a_drained_ring_from_every_position(name: str) -> None:
    ring = 512
    with Reader(name, BufferConfig(payload_size=ring)) as reader, Writer(name, full="refuse") as writer:
        index = 0
        for size in range(1, ring - 15):
            for shift in (1, 100, 250):
                for length in (shift, size):
                    writer.write_frame(pattern(length, index))
                    taken(reader, index, length).dispose()
                    index += 1


def test_released_space_is_usable_without_a_further_call(name: str) -> None:
    ring, size = 64 << 10, 1008
    fit = ring // space_of(size)
    with Reader(name, BufferConfig(payload_size=ring)) as reader, Writer(name, full="refuse") as writer:
        for index in range(fit):
            writer.write_frame(pattern(size, index))
        # More frames are known to the reader; one is given back.
        taken(reader, 0, size).dispose()
        writer.write_frame(pattern(size, fit))
