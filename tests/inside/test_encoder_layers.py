"""The last layer is the picture as it was, to the byte; the others are what the encoder holds there."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from sd_app import Img2ImgRequest, InpaintRequest
from sd_app.inside.encoder_layers import (
    PANEL,
    POOLED,
    LayerPrompt,
    layers_of,
    layers_read,
    make_encoder,
    num_layers,
    with_layer,
)
from sd_app.text import prompts
from tests.inside.test_word_effects import ALONE, look_at
from tests.test_denoise import MASK, PICTURE
from tests.test_observers import RUN, open_studio, state_of

PROMPTS = [
    "a (red:1.3) cat, on [the] beach",
    "a red cat BREAK on the beach",
    "red, " * 50 + "a cat",
    "[a cat:a dog:0.5] here",
    "a cat AND a dog:0.5",
    "a {row: cat + 0.5*dog}",
    "",
]
KINDS = {
    "txt2img": ALONE,
    "img2img": Img2ImgRequest(prompt="a cat", init_image=PICTURE, strength=0.8, **RUN),
    "inpaint": InpaintRequest(prompt="a cat", init_image=PICTURE, mask_image=MASK, **RUN),
}


@pytest.mark.parametrize(
    ("folder", "model", "kind"),
    [
        ("random_models", "model-a", "img2img"),
        ("random_models", "model-a", "inpaint"),
        ("random_models", "model-v", "txt2img"),
        ("sdxl_models", "xl", "txt2img"),
        ("sdxl_models", "xl", "inpaint"),
    ],
)
def test_from_the_layer_that_the_run_read_the_picture_is_the_same_to_the_byte(
    request, tmp_path, folder, model, kind
):
    studio = open_studio(request.getfixturevalue(folder), model, tmp_path)
    look = look_at(studio, replace(KINDS[kind], num_inference_steps=2))
    before = state_of(studio)
    with look.pipe() as pipe:
        every, read = layers_of(pipe, look.request), layers_read(pipe, look.request)
        assert num_layers(pipe) == ((3, 3) if model == "xl" else (3,))
    assert every[-1] == read == ((2, 2) if model == "xl" else (3,))
    assert every[0] == ((1, 1) if model == "xl" else (1,))
    assert with_layer(look, read).is_identical
    assert not with_layer(look, every[0]).is_identical
    assert state_of(studio) == before


@pytest.mark.parametrize("prompt", PROMPTS)
def test_and_so_it_is_of_every_prompt_and_clip_skip(random_studio, prompt):
    clip_skip = 1 + len(prompt) % 2
    look = look_at(random_studio, replace(ALONE, prompt=prompt, clip_skip=clip_skip, num_inference_steps=2))
    with look.pipe() as pipe:
        read = layers_read(pipe, look.request)
    assert read == (4 - clip_skip,)
    assert with_layer(look, read).is_identical
    assert not with_layer(look, (1,)).is_identical


def test_a_prompt_shorter_than_the_negative_one_keeps_its_windows(random_studio):
    look = look_at(random_studio, replace(ALONE, negative_prompt="blue, " * 50, num_inference_steps=1))
    with look.pipe() as pipe:
        read = layers_read(pipe, look.request)
        [embeds] = dict.fromkeys(LayerPrompt(read).encode(pipe, [look.request]))
    assert embeds.positive.shape[1] == 2 * 77
    assert with_layer(look, read).is_identical


def test_each_of_the_prompts_joined_by_and_is_read_at_the_layer(random_studio):
    look = look_at(random_studio, replace(ALONE, prompt="a cat AND a dog:0.5", num_inference_steps=1))
    with look.pipe() as pipe:
        first, read = (LayerPrompt((layer,)).encode(pipe, [look.request])[0] for layer in (1, 3))
    assert len(first.joined) == len(read.joined) == 1
    assert not torch.equal(first.joined[0], read.joined[0])


def test_a_layers_rows_are_its_hidden_state_through_the_last_normalisation(random_studio):
    """Beside the encoder cut short: its first layers alone, then the normalisation."""
    look = look_at(random_studio, ALONE)
    with look.pipe() as pipe, torch.no_grad():
        tokens = prompts.chunk(pipe.tokenizer, ALONE.prompt)[0]
        ids = [49406, *(token.id for token in tokens), *[49407] * (76 - len(tokens))]
        encoder = pipe.text_encoder
        inner = getattr(encoder, "text_model", encoder)
        layers = inner.encoder.layers
        for layer in (1, 2, 3):
            inner.encoder.layers = layers[:layer]
            try:
                expected = encoder(torch.tensor([ids]))[0]
            finally:
                inner.encoder.layers = layers
            [embeds] = dict.fromkeys(LayerPrompt((layer,)).encode(pipe, [look.request]))
            assert torch.equal(embeds.positive, expected)
            [plain] = dict.fromkeys(LayerPrompt((3,)).encode(pipe, [look.request]))
            assert embeds.negative is not None and plain.negative is not None  # noqa: PT018
            assert torch.equal(embeds.negative, plain.negative)  # read as in the run


def test_of_two_encoders_each_is_read_at_its_own_layer_and_the_pooled_vector_stays(sdxl_models, tmp_path):
    studio = open_studio(sdxl_models, "xl", tmp_path)
    look = look_at(studio, ALONE)
    with look.pipe() as pipe:
        made = {
            layers: LayerPrompt(layers).encode(pipe, [look.request])[0]
            for layers in ((1, 1), (1, 2), (2, 1), (2, 2))
        }
        width = pipe.text_encoders[0].config.hidden_size
    first, second, third, read = made.values()
    assert torch.equal(second.positive[..., :width], first.positive[..., :width])
    assert torch.equal(second.positive[..., width:], read.positive[..., width:])
    assert torch.equal(third.positive[..., :width], read.positive[..., :width])
    assert not torch.equal(third.positive[..., width:], read.positive[..., width:])
    for embeds in made.values():
        assert len(embeds.tensors) == 4  # beside it the negative prompt, and both pooled vectors
        assert all(torch.equal(a, b) for a, b in zip(embeds.tensors[1:], read.tensors[1:], strict=True))
    files = make_encoder(look)
    assert files.said[0] == POOLED
    assert [row[0] for row in files.tables["layers"]] == ["layer", "1 and 1", "2 and 2"]
    assert files.tables["layers"][-1][4] is True


def test_encoders_of_unequal_heights_go_up_together():
    def encoder(count: int) -> SimpleNamespace:
        return SimpleNamespace(config=SimpleNamespace(num_hidden_layers=count))

    pipe: Any = SimpleNamespace(is_xl=True, text_encoders=[encoder(12), encoder(32)])
    layers = layers_of(pipe, ALONE)
    assert layers[0] == (1, 3)
    assert layers[-1] == (11, 31)
    assert [pair[0] for pair in layers] == list(range(1, 12))
    assert layers_of(pipe, replace(ALONE, clip_skip=3))[-1] == (10, 30)


def test_the_embedded_model_says_from_which_layer_on_what_is_drawn(studio):
    look = look_at(studio, replace(ALONE, prompt="an orange cat on the beach", width=128, height=128))
    files = make_encoder(look)
    table = files.tables["layers"]
    assert [row[0] for row in table[1:]] == ["1", "2", "3", "4"]
    assert [row[1] for row in table[1:]] == [False, False, False, True]
    assert table[-1][4] is True
    assert any(said.startswith("From layer ") and "the subject stays" in said for said in files.said)
    assert PANEL.why_not(look.recording) == ""
    empty = replace(look.recording, request=replace(look.request, prompt=" "))
    assert PANEL.why_not(empty) == "The prompt is empty: there is nothing to encode."
