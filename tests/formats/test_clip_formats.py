"""CLIP and BLIP in the formats that GPUs compute in, float16 and bfloat16, against float32.

A processor computes in them too, more slowly and with the same rounding of what is stored. open_clip's own
low precision is mixed: norms stay in float32, so no single weight tells what the network reads.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from open_clip.factory import _set_model_device_and_precision
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg, CustomTextCLIP
from PIL import Image

from sd_app import InterrogateRequest, MatchRequest, Settings, Studio, cli
from sd_app.interrogator.captioner import load_captioner
from sd_app.interrogator.clip import PRECISIONS, Clip, lower
from sd_app.interrogator.matching import compare_pictures
from sd_app.settings import EMBEDDED_DIR
from tests.interrogating import held_out

LOW = ["float16", "bfloat16"]
# The largest difference of a cosine that is allowed. Seen: 0.0004 and 0.004.
FARTHEST = {"float16": 0.002, "bfloat16": 0.02}
TEXTS = ("a red cat", "a tree", "a house on the beach", "a small gray star at the top")
VIT = {"layers": 2, "width": 32, "head_width": 16, "patch_size": 16, "image_size": 64}
VISIONS = {
    "ViT": CLIPVisionCfg(**VIT),
    "scaled layers": CLIPVisionCfg(**VIT, ls_init_value=0.5),
    "attention pool": CLIPVisionCfg(**VIT, attentional_pool=True, attn_pooler_heads=4),
    "ResNet": CLIPVisionCfg(layers=(1, 1, 1, 1), width=16, image_size=64, head_width=16),
    "timm's ConvNeXt": CLIPVisionCfg(timm_model_name="convnext_atto", image_size=64),
}
TEXT_TOWERS = {
    "plain": CLIPTextCfg(width=32, heads=2, layers=2),
    "scaled layers": CLIPTextCfg(width=32, heads=2, layers=2, ls_init_value=0.5),
    "padded": CLIPTextCfg(width=32, heads=2, layers=2, pool_type="last"),
}


def studio_in(dtype: str, folder: Path) -> Studio:
    return Studio(Settings(device="cpu", dtype=dtype, outputs_dir=folder, cache_dir=folder / dtype))


@pytest.fixture(scope="module")
def studios(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Studio]:
    folder = tmp_path_factory.mktemp("formats")
    return {dtype: studio_in(dtype, folder) for dtype in ("float32", *LOW)}


@pytest.fixture(scope="module")
def pictures() -> tuple[Image.Image, ...]:
    return tuple(held_out(index)[0] for index in range(4))


@pytest.mark.parametrize("dtype", LOW)
@pytest.mark.parametrize("mode", ["fast", "classic", "best", "negative"])
def test_an_interrogation_finds_about_the_same(studios, pictures, dtype, mode) -> None:
    request = InterrogateRequest(image=pictures[0], mode=mode, max_phrases=4)
    exact, low = (studios[name].interrogate(request) for name in ("float32", dtype))
    assert low.caption == exact.caption
    assert low.similarity == pytest.approx(exact.similarity, abs=FARTHEST[dtype])
    if mode != "negative":
        assert low.phrases[:1] == exact.phrases[:1]
    score = studios[dtype].score_phrases(low, range(len(low.phrases)))
    assert score.similarity == pytest.approx(low.similarity, abs=FARTHEST[dtype])


@pytest.mark.parametrize("dtype", LOW)
def test_pictures_are_matched_with_texts_and_with_pictures_the_same(studios, pictures, dtype) -> None:
    request = MatchRequest(images=pictures, texts=TEXTS)
    exact, low = (studios[name].match(request) for name in ("float32", dtype))
    assert np.abs(np.subtract(exact.cosines, low.cosines)).max() < FARTHEST[dtype]
    assert low.scale == exact.scale  # the exponent of the softmax stays exact
    first, *others = (
        compare_pictures(studios[name]._ready_manager(), pictures[0], pictures, None)
        for name in ("float32", dtype)
    )
    assert np.abs(np.subtract(first, others[0])).max() < FARTHEST[dtype]


@pytest.mark.parametrize("dtype", LOW)
def test_the_command_interrogates(pictures, tmp_path: Path, capsys, dtype) -> None:
    pictures[1].save(tmp_path / "a.png")
    words = ["interrogate", str(tmp_path / "a.png"), "--mode", "fast", "--device", "cpu", "--dtype", dtype]
    assert cli.main(words) == 0
    assert capsys.readouterr().out.strip()


def make_clip(
    model_type: type, vision: CLIPVisionCfg, text: CLIPTextCfg, dtype: torch.dtype, size: int
) -> Clip:
    """Make a CLIP of random weights as open_clip makes one in a format, and as the app loads it."""
    torch.manual_seed(0)
    is_low = dtype != torch.float32
    model = model_type(embed_dim=24, vision_cfg=vision, text_cfg=text, cast_dtype=dtype if is_low else None)
    _set_model_device_and_precision(
        model, torch.device("cpu"), PRECISIONS[dtype], bool(vision.timm_model_name)
    )
    lower(model, dtype)
    preprocess = partial(pixels_of, size)
    return Clip(model, preprocess, open_clip.tokenizer.SimpleTokenizer(), name="random")


def pixels_of(size: int, image: Image.Image) -> torch.Tensor:
    pixels = np.asarray(image.resize((size, size)), np.float32) / 127.5 - 1
    return torch.from_numpy(pixels).permute(2, 0, 1)


def towers() -> Iterator[tuple[str, str]]:
    yield from ((vision, "plain") for vision in VISIONS)
    yield from (("ViT", text) for text in TEXT_TOWERS if text != "plain")


@pytest.mark.parametrize("dtype", LOW)
@pytest.mark.parametrize("model_type", [CLIP, CustomTextCLIP])
@pytest.mark.parametrize(("vision", "text"), list(towers()))
def test_every_architecture_reads_pictures_and_texts(pictures, model_type, vision, text, dtype) -> None:
    clips = [
        make_clip(model_type, VISIONS[vision], TEXT_TOWERS[text], format_, 64)
        for format_ in (torch.float32, getattr(torch, dtype))
    ]
    exact, low = (clip.picture_features(pictures) for clip in clips)
    assert np.abs(exact @ exact.T - low @ low.T).max() < FARTHEST[dtype]
    assert np.abs(1 - (exact * low).sum(axis=1)).max() < FARTHEST[dtype]
    exact, low = (clip.text_features(TEXTS) for clip in clips)
    assert np.abs(1 - (exact * low).sum(axis=1)).max() < FARTHEST[dtype]
    padded = torch.nn.functional.normalize(clips[1].tower.encode_padded(TEXTS), dim=-1).numpy()
    assert np.abs(1 - (padded * low).sum(axis=1)).max() < FARTHEST[dtype]


@pytest.mark.parametrize("dtype", LOW)
def test_the_captioner_says_the_same(pictures, dtype) -> None:
    folder = EMBEDDED_DIR / "tiny-blip"
    exact, low = (
        load_captioner(folder, "cpu", format_) for format_ in (torch.float32, getattr(torch, dtype))
    )
    assert low.model.dtype == getattr(torch, dtype)
    assert [low.caption(picture) for picture in pictures] == [exact.caption(picture) for picture in pictures]
    assert low.caption(pictures[0], beginning="a drawing of").startswith("a drawing of")
