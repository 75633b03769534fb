"""Cross attention's keys and values of the text, computed once for each text instead of at every step.

They depend on the text alone: K = W_K c, V = W_V c (Rombach et al. 2022, section 3.3). So the numbers are the
same, to the bit.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

from .reuse import replaced_forwards


class Remembered:
    """A layer's forward that knows its last answer, as long as it is asked about the same tensor."""

    def __init__(self, forward: Callable[[Tensor], Tensor]) -> None:
        self._forward = forward
        self._text: Tensor | None = None
        self._answer: Tensor | None = None

    def __call__(self, text: Tensor) -> Tensor:
        if text is not self._text or self._answer is None:
            self._text, self._answer = text, self._forward(text)
        return self._answer


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
