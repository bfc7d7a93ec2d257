"""PyTorch computes on frames in the ring. Needs ``pip install torch``.

``torch.from_numpy(frame.array(...))`` and ``torch.from_dlpack(frame)`` are views of the ring and
keep the frame's space until the tensor is gone. (``torch.frombuffer(frame.data)`` keeps an address
only: give it the frame itself.)
"""

import sys

import numpy as np
import torch
from zerobuffer import Reader


def means(name: str) -> list[float]:
    """Return the mean of each frame of 32-bit floats."""
    result = []
    with Reader(name) as reader:
        for frame in reader:
            with frame:
                tensor = torch.from_numpy(frame.array(dtype=np.float32))
                result.append(float(tensor.mean()))
                del tensor
    return result


if __name__ == "__main__":
    print(means(sys.argv[1]))
