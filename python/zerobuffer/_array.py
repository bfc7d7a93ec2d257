"""Frames as NumPy arrays, in the shape that the buffer's metadata describes."""

import json
import logging
import math
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

from ._zerobuffer import Frame

if TYPE_CHECKING:
    import numpy as np

logger = logging.getLogger("zerobuffer.reader")

#: GStreamer's formats of packed video: bytes per component, components per pixel.
_PACKED = {
    "GRAY8": ("|u1", 1),
    "GRAY16_LE": ("<u2", 1),
    "GRAY16_BE": (">u2", 1),
    **dict.fromkeys(("RGB", "BGR"), ("|u1", 3)),
    **dict.fromkeys(("RGBA", "BGRA", "ARGB", "ABGR", "RGBx", "BGRx", "xRGB", "xBGR", "AYUV"), ("|u1", 4)),
    **dict.fromkeys(("YUY2", "UYVY", "YVYU"), ("|u1", 2)),
}
#: Formats with a full luma plane and a quarter of each chroma: OpenCV's one array of height * 3 / 2 rows.
_PLANAR = ("I420", "YV12", "NV12", "NV21")
#: GStreamer's formats of audio samples.
_SAMPLE = re.compile(r"([SUF])(8|16|32|64)(LE|BE)?$")


#: Characters of a dtype in a peer's metadata: parsing one takes more than linear time.
_LONGEST_DTYPE = 256


class Layout(NamedTuple):
    """How the bytes of a frame are arranged."""

    shape: tuple[int, ...]
    dtype: str
    #: Bytes of one row if rows are padded.
    stride: Optional[int] = None


def frame_array(frame: Frame, shape: Any, dtype: Any, metadata: Optional[bytes]) -> "np.ndarray[Any, Any]":
    """Return ``frame`` as an array; behind ``Frame.array``."""
    try:
        import numpy as np
    except ImportError as error:
        raise ImportError("frame.array() and DLPack need NumPy 1.20 or newer: pip install numpy") from error
    flat: np.ndarray[Any, Any] = np.asarray(frame)
    layout = None if metadata is None or (shape is not None and dtype is not None) else describe(metadata, frame.size)
    if layout is None:
        array: np.ndarray[Any, Any] = flat if dtype is None else flat.view(dtype)
        return array if shape is None else array.reshape(shape)
    if shape is not None:
        return flat.view(layout.dtype).reshape(shape)
    if dtype is not None:
        array = flat.view(dtype)
        return array
    if layout.stride is not None:
        return np.ndarray(layout.shape, layout.dtype, buffer=flat, strides=_strides(layout.stride, layout))
    return flat.view(layout.dtype).reshape(layout.shape)


def bytes_of_array(data: Any) -> "np.ndarray[Any, Any]":
    """Return the bytes of an array-like object (Series, tensor, picture) in C order; behind what takes bytes."""
    kind = type(data).__name__
    try:
        import numpy as np
    except ImportError as error:
        raise TypeError(f"the bytes of '{kind}' are read by NumPy: pip install numpy") from error
    array: np.ndarray[Any, Any]
    array = np.asarray(data) if isinstance(data, np.ndarray) else _as_array(data)
    if array.dtype.hasobject:
        raise TypeError(
            f"the items of '{kind}' are Python objects (dtype {array.dtype}), whose bytes are addresses: "
            "convert them first, as with astype()"
        )
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def _as_array(data: Any) -> "np.ndarray[Any, Any]":
    import numpy as np

    if hasattr(type(data), "__array_interface__") or hasattr(type(data), "__array__"):
        try:
            array: np.ndarray[Any, Any] = np.asarray(data)
            return array
        except Exception:
            # A tensor that NumPy has no type for, or whose library will not convert it.
            if not hasattr(type(data), "__dlpack__"):
                raise
    from_dlpack = getattr(np, "from_dlpack", None)
    if from_dlpack is None:
        raise TypeError(f"'{type(data).__name__}' offers DLPack only, which NumPy reads from 1.23 on")
    taken: np.ndarray[Any, Any] = from_dlpack(data)
    return taken


def size_of(shape: Any, dtype: Any) -> int:
    """Return the bytes of an array; behind ``Writer.loan``."""
    import numpy as np

    kind = np.dtype(dtype)
    if kind.hasobject:
        raise TypeError(f"dtype {kind} is of Python objects, which another process cannot read")
    extents = (shape,) if isinstance(shape, int) else tuple(shape)
    if any(extent < 0 for extent in extents):
        raise ValueError(f"negative extents are not allowed: {shape}")
    return math.prod(extents) * kind.itemsize


def loan_array(view: memoryview, shape: Any, dtype: Any) -> "np.ndarray[Any, Any]":
    """Return a reserved frame as an array; behind ``Loan.array``."""
    import numpy as np

    flat: np.ndarray[Any, Any] = np.frombuffer(view, np.uint8)
    array: np.ndarray[Any, Any] = flat if dtype is None else flat.view(dtype)
    return array if shape is None else array.reshape(shape)


def plain_array(frame: Frame, dtype: Any, copy: Optional[bool]) -> "np.ndarray[Any, Any]":
    """Return the bytes of ``frame`` as NumPy asks for them; behind ``Frame.__array__``."""
    flat = frame_array(frame, None, None, None)
    if dtype is None or flat.dtype == dtype:
        return flat.copy() if copy else flat
    if copy is False:
        raise ValueError(f"elements of type {dtype} cannot be had from bytes without a copy")
    return flat.astype(dtype)


def _strides(stride: int, layout: Layout) -> tuple[int, ...]:
    """Strides of padded rows; the components of a pixel lie together."""
    item = int(layout.dtype[2:])
    return (stride, item) if len(layout.shape) == 2 else (stride, item * layout.shape[2], item)


@lru_cache(maxsize=32)
def describe(metadata: bytes, size: int) -> Optional[Layout]:
    """Read shape and dtype of frames of ``size`` bytes from a metadata block; None if it says nothing about them.

    Understood: a JSON object with ``caps`` (a GStreamer caps string) or with ``shape`` and ``dtype``, and a bare caps
    string.
    """
    try:
        text = metadata.decode().strip("\0 \n")
        fields = json.loads(text) if text.startswith("{") else {"caps": text}
    except (ValueError, RecursionError):
        return None
    layout = _from_fields(fields.get("shape"), fields.get("dtype"))
    caps = fields.get("caps")
    if layout is None and isinstance(caps, str):
        layout = _from_caps(caps, size)
    if (
        layout is None
        and (caps or "shape" in fields or "dtype" in fields)
        and text.startswith(("{", "video/", "audio/"))
    ):
        # Said once for each metadata block: the result is cached.
        logger.warning(
            "The metadata describe frames in a way that is not understood, so array() is flat bytes: "
            "pass shape and dtype. They are %.200r",
            text,
        )
    return layout


def _from_fields(shape: Any, dtype: Any) -> Optional[Layout]:
    """Read ``shape`` and ``dtype`` of a JSON object, which may mean something else by these words."""
    if not isinstance(shape, list) or not isinstance(dtype, str) or len(dtype) > _LONGEST_DTYPE:
        return None
    if not all(type(extent) is int and -1 <= extent < 2**63 for extent in shape) or shape.count(-1) > 1:
        return None
    import numpy as np

    try:
        kind = np.dtype(dtype)
    except (TypeError, ValueError, SyntaxError):
        return None
    # Elements that are addresses, or nothing, are not what lies in a frame.
    return None if kind.hasobject or kind.itemsize == 0 else Layout(tuple(shape), dtype)


def _from_caps(caps: str, size: int) -> Optional[Layout]:
    media, _, rest = caps.partition(",")
    fields = _fields(rest)
    if media.strip() == "video/x-raw":
        return _video(fields, size)
    if media.strip() == "audio/x-raw":
        return _audio(fields)
    return None


def _fields(text: str) -> dict[str, str]:
    """Read `name=(type)value` after `name=(type)value`; the type is optional, a value may be quoted. In linear time."""
    fields = {}
    # What stands between quotes has an odd index: separators in it are no separators.
    parts = text.split('"')
    for index in range(0, len(parts), 2):
        items = parts[index].replace(";", ",").split(",")
        for item in items:
            name, equals, value = item.partition("=")
            value = value.strip()
            if value.startswith("("):
                value = value.partition(")")[2].strip()
            if not equals:
                continue
            if not value and item is items[-1] and index + 1 < len(parts):
                value = parts[index + 1]
            fields[name.strip()] = value.strip()
    return fields


def _video(fields: dict[str, str], size: int) -> Optional[Layout]:
    try:
        width, height, kind = int(fields["width"]), int(fields["height"]), fields["format"]
    except (KeyError, ValueError):
        return None
    if width < 1 or height < 1:
        return None
    if kind in _PLANAR:
        if size != width * height * 3 // 2 or height % 2:
            raise ValueError(_mismatch(size, fields, width * height * 3 // 2))
        return Layout((height * 3 // 2, width), "|u1")
    if kind not in _PACKED:
        return None
    dtype, components = _PACKED[kind]
    shape = (height, width) if components == 1 else (height, width, components)
    row = width * components * int(dtype[2:])
    if size == row * height:
        return Layout(shape, dtype)
    padded = -(-row // 4) * 4
    if size == padded * height:
        return Layout(shape, dtype, padded)
    raise ValueError(_mismatch(size, fields, row * height))


def _mismatch(size: int, fields: dict[str, str], expected: int) -> str:
    return (
        f"the metadata says {fields['width']} x {fields['height']} {fields['format']}, {expected} bytes, "
        f"but the frame has {size}: pass shape and dtype"
    )


def _audio(fields: dict[str, str]) -> Optional[Layout]:
    sample = _SAMPLE.match(fields.get("format", ""))
    if sample is None or fields.get("layout", "interleaved") != "interleaved":
        return None
    kind, bits, order = sample.groups()
    if (kind, bits) == ("F", "8"):
        return None
    channels = fields.get("channels", "1")
    if not re.fullmatch("[0-9]{1,5}", channels) or int(channels) == 0:
        return None
    prefix = "|" if bits == "8" else {"LE": "<", "BE": ">", None: "="}[order]
    dtype = prefix + {"S": "i", "U": "u", "F": "f"}[kind] + str(int(bits) // 8)
    return Layout((-1,) if int(channels) == 1 else (-1, int(channels)), dtype)
