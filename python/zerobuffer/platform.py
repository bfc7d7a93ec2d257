"""Not a module any more: importing it says where its users go."""

from ._removed import error

raise error("zerobuffer.platform")
