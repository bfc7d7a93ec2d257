"""PyTorch computes on frames in the ring; without PyTorch, NumPy takes them in the same way.

``torch.from_dlpack(frame)`` is a view of the ring, shaped by the stream's description, and keeps
the frame's space until the tensor is gone. (``torch.frombuffer(frame.data)`` keeps an address only:
give it the frame itself.) ``python torch_tensor.py NAME`` waits for a writer of arrays.
"""

import importlib
import sys
from typing import Any

from zerobuffer import Reader

library: Any
try:
    library = importlib.import_module("torch")
except ImportError as error:
    library = importlib.import_module("numpy")
    print(f"NumPy stands in for PyTorch: {error} (pip install torch)", file=sys.stderr)


def means(name: str) -> list[float]:
    """Return the mean of each frame."""
    result = []
    with Reader(name) as reader:
        for frame in reader:
            with frame:
                tensor: Any = library.from_dlpack(frame)
                result.append(float(tensor.mean()))
                # A tensor that stays keeps the frame's space: let it go, or clone it.
                del tensor
    return result


if __name__ == "__main__":
    print(means(sys.argv[1]))
