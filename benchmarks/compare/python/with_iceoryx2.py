"""iceoryx2's Python package with the settings of the Rust ends: polled, or woken by an event."""

from __future__ import annotations

import ctypes
import time
from typing import Any

import iceoryx2 as iox2
from drive import Loan, Look, Put, Take, Task

iox2.set_log_level_from_env_or(iox2.LogLevel.Error)
ALIVE: list[Any] = []  # nodes and services last as long as the process


def _service(task: Task, name: str) -> tuple[Any, Any]:
    node = iox2.NodeBuilder.new().signal_handling_mode(iox2.SignalHandlingMode.Disabled).create(iox2.ServiceType.Ipc)
    service = (
        node.service_builder(iox2.ServiceName.new(name))
        .publish_subscribe(iox2.Slice[ctypes.c_uint8])
        .payload_alignment(iox2.Alignment.new(64))
        .subscriber_max_buffer_size(task.depth)
        .subscriber_max_borrowed_samples(1)
        .history_size(0)
        .enable_safe_overflow(False)
        .max_publishers(1)
        .max_subscribers(1)
        .open_or_create()
    )
    event = None
    if task.system.endswith("-event"):
        event = (
            node.service_builder(iox2.ServiceName.new(name))
            .event()
            .max_listeners(1)
            .max_notifiers(1)
            .event_id_max_value(1)
            .open_or_create()
        )
    ALIVE.extend((node, service, event))
    return service, event


def receiver(task: Task, name: str) -> Take:
    service, event = _service(task, name)
    listener = event.listener_builder().create() if event else None
    subscriber = service.subscriber_builder().create()
    frame_type, second = ctypes.c_uint8 * task.size, iox2.Duration.from_secs(1)

    def take(look: Look) -> int:
        while (sample := subscriber.receive()) is None:
            if listener:
                listener.timed_wait(second)
        value = look(frame_type.from_address(sample.payload_ptr))
        sample.delete()
        return value

    return take


def sender(task: Task, name: str) -> tuple[Put, Loan]:
    service, event = _service(task, name)
    while service.dynamic_config.number_of_subscribers == 0:
        time.sleep(0.0002)
    notify = event.notifier_builder().create().notify if event else None
    publisher = (
        service.publisher_builder()
        .initial_max_slice_len(task.size)
        .max_loaned_samples(1)
        .backpressure_strategy(iox2.BackpressureStrategy.RetryUntilDelivered)
        .create()
    )
    publisher.update_connections()
    size, move, frame_type = task.size, ctypes.memmove, ctypes.c_uint8 * task.size

    def put(data: Any) -> None:
        sample = publisher.loan_slice_uninit(size)
        # A frame of our own is a bytearray, a request that is sent back already is such an array.
        source = data if isinstance(data, frame_type) else frame_type.from_buffer(data)
        move(sample.payload_ptr, source, size)
        sample.assume_init().send()
        if notify:
            notify()

    def loan(number: int) -> None:
        sample = publisher.loan_slice_uninit(size)
        ctypes.c_uint64.from_address(sample.payload_ptr).value = number
        sample.assume_init().send()
        if notify:
            notify()

    return put, loan
