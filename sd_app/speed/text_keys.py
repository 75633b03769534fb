"""Cross attention's keys and values of the text, computed once for each text instead of at every step.

They depend on the text alone: K = W_K c, V = W_V c (Rombach et al. 2022, section 3.3). So the numbers are the
same, to the bit.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

from .reuse import replaced_forwards

MAX_TEXTS = 8  # whose answers a layer keeps; prompts may take turns, step by step


class Remembered:
    """A layer's forward that knows its answers to the last few texts: the same tensors, not equal ones."""

    def __init__(self, forward: Callable[[Tensor], Tensor]) -> None:
        self._forward = forward
        # By id, beside the tensor itself: while it is kept, no other can have its id.
        self._known: OrderedDict[int, tuple[Tensor, Tensor]] = OrderedDict()

    def __call__(self, text: Tensor) -> Tensor:
        known = self._known.get(id(text))
        if known is None:
            known = self._known[id(text)] = text, self._forward(text)
            if len(self._known) > MAX_TEXTS:
                self._known.popitem(last=False)
        self._known.move_to_end(id(text))
        return known[1]


@contextmanager
def kept_keys(unet: UNet2DConditionModel) -> Iterator[None]:
    """While this lasts, each cross attention works out a text's keys and values once."""
    layers: list[nn.Module] = [
        layer
        for attention in unet.modules()
        if isinstance(attention, Attention) and attention.is_cross_attention
        for layer in (attention.to_k, attention.to_v)
    ]
    with replaced_forwards({layer: Remembered(layer.forward) for layer in layers}):
        yield
