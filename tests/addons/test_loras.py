"""LoRAs merged into a loaded checkpoint: identities first, then diffusers' own as the yardstick."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline

from sd_app import Settings, Studio
from sd_app.weights.lora_reading import LoraChanges
from sd_app.weights.scheduling import make_scheduler
from tests.addons.lora_writers import WRITERS, delta, kohya_original, peft, write_lora
from tests.addons.steps import KNOWN, PROMPT, Fields, draw, layers_of, lend, same, weights


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
    known: Fields = {"width": 128, "height": 128, "num_inference_steps": 4}
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

    def counted(path: Path) -> LoraChanges:
        reads.append(path.stem)
        return read(path)

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
