"""LoRAs and their relatives in a checkpoint's weights: their differences added in place.

Copies of the weights they cover wait in main memory. A merge always starts from these, so taking LoRAs out
gives the checkpoint's own bytes back, and a picture made with them costs what one without them costs.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..addons import LoraUse
from ..addons.lora_files import tell_left_out
from ..addons.lora_names import UNET, Layer
from .components import Components
from .layer_names import find_layers
from .lora_reading import LoraChanges, read_lora
from .weight_changes import LayerChange


class Added(NamedTuple):
    """A change of one weight or bias, and how much of it is added."""

    scale: float
    change: LayerChange
    of_bias: bool

    def delta(self, own: Tensor) -> Tensor:
        """Return what is added to the checkpoint's own values."""
        add = self.change.bias_delta if self.of_bias else self.change.weight_delta
        return add(own, self.scale)


@dataclass(kw_only=True)
class MergePlan:
    """What is added to each weight, and what of the files is not used."""

    added: dict[nn.Parameter, list[Added]] = field(default_factory=dict)
    places: dict[nn.Parameter, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


class MergedLoras:
    """The LoRAs in one checkpoint's weights. `state` is hashable and tells two sets of weights apart."""

    def __init__(self, components: Components) -> None:
        self._components = components
        self._originals: dict[nn.Parameter, Tensor] = {}
        self.state: tuple[LoraUse, ...] = ()
        self.remarks: tuple[str, ...] = ()  # a sentence for each LoRA that has tensors which are not used

    @property
    def originals_beside(self) -> list[Tensor]:
        """Return the copies of covered weights that share a memory with the weights: on the CPU all."""
        return [copy for weight, copy in self._originals.items() if copy.device == weight.device]

    def exchange(self, uses: tuple[LoraUse, ...]) -> None:
        """Have exactly these LoRAs in the weights.

        Raise ValueError naming a file that does not fit; then nothing changed. Raise it too for scales with
        which a weight is beyond its type's numbers; then the checkpoint's own weights are back.
        """
        if uses == self.state:
            return
        plan = self._plan(uses)
        self.eject()
        try:
            if place := self._inject(plan):
                names = " and ".join(use.name for use in uses)
                raise ValueError(
                    f"prompt must scale LoRAs so that the model's numbers can hold the sum, and with {names}"
                    f" {place} gets too large (lower the scale)"
                )
        except BaseException:
            self.eject()
            raise
        self.state, self.remarks = uses, tuple(plan.remarks)

    @torch.no_grad()
    def eject(self) -> None:
        """Give the checkpoint its own bytes back."""
        for weight, original in self._originals.items():
            weight.copy_(original)
        self._originals.clear()
        self.state, self.remarks = (), ()

    @torch.no_grad()
    def _inject(self, plan: MergePlan) -> str:
        """Change the weights; stop at one that gets too large for its type, and return its name."""
        for weight, parts in plan.added.items():
            self._originals[weight] = weight.detach().to("cpu", copy=True)
            own = weight.detach().float()
            merged = own
            for part in parts:
                merged = merged + part.delta(own)
            weight.copy_(merged)
            # A checkpoint's own infinity is not the LoRA's fault.
            if not weight.isfinite().all() and self._originals[weight].isfinite().all():
                return plan.places[weight]
        return ""

    def _plan(self, uses: Iterable[LoraUse]) -> MergePlan:
        """Say what is added to each weight; nothing is touched."""
        known = find_layers(self._components)
        plan = MergePlan()
        for use in uses:
            try:
                _add(plan, use, read_lora(use.path), known)
            except ValueError as error:
                raise ValueError(
                    f"prompt must ask for LoRAs that fit the model, and {use.name} does not: {error}"
                ) from error
        return plan


def _add(plan: MergePlan, use: LoraUse, file: LoraChanges, known: dict[Layer, tuple[str, nn.Module]]) -> None:
    """Add a file to the plan. Raise ValueError if the model has other layers than it was made for.

    A few that do not fit are left out and named.
    """
    missing = [layer for layer in file.layers if layer not in known and not _is_beyond(layer)]
    misfits = [
        layer
        for layer, change in file.layers.items()
        if layer in known and not change.fits(*_weights_of(known[layer][1]))
    ]
    fitting = [layer for layer in file.layers if layer in known and layer not in misfits]
    if file.layers and (not fitting or (misfits and len(misfits) + len(missing) > len(fitting))):
        raise ValueError(_why_not(file, known, missing, misfits))
    for layer in fitting:
        place, module = known[layer]
        scale = use.unet_scale if layer.part == UNET else use.text_scale
        change = file.layers[layer]
        weight, bias = _weights_of(module)
        if not scale:
            continue
        if change.changes_weight:
            plan.added.setdefault(weight, []).append(Added(scale, change, of_bias=False))
            plan.places[weight] = place
        if change.changes_bias and bias is not None:
            plan.added.setdefault(bias, []).append(Added(scale, change, of_bias=True))
            plan.places[bias] = f"{place}.bias"
    left_out = [*file.left_out, *(name for layer in (*missing, *misfits) for name in file.names[layer])]
    if remark := tell_left_out(left_out, file.total):
        plan.remarks.append(f"{use.name}: {remark}.")


def _weights_of(module: nn.Module) -> tuple[nn.Parameter, nn.Parameter | None]:
    """Return a layer's weight and its bias, if it has one."""
    weight, bias = module.weight, getattr(module, "bias", None)
    assert isinstance(weight, nn.Parameter)
    return weight, bias if isinstance(bias, nn.Parameter) else None


def _is_beyond(layer: Layer) -> bool:
    """Tell a text encoder's layer: one may end before a LoRA's last layers, and what is not computed needs
    no change."""
    return layer.part != UNET and layer.name.startswith("encoder_layers_")


def _why_not(
    file: LoraChanges,
    known: dict[Layer, tuple[str, nn.Module]],
    missing: list[Layer],
    misfits: list[Layer],
) -> str:
    if not misfits:
        first = (missing or list(file.layers))[0]
        count = len(missing) or len(file.layers)
        return f"{count} of its {len(file.layers)} layers are not in it, for example {first}"
    first = misfits[0]
    place, module = known[first]
    shapes = " x ".join(str(shape) for role, shape in file.layers[first].shapes.items() if role != "alpha")
    return f"its {place} is {shapes}, and the model's is {tuple(_weights_of(module)[0].shape)}"
