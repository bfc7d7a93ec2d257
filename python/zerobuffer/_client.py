"""``Client``: calls a server, and raises what goes wrong."""

from typing import Any, Literal, Optional, Union

from ._calls import RequestLane, ResponseLane
from ._context import AsyncClosing
from ._exit import remember
from ._mode import permissions
from ._timeout import Deadline, checked, connected
from ._zerobuffer import DuplexClientBase, PendingCall, Response
from .exceptions import ReaderAlreadyConnectedException

__all__ = ["Client", "Response"]


class Client(AsyncClosing):
    """Calls the handler of a :class:`~zerobuffer.Server` and returns what it answers.

    Usable from several threads and tasks at once: requests go out in the order of the calls, and
    each call gets its own answer::

        with Client("detector", timeout=10.0) as client:
            boxes = client.call(picture).array(dtype="f4", shape=(-1, 4))

    Args:
        name: name of the server.
        timeout: seconds to wait for the server; None waits for ever.
        response_size: bytes of the response ring; by default as many as the request ring has, at
            most 256 MiB.
        write_timeout: seconds that a request waits for space in the request ring; None waits for
            ever.
        mode: permission bits of the response ring, by default as for :class:`~zerobuffer.Reader`.
        wait: ``"adaptive"``, ``"block"`` or ``"spin"``.
        owner: whose servers are asked, as for :class:`~zerobuffer.Writer`.
        own_channel: ask a server of several clients for a channel of one's own. Without it the
            client takes the one place that is kept for clients of 1.x.

    Raises:
        BufferNotFoundException: there is no server in time. WriterAlreadyConnectedException,
            ReaderAlreadyConnectedException: the server has another client, or as many as it takes.
    """

    name: str
    _closed = False

    def __init__(
        self,
        name: str,
        *,
        timeout: Optional[float] = 5.0,
        response_size: Optional[int] = None,
        write_timeout: Optional[float] = 5.0,
        mode: Optional[int] = None,
        wait: Literal["adaptive", "block", "spin"] = "adaptive",
        owner: Union[int, Literal["trusted", "any"], None] = None,
        own_channel: bool = True,
    ) -> None:
        self._connect(name, timeout, response_size, write_timeout, mode, wait, owner, own_channel=own_channel)

    def _connect(
        self,
        name: str,
        timeout: Optional[float],
        response_size: Optional[int],
        write_timeout: Optional[float],
        mode: Optional[int],
        wait: Literal["adaptive", "block", "spin"],
        owner: Union[int, Literal["trusted", "any"], None],
        response_metadata_size: int = 4096,
        global_: bool = False,
        own_channel: bool = True,
    ) -> None:
        """Connect with all options, also those of 1.x alone."""
        self.name = name
        self._write_timeout = write_timeout
        self._core = DuplexClientBase(
            name,
            response_size=response_size,
            response_metadata_size=response_metadata_size,
            timeout=timeout,
            write_timeout=write_timeout,
            mode=permissions(mode),
            wait=wait,
            global_=global_,
            owner=owner,
            own_channel=own_channel,
        )
        self._responses = ResponseLane(self._core)
        self._requests = RequestLane()
        remember(self)

    @property
    def channel(self) -> str:
        """The channel: that of the server, or, where it serves several clients, one of its own."""
        return self._core.channel

    @classmethod
    async def connect_async(cls, name: str, *, timeout: Optional[float] = 5.0, **options: Any) -> "Client":
        """Wait for the server, and for a place there, without blocking the event loop.

        Returns a connected client. The server is looked for at most 50 ms apart.
        """
        taken = ReaderAlreadyConnectedException
        return await connected(lambda: cls(name, timeout=0.0, **options), timeout, taken)

    def set_metadata(self, data: Any) -> None:
        """Write the metadata that the server can look at; once, before the first call."""
        self._core.set_metadata(data)

    def call(self, data: Any, timeout: Optional[float] = 5.0) -> Response:
        """Send a request and return its response.

        Args:
            data: bytes, anything with the buffer protocol, an array.
            timeout: seconds to wait for the response; None waits for ever.

        Raises:
            RemoteError: the handler failed.
            NoResponseException: the response has not come in time (a ``TimeoutError``).
            WriteTimeoutException: the request found no space within the write timeout (a
                ``TimeoutError``). ReaderDeadException, WriterDeadException: the server is gone (a
                ``ConnectionError``).
            ResponseTooLargeException: the response does not fit the response ring.
            ClosedException: the client is closed (a ``ConnectionError``).
        """
        return self._core._call(data, timeout)

    async def call_async(self, data: Any, timeout: Optional[float] = 5.0) -> Response:
        """As :meth:`call`, without blocking the event loop.

        ``data`` must not change before the call is over.
        """
        checked(timeout)
        core = self._core
        pending: PendingCall = await self._requests.send(
            lambda bell: core._try_submit(data) if bell is None else core._poll_submit(data, bell),
            lambda: core._submit(data),
            self._write_timeout,
        )
        response = await self._responses.wait(
            pending.sequence,
            lambda bell: pending.wait(0.0) if bell is None else pending._poll(bell),
            Deadline(timeout).end,
            lambda _: None,
        )
        if response is None:
            core._missing(pending.sequence, timeout)
        return response

    @property
    def is_server_connected(self) -> bool:
        """Whether a server reads requests and writes responses."""
        return self._core.is_server_connected

    def close(self) -> None:
        """Leave the server; blocked calls of other threads end at once. May be repeated."""
        core: Optional[DuplexClientBase] = self.__dict__.get("_core")
        if core is not None:
            self._closed = True
            core.close()

    def __repr__(self) -> str:
        if "_requests" not in self.__dict__:
            return "<Client, not connected>"
        return f"<Client of '{self.name}', {self._state()}, {self._counts()}>"

    def _counts(self) -> str:
        return f"{self._core._answered()} responses, {self._core._held()} held"

    def _state(self) -> str:
        return "closed" if self._closed else "connected" if self._core.is_server_connected else "server gone"

    def __del__(self) -> None:
        self.close()
