"""Small programs for tests between implementations.

Run ``python -m zerobuffer.cross_platform.writer`` and ``.reader``.
"""

from collections.abc import Sequence
from typing import Optional

__all__ = ["reader_main", "writer_main"]


# Imported when called: Python warns if `-m` finds its module already imported by the package.


def writer_main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the writing program with ``argv`` or the command line; returns its exit code."""
    from .writer import main

    return main(argv)


def reader_main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the reading program with ``argv`` or the command line; returns its exit code."""
    from .reader import main

    return main(argv)
