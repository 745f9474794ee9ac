"""Numbers on their way between the host and the device, without waiting for either."""

from collections.abc import Sequence

import torch


def upload(
    numbers: Sequence[float], device: torch.device, dtype: torch.dtype = torch.int64
) -> torch.Tensor:
    """A tensor (numbers,) on `device`. For CUDA it goes through pinned memory: the host does not
    wait until the device has done what it was given before."""
    is_pinned = device.type == "cuda"
    tensor = torch.tensor(numbers, dtype=dtype, pin_memory=is_pinned)
    return tensor.to(device, non_blocking=is_pinned)


class Download:
    """A tensor that was sent to the host; `read` waits for it alone, not for what the device was
    given after it."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self._event: torch.cuda.Event | None = None
        self._tensor = tensor
        if tensor.device.type == "cuda":
            self._tensor = tensor.to("cpu", non_blocking=True)  # torch takes pinned memory for it
            self._event = torch.cuda.Event()
            self._event.record()

    def read(self) -> list[int]:
        """The numbers of a tensor (numbers,)."""
        if self._event is not None:
            self._event.synchronize()
        return self._tensor.tolist()
