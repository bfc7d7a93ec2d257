"""What an error handler is given."""


class ErrorEventArgs:
    """Carries the exception of an error event.

    Args:
        exception: what went wrong.

    Raises:
        TypeError: ``exception`` is not an :class:`Exception`.
    """

    def __init__(self, exception: Exception) -> None:
        if not isinstance(exception, Exception):
            raise TypeError(f"exception must be an Exception, not {type(exception).__name__}")
        self._exception = exception

    @property
    def exception(self) -> Exception:
        """What went wrong."""
        return self._exception

    def __str__(self) -> str:
        return f"ErrorEventArgs({type(self._exception).__name__}: {self._exception})"

    def __repr__(self) -> str:
        return f"ErrorEventArgs(exception={self._exception!r})"
