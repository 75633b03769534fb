"""What a part of the U-Net gives at each step, as a picture that a person can look at.

Of parts of at least 8x8 places the first three principal components of the channels are red, green and blue
(Tumanyan et al. 2023, plug-and-play features); each step's basis is turned to agree with its neighbour's, so
that a colour means the same at all steps and nothing flickers. Smaller parts are bars: each channel's mean
over the places. Blocks that were recorded need no model; any other part is asked again on the recorded x_t.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
from diffusers import UNet2DConditionModel
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor, nn

from ..probes.features import Components, num_components
from ..probes.levels import MAX_FEATURE_CELLS, Block
from ..probes.maps import pool
from ..probes.recording import Recording
from .look import Look
from .unet_parts import ask_again, first_tensor, modules_of

Floats = NDArray[np.float32]

LEAST_SIDE = 8  # places along the shorter side from which on there is something to see
COLORS = 3  # components that are shown
LOW, HIGH = 2.0, 98.0  # percentiles that become 0 and 255
SETTLED = 0.8  # correlation with the last step from which on a part shows what it shows in the end
BAR_COLOR, BAR_HEIGHT, BAR_WIDTH = (60, 110, 170), 120, 2


@dataclass(frozen=True, kw_only=True, eq=False)
class Activation:
    """What one part gave at some calls; either components or bars."""

    part: str
    calls: tuple[int, ...]
    side: tuple[int, int]  # (height, width) in places, as it is kept
    channels: int | None  # None: from a recording, which does not say
    components: Floats | None  # (calls, 3, h, w); None for parts that are too small to be seen
    shares: Floats | None  # (calls, 3): of the variance
    bars: Floats | None  # (calls, channels): each channel's mean over the places

    def picture(self, index: int) -> Image.Image:
        """Return what it gave at one of its calls: a pixel a place, or bars."""
        if self.components is not None:
            return colored(self.components[index])
        assert self.bars is not None
        return bar_chart(self.bars[index], float(np.abs(self.bars).max()))

    @property
    def settles(self) -> int | None:
        """Return the first of its calls from which on it shows what it shows at last; None for bars."""
        if self.components is None:
            return None
        alike = [likeness(one, self.components[-1]) >= SETTLED for one in self.components]
        other = [index for index, same in enumerate(alike) if not same]
        return self.calls[other[-1] + 1 if other else 0]


def colored(components: Floats) -> Image.Image:
    """Return up to three components, (3 or fewer, h, w), in colour; percentiles 2 to 98 become 0 to 255."""
    low, high = (np.percentile(components, at, axis=(1, 2), keepdims=True) for at in (LOW, HIGH))
    spread = np.where(high > low, high - low, 1)
    pixels = np.clip((components - low) / spread, 0, 1) * 255
    missing = COLORS - len(pixels)
    pixels = np.concatenate([pixels, np.full((missing, *pixels.shape[1:]), 128.0)])
    return Image.fromarray(np.rint(pixels.transpose(1, 2, 0)).astype(np.uint8))


def bar_chart(means: Floats, limit: float) -> Image.Image:
    """Draw each channel's mean as a bar up or down from the middle; `limit` is the whole height."""
    page = Image.new("RGB", (max(1, len(means)) * BAR_WIDTH, BAR_HEIGHT), "white")
    pen = ImageDraw.Draw(page)
    middle = BAR_HEIGHT // 2
    pen.line((0, middle, page.width, middle), fill=(190, 190, 190))
    for number, mean in enumerate(means):
        reach = round(float(mean) / limit * (middle - 1)) if limit else 0
        upper, lower = sorted((middle, middle - reach))
        left = number * BAR_WIDTH
        pen.rectangle((left, upper, left + BAR_WIDTH - 1, lower), fill=BAR_COLOR)
    return page


def likeness(one: Floats, other: Floats) -> float:
    """Return the correlation of two sets of components as maps, -1..1; each is centred over its places."""
    a, b = (each - each.mean(axis=(1, 2), keepdims=True) for each in (one, other))
    norm = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return float((a * b).sum()) / norm if norm else 1.0


def recorded_blocks(recording: Recording) -> tuple[str, ...]:
    """Return the blocks that can be shown without the model: those recorded with enough places."""
    features = recording.features
    if features is None:
        return ()
    return tuple(block for block in features.blocks if is_seen(tuple(features.at(block, 0).shape[-2:])))


def is_seen(side: Sequence[int]) -> bool:
    """Tell whether so many places, (height, width), are enough to see something."""
    return min(side) >= LEAST_SIDE


def recorded_activation(recording: Recording, block: str) -> Activation:
    """Return a recorded block's activations at all calls, without the model."""
    assert recording.features
    components = recording.features.components[block][:, :COLORS].float().numpy()
    return Activation(
        part=block,
        calls=tuple(range(recording.num_calls)),
        side=(components.shape[-2], components.shape[-1]),
        channels=None,
        components=components,
        shares=recording.features.shares[block][:, :COLORS].numpy(),
        bars=None,
    )


def activations(
    look: Look, parts: Sequence[str], calls: Sequence[int] | None = None
) -> dict[str, Activation]:
    """Return what parts of the U-Net give in the half with the prompt, asked again on the recorded x_t.

    By default at all calls. Hooks note it and are gone afterwards. Raise ValueError for a name that is none.
    """
    calls = tuple(range(look.recording.num_calls) if calls is None else calls)
    followed: dict[str, _Followed] = {}
    passed: dict[str, Tensor] = {}
    with look.pipe() as pipe:
        known = shown_modules(pipe.unet)
        if unknown := [name for name in parts if name not in known]:
            raise ValueError(f"part must be one of the U-Net's, got {unknown[0]} (see the drawing)")

        def on_call(call: int, answer: Tensor) -> None:
            for name, features in passed.items():
                if name not in followed:
                    followed[name] = _Followed(name, known[name], features)
                followed[name].add(features)
            passed.clear()

        with ExitStack() as stack:
            for name in parts:
                stack.callback(known[name].register_forward_hook(_taking(name, passed)).remove)
            ask_again(look, calls, on_call)
    return {name: followed[name].finished(calls) for name in parts if name in followed}


def shown_modules(unet: UNet2DConditionModel) -> dict[str, nn.Module]:
    """Return all that can be asked for, by name: the drawing's parts, and whole blocks."""
    found = modules_of(unet)
    blocks = dict.fromkeys(name.rpartition(".")[0].rpartition(".")[0] for name in found)
    return found | {name: unet.get_submodule(name) for name in blocks if name}


def _taking(name: str, passed: dict[str, Tensor]) -> Callable[..., None]:
    def take(module: nn.Module, given: object, output: object) -> None:
        passed.setdefault(name, first_tensor(output)[0])

    return take


class _Followed:
    """One part's outputs call by call, as they are reduced."""

    def __init__(self, name: str, module: nn.Module, features: Tensor) -> None:
        self._name, self._channels = name, features.shape[0]
        self._side = (features.shape[-2], features.shape[-1])
        self._bars: list[Floats] = []
        self._components: Components | None = None
        if is_seen(self._side):
            block = Block(name=name, channels=self._channels, side=self._side, module=module)
            self._components = Components(num_components(block))

    def add(self, features: Tensor) -> None:
        pooled = pool(features.float()[None], MAX_FEATURE_CELLS)[0]
        self._side = pooled.shape[-2], pooled.shape[-1]
        if self._components:
            self._components.add(pooled)
        else:
            self._bars.append(pooled.flatten(1).mean(dim=1).cpu().numpy())

    def finished(self, calls: tuple[int, ...]) -> Activation:
        components = shares = None
        if self._components:
            found, of_variance = self._components.finished()
            components, shares = found[:, :COLORS].numpy(), of_variance[:, :COLORS].numpy()
        return Activation(
            part=self._name,
            calls=calls,
            side=self._side,
            channels=self._channels,
            components=components,
            shares=shares,
            bars=None if components is not None else np.stack(self._bars),
        )
