"""The frame contents that the programs of all implementations agree on.

``random`` is this implementation's own.
"""

import random

PATTERNS = ("sequential", "random", "zero", "ones")


def pattern_bytes(pattern: str, index: int, size: int) -> bytes:
    """Return the content of frame ``index`` (from 0)."""
    if pattern == "sequential":
        lap = bytes((index + i) % 256 for i in range(256))
        return (lap * (size // 256 + 1))[:size]
    if pattern == "random":
        source = random.Random(index)
        return bytes(source.randint(0, 255) for _ in range(size))
    if pattern in ("zero", "ones"):
        return (b"\xff" if pattern == "ones" else b"\0") * size
    raise ValueError(f"unknown pattern {pattern!r}: use one of {', '.join(PATTERNS)}")
