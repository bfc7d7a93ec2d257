"""Other pixel formats, by OpenCV where it has them, else by PyAV.

Neither is needed for the stream's own format.
"""

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Optional

from . import _av
from ._picture import Picture, VideoError, announced

if TYPE_CHECKING:
    import numpy as np

#: Formats of one byte for each of the named components; x is a byte without meaning.
_PACKED = ("RGB", "BGR", "RGBA", "BGRA", "ARGB", "ABGR", "RGBx", "BGRx", "xRGB", "xBGR", "RBGA")
#: Part of the names of OpenCV's conversions from BT.601 in limited range.
_CV2_YUV = {
    "I420": "I420",
    "YV12": "YV12",
    "NV12": "NV12",
    "NV21": "NV21",
    "YUY2": "YUY2",
    "UYVY": "UYVY",
    "YVYU": "YVYU",
}
#: Where luma and both chroma parts are: planes, or every so many columns of the only one.
_YUV_PLANES = {
    "I420": (1, 2),
    "YV12": (2, 1),
    "Y42B": (1, 2),
    "Y444": (1, 2),
    "Y41B": (1, 2),
    "YUV9": (1, 2),
    "YVU9": (2, 1),
}
_YUV_PAIRS = {"NV12": (0, 1), "NV16": (0, 1), "NV24": (0, 1), "NV21": (1, 0), "NV61": (1, 0)}
_YUV_COLUMNS = {"YUY2": (0, 1, 3), "UYVY": (1, 0, 2), "YVYU": (0, 3, 1), "VYUY": (1, 2, 0)}
#: Shares of red and blue in luma, by GStreamer's number of the matrix.
_MATRICES = {2: (0.30, 0.11), 3: (0.2126, 0.0722), 4: (0.299, 0.114), 5: (0.212, 0.087), 6: (0.2627, 0.0593)}
_BT601_LIMITED = (4, False)


@cache
def optional(module: str) -> Any:
    """Import a package that need not be there; None if it is not."""
    try:
        return import_module(module)
    except ImportError:
        return None


def convert(picture: Picture, flat: Any, target: str) -> "np.ndarray[Any, Any]":
    """Return a frame's picture in another pixel format, as an array of its own.

    VideoError if the formats are not known or nothing that is installed converts them; it names the
    remedy.
    """
    wanted = announced(target, (picture.width, picture.height), None, False)[2]
    if wanted.format == "GRAY8" and picture.dtype == "|u1" and picture.format in {**_YUV_PLANES, **_YUV_PAIRS}:
        # Luma is the gray picture, in OpenCV and in GStreamer.
        return picture.plane_views(flat)[0].copy()
    cv2, av = optional("cv2"), optional("av")
    found = None
    if cv2 is not None:
        found = _by_cv2(cv2, picture, flat, target)
    if found is None and picture.format in _PACKED and target in _PACKED:
        found = _reordered(picture, flat, target)
    if found is None and av is not None and _av.knows(picture.format) and _av.knows(target):
        found = _av.converted(picture, flat, wanted)
    if found is None:
        both = _av.knows(picture.format) and _av.knows(target)
        remedy = (
            "pip install av"
            if both
            else f"read {picture.format} and convert it yourself, or have the sender convert it"
        )
        if both and cv2 is None:
            remedy = "pip install opencv-python-headless, or pip install av"
        there = " and ".join(name for name, module in (("OpenCV", cv2), ("PyAV", av)) if module is not None)
        does = f"{there} cannot convert" if there else "neither OpenCV nor PyAV is installed to convert"
        raise VideoError(f"{does} {picture} to {target}: {remedy}")
    return found


def _by_cv2(cv2: Any, picture: Picture, flat: Any, target: str) -> "Optional[np.ndarray[Any, Any]]":
    """Convert with OpenCV; None if it does not know this pair."""
    end = {"GRAY8": "GRAY", "RGBx": "RGBA", "BGRx": "BGRA"}.get(target, target)
    if end not in ("BGR", "RGB", "BGRA", "RGBA", "GRAY"):
        return None
    if picture.format in (*_PACKED, "GRAY8"):
        start = {"GRAY8": "GRAY", "RGBx": "RGBA", "BGRx": "BGRA"}.get(picture.format, picture.format)
        code = getattr(cv2, f"COLOR_{start}2{end}", None)
        found: Optional[np.ndarray[Any, Any]] = None if code is None else cv2.cvtColor(picture.view(flat), code)
        return found
    if end == "GRAY":
        return None
    kind = _CV2_YUV.get(picture.format)
    even = picture.width % 2 == 0 and picture.height % 2 == 0
    if kind is not None and even and picture.array is not None and picture.colours == _BT601_LIMITED:
        rows = picture.view(flat)
        tight = rows if rows.flags.c_contiguous or kind in ("YUY2", "UYVY", "YVYU") else rows.copy()
        found = cv2.cvtColor(tight, getattr(cv2, f"COLOR_YUV2{end}_{kind}"))
        return found
    return _by_matrix(cv2, picture, flat, end)


def _yuv(picture: Picture, flat: Any) -> Optional[tuple[Any, Any, Any]]:
    planes = picture.plane_views(flat)
    if picture.format in _YUV_PLANES:
        u, v = _YUV_PLANES[picture.format]
        return planes[0], planes[u], planes[v]
    if picture.format in _YUV_PAIRS:
        u, v = _YUV_PAIRS[picture.format]
        return planes[0], planes[1][:, u::2], planes[1][:, v::2]
    if picture.format in _YUV_COLUMNS and picture.width % 2 == 0:
        y, u, v = _YUV_COLUMNS[picture.format]
        rows = (
            planes[0].reshape(picture.height, -1)
            if planes[0].flags.c_contiguous
            else planes[0].copy().reshape(picture.height, -1)
        )
        return rows[:, y % 2 :: 2], rows[:, u::4], rows[:, v::4]
    return None


def _by_matrix(cv2: Any, picture: Picture, flat: Any, end: str) -> "Optional[np.ndarray[Any, Any]]":
    """Convert with the right matrix: OpenCV's own functions know BT.601 in limited range only."""
    import numpy as np

    matrix, full = picture.colours
    parts = _yuv(picture, flat)
    if parts is None or matrix not in _MATRICES or picture.dtype != "|u1":
        return None
    size = (picture.width, picture.height)
    y, u, v = (cv2.resize(np.ascontiguousarray(part), size, interpolation=cv2.INTER_LINEAR) for part in parts)
    kr, kb = _MATRICES[matrix]
    kg = 1 - kr - kb
    luma, chroma, black = (1.0, 1.0, 0.0) if full else (255 / 219, 255 / 224, 16.0)
    red = np.array([luma, 0, 2 * (1 - kr) * chroma])
    blue = np.array([luma, 2 * (1 - kb) * chroma, 0])
    green = np.array([luma, -2 * kb * (1 - kb) / kg * chroma, -2 * kr * (1 - kr) / kg * chroma])
    rows = np.array({"R": [red, green, blue], "B": [blue, green, red]}[end[0]])
    shift = rows @ np.array([-black, -128.0, -128.0])
    coloured: np.ndarray[Any, Any] = cv2.transform(cv2.merge((y, u, v)), np.column_stack((rows, shift)))
    if end.endswith("A"):
        coloured = cv2.cvtColor(coloured, cv2.COLOR_BGR2BGRA)
    return coloured


def _reordered(picture: Picture, flat: Any, target: str) -> "np.ndarray[Any, Any]":
    """Put components into another order."""
    import numpy as np

    rows = picture.view(flat)
    result = np.full((*rows.shape[:2], len(target)), 255, np.uint8)
    for index, component in enumerate(target):
        if component != "x" and component in picture.format:
            result[..., index] = rows[..., picture.format.index(component)]
    return result
