"""One source, many subscribers."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Optional, Union

from ._context import Closing
from ._exit import remember
from ._zerobuffer import BroadcasterBase
from .exceptions import ZeroBufferException
from .writer import _Described, _nanosecond

if TYPE_CHECKING:
    from typing_extensions import TypeAlias

    from ._zerobuffer import _Data

__all__ = ["BroadcastStats", "Broadcaster", "Delivery", "Subscriber"]

#: What becomes of a frame for which a subscriber's ring has no room.
_Policy: "TypeAlias" = Union[Literal["drop", "block", "disconnect"], float]


class Delivery(NamedTuple):
    """Where one frame has gone."""

    #: Subscribers that have it in their rings.
    sent: int
    #: Subscribers that miss it, since their rings had no room for it.
    dropped: int
    #: Subscribers that had gone, or were disconnected over it.
    gone: int


class Subscriber(NamedTuple):
    """One connected subscriber, and what it has got."""

    #: Its buffer, ``NAME@SUBSCRIBER``.
    buffer: str
    #: The part of that name behind the ``@``.
    name: str
    #: What becomes of a frame for which its ring has no room, in words.
    policy: str
    #: Frames that it got.
    frames: int
    #: Their bytes, without headers.
    bytes: int
    #: Frames that it missed.
    dropped: int
    #: Times it was waited for.
    waits: int
    #: Seconds spent on that.
    blocked: float
    #: Fraction of its ring that is in use, 0.0 to 1.0.
    utilization: float
    #: What keeps it from getting everything: metadata or frames that do not fit; None if nothing.
    problem: Optional[str]


class BroadcastStats(NamedTuple):
    """Counters of a broadcast, over all subscribers that it has had."""

    #: Frames that were broadcast, also to nobody.
    frames: int
    #: Their bytes, without headers.
    bytes: int
    #: Copies in the rings of subscribers.
    sent: int
    #: Copies that were not made, since a ring had no room.
    dropped: int
    #: Subscribers that came.
    joined: int
    #: Subscribers that closed their buffers or died.
    left: int
    #: Subscribers that were disconnected.
    disconnected: int


class Broadcaster(BroadcasterBase, Closing):
    """Sends a stream to any number of subscribers.

    A subscriber is a reader that creates a buffer ``NAME@ANYTHING``: :meth:`Reader.subscribe`, or
    any implementation of the protocol, 1.3.0 included. Subscribers come and go as they like. Each
    gets the metadata, and a copy of each frame from its coming on::

        with zerobuffer.Broadcaster("camera") as camera:
            camera.set_metadata(caps)
            for picture in pictures:
                camera.write_frame(picture)

    A subscriber that is slow, stopped or killed never delays the others. It misses frames, unless
    its policy says otherwise.

    A broadcaster may be used from several threads. Waiting calls let other Python threads run,
    answer Ctrl-C within 100 ms, and end as soon as another thread calls :meth:`close`.

    Args:
        name: name of the broadcast, 1 to 243 bytes, no ``/``.
        policy: what becomes of a frame for which a subscriber's ring has no room. ``"drop"``: that
            subscriber misses it, which is counted. ``"disconnect"``: that subscriber is
            disconnected, until it creates its buffer anew. A number: it is waited for, so many
            seconds, once all others have the frame; ``"block"`` stands for 5 seconds. One that
            has let its time pass is not waited for again until it takes a frame.
        policies: the same for some subscribers, by the part of the name behind the ``@``. A ``*``
            at the end stands for anything. The first that fits counts.
        owner: whose buffers get frames, as for :class:`Writer`.
        wait: ``"adaptive"``, ``"block"`` or ``"spin"``, for waits for a subscriber.
        max_subscribers: how many are connected at once. Further ones wait until one leaves.

    Raises:
        InvalidNameException: no such name is possible.
        ValueError: an option is not known.
    """

    def __new__(
        cls,
        name: str,
        *,
        policy: _Policy = "drop",
        policies: Optional[Mapping[str, _Policy]] = None,
        owner: Union[int, Literal["trusted", "any"], None] = None,
        wait: Literal["adaptive", "block", "spin"] = "adaptive",
        max_subscribers: int = 64,
    ) -> "Broadcaster":
        """Start the broadcast."""
        own = [] if policies is None else list(policies.items())
        self = super().__new__(cls, name, policy, own, owner, wait, max_subscribers)
        remember(self)
        return self

    #: The metadata that :meth:`set_metadata` has set, and how often that was.
    _given: tuple[int, Optional[_Described]] = (0, None)
    #: The metadata of :meth:`write_array`, for arrays of the kind that came last.
    _own: Optional[_Described] = None

    def write_frame(self, data: "_Data") -> Delivery:
        """Copy one frame into the ring of each subscriber.

        Args:
            data: as for :meth:`Writer.write_frame`.

        Returns:
            How many subscribers got the frame, miss it, and are gone.

        Raises:
            InvalidFrameSizeException: the frame is empty.
            ClosedException: the broadcaster is closed.
            TypeError: as for :meth:`Writer.write_frame`.
        """
        return Delivery(*self._write(data, None, None, None))

    def write_array(self, array: Any, *, timestamp: Optional[int] = None) -> Delivery:
        """Copy an array to each subscriber; ``frame.array()`` there has its shape and dtype.

        Shape and dtype go into the metadata. An array of another kind changes them, and each
        subscriber sees that with the first such frame. Metadata of :meth:`set_metadata` stay as
        they are: an array that does not fit them is refused. Where another thread sets metadata
        meanwhile, each call sees those of all calls whose turn was before.

        Args:
            array: as for :meth:`Writer.write_array`.
            timestamp: the frame's time in nanoseconds (``time.time_ns()``), which goes into a stamp
                in front of the elements, with the number of the frame. Subscribers see from that
                number what they have missed.

        Returns:
            How many subscribers got the frame, miss it, and are gone.

        Raises:
            ValueError: the array does not fit the metadata. Nothing is written.
            TypeError: an array of Python objects.
            InvalidFrameSizeException: the array is empty, and has no stamp.
            ClosedException: the broadcaster is closed.
        """
        from ._array import taken_array

        if timestamp is not None:
            timestamp = _nanosecond(timestamp)
        taken = taken_array(array)
        stamped = timestamp is not None
        while True:
            # Another thread may set metadata until this call has its turn.
            times, given = self._look()
            metadata = None
            if given is not None:
                given.check(self.name, taken, stamped, remedy="set other metadata, or use write_frame")
            else:
                metadata = self._described(taken, stamped)
            sent = self._write(taken, timestamp, metadata, times)
            if sent is not None:
                return Delivery(*sent)

    def _look(self) -> "tuple[int, Optional[_Described]]":
        """Return how often metadata were set, and the last ones."""
        given = self._given
        newer = self._metadata_since(given[0])
        if newer is not None:
            times, data = newer
            self._given = given = (times, _Described(data))
        return given

    def _described(self, array: Any, stamped: bool) -> bytes:
        """Return metadata for arrays of this kind."""
        own = self._own
        if own is None or (own.shape, own.dtype, own.stamped) != (array.shape, array.dtype.str, stamped):
            self._own = own = _Described.of(array.shape, array.dtype.str, stamped)
        return own.metadata

    def set_metadata(self, data: "_Data") -> None:
        """Set the metadata of the stream, for the subscribers that are there and that come.

        May be called again with other bytes: a subscriber sees them with the first frame behind
        them. Until it has taken the frames before, its ring counts as full. A subscriber of another
        implementation sees metadata once in the life of its buffer, and is disconnected by other
        ones.

        Raises:
            ClosedException: the broadcaster is closed.
        """
        super().set_metadata(data)

    @property
    def subscribers(self) -> list[Subscriber]:
        """The subscribers that are connected, and what each has got."""
        return [Subscriber(*row) for row in self._subscribers()]

    @property
    def stats(self) -> BroadcastStats:
        """Counters since the start."""
        return BroadcastStats(*self._stats())

    def __repr__(self) -> str:
        """Return name, state and counts."""
        state = "closed"
        if not self.closed:
            try:
                state = f"{len(self._subscribers())} subscribers"
            except ZeroBufferException:
                state = "of the parent process"
        stats = self.stats
        return f"<Broadcaster '{self.name}', {state}, {stats.frames} frames written, {stats.dropped} copies dropped>"

    def __del__(self) -> None:
        """Close it."""
        self.close()
