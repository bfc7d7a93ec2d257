"""The receiving end: OpenCV's ``VideoCapture`` on a buffer."""

import time
from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any, Optional, Union

from .._context import Closing
from .._zerobuffer import Frame
from ..exceptions import BufferNotFoundException, ClosedException, ReaderDeadException, WriterDeadException
from ..reader import Reader
from ..tap import Tap, TapFrame
from ..types import BufferConfig
from . import _constants as const
from ._frame import VideoFrame
from ._picture import Picture, VideoError, announced, described, require_numpy
from ._url import parse

if TYPE_CHECKING:
    import numpy as np

#: How long a sender that leaves may be succeeded in the same ring.
_SUCCESSION_MS = 100


class VideoReader(Closing):
    """Creates a buffer and reads the pictures that are sent into it.

    ``read``, ``grab``, ``retrieve``, ``isOpened``, ``get``, ``set``, ``open`` and ``release`` are
    those of ``cv2.VideoCapture``. Iteration gives :class:`VideoFrame` objects. It ends when the
    sender has left.

    The arrays show the ring's memory, and keep it from the sender. A loop that binds one variable
    holds one picture. With ``copy=True`` the arrays are your own, as OpenCV gives them.

    Args:
        name: name of the buffer. Without one nothing is opened before :meth:`open`.
        format: the pixel format of the arrays, by GStreamer's name: ``"BGR"`` is OpenCV's. By
            default the stream's own.
        newest: give the newest picture and drop the older ones. Such a reader never stops its
            sender.
        tap: look at the running stream of another reader. Neither end notices. The buffer must be
            there, and pictures that come too fast are missed.
        copy: give arrays of their own.
        timeout: seconds that ``read`` and ``grab`` wait for a picture; None waits for ever.
        reconnect: when the sender has left, wait for the next one, in a new ring, instead of
            ending.
        caps: what the frames are, for senders that do not say so.
        buffer_size: bytes of the ring. Two pictures must fit. The default holds two of 4K in RGB,
            and fits into the shared memory of a container, which has 64 MiB by default.
        metadata_size: bytes of the metadata block.
        **options: those of :class:`zerobuffer.Reader`: ``mode``, ``wait``, ``prefault``.

    Raises:
        ReaderAlreadyConnectedException: the name has a live reader.
        VideoError: from ``read`` and its like, for a frame that is not the picture which its
            metadata describe.
    """

    def __init__(
        self,
        name: Optional[str] = None,
        *,
        format: Optional[str] = None,
        newest: bool = False,
        tap: bool = False,
        copy: bool = False,
        timeout: Optional[float] = 5.0,
        reconnect: bool = False,
        caps: Optional[str] = None,
        buffer_size: int = 48 << 20,
        metadata_size: int = 4096,
        **options: Any,
    ) -> None:
        require_numpy()
        self.name = ""
        self.newest = newest
        self.timeout = timeout
        self._wanted = format
        self._copy = copy
        self._tap = tap
        self._reconnect = reconnect
        self._caps = None if caps is None else caps.encode()
        self._config = BufferConfig(metadata_size, buffer_size)
        self._options = options
        self._reader: Union[Reader, Tap, None] = None
        self._ended = False
        self._picture: Optional[Picture] = None
        self._known: tuple[bytes, int] = (b"", -1)
        self._ahead: Optional[VideoFrame] = None
        self._frame: Optional[VideoFrame] = None
        self._image: Optional[np.ndarray[Any, Any]] = None
        self._position = 0
        self._pts_ns: Optional[int] = None
        if name is not None:
            self.open(name)

    @classmethod
    def from_url(cls, url: str, **options: Any) -> "VideoReader":
        """Open what the existing video clients write: ``shm://name?size=256MB&metadata=4KB&mode=OneWay&timeout=5000``.

        ``options`` are those of the constructor, and go before what the connection string says.
        """
        name, buffer_size, metadata_size, timeout = parse(url)
        said = {"buffer_size": buffer_size, "metadata_size": metadata_size, "timeout": timeout}
        return cls(name, **{**said, **options})

    def open(self, name: str) -> bool:
        """Close what is open and create the buffer ``name``; returns True."""
        self.release()
        self.name = name
        self._reader = self._opened()
        self._ended = False
        self._picture, self._known = None, (b"", -1)
        self._position, self._pts_ns = 0, None
        return True

    def isOpened(self) -> bool:
        """Tell whether pictures can be read: from the buffer's creation to :meth:`release`."""
        return self._reader is not None and not self._reader.closed

    def read(self, image: "Optional[np.ndarray[Any, Any]]" = None) -> "tuple[bool, Optional[np.ndarray[Any, Any]]]":
        """Wait for the next picture. ``(False, None)``: none came in time, or the sender has left.

        With ``image`` the pixels are copied into it, and it is returned.
        """
        return self.retrieve(image) if self.grab() else (False, None)

    def grab(self) -> bool:
        """Wait for the next picture and keep it for :meth:`retrieve`.

        False: none came in time, or the sender has left.
        """
        self._frame = self._image = None
        frame = self._next(self.timeout)
        if frame is None:
            return False
        self._frame = frame
        return True

    def retrieve(
        self, image: "Optional[np.ndarray[Any, Any]]" = None, flag: int = 0
    ) -> "tuple[bool, Optional[np.ndarray[Any, Any]]]":
        """Return the picture that was grabbed; ``(False, None)`` if there is none."""
        frame, made = self._frame, False
        if frame is not None and frame.native_format != frame.format:
            # A converted picture needs no place in the ring any more.
            self._image, self._frame, made = frame.array, None, True
            frame.release()
        found = self._image if self._frame is None else self._frame.array
        if found is None:
            return False, None
        if image is not None:
            image[...] = found
            return True, image
        shared = made or (self._frame is not None and not self._copy)
        return True, found if shared else found.copy()

    def next_frame(self, timeout: Optional[float] = None) -> Optional[VideoFrame]:
        """Wait for the next picture with its time.

        None: none came within ``timeout`` seconds, or the sender has left.
        """
        self._frame = self._image = None
        return self._next(timeout)

    def __iter__(self) -> Iterator[VideoFrame]:
        """Iterate over pictures; ends when the sender has left and all its pictures are read."""
        self._frame = self._image = None
        while True:
            held = [self._next(None)]
            if held[0] is None:
                return
            # Popped as it is handed out: a suspended generator would hold the picture's space.
            yield held.pop()  # type: ignore[misc]

    def images(self) -> "Iterator[np.ndarray[Any, Any]]":
        """Iterate over pictures as arrays."""
        for frame in self:
            ring = self._copy and frame.native_format == frame.format
            held = [frame.array.copy() if ring else frame.array]
            del frame
            yield held.pop()

    def _next(self, timeout: Optional[float]) -> Optional[VideoFrame]:
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            newer = self._take(0.0) if self.newest else None
            frame: Optional[VideoFrame] = ahead if newer is None else newer
        else:
            frame = self._take(timeout)
        if frame is not None:
            self._position = self._position + 1 if frame.number is None else frame.number + 1
            self._pts_ns = frame.pts_ns
        return frame

    def _take(self, timeout: Optional[float]) -> Optional[VideoFrame]:
        """Take a frame out of the ring."""
        end = None if timeout is None else time.monotonic() + timeout
        # No sender has come for a while; the next look tells whether pictures of one are there.
        deserted = False
        while True:
            reader = self._reader
            if reader is None:
                return None
            try:
                frame = self._read(reader, 0.0 if deserted else timeout)
                if frame is not None:
                    return self._described(frame)
                if timeout is not None and not deserted:
                    return None
                deserted = False
            except ClosedException:
                self._ended = True
                return None
            except (WriterDeadException, ReaderDeadException):
                if not self._reconnect:
                    self._ended = True
                    return None
                if isinstance(reader, Reader) and not deserted:
                    # A native successor replaces the metadata of this ring; a legacy one needs a
                    # new ring. Either may send and leave before anybody sees it.
                    deserted = not reader.is_writer_connected(_SUCCESSION_MS)
                elif self._renew(reader, end):
                    deserted = False
                else:
                    return None
            if end is not None:
                timeout = max(0.0, end - time.monotonic())

    def _read(self, reader: Union[Reader, Tap], timeout: Optional[float]) -> Union[Frame, TapFrame, None]:
        if self.newest:
            return reader.latest(timeout)
        return reader.next(timeout) if isinstance(reader, Tap) else reader.read_frame(timeout)

    def _opened(self) -> Union[Reader, Tap]:
        if self._tap:
            return Tap(self.name)
        return Reader(self.name, self._config, newest=self.newest, **self._options)

    def _renew(self, reader: Union[Reader, Tap], end: Optional[float]) -> bool:
        """Make a new ring, or find the one to look at; False if there is none in time."""
        reader.close()
        # Until another thread releases this.
        while self._reader is reader:
            try:
                opened = self._opened()
            except BufferNotFoundException:
                if end is not None and time.monotonic() >= end:
                    return False
                time.sleep(0.05)
            else:
                if self._reader is not reader:
                    opened.close()
                    return False
                self._reader = opened
                return True
        return False

    def _described(self, frame: Union[Frame, TapFrame]) -> VideoFrame:
        known = (self._caps or frame._metadata or b"", frame.size)
        picture = self._picture
        if picture is None or known != self._known:
            picture = self._picture = described(self.name, *known)
            self._known = known
        return VideoFrame(frame, picture, self._wanted)

    def _look(self) -> Optional[Picture]:
        """Return what the pictures are; waits for the first one, which stays the next."""
        if self._picture is None and self._ahead is None and not self._ended:
            self._ahead = self._take(self.timeout)
        return self._picture

    @property
    def width(self) -> int:
        """Pixels of a row. Waits for the first picture; 0 if none comes in time."""
        picture = self._look()
        return 0 if picture is None else picture.width

    @property
    def height(self) -> int:
        """Rows of a picture. Waits for the first picture; 0 if none comes in time."""
        picture = self._look()
        return 0 if picture is None else picture.height

    @property
    def fps(self) -> float:
        """Pictures per second, 0.0 if the sender does not say. Waits for the first picture."""
        picture = self._look()
        return 0.0 if picture is None or picture.rate is None else float(picture.rate)

    @property
    def caps(self) -> Optional[str]:
        """GStreamer's description of the stream, None without a picture. Waits for the first."""
        picture = self._look()
        return None if picture is None else picture.caps

    @property
    def format(self) -> Optional[str]:
        """The pixel format of the arrays. The stream's own waits for the first picture."""
        if self._wanted is not None:
            return self._wanted
        picture = self._look()
        return None if picture is None else picture.format

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """Shape of the arrays, as pims has it. Waits for the first picture."""
        array = self._example().array
        return () if array is None else array[0]

    @property
    def pixel_type(self) -> Any:
        """Type of the arrays' elements, as pims has it. Waits for the first picture."""
        import numpy as np

        return np.dtype(self._example().dtype or "u1").type

    def _example(self) -> Picture:
        """Return what the arrays are."""
        picture = self._look()
        if picture is None:
            raise VideoError(
                f"buffer '{self.name}': no picture within {self.timeout} s that would tell what the arrays are"
            )
        return announced(self._wanted or picture.format, (picture.width, picture.height), None, False)[2]

    def get(self, propId: int) -> float:
        """Return a property by OpenCV's number; 0.0 for those that are not known, as OpenCV does.

        Width, height, rate and code wait for the first picture, at most the reader's timeout. The
        number of frames is -1: a stream has no end.
        """
        if propId == const.CAP_PROP_POS_MSEC:
            return 0.0 if self._pts_ns is None else self._pts_ns / 1e6
        if propId == const.CAP_PROP_POS_FRAMES:
            return float(self._position)
        if propId == const.CAP_PROP_FRAME_WIDTH:
            return float(self.width)
        if propId == const.CAP_PROP_FRAME_HEIGHT:
            return float(self.height)
        if propId == const.CAP_PROP_FPS:
            return self.fps
        if propId == const.CAP_PROP_FOURCC:
            return const.fourcc(self.format or "")
        if propId == const.CAP_PROP_FRAME_COUNT:
            return -1.0
        if propId == const.CAP_PROP_CONVERT_RGB:
            return float(self._wanted == "BGR")
        if propId == const.CAP_PROP_BUFFERSIZE:
            return 1.0 if self.newest else 0.0
        if propId == const.CAP_PROP_READ_TIMEOUT_MSEC:
            return -1.0 if self.timeout is None else self.timeout * 1000
        return 0.0

    def set(self, propId: int, value: float) -> bool:
        """Set a property by OpenCV's number; False for those that cannot be set.

        A ``CAP_PROP_BUFFERSIZE`` of 1 is :attr:`newest`, another one ends it.
        ``CAP_PROP_CONVERT_RGB`` asks for BGR, 0 for the stream's own format.
        ``CAP_PROP_READ_TIMEOUT_MSEC`` is :attr:`timeout`; a negative one waits for ever.
        """
        if propId == const.CAP_PROP_BUFFERSIZE:
            self.newest = value == 1
        elif propId == const.CAP_PROP_CONVERT_RGB:
            self._wanted = "BGR" if value else None
        elif propId == const.CAP_PROP_READ_TIMEOUT_MSEC:
            self.timeout = None if value < 0 else value / 1000
        else:
            return False
        return True

    def getBackendName(self) -> str:
        """Return the name of what reads the pictures."""
        return "ZEROBUFFER"

    def show(self, frames: Optional[int] = None, rate: float = 10.0) -> None:
        """Show the stream in Jupyter, in one place; ends with the stream.

        Args:
            frames: end after so many shown pictures.
            rate: pictures a second.
        """
        try:
            module: Any = import_module("IPython.display")
        except ImportError as error:
            raise ImportError("IPython is not installed: pip install ipython") from error
        handle: Any = None
        shown, due = 0, 0.0
        for frame in self:
            with frame:
                now = time.monotonic()
                if now >= due:
                    handle = (
                        module.display(frame, display_id=True) if handle is None else handle.update(frame) or handle
                    )
                    shown, due = shown + 1, now + 1 / rate
            if frames is not None and shown >= frames:
                return

    def release(self) -> None:
        """Remove the buffer; pictures in hand stay valid. May be repeated."""
        self._frame = self._image = self._ahead = None
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def close(self) -> None:
        """As :meth:`release`."""
        self.release()

    def __del__(self) -> None:
        if "_reader" in self.__dict__:
            self.release()

    def __repr__(self) -> str:
        if not self.isOpened():
            return "<VideoReader, closed>"
        return f"<VideoReader '{self.name}', {self._picture or 'no picture yet'}>"
