"""The agent of `duplex/agent.rs` on the published package zerobuffer-ipc 1.3.0."""

import sys
import time
from importlib.metadata import version

from old_peer import Wrong, content, reply

from zerobuffer import BufferConfig
from zerobuffer.duplex import DuplexChannelFactory


class Agent:
    def __init__(self):
        self.server = self.client = None
        self.errors = []
        self.inits = []

    def version(self):
        return version("zerobuffer-ipc")

    def serve(self, channel, handler, *_):
        self.server = DuplexChannelFactory.get_instance().create_immutable_server(channel, BufferConfig(4096, 1 << 20), 20.0)
        self.server.add_error_handler(lambda event: self.errors.append(type(event.exception).__name__))
        self.server.start(getattr(self, "handle_" + handler), lambda metadata: self.inits.append(len(metadata)))

    def handle_echo(self, frame, writer):
        writer.write_frame(bytes(frame.data))

    def handle_loan(self, frame, writer):
        with writer.get_frame_buffer(frame.size) as room:
            room[:] = frame.data
        writer.commit_frame()

    def handle_moody(self, frame, writer):
        """No answer to a request that starts with 0, two to one that starts with 2."""
        data = bytes(frame.data)
        for _ in range(data[0]):
            writer.write_frame(data)

    def running(self):
        return str(self.server.is_running).lower()

    def failures(self):
        return " | ".join(self.errors)

    def metadata_sizes(self):
        return " ".join(map(str, self.inits))

    def stop(self):
        self.server.stop()

    def connect(self, channel, *_):
        deadline = time.monotonic() + 20
        while True:
            try:
                self.client = DuplexChannelFactory.get_instance().create_client(channel)
                return
            except Exception:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def send(self, key, length):
        return self.client.send_request(content(int(key), int(length)))

    def send_in_place(self, key, length):
        sequence, room = self.client.acquire_request_buffer(int(length))
        room[:] = content(int(key), int(length))
        room.release()
        self.client.commit_request()
        return sequence

    def send_byte(self, byte):
        return self.client.send_request(bytes([int(byte)]))

    def receive(self, milliseconds, key):
        response = self.client.receive_response(int(milliseconds))
        if not response.is_valid:
            return "none"
        with response:
            data = bytes(response.data)
            if data != content(int(key), len(data)):
                raise Wrong(f"content of response {response.sequence} differs")
            return f"{response.sequence} {len(data)}"

    def receive_byte(self, milliseconds):
        response = self.client.receive_response(int(milliseconds))
        if not response.is_valid:
            return "none"
        with response:
            return f"{response.sequence} {bytes(response.data)[0]}"

    def connected(self):
        return str(self.client.is_server_connected).lower()

    def close(self):
        if self.client is not None:
            self.client.close()
        if self.server is not None:
            self.server.stop()
        self.client = self.server = None


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
