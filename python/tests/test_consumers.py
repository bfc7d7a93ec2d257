"""A consumer of a frame's buffer keeps the frame's bytes, after release as before.

Each consumer is given a frame, the frame is released, and the writer goes on until it has been once
around the ring. What the consumer then shows must be what it was given. Packages that are not
installed are named as skipped.
"""

import contextlib
import ctypes
import gc
import importlib
import io
import mmap
import pickle
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support import pattern
from zerobuffer import BufferConfig, Frame, Reader, Writer

SIZE = 1200
#: Room for three frames.
RING = 3 * (SIZE + 16)

#: Makes something of a frame, and tells the bytes of it.
Consumer = Callable[[Frame], tuple[Any, Callable[[Any], bytes]]]


def package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        pytest.skip(f"{name} is not installed: {error}")


def as_numpy(make: Callable[[Any, Frame], Any]) -> Consumer:
    def consume(frame: Frame) -> tuple[Any, Callable[[Any], bytes]]:
        return make(package("numpy"), frame), lambda array: bytes(array.tobytes())

    return consume


def pyarrow(frame: Frame) -> tuple[Any, Callable[[Any], bytes]]:
    return package("pyarrow").py_buffer(frame), lambda buffer: bytes(buffer.to_pybytes())


def pillow(frame: Frame) -> tuple[Any, Callable[[Any], bytes]]:
    image = package("PIL.Image").frombuffer("RGB", (20, 20), frame, "raw", "RGB", 0, 1)
    return image, lambda image: bytes(image.tobytes())


def opencv(frame: Frame) -> tuple[Any, Callable[[Any], bytes]]:
    cv2, np = package("cv2"), package("numpy")
    # A Mat on the frame's memory, and one that OpenCV derives from it without a copy.
    picture = np.ndarray((20, 20, 3), np.uint8, buffer=frame)
    return cv2.UMat(picture) and picture, lambda picture: bytes(picture.tobytes())


def pyav(frame: Frame) -> tuple[Any, Callable[[Any], bytes]]:
    av, np = package("av"), package("numpy")
    picture = av.VideoFrame.from_numpy_buffer(np.frombuffer(frame, np.uint8).reshape(20, 20, 3), "rgb24")
    return picture, lambda picture: bytes(picture.to_ndarray().tobytes())


def polars(frame: Frame) -> tuple[Any, Callable[[Any], bytes]]:
    series = package("polars").from_numpy(package("numpy").frombuffer(frame, "u1")).to_series()
    return series, lambda series: bytes(series.to_numpy().tobytes())


def pandas(frame: Frame) -> tuple[Any, Callable[[Any], bytes]]:
    series = package("pandas").Series(package("numpy").frombuffer(frame, "u1"), copy=False)
    return series, lambda series: bytes(series.to_numpy().tobytes())


def torch_frombuffer(frame: Frame) -> tuple[Any, Callable[[Any], bytes]]:
    torch = package("torch")
    return torch.frombuffer(frame, dtype=torch.uint8), lambda tensor: bytes(tensor.numpy().tobytes())


def torch_dlpack(frame: Frame) -> tuple[Any, Callable[[Any], bytes]]:
    return package("torch").from_dlpack(frame), lambda tensor: bytes(tensor.numpy().tobytes())


def zmq_frame(frame: Frame) -> tuple[Any, Callable[[Any], bytes]]:
    return package("zmq").Frame(frame, copy=False), lambda message: bytes(message.bytes)


CONSUMERS: dict[str, Consumer] = {
    "numpy asarray": as_numpy(lambda np, frame: np.asarray(frame)),
    "numpy array": as_numpy(lambda np, frame: np.array(frame, copy=False)),
    "numpy frombuffer": as_numpy(lambda np, frame: np.frombuffer(frame, np.uint8)),
    "numpy frombuffer of data": as_numpy(lambda np, frame: np.frombuffer(frame.data, np.uint8)),
    "numpy ndarray": as_numpy(lambda np, frame: np.ndarray((SIZE,), np.uint8, buffer=frame)),
    "numpy ndarray with offset": as_numpy(lambda np, frame: np.ndarray((SIZE - 8,), np.uint8, frame, 8)),
    "numpy ndarray of data": as_numpy(lambda np, frame: np.ndarray((SIZE,), np.uint8, buffer=frame.data)),
    "numpy recarray": as_numpy(lambda np, frame: np.recarray((SIZE // 4,), formats="i4", buf=frame)),
    "numpy from_dlpack": as_numpy(lambda np, frame: np.from_dlpack(frame)),
    "numpy view of a slice": as_numpy(lambda np, frame: np.frombuffer(frame, np.uint8)[5:500:3]),
    "frame.array": as_numpy(lambda np, frame: frame.array(dtype="u2")),
    "numpy vander": as_numpy(lambda np, frame: np.lib.stride_tricks.as_strided(np.frombuffer(frame, "u1"))),
    "memoryview": lambda frame: (memoryview(frame), bytes),
    "memoryview cast": lambda frame: (memoryview(frame).cast("i"), bytes),
    "slice of data": lambda frame: (frame.data[10:700], bytes),
    "ctypes from_buffer": lambda frame: ((ctypes.c_ubyte * SIZE).from_buffer(frame), bytes),
    "ctypes structure": lambda frame: (_Header.from_buffer(frame), bytes),
    "struct iter_unpack": lambda frame: (struct.iter_unpack("B", frame), lambda it: bytes(b for (b,) in it)),
    "pickle buffer": lambda frame: (pickle.PickleBuffer(frame), lambda buffer: bytes(buffer.raw())),
    "pyarrow": pyarrow,
    "pillow": pillow,
    "opencv": opencv,
    "pyav": pyav,
    "polars": polars,
    "pandas": pandas,
    "zmq": zmq_frame,
    "torch frombuffer": torch_frombuffer,
    "torch dlpack": torch_dlpack,
}


class _Header(ctypes.Structure):
    _fields_ = (("a", ctypes.c_uint32), ("b", ctypes.c_uint64 * 9))


@pytest.fixture
def ends(name: str) -> Iterator[tuple[Reader, Writer]]:
    with Reader(name, BufferConfig(payload_size=RING)) as reader, Writer(name, full="refuse") as writer:
        yield reader, writer


def run_around(reader: Reader, writer: Writer) -> None:
    """Write and read until the ring has been used up several times, or is held."""
    for seed in range(100, 112):
        try:
            writer.write_frame(b"\xee" * SIZE if seed % 2 else pattern(SIZE, seed))
        except Exception:
            return
        frame = reader.read_frame(0)
        if frame is not None:
            frame.dispose()


@pytest.mark.parametrize("release", ["release_frame", "with", "drop"])
@pytest.mark.parametrize("kind", CONSUMERS)
def test_the_bytes_stay(ends: tuple[Reader, Writer], kind: str, release: str) -> None:
    reader, writer = ends
    writer.write_frame(pattern(SIZE, 1))
    frame = reader.read_frame(0)
    assert frame is not None
    before = CONSUMERS[kind](frame)[1](CONSUMERS[kind](frame)[0])
    gc.collect()
    made, tell = CONSUMERS[kind](frame)
    if release == "release_frame":
        reader.release_frame(frame)
    elif release == "with":
        with frame:
            pass
    del frame
    run_around(reader, writer)
    assert tell(made) == before
    assert before
    # Nothing is held for good.
    del made
    gc.collect()
    for seed in range(6):
        while (late := reader.read_frame(0)) is not None:
            late.dispose()
        writer.write_frame(pattern(SIZE, seed))
    with contextlib.suppress(AttributeError):
        del late


def test_one_who_holds_the_frame_and_no_buffer(ends: tuple[Reader, Writer]) -> None:
    """``np.ndarray(buffer=frame)`` lets go of the buffer at once, and refers to the frame."""
    np = package("numpy")
    reader, writer = ends
    writer.write_frame(pattern(SIZE, 1))
    frame = reader.read_frame(0)
    assert frame is not None
    array = np.ndarray((SIZE,), np.uint8, buffer=frame)
    reader.release_frame(frame)
    assert not frame.is_valid
    with pytest.raises(ValueError, match="released"):
        _ = frame.data
    run_around(reader, writer)
    assert array.tobytes() == pattern(SIZE, 1)
    # Writes into it hit no other frame.
    array[:] = 7
    writer.write_frame(pattern(SIZE, 2)) if reader.utilization < 0.6 else None
    late = reader.read_frame(0)
    assert late is None or bytes(late) in (
        pattern(SIZE, 2),
        *(pattern(SIZE, s) for s in range(100, 112)),
        b"\xee" * SIZE,
    )


def test_short_consumers_hold_nothing(ends: tuple[Reader, Writer]) -> None:
    reader, writer = ends
    here, there = socket.socketpair()
    with here, there:
        for seed in range(12):
            writer.write_frame(pattern(SIZE, seed))
            frame = reader.read_frame(0)
            assert frame is not None
            assert here.sendmsg([frame, frame.data]) == 2 * SIZE
            assert there.recv(2 * SIZE, socket.MSG_WAITALL) == 2 * pattern(SIZE, seed)
            assert io.BytesIO(frame).read() == pattern(SIZE, seed)
            assert struct.unpack_from("4s", frame, 4) == (pattern(SIZE, seed)[4:8],)
            with mmap.mmap(-1, SIZE) as memory:
                memory.write(frame)
            assert bytearray(frame) == b"".join([frame]) == pattern(SIZE, seed)
            reader.release_frame(frame)


def test_zmq_sends_without_a_copy(ends: tuple[Reader, Writer]) -> None:
    zmq = package("zmq")
    reader, writer = ends
    with zmq.Context() as context, context.socket(zmq.PAIR) as here, context.socket(zmq.PAIR) as there:
        here.bind(f"inproc://{reader.name}")
        there.connect(f"inproc://{reader.name}")
        writer.write_frame(pattern(SIZE, 3))
        frame = reader.read_frame(0)
        assert frame is not None
        here.copy_threshold = 0
        here.send(frame, copy=False)
        frame.dispose()
        del frame
        run_around(reader, writer)
        assert there.recv() == pattern(SIZE, 3)
    gc.collect()


def test_data_may_be_used_as_a_context(ends: tuple[Reader, Writer]) -> None:
    reader, writer = ends
    writer.write_frame(pattern(SIZE, 1))
    frame = reader.read_frame(0)
    assert frame is not None
    with frame.data as data:
        assert bytes(data) == pattern(SIZE, 1)
    assert frame.is_valid
    assert bytes(frame.data) == bytes(frame) == pattern(SIZE, 1)


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="the slot is CPython's")
def test_a_loan_is_a_buffer_too(ends: tuple[Reader, Writer]) -> None:
    reader, writer = ends
    with writer.loan(SIZE) as view:
        struct.pack_into("4s", view, 0, b"abcd")
        assert io.BytesIO(b"x" * (SIZE - 4)).readinto(memoryview(view)[4:]) == SIZE - 4
    frame = reader.read_frame(0)
    assert frame is not None
    assert bytes(frame) == b"abcd" + b"x" * (SIZE - 4)
