"""One CLIP of open_clip, loaded: pictures and texts as unit vectors of one space."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from open_clip.model import CLIP, CustomTextCLIP
from open_clip.transformer import LayerNormFp32
from PIL import Image
from torch import nn

from ..failures import is_out_of_memory
from ..hub.hub_errors import hub_errors
from .models import ClipName
from .tables import tower_key
from .text_tower import ClipTokenizer, TextTower

PRECISIONS = {torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16"}
# What reads lower formats and computes in float32 by itself.
EXACT_NORMS = (LayerNormFp32, nn.modules.batchnorm._BatchNorm)

Preprocess = Callable[[Image.Image], torch.Tensor]  # an RGB picture to pixels, (3, H, W)
LoadedClip = tuple[CLIP | CustomTextCLIP, Preprocess, ClipTokenizer]


class Clip:
    """Picture and text features. `key` names everything the text features depend on."""

    def __init__(
        self, model: CLIP | CustomTextCLIP, preprocess: Preprocess, tokenizer: ClipTokenizer, *, name: str
    ) -> None:
        self.model: CLIP | CustomTextCLIP = model.eval()
        self.name = name
        self.tower = TextTower(model, tokenizer)
        self.key = tower_key(self.tower)
        self._preprocess = preprocess

    @property
    def scale(self) -> float:
        """Return what training multiplied cosines by before the softmax."""
        return float(self.model.logit_scale.detach().exp())

    @torch.inference_mode()
    def picture_features(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """Return the unit features of RGB pictures, (N, D) float32."""
        pixels = torch.stack([self._preprocess(image) for image in images])
        pixels = pixels.to(reading_weight(self.model.visual))
        return unit(self.model.encode_image(pixels).float().cpu())

    def text_features(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the unit features of texts, (N, D) float32."""
        return unit(self.tower.encode(texts))


class PictureEncoder:
    """What a search asks: how similar prompts are to one picture, and whether they fit.

    on_batch is told how many texts are done and may raise Cancelled.
    """

    def __init__(self, clip: Clip, picture: NDArray[np.float32], on_batch: Callable[[int], None]) -> None:
        self._tower, self._on_batch = clip.tower, on_batch
        self.picture = picture
        self.fits = clip.tower.fits

    def cosines(self, prefix: str, candidates: Sequence[str]) -> NDArray[np.float32]:
        """Return the cosine of "prefix, candidate" with the picture for each candidate, (N,)."""
        return self.features(prefix, candidates) @ self.picture

    def features(self, prefix: str, candidates: Sequence[str]) -> NDArray[np.float32]:
        """Return the unit features of "prefix, candidate" for each candidate, (N, D)."""
        return unit(self._tower.encode_after(prefix, candidates, self._on_batch))


def load_clip(found: ClipName, device: torch.device, dtype: torch.dtype) -> Clip:
    """Load a CLIP onto a device. Raise ValueError for an unknown name, OSError without a connection."""
    if found.folder:
        model, preprocess, tokenizer = _load_folder(found, device, dtype)
    else:
        model, preprocess, tokenizer = _load_known(found, device, dtype)
    lower(model, dtype)
    return Clip(model, preprocess, tokenizer, name=found.name)


def _load_folder(found: ClipName, device: torch.device, dtype: torch.dtype) -> LoadedClip:
    path = f"local-dir:{found.folder}"
    try:
        model, preprocess = _create(path, device, dtype)
        return model, preprocess, open_clip.get_tokenizer(path)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise
        raise ValueError(f"clip_model {found.name} cannot be used: {error}") from error


def _load_known(found: ClipName, device: torch.device, dtype: torch.dtype) -> LoadedClip:
    tags = open_clip.list_pretrained_tags_by_model(found.architecture)
    if found.weights not in tags:
        known = f"one of {', '.join(tags)}" if tags else "an architecture that open_clip knows"
        raise ValueError(f"clip_model must name {known} after the slash, got {found.name}")
    config = open_clip.get_pretrained_cfg(found.architecture, found.weights)
    with hub_errors(found.name, "put a folder in open_clip's layout into the models folder"):
        model, preprocess = _create(
            found.architecture,
            device,
            dtype,
            pretrained=found.weights,
            # The architecture alone does not tell: OpenAI's weights want QuickGELU.
            force_quick_gelu=bool(config.get("quick_gelu")),
        )
    return model, preprocess, open_clip.get_tokenizer(found.architecture)


def _create(
    name: str, device: torch.device, dtype: torch.dtype, **known: object
) -> tuple[CLIP | CustomTextCLIP, Preprocess]:
    create = partial(open_clip.create_model_and_transforms, name, device=device, require_pretrained=True)
    try:
        model, _, preprocess = create(precision=PRECISIONS[dtype], **known)
    except AttributeError:  # open_clip's mixed formats know no text projection with a bias
        model, _, preprocess = create(precision=f"pure_{PRECISIONS[dtype]}", **known)
    return model, preprocess


def reading_weight(network: nn.Module) -> torch.Tensor:
    """Return the weight that reads a network's input: its format is the input's. Norms may have another."""
    layers = (nn.Conv1d, nn.Conv2d, nn.Linear)
    return next(layer.weight for layer in network.modules() if isinstance(layer, layers))


def lower(model: nn.Module, dtype: torch.dtype) -> None:
    """Give all weights a number format, but for the norms that stay exact, and single numbers.

    open_clip leaves more than its norms in float32. Scales of layers would then turn what passes through them
    into float32, and norms of text towers by transformers refuse what the layers before them give.
    """
    if dtype == torch.float32:
        return
    for layer in model.modules():
        if isinstance(layer, EXACT_NORMS):
            continue
        for weight in layer.parameters(recurse=False):
            if weight.ndim:  # logit_scale is an exponent, which rounding would change a lot
                weight.data = weight.data.to(dtype)


def unit(features: torch.Tensor) -> NDArray[np.float32]:
    """Return (N, D) features at length 1."""
    return torch.nn.functional.normalize(features.float(), dim=-1).numpy()
