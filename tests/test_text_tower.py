"""The quick text tower against open_clip's own encode_text, on real and random weights."""

from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg, CustomTextCLIP

from sd_app.interrogator.text_tokens import PhraseTokenizer, is_plain
from sd_app.interrogator.text_tower import TextTower
from sd_app.settings import EMBEDDED_DIR

TOLERANCE = 1e-5
ODD = [
    "",
    " ",
    "it's",
    "İstanbul",
    "a & b",
    "&lt;b&gt;",
    "l’été",
    "<end_of_text> red",
    "ﬁre",
    "🐈 cat",
    "x" * 600,
]
VISION = CLIPVisionCfg(layers=1, width=32, head_width=16, patch_size=16, image_size=32)


@pytest.fixture(scope="module")
def phrases() -> list[str]:
    """10,000 phrases, spread over the whole list so that the odd ones are among them."""
    path = distribution("clip-interrogator").locate_file("clip_interrogator/data/flavors.txt")
    lines = [line.strip() for line in Path(str(path)).read_text("utf-8").splitlines()]
    return lines[::10][:9_950] + [line for line in lines if not is_plain(line)][:50]


@pytest.fixture(scope="module")
def embedded() -> TextTower:
    folder = f"local-dir:{EMBEDDED_DIR / 'tiny-clip'}"
    model, *_ = open_clip.create_model_and_transforms(folder, require_pretrained=True)
    return TextTower(model.eval(), open_clip.get_tokenizer(folder))


def random_tower(model_type: type = CLIP, **text: object) -> TextTower:
    torch.manual_seed(1)
    config = CLIPTextCfg(width=32, heads=2, layers=3, **text)
    model = model_type(embed_dim=24, vision_cfg=VISION, text_cfg=config)
    return TextTower(model.eval(), open_clip.tokenizer.SimpleTokenizer())


def largest_difference(left: torch.Tensor, right: torch.Tensor) -> float:
    assert left.shape == right.shape
    return float((left - right).abs().max())


@pytest.mark.parametrize("every", [10, pytest.param(1, marks=pytest.mark.slow)])
def test_ten_thousand_phrases_are_encoded_as_encode_text_does(
    embedded: TextTower, phrases: list[str], every: int
) -> None:
    """A tenth of them with all the odd ones, or all."""
    assert embedded.exact
    some = [*phrases[:-50:every], *phrases[-50:]]
    assert largest_difference(embedded.encode(some), embedded.encode_padded(some)) < TOLERANCE


@pytest.mark.parametrize(
    "prefix",
    [
        "a red cat",
        "l’été, a caf\u00c3\u00a9",
        "a < b",
        "one two three four " * 17,  # 68 tokens: many candidates meet the limit
        "one two three four " * 18 + "five six seven",  # 75: no candidate is read
        "long " * 90,
        "<end_of_text>",
    ],
)
def test_prefix_and_candidate_are_encoded_as_the_joined_text(
    embedded: TextTower, phrases: list[str], prefix: str
) -> None:
    candidates = [*ODD, *phrases[:300], *phrases[-50:]]
    joined = [f"{prefix}, {candidate}" for candidate in candidates]
    features = embedded.encode_after(prefix, candidates)
    assert largest_difference(features, embedded.encode_padded(joined)) < TOLERANCE


@pytest.mark.parametrize("model_type", [CLIP, CustomTextCLIP])
@pytest.mark.parametrize(
    "text",
    [{}, {"pool_type": "eos", "eos_id": 49407}, {"ls_init_value": 0.5}, {"proj_bias": True}],
    ids=["argmax", "eos", "layer scale", "projection bias"],
)
def test_every_causal_tower_of_open_clip_is_exact(model_type: type, text: dict[str, object]) -> None:
    tower = random_tower(model_type, **text)
    assert tower.exact
    assert largest_difference(tower.encode(ODD), tower.encode_padded(ODD)) < TOLERANCE
    joined = [f"a cat, {odd}" for odd in ODD]
    assert largest_difference(tower.encode_after("a cat", ODD), tower.encode_padded(joined)) < TOLERANCE


@pytest.mark.parametrize(
    "text",
    [
        {"no_causal_mask": True},
        {"pool_type": "last"},
        {"pool_type": "eos", "eos_id": 2},
        {"embed_cls": True},
        {"qk_norm": True},
    ],
    ids=["not causal", "last", "another end token", "class token", "another block"],
)
def test_other_towers_are_padded(text: dict[str, object]) -> None:
    model_type = (
        CLIP if text in ({"pool_type": "last"}, {"pool_type": "eos", "eos_id": 2}) else CustomTextCLIP
    )
    tower = random_tower(model_type, **text)
    assert not tower.exact
    if "embed_cls" not in text:  # that one returns two results, as CoCa wants them
        assert torch.equal(tower.encode_after("a", ["b", "c"]), tower.encode_padded(["a, b", "a, c"]))


def test_a_mask_that_is_not_causal_is_noticed() -> None:
    tower = random_tower()
    assert tower.exact
    assert tower._parts is not None
    tower._parts.attn_mask[0, 5] = 0.0
    assert not TextTower(tower._model, tower._tokenizer).exact


def test_tokens_are_those_of_the_tokenizer(embedded: TextTower, phrases: list[str]) -> None:
    quick = PhraseTokenizer(embedded._tokenizer)
    texts = [*phrases, *ODD, *(text.upper() for text in phrases[:100])]
    assert [list(quick.encode(text)) for text in texts] == [
        embedded._tokenizer.encode(text) for text in texts
    ]


def test_a_text_that_is_read_differently_when_joined_is_told_apart(embedded: TextTower) -> None:
    """Alone the candidate is unescaped three times; behind a text with "<" only twice."""
    quick = PhraseTokenizer(embedded._tokenizer)
    prefix, candidates = "a < b", ["&amp;amp;amp;", "cat"]
    tails = quick.encode_after(prefix, candidates)
    assert tails[0] is None
    assert tails[1] == quick.encode("cat")


def test_what_fits_is_read_to_its_end(embedded: TextTower) -> None:
    prefix = "one two three four " * 18  # 72 tokens, the comma is the 73rd, two are left
    assert embedded.fits(prefix.strip(), ["red", "red cat", "red cat big"]) == [True, True, False]
    assert embedded.count_tokens("red") == 3
    assert embedded.fits("", ["red", "red " * 76]) == [True, False]


def test_a_padded_tower_counts_tokens_too() -> None:
    tower = random_tower(CustomTextCLIP, no_causal_mask=True)
    assert tower.count_tokens("a red cat") == 5
    assert tower.fits("a", ["b", "b " * 80]) == [True, False]


def test_work_can_be_stopped_between_batches(embedded: TextTower, phrases: list[str]) -> None:
    done: list[int] = []

    def stop(count: int) -> None:
        done.append(count)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embedded.encode(phrases, stop)
    assert len(done) == 1
    assert done[0] < 5_000


def test_no_texts_give_no_features(embedded: TextTower) -> None:
    assert len(embedded.encode([])) == len(embedded.encode_after("a", [])) == 0
    assert np.isfinite(embedded.encode([""]).numpy()).all()
