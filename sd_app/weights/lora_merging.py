"""LoRAs in a checkpoint's weights: scale * alpha/rank * up @ down added in place (Hu et al. 2021).

Copies of the weights they cover wait in main memory. A merge always starts from these, so taking LoRAs out
gives the checkpoint's own bytes back, and a picture made with them costs what one without them costs.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers.configuration_utils import FrozenDict
from diffusers.loaders import StableDiffusionLoraLoaderMixin
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from ..addons import LoraUse
from ..user_files import reason_of
from .components import Components

PARTS = ("unet", "text_encoder", "text_encoder_2")
TEXT_MODEL = "text_model."  # some of transformers' classes keep the encoder under this name, some do not

MAX_ALPHA = 1e6  # times the rank; trainers write 0.1 to a few

_FACTOR = re.compile(r"(.+?)[._]lora(?:_linear_layer)?[._](down|up|A|B)(?:\.\w+)?\.weight")
_ALPHA = re.compile(r"(.+?)(?:[._]lora(?:_linear_layer)?\.down\.weight)?\.alpha")
_BEYOND = re.compile(r"text_encoder(?:_2)?\.encoder\.layers\.\d+\.")
# diffusers' older names of an attention's four matrices: those of its processor.
_ATTENTION = {"to_q": "q_proj", "to_k": "k_proj", "to_v": "v_proj", "to_out": "out_proj"}


@dataclass(kw_only=True)
class Factors:
    """What a LoRA adds to one weight: factor * up @ down, of (out, rank) and (rank, in...)."""

    up: Tensor | None = None
    down: Tensor | None = None
    alpha: float | None = None

    def delta(self, weight: Tensor, scale: float) -> Tensor:
        """Return scale * alpha/rank * up @ down in float32, of the weight's shape."""
        assert self.up is not None
        assert self.down is not None
        up, down = (factor.to(weight.device, torch.float32) for factor in (self.up, self.down))
        factor = scale * (1.0 if self.alpha is None else self.alpha / len(down))
        return (factor * (up.flatten(1) @ down.flatten(1))).reshape(weight.shape)

    def fits(self, weight: Tensor) -> bool:
        """Tell whether both factors are there and make the weight's shape."""
        if self.up is None or self.down is None or self.up.ndim < 2 or self.down.ndim < 2:
            return False
        if not self.down.numel():
            return False
        rows, columns = weight.shape[0], weight[0].numel()
        return self.up.flatten(1).shape == (rows, len(self.down)) and self.down[0].numel() == columns


class MergedLoras:
    """The LoRAs in one checkpoint's weights. `state` is hashable and tells two sets of weights apart."""

    def __init__(self, components: Components) -> None:
        self._components = components
        self._originals: dict[nn.Parameter, Tensor] = {}
        self.state: tuple[LoraUse, ...] = ()

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
        self.state = uses

    @torch.no_grad()
    def eject(self) -> None:
        """Give the checkpoint its own bytes back."""
        for weight, original in self._originals.items():
            weight.copy_(original)
        self._originals.clear()
        self.state = ()

    @torch.no_grad()
    def _inject(self, plan: dict[nn.Parameter, list[tuple[float, Factors]]]) -> str:
        """Change the weights; stop at one that gets too large for its type, and return its name."""
        for weight, parts in plan.items():
            self._originals[weight] = weight.detach().to("cpu", copy=True)
            merged = weight.float()
            for scale, factors in parts:
                merged = merged + factors.delta(weight, scale)
            weight.copy_(merged)
            # A checkpoint's own infinity is not the LoRA's fault.
            if not weight.isfinite().all() and self._originals[weight].isfinite().all():
                return next(place for place, known in self._weights().items() if known is weight)
        return ""

    def _plan(self, uses: Iterable[LoraUse]) -> dict[nn.Parameter, list[tuple[float, Factors]]]:
        """Say what is added to each weight; nothing is touched."""
        weights = self._weights()
        plan: dict[nn.Parameter, list[tuple[float, Factors]]] = {}
        for use in uses:
            try:
                layers = read_lora(use.path, self._components["unet"].config)
                for place, factors in _matched(layers, weights).items():
                    scale = use.unet_scale if place.startswith("unet.") else use.text_scale
                    if scale:
                        plan.setdefault(weights[place], []).append((scale, factors))
            except ValueError as error:
                raise ValueError(
                    f"prompt must ask for LoRAs that fit the model, and {use.name} does not: {error}"
                ) from error
        return plan

    def _weights(self) -> dict[str, nn.Parameter]:
        """Return all weights a LoRA can change, by part and layer."""
        return {
            f"{part}.{name.removeprefix(TEXT_MODEL)}": layer.weight
            for part in PARTS
            if isinstance(network := self._components.get(part), nn.Module)
            for name, layer in network.named_modules()
            if isinstance(layer, nn.Linear | nn.Conv2d) and isinstance(layer.weight, nn.Parameter)
        }


def read_lora(path: Path, unet_config: FrozenDict) -> dict[str, Factors]:
    """Read a LoRA's factors by part and layer, `unet.mid_block...to_q`, from any of the names in use.

    Raise ValueError for tensors that make no LoRA, or if the file cannot be read.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ValueError(f"it cannot be read: {reason_of(error, path)}") from error
    alphas = {name: tensors.pop(name) for name in list(tensors) if _is_plain_alpha(name)}
    try:
        # diffusers' conversion knows kohya's names and those of SDXL's original blocks.
        converted, more_alphas = StableDiffusionLoraLoaderMixin.lora_state_dict(
            tensors, unet_config=unet_config
        )
    except (ValueError, KeyError, IndexError) as error:
        raise ValueError(f"it has tensors of unknown names: {str(error)[:200]}") from error
    layers: dict[str, Factors] = {}
    for name, tensor in converted.items():
        match = _FACTOR.fullmatch(name)
        if not match:
            raise ValueError(f"it has a tensor of an unknown name: {name[:200]}")
        if not torch.isfinite(tensor.float()).all():
            raise ValueError(f"it has a value that is no number, in {name[:200]}")
        side = "down" if match[2] in ("down", "A") else "up"
        setattr(layers.setdefault(_place(match[1]), Factors()), side, tensor)
    for name, alpha in {**alphas, **(more_alphas or {})}.items():
        match = _ALPHA.fullmatch(name)
        if match and (factors := layers.get(_place(match[1]))):
            factors.alpha = float(alpha)
    _read_peft_alphas(layers, metadata)
    for place, factors in layers.items():
        rank = len(factors.down) if factors.down is not None and factors.down.ndim else 1
        if factors.alpha is not None and not abs(factors.alpha) <= MAX_ALPHA * rank:  # nor is NaN
            raise ValueError(f"its {place} has the alpha {factors.alpha:g} for the rank {rank}")
    return layers


def _is_plain_alpha(name: str) -> bool:
    """Tell an alpha under diffusers' own names; kohya's are turned together with their factors."""
    return name.endswith(".alpha") and not name.startswith("lora_")


def _place(name: str) -> str:
    """Return the layer that a factor's name means in the loaded networks, its part first: `unet.conv_in`."""
    name = name.removeprefix("base_model.model.").replace(".processor.", ".")
    part, dot, rest = name.partition(".")
    if not dot or part not in PARTS:
        part, rest = ("text_encoder" if name.startswith(TEXT_MODEL) else "unet"), name
    rest = rest.removeprefix("base_model.model.")
    if part == "unet":
        return f"unet.{rest}.0" if rest.endswith(".to_out") else f"unet.{rest}"
    before, dot, last = rest.removeprefix(TEXT_MODEL).rpartition(".")
    return f"{part}.{before}{dot}{_ATTENTION.get(last, last)}"


def _read_peft_alphas(layers: dict[str, Factors], metadata: Mapping[str, str]) -> None:
    """Take alpha from what newer versions of diffusers write into the file; without it alpha is the rank."""
    try:
        known = json.loads(metadata.get("lora_adapter_metadata", "{}"))
        for place, factors in layers.items():
            part, _, rest = place.partition(".")
            patterns = known.get(f"{part}.alpha_pattern") or {}
            alpha = next(
                (value for key, value in patterns.items() if rest.endswith(key.removeprefix(TEXT_MODEL))),
                known.get(f"{part}.lora_alpha"),
            )
            if alpha is not None and factors.alpha is None and factors.down is not None:
                # Rank-stabilised ones divide by the root of the rank (Kalajdzievski 2023).
                root = len(factors.down) ** 0.5 if known.get(f"{part}.use_rslora") else 1.0
                factors.alpha = float(alpha) * root
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"what it says of its alpha cannot be read: {error}") from error


def _matched(layers: dict[str, Factors], weights: Mapping[str, Tensor]) -> dict[str, Factors]:
    """Return the layers that the networks have. Raise ValueError unless that is all of them.

    Text encoders may end before a LoRA's last layers: what is not computed needs no change.
    """
    known = {place: factors for place, factors in layers.items() if place in weights}
    missing = [place for place in layers if place not in weights and not _BEYOND.match(place)]
    if missing or not known:
        first = (missing or list(layers))[0]
        raise ValueError(
            f"{len(layers) - len(known)} of its {len(layers)} layers are not in it, {first} for one"
        )
    for place, factors in known.items():
        if not factors.fits(weights[place]):
            shapes = [
                tuple(one.shape) if one is not None else "missing" for one in (factors.up, factors.down)
            ]
            raise ValueError(
                f"its {place} is {shapes[0]} x {shapes[1]}, and the model's is {tuple(weights[place].shape)}"
            )
    return known
