"""Buffer names that no other test run uses."""

import logging
import os
import time
from typing import Optional


class BufferNamingService:
    """Gives each base name a name of its own for this test run.

    The run is ``<HARMONY_HOST_PID>_<HARMONY_FEATURE_ID>`` if both variables are set and not empty,
    so processes of one Harmony run agree; else ``<pid>_<nanoseconds>``, which differs between
    instances.

    Args:
        logger: where the chosen run is logged, at DEBUG; the module's logger by default.
    """

    def __init__(self, logger: Optional[logging.Logger] = None) -> None:
        self._logger = logger if logger is not None else logging.getLogger(__name__)
        self._names: dict[str, str] = {}
        host, feature = os.environ.get("HARMONY_HOST_PID"), os.environ.get("HARMONY_FEATURE_ID")
        if host and feature:
            self._run = f"{host}_{feature}"
        else:
            self._run = f"{os.getpid()}_{time.time_ns()}"
        self._logger.debug("Test run: %s", self._run)

    def get_buffer_name(self, base_name: str) -> str:
        """Return ``<base_name>_<run>``, always the same for the same base name."""
        return self._names.setdefault(base_name, f"{base_name}_{self._run}")

    def clear_cache(self) -> None:
        """Forget the names given out; the run, and so the names to come, stay the same."""
        self._names.clear()
        self._logger.debug("Forgot all names")
