"""What a part of the U-Net is for: the picture from the same noise with that part cut out.

A part that adds to what passes it by (attention; the middle block) is cut by leaving that as it is: its own
addition is times 0, the residual is kept. A skip is cut by zeroing its channels before the resnet that takes
it up. Both halves, with the prompt and without it, run through the cut network at every step. Hooks do it and
are gone afterwards, also after an error or a stop.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

from ..probes.observers import Observer
from .again import Again, make_frames, of_picture
from .look import Look
from .unet_parts import Part, UNetParts

Args = tuple[Tensor, ...]  # of a module's call
Kwargs = dict[str, Tensor]

OUTPUT, AROUND, SKIP = "output", "around", "skip"  # how something is cut

OUTERMOST_SKIP = "outermost skip"
DOWN_CROSS, UP_CROSS = "cross attention on the way down", "cross attention on the way up"
ALL_CROSS, ALL_SELF, MID = "all cross attention", "all self attention", "middle block"

DID_NOTHING = 0.05  # share of visibly changed pixels up to which a cut did next to nothing


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Something that can be cut out of a U-Net."""

    name: str
    how: str  # OUTPUT: gives 0; AROUND: gives what it was given; SKIP: channels of what it reads are 0
    parts: tuple[str, ...]  # names of modules in the U-Net; of a skip the resnet that takes it up
    channels: int = 0  # of a skip: how many, the last ones
    where: str = ""  # in words, which modules these are
    named: bool = False  # one of the six that are worth showing first


def cuts_of(unet: UNet2DConditionModel, parts: UNetParts) -> list[Cut]:
    """List what can be cut out of a U-Net: the named ones first, by what they do and not by a number.

    The cross attentions are those of the level above the coarsest one; where it has none, of the nearest
    finer or else coarser level that has.
    """
    named: list[Cut] = []
    if parts.skips:
        named.append(skip_cut(parts, len(parts.skips) - 1, name=OUTERMOST_SKIP, named=True))
    for name, half, last in ((DOWN_CROSS, "down", False), (UP_CROSS, "up", True)):
        if part := _cross_attention(parts, half, last=last):
            cut = attention_cut(unet, [part], cross=True, name=name, named=True)
            place = "the last" if last else "the first"
            named.append(replace(cut, where=f"{cut.where}, {place} of its level"))
    for name, cross in ((ALL_CROSS, True), (ALL_SELF, False)):
        having = [part for part in parts.parts if (part.cross_layers if cross else part.self_layers)]
        if having:
            named.append(attention_cut(unet, having, cross=cross, name=name, named=True))
    if unet.mid_block is not None:
        named.append(Cut(name=MID, how=AROUND, parts=("mid_block",), where="mid_block", named=True))
    more = [skip_cut(parts, number) for number in reversed(range(len(parts.skips) - 1))]
    for cross in (True, False):
        having = [part for part in parts.parts if (part.cross_layers if cross else part.self_layers)]
        more += [attention_cut(unet, [part], cross=cross) for part in having]
    known = {(cut.how, cut.parts, cut.channels) for cut in named}
    return [*named, *(cut for cut in more if (cut.how, cut.parts, cut.channels) not in known)]


def _cross_attention(parts: UNetParts, half: str, *, last: bool) -> Part | None:
    """Return the first or last cross attention of a half at the level above the coarsest, or the nearest."""
    having = [part for part in parts.parts if part.half == half and part.cross_layers]
    if not having:
        return None
    wanted = len(parts.levels) - 2
    level = min(
        {parts.level(part) for part in having}, key=lambda level: (abs(level - wanted), level > wanted)
    )
    return [part for part in having if parts.level(part) == level][-1 if last else 0]


def skip_cut(parts: UNetParts, number: int, *, name: str = "", named: bool = False) -> Cut:
    """Return the cut of a skip, by its number among the parts' skips."""
    skip = parts.skips[number]
    height, width = skip.shape[1:]
    return Cut(
        name=name or f"skip of {skip.source}",
        how=SKIP,
        parts=(skip.target,),
        channels=skip.channels,
        where=f"{skip.source} to {skip.target}, {skip.channels} channels at {height}×{width}",
        named=named,
    )


def attention_cut(
    unet: UNet2DConditionModel, having: Sequence[Part], *, cross: bool, name: str = "", named: bool = False
) -> Cut:
    """Return the cut of all cross attentions, or self attentions, of some parts."""
    layers = tuple(
        f"{part.name}.{inner}"
        for part in having
        for inner, module in unet.get_submodule(part.name).named_modules()
        if isinstance(module, Attention) and module.is_cross_attention == cross
    )
    kind = "cross" if cross else "self"
    if len(having) == 1:
        height, width = having[0].side
        where = f"{having[0].name} at {height}×{width}"
    else:
        where = f"{len(having)} modules"
    if len(layers) > len(having):
        where += f", {len(layers)} layers"
    return Cut(
        name=name or f"{kind} attention of {having[0].name}",
        how=OUTPUT,
        parts=layers,
        where=where,
        named=named,
    )


class Cutter(Observer):
    """Run the U-Net with one or several cuts."""

    needs_every_part = True

    def __init__(self, cuts: Sequence[Cut]) -> None:
        self._cuts = tuple(cuts)

    @contextmanager
    def listening(self, unet: UNet2DConditionModel) -> Iterator[None]:
        with cut_out(unet, self._cuts):
            yield


@contextmanager
def cut_out(unet: UNet2DConditionModel, cuts: Sequence[Cut]) -> Iterator[None]:
    """While this lasts, the cuts are made. Raise AttributeError for modules that the U-Net has not."""
    with ExitStack() as stack:
        for cut in cuts:
            for name in cut.parts:
                module = unet.get_submodule(name)
                if cut.how == SKIP:
                    hook = _without_last(cut.channels)
                    handle = module.register_forward_pre_hook(hook, with_kwargs=True)
                else:
                    handle = module.register_forward_hook(
                        _nothing if cut.how == OUTPUT else _as_given, with_kwargs=True
                    )
                stack.callback(handle.remove)
        yield


def _nothing(module: nn.Module, args: Args, kwargs: Kwargs, output: Tensor) -> Tensor:
    return torch.zeros_like(output)


def _as_given(module: nn.Module, args: Args, kwargs: Kwargs, output: Tensor) -> Tensor:
    return args[0] if args else kwargs["hidden_states"]


def _without_last(channels: int) -> Callable[..., tuple[Args, Kwargs]]:
    def hook(module: nn.Module, args: Args, kwargs: Kwargs) -> tuple[Args, Kwargs]:
        given = (args[0] if args else kwargs["input_tensor"]).clone()  # of a shape (B, C, h, w)
        given[:, -channels:] = 0
        if args:
            return (given, *args[1:]), kwargs
        return args, kwargs | {"input_tensor": given}

    return hook


def with_cuts(look: Look, cuts: Sequence[Cut], *, label: str = "") -> Again:
    """Make the picture again from the same noise with these cuts. Raise as the job itself."""
    [picture] = make_frames(look, look.request, observers=[Cutter(cuts)])
    return of_picture(look.recording, picture, label=label or " and ".join(cut.name for cut in cuts))


def did_nothing(again: Again) -> bool:
    """Tell whether a cut changed next to nothing that is seen."""
    return again.changed_share <= DID_NOTHING


def verdict(cut: Cut, again: Again) -> str:
    """Say what a cut did, with the modules it took out."""
    said = f"{cut.name} ({cut.where}): {again.sentence}"
    return f"{said} This cut did next to nothing." if did_nothing(again) else said
