"""Fixtures of all tests."""

import faulthandler
import gc
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import files_of, unique_name
from zerobuffer import BufferConfig, Reader, Writer, _aio, _engine

#: Seconds after which a test is hung, on however busy a machine.
LIMIT = 180.0


@pytest.fixture(autouse=True)
def _limit() -> Iterator[None]:
    """End the whole run, with all stacks printed, if a test hangs."""
    faulthandler.dump_traceback_later(LIMIT, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture
def name() -> Iterator[str]:
    """A name of its own for one buffer; nothing may be left of it."""
    unique = unique_name()
    yield unique
    if files_of(unique):
        # Perhaps a test's exception still refers to an endpoint; a collection is too slow to have
        # for every test.
        gc.collect()
    assert files_of(unique) == []


@pytest.fixture(scope="session")
def tests_path() -> dict[str, str]:
    """Environment in which a child process can import ``support``."""
    return {"PYTHONPATH": str(Path(__file__).parent)}


@pytest.fixture
def reader(name: str) -> Iterator[Reader]:
    """A reader of a small buffer."""
    with Reader(name, BufferConfig(1024, 64 * 1024)) as reader:
        yield reader


@pytest.fixture
def writer(reader: Reader) -> Iterator[Writer]:
    """A writer attached to ``reader``."""
    with Writer(reader.name) as writer:
        yield writer


@pytest.fixture(params=["loop", "thread"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whether the event loop waits for the coroutines, or a thread."""
    way = str(request.param)
    if way == "thread":
        monkeypatch.setattr(_aio, "_LOOPS", False)
        monkeypatch.setattr(_engine.Lane, "_watch", lambda *_: False)
        # Tests wait for the end of the thread, which stays for a next call otherwise.
        monkeypatch.setattr(_engine, "_LINGER", 0.01)
    elif sys.platform != "linux":
        pytest.skip("there is no descriptor")
    return way
