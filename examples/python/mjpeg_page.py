"""A web page that shows a stream: asyncio, the newest picture, and JPEG by OpenCV.

``python mjpeg_page.py NAME [PORT]`` creates the buffer and waits for a camera that describes its
pictures: by ``zerobuffer.video``, GStreamer, or ``write_array``. It serves this machine alone.
``/`` is a page, ``/stream.mjpeg`` the stream. Many browsers may look at once.
"""

import asyncio
import sys
from typing import Any, Optional

import cv2
from zerobuffer import BufferConfig, Reader

PAGE = b"<!doctype html><title>camera</title><img src='/stream.mjpeg' alt='the stream'>"
HEAD = b"HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nConnection: close\r\nContent-Type: "


class Page:
    """The newest picture as JPEG, and those who wait for the next one."""

    def __init__(self) -> None:
        self.picture: Optional[bytes] = None
        self.number = 0
        self.ended = False
        self.changed = asyncio.Condition()
        self.answers: set[asyncio.Task[Any]] = set()

    async def follow(self, name: str) -> None:
        """Encode the newest picture again and again; what nobody has time for is skipped."""
        loop = asyncio.get_running_loop()
        config = BufferConfig(4096, 3 * (1920 * 1080 * 3 + 64))
        async with Reader(name, config, newest=True) as reader:
            async for frame in reader:
                picture = await loop.run_in_executor(None, encode, frame.array())
                async with self.changed:
                    self.picture, self.number = picture, self.number + 1
                    self.changed.notify_all()
        async with self.changed:
            self.ended = True
            self.changed.notify_all()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one browser."""
        task = asyncio.current_task()
        assert task is not None
        self.answers.add(task)
        try:
            request = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10.0)
            if request.startswith(b"GET /stream.mjpeg "):
                writer.write(HEAD + b"multipart/x-mixed-replace; boundary=frame\r\n\r\n")
                await self.stream(writer)
            else:
                writer.write(HEAD + b"text/html\r\n\r\n" + PAGE)
                await writer.drain()
        except (OSError, asyncio.TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # the browser has left, or speaks something else
        finally:
            writer.close()
            self.answers.discard(task)

    async def stream(self, writer: asyncio.StreamWriter) -> None:
        """Send pictures as fast as this browser takes them."""
        seen = 0
        while not self.ended:
            async with self.changed:
                while self.number == seen and not self.ended:
                    await self.changed.wait()
                picture, seen = self.picture or b"", self.number
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
            writer.write(head.encode() + picture + b"\r\n")
            await writer.drain()


def encode(picture: Any) -> bytes:
    """Return a picture of OpenCV's order of colours as JPEG."""
    done, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 80])
    if not done:
        raise ValueError(f"no JPEG can be made of {picture.shape}")
    return bytes(jpeg)


async def serve(name: str, port: int = 8080) -> None:
    """Serve until the camera has left."""
    page = Page()
    server = await asyncio.start_server(page.answer, "127.0.0.1", port)
    async with server:
        print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", flush=True)
        await page.follow(name)
        # Each browser gets its last picture, unless it takes none.
        if page.answers:
            await asyncio.wait(page.answers, timeout=10.0)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 8080))
