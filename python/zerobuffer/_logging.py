"""The package's loggers: silent by default; ``ZEROBUFFER_LOG_LEVEL`` makes them speak."""

import logging
import os
import warnings
from typing import Optional

from ._zerobuffer import _levels_changed

#: The variable that sets the level and prints to stderr.
VARIABLE = "ZEROBUFFER_LOG_LEVEL"

_LEVELS = {
    "DEBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "WARNING": logging.WARNING,
    "WARN": logging.WARNING,
    "ERROR": logging.ERROR,
    "CRITICAL": logging.CRITICAL,
    "FATAL": logging.CRITICAL,
}


class _LastResort(logging.StreamHandler):  # type: ignore[type-arg]
    """Prints to stderr until the application configures logging of its own."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print the record if no other handler takes it."""
        logger: Optional[logging.Logger] = logging.getLogger(record.name)
        while logger is not None:
            for handler in logger.handlers:
                if handler is not self and not isinstance(handler, logging.NullHandler):
                    return
            logger = logger.parent if logger.propagate else None
        super().emit(record)


class _Levels(dict[int, bool]):
    """What a logger remembers of its levels."""

    def clear(self) -> None:
        """Forget it; the compiled module hears of it.

        The logging package calls this when a level changes.
        """
        super().clear()
        _levels_changed()


def watched_levels(logger: logging.Logger) -> Optional[dict[int, bool]]:
    """Return what the logger remembers of its levels, from now on watched.

    None if it remembers nothing, being of another class.
    """
    if type(getattr(logger, "_cache", None)) is not dict:
        return None
    levels = _Levels()
    logger.__dict__["_cache"] = levels
    return levels


def configure() -> None:
    """Attach the null handler and obey the environment variable. Runs at import."""
    logger = logging.getLogger("zerobuffer")
    logger.addHandler(logging.NullHandler())
    value = os.environ.get(VARIABLE, "").strip()
    if not value:
        return
    level = _LEVELS.get(value.upper())
    if level is None:
        known = ", ".join(sorted(_LEVELS))
        warnings.warn(f"{VARIABLE}={value!r} is not a log level and is ignored: use {known}", stacklevel=3)
        return
    handler = _LastResort()
    handler.setFormatter(logging.Formatter("%(asctime)s - %(name)s - %(levelname)s - %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(level)
