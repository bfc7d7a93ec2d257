"""The sending end: OpenCV's ``VideoWriter`` on a buffer."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal, Optional, Union

from .._context import Closing
from ..exceptions import BufferFullException, MetadataAlreadyWrittenException
from ..writer import Writer
from . import _av
from . import _constants as const
from ._frame import VideoFrame
from ._picture import NONE, STAMP, VideoError, announced, require_numpy
from ._url import parse

if TYPE_CHECKING:
    import numpy as np

#: Longest wait for a reader to make a new ring for pictures of another kind.
_RENEWAL = 5.0
#: A reader has noticed by then that its writer has left.
_NOTICED = 0.15


def _rate(fps: Union[float, str, Fraction, Sequence[int], None]) -> Optional[Fraction]:
    if fps is None or fps == 0:
        return None
    try:
        rate = Fraction(*fps) if isinstance(fps, (tuple, list)) else Fraction(fps)  # type: ignore[arg-type]
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        rate = Fraction(-1)
    # 29.97 as a float is 30000/1001.
    rate = rate.limit_denominator(1001)
    # Caps hold no larger numbers.
    if not 0 < rate.numerator < 2**31:
        raise VideoError(f"{fps!r} is no rate of numbers up to 2^31 - 1: write for instance 25, 29.97 or '30000/1001'")
    return rate


class VideoWriter(Closing):
    """Attaches to a buffer and sends pictures into it.

    ``write``, ``isOpened``, ``get``, ``set`` and ``release`` are those of ``cv2.VideoWriter``;
    there is no codec.

    Args:
        name: name of the buffer, which its reader creates.
        fps: pictures per second: a number, ``"30000/1001"`` or (30000, 1001). None if it varies.
        size: width and height in pixels.
        format: the pixel format, by GStreamer's name. ``"BGR"`` is OpenCV's.
        stamp: send number, time and exposure in front of each picture, as the existing video
            clients expect it.
        timeout: seconds to wait for the reader to appear; None waits for ever.
        full: what ``write`` does when the ring is full: ``"block"`` waits and raises after the
            write timeout, ``"refuse"`` raises at once, ``"drop"`` drops the picture.
        **options: those of :class:`zerobuffer.Writer`: ``write_timeout``, ``wait``, ``owner``.

    Raises:
        BufferNotFoundException: nobody reads, within ``timeout``.
        VideoError: the format is not known, or a picture is not of the announced kind.
    """

    def __init__(
        self,
        name: str,
        fps: Union[float, str, Fraction, Sequence[int], None] = None,
        size: Sequence[int] = (0, 0),
        format: str = "BGR",
        *,
        stamp: bool = True,
        timeout: Optional[float] = 5.0,
        full: Literal["block", "refuse", "drop"] = "block",
        **options: Any,
    ) -> None:
        self._writer: Optional[Writer] = None
        require_numpy()
        self.name = name
        self.fps = _rate(fps)
        self._full = full
        width, height = (int(number) for number in size)
        metadata, self._length, self._picture = announced(format, (width, height), self.fps, stamp)
        self._forms = self._picture.forms(self._length)
        self._number = 0
        #: Pictures that ``full="drop"`` has dropped.
        self.dropped = 0
        self._writer = _connected(name, metadata, timeout, {"full": "refuse" if full == "drop" else full, **options})

    @classmethod
    def from_url(cls, url: str, fps: Any = None, size: Sequence[int] = (0, 0), **options: Any) -> "VideoWriter":
        """Attach to what the existing clients create, ``shm://name``; the reader chooses sizes."""
        connection = parse(url)
        return cls(connection.name, fps, size, **{"timeout": connection.timeout, **options})

    def isOpened(self) -> bool:
        """Tell whether pictures can be written: there is a reader."""
        return self._writer is not None and self._writer.is_reader_connected()

    def write(
        self,
        image: Any,
        pts_ns: Optional[int] = None,
        *,
        number: Optional[int] = None,
        exposure_us: Optional[int] = None,
    ) -> bool:
        """Send a picture, copied once into the ring. False: ``full="drop"`` has dropped it.

        Args:
            image: an array of the announced size and format, its planes as a list, or its bytes
                with tight rows. Or a frame of a reader or of PyAV, whose time and number go on.
            pts_ns: the picture's time in nanoseconds. By default what ``fps`` says, or the time
                since 1970.
            number: the picture's number. By default they are counted from 0.
            exposure_us: how long the sensor was exposed, in microseconds.

        Raises:
            VideoError: the picture is not of the announced kind. Nothing is sent then.
        """
        if isinstance(image, VideoFrame):
            pts_ns = image.pts_ns if pts_ns is None else pts_ns
            number = image.number if number is None else number
            exposure_us = image.exposure_us if exposure_us is None else exposure_us
        fill = self._filler(image)
        if pts_ns is None and _is_av(image):
            pts_ns = _av.nanoseconds(image)
        try:
            with self._open().loan(self._length) as view:
                flat = view.array()
                self._stamp(flat, pts_ns, number, exposure_us)
                fill(flat)
                del flat
        except BufferFullException:
            if self._full != "drop":
                raise
            self._number += 1
            self.dropped += 1
            return False
        self._number += 1
        return True

    @contextmanager
    def loan(
        self, pts_ns: Optional[int] = None, *, number: Optional[int] = None, exposure_us: Optional[int] = None
    ) -> "Iterator[np.ndarray[Any, Any]]":
        """Make a picture in the ring itself: ``with writer.loan() as image:``.

        It is sent at the end of the block.

        Drop the array before the block ends: it would write into the sent picture.
        """
        with self._open().loan(self._length) as view:
            self._stamp(view.array(), pts_ns, number, exposure_us)
            held = [self._picture.view(view.array())]
            yield held.pop()
        self._number += 1

    def _stamp(self, flat: Any, pts_ns: Optional[int], number: Optional[int], exposure_us: Optional[int]) -> None:
        if not self._picture.stamped:
            return
        if pts_ns is None:
            pts_ns = time.time_ns() if self.fps is None else int(self._number * 10**9 / self.fps)
        values = (self._number if number is None else number, pts_ns, NONE if exposure_us is None else exposure_us)
        if not all(0 <= value <= NONE for value in values):
            raise VideoError(f"number, time and exposure {values} are not all from 0 to {NONE}")
        STAMP.pack_into(flat, 0, *values)

    def _filler(self, image: Any) -> Any:
        """Return what copies a picture into a frame; VideoError if it is another kind."""
        import numpy as np

        picture = self._picture
        if _is_av(image):
            _av.check(self.name, picture, image)
            return lambda flat: _av.fill(flat, picture, image)
        if isinstance(image, VideoFrame):
            same = (image.native_format, image.width, image.height) == (picture.format, picture.width, picture.height)
            image = image.planes if same else image.array
        if isinstance(image, (bytes, bytearray, memoryview)):
            image = np.frombuffer(image, np.uint8)
        if isinstance(image, (list, tuple)):
            form, parts = "planes", [np.asarray(part) for part in image]
        else:
            parts = [np.asarray(image)]
            # Bytes in one row are a picture with tight rows, whatever its format.
            form = "bytes" if parts[0].ndim == 1 or picture.array is None else "array"
        found = [(part.shape, part.dtype) for part in parts]
        if found != self._forms[form]:
            needed = _words(self._forms[form])
            raise VideoError(
                f"buffer '{self.name}' carries {picture} as {needed}, the picture is {_words(found)}: "
                "convert it, or open a VideoWriter for its size and format"
            )

        def fill(flat: Any) -> None:
            for target, part in zip(picture.views(form, flat), parts):
                target[...] = part

        return fill

    def _open(self) -> Writer:
        if self._writer is None:
            raise VideoError(f"buffer '{self.name}': the VideoWriter has been released")
        return self._writer

    def get(self, propId: int) -> float:
        """Return a property by OpenCV's number; 0.0 for those that are not known."""
        if propId == const.CAP_PROP_FRAME_WIDTH:
            return float(self._picture.width)
        if propId == const.CAP_PROP_FRAME_HEIGHT:
            return float(self._picture.height)
        if propId == const.CAP_PROP_FPS:
            return 0.0 if self.fps is None else float(self.fps)
        if propId == const.CAP_PROP_FOURCC:
            return const.fourcc(self._picture.format)
        if propId == const.CAP_PROP_POS_FRAMES:
            return float(self._number)
        return 0.0

    def set(self, propId: int, value: float) -> bool:
        """Return False: nothing can be set."""
        return False

    def getBackendName(self) -> str:
        """Return the name of what carries the pictures."""
        return "ZEROBUFFER"

    def release(self) -> None:
        """Leave the buffer; what was written is still read. May be repeated."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    def close(self) -> None:
        """As :meth:`release`."""
        self.release()

    def __del__(self) -> None:
        if "_writer" in self.__dict__:
            self.release()

    def __repr__(self) -> str:
        state = "released" if self._writer is None else f"{self._number} pictures"
        return f"<VideoWriter '{self.name}', {self._picture}, {state}>"


def _words(arrays: Any) -> str:
    return ", ".join(f"{' x '.join(map(str, shape)) or 'a single value'} of {dtype}" for shape, dtype in arrays)


def _is_av(image: Any) -> bool:
    return type(image).__module__.partition(".")[0] == "av"


def _connected(name: str, metadata: bytes, timeout: Optional[float], options: dict[str, Any]) -> Writer:
    """Attach and announce the pictures; waits until a reader of other ones has a new ring."""
    began = time.monotonic()
    while True:
        left = None if timeout is None else max(0.0, timeout - (time.monotonic() - began))
        writer = Writer(name, timeout=left, **options)
        try:
            writer.set_metadata(metadata)
            return writer
        except MetadataAlreadyWrittenException as error:
            writer.close()
            if time.monotonic() - began > min(_RENEWAL, _RENEWAL if timeout is None else timeout):
                raise VideoError(
                    f"buffer '{name}' describes other pictures, of an earlier sender, and its reader does not make it "
                    "anew: restart the reader, or open it with reconnect=True"
                ) from error
            time.sleep(_NOTICED)
        except BaseException:
            writer.close()
            raise
