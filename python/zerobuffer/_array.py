"""Frames as NumPy arrays, in the shape that the buffer's metadata describes."""

import json
import logging
import math
import operator
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

from ._zerobuffer import _describe

if TYPE_CHECKING:
    import numpy as np

logger = logging.getLogger("zerobuffer.reader")

#: Bytes of a stamp in front of the elements.
_STAMP = 24
#: Characters of a dtype in a peer's metadata: parsing one takes more than linear time.
_LONGEST_DTYPE = 256


class Layout(NamedTuple):
    """How the bytes of a frame are arranged."""

    shape: tuple[int, ...]
    dtype: str
    #: Bytes from one element to the next in each dimension; None if nothing lies between them.
    strides: Optional[tuple[int, ...]] = None
    #: The byte of the frame at which the first element is: behind the stamp, if there is one.
    offset: int = 0


def frame_array(frame: Any, shape: Any, dtype: Any, metadata: Optional[bytes]) -> "np.ndarray[Any, Any]":
    """Return the bytes of a frame as an array; behind ``Frame.array`` and ``TapFrame.array``."""
    try:
        import numpy as np
    except ImportError as error:
        raise ImportError("frame.array() and DLPack need NumPy 1.20 or newer: pip install numpy") from error
    flat: np.ndarray[Any, Any] = np.asarray(frame)
    layout = None if metadata is None or (shape is not None and dtype is not None) else describe(metadata, flat.nbytes)
    if layout is None:
        array: np.ndarray[Any, Any] = flat if dtype is None else flat.view(dtype)
        return array if shape is None else array.reshape(shape)
    if shape is not None:
        return flat.view(layout.dtype).reshape(shape)
    if dtype is not None:
        array = flat.view(dtype)
        return array
    return _arranged(flat, layout)


def _arranged(flat: "np.ndarray[Any, Any]", layout: Layout) -> "np.ndarray[Any, Any]":
    import numpy as np

    if layout.strides is not None:
        return np.ndarray(layout.shape, layout.dtype, buffer=flat, offset=layout.offset, strides=layout.strides)
    array: np.ndarray[Any, Any] = flat[layout.offset :].view(layout.dtype).reshape(layout.shape)
    return array


def described(frame: Any, metadata: bytes) -> "Optional[np.ndarray[Any, Any]]":
    """Return the bytes of a frame as the metadata say, or None; behind its buffer."""
    try:
        import numpy as np
    except ImportError:
        return None
    flat: np.ndarray[Any, Any] = np.asarray(frame)
    layout = describe(metadata, flat.nbytes)
    return None if layout is None else _arranged(flat, layout)


def bytes_of_array(data: Any) -> "np.ndarray[Any, Any]":
    """Return the bytes of an array-like object (Series, tensor, picture) in C order."""
    kind = type(data).__name__
    try:
        import numpy as np
    except ImportError as error:
        raise TypeError(f"the bytes of '{kind}' are read by NumPy: pip install numpy") from error
    array: np.ndarray[Any, Any]
    array = np.asarray(data) if isinstance(data, np.ndarray) else _as_array(data)
    return np.ascontiguousarray(_checked(array, kind)).reshape(-1).view(np.uint8)


def _checked(array: "np.ndarray[Any, Any]", kind: str) -> "np.ndarray[Any, Any]":
    if array.dtype.hasobject:
        raise TypeError(
            f"the items of '{kind}' are Python objects (dtype {array.dtype}), whose bytes are addresses: "
            "convert them first, as with astype()"
        )
    return array


#: By what an object says that it is an array.
_ARRAYS = ("__array_interface__", "__array__", "__dlpack__")


def taken_array(data: Any) -> "np.ndarray[Any, Any]":
    """Return what is to be written as an array; behind ``Writer.write_array``."""
    kind = type(data).__name__
    if isinstance(data, (str, int, float, complex, dict, set, frozenset)) or data is None:
        raise TypeError(f"an array is required, not '{kind}'")
    try:
        import numpy as np
    except ImportError as error:
        raise ImportError("write_array() needs NumPy 1.20 or newer: pip install numpy") from error
    if isinstance(data, (np.ndarray, list, tuple)):
        return _checked(np.asarray(data), kind)
    if not any(hasattr(type(data), protocol) for protocol in _ARRAYS):
        try:
            data = memoryview(data)
        except TypeError:
            raise TypeError(f"an array is required, not '{kind}'") from None
        return _checked(np.asarray(data), kind)
    return _checked(_as_array(data), kind)


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
    extents = tuple(map(operator.index, (shape,) if hasattr(type(shape), "__index__") else shape))
    if any(extent < 0 for extent in extents):
        raise ValueError(f"negative extents are not allowed: {shape}")
    count: int = math.prod(extents)
    itemsize: int = kind.itemsize
    return count * itemsize


def loan_array(view: memoryview, shape: Any, dtype: Any) -> "np.ndarray[Any, Any]":
    """Return a reserved frame as an array; behind ``Loan.array``."""
    import numpy as np

    flat: np.ndarray[Any, Any] = np.frombuffer(view, np.uint8)
    array: np.ndarray[Any, Any] = flat if dtype is None else flat.view(dtype)
    return array if shape is None else array.reshape(shape)


def converted(array: "np.ndarray[Any, Any]", dtype: Any, copy: Optional[bool]) -> "np.ndarray[Any, Any]":
    """Return an array as NumPy asks for it; behind ``Frame.__array__``."""
    if dtype is None or array.dtype == dtype:
        return array.copy() if copy else array
    if copy is False:
        raise ValueError(f"elements of type {dtype} cannot be had from {array.dtype} without a copy")
    return array.astype(dtype)


@lru_cache(maxsize=32)
def describe(metadata: bytes, size: int) -> Optional[Layout]:
    """Read shape and dtype of frames of ``size`` bytes from a metadata block, or None.

    Understood are a JSON object with ``shape`` and ``dtype``, and what docs/video.md describes.
    That is JSON with a GStreamer caps string, strides and stamps, or a bare caps string. None if
    the block says nothing about them. ValueError if they contradict the frame or themselves.
    """
    try:
        text = metadata.decode().strip("\0 \n")
        fields = json.loads(text) if text.startswith("{") else {"caps": text}
    except (ValueError, RecursionError):
        return None
    layout = _from_fields(fields.get("shape"), fields.get("dtype"), fields.get("frame_prefix"))
    caps = fields.get("caps")
    found = _describe(metadata, size) if layout is None else None
    if found is not None:
        shape, dtype, strides, offset = found
        layout = Layout(tuple(shape), dtype, None if strides is None else tuple(strides), offset)
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


def _from_fields(shape: Any, dtype: Any, prefix: Any) -> Optional[Layout]:
    """Read ``shape`` and ``dtype`` of a JSON object, if it means them by these words."""
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
    if kind.hasobject or kind.itemsize == 0:
        return None
    return Layout(tuple(shape), dtype, None, _STAMP if prefix == _STAMP else 0)
