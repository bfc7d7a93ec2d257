"""Small programs for tests between implementations: ``python -m zerobuffer.cross_platform.writer`` and ``.reader``."""

from .reader import main as reader_main
from .writer import main as writer_main

__all__ = ["reader_main", "writer_main"]
