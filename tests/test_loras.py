"""LoRAs merged into a loaded checkpoint: identities first, then diffusers' own as the yardstick."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline

from sd_app import BlendRequest, Img2ImgRequest, Settings, Studio, Txt2ImgRequest, WalkRequest
from sd_app.addons import choose_additions, inspect_lora, list_files
from sd_app.catalog import find_model
from sd_app.expressions.tags import find_tags, remove_tags
from sd_app.metadata import from_infotext, read_infotext
from sd_app.requests import take_apart
from sd_app.weights.lora_merging import read_lora
from sd_app.weights.scheduling import make_scheduler
from tests.addon_files import WRITERS, delta, kohya, kohya_original, lora_layers, peft, write_lora
from tests.checkpoint_files import write_hollow

PROMPT = "a drawing of a cat"
KNOWN: dict[str, Any] = {
    "seed": 3,
    "num_inference_steps": 3,
    "width": 64,
    "height": 64,
    "guidance_scale": 5.0,
}


@pytest.fixture(scope="module")
def models_dir(random_models, tmp_path_factory) -> Path:
    """The random checkpoints, and loras/ with a and b for model-a."""
    folder: Path = tmp_path_factory.mktemp("with-loras")
    for model in random_models.iterdir():
        (folder / model.name).symlink_to(model)
    return folder


@pytest.fixture(scope="module")
def studio(models_dir, tmp_path_factory) -> Studio:
    studio = Studio(
        Settings(
            models_dir=models_dir, model="model-a", outputs_dir=tmp_path_factory.mktemp("o"), batch_size=2
        )
    )
    with studio._ready_manager().pipeline("model-a", "DDIM") as pipe:
        for seed, name in enumerate("ab"):
            write_lora(
                models_dir / "loras" / f"{name}.safetensors", kohya(lora_layers(pipe.components, seed))
            )
    return studio


@pytest.fixture(scope="module")
def base(studio) -> bytes:
    """The picture of the checkpoint alone."""
    return draw(studio, PROMPT)


def draw(studio: Studio, prompt: str, **more: Any) -> bytes:
    return studio.txt2img(Txt2ImgRequest(prompt=prompt, **{**KNOWN, **more}), save=False).images[0].tobytes()


def lend(studio: Studio, prompt: str) -> Any:
    info = find_model(studio.settings, None)
    additions = choose_additions(studio.settings, info, prompt)
    return studio._ready_manager().pipeline(info.name, "DDIM", additions=additions)


def weights(studio: Studio, prompt: str) -> dict[str, torch.Tensor]:
    """Return copies of all weights as a prompt's job has them."""
    with lend(studio, prompt) as pipe:
        return {
            f"{part}.{name}": weight.clone()
            for part in ("unet", "text_encoder", "text_encoder_2")
            if part in pipe.components
            for name, weight in pipe.components[part].state_dict().items()
        }


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def layers_of(studio: Studio, seed: int, **more: Any) -> Any:
    with lend(studio, PROMPT) as pipe:
        return lora_layers(pipe.components, seed, **more)


def test_a_scale_of_0_changes_no_byte_and_a_lora_does(studio, base):
    assert draw(studio, f"{PROMPT} <lora:a:0>") == base
    assert draw(studio, f"{PROMPT} <lora:a:0.5>") != base


def test_without_the_tag_the_weights_are_the_checkpoints_own_again(studio, base):
    before = weights(studio, PROMPT)
    assert not same(weights(studio, f"{PROMPT} <lora:a:1> <lora:b:-0.3>"), before)
    assert same(weights(studio, PROMPT), before)
    assert draw(studio, PROMPT) == base


@pytest.mark.parametrize("scale", [1.0, 0.4, -2.0])
def test_every_weight_gets_scale_times_alpha_over_rank_times_up_at_down(studio, scale):
    before, after = weights(studio, PROMPT), weights(studio, f"{PROMPT} <lora:a:{scale}>")
    layers = layers_of(studio, 0)
    changed = 0
    for place, layer in layers.items():
        name = next(n for n in before if n.replace(".text_model.", ".") == f"{place}.weight")
        expected = before[name] + scale * delta(layer, before[name].shape)
        assert torch.allclose(after[name], expected, atol=1e-6)
        changed += 1
    assert sum(not torch.equal(before[name], after[name]) for name in before) == changed == len(layers)


def test_two_loras_are_the_sum_of_both_in_either_order(studio):
    plain = weights(studio, PROMPT)
    a, b = (weights(studio, f"{PROMPT} <lora:{name}:0.5>") for name in "ab")
    both = weights(studio, f"<lora:b:0.5> {PROMPT} <lora:a:0.5>")
    assert same(both, weights(studio, f"{PROMPT} <lora:a:0.5><lora:b:0.5>"))
    for name, weight in plain.items():
        assert torch.allclose(both[name] - weight, a[name] + b[name] - 2 * weight, atol=2e-6)
    assert same(weights(studio, f"{PROMPT} <lora:a:0.25><lora:a:0.25>"), a)


def test_the_first_number_is_the_text_encoders_the_second_the_unets(studio):
    plain, whole = weights(studio, PROMPT), weights(studio, f"{PROMPT} <lora:a:1>")
    text = weights(studio, f"{PROMPT} <lora:a:1:0>")
    for name, weight in text.items():
        assert torch.equal(weight, (plain if name.startswith("unet.") else whole)[name])
    unet = weights(studio, f"{PROMPT} <lora:a:te=0:unet=1>")
    assert same({**whole, **{n: w for n, w in plain.items() if not n.startswith("unet.")}}, unet)


@pytest.mark.parametrize("way", list(WRITERS))
def test_every_way_of_writing_gives_the_same_weights(studio, models_dir, way):
    layers = layers_of(studio, 0)
    write_lora(models_dir / "loras" / f"{way}.safetensors", WRITERS[way](layers))
    expected = weights(studio, f"{PROMPT} <lora:a:0.5>")
    assert same(weights(studio, f"{PROMPT} <lora:{way}:0.5>"), expected)


def test_an_alpha_that_diffusers_writes_into_the_metadata_counts(studio, models_dir):
    layers = {place: (down, up, float(len(down))) for place, (down, up, _) in layers_of(studio, 0).items()}
    config = {"r": 4, "lora_alpha": 2, "use_rslora": False, "use_dora": False}
    known = {f"{part}.{key}": value for part in ("unet", "text_encoder") for key, value in config.items()}
    metadata = {"lora_adapter_metadata": json.dumps(known)}
    write_lora(models_dir / "loras" / "told.safetensors", peft(layers), metadata)
    assert same(weights(studio, f"{PROMPT} <lora:told>"), weights(studio, f"{PROMPT} <lora:a>"))


@pytest.mark.parametrize("way", ["kohya", "peft"])
def test_the_picture_is_that_of_diffusers_own_loader(studio, models_dir, random_models, way):
    """diffusers adds beside the layers, not into the weights: rounding differs."""
    layers = layers_of(studio, 0, only="attn")
    file = write_lora(models_dir / "loras" / f"theirs-{way}.safetensors", WRITERS[way](layers))
    theirs = StableDiffusionPipeline.from_pretrained(random_models / "model-a", safety_checker=None)
    theirs.set_progress_bar_config(disable=True)
    theirs.scheduler = make_scheduler("DDIM", theirs.scheduler.config)
    theirs.load_lora_weights(file.parent, weight_name=file.name)
    arguments = {name: value for name, value in KNOWN.items() if name != "seed"}
    expected = theirs(PROMPT, generator=[torch.Generator().manual_seed(3)], **arguments).images[0]
    ours = np.frombuffer(draw(studio, f"{PROMPT} <lora:theirs-{way}>", scheduler="DDIM"), np.uint8)
    difference = np.abs(ours.astype(int) - np.asarray(expected).ravel())
    assert difference.max() <= 1
    assert (
        np.abs(ours.astype(int) - np.frombuffer(draw(studio, PROMPT, scheduler="DDIM"), np.uint8)).max() > 8
    )


def test_sdxl_takes_both_encoders_and_the_original_names(sdxl_models, tmp_path):
    models = tmp_path / "models"
    models.mkdir()
    (models / "xl").symlink_to(sdxl_models / "xl")
    studio = Studio(Settings(models_dir=models, model="xl", outputs_dir=tmp_path))
    layers = layers_of(studio, 5)
    assert {place.partition(".")[0] for place in layers} == {"unet", "text_encoder", "text_encoder_2"}
    with lend(studio, PROMPT) as pipe:
        config = pipe.unet.config
    write_lora(models / "loras/original.safetensors", kohya_original(layers, config))
    write_lora(models / "loras/peft.safetensors", peft(layers))
    plain = weights(studio, PROMPT)
    merged = weights(studio, f"{PROMPT} <lora:original:0.5>")
    assert sum(not torch.equal(plain[name], merged[name]) for name in plain) == len(layers)
    assert same(merged, weights(studio, f"{PROMPT} <lora:peft:0.5>"))
    assert same(plain, weights(studio, PROMPT))


def test_a_known_change_of_the_embedded_model_as_a_lora_draws_the_changed_models_picture(tmp_path):
    from sd_app.settings import EMBEDDED_DIR

    models = tmp_path / "models"
    models.mkdir()
    (models / "tiny-sd").symlink_to(EMBEDDED_DIR / "tiny-sd")
    studio = Studio(Settings(models_dir=models, outputs_dir=tmp_path, device="cpu"))
    place = "mid_block.attentions.0.transformer_blocks.0.attn2.to_v"
    known = {"width": 128, "height": 128, "num_inference_steps": 4}
    with lend(studio, "a") as pipe:
        weight = pipe.unet.get_submodule(place).weight
        # The value projection turned around, which has the rank of the text's 96 columns.
        u, s, v = torch.linalg.svd((-2 * weight).float(), full_matrices=False)
        original = weight.detach().clone()
        with torch.no_grad():
            weight.copy_(-weight)
    turned = draw(studio, "an orange cat", **known)
    with lend(studio, "a"), torch.no_grad():
        weight.copy_(original)
    tensors = {f"unet.{place}.lora_A.weight": v, f"unet.{place}.lora_B.weight": u * s}
    write_lora(models / "loras/turned.safetensors", tensors)
    merged = draw(studio, "an orange cat <lora:turned:1>", **known)
    a, b = (np.frombuffer(one, np.uint8).astype(int) for one in (turned, merged))
    assert np.abs(a - b).max() <= 1
    assert np.abs(a - np.frombuffer(draw(studio, "an orange cat", **known), np.uint8)).mean() > 1


def test_weights_are_exchanged_only_when_another_job_asks_for_others(studio, monkeypatch):
    from sd_app.weights import lora_merging as loras

    reads: list[str] = []
    read = loras.read_lora

    def counted(path: Path, config: Any) -> Any:
        reads.append(path.stem)
        return read(path, config)

    monkeypatch.setattr(loras, "read_lora", counted)
    draw(studio, PROMPT)
    states = []
    for prompt in ("<lora:a:0.5> a cat", "a dog <lora:a:0.5>", "a dog <lora:b>", "a dog", "<lora:a:0.5> a"):
        with lend(studio, prompt) as pipe:
            states.append(pipe.merged)
    assert reads == ["a", "b", "a"]
    assert states[0] == states[1] == states[4] != states[2]
    assert states[3] == ()
    assert len(set(states)) == 3  # hashable


def test_another_checkpoint_has_loras_of_its_own(studio):
    plain = draw(studio, PROMPT, model="model-b")
    draw(studio, f"{PROMPT} <lora:a>")
    assert draw(studio, PROMPT, model="model-b") == plain
    assert draw(studio, f"{PROMPT} <lora:a>", model="model-b") != plain


# -- in prompts


def test_a_tag_is_no_token_and_stays_in_the_saved_prompt(studio, tmp_path):
    tagged = "a (big <lora:a:0.5>:1.2) cat"
    assert studio.tokens(tagged) == studio.tokens("a (big :1.2) cat")
    assert studio.token_table(tagged) == studio.token_table("a (big :1.2) cat")
    result = studio.txt2img(Txt2ImgRequest(prompt=tagged, **KNOWN))
    request = from_infotext(read_infotext(result.paths[0]) or "")
    assert request.prompt == tagged
    assert studio.txt2img(request, save=False).images[0].tobytes() == result.images[0].tobytes()


def test_a_tag_counts_beside_braces_weights_walks_blends_and_pictures(studio):
    merged = draw(studio, f"{PROMPT} <lora:a:0.5>")
    assert draw(studio, "a drawing of a {cat} <lora:a:0.5>") == merged
    assert draw(studio, "<lora:a:0.5>a drawing of a {row: cat}") == merged
    blend = BlendRequest(expression="cat", prompt="a drawing of a {} <lora:a:0.5>", **KNOWN)
    assert studio.blend(blend, save=False).images[0].tobytes() == merged
    walk = WalkRequest(
        a="cat", b="dog", prompt="a drawing of a {} <lora:a:0.5>", frames=2, film="none", **KNOWN
    )
    assert studio.walk(walk, save=False).images[0].tobytes() == merged
    start = studio.txt2img(Txt2ImgRequest(prompt=PROMPT, **KNOWN), save=False).images[0]
    known = {**KNOWN, "init_image": start, "strength": 1.0}
    again = studio.img2img(Img2ImgRequest(prompt=f"{PROMPT} <lora:a:0.5>", **known), save=False)
    assert again.images[0].tobytes() == merged


def test_the_numbers_shown_are_those_of_the_merged_encoder(studio):
    plain, tagged = studio.encode(PROMPT), studio.encode(f"{PROMPT} <lora:a>")
    assert plain.embeds.shape == tagged.embeds.shape
    assert (plain.embeds != tagged.embeds).any()
    near = [studio.look_up(prompt, 1).near for prompt in ("cat", "cat <lora:a:1:0>", "cat")]
    assert near[0] == near[2] != near[1]
    for words in near:  # the vocabulary is read by the same weights, too
        assert (words[0].text, words[0].cosine) == ("cat", pytest.approx(1, abs=1e-4))


def test_a_tagged_prompt_is_taken_over_as_an_expression_with_its_tag_outside(studio):
    tagged = "a (big <lora:a:0.5>:1.2) cat<lora:b:-0.3>"
    fields: dict[str, Any] = take_apart(tagged)
    assert fields["prompt"] == "{} <lora:a:0.5> <lora:b:-0.3>"
    blend = studio.blend(BlendRequest(**fields, **KNOWN), save=False)
    assert blend.images[0].tobytes() == draw(studio, tagged)


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ("<lora:a>", [("a", 1, 1)]),
        ("<lora:my style v2:0.8>", [("my style v2", 0.8, 0.8)]),
        ("<LoRA:sub/a:.5:.25>", [("sub/a", 0.5, 0.25)]),
        ("<lora:a:te=0.5:unet=2>", [("a", 0.5, 2)]),
        ("<lora:b:1> x <lora:a:-1>", [("a", -1, -1), ("b", 1, 1)]),
        ("<lora:> <a> <b:1>"[7:], []),
    ],
)
def test_tags_are_read(tags, found):
    assert [(tag.name, tag.text_scale, tag.unet_scale) for tag in find_tags(tags)] == found


def test_only_tags_are_taken_out():
    assert remove_tags("a <lora:x:1>cat <y> <lora x>, a < b") == "a cat <y> <lora x>, a < b"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {"prompt": "a <lora:x:nan>"},
            "prompt must scale a LoRA by a number from -10 to 10, got <lora:x:nan>",
        ),
        ({"prompt": "a <lora:x:1e9>"}, "from -10 to 10"),
        ({"prompt": "a <lora:x:inf>"}, "from -10 to 10"),
        ({"prompt": "a <lora:x:much>"}, "from -10 to 10"),
        ({"prompt": "a <lora:x:6><lora:x:6>"}, "by -10 to 10 in all, got 12 for x"),
        ({"prompt": "a <lora:x:0:-6><lora:x:0:-6>"}, "by -10 to 10 in all, got -12 for x"),
        ({"prompt": "a <lora::1>"}, "prompt must name the LoRA"),
        ({"prompt": "a <lora:x:1:2:3>"}, "at most two numbers"),
        ({"prompt": "a <lora:x:lbw=ALL>"}, "at most two numbers"),
        ({"prompt": "a {cat <lora:x:1>}"}, "must not have a LoRA in braces"),
        ({"prompt": 'a {"cat <lora:x:1>" + dog}'}, "must not have a LoRA in braces"),
        ({"prompt": "a", "negative_prompt": "b <lora:x:1>"}, "negative_prompt must not hold a LoRA"),
    ],
)
def test_a_tag_that_cannot_be_is_refused_before_anything_is_loaded(fields, words):
    with pytest.raises(ValueError, match=words):
        Txt2ImgRequest(**fields)


# -- bad files


def spoil(models_dir: Path, name: str, tensors: dict[str, torch.Tensor] | bytes) -> None:
    path = models_dir / "loras" / f"{name}.safetensors"
    if isinstance(tensors, bytes):
        path.write_bytes(tensors)
    else:
        write_lora(path, tensors)


def some(**shapes: tuple[int, ...]) -> dict[str, torch.Tensor]:
    return {name.replace("__", "."): torch.ones(shape) for name, shape in shapes.items()}


def conv_in(rank: int = 4, **other: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return a LoRA of one layer, some of its tensors others than they should be."""
    tensors = {"down": torch.ones(rank, 4, 3, 3), "up": torch.ones(16, rank, 1, 1), **other}
    names = {"alpha": "unet.conv_in.alpha"}
    return {names.get(name, f"unet.conv_in.lora.{name}.weight"): tensor for name, tensor in tensors.items()}


BAD: dict[str, tuple[Any, str]] = {
    "pickle": (b"PK\x03\x04" + bytes(100), "it is a pickle under another name"),
    "noise": (bytes(range(256)), "it is no safetensors file"),
    "empty": (b"", "it is empty"),
    "loha": (some(lora_unet_x__hada_w1_a=(4, 4)), "it is a LoHa"),
    "lokr": (some(lora_unet_x__lokr_w1=(4, 4)), "it is a LoKr"),
    "dora": (some(lora_unet_x__lora_down__weight=(4, 4), lora_unet_x__dora_scale=(4,)), "it is a DoRA"),
    "tucker": (some(lora_unet_x__lora_down__weight=(4, 4), lora_unet_x__lora_mid__weight=(4,)), "Tucker"),
    "flux": (some(lora_unet_double_blocks_0__lora_down__weight=(4, 4)), "it is a LoRA for Flux"),
    "other": (some(anything=(4, 4)), "its tensors are those of no LoRA"),
    "stranger": (
        some(unet__nowhere__lora_A__weight=(4, 4), unet__nowhere__lora_B__weight=(4, 4)),
        "1 of its 1 layers are not in it, unet.nowhere",
    ),
    "half": (some(unet__conv_in__lora_A__weight=(4, 4)), "its unet.conv_in is missing x"),
    "misfit": (
        some(unet__conv_out__lora_A__weight=(4, 9), unet__conv_out__lora_B__weight=(4, 4)),
        "its unet.conv_out is",
    ),
    "nan": (
        {"unet.conv_in.lora_A.weight": torch.full((4, 4), float("nan"))},
        "a value that is no number",
    ),
    "alphas": (conv_in(alpha=torch.ones(2, 2)), r"conv_in.alpha has the shape \(2, 2\), and an alpha is"),
    "nanalpha": (
        conv_in(alpha=torch.tensor(float("nan"))),
        "its unet.conv_in has the alpha nan for the rank 4",
    ),
    "infalpha": (conv_in(alpha=torch.tensor(float("-inf"))), "its unet.conv_in has the alpha -inf for"),
    "largealpha": (
        conv_in(alpha=torch.tensor(4e6 + 1)),
        r"its unet.conv_in has the alpha 4e\+06 for the rank 4",
    ),
    "complexalpha": (conv_in(alpha=torch.tensor(1j)), "its numbers are C64"),
    "rank0": (conv_in(rank=0), r"conv_in.lora.down.weight has the shape \(0, 4, 3, 3\)"),
    "scalar": (conv_in(up=torch.zeros(())), r"conv_in.lora.up.weight has the shape \(\)"),
    "whole": (conv_in(up=torch.ones(16, 4, 1, 1).long()), "its numbers are I64, and only F16"),
    "beyond": (conv_in(up=torch.full((16, 4, 1, 1), 3e38)), r"beyond unet.conv_in gets too large \(lower"),
}


@pytest.mark.parametrize("name", list(BAD))
def test_a_bad_file_is_refused_by_name_and_the_model_goes_on(studio, models_dir, base, name):
    contents, words = BAD[name]
    spoil(models_dir, name, contents)
    with pytest.raises(ValueError, match=words) as caught:
        draw(studio, f"{PROMPT} <lora:a:0.5> <lora:{name}:1>")
    assert name in str(caught.value)
    assert str(models_dir) not in str(caught.value)
    assert draw(studio, PROMPT) == base


@pytest.mark.parametrize(
    "metadata",
    [
        "[" * 100_000,
        "[]",
        '{"unet.lora_alpha": "1e999"}',
        '{"unet.lora_alpha": [1]}',
        '{"unet.lora_alpha": "much"}',
        '{"unet.lora_alpha": 1' + "0" * 400 + "}",
        '{"unet.lora_alpha": 4000001}',
        '{"unet.alpha_pattern": [1]}',
    ],
    ids=range(8),
)
def test_metadata_without_an_alpha_that_can_be_is_refused(tmp_path, metadata):
    file = write_lora(tmp_path / "a.safetensors", conv_in(), {"lora_adapter_metadata": metadata})
    with pytest.raises(ValueError, match=r"its alpha cannot be read|its unet.conv_in has the alpha"):
        read_lora(file, None)


def test_what_float16_cannot_hold_is_refused_and_the_weights_are_back(studio, models_dir, tmp_path):
    half = Studio(Settings(models_dir=models_dir, model="model-a", outputs_dir=tmp_path, dtype="float16"))
    write_lora(models_dir / "loras/strong.safetensors", conv_in(up=torch.full((16, 4, 1, 1), 2e4)))
    before = weights(half, PROMPT)
    weights(half, f"{PROMPT} <lora:strong:0.5>")
    with pytest.raises(
        ValueError, match=r"with a and strong unet.conv_in gets too large \(lower the scale\)"
    ):
        weights(half, f"{PROMPT} <lora:a> <lora:strong:2>")
    assert same(weights(half, PROMPT), before)
    assert not same(weights(half, f"{PROMPT} <lora:strong:0.5>"), before)
    weights(studio, f"{PROMPT} <lora:strong:2>")  # float32 can hold it


def test_an_infinity_of_the_checkpoints_own_is_no_fault_of_a_lora(studio):
    with lend(studio, PROMPT) as pipe, torch.no_grad():
        weight = pipe.unet.conv_in.weight
        before = weight.detach().clone()
        weight[0, 0, 0, 0] = float("inf")
    try:
        weights(studio, f"{PROMPT} <lora:a:1>")
    finally:
        with lend(studio, PROMPT), torch.no_grad():
            weight.copy_(before)


def test_a_cut_off_file_is_refused(studio, models_dir, base):
    whole = (models_dir / "loras/a.safetensors").read_bytes()
    spoil(models_dir, "cut", whole[:-100])
    with pytest.raises(ValueError, match="cut cannot: it is cut off"):
        draw(studio, f"{PROMPT} <lora:cut>")
    assert draw(studio, PROMPT) == base


@pytest.mark.parametrize(
    ("key", "shape", "title"),
    [
        ("lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight", 2048, "SDXL"),
        (
            "unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_v.lora_A.weight",
            1024,
            "Stable Diffusion 2",
        ),
        ("lora_te2_text_model_encoder_layers_0_self_attn_q_proj.lora_down.weight", 1280, "SDXL"),
        ("lora_te_text_model_encoder_layers_0_self_attn_q_proj.lora_down.weight", 1024, "Stable Diffusion 2"),
    ],
)
def test_another_familys_lora_is_refused_by_its_header_alone(models_dir, key, shape, title):
    """The studio is a new one: nothing is loaded, and the files' weights are holes."""
    write_hollow(models_dir / "loras/foreign.safetensors", {key: (8, shape)})
    studio = Studio(Settings(models_dir=models_dir, model="model-a"))
    with pytest.raises(ValueError, match=f"foreign is one for {title} .the model is Stable Diffusion 1"):
        draw(studio, "a cat <lora:foreign:1>")
    assert studio.status().loaded == ()


def test_facts_come_from_the_header(tmp_path):
    key = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k"
    frequency = {"10_dog": {"sks dog": 20, "grass": 3}, "5_more": {"grass": 4}}
    metadata = {"ss_tag_frequency": json.dumps(frequency)}
    shapes = {f"{key}.lora_down.weight": (8, 768), f"{key}.lora_up.weight": (320, 8)}
    facts = inspect_lora(write_hollow(tmp_path / "x.safetensors", shapes, metadata))
    assert (facts.family, facts.rank, facts.size_bytes) == ("sd1", 8, 2 * 8 * (768 + 320))
    assert facts.trigger_words == ("sks dog", "grass")
    told = inspect_lora(write_hollow(tmp_path / "y.safetensors", shapes, {"modelspec.trigger_phrase": "sks"}))
    assert told.trigger_words == ("sks",)


@pytest.mark.parametrize(
    ("frequency", "words"),
    [
        ("{", ()),
        ("[" * 100_000, ()),
        ('{"a": {"x": 1e999}}', ()),
        ('{"a": {"x": NaN}}', ()),
        ('{"a": {"x": [1]}}', ()),
        ('{"a": 5}', ()),
        ("[1]", ()),
        ('{"a": {"\\ud800x": 2, "\\udfff": 3, "y": 1}}', ("x", "y")),
    ],
    ids=range(8),
)
def test_odd_trigger_words_are_left_out(tmp_path, frequency, words):
    shapes = {"lora_unet_x.lora_down.weight": (8, 768)}
    facts = inspect_lora(write_hollow(tmp_path / "z.safetensors", shapes, {"ss_tag_frequency": frequency}))
    assert facts.trigger_words == words


def test_an_unknown_name_is_answered_with_the_nearest(studio, models_dir):
    write_lora(models_dir / "loras/watercolour.safetensors", some(x=(1,)))
    with pytest.raises(ValueError, match=r"got watercolor \(nearest: watercolour"):
        draw(studio, "a <lora:watercolor:1>")
    (models_dir / "loras/old.pt").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"old.pt is refused: reading it can run code"):
        draw(studio, "a <lora:old:1>")
    with pytest.raises(ValueError, match="LoRA that is there"):
        draw(studio, "a <lora:../../model-a/unet/diffusion_pytorch_model:1>")


def test_two_files_of_one_name_must_be_told_apart(studio, models_dir):
    for place in ("twin", "sub/twin"):
        write_lora(models_dir / f"loras/{place}.safetensors", kohya(layers_of(studio, 0)))
    with pytest.raises(
        ValueError, match=r"2 files are called twin \(write one of: sub/twin.saf\w+, twin.saf"
    ):
        draw(studio, "a <lora:twin:1>")
    with pytest.raises(ValueError, match=r"in all, got 12 for sub/twin.safetensors"):
        draw(studio, "a <lora:sub/twin.safetensors:6> <lora:sub/twin:6>")
    merged = weights(studio, "a <lora:sub/twin.safetensors:0.25> <lora:sub/twin:0.25>")
    assert same(merged, weights(studio, "a <lora:a:0.5>"))
    assert {"twin.safetensors", "sub/twin.safetensors"} <= {f.name for f in list_files(models_dir / "loras")}


def test_links_in_a_circle_and_nowhere_and_pipes_are_left_out_of_5000_files(tmp_path):
    for number in range(5000):
        (tmp_path / f"{number}.safetensors").touch()
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/up").symlink_to(tmp_path)
    (tmp_path / "sub/self.safetensors").symlink_to(tmp_path / "sub/self.safetensors")
    (tmp_path / "dead.safetensors").symlink_to(tmp_path / "gone")
    os.mkfifo(tmp_path / "pipe.safetensors")
    assert len(list_files(tmp_path)) == 5000


def test_the_folders_beside_are_no_checkpoints(studio):
    assert {"loras", "embeddings", "vae"}.isdisjoint(info.name for info in studio.models())


def test_a_lora_has_cached_prompts_of_its_own_and_without_it_the_old_ones_count_again(studio):
    prompt = "a drawing of a cached cat"
    with lend(studio, prompt) as pipe:
        encoder = pipe.text_encoder
    calls: list[object] = []
    hook = encoder.register_forward_hook(lambda *_: calls.append(None))
    try:
        counts = []
        for text in (prompt, f"{prompt} <lora:a:1>", prompt, f"{prompt} <lora:a:1>"):
            draw(studio, text)
            counts.append(len(calls))
    finally:
        hook.remove()
    assert counts[1] > counts[0] > 0
    assert counts[1:] == [counts[1]] * 3


def test_what_a_lora_covers_counts_as_memory_until_it_is_taken_out(studio):
    studio.unload()  # other tests may have left another model

    def size_bytes() -> int:
        status = studio.status()
        return status.loaded_bytes[status.loaded.index("model-a")]

    draw(studio, PROMPT)
    before = size_bytes()
    draw(studio, f"{PROMPT} <lora:a:1>")
    merged = size_bytes()
    with lend(studio, PROMPT) as pipe:
        covered = [pipe.unet, pipe.text_encoder]
    linear = (torch.nn.Linear, torch.nn.Conv2d)
    weights = [m.weight for network in covered for m in network.modules() if isinstance(m, linear)]
    assert merged - before >= sum(weight.nbytes for weight in weights)
