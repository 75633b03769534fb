"""The judge: a small classifier, trained on the true renderer alone, that reads a picture's attributes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn

from ..settings import EMBEDDED_DIR
from . import networks, world
from .data import PictureSet
from .loop import Stage
from .stages import AttributeHeads

DEFAULT_FOLDER = EMBEDDED_DIR / "tiny-judge"
WIDTHS = (24, 48, 64, 96, 96)


class Judge(nn.Module):
    """Five halving convolutions to 4x4 features, then one linear head for each attribute."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in zip((3, *WIDTHS[:-1]), WIDTHS, strict=True):
            layers += [
                nn.Conv2d(inputs, outputs, 3, stride=2, padding=1),
                nn.GroupNorm(8, outputs),
                nn.SiLU(),
            ]
            layers += [nn.Conv2d(outputs, outputs, 3, padding=1), nn.GroupNorm(8, outputs), nn.SiLU()]
        self.body = nn.Sequential(*layers, nn.Flatten())
        self.heads = AttributeHeads(WIDTHS[-1] * 16)

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Logits in the order of `world.ATTRIBUTES`, for images (B, 3, 128, 128) in [-1, 1]."""
        features = self.body(images)
        return [head(features) for head in self.heads.heads]

    @torch.inference_mode()
    def read(self, pictures: Sequence[Image.Image]) -> list[world.Scene]:
        """What each picture (128x128, or anything, which is then resized) shows."""
        edge = (world.PICTURE_PIXELS,) * 2
        pixels = np.stack(
            [np.asarray(picture.convert("RGB").resize(edge, Image.Resampling.BOX)) for picture in pictures]
        )
        logits = self(networks.to_unit(pixels))
        return [
            world.from_indices(row) for row in torch.stack([part.argmax(1) for part in logits], 1).tolist()
        ]


def load_judge(folder: Path = DEFAULT_FOLDER) -> Judge:
    """Load the trained judge in fp32, for the CPU. Raise OSError if the folder has none."""
    judge = Judge()
    state = load_file(folder / "model.safetensors")
    judge.load_state_dict({key: value.float() for key, value in state.items()})
    return judge.eval()


def judge_stage(pictures: PictureSet, *, steps: int, batch: int = 64) -> Stage:
    """Cross entropy on true pictures, some blurred or with noise: the judge reads shapes, not sharpness."""
    torch.manual_seed(0)
    judge = Judge().train().to(memory_format=torch.channels_last)

    def loss(rng: np.random.Generator, progress: float) -> tuple[torch.Tensor, dict[str, float]]:
        rows = rng.integers(0, len(pictures), batch)
        images = networks.to_unit(pictures.pixels[rows])
        third = batch // 3
        images[:third] = nn.functional.interpolate(
            nn.functional.avg_pool2d(images[:third], 2), scale_factor=2, mode="bilinear"
        )
        images[third : 2 * third] += 0.06 * torch.randn_like(images[third : 2 * third])
        attributes = torch.from_numpy(pictures.attributes[rows].astype(np.int64))
        with torch.autocast("cpu", torch.bfloat16):
            features = judge.body(images.contiguous(memory_format=torch.channels_last)).float()
        total = judge.heads.loss(features, attributes)
        return total, {"cross_entropy": total.item()}

    return Stage(
        name="judge", modules={"judge": judge}, loss=loss, steps=steps, muon_lr=4e-3, adam_lr=2e-3, seed=14
    )
