"""Buffer names and frame contents that test programs in all languages agree on."""

import logging
import os
import time

import pytest
from zerobuffer_serve.services import BufferNamingService
from zerobuffer_serve.test_data_patterns import TestDataPatterns


def test_names_of_a_lone_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HARMONY_HOST_PID", raising=False)
    monkeypatch.setenv("HARMONY_FEATURE_ID", "7")
    service = BufferNamingService(logging.getLogger("test"))
    name = service.get_buffer_name("test-buffer")
    base, pid, stamp = name.split("_")
    assert (base, pid) == ("test-buffer", str(os.getpid()))
    assert abs(int(stamp) / 1e9 - time.time()) < 60
    assert service.get_buffer_name("test-buffer") == name
    assert service.get_buffer_name(base_name="other").endswith(f"_{pid}_{stamp}")
    service.clear_cache()
    assert service.get_buffer_name("test-buffer") == name
    time.sleep(0.001)
    assert BufferNamingService().get_buffer_name("test-buffer") != name


def test_names_under_harmony(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARMONY_HOST_PID", "123")
    monkeypatch.setenv("HARMONY_FEATURE_ID", "7")
    assert BufferNamingService().get_buffer_name("test-basic") == "test-basic_123_7"
    assert BufferNamingService().get_buffer_name("") == "_123_7"
    monkeypatch.setenv("HARMONY_HOST_PID", "")
    assert BufferNamingService().get_buffer_name("x").startswith(f"x_{os.getpid()}_")


def test_the_choice_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        BufferNamingService().clear_cache()
    assert {record.name for record in caplog.records} == {"zerobuffer_serve.services.buffer_naming_service"}
    assert len(caplog.records) == 2


@pytest.mark.parametrize(
    ("size", "sequence", "expected"),
    [
        (8, 1, "0102030405060708"),
        (4, 255, "ff000102"),
        (6, 1000, "e8e9eaebeced"),
        (3, 2**64 - 1, "ff0001"),
        (4, -1, "ff000102"),
        (0, 5, ""),
    ],
)
def test_frame_data(size: int, sequence: int, expected: str) -> None:
    assert TestDataPatterns.generate_frame_data(size=size, sequence=sequence) == bytes.fromhex(expected)


def test_simple_data() -> None:
    assert TestDataPatterns.generate_simple_frame_data(size=5) == bytes(range(5))
    assert TestDataPatterns.generate_simple_frame_data(258)[-4:] == b"\xfe\xff\0\1"
    assert TestDataPatterns.generate_metadata(size=6) == bytes(range(6))
    for data in (b"", bytes(range(3)), bytearray(range(256)) + b"\0", memoryview(bytes(range(9))), [0, 1, 2]):
        assert TestDataPatterns.verify_simple_frame_data(data)
    assert not TestDataPatterns.verify_simple_frame_data(b"\1\2")
    for size in (1, 255, 256, 257, 100_000):
        assert TestDataPatterns.verify_simple_frame_data(TestDataPatterns.generate_simple_frame_data(size))
        assert TestDataPatterns.generate_frame_data(size, 3) == bytes((i + 3) % 256 for i in range(size))
