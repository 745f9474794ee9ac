"""Where a model runs."""

import torch


def find_device(name: str) -> torch.device:
    """The torch device of a slot's device. A process that sees one GPU calls it cuda:0, whatever
    its number on the machine; "cpu:1" is the second worker on the same CPU."""
    kind, _, number = name.partition(":")
    if kind == "cuda":
        is_visible = int(number or 0) < torch.cuda.device_count()
        return torch.device("cuda", int(number or 0) if is_visible else 0)
    return torch.device("cpu")


def works_beside(device: torch.device) -> bool:
    """Whether `device` computes while this CPU plans: then steps overlap."""
    return device.type != "cpu"
