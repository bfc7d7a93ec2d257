"""The agent of `common/agent.rs` on the published package zerobuffer-ipc 1.3.0."""

import sys
import time
from datetime import timedelta
from importlib.metadata import version

import zerobuffer

MASK = (1 << 64) - 1
PERIOD = 65_521


def mix(value):
    z = (value + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def size_of(seed, index, maximum):
    return 1 + mix((seed * 1_000_003 + index) & MASK) % maximum


TABLE = bytes(mix(i) >> 56 for i in range(PERIOD)) * 2


def content(key, length):
    start = key % PERIOD * 40_503 % PERIOD
    return (TABLE[start : start + PERIOD] * (length // PERIOD + 1))[:length]


def reply(text):
    sys.stdout.write(f"\n@@ {text}\n")
    sys.stdout.flush()


class Wrong(Exception):
    """What arrived is not what was sent."""


class Agent:
    def __init__(self):
        self.reader = None
        self.writer = None
        self.held = []

    def version(self):
        return version("zerobuffer-ipc")

    def create(self, name, metadata, payload, *_):
        config = zerobuffer.BufferConfig(metadata_size=int(metadata), payload_size=int(payload))
        self.reader = zerobuffer.Reader(name, config)

    def connect(self, name, *_):
        self.writer = zerobuffer.Writer(name)
        self.writer.write_timeout = timedelta(seconds=60)

    def timeout(self, milliseconds):
        self.writer.write_timeout = timedelta(milliseconds=int(milliseconds))

    def set_meta(self, key, length):
        self.writer.set_metadata(content(int(key), int(length)))

    def get_meta(self, key):
        view = self.reader.get_metadata()
        if view is None:
            return "none"
        data = bytes(view)
        view.release()
        if data != content(int(key), len(data)):
            raise Wrong("metadata differ")
        return len(data)

    def send(self, key, length, api):
        if api == "mix":
            api = ("write", "buffer")[key % 2]
        if api == "write":
            self.writer.write_frame(content(key, length))
        else:
            view = self.writer.get_frame_buffer(length)
            view[:] = content(key, length)
            view.release()
            self.writer.commit_frame()
        return self.writer._sequence_number - 1

    def write(self, key, length, api):
        return self.send(int(key), int(length), api)

    def stream(self, first, count, seed, maximum, api):
        for key in range(int(first), int(first) + int(count)):
            self.send(key, size_of(int(seed), key, int(maximum)), api)

    def chatter(self, first, seed, maximum, api):
        key = int(first)
        while True:
            self.send(key, size_of(int(seed), key, int(maximum)), api)
            reply(f"sent {key}")
            key += 1

    def take(self, milliseconds, key):
        frame = self.reader.read_frame(timeout=int(milliseconds) / 1000)
        if frame is not None and bytes(frame.data) != content(int(key), frame.size):
            raise Wrong(f"content of frame {key} ({frame.size} bytes) differs")
        return frame

    def read(self, milliseconds, key):
        frame = self.take(milliseconds, key)
        if frame is None:
            return "none"
        text = f"{frame.sequence} {frame.size}"
        self.reader.release_frame(frame)
        return text

    def hold(self, milliseconds, key):
        frame = self.take(milliseconds, key)
        if frame is None:
            return "none"
        self.held.append(frame)
        return f"{len(self.held) - 1} {frame.sequence} {frame.size}"

    def recheck(self, index, key):
        frame = self.held[int(index)]
        if bytes(frame.data) != content(int(key), frame.size):
            raise Wrong(f"content of held frame {key} has changed")

    def release(self, index):
        self.reader.release_frame(self.held[int(index)])

    def drain(self, first, count, seed, maximum):
        start = last = None
        for key in range(int(first), int(first) + int(count)):
            frame = self.take(60_000, key)
            if frame is None:
                raise Wrong(f"frame {key} has not come")
            if frame.size != size_of(int(seed), key, int(maximum)):
                raise Wrong(f"frame {key}: {frame.size} bytes")
            last = frame.sequence
            start = last if start is None else start
            self.reader.release_frame(frame)
        return f"{start} {last}"

    def until_gone(self, first, seed, maximum):
        key, silence = int(first), 0
        while True:
            try:
                frame = self.take(300, key)
            except zerobuffer.WriterDeadException:
                return key - int(first)
            if frame is None:
                silence += 1
                if silence == 30:
                    raise Wrong(f"neither frame {key} nor the writer's end has come")
                continue
            if frame.size != size_of(int(seed), key, int(maximum)):
                raise Wrong(f"frame {key}: {frame.size} bytes")
            self.reader.release_frame(frame)
            key += 1

    def follow(self, seed, maximum, most):
        """As `follow` in `common/stamped.rs`."""
        seed, maximum, most = int(seed), int(maximum), int(most)
        frames = first = last = silence = 0
        gap, came = 0.0, None
        while most == 0 or frames < most:
            try:
                frame = self.reader.read_frame(timeout=0.3)
            except zerobuffer.WriterDeadException:
                break
            if frame is None:
                silence += 1
                if silence == 200:
                    raise Wrong(f"no frame came, nor the writer's end, after {frames}")
                continue
            silence = 0
            data = bytes(frame.data)
            self.reader.release_frame(frame)
            key = int.from_bytes(data[:8], "little")
            length = size_of(seed, key, maximum - 8)
            if len(data) != 8 + length or data[8:] != content(key, length):
                raise Wrong(f"frame {key} of {len(data)} bytes is not whole")
            if key <= last:
                raise Wrong(f"frame {key} after {last}")
            now = time.monotonic()
            gap = max(gap, now - came if came else 0.0)
            frames, first, last, came = frames + 1, first or key, key, now
        return f"{frames} {first} {last} {int(gap * 1000)}"

    def connected(self):
        end = self.reader.is_writer_connected() if self.reader else self.writer.is_reader_connected()
        return str(end).lower()

    def close(self):
        for end in (self.writer, self.reader):
            if end is not None:
                end.close()
        self.writer = self.reader = None


def main():
    agent = Agent()
    for line in sys.stdin:
        command, *arguments = line.split()
        try:
            result = getattr(agent, command.replace("-", "_"))(*arguments)
            reply("ok" if result is None else f"ok {result}")
        except Exception as error:  # whatever the package raises is the reply
            text = str(error).replace("\n", " ")
            reply(f"err {type(error).__name__}: {text}")


if __name__ == "__main__":
    main()
