"""One endpoint of a one-way stream: ``stream.py SYSTEM ROLE NAME SIZE COUNT DEPTH``; the reader prints seconds per frame.

Runs under the interpreter whose packages are to be measured. SYSTEM is ``zerobuffer`` (whatever version is installed: the
program is the same for 1.3.0 and 2.x), ``zerobuffer-buffer`` (``get_frame_buffer`` instead of ``write_frame``) or
``iceoryx2`` (polled).
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Callable

WARM_UP = 10  # one tenth of the frames is not timed


def read_zerobuffer(name: str, size: int, depth: int) -> Callable[[], None]:
    from zerobuffer import BufferConfig, Reader

    # Frames must not fill the ring exactly: a writer of 1.3.0 that finds the reader at its end stops for good.
    reader = Reader(name, BufferConfig(64, depth * (size + 16) + 1024))

    def take() -> None:
        # 1.3.0 raises "writer dead" on a timeout before the first writer, so that the wait is long.
        frame = reader.read_frame(timeout=60.0)
        assert frame is not None and len(frame.data) == size
        reader.release_frame(frame)

    return take


def write_zerobuffer(name: str, size: int, zero_copy: bool) -> Callable[[], None]:
    from zerobuffer import Writer

    writer = _retry(lambda: Writer(name))
    data = os.urandom(size)

    def put() -> None:
        if zero_copy:
            writer.get_frame_buffer(size)[:8] = data[:8]
            writer.commit_frame()
        else:
            writer.write_frame(data)

    return put


def _iceoryx2_service(name: str, depth: int):  # type: ignore[no-untyped-def]  # iceoryx2 has no stubs
    import iceoryx2 as iox2

    iox2.set_log_level_from_env_or(iox2.LogLevel.Error)
    node = iox2.NodeBuilder.new().create(iox2.ServiceType.Ipc)
    service = (
        node.service_builder(iox2.ServiceName.new(name))
        .publish_subscribe(iox2.Slice[ctypes.c_uint8])
        .subscriber_max_buffer_size(depth)
        .enable_safe_overflow(False)
        .open_or_create()
    )
    return iox2, node, service


def read_iceoryx2(name: str, size: int, depth: int) -> Callable[[], None]:
    _, node, service = _iceoryx2_service(name, depth)
    subscriber = service.subscriber_builder().create()

    def take() -> None:
        while (sample := subscriber.receive()) is None:
            pass
        assert sample.payload().len() == size
        sample.delete()

    take.keep = node  # type: ignore[attr-defined]
    return take


def write_iceoryx2(name: str, size: int, depth: int) -> Callable[[], None]:
    iox2, node, service = _iceoryx2_service(name, depth)
    publisher = (
        service.publisher_builder()
        .initial_max_slice_len(size)
        .backpressure_strategy(iox2.BackpressureStrategy.RetryUntilDelivered)
        .create()
    )
    while service.dynamic_config.number_of_subscribers == 0:
        time.sleep(0.001)
    publisher.update_connections()
    data = (ctypes.c_uint8 * size).from_buffer_copy(os.urandom(size))

    def put() -> None:
        sample = publisher.loan_slice_uninit(size)
        ctypes.memmove(sample.payload().as_ptr(), data, size)
        sample.assume_init().send()

    put.keep = node  # type: ignore[attr-defined]
    return put


def _retry(connect: Callable[[], object]):  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + 20
    while True:
        try:
            return connect()
        except Exception:  # each version has its own class for "not there yet"
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def main() -> None:
    system, role, name = sys.argv[1:4]
    size, count, depth = map(int, sys.argv[4:7])
    total = count + count // WARM_UP
    if role == "write":
        if system == "iceoryx2":
            put = write_iceoryx2(name, size, depth)
        else:
            put = write_zerobuffer(name, size, zero_copy=system == "zerobuffer-buffer")
        for _ in range(total):
            put()
        # Stay until the reader has everything: a peer of 1.3.0 may miss frames of a writer that has left.
        sys.stdin.readline()
        return
    take = (read_iceoryx2 if system == "iceoryx2" else read_zerobuffer)(name, size, depth)
    print("ready", flush=True)
    for _ in range(total - count):
        take()
    started = time.perf_counter()
    for _ in range(count):
        take()
    print((time.perf_counter() - started) / count, flush=True)


if __name__ == "__main__":
    main()
