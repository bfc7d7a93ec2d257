"""What ``with`` and ``async with`` do with an endpoint."""

from types import TracebackType
from typing import Optional, TypeVar

__all__ = ["AsyncClosing", "Closing"]

_Endpoint = TypeVar("_Endpoint", bound="Closing")
_AsyncEndpoint = TypeVar("_AsyncEndpoint", bound="AsyncClosing")


class Closing:
    """Closed at the end of ``with``."""

    def close(self) -> None:
        """Close it."""
        raise NotImplementedError

    def __enter__(self: _Endpoint) -> _Endpoint:
        """Return it."""
        return self

    def __exit__(
        self,
        exc_type: Optional[type[BaseException]],
        exc_value: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        """Close it."""
        self.close()


class AsyncClosing(Closing):
    """Closed at the end of ``async with``, too."""

    async def __aenter__(self: _AsyncEndpoint) -> _AsyncEndpoint:
        """Return it."""
        return self

    async def __aexit__(
        self,
        exc_type: Optional[type[BaseException]],
        exc_value: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        """Close it."""
        self.close()
