"""Parts that wait in main memory and visit the device one by one, by accelerate's hooks."""

from collections.abc import Iterable, Sequence

import torch
from accelerate.hooks import ModelHook, add_hook_to_module, remove_hook_from_module
from accelerate.utils import send_to_device
from accelerate.utils.memory import clear_device_cache
from torch import nn

from .device_memory import collect_memory, lies_wholly_on

MAIN_MEMORY = torch.device("cpu")


class Visit(ModelHook):
    """Brings a network to the device when it is called, and sends every other one of its company back.

    accelerate's own hook sends back one other network, the one called before in a plain run, and takes a
    network for moved whose first weight is: where a picture is encoded first, or memory ran out on the way,
    that is not enough.
    """

    def __init__(self, device: torch.device, company: Sequence[nn.Module]) -> None:
        self.device, self.company = device, company

    def pre_forward(
        self, module: nn.Module, *args: object, **kwargs: object
    ) -> tuple[tuple[object, ...], dict[str, object]]:
        others = [other for other in self.company if other is not module]
        if leaving := [other for other in others if not lies_wholly_on(other, MAIN_MEMORY)]:
            for other in leaving:
                other.to(MAIN_MEMORY)
            clear_device_cache()
        module.to(self.device)
        return send_to_device(args, self.device), send_to_device(kwargs, self.device)


def offload(networks: Sequence[nn.Module], device: torch.device) -> None:
    """Send networks to main memory; each comes when it is called, and then the others go."""
    take_back(networks)
    collect_memory()
    for network in networks:
        add_hook_to_module(network, Visit(device, networks))


def take_back(networks: Iterable[nn.Module]) -> None:
    """Bring networks to main memory, where they stay; also those that lie half here, half there."""
    for network in networks:
        remove_hooks([network])
        network.to(MAIN_MEMORY)


def remove_hooks(networks: Iterable[nn.Module]) -> None:
    """Make networks plain ones again; they stay where they are."""
    for network in networks:
        if hasattr(network, "_hf_hook"):
            remove_hook_from_module(network, recurse=True)
            # accelerate leaves the class's own forward in the instance, which looks like somebody else's.
            vars(network).pop("forward", None)
