"""One model in memory, as the model manager keeps it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from ..speed import FastUNet
from .applied_addons import AppliedAddons
from .caches import cached_bytes
from .components import Components
from .device_memory import count_bytes, networks_in


@dataclass(kw_only=True, eq=False)
class Checkpoint:
    """One model in memory: its parts and what belongs to them; or something else, as a CLIP is."""

    name: str
    components: Components = field(default_factory=Components)
    lent: object = None  # what is no checkpoint, and holds networks
    scheduler_config: Mapping[str, object] = field(default_factory=dict)  # the original one
    fast_unet: FastUNet | None = None  # how jobs call the U-Net
    addons: AppliedAddons | None = None  # what jobs added to it
    kept: dict[str, torch.nn.Module | torch.Tensor] = field(default_factory=dict)  # what others keep for it
    offloads: bool | None = None  # parts visit the device one by one; None: not placed yet

    @property
    def networks(self) -> list[torch.nn.Module]:
        """Return the networks of the model; of what holds some, as a CLIP does, those it holds."""
        return [network for part in (*self.components.values(), self.lent) for network in networks_in(part)]

    @property
    def size_bytes(self) -> int:
        """Return what it takes now: weights, what is kept for it, and its networks' results in caches.py."""
        added = self.addons.held if self.addons else []
        weights = count_bytes([*self.networks, *self.kept.values(), *added])
        return weights + sum(cached_bytes(network) for network in self.all_networks)

    @property
    def all_networks(self) -> list[torch.nn.Module]:
        """Return the networks of the model and those that jobs added to it."""
        return [*self.networks, *(self.addons.networks if self.addons else [])]
