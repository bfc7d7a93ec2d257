"""An endpoint on the published package zerobuffer-ipc 1.3.0, with the orders of `child/`."""

import ctypes
import mmap
import os
import random
import signal
import struct
import sys
import threading
import time
from datetime import timedelta

import zerobuffer

MASK = (1 << 64) - 1
PERIOD = 65_521
PATIENCE = 30


def mix(value):
    z = (value + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


TABLE = bytes(mix(i) >> 56 for i in range(PERIOD)) * 2


class Pattern:
    def __init__(self, key, maximum):
        self.key, self.maximum = key, maximum

    def hash(self, sequence):
        return mix(self.key ^ mix(sequence))

    def size(self, sequence):
        value = self.hash(sequence)
        most = (min(self.maximum, 64), -(-self.maximum // 8), -(-self.maximum // 8), self.maximum)[value & 3]
        return 1 + (value >> 2) % most

    def content(self, sequence):
        size = self.size(sequence)
        start = mix(self.hash(sequence)) % PERIOD
        return (TABLE[start : start + PERIOD] * (size // PERIOD + 1))[:size]


class Ledger:
    def __init__(self, path, segment):
        with open(path, "xb") as file:
            file.truncate(4096)
        with open(path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 4096)
        self.frames = self.bytes = 0
        struct.pack_into("<QQ", self.map, 0, segment, 1)

    def frame(self, sequence, size):
        self.frames += 1
        self.bytes += size
        struct.pack_into("<QQQ", self.map, 16, sequence, self.frames, self.bytes)


ORDERS = set()


def listen():
    for line in sys.stdin:
        ORDERS.add(line.strip())
    os._exit(3)


def say(text):
    os.write(1, f"{text}\n".encode())


def segment(name):
    try:
        return os.stat(f"/dev/shm/{name}").st_ino
    except FileNotFoundError:
        return 0


def until(action, *errors):
    """Repeats what is refused while the other end is coming or going."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return action()
        except errors:
            if "finish" in ORDERS or time.monotonic() > deadline:
                raise
            time.sleep(0.005)


def writer(number, plan):
    end = until(lambda: zerobuffer.Writer(plan["name"]), zerobuffer.ZeroBufferException)
    end.write_timeout = timedelta(milliseconds=100)
    ledger = Ledger(f"{plan['folder']}/w-{number}-0", segment(plan["name"]))
    say(f"attached {segment(plan['name'])}")
    pattern = plan["pattern"]
    while "finish" not in ORDERS:
        # Taken from the endpoint: a number that was not used up is used again.
        sequence = end._sequence_number
        started = time.monotonic_ns()
        try:
            data = pattern.content(sequence)
            if random.random() < 0.5:
                end.write_frame(data)
            else:
                view = end.get_frame_buffer(len(data))
                view[:] = data
                view.release()
                end.commit_frame()
        except zerobuffer.ReaderDeadException:
            say(f"gone {time.monotonic_ns()} {started}")
            break
        except (zerobuffer.BufferFullException, TimeoutError):
            continue
        ledger.frame(sequence, len(data))
    end.close()
    while "finish" not in ORDERS:
        time.sleep(0.001)
    say("closed")


def reader(number, plan):
    config = zerobuffer.BufferConfig(metadata_size=plan["metadata"], payload_size=plan["payload"])
    end = until(lambda: zerobuffer.Reader(plan["name"], config), zerobuffer.ReaderAlreadyConnectedException)
    ledger = Ledger(f"{plan['folder']}/r-{number}", segment(plan["name"]))
    say(f"created {segment(plan['name'])}")
    pattern, drained = plan["pattern"], False
    while "close" not in ORDERS:
        try:
            frame = None if drained else end.read_frame(timeout=0.05)
        except zerobuffer.WriterDeadException:
            if "finish" in ORDERS:
                say("drained")
                drained = True
            time.sleep(0.002)
            continue
        if frame is None:
            time.sleep(0.001)
            continue
        sequence, data = frame.sequence, bytes(frame.data)
        if data != pattern.content(sequence):
            say(f"torn frame {sequence} of {len(data)} bytes")
        end.release_frame(frame)
        ledger.frame(sequence, len(data))
    end.close()
    say("closed")


def main():
    # The supervisor's end is this process's end, also in the middle of a call.
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    role, number, name, folder, *numbers = sys.argv[1:]
    numbers = [int(word) for word in numbers]
    plan = {"name": name, "folder": folder, "metadata": numbers[1], "payload": numbers[2]}
    plan["pattern"] = Pattern(numbers[3], numbers[4])
    threading.Thread(target=listen, daemon=True).start()
    say(f"hello {os.getpid()}")
    {"reader": reader, "writer": writer}[role](number, plan)
    sys.stdout.flush()
    os._exit(0)


main()
