"""Pictures in batches, as the loaders of ultralytics give them."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._reader import VideoReader


class Loader:
    """A source for the loop of ultralytics: ``for paths, images, info in loader``.

    Each time it gives one BGR picture.

    ``model(source)`` takes instances of its own loaders only, so a class of your own inherits from
    both::

        class Camera(zerobuffer.video.Loader, ultralytics.data.loaders.LoadStreams): ...

        camera = Camera(zerobuffer.video.VideoReader("cam", newest=True))
        for result in model(camera, stream=True): ...
    """

    mode = "stream"
    bs = 1

    def __init__(self, reader: "VideoReader") -> None:
        self.reader = reader
        self.count = 0
        self.frames = -1
        self.source_type = SimpleNamespace(stream=True, screenshot=False, from_img=False, tensor=False)

    @property
    def fps(self) -> int:
        """Pictures per second, rounded; 30 where it is not known."""
        return round(self.reader.fps) or 30

    def __iter__(self) -> "Iterator[tuple[list[str], list[Any], list[str]]]":
        return self

    def __next__(self) -> "tuple[list[str], list[Any], list[str]]":
        frame = self.reader.next_frame()
        if frame is None:
            raise StopIteration
        self.count += 1
        # The model keeps the picture in its result: it must not stop the sender.
        image = frame.to("BGR")
        return [self.reader.name], [image if frame.native_format != "BGR" else image.copy()], [""]

    def __len__(self) -> int:
        return self.bs

    def close(self) -> None:
        """Close the reader."""
        self.reader.release()
