"""Reuse of the U-Net's deep features between steps: DeepCache (Ma, Fang, Wang 2023).

From one step to the next the deep blocks change little, the outermost level much. A full call keeps what the
deep blocks hand to the last up block; a shallow call runs conv_in, the first down block, the last up block
and conv_out on it. The tensor kept is an argument and a result, so that both kinds of call can be captured.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from diffusers import UNet2DConditionModel
from diffusers.models.unets.unet_2d_blocks import DownBlock2D
from torch import Tensor, nn

from .calls import Tensors, unflatten

DEEP = "deep"  # the tensor kept, (B, C, h, w), among a shallow call's arguments

Forward = Callable[..., tuple[Tensor, ...]]  # a U-Net's
StandIn = Callable[..., object]  # any module's


def can_reuse(unet: UNet2DConditionModel) -> bool:
    """Tell whether a U-Net has a level below its outermost one."""
    return len(unet.up_blocks) > 1 and len(unet.down_blocks) > 1


def full(unet: UNet2DConditionModel, forward: Forward, tensors: Tensors) -> tuple[Tensor, Tensor]:
    """Run the whole U-Net; return its output and what a shallow call needs."""
    kept: list[Tensor] = []
    handle = unet.up_blocks[-2].register_forward_hook(lambda _, __, output: kept.append(output))
    try:
        output = forward(**unflatten(tensors))[0]
    finally:
        handle.remove()
    return output, kept[0]


def shallow(unet: UNet2DConditionModel, forward: Forward, tensors: Tensors) -> tuple[Tensor]:
    """Run the outermost level on what a full call kept; return the output."""
    arguments = {name: tensor for name, tensor in tensors.items() if name != DEEP}
    with skipped(unet, tensors[DEEP]):
        return (forward(**unflatten(arguments))[0],)


@contextmanager
def skipped(unet: UNet2DConditionModel, deep: Tensor) -> Iterator[None]:
    """Let every block below the outermost level hand on what it is given, and the last of them `deep`."""
    blocks: dict[nn.Module, StandIn] = {block: down(block) for block in unet.down_blocks[1:]}
    if unet.mid_block is not None:
        blocks[unet.mid_block] = lambda hidden_states, *_, **__: hidden_states
    for block in unet.up_blocks[:-2]:
        blocks[block] = lambda hidden_states, **_: hidden_states
    blocks[unet.up_blocks[-2]] = lambda **_: deep
    with replaced_forwards(blocks):
        yield


def down(block: DownBlock2D) -> StandIn:
    """Return a down block's stand-in: as many skip connections, which only skipped blocks read."""
    count = len(block.resnets) + len(block.downsamplers or ())
    return lambda hidden_states, **_: (hidden_states, (hidden_states,) * count)


@contextmanager
def replaced_forwards(forwards: Mapping[nn.Module, StandIn]) -> Iterator[None]:
    """Give modules other forwards, and back their own, come what may."""
    before = {module: vars(module).get("forward") for module in forwards}
    try:
        for module, forward in forwards.items():
            module.forward = forward
        yield
    finally:
        for module, forward in forwards.items():
            if vars(module).get("forward") is not forward:
                continue  # somebody else's by now
            own = before[module]
            if own is None:
                del module.forward
            else:
                module.forward = own
