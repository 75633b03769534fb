"""Every layout of an add-on's file gives the weights it means, or is refused in one sentence."""

from pathlib import Path

import numpy as np
import pytest
import torch

from sd_app import Studio, Txt2ImgRequest
from tests.addons.addon_layouts import LAYOUTS, Array, Layout, Writer
from tests.addons.lora_writers import write_lora
from tests.addons.refused_layouts import REFUSED
from tests.addons.steps import KNOWN, PROMPT, draw, lend, same, weights
from tests.checkpoint_files import write_hollow

SCALE = 0.75


@pytest.fixture(scope="module")
def own(studio) -> dict[str, torch.Tensor]:
    """The checkpoint's own weights."""
    return weights(studio, PROMPT)


def write(studio: Studio, models_dir: Path, name: str) -> tuple[Layout, str]:
    """Write a layout; return it and the prompt that asks for it."""
    with lend(studio) as pipe:
        layout = LAYOUTS[name](Writer(pipe.components, seed=11))
    file = f"layout-{list(LAYOUTS).index(name)}"
    write_lora(models_dir / f"loras/{file}.safetensors", layout.tensors)
    return layout, f"{PROMPT} <lora:{file}:{SCALE}>"


def expected_weight(layout: Layout, name: str, weight: torch.Tensor) -> Array:
    values = weight.numpy().astype(np.float64)
    delta = layout.deltas.get(name.replace(".text_model.", "."))
    return values if delta is None else values + SCALE * delta(values).reshape(values.shape)


@pytest.mark.parametrize("name", list(LAYOUTS))
def test_a_layout_gives_the_weights_it_means_and_leaves_none_behind(studio, models_dir, base, own, name):
    layout, prompt = write(studio, models_dir, name)
    changed = weights(studio, prompt)
    found = set()
    for place, weight in changed.items():
        expected = expected_weight(layout, place, own[place])
        if place.replace(".text_model.", ".") in layout.deltas:
            found.add(place.replace(".text_model.", "."))
            error = np.abs(weight.numpy() - expected).max() / np.abs(expected).max()
            assert error < 1e-6, (place, error)
        else:
            assert torch.equal(weight, own[place]), place
    assert found == set(layout.deltas)
    if name != "alpha 0":
        assert draw(studio, prompt) != base
    assert same(weights(studio, PROMPT), own)
    assert draw(studio, prompt.replace(f":{SCALE}>", ":0>")) == base


@pytest.mark.parametrize("name", [name for name in LAYOUTS if "a " in name or name.startswith("foreign")])
def test_what_is_left_out_is_named_in_the_list_and_in_the_result(studio, models_dir, name):
    layout, prompt = write(studio, models_dir, name)
    result = studio.txt2img(Txt2ImgRequest(prompt=prompt, **KNOWN), save=False)
    again = studio.txt2img(Txt2ImgRequest(prompt=prompt, **KNOWN), save=False)  # the weights stayed
    assert result.notice == again.notice
    if not layout.left_out:
        assert "not used" not in result.notice  # how few steps there are is said as well
        return
    assert f"{layout.left_out} of its {len(layout.tensors)} tensors " in result.notice
    assert result.notice.count(".safetensors") == 0
    assert result.notice.endswith(".")


def test_a_foreign_tensor_is_named_in_the_list_too(studio, models_dir):
    write(studio, models_dir, "a foreign tensor")
    number = list(LAYOUTS).index("a foreign tensor")
    title = studio.describe_addon(f"<lora:layout-{number}:1>").title
    assert title.endswith("1 of its 13 tensors is not used: optimizer.step")


@pytest.mark.parametrize("name", list(REFUSED))
def test_another_kind_of_file_is_refused_in_list_and_use_alike(studio, models_dir, base, name):
    shapes, words = REFUSED[name]
    file = f"refused-{list(REFUSED).index(name)}"
    write_hollow(models_dir / f"loras/{file}.safetensors", shapes)
    with pytest.raises(ValueError, match=words) as caught:
        draw(studio, f"{PROMPT} <lora:{file}:1>")
    assert file in str(caught.value)
    assert str(models_dir) not in str(caught.value)
    facts = studio.describe_addon(f"<lora:{file}:1>")
    if words.startswith("one for"):  # another model would take it
        assert words.removeprefix("one for ") in facts.title
    else:
        assert facts.reason
        assert facts.reason in str(caught.value)
    assert draw(studio, PROMPT) == base


@pytest.mark.parametrize("pair", [("DoRA, rows", "LoHa"), ("kohya", "differences")])
def test_add_ons_of_two_kinds_add_up_in_either_order(studio, models_dir, own, pair):
    tags = [write(studio, models_dir, name)[1].removeprefix(PROMPT) for name in pair]
    both = weights(studio, PROMPT + tags[0] + tags[1])
    assert same(both, weights(studio, PROMPT + tags[1] + tags[0]))
    one, other = (weights(studio, PROMPT + tag) for tag in tags)
    for name, weight in own.items():
        assert torch.allclose(both[name] - weight, one[name] + other[name] - 2 * weight, atol=4e-6)


LYCORIS = (
    "kohya",
    "tucker",
    "LoHa",
    "LoHa, tucker",
    "LoKr, whole",
    "LoKr, second split",
    "LoKr, first split",
)
MORE = ("LoKr, both split", "LoKr, tucker", "DoRA, rows", "DoRA, columns", "DoRA over LoHa", "GLoRA")


def lycoris_weight(tensors: dict[str, torch.Tensor], own: torch.Tensor) -> torch.Tensor:
    """Return a layer's weight as LyCORIS works it out; its modules scale a merged LoHa twice."""
    from lycoris.functional import general, locon, loha, lokr
    from lycoris.modules.glora import _glora_weight

    alpha = tensors.get("alpha")

    def gamma(rank: int) -> float:
        return 1.0 if alpha is None else float(alpha) / rank

    if "lora_down.weight" in tensors:
        down, up, mid = (tensors.get(f"lora_{side}.weight") for side in ("down", "up", "mid"))
        diff = locon.diff_weight(down, up, mid, gamma=gamma(len(tensors["lora_down.weight"])))
    elif "hada_w1_a" in tensors:
        halves = [tensors.get(f"hada_{name}") for name in ("w1_b", "w1_a", "w2_b", "w2_a", "t1", "t2")]
        diff = loha.diff_weight(*halves, gamma=gamma(len(tensors["hada_w1_b"])))
    elif "a1.weight" in tensors:
        pairs = [tensors[f"{name}.weight"] for name in ("a1", "a2", "b1", "b2")]
        diff = _glora_weight(own, *pairs, None, gamma(len(pairs[1])))
    else:
        if own.ndim > 2 and "lokr_w2_b" in tensors and "lokr_t2" not in tensors:
            flat = tensors["lokr_w2_b"]
            tensors = {**tensors, "lokr_w2_b": flat.reshape(len(flat), -1, *own.shape[2:])}
        factors = [tensors.get(f"lokr_{n}") for n in ("w1", "w1_a", "w1_b", "w2", "w2_a", "w2_b", "t2")]
        small = next((tensors[n] for n in ("lokr_w2_b", "lokr_w1_b") if n in tensors), None)
        diff = lokr.kron_weight(*factors, scale=1.0 if small is None else gamma(len(small)))
    whole: torch.Tensor = own + diff.reshape(own.shape)
    if "dora_scale" in tensors:
        lengths = tensors["dora_scale"]
        whole = general.weight_decompose(whole, lengths, 1, wd_on_out=len(lengths) == len(own))
    return whole


@pytest.mark.parametrize("name", [*LYCORIS, *MORE])
def test_the_weights_are_those_of_lycoris(studio, models_dir, own, name):
    """At scale 1; for a DoRA in between each program has a rule of its own."""
    pytest.importorskip("lycoris")
    layout, prompt = write(studio, models_dir, name)
    merged = weights(studio, prompt.replace(str(SCALE), "1"))
    for place, weight in merged.items():
        plain = place.replace(".text_model.", ".")
        if plain in layout.deltas:
            key = plain.removesuffix(".weight").replace("unet.", "lora_unet_")
            key = key.replace("text_encoder.", "lora_te_text_model_").replace(".", "_") + "."
            tensors = {n.removeprefix(key): t for n, t in layout.tensors.items() if n.startswith(key)}
            theirs = lycoris_weight(tensors, own[place])
            assert (weight - theirs).abs().max() <= 1e-6 * theirs.abs().max(), place
