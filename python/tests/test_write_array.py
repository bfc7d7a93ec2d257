"""Arrays that describe themselves: ``write_array`` and ``loan(shape, dtype)``."""

import json
import struct
import time
from typing import Any

import numpy as np
import pytest
from support import PATIENCE, child
from zerobuffer import (
    BufferConfig,
    BufferFullException,
    Client,
    Frame,
    InvalidFrameSizeException,
    MetadataAlreadyWrittenException,
    Reader,
    Server,
    Writer,
)

CAPS = b"video/x-raw, format=(string)RGB, width=(int)4, height=(int)2"


def read(reader: Reader) -> Frame:
    frame = reader.read_frame(PATIENCE)
    assert frame is not None
    return frame


@pytest.mark.parametrize("stamped", [False, True])
@pytest.mark.parametrize("dtype", ["|u1", "<u2", ">u2", "<f4", "<f8", "<c16", "|b1", "<M8[ns]"])
@pytest.mark.parametrize("shape", [(), (5,), (2, 3), (2, 3, 4)])
def test_shape_and_dtype_arrive(
    reader: Reader, writer: Writer, shape: tuple[int, ...], dtype: str, stamped: bool
) -> None:
    count = int(np.prod(shape))
    array: Any = (np.arange(count) % 2).astype(dtype).reshape(shape)
    moment = time.time_ns() if stamped else None
    for i in range(3):
        writer.write_array(array, timestamp=moment)
        with read(reader) as frame:
            assert frame.size == array.nbytes + (24 if stamped else 0)
            for seen in (frame.array(), np.asarray(frame)):
                assert (seen.shape, seen.dtype.str) == (shape, dtype)
                assert seen.tobytes() == array.tobytes()
                assert seen.base is not None
                del seen
            if stamped:
                assert struct.unpack_from("<3Q", frame.data) == (i + 1, moment, 2**64 - 1)
    fields = json.loads(bytes(reader.get_metadata() or b""))
    assert fields == {"shape": list(shape), "dtype": dtype, "frame_prefix": 24 if stamped else 0}


@pytest.mark.parametrize("layout", ["C", "F", "strided", "reversed", "broadcast"])
def test_any_layout(reader: Reader, writer: Writer, layout: str) -> None:
    array: Any = np.arange(24, dtype="<i4").reshape(4, 6)
    arrays: dict[str, Any] = {
        "C": array,
        "F": np.asfortranarray(array),
        "strided": np.arange(48, dtype="<i4").reshape(4, 12)[:, ::2],
        "reversed": array[::-1, ::-1],
        "broadcast": np.broadcast_to(np.arange(6, dtype="<i4"), (4, 6)),
    }
    for moment in (None,):
        writer.write_array(arrays[layout], timestamp=moment)
        with read(reader) as frame:
            assert (frame.array() == arrays[layout]).all()


def test_wrong_arrays_are_refused_and_nothing_is_written(reader: Reader, writer: Writer) -> None:
    writer.write_array(np.zeros((2, 3), "<f4"), timestamp=1)
    read(reader).dispose()
    wrong: list[tuple[type[Exception], str, Any, Any]] = [
        (ValueError, r"\(2, 4\).*\(2, 3\)", np.zeros((2, 4), "<f4"), 1),
        (ValueError, r"\(3, 2\).*\(2, 3\)", np.zeros((3, 2), "<f4"), 1),
        (ValueError, "<f8.*<f4", np.zeros((2, 3), "<f8"), 1),
        (ValueError, "without a timestamp.*with a timestamp", np.zeros((2, 3), "<f4"), None),
        (TypeError, "object", np.array([[object()] * 3] * 2), 1),
        (TypeError, "'NoneType'", None, 1),
        (TypeError, "'str'", "text", 1),
        (TypeError, "'dict'", {}, 1),
        (TypeError, "'int'", 5, 1),
        (TypeError, "nanoseconds", np.zeros((2, 3), "<f4"), 1.5),
        (TypeError, "nanoseconds", np.zeros((2, 3), "<f4"), True),
        (ValueError, "timestamp", np.zeros((2, 3), "<f4"), -1),
        (ValueError, "timestamp", np.zeros((2, 3), "<f4"), 2**64 - 1),
    ]
    for kind, text, array, moment in wrong:
        with pytest.raises(kind, match=text):
            writer.write_array(array, timestamp=moment)
    assert (writer.frames_written, writer.utilization) == (1, 0.0)
    writer.write_array(np.ones((2, 3), "<f4"), timestamp=2)
    with read(reader) as frame:
        assert (frame.sequence, float(frame.array().sum())) == (2, 6.0)


def test_an_empty_array_is_no_frame(writer: Writer) -> None:
    with pytest.raises(InvalidFrameSizeException):
        writer.write_array(np.zeros((0, 3), "u1"))


def test_pictures_by_caps(reader: Reader, writer: Writer) -> None:
    writer.set_metadata(CAPS)
    picture: Any = np.arange(24, dtype="u1").reshape(2, 4, 3)
    writer.write_array(picture)
    with read(reader) as frame:
        assert (frame.array() == picture).all()
        assert np.asarray(frame).shape == memoryview(frame).shape == (2, 4, 3)
        assert np.from_dlpack(frame).shape == (2, 4, 3)
        assert len(frame.data) == 24
    for wrong in (picture[:1], picture.reshape(4, 2, 3), picture.astype("u2")):
        with pytest.raises(ValueError, match=r"RGB|does not fit|bytes"):
            writer.write_array(wrong)
    assert writer.frames_written == 1


def test_metadata_that_say_nothing_promise_nothing(reader: Reader, writer: Writer) -> None:
    writer.set_metadata(b"whatever")
    for shape in ((2, 3), (5,)):
        writer.write_array(np.zeros(shape, "u1"))
        with read(reader) as frame:
            assert frame.array().shape == (int(np.prod(shape)),)


def test_a_second_description_is_refused(reader: Reader, writer: Writer) -> None:
    writer.write_array(np.zeros((2, 3), "u1"))
    with pytest.raises(MetadataAlreadyWrittenException):
        writer.set_metadata(CAPS)
    writer.write_array(np.zeros((2, 3), "u1"))
    assert writer.frames_written == 2


def test_no_room_for_a_description(name: str, caplog: pytest.LogCaptureFixture) -> None:
    with Reader(name, BufferConfig(16, 4096)) as reader, Writer(name) as writer:
        writer.write_array(np.zeros((2, 3), "<f8"))
        assert len(caplog.records) == 0 or "not described" in caplog.text
        assert read(reader).size == 48


def test_a_successor_goes_on(name: str) -> None:
    with Reader(name) as reader:
        for _ in range(3):
            with Writer(name) as writer:
                writer.write_array(np.ones((4, 4), "<f4"))
            with read(reader) as frame:
                assert frame.array().shape == (4, 4)


def test_tensors_by_dlpack(reader: Reader, writer: Writer) -> None:
    class Tensor:
        """Offers DLPack and nothing else."""

        def __init__(self, array: Any) -> None:
            self.array = array

        def __dlpack__(self, **options: Any) -> Any:
            return self.array.__dlpack__(**options)

        def __dlpack_device__(self) -> Any:
            return self.array.__dlpack_device__()

    array: Any = np.arange(6, dtype="<f4").reshape(2, 3)
    writer.write_array(Tensor(array), timestamp=None)
    writer.write_array(Tensor(array[:, ::-1].copy()))
    for expected in (array, array[:, ::-1]):
        with read(reader) as frame:
            assert (np.from_dlpack(frame) == expected).all()


def test_loans_by_shape(reader: Reader, writer: Writer) -> None:
    for shape, dtype, error in [
        ((2, -1), "u1", ValueError),
        ((2.5,), "u1", TypeError),
        ("ab", "u1", TypeError),
        ((2, 3), "no dtype", TypeError),
        ((2, 3), object, TypeError),
        ((0, 3), "u1", InvalidFrameSizeException),
    ]:
        with pytest.raises(error), writer.loan(shape, dtype):  # type: ignore[arg-type]
            pass
    assert writer.utilization == 0.0
    sizes: list[Any] = [6, np.int64(6), (np.int64(2), 3), [2, 3]]
    for given in sizes:
        with writer.loan(given, np.dtype("<u2")) as view:
            view.array()[...] = 7
        with read(reader) as frame:
            assert frame.array(dtype="<u2").tolist() == [7] * 6


def test_a_full_ring(name: str) -> None:
    for full in ("refuse", "drop"):
        options: Any = {"full": full}
        with Reader(name, BufferConfig(256, 256)), Writer(name, **options) as writer:
            writer.write_array(np.zeros(100, "u1"), timestamp=1)
            if full == "refuse":
                with pytest.raises(BufferFullException):
                    writer.write_array(np.zeros(100, "u1"), timestamp=2)
            else:
                writer.write_array(np.zeros(100, "u1"), timestamp=2)
                assert writer.stats.dropped == 1
            assert writer.frames_written == 1


def test_all_bytes_of_a_described_frame(name: str) -> None:
    """A request for bytes gets all of them, one that takes a shape the elements."""
    with Reader(name) as reader, Writer(name) as writer:
        array: Any = np.arange(12, dtype="<u2").reshape(3, 4)
        writer.write_array(array, timestamp=5)
        frame = read(reader)
        whole = struct.pack("<3Q", 1, 5, 2**64 - 1) + array.tobytes()
        assert bytes(frame) == bytes(frame.data) == whole
        assert b"".join([frame]) == whole
        assert (np.asarray(frame) == array).all()
        # Handed on as it is, stamp and all.
        with Reader(f"{name}-2") as second, Writer(f"{name}-2") as on:
            on.write_frame(frame)
            on.write_frame(frame.data)
            for _ in range(2):
                assert bytes(read(second)) == whole


def test_from_another_process(name: str) -> None:
    code = """
        import sys, numpy, time
        from zerobuffer import Writer
        with Writer(sys.argv[1], timeout=60.0) as writer:
            for i in range(5):
                writer.write_array(numpy.full((48, 64, 3), i, "u1"), timestamp=time.time_ns())
    """
    with Reader(name) as reader, child(code, name) as writer:
        means = []
        for frame in reader:
            with frame:
                means.append((frame.array().shape, float(frame.array().mean())))
        writer.finish()
    assert means == [((48, 64, 3), float(i)) for i in range(5)]


def test_arrays_of_a_response(name: str) -> None:
    server = Server(name)

    @server.handler
    def work(request: Frame, response: Writer) -> None:
        response.write_array(request.array(dtype="<f4") * 2)

    with server, Client(name) as client:
        for size in (3, 5):
            response = client.call(np.ones(size, "<f4"))
            assert response.array(dtype="<f4").tolist() == [2.0] * size


def test_lists_and_buffers_are_arrays_and_nothing_else_is(name: str) -> None:
    taken = [([1, 2, 3], "int64"), ((1.5, 2.5), "float64"), (bytearray(b"abc"), "uint8"), (memoryview(b"abc"), "uint8")]
    for number, (data, dtype) in enumerate(taken):
        with Reader(f"{name}-{number}") as reader, Writer(reader.name) as writer:
            writer.write_array(data)
            frame = reader.read_frame(0)
            assert frame is not None
            assert frame.array().dtype == dtype
            assert frame.array().tolist() == list(data)
    with Reader(name), Writer(name) as writer:
        for wrong in (object(), iter([1]), [object()], "text", None, 5, {"a": 1}):
            with pytest.raises(TypeError):
                writer.write_array(wrong)
        assert writer.frames_written == 0
