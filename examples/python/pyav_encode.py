"""PyAV encodes frames from the ring into a file. Needs ``pip install av``.

``python pyav_encode.py NAME FILE.mp4``: creates the buffer NAME and expects RGB frames whose
metadata describes them.
"""

import sys
from typing import Any

import av
from zerobuffer import BufferConfig, Reader


def encode(name: str, path: str, rate: int = 25) -> int:
    """Encode all frames of a buffer; returns their number."""
    with Reader(name, BufferConfig(payload_size=64 * 1024 * 1024)) as reader, av.open(path, "w") as container:
        stream: Any = container.add_stream("mpeg4", rate=rate)
        for frame in reader:
            with frame:
                # The one copy is PyAV's own, into the encoder's picture.
                picture = av.VideoFrame.from_ndarray(frame.array(), format="rgb24")
            if not stream.codec_context.is_open:
                stream.width, stream.height = picture.width, picture.height
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
        return reader.frames_read


if __name__ == "__main__":
    print(encode(sys.argv[1], sys.argv[2]), "frames")
