"""How the pictures of a stream lie in its frames, as the compiled module reads the metadata."""

from fractions import Fraction
from functools import lru_cache
from struct import Struct
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

from .._zerobuffer import _announce, _picture
from ..exceptions import ZeroBufferException

if TYPE_CHECKING:
    import numpy as np

#: Number, time in nanoseconds, exposure in microseconds.
STAMP = Struct("<QQQ")
#: What stands in a stamp for a value that is not there.
NONE = 2**64 - 1


class VideoError(ZeroBufferException, ValueError):
    """A frame is not what its metadata describe, or a picture is not what the stream carries."""


def require_numpy() -> None:
    """Raise ImportError, with the remedy, without NumPy."""
    try:
        import numpy  # noqa: F401
    except ImportError as error:
        raise ImportError("zerobuffer.video needs NumPy 1.20 or newer: pip install numpy") from error


class Plane(NamedTuple):
    """Where the rows of a plane lie in a frame, in bytes."""

    offset: int
    stride: int
    row: int
    rows: int


class Picture(NamedTuple):
    """What the pictures of a stream are, and where they lie in frames of one size."""

    format: str
    width: int
    height: int
    rate: Optional[Fraction]
    caps: str
    #: GStreamer's number of the matrix (3 is BT.709, 4 is BT.601), and whether values fill their
    #: range.
    colours: tuple[int, bool]
    #: Type of the samples; None for packed ones.
    dtype: Optional[str]
    #: Samples side by side that make a pixel; None for several planes and for packed ones.
    components: Optional[int]
    stamped: bool
    planes: tuple[Plane, ...]
    #: Shape, type, strides and offset of the one array that the picture is; None if it is no one
    #: array.
    array: Optional[tuple[tuple[int, ...], str, Optional[tuple[int, ...]], int]]

    def __str__(self) -> str:
        return f"{self.format} {self.width} x {self.height}"

    def view(self, flat: Any) -> "np.ndarray[Any, Any]":
        """Return the picture in a frame's bytes as one array."""
        import numpy as np

        if self.array is None:
            raise VideoError(f"{self} pictures are no one array: use the frame's 'planes'")
        shape, dtype, strides, offset = self.array
        return np.ndarray(shape, dtype, flat, offset, strides)

    def plane_views(self, flat: Any) -> "list[np.ndarray[Any, Any]]":
        """Return the planes in a frame's bytes: rows of samples or of pixels."""
        import numpy as np

        dtype = np.dtype(self.dtype or "u1")
        count = self.components or 1
        pixel = count * dtype.itemsize
        views = []
        for offset, stride, row, rows in self.planes:
            shape: tuple[int, ...] = (rows, row // pixel)
            strides: tuple[int, ...] = (stride, pixel)
            if count > 1:
                shape, strides = (*shape, count), (*strides, dtype.itemsize)
            views.append(np.ndarray(shape, dtype, flat, offset, strides))
        return views

    def views(self, form: str, flat: Any) -> "list[np.ndarray[Any, Any]]":
        """Return the picture in a frame's bytes, as ``array``, ``planes`` or ``bytes``."""
        if form == "planes":
            return self.plane_views(flat)
        return [self.view(flat) if form == "array" else flat[STAMP.size if self.stamped else 0 :]]

    def forms(self, size: int) -> "dict[str, list[tuple[tuple[int, ...], np.dtype[Any]]]]":
        """Return shape and type of each view of a frame of ``size`` bytes."""
        import numpy as np

        blank = np.empty(size, np.uint8)
        forms = ["planes", "bytes"] if self.array is None else ["array", "planes", "bytes"]
        return {form: [(view.shape, view.dtype) for view in self.views(form, blank)] for form in forms}


def _made(found: dict[str, Any]) -> Picture:
    rate, array = found["rate"], found["array"]
    if array is not None:
        shape, dtype, strides, offset = array
        array = (tuple(shape), dtype, None if strides is None else tuple(strides), offset)
    return Picture(
        found["format"],
        found["width"],
        found["height"],
        None if rate is None else Fraction(*rate),
        found["caps"],
        found["colours"],
        found["dtype"],
        found["components"],
        found["stamped"],
        tuple(Plane(*plane) for plane in found["planes"]),
        array,
    )


@lru_cache(maxsize=64)
def described(name: str, metadata: bytes, size: int) -> Picture:
    """Read what a frame of ``size`` bytes is; VideoError, with the numbers, if it is no picture."""
    try:
        found = _picture(metadata, size)
    except ValueError as error:
        raise VideoError(f"buffer '{name}': {error}") from None
    if found is None:
        said = (
            f"its metadata describe no raw pictures: {metadata[:120]!r}" if metadata else "its sender wrote no metadata"
        )
        raise VideoError(
            f"buffer '{name}': a frame of {size} bytes came, and {said}. Have the sender announce its caps, or say "
            "caps='video/x-raw, format=(string)BGR, width=(int)640, height=(int)480'"
        )
    return _made(found)


@lru_cache(maxsize=64)
def announced(
    format: str, size: tuple[int, int], rate: Optional[Fraction], stamped: bool
) -> tuple[bytes, int, Picture]:
    """Return metadata for tight rows, the bytes of a frame, and where a picture lies in it."""
    numbers = None if rate is None else (rate.numerator, rate.denominator)
    try:
        metadata, length, found = _announce(format, size, numbers, stamped)
    except (ValueError, OverflowError) as error:
        raise VideoError(str(error)) from None
    if found is None:
        raise VideoError(f"{format} is no format of raw pictures")
    return metadata, length, _made(found)


def stamp_value(value: int) -> Optional[int]:
    """Return a number of a stamp; None if it stands for none."""
    return None if value == NONE else value
