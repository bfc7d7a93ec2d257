"""What a client receives."""

from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Optional

from ..types import Frame

if TYPE_CHECKING:
    import numpy as np

__all__ = ["DuplexResponse"]


@dataclass
class DuplexResponse:
    """A response: the sequence number of its request, and its bytes in the response ring.

    False, and not valid, if there was none in time.
    """

    sequence: int
    data: Optional[memoryview]
    _frame: Optional[Frame] = None
    #: Why there is no response: what the handler raised (:class:`RemoteError`), or a response that
    #: did not fit. None if there is one, or if it has not come in time.
    error: Optional[Exception] = field(default=None, compare=False)

    @property
    def is_valid(self) -> bool:
        """Whether there is a response; not any more once disposed."""
        return len(self) > 0

    def to_bytes(self) -> bytes:
        """Return a copy of the bytes; ``ValueError`` once disposed."""
        return b"" if self.data is None else bytes(self.data)

    def array(self, shape: Any = None, dtype: Any = None) -> "np.ndarray[Any, Any]":
        """Return the response as a NumPy array on the ring, as :meth:`Frame.array` does."""
        if self._frame is None:
            raise ValueError("there is no response, or it has been disposed")
        return self._frame.array(shape, dtype)

    def __array__(self, dtype: Any = None, copy: Optional[bool] = None) -> "np.ndarray[Any, Any]":
        if self._frame is None:
            raise ValueError("there is no response, or it has been disposed")
        return self._frame.__array__(dtype, copy)

    def __bytes__(self) -> bytes:
        return self.to_bytes()

    def dispose(self) -> None:
        """Return the response's space to the ring; ``data`` is released. Idempotent."""
        frame, self._frame = self._frame, None
        if frame is not None:
            self._size = 0
            frame.dispose()

    def __len__(self) -> int:
        size: int = self.__dict__.get("_size", -1)
        if size < 0:
            size = 0 if self.data is None else self.data.nbytes
        return size

    def __enter__(self) -> "DuplexResponse":
        return self

    def __exit__(
        self,
        exc_type: Optional[type[BaseException]],
        exc_value: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.dispose()
