"""OpenCV's numbers for what ``get`` and ``set`` know: they need no OpenCV."""

CAP_PROP_POS_MSEC = 0
CAP_PROP_POS_FRAMES = 1
CAP_PROP_FRAME_WIDTH = 3
CAP_PROP_FRAME_HEIGHT = 4
CAP_PROP_FPS = 5
CAP_PROP_FOURCC = 6
CAP_PROP_FRAME_COUNT = 7
CAP_PROP_CONVERT_RGB = 16
CAP_PROP_BUFFERSIZE = 38
CAP_PROP_READ_TIMEOUT_MSEC = 54

#: OpenCV's codes of raw pictures whose names here are no codes themselves.
_FOURCC = {"BGR": "BGR3", "RGB": "RGB3", "GRAY8": "GREY", "BGRA": "BGR4", "RGBA": "RGB4"}


def fourcc(name: str) -> float:
    """Return the four-character code of a pixel format as OpenCV's number, 0 if it has none."""
    code = _FOURCC.get(name, name).encode()
    return float(int.from_bytes(code, "little")) if len(code) == 4 else 0.0
