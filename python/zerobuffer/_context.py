"""What ``with`` and ``async with`` do with an endpoint."""

from types import TracebackType
from typing import Optional, TypeVar

__all__ = ["AsyncClosing", "AsyncContext", "Closing", "Context"]

_Thing = TypeVar("_Thing", bound="Context")
_AsyncThing = TypeVar("_AsyncThing", bound="AsyncContext")


class Context:
    """Begins and ends with the block of a ``with``."""

    def _begin(self) -> None:
        """Do what stands before the block."""

    def _end(self) -> None:
        """Do what stands behind it."""
        raise NotImplementedError

    def __enter__(self: _Thing) -> _Thing:
        """Return it."""
        self._begin()
        return self

    def __exit__(
        self,
        exc_type: Optional[type[BaseException]],
        exc_value: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        """End it."""
        self._end()


class AsyncContext(Context):
    """Begins and ends with the block of an ``async with``, too."""

    async def _begin_async(self) -> None:
        self._begin()

    async def _end_async(self) -> None:
        self._end()

    async def __aenter__(self: _AsyncThing) -> _AsyncThing:
        """Return it."""
        await self._begin_async()
        return self

    async def __aexit__(
        self,
        exc_type: Optional[type[BaseException]],
        exc_value: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        """End it."""
        await self._end_async()


class Closing(Context):
    """Closed at the end of ``with``."""

    def close(self) -> None:
        """Close it."""
        raise NotImplementedError

    def _end(self) -> None:
        self.close()


class AsyncClosing(Closing, AsyncContext):
    """Closed at the end of ``async with``, too."""
