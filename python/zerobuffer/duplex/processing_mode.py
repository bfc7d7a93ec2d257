"""Where a server's handlers run."""

from enum import Enum

__all__ = ["ProcessingMode"]


class ProcessingMode(Enum):
    """Where handlers run."""

    #: In one thread, one request after the other.
    SINGLE_THREAD = "single_thread"
    #: In several threads at once; responses still go out in the order of their requests.
    THREAD_POOL = "thread_pool"
