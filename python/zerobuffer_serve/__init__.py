"""Utilities for tests between implementations: unique buffer names, common frame contents."""

from zerobuffer import __version__

__all__ = ["__version__"]
