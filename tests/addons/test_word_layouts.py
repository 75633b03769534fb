"""Learned words in the files people have: inside a LoRA, for one encoder of two, with tensors beside."""

from pathlib import Path

import pytest
import torch

from sd_app import Settings, Studio
from sd_app.text.embeddings import encode
from sd_app.weights.pipeline import Pipeline
from tests.addons.lora_writers import kohya, lora_layers, write_lora
from tests.addons.steps import PROMPT, draw, lend, make_studio, weights

WIDTH = 32  # of model-a's text encoder


def vectors(pipe: Pipeline, text: str, index: int = 0) -> torch.Tensor:
    """Return the vectors of a text's tokens, (tokens, D)."""
    ids = pipe.tokenizer(text, add_special_tokens=False).input_ids
    table: torch.Tensor = pipe.text_encoders[index].get_input_embeddings().weight.detach()
    return table[ids].float().clone()


def put(models_dir: Path, name: str, tensors: dict[str, torch.Tensor]) -> None:
    write_lora(models_dir / f"embeddings/{name}.safetensors", tensors)


@pytest.fixture(scope="module")
def models_dir(random_models, sdxl_models, tmp_path_factory) -> Path:
    """A small model of each kind, and a LoRA that brings the words sks and two."""
    folder: Path = tmp_path_factory.mktemp("word-layouts")
    for model in (random_models / "model-a", sdxl_models / "xl"):
        (folder / model.name).symlink_to(model)
    with make_studio(folder, folder)._ready_manager().pipeline("model-a", "DDIM") as pipe:
        layers = kohya(lora_layers(pipe.components, 0))
        words = {
            "bundle_emb.sks.string_to_param.*": vectors(pipe, "dog"),
            "bundle_emb.two.clip_l": vectors(pipe, "red dog"),
        }
    write_lora(folder / "loras/plain.safetensors", layers)
    write_lora(folder / "loras/bundle.safetensors", {**layers, **words})
    write_lora(folder / "loras/words.safetensors", words)
    return folder


@pytest.fixture(scope="module")
def studio(models_dir, tmp_path_factory) -> Studio:
    return make_studio(models_dir, tmp_path_factory.mktemp("o"))


@pytest.mark.parametrize("word", ["sks", "<sks>", "SKS"])
def test_a_word_that_a_lora_brings_counts_while_it_is_applied(studio, word):
    with_word = draw(studio, f"a drawing of a {word} <lora:bundle:0.5>")
    assert with_word == draw(studio, "a drawing of a dog <lora:plain:0.5>")
    assert draw(studio, f"a drawing of a {word} <lora:plain:0.5>") != with_word


def test_at_scale_0_and_without_the_lora_its_word_is_plain_text(studio):
    assert draw(studio, "a sks <lora:bundle:0>") == draw(studio, "a sks")
    assert [token.learned for token in studio.tokens("a sks").tokens].count("sks") == 0


def test_a_word_counts_beside_scale_0_of_one_part(studio):
    assert draw(studio, "a sks <lora:bundle:0:1>") == draw(studio, "a dog <lora:plain:0:1>")


def test_the_token_line_the_list_and_encodings_know_the_word(studio):
    prompt = "a two here <lora:bundle:1>"
    assert [token.learned for token in studio.tokens(prompt).tokens] == ["", "two", "two", ""]
    assert [row.learned for row in studio.token_table(prompt).rows[:4]] == ["", "", "two", "two"]
    expected = studio.encode("a red dog here <lora:plain:1>").embeds
    assert (studio.encode(prompt).embeds == expected).all()
    facts = studio.describe_addon("<lora:bundle:1>")
    assert facts.trigger_words == ("sks", "two")
    assert "not used" not in facts.title


def test_a_file_of_words_alone_is_taken_and_changes_no_weight(studio):
    own = weights(studio, PROMPT)
    assert all(torch.equal(own[n], w) for n, w in weights(studio, f"{PROMPT} <lora:words:1>").items())
    assert draw(studio, "a drawing of a sks <lora:words>") == draw(studio, "a drawing of a dog")


def test_the_loras_own_word_goes_before_a_file_of_that_name(studio, models_dir):
    with lend(studio) as pipe:
        put(models_dir, "sks", {"emb_params": vectors(pipe, "tree")})
    try:
        assert draw(studio, "a sks") == draw(studio, "a tree")
        assert draw(studio, "a sks <lora:words>") == draw(studio, "a dog")
    finally:
        (models_dir / "embeddings/sks.safetensors").unlink()


@pytest.mark.parametrize(
    ("names", "beside"),
    [
        (("string_to_param.*",), ("string_to_token.*", "step")),
        (("emb_params",), ("loss",)),
        (("<dog>",), ("notes",)),
        (("clip_l",), ()),
        (("text_encoders_0",), ()),
    ],
)
def test_one_foreign_tensor_costs_that_tensor(studio, models_dir, names, beside):
    with lend(studio) as pipe:
        dog = vectors(pipe, "dog")
    put(models_dir, "odd", {**dict.fromkeys(names, dog), **{name: torch.ones(1) for name in beside}})
    assert draw(studio, "a odd") == draw(studio, "a dog")
    title = studio.describe_addon("<odd>").title
    assert ("not used" in title) == bool(beside)
    assert all(name in title for name in beside)


@pytest.mark.parametrize("side", [0, 1])
def test_a_word_of_one_of_sdxls_encoders_leaves_empty_places_to_the_other(models_dir, tmp_path, side):
    studio = Studio(Settings(models_dir=models_dir, model="xl", outputs_dir=tmp_path))
    with lend(studio, model="xl") as pipe:
        own = [vectors(pipe, "cat", index) for index in (0, 1)]
        widths = [len(one[0]) for one in own]
        names = ("clip_l", "clip_g")
        put(models_dir, "single", {names[side]: own[side]})
        put(models_dir, "zeros", {n: own[k] if k == side else 0 * own[k] for k, n in enumerate(names)})
    with lend(studio, model="xl") as pipe:
        single, zeros, cat = (encode(pipe, f"a {word} here") for word in ("<single>", "<zeros>", "cat"))
    assert torch.equal(single, zeros)
    split = pipe.text_encoder.config.hidden_size
    assert split in widths
    halves = [slice(0, split), slice(split, None)]
    assert torch.equal(single[..., halves[side]], cat[..., halves[side]])
    assert not torch.equal(single[..., halves[1 - side]], cat[..., halves[1 - side]])
    which = ("first", "second")
    expected = f"vectors for SDXL's {which[side]} text encoder only: the {which[1 - side]} reads empty places"
    assert expected in studio.describe_addon("<single>").title


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        (
            {"clip_l": torch.ones(1, 768), "clip_g": torch.ones(1, 1280), "t5xxl": torch.ones(1, 4096)},
            "a learned word for Stable Diffusion 3",
        ),
        ({"clip_g": torch.ones(1, 1280)}, "one for SDXL"),
        ({"emb_params": torch.ones(1, 1024)}, "one for Stable Diffusion 2"),
        ({"a": torch.ones(1, WIDTH), "b": torch.ones(1, WIDTH)}, "those of an embedding"),
    ],
)
def test_a_word_of_another_model_is_refused_in_words(studio, models_dir, tensors, words):
    put(models_dir, "stranger", tensors)
    with pytest.raises(ValueError, match=words):
        draw(studio, "a <stranger>")
    (models_dir / "embeddings/stranger.safetensors").unlink()


def test_a_pickle_is_refused_where_it_is_meant_and_not_where_a_safe_file_is_there(studio, models_dir):
    pickle = models_dir / "embeddings/easynegative.pt"
    pickle.write_bytes(b"PK\x03\x04")
    with pytest.raises(ValueError, match=r"easynegative cannot: it is a pickle, .* \(get the .safetensors"):
        draw(studio, "a cat", negative_prompt="EasyNegative, blurry")
    assert "pickle" in studio.describe_addon("<easynegative>").reason
    with lend(studio) as pipe:
        put(models_dir, "easynegative", {"emb_params": vectors(pipe, "dog")})
    assert draw(studio, "a easynegative") == draw(studio, "a dog")
    pickle.unlink()
