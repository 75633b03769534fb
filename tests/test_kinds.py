"""Which tab a picture's parameters belong to, and how another tab hands them over."""

import pytest

from sd_app import Studio
from sd_app.metadata import tabs_of
from sd_app.ui import build_ui
from sd_app.ui.shared.kinds import MAKERS

OURS = "Steps: 3, Sampler: DDIM, CFG scale: 4, Seed: 1, Size: 64x64, Model: m{}, Version: sd_app 0.3.0"
THEIRS = "Steps: 3, Sampler: Euler a, CFG scale: 4, Seed: 1, Size: 64x64{}, Version: v1.10.1"


@pytest.mark.parametrize(
    ("infotext", "tabs"),
    [
        ("a cat\n" + OURS.format(""), ("txt2img",)),
        ("a cat\n" + OURS.format(", Denoising strength: 0.75"), ("img2img", "inpaint")),
        ("a cat\n" + OURS.format(", Denoising strength: 1"), ("img2img", "inpaint")),
        ("a cat\n" + OURS.format(", Denoising strength: 1, Soft mask: True"), ("inpaint",)),
        ("a {lerp(cat, dog, 0.5)}\n" + OURS.format(""), ("embeddings", "txt2img")),
        ("a {cat} {dog}\n" + OURS.format(""), ("txt2img",)),
        ("a cat\n" + THEIRS.format(""), ("txt2img",)),
        ("a {cat}\n" + THEIRS.format(""), ("txt2img",)),
        ("a cat\n" + THEIRS.format(", Denoising strength: 0.5"), ("img2img", "inpaint")),
        ("a cat\n" + THEIRS.format(", Denoising strength: 1"), ("txt2img",)),
        ("a cat\n" + THEIRS.format(", Denoising strength: 0.5, Hires upscale: 2"), ("txt2img",)),
        ("a cat\n" + THEIRS.format(", Denoising strength: 0.5, Mask blur: 4"), ("inpaint",)),
        ("a cat\n" + THEIRS.format(", Denoising strength: 0.5, Inpaint area: Only masked"), ("inpaint",)),
        ('{"prompt": [', ()),
        ("only words", ()),
    ],
)
def test_the_tab_of_a_picture(infotext: str, tabs: tuple[str, ...]) -> None:
    assert tabs_of(infotext) == tabs
    assert set(tabs) <= set(MAKERS)


def test_each_making_tab_is_asked_by_every_other_one(random_studio: Studio) -> None:
    demo = build_ui(random_studio)
    asked = {
        target[1]
        for function in demo.fns.values()
        for target in function.targets
        if target[1] and target[1].startswith("move_")
    }
    assert asked == {f"move_{name}" for name in MAKERS}
