"""Parts that wait in main memory and visit the device one by one, by accelerate's hooks."""

from collections.abc import Iterable, Sequence

import torch
from accelerate import cpu_offload_with_hook
from accelerate.hooks import remove_hook_from_module
from torch import nn

from .device_memory import collect_memory


def offload(networks: Sequence[nn.Module], device: torch.device) -> None:
    """Send networks to main memory; each comes when it is called, and goes when the next one of them is."""
    take_back(networks)
    collect_memory()
    hook = None
    for network in networks:
        _, hook = cpu_offload_with_hook(network, device, prev_module_hook=hook)


def take_back(networks: Iterable[nn.Module]) -> None:
    """Bring networks to main memory, where they stay."""
    for network in networks:
        remove_hooks([network])
        network.to("cpu")


def remove_hooks(networks: Iterable[nn.Module]) -> None:
    """Make networks plain ones again; they stay where they are."""
    for network in networks:
        if hasattr(network, "_hf_hook"):
            remove_hook_from_module(network, recurse=True)
            # accelerate leaves the class's own forward in the instance, which looks like somebody else's.
            vars(network).pop("forward", None)
