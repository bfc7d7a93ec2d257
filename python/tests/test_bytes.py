"""What may be written: any buffer by its bytes, copied once. The rest is refused whole."""

import array
import ctypes
import mmap
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from zerobuffer import InvalidFrameSizeException, Reader, Writer


def sent(reader: Reader, writer: Writer, data: Any) -> bytes:
    writer.write_frame(data)
    frame = reader.read_frame(timeout=5.0)
    assert frame is not None
    return bytes(frame)


class WithBytes:
    def __bytes__(self) -> bytes:
        return b"from __bytes__"


def _mmap() -> mmap.mmap:
    area = mmap.mmap(-1, 4096)
    area[:5] = b"paged"
    return area


CONTIGUOUS: dict[str, Callable[[], Any]] = {
    "bytes": lambda: b"plain",
    "bytes subclass": lambda: type("Sub", (bytes,), {})(b"sub"),
    "bytearray": lambda: bytearray(b"mutable"),
    "memoryview": lambda: memoryview(b"view"),
    "read-only memoryview": lambda: memoryview(bytearray(b"view")).toreadonly(),
    "memoryview of doubles": lambda: memoryview(array.array("d", [1.5, -2.0])),
    "memoryview, two dimensions": lambda: memoryview(bytes(range(24))).cast("B", (4, 6)),
    "memoryview, three dimensions of shorts": lambda: memoryview(bytes(range(48))).cast("B").cast("H", (2, 3, 4)),
    "memoryview of bool": lambda: memoryview(b"\1\0\1").cast("?"),
    "array of longs": lambda: array.array("l", [1, 2, -3]),
    "ctypes array": lambda: (ctypes.c_uint16 * 3)(1, 2, 65535),
    "ctypes structure": lambda: type(
        "S", (ctypes.Structure,), {"_fields_": [("a", ctypes.c_int), ("b", ctypes.c_char)]}
    )(7, b"x"),
    "mmap": _mmap,
    "float32 array": lambda: np.arange(1000, dtype=np.float32),
    "2-D array": lambda: np.arange(20, dtype=np.uint8).reshape(4, 5),
    "big-endian array": lambda: np.arange(5, dtype=">i8"),
    "structured array": lambda: np.zeros(3, dtype=[("a", "u1"), ("b", "f4")]),
    "complex array": lambda: np.ones(4, dtype=np.complex128),
    "scalar array": lambda: np.array(7, dtype=np.int32),
    "read-only array": lambda: np.frombuffer(b"abcdef", dtype=np.uint8),
}

STRIDED: dict[str, Callable[[], Any]] = {
    "every second byte": lambda: memoryview(bytes(range(100)))[::2],
    "backwards": lambda: memoryview(bytes(range(100)))[::-1],
    "column": lambda: np.arange(20, dtype=np.int32).reshape(4, 5)[:, 2],
    "transposed": lambda: np.arange(24, dtype=np.uint16).reshape(4, 6).T,
    "Fortran order": lambda: np.asfortranarray(np.arange(24, dtype=np.float64).reshape(2, 3, 4)),
    "crop of an image": lambda: np.arange(3000, dtype=np.uint8).reshape(20, 50, 3)[5:15, 10:40],
    "large": lambda: np.arange(30_000, dtype=np.uint16)[::2],
}


@pytest.mark.parametrize("kind", CONTIGUOUS)
def test_any_contiguous_buffer(reader: Reader, writer: Writer, kind: str) -> None:
    data = CONTIGUOUS[kind]()
    assert sent(reader, writer, data) == memoryview(data).tobytes()


@pytest.mark.parametrize("kind", STRIDED)
def test_any_layout(reader: Reader, writer: Writer, kind: str) -> None:
    data = STRIDED[kind]()
    assert not memoryview(data).c_contiguous
    assert sent(reader, writer, data) == memoryview(data).tobytes()
    assert writer.frames_written == 1


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ([1, 2, 255], b"\1\2\xff"),
        ((7,), b"\7"),
        (range(3), b"\0\1\2"),
        (iter([9, 8]), b"\t\x08"),
        (WithBytes(), b"from __bytes__"),
    ],
)
def test_what_is_copied_as_before(reader: Reader, writer: Writer, data: Any, expected: bytes) -> None:
    assert sent(reader, writer, data) == expected


@pytest.mark.parametrize("wrong", ["text", 5, True, None, 1.5, object(), 3 + 4j])
def test_wrong_types(reader: Reader, writer: Writer, wrong: Any) -> None:
    with pytest.raises(TypeError):
        writer.write_frame(wrong)
    with pytest.raises(TypeError):
        writer.set_metadata(wrong)
    assert (writer.frames_written, writer.utilization) == (0, 0.0)
    assert reader.get_metadata() is None
    assert sent(reader, writer, b"usable") == b"usable"


@pytest.mark.parametrize(("wrong", "error"), [([256], ValueError), (["a"], TypeError), ([1, None], TypeError)])
def test_wrong_items(reader: Reader, writer: Writer, wrong: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        writer.write_frame(wrong)
    assert (writer.frames_written, writer.utilization) == (0, 0.0)
    assert sent(reader, writer, b"usable") == b"usable"


@pytest.mark.parametrize(
    "empty", [b"", bytearray(), [], memoryview(b""), np.zeros(0), np.zeros((3, 0)), memoryview(b"ab")[::-2][:0]]
)
def test_empty(writer: Writer, empty: Any) -> None:
    with pytest.raises(InvalidFrameSizeException):
        writer.write_frame(empty)
    assert writer.frames_written == 0


def test_released_memoryview(writer: Writer) -> None:
    view = memoryview(b"gone")
    view.release()
    with pytest.raises(ValueError, match="released"):
        writer.write_frame(view)
    assert writer.frames_written == 0


@pytest.mark.parametrize("kind", ["float32 array", "2-D array", "bytearray", "array of longs"])
def test_metadata_by_bytes(reader: Reader, writer: Writer, kind: str) -> None:
    data = CONTIGUOUS[kind]()
    if memoryview(data).nbytes > 1016:
        data = data[:10]
    writer.set_metadata(data)
    metadata = reader.get_metadata()
    assert metadata is not None
    assert metadata.tobytes() == memoryview(data).tobytes()


def test_strided_metadata(reader: Reader, writer: Writer) -> None:
    writer.set_metadata(np.arange(24, dtype=np.uint16).reshape(4, 6).T)
    metadata = reader.get_metadata()
    assert metadata is not None
    assert metadata.tobytes() == np.arange(24, dtype=np.uint16).reshape(4, 6).T.tobytes()


def test_frames_are_forwarded_without_a_detour(name: str, reader: Reader, writer: Writer) -> None:
    """The data of a received frame, and a frame itself, can be written on."""
    with Reader(f"{name}-2") as second, Writer(f"{name}-2") as onward:
        writer.write_frame(b"relay")
        frame = reader.read_frame()
        assert frame is not None
        onward.write_frame(frame.data)
        onward.write_frame(memoryview(frame))
        onward.write_frame(frame)
        for _ in range(3):
            assert bytes(second.read_frame() or b"") == b"relay"


def test_the_source_is_not_kept(writer: Writer) -> None:
    data = bytearray(b"growing")
    writer.write_frame(data)
    data.append(1)
    writer.write_frame(memoryview(data)[::2])
    data.append(2)


class Duck:
    """An array-like object that is iterable, as a Series or a tensor is."""

    def __init__(self, array: Any) -> None:
        self._array = array

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return self._array

    def __iter__(self) -> Any:
        return iter(self._array)


class Packed(Duck):
    """One that offers DLPack and nothing else."""

    __array__ = None  # type: ignore[assignment]

    def __dlpack__(self, **options: Any) -> Any:
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)


del Packed.__array__
_DTYPES = [
    "<i8",
    ">f4",
    "c16",
    "?",
    "f2",
    "M8[ns]",
    "m8[s]",
    "S3",
    "U2",
    "V5",
    "i4,f8",
    [("a", "u1"), ("O", "<i2", (2,))],
]


@pytest.mark.parametrize("dtype", _DTYPES, ids=str)
@pytest.mark.parametrize("wrap", ["bare", "duck", "strided", "scalar", "memory"])
def test_any_dtype_by_its_bytes(reader: Reader, writer: Writer, dtype: Any, wrap: str) -> None:
    np = pytest.importorskip("numpy")
    array = np.frombuffer(bytes(range(240)), "u1")[: 8 * np.dtype(dtype).itemsize].copy().view(dtype)
    expected = array.tobytes()
    data: Any = array
    if wrap == "duck":
        data = Duck(array)
    elif wrap == "strided":
        data, expected = array[::-2], array[::-2].tobytes()
    elif wrap == "scalar":
        data, expected = array[2:3].reshape(()), array[2:3].tobytes()
    elif wrap == "memory":
        try:
            data = memoryview(array)
        except ValueError:
            pytest.skip(f"{dtype} has no memoryview")
    writer.write_frame(data)
    frame = reader.read_frame(0)
    assert frame is not None
    assert bytes(frame) == expected


def test_dlpack_is_taken(reader: Reader, writer: Writer) -> None:
    np = pytest.importorskip("numpy")
    if not hasattr(np, "from_dlpack"):
        pytest.skip("this NumPy reads no DLPack")
    writer.write_frame(Packed(np.arange(5, dtype="i4")))
    frame = reader.read_frame(0)
    assert frame is not None
    assert bytes(frame) == np.arange(5, dtype="i4").tobytes()


def test_a_series_goes_by_its_bytes(reader: Reader, writer: Writer) -> None:
    pandas = pytest.importorskip("pandas")
    writer.write_frame(pandas.Series([1, 2, 3]))
    frame = reader.read_frame(0)
    assert frame is not None
    assert frame.size == 24
    with pytest.raises(TypeError, match="object"):
        writer.write_frame(pandas.Series([1, "two", None]))


@pytest.mark.parametrize("make", ["bare", "duck", "strided", "record", "memory"])
def test_objects_are_refused(writer: Writer, make: str) -> None:
    np = pytest.importorskip("numpy")
    array = np.array([object(), 2, "three"], dtype=object)
    makers: dict[str, Callable[[], Any]] = {
        "bare": lambda: array,
        "duck": lambda: Duck(array),
        "strided": lambda: array[::2],
        "record": lambda: np.zeros(3, [("x", "i4"), ("y", object)]),
        "memory": lambda: memoryview(array),
    }
    data = makers[make]()
    with pytest.raises(TypeError, match="object"):
        writer.write_frame(data)
    with pytest.raises(TypeError, match="object"):
        writer.set_metadata(data)
    assert writer.frames_written == 0


class _Mapping(dict):  # type: ignore[type-arg]
    pass


@pytest.mark.parametrize(
    "wrong", [{1: 2}, {1, 2}, frozenset([3]), {1: 2}.keys(), {1: 2}.items(), _Mapping(a=1), os.environ, "text", 7, True]
)
def test_what_is_no_sequence_of_bytes(writer: Writer, wrong: Any) -> None:
    with pytest.raises(TypeError, match="required, not"):
        writer.write_frame(wrong)
    assert writer.frames_written == 0
