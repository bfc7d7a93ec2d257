"""Pictures to and from PyAV."""

from fractions import Fraction
from typing import TYPE_CHECKING, Any, Optional

from ._picture import Picture, VideoError

if TYPE_CHECKING:
    import numpy as np

_NANOSECOND = Fraction(1, 10**9)
#: FFmpeg's names of our formats.
_NAMES = {
    "I420": "yuv420p",
    "YV12": "yuv420p",
    "YUY2": "yuyv422",
    "UYVY": "uyvy422",
    "YVYU": "yvyu422",
    "AYUV": "ayuv",
    "VUYA": "vuya",
    "RGBx": "rgb0",
    "BGRx": "bgr0",
    "xRGB": "0rgb",
    "xBGR": "0bgr",
    "RGBA": "rgba",
    "BGRA": "bgra",
    "ARGB": "argb",
    "ABGR": "abgr",
    "RGB": "rgb24",
    "BGR": "bgr24",
    "Y41B": "yuv411p",
    "Y42B": "yuv422p",
    "Y444": "yuv444p",
    "YUV9": "yuv410p",
    "YVU9": "yuv410p",
    "NV12": "nv12",
    "NV21": "nv21",
    "NV16": "nv16",
    "NV24": "nv24",
    "GRAY8": "gray",
    "GRAY16_LE": "gray16le",
    "GRAY16_BE": "gray16be",
    "GRAY10_LE16": "gray10le",
    "RGB16": "rgb565le",
    "BGR16": "bgr565le",
    "RGB15": "rgb555le",
    "BGR15": "bgr555le",
    "A420": "yuva420p",
    "A422": "yuva422p",
    "A444": "yuva444p",
    "GBR": "gbrp",
    "GBRA": "gbrap",
    "RGBP": "gbrp",
    "BGRP": "gbrp",
    "AYUV64": "ayuv64le",
    "RGBA64_LE": "rgba64le",
    "RGBA64_BE": "rgba64be",
    "BGRA64_LE": "bgra64le",
    "BGRA64_BE": "bgra64be",
    "BGR10A2_LE": "x2rgb10le",
    "RGB10A2_LE": "x2bgr10le",
    "Y210": "y210le",
    "Y212_LE": "y212le",
    "P010_10LE": "p010le",
    "P010_10BE": "p010be",
    "P012_LE": "p012le",
    "P012_BE": "p012be",
    "P016_LE": "p016le",
    "P016_BE": "p016be",
}
for _order in ("LE", "BE"):
    _end = _order.lower()
    for _bits in (10, 12):
        _NAMES |= {f"I42{n}_{_bits}{_order}": f"yuv42{n}p{_bits}{_end}" for n in (0, 2)}
        _NAMES |= {f"Y444_{_bits}{_order}": f"yuv444p{_bits}{_end}", f"GBR_{_bits}{_order}": f"gbrp{_bits}{_end}"}
        _NAMES |= {f"GBRA_{_bits}{_order}": f"gbrap{_bits}{_end}"}
    _NAMES |= {f"A4{n}_10{_order}": f"yuva4{n}p10{_end}" for n in (20, 22, 44)}
    _NAMES[f"Y444_16{_order}"] = f"yuv444p16{_end}"
#: Which of our planes FFmpeg's come from, where the order differs.
_ORDER = {"YV12": (0, 2, 1), "YVU9": (0, 2, 1), "RGBP": (1, 2, 0), "BGRP": (1, 0, 2)}
#: What PyAV makes a frame of without a copy.
_ADOPTED = ("rgb24", "bgr24", "rgba", "bgra", "gray", "yuv420p", "nv12")
#: FFmpeg's numbers of a matrix, by GStreamer's.
_SPACES = {2: 4, 3: 1, 4: 5, 5: 7, 6: 9}
_LIMITED, _FULL = 1, 2


def knows(format: str) -> bool:
    """Tell whether FFmpeg has a name for a format."""
    return format in _NAMES


def load() -> Any:
    """Import PyAV."""
    try:
        import av
    except ImportError as error:
        raise ImportError("PyAV is not installed: pip install av") from error
    return av


def frame_of(picture: Picture, flat: Any, pts_ns: Optional[int], copy: bool) -> Any:
    """Make a frame of PyAV, of the ring's memory where PyAV can adopt it, unless to copy."""
    av = load()
    name = _NAMES.get(picture.format)
    if name is None:
        raise VideoError(f"FFmpeg has no format for {picture.format} pictures")
    rows = (
        None
        if copy or picture.array is None or name not in _ADOPTED or picture.format in _ORDER
        else picture.view(flat)
    )
    if rows is not None and rows.flags.c_contiguous:
        made = av.VideoFrame.from_numpy_buffer(rows, format=name)
    else:
        made = av.VideoFrame(picture.width, picture.height, name)
        order = _ORDER.get(picture.format, range(len(picture.planes)))
        for plane, index in zip(made.planes, order):
            theirs = _rows_of(plane, picture, index)
            theirs[...] = _bytes_of(flat, picture, index)
    if picture.format in ("GRAY8", "GRAY16_LE", "GRAY16_BE") or picture.colours[0] in _SPACES:
        made.colorspace = _SPACES.get(picture.colours[0], 2)
        made.color_range = _FULL if picture.colours[1] else _LIMITED
    if pts_ns is not None and pts_ns < 2**63:
        made.pts, made.time_base = pts_ns, _NANOSECOND
    return made


def fill(flat: Any, picture: Picture, frame: Any) -> None:
    """Copy a frame of PyAV to where a picture's planes lie."""
    order = _ORDER.get(picture.format, range(len(picture.planes)))
    for plane, index in zip(frame.planes, order):
        _bytes_of(flat, picture, index)[...] = _rows_of(plane, picture, index)


def check(name: str, picture: Picture, frame: Any) -> None:
    """Raise VideoError unless a frame of PyAV has the format and size of a stream's pictures."""
    found = (frame.format.name, frame.width, frame.height)
    if found != (_NAMES.get(picture.format), picture.width, picture.height):
        raise VideoError(
            f"buffer '{name}' carries {picture}, the picture is {found[0]} {found[1]} x {found[2]}: "
            f"reformat it to {_NAMES.get(picture.format)} {picture.width} x {picture.height}"
        )


def nanoseconds(frame: Any) -> Optional[int]:
    """Return the time of a frame of PyAV."""
    if frame.pts is None or frame.time_base is None or frame.pts < 0:
        return None
    return int(frame.pts * Fraction(frame.time_base) * 10**9)


def converted(picture: Picture, flat: Any, wanted: Picture) -> "np.ndarray[Any, Any]":
    """Convert a picture with PyAV: one array, or all planes behind one another."""
    import numpy as np

    source = frame_of(picture, flat, None, copy=False)
    space, full = picture.colours
    options: dict[str, Any] = {"format": _NAMES[wanted.format]}
    if space in _SPACES:
        options |= {"src_colorspace": _SPACES[space], "src_color_range": _FULL if full else _LIMITED}
    if wanted.colours[0] in _SPACES:
        # As the metadata of such pictures would be read.
        options |= {
            "dst_colorspace": _SPACES[wanted.colours[0]],
            "dst_color_range": _FULL if wanted.colours[1] else _LIMITED,
        }
    result = source.reformat(**options)
    last = wanted.planes[-1]
    made = np.empty(last.offset + last.stride * last.rows, np.uint8)
    fill(made, wanted, result)
    return made if wanted.array is None else wanted.view(made)


def _bytes_of(flat: Any, picture: Picture, index: int) -> "np.ndarray[Any, Any]":
    import numpy as np

    offset, stride, row, rows = picture.planes[index]
    return np.ndarray((rows, row), np.uint8, flat, offset, (stride, 1))


def _rows_of(plane: Any, picture: Picture, index: int) -> "np.ndarray[Any, Any]":
    import numpy as np

    _, _, row, rows = picture.planes[index]
    return np.ndarray((rows, row), np.uint8, np.frombuffer(plane, np.uint8), 0, (plane.line_size, 1))
