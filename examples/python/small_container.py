"""A reader in a container, whose shared memory is 64 MiB by default.

The ring is as large as it may be, and the program says what it got. More room is an option of the
container. Docker has ``--shm-size=1g``, a compose file ``shm_size: 1g``. Kubernetes has an
``emptyDir`` of ``medium: Memory`` on ``/dev/shm``.

``python small_container.py NAME`` waits for a writer and counts its pictures.
"""

import sys

from zerobuffer import BufferConfig, Reader, ZeroBufferException

PICTURE = 1920 * 1080 * 3


def roomy(name: str, picture: int = PICTURE, wanted: int = 32) -> Reader:
    """Create a buffer for as many pictures as there is room for: at most so many, at least two."""
    pictures = wanted
    while True:
        try:
            # All memory is reserved here: too little is an error now, and not a crash later.
            return Reader(name, BufferConfig(4096, pictures * (picture + 16)))
        except ZeroBufferException as error:
            if "shared memory" not in str(error) or pictures <= 2:
                raise
            print(error)
            pictures = max(2, pictures // 2)


def count(name: str) -> int:
    """Count pictures until the writer has left."""
    with roomy(name) as reader:
        print(f"a ring of {reader.capacity // PICTURE} pictures", flush=True)
        for frame in reader:
            frame.dispose()
        return reader.frames_read


if __name__ == "__main__":
    print(f"{count(sys.argv[1])} pictures")
