"""One picture of a stream."""

from types import TracebackType
from typing import TYPE_CHECKING, Any, Optional

from .._zerobuffer import Frame
from . import _av
from ._convert import convert, optional
from ._picture import STAMP, Picture, VideoError, stamp_value

if TYPE_CHECKING:
    import numpy as np


class VideoFrame:
    """A picture with its time: what iterating a :class:`VideoReader` gives.

    The arrays show the ring's memory. They keep the picture's space in the ring: many held
    pictures stop the sender; copy what is kept for long. ``np.asarray(frame)`` is :attr:`array`.
    """

    __slots__ = (
        "__weakref__",
        "_array",
        "_flat",
        "_frame",
        "_picture",
        "_wanted",
        "exposure_us",
        "number",
        "pts_ns",
        "sequence",
    )

    #: The picture's number, counted by its source; None where the sender gives none.
    number: Optional[int]
    #: Its time in nanoseconds, by the source's clock; None where the sender gives none.
    pts_ns: Optional[int]
    #: How long the sensor was exposed, in microseconds; None where the sender does not say.
    exposure_us: Optional[int]
    #: The frame's number in the ring, counted from 1.
    sequence: int

    def __init__(self, frame: Any, picture: Picture, wanted: Optional[str] = None) -> None:
        self._frame = frame
        self._picture = picture
        self._wanted = picture.format if wanted is None else wanted
        self._array: Optional[np.ndarray[Any, Any]] = None
        flat: Any = frame.array((-1,), "u1")  # all bytes, whatever the metadata say
        self._flat = flat
        self.sequence = frame.sequence
        self.number = self.pts_ns = self.exposure_us = None
        if picture.stamped:
            number, time, exposure = STAMP.unpack_from(flat)
            self.number, self.pts_ns, self.exposure_us = stamp_value(number), stamp_value(time), stamp_value(exposure)

    @property
    def array(self) -> "np.ndarray[Any, Any]":
        """The picture as an array of height x width x components, in the reader's ``format``.

        Pictures of one component are height x width. I420, NV12 and their like are one array of
        height * 3/2 x width, as OpenCV has them. ``VideoError`` for formats that are no one array:
        these have ``planes``.
        """
        if self._array is None:
            self._array = self.to(self._wanted)
        return self._array

    def to(self, format: str) -> "np.ndarray[Any, Any]":
        """Return the picture in a format by GStreamer's name.

        Its own comes without a copy, another one by OpenCV or PyAV.
        """
        flat = self._bytes()
        return self._picture.view(flat) if format == self._picture.format else convert(self._picture, flat, format)

    @property
    def planes(self) -> "list[np.ndarray[Any, Any]]":
        """The planes of the stream's own format, each as rows of samples."""
        return self._picture.plane_views(self._bytes())

    @property
    def format(self) -> str:
        """The pixel format of :attr:`array`."""
        return self._wanted

    @property
    def native_format(self) -> str:
        """The pixel format of the stream."""
        return self._picture.format

    @property
    def width(self) -> int:
        """Pixels of a row."""
        return self._picture.width

    @property
    def height(self) -> int:
        """Rows."""
        return self._picture.height

    @property
    def caps(self) -> str:
        """GStreamer's description of the stream."""
        return self._picture.caps

    @property
    def data(self) -> memoryview:
        """All bytes of the frame, with the stamp in front."""
        self._bytes()
        view: memoryview = self._frame.data
        return view

    def to_av(self, copy: bool = False) -> Any:
        """Return the picture as a frame of PyAV, with its time.

        Formats that PyAV takes as they are keep the ring's memory, unless a copy is asked for.
        """
        return _av.frame_of(self._picture, self._bytes(), self.pts_ns, copy)

    def to_pil(self) -> Any:
        """Return the picture as an image of Pillow."""
        try:
            from PIL import Image
        except ImportError as error:
            raise ImportError("Pillow is not installed: pip install pillow") from error
        gray = self._picture.format == "GRAY8"
        return Image.fromarray(self.to("GRAY8" if gray else "RGB").copy())

    def _repr_png_(self) -> Optional[bytes]:
        """Show the picture in Jupyter; as text without Pillow and OpenCV, or once released."""
        if self._frame is None:
            return None
        if optional("PIL") is not None:
            from io import BytesIO

            file = BytesIO()
            self.to_pil().save(file, "PNG")
            return file.getvalue()
        cv2 = optional("cv2")
        return None if cv2 is None else bytes(cv2.imencode(".png", self.to("BGR"))[1])

    def release(self) -> None:
        """Give the picture's space back, as soon as no array of it is left; may be repeated."""
        frame, self._frame, self._flat, self._array = self._frame, None, None, None
        if isinstance(frame, Frame):
            frame.dispose()

    def _bytes(self) -> Any:
        if self._flat is None:
            raise VideoError("the picture has been released: its data cannot be accessed any more")
        return self._flat

    def __array__(self, dtype: Any = None, copy: Optional[bool] = None) -> "np.ndarray[Any, Any]":
        array = self.array
        if dtype is not None and array.dtype != dtype:
            if copy is False:
                raise ValueError(f"pixels of type {array.dtype} cannot be had as {dtype} without a copy")
            return array.astype(dtype)
        return array.copy() if copy else array

    def __enter__(self) -> "VideoFrame":
        return self

    def __exit__(
        self,
        exc_type: Optional[type[BaseException]],
        exc_value: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.release()

    def __repr__(self) -> str:
        time = "no time" if self.pts_ns is None else f"{self.pts_ns / 1e9:.3f} s"
        state = ", released" if self._frame is None else ""
        return f"<VideoFrame {self.sequence}: {self._picture}, {time}{state}>"
