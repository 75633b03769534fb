"""One CLIP of open_clip, loaded: pictures and texts as unit vectors of one space."""

from collections.abc import Callable, Sequence

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from open_clip.model import CLIP, CustomTextCLIP
from PIL import Image

from ..hub.hub_errors import hub_errors
from ..weights.device_memory import is_out_of_memory
from .models import ClipName
from .tables import tower_key
from .text_tower import ClipTokenizer, TextTower

PRECISIONS = {torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16"}


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
        weight = next(self.model.parameters())
        pixels = torch.stack([self._preprocess(image) for image in images]).to(weight)
        return unit(self.model.encode_image(pixels).float().cpu())

    def text_features(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the unit features of texts, (N, D) float32."""
        return unit(self.tower.encode(texts))


class PictureEncoder:
    """What a search asks: how similar prompts are to one picture, and whether they fit.

    on_batch is told how many texts are done and may raise Cancelled.
    """

    def __init__(self, clip: Clip, picture: NDArray[np.float32], on_batch: Callable[[int], None]) -> None:
        self._tower, self._picture, self._on_batch = clip.tower, picture, on_batch
        self.fits = clip.tower.fits

    def cosines(self, prefix: str, candidates: Sequence[str]) -> NDArray[np.float32]:
        """Return the cosine of "prefix, candidate" with the picture for each candidate, (N,)."""
        return unit(self._tower.encode_after(prefix, candidates, self._on_batch)) @ self._picture


def load_clip(found: ClipName, device: torch.device, dtype: torch.dtype) -> Clip:
    """Load a CLIP onto a device. Raise ValueError for an unknown name, OSError without a connection."""
    if found.folder:
        model, preprocess, tokenizer = _load_folder(found, device, dtype)
    else:
        model, preprocess, tokenizer = _load_known(found, device, dtype)
    return Clip(model, preprocess, tokenizer, name=found.name)


def _load_folder(found: ClipName, device: torch.device, dtype: torch.dtype) -> LoadedClip:
    path = f"local-dir:{found.folder}"
    try:
        model, _, preprocess = open_clip.create_model_and_transforms(
            path, precision=PRECISIONS[dtype], device=device, require_pretrained=True
        )
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
        model, _, preprocess = open_clip.create_model_and_transforms(
            found.architecture,
            pretrained=found.weights,
            precision=PRECISIONS[dtype],
            device=device,
            # The architecture alone does not tell: OpenAI's weights want QuickGELU.
            force_quick_gelu=bool(config.get("quick_gelu")),
            require_pretrained=True,
        )
    return model, preprocess, open_clip.get_tokenizer(found.architecture)


def unit(features: torch.Tensor) -> NDArray[np.float32]:
    """Return (N, D) features at length 1."""
    return torch.nn.functional.normalize(features.float(), dim=-1).numpy()
