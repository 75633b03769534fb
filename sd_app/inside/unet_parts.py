"""The U-Net as it is loaded: its parts, what each is given and gives, and the skips between both halves.

All of it is read from the network: the shapes from one call in which every part is listened to, and a skip
from the tensor itself, which a part of the way down gives and a part of the way up is given.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

from ..requests import Step
from .answers import Answers, num_windows
from .look import Look

Args = tuple[object, ...]  # of a module's call
Kwargs = dict[str, object]
Shape = tuple[int, int, int]  # channels, height and width of what passes, for one picture

CONV, RESNET, ATTENTION, DOWN, UP, BLOCK = (
    "convolution",
    "resnet",
    "attention",
    "half the size",
    "double the size",
    "block",
)
_LISTS = {"resnets": RESNET, "attentions": ATTENTION, "downsamplers": DOWN, "upsamplers": UP}
_NO_TENSOR = "a part of this U-Net gives nothing that could be shown"


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of the U-Net, in the order in which a call runs them."""

    name: str  # as in the U-Net, "down_blocks.1.attentions.0"
    kind: str  # one of the names above
    reads: Shape  # a skip's channels counted
    gives: Shape
    num_weights: int
    cross_layers: int = 0  # attentions to the text
    self_layers: int = 0  # attentions of the picture's places to each other
    heads: int = 0

    @property
    def block(self) -> str:
        """Return the block it belongs to: "conv_in", "down_blocks.1", "mid_block"."""
        pieces = self.name.split(".")
        return ".".join(pieces[:2]) if pieces[0] in ("down_blocks", "up_blocks") else pieces[0]

    @property
    def half(self) -> str:
        """Return "down", "mid" or "up"."""
        if self.name == "conv_in" or self.name.startswith("down_blocks"):
            return "down"
        return "mid" if self.name.startswith("mid_block") else "up"

    @property
    def side(self) -> tuple[int, int]:
        """Return the (height, width) at which it works: that of what it gives."""
        return self.gives[1:]

    @property
    def sentence(self) -> str:
        """Say in words what it is."""
        kinds = ((self.self_layers, "self"), (self.cross_layers, "cross"))
        layers = " and ".join(f"{count} {kind}" for count, kind in kinds if count)
        attention = f", {layers} attention of {self.heads} heads" if layers else ""
        return (
            f"{self.name}: {self.kind}, {numbers(self.reads)} in, {numbers(self.gives)} out,"
            f" {self.num_weights:,} weights{attention}"
        )


@dataclass(frozen=True, kw_only=True)
class Skip:
    """What a part of the way down hands to a resnet of the way up."""

    source: str
    target: str
    shape: Shape

    @property
    def channels(self) -> int:
        """Return how many channels it has: the last ones of what the target reads."""
        return self.shape[0]


@dataclass(frozen=True, kw_only=True)
class UNetParts:
    """A U-Net's parts and skips for latents of one size."""

    parts: tuple[Part, ...]
    skips: tuple[Skip, ...]  # the outermost last, as they are taken up
    num_weights: int  # of the whole network

    @cached_property
    def by_name(self) -> dict[str, Part]:
        """Return the parts by name."""
        return {part.name: part for part in self.parts}

    @cached_property
    def levels(self) -> tuple[tuple[int, int], ...]:
        """Return the (height, width) of each level, the outermost first."""
        sides = dict.fromkeys(part.side for part in self.parts)
        return tuple(sorted(sides, key=lambda side: -side[0] * side[1]))

    def level(self, part: Part) -> int:
        """Return the number of a part's level, 0 for the outermost."""
        return self.levels.index(part.side)

    @property
    def rest(self) -> int:
        """Return the weights outside all parts: what reads the timestep, and the last normalisation."""
        return self.num_weights - sum(part.num_weights for part in self.parts)


def numbers(shape: Shape) -> str:
    """Say a shape and how many numbers that are."""
    channels, height, width = shape
    return f"{channels}×{height}×{width} ({channels * height * width:,} numbers)"


def modules_of(unet: UNet2DConditionModel) -> dict[str, nn.Module]:
    """Return the modules that count as parts, by name: those in the lists of each block, and both ends."""
    blocks: list[tuple[str, nn.Module]] = [
        *((f"down_blocks.{number}", block) for number, block in enumerate(unet.down_blocks)),
        *([("mid_block", unet.mid_block)] if unet.mid_block is not None else []),
        *((f"up_blocks.{number}", block) for number, block in enumerate(unet.up_blocks)),
    ]
    found: dict[str, nn.Module] = {"conv_in": unet.conv_in}
    for name, block in blocks:
        inner = {
            f"{name}.{kind}.{number}": module
            for kind in _LISTS
            for number, module in enumerate(getattr(block, kind, None) or ())
            if module is not None
        }
        found |= inner or {name: block}
    return found | {"conv_out": unet.conv_out}


def kind_of(name: str) -> str:
    """Return the kind of a part by the list it stands in."""
    if name in ("conv_in", "conv_out"):
        return CONV
    return next((kind for piece, kind in _LISTS.items() if f".{piece}." in name), BLOCK)


def first_tensor(value: object) -> Tensor:
    """Return what a module gives: a tensor, or the first of several."""
    if isinstance(value, tuple | list):
        value = value[0]
    if not isinstance(value, Tensor):
        value = getattr(value, "sample", None)
    if not isinstance(value, Tensor):
        raise ValueError(_NO_TENSOR)
    return value


def read_parts(unet: UNet2DConditionModel, ask: Callable[[], object]) -> UNetParts:
    """Read a U-Net's parts while `ask` calls it once, by hooks that are gone afterwards."""
    listener = _Listener(unet)
    with listener.listening(), torch.no_grad():
        ask()
    return UNetParts(
        parts=tuple(listener.parts.values()),
        skips=tuple(listener.skips),
        num_weights=sum(weights.numel() for weights in unet.parameters()),
    )


class _Listener:
    """Notes what passes in one call."""

    def __init__(self, unet: UNet2DConditionModel) -> None:
        self._unet = unet
        self.parts: dict[str, Part] = {}
        self.skips: list[Skip] = []
        self._given: list[tuple[str, Tensor]] = []  # what each part gave; kept, so that no id comes twice

    @contextmanager
    def listening(self) -> Iterator[None]:
        with ExitStack() as stack:
            for name, module in modules_of(self._unet).items():
                handle = module.register_forward_hook(self._note_of(name), with_kwargs=True)
                stack.callback(handle.remove)
            for number, block in enumerate(self._unet.up_blocks):
                handle = block.register_forward_pre_hook(self._skips_of(number), with_kwargs=True)
                stack.callback(handle.remove)
            yield
        self._given.clear()

    def _note_of(self, name: str) -> Callable[..., None]:
        def note(module: nn.Module, args: Args, kwargs: Kwargs, output: object) -> None:
            given = first_tensor(args or tuple(kwargs.values()))
            gives = first_tensor(output)
            self._given.append((name, gives))
            if name not in self.parts:
                self.parts[name] = part_of(name, module, shape_of(given), shape_of(gives))

        return note

    def _skips_of(self, number: int) -> Callable[..., None]:
        def note(module: nn.Module, args: Args, kwargs: Kwargs) -> None:
            skips = kwargs.get("res_hidden_states_tuple", args[1] if len(args) > 1 else ())
            assert isinstance(skips, tuple)
            for place, tensor in enumerate(reversed(skips)):
                source = next((name for name, given in self._given if given is tensor), "")
                target = f"up_blocks.{number}.resnets.{place}"
                self.skips.append(Skip(source=source, target=target, shape=shape_of(tensor)))

        return note


def part_of(name: str, module: nn.Module, reads: Shape, gives: Shape) -> Part:
    """Describe a module as a part."""
    attentions = [part for part in module.modules() if isinstance(part, Attention)]
    return Part(
        name=name,
        kind=kind_of(name),
        reads=reads,
        gives=gives,
        num_weights=sum(weights.numel() for weights in module.parameters()),
        cross_layers=sum(part.is_cross_attention for part in attentions),
        self_layers=sum(not part.is_cross_attention for part in attentions),
        heads=attentions[0].heads if attentions else 0,
    )


def shape_of(tensor: Tensor) -> Shape:
    """Return the (channels, height, width) of what passes."""
    channels, height, width = tensor.shape[-3:]
    return channels, height, width


def ask_again(look: Look, calls: Sequence[int], on_call: Callable[[int, Tensor], None]) -> None:
    """Ask the U-Net again what it answered to the prompt at these calls, each part of it run once a call.

    on_call is told each call and the answer, (4, h, w); the look's on_step hears how far it is.
    """
    recording, began = look.recording, time.perf_counter()
    with look.pipe() as pipe, pipe.fast_unet.bypass():
        answers = Answers(look, pipe)
        for number, call in enumerate(calls):
            if look.on_step:
                look.on_step(_step(number, len(calls), time.perf_counter() - began))
            text = next(text for text in recording.texts if call in text.calls)
            embeds = answers.encode(text.text, num_windows(text))
            [answer] = answers.ask(call, [embeds])
            on_call(call, answer)


def _step(number: int, count: int, seconds: float) -> Step:
    return Step(
        step=number,
        num_steps=count,
        image_index=0,
        num_images=1,
        seconds=seconds,
        text="Asking the U-Net again",
    )


def parts_of(look: Look) -> UNetParts:
    """Read the parts of the U-Net that made a recording, by its first call asked again."""
    with look.pipe() as pipe:
        return read_parts(pipe.unet, lambda: ask_again(look, [0], lambda call, answer: None))
