"""One event loop relays several buffers, each to a target, whole and in order.

``python asyncio_relay.py SOURCE=TARGET...``: creates the sources; each target must have a reader
within a minute.
"""

import asyncio
import sys

from zerobuffer import Reader, Writer


async def relay(source: str, target: str) -> int:
    """Relay one buffer until its writer leaves; returns the number of frames."""
    with Reader(source) as reader:
        writer = await asyncio.get_running_loop().run_in_executor(None, lambda: Writer(target, timeout=60.0))
        with writer:
            async for frame in reader.stream():
                with frame:
                    await writer.write_frame_async(frame.data)
            return writer.frames_written


async def main(pairs: list[str]) -> None:
    """Relay all pairs at the same time."""
    counts = await asyncio.gather(*(relay(*pair.split("=")) for pair in pairs))
    print(counts)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
