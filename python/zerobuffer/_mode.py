"""The permission bits of what an endpoint creates."""

import os
from typing import Optional

__all__ = ["permissions"]

#: The variable for programs whose calls cannot be changed.
VARIABLE = "ZEROBUFFER_MODE"
_OWN_USER = 0o600


def permissions(mode: Optional[int]) -> int:
    """Return ``mode``; without one, what the environment says; by default the own user's bits."""
    if mode is not None:
        return mode
    value = os.environ.get(VARIABLE, "").strip()
    if not value:
        return _OWN_USER
    try:
        bits = int(value.lower().replace("0o", "", 1), 8)
    except ValueError:
        bits = -1
    if not 0 <= bits <= 0o777:
        raise ValueError(f"{VARIABLE}={value!r} is no mode: give octal permission bits, as in {VARIABLE}=660")
    return bits
