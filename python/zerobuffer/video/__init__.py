"""Pictures: ``cv2.VideoCapture`` and ``cv2.VideoWriter`` between the processes of a machine.

:class:`VideoReader` creates a buffer and reads pictures from it. :class:`VideoWriter` attaches to
one and sends. Both have the methods of OpenCV's classes. Pictures are arrays on the ring's memory.
Another pixel format is made where it is asked for, by OpenCV or PyAV.

NumPy is needed. ``docs/video.md`` of the repository says what stands in the metadata and in front
of a picture.
"""

from ._constants import (
    CAP_PROP_BUFFERSIZE,
    CAP_PROP_CONVERT_RGB,
    CAP_PROP_FOURCC,
    CAP_PROP_FPS,
    CAP_PROP_FRAME_COUNT,
    CAP_PROP_FRAME_HEIGHT,
    CAP_PROP_FRAME_WIDTH,
    CAP_PROP_POS_FRAMES,
    CAP_PROP_POS_MSEC,
    CAP_PROP_READ_TIMEOUT_MSEC,
)
from ._frame import VideoFrame
from ._loader import Loader
from ._picture import VideoError
from ._reader import VideoReader
from ._writer import VideoWriter

__all__ = [
    "CAP_PROP_BUFFERSIZE",
    "CAP_PROP_CONVERT_RGB",
    "CAP_PROP_FOURCC",
    "CAP_PROP_FPS",
    "CAP_PROP_FRAME_COUNT",
    "CAP_PROP_FRAME_HEIGHT",
    "CAP_PROP_FRAME_WIDTH",
    "CAP_PROP_POS_FRAMES",
    "CAP_PROP_POS_MSEC",
    "CAP_PROP_READ_TIMEOUT_MSEC",
    "Loader",
    "VideoError",
    "VideoFrame",
    "VideoReader",
    "VideoWriter",
]
