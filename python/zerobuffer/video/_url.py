"""Connection strings of the existing video clients: ``shm://name?size=256MB&metadata=4KB&mode=OneWay&timeout=5000``."""

import re
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

_SIZE = re.compile(r"([\d.,]+)\s*([KMGTPE]?)B?")


class Connection(NamedTuple):
    """What a connection string says."""

    name: str
    buffer_size: int = 256 << 20
    metadata_size: int = 4 << 10
    #: Seconds.
    timeout: float = 5.0


def _size(key: str, text: str) -> int:
    match = _SIZE.fullmatch(text.strip().upper())
    try:
        number = float(match[1].replace(",", "")) if match else -1.0
    except ValueError:
        number = -1.0
    if match is None or number < 0:
        raise ValueError(f"'{key}={text}' is no size: write a number and a unit, as in 256MB or 4KB")
    return int(number * 1024 ** " KMGTPE".index(match[2] or " "))


def parse(url: str) -> Connection:
    """Read a connection string; ValueError, with the remedy, if it is none for a one-way stream."""
    parts = urlsplit(url)
    if parts.scheme.lower() != "shm":
        raise ValueError(f"'{url}' is not in shared memory: a buffer is written as shm://name?size=256MB&metadata=4KB")
    # Not `hostname`, which is lower case; a name in a URL may be percent-encoded.
    name = unquote(parts.netloc + parts.path).rstrip("/")
    if not name:
        raise ValueError(f"'{url}' names no buffer: write shm://name")
    connection = Connection(name)
    for key, value in parse_qsl(parts.query, keep_blank_values=True):
        key = key.lower()
        if key == "size":
            connection = connection._replace(buffer_size=_size(key, value))
        elif key == "metadata":
            connection = connection._replace(metadata_size=_size(key, value))
        elif key == "timeout":
            if not value.strip().isdigit():
                raise ValueError(f"'timeout={value}' is no number of milliseconds, in '{url}'")
            connection = connection._replace(timeout=int(value) / 1000)
        elif key == "mode" and value.lower().replace("_", "") != "oneway":
            raise ValueError(
                f"'mode={value}' in '{url}': VideoReader and VideoWriter carry pictures one way (mode=OneWay); "
                "a duplex channel is served by zerobuffer.Server"
            )
    return connection
