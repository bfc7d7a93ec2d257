"""The asking end of a channel, as in 1.x: a thin layer over :class:`zerobuffer.Client`."""

import contextlib
from collections import deque
from typing import Any, Literal, Optional, Union

from .._calls import ANY
from .._client import Client, Response
from .._context import AsyncClosing
from .._timeout import Deadline
from .._zerobuffer import Bell
from ..exceptions import NoResponseException, RemoteError, ResponseTooLargeException
from ..exceptions import ZeroBufferException as ZeroBufferException
from ..reader import Reader as Reader
from ..types import BufferConfig as BufferConfig
from ..writer import Writer as Writer
from .interfaces import IDuplexClient
from .response import DuplexResponse

__all__ = ["DuplexClient"]

#: Seconds of one wait, before the next look at what cancelled calls have handed back.
_SLICE = 0.05
#: The default of a timeout, known by its identity from a given one.
_FIVE_SECONDS = 5.0
#: Why there is none.
_NO_RESPONSE = (RemoteError, ResponseTooLargeException, NoResponseException)


def _seconds(timeout_ms: Optional[float], timeout: Optional[float]) -> Optional[float]:
    if timeout_ms is None:
        return timeout
    if timeout is not _FIVE_SECONDS:
        raise TypeError("give timeout_ms or timeout, not both")
    return timeout_ms / 1000.0


def _response(answer: Optional[Response]) -> DuplexResponse:
    if answer is None:
        return DuplexResponse(0, None)
    return DuplexResponse(answer.sequence, answer.data, answer)


def _failed(error: Union[RemoteError, ResponseTooLargeException, NoResponseException]) -> DuplexResponse:
    """Return no response; ``error`` says why, unless it has just not come in time."""
    return DuplexResponse(error.request, None, error=None if isinstance(error, NoResponseException) else error)


class DuplexClient(AsyncClosing, IDuplexClient):
    """Sends requests to the server of a channel and receives its responses.

    Usable from several threads.

    A request is either sent by :meth:`send_request`, or it is a :meth:`call`. The responses of sent
    requests are received by :meth:`receive_response`. A call returns its own response.

    Args:
        channel_name: name of the channel; its server must be running, or start within ``timeout``.
        response_size: bytes of the response ring, which are reserved at once; by default as many as
            the request ring has, at most 256 MiB.
        response_metadata_size: bytes of the response buffer's metadata block.
        timeout: seconds to wait for the server.
        write_timeout: seconds that a request waits for space in the request ring; None waits for
            ever.
        mode: permission bits of the response buffer, by default as for :class:`~zerobuffer.Reader`.
        wait: ``"adaptive"``, ``"block"`` or ``"spin"``.
        global_: whether processes of other Windows sessions can find the response buffer. It needs
            the privilege ``SeCreateGlobalPrivilege`` and changes nothing elsewhere.
        owner: whose servers are asked, as for :class:`~zerobuffer.Writer`.

    Raises:
        ZeroBufferException: there is no server in time, or no room for ``response_size``.
        WriterAlreadyConnectedException: the server has a client.
        ReaderAlreadyConnectedException: another client has the channel's response buffer.
    """

    def __init__(
        self,
        channel_name: str,
        *,
        response_size: Optional[int] = None,
        response_metadata_size: int = 4096,
        timeout: Optional[float] = 0.0,
        write_timeout: Optional[float] = 5.0,
        mode: Optional[int] = None,
        wait: Literal["adaptive", "block", "spin"] = "adaptive",
        global_: bool = False,
        owner: Union[int, Literal["trusted", "any"], None] = None,
    ) -> None:
        self._returned: deque[Response] = deque()
        client = Client.__new__(Client)
        client._connect(
            channel_name,
            timeout,
            response_size,
            write_timeout,
            mode,
            wait,
            owner,
            response_metadata_size,
            global_,
        )
        self._client = client
        self._core = client._core

    def set_metadata(self, data: Any) -> None:
        """Write the metadata that the server's ``on_init`` gets; once, before the first request."""
        self._core.set_metadata(data)

    def send_request(self, data: Any) -> int:
        """Send a request; return the sequence number that its response bears."""
        return self._core.send_request(data)

    def acquire_request_buffer(self, size: int) -> tuple[int, memoryview]:
        """Reserve a request of ``size`` bytes; return its number and its place in the ring."""
        return self._core.acquire_request_buffer(size)

    def commit_request(self, *, size: Optional[int] = None) -> None:
        """Send the request of :meth:`acquire_request_buffer`, or its first ``size`` bytes.

        Its view is released.
        """
        self._core.commit_request(size=size)

    def abort_request(self) -> bool:
        """Give the request of :meth:`acquire_request_buffer` up. Whether there was one."""
        return self._core.abort_request()

    def receive_response(
        self, timeout_ms: Optional[float] = None, *, timeout: Optional[float] = _FIVE_SECONDS
    ) -> DuplexResponse:
        """Return the next response that no :meth:`call` waits for.

        It is falsy if there is none in time.

        Args:
            timeout_ms: milliseconds to wait.
            timeout: the same in seconds; None waits for ever, 5 if neither is given.

        Raises:
            WriterDeadException, ReaderDeadException: the server has gone, and all its responses are
                read.
        """
        seconds = _seconds(timeout_ms, timeout)
        try:
            return _response(self._receive(seconds))
        except _NO_RESPONSE as error:
            return _failed(error)

    def _receive(self, seconds: Optional[float]) -> Optional[Response]:
        deadline = Deadline(seconds)
        while True:
            left = deadline.left(_SLICE)
            answer = self._look(left)
            if answer is not None or left <= 0.0:
                return answer

    def _look(self, seconds: float) -> Optional[Response]:
        # Not once before a long wait: a cancelled call hands its response back at any time.
        if self._returned:
            with contextlib.suppress(IndexError):
                return self._returned.popleft()
        return self._core._receive(seconds)

    def _poll(self, bell: Optional[Bell]) -> Optional[Response]:
        if bell is None or self._returned:
            return self._look(0.0)
        return self._core._poll_receive(bell)

    def release_response(self, response: DuplexResponse) -> None:
        """Return a response's space to the ring, as :meth:`DuplexResponse.dispose`."""
        response.dispose()

    def call(self, data: Any, timeout: Optional[float] = 5.0) -> DuplexResponse:
        """Send a request and return its own response.

        It is falsy after ``timeout`` seconds; None waits for ever.

        A response that comes later is dropped. A server of another implementation does not say
        which request it answers: there the n-th response is taken for that to the n-th request.
        """
        try:
            return _response(self._client.call(data, timeout))
        except _NO_RESPONSE as error:
            return _failed(error)

    async def send_request_async(self, data: Any) -> int:
        """As :meth:`send_request`, without blocking the event loop in a full ring."""
        core = self._core
        sequence: int = await self._client._requests.send(
            lambda bell: core._try_send(data) if bell is None else core._poll_send(data, bell),
            lambda: core.send_request(data),
            self._client._write_timeout,
        )
        return sequence

    async def receive_response_async(
        self, timeout_ms: Optional[float] = None, *, timeout: Optional[float] = _FIVE_SECONDS
    ) -> DuplexResponse:
        """As :meth:`receive_response`, without blocking the event loop.

        A response is never lost by cancelling.
        """
        seconds = _seconds(timeout_ms, timeout)
        try:
            answer = await self._client._responses.wait(ANY, self._poll, Deadline(seconds).end, self._returned.append)
        except _NO_RESPONSE as error:
            return _failed(error)
        return _response(answer)

    async def call_async(self, data: Any, timeout: Optional[float] = 5.0) -> DuplexResponse:
        """As :meth:`call`, without blocking the event loop."""
        # A response that comes after a cancellation is dropped.
        try:
            return _response(await self._client.call_async(data, timeout))
        except _NO_RESPONSE as error:
            return _failed(error)

    @property
    def is_server_connected(self) -> bool:
        """Whether a server reads requests and writes responses."""
        return self._core.is_server_connected

    def close(self) -> None:
        """Leave the channel; blocked calls of other threads end at once. Idempotent."""
        client: Optional[Client] = self.__dict__.get("_client")
        if client is not None:
            client.close()

    def __repr__(self) -> str:
        if "_client" not in self.__dict__:
            return "<DuplexClient, not connected>"
        return f"<DuplexClient of '{self._client.name}', {self._client._state()}, {self._core._held()} responses held>"

    def __del__(self) -> None:
        self.close()
