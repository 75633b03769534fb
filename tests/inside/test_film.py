"""The film of a recording, and the U-Net asked again at its steps."""

from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sd_app import Settings, Studio, Txt2ImgRequest
from sd_app.generation.vae import decode_latents
from sd_app.inside import decided, film
from sd_app.inside.look import Look
from sd_app.inside.predicting import encode_as_in_run, predict
from sd_app.probes.recording import Recording
from tests.conftest import make_checkpoint
from tests.test_observers import KINDS as REQUESTS
from tests.test_observers import RUN, open_studio

KINDS: dict[str, Any] = dict(REQUESTS)
ALONE = Txt2ImgRequest(prompt="a red cat", negative_prompt="blue", **RUN)


def film_of(studio: Studio, request: Txt2ImgRequest, kind: str = "txt2img") -> Look:
    result = getattr(studio, kind)(request, save=False)
    recording = studio.film_of(result.request_of(0))
    assert recording
    return Look(studio._ready_manager(), recording)


def count_decoded(look: Look) -> list[int]:
    """Return how many latents are decoded together from now on."""
    counted: list[int] = []
    vae = look.manager
    with vae.pipeline(look.recording.facts.model, "DDIM") as pipe:
        inner = pipe.vae.decode

        def decode(latents: torch.Tensor, **more: Any) -> Any:
            counted.append(len(latents))
            return inner(latents, **more)

        pipe.vae.decode = decode
    return counted


# -- frames


def test_the_nine_frames_of_25_steps_are_those_where_most_happens(random_studio):
    look = film_of(random_studio, replace(ALONE, num_inference_steps=25))
    assert film.first_frames(look.recording) == [0, 1, 2, 3, 4, 6, 8, 11, 25]
    assert len(film.frames(look)) == 9
    heun = film_of(random_studio, replace(ALONE, num_inference_steps=25, scheduler="Heun"))
    assert film.first_frames(heun.recording) == [0, 2, 4, 6, 8, 12, 16, 22, 49]
    few = film_of(random_studio, replace(ALONE, num_inference_steps=1))
    assert film.first_frames(few.recording) == [0, 1]


@pytest.mark.parametrize("scheduler", ["DDIM", "Euler"])
@pytest.mark.parametrize("model", ["model-a", "model-v"])
def test_a_frame_is_the_decoded_x0_and_the_last_one_the_finished_picture(
    random_models, tmp_path, model, scheduler
):
    studio = open_studio(random_models, model, tmp_path)
    look = film_of(studio, replace(ALONE, scheduler=scheduler))
    recording = look.recording
    with look.pipe() as pipe:
        for row in film.ROWS:
            images = film.frames(look, row, [2, recording.num_calls])
            latents = recording.unscaled(2) if row == "noisy" else recording.x0(2, row)
            assert latents is not None
            assert images[0].tobytes() == decode_latents(pipe, latents[None])[0].tobytes()
            assert images[1].tobytes() == recording.decoded.tobytes()
    noisy = film.frame_latents(recording, 0, "noisy")
    assert noisy is not None
    assert 0.8 < float(noisy.std()) < 1.2  # also where the sampler lets x_t grow with the noise


def test_frames_are_decoded_together_and_once(random_studio):
    look = film_of(random_studio, replace(ALONE, num_inference_steps=25))
    counted = count_decoded(look)
    first = film.frames(look)
    assert counted == [8]  # the ninth is the picture, which is there
    again = film.frames(look)
    assert counted == [8]
    assert [a.tobytes() for a in first] == [b.tobytes() for b in again]
    first[0].paste(0, (0, 0, 8, 8))  # what is handed out is the caller's
    assert film.frames(look)[0].tobytes() == again[0].tobytes()


def test_a_row_that_was_not_run_is_not_made_up(random_studio):
    off = film_of(random_studio, replace(ALONE, guidance_scale=1.0))
    assert list(film.rows_of(off.recording)) == ["conditional", "noisy"]
    made = film.make_film(off)
    assert set(made.pictures) == {"conditional", "noisy"}
    assert "The half without the prompt was not run: at guidance 1 it does not count." in made.said
    ended = film_of(random_studio, replace(ALONE, guidance_end=0.5))
    assert film.frames_there(ended.recording, "unconditional", [0, 1, 2, 3, 4]) == [0, 1, 4]
    assert len(film.frames(ended, "unconditional")) == 3
    with pytest.raises(ValueError, match="row must be one of conditional, unconditional, guided, noisy"):
        film.frames(ended, "other")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_picture_has_its_panel(random_studio, kind):
    result = getattr(random_studio, kind)(KINDS[kind], save=False)
    request = result.request_of(0) if kind not in ("walk", "plane") else None
    if request is None:
        first = result.prompts[0] if isinstance(result.prompts[0], str) else result.prompts[0][0]
        request = KINDS[kind].picture_of(first)
    recording = random_studio.film_of(
        replace(result.request.picture_of(request.prompt)) if kind in ("walk", "plane") else request
    )
    assert recording
    made = film.make_film(Look(random_studio._ready_manager(), recording))
    assert set(made.pictures) == set(film.ROWS)
    assert {name.rsplit(".")[-1] for name in made.films} == {"mp4", "webp"}
    with Image.open(BytesIO(made.films["film.webp"])) as moving:
        assert getattr(moving, "n_frames", 1) >= recording.num_steps
    table = made.tables["steps"]
    assert len(table) == recording.num_calls + 1
    assert np.array_equal(made.arrays["latents"], recording.latents.float().numpy())


# -- when it is decided


def shades(*levels: int) -> list[Image.Image]:
    return [Image.new("RGB", (64, 64), (level, level, level)) for level in levels]


def test_decided_is_the_first_step_from_which_it_stays_near():
    assert decided.color_distances(shades(0, 200, 100)) == [100.0, 100.0, 0.0]
    assert decided.stays_below([10, 8, 4, 6, 4, 1, 0]) == 4
    assert decided.stays_below([10, 1, 0]) == 1
    assert decided.stays_below([0, 0, 0]) == 0
    assert decided.stays_as_last(["cat", "dog", "cat", "cat"]) == 2
    assert decided.stays_as_last(["cat"]) == 0


def test_edges_are_told_apart_from_colours():
    left, right = (Image.new("RGB", (64, 64), "white") for _ in range(2))
    left.paste("black", (0, 0, 32, 64))
    right.paste("black", (32, 0, 64, 64))
    assert decided.edge_distances([left, right]) == [0.0, 0.0]  # the same edge
    assert decided.color_distances([left, right])[0] == 255.0


def test_the_embedded_models_film_says_when_its_subject_was_there(studio):
    result = studio.txt2img(
        Txt2ImgRequest(prompt="a medium green cat on the right on the beach, flat style", seed=7), save=False
    )
    recording = studio.film_of(result.request_of(0))
    assert recording
    look = Look(studio._ready_manager(), recording)
    frames = film.all_frames(recording)
    decisions = {one.what: one for one in decided.decide(recording, frames, film.frames(look, chosen=frames))}
    assert list(decisions) == ["colours", "outlines", *decided.ATTRIBUTES.values()]
    assert decisions["subject"].values[-1] == "cat"
    assert decisions["background"].values[-1] == "beach"
    assert decisions["subject's place"].values[-1] == "right"
    assert decisions["subject's place"].step(recording) <= decisions["outlines"].step(recording) < 20
    assert decisions["background"].sentence(recording).startswith("The background is decided at step ")


# -- the U-Net asked again


def asked_again(studio: Studio, recording: Recording, texts: list[str], call: int) -> torch.Tensor:
    manager = studio._ready_manager()
    with Look(manager, recording).pipe() as pipe:
        return predict(manager, pipe, recording, call, encode_as_in_run(pipe, recording, call, texts))


@pytest.mark.parametrize(
    ("folder", "model", "kind"),
    [
        ("random_models", "model-a", "txt2img"),
        ("random_models", "model-v", "img2img"),
        ("random_models", "model-a", "inpaint"),
        ("sdxl_models", "xl", "txt2img"),
        ("inpaint_models", "painter", "inpaint"),
        ("sdxl_models", "xl-painter", "inpaint"),
    ],
)
@pytest.mark.parametrize("scheduler", ["DDIM", "Euler"])
def test_asked_with_the_same_words_it_answers_the_same(request, tmp_path, folder, model, kind, scheduler):
    studio = open_studio(request.getfixturevalue(folder), model, tmp_path)
    recording = studio.record(replace(KINDS[kind], num_images=1, scheduler=scheduler), keep=False)
    prompt = recording.request.prompt
    for call in (0, recording.num_calls - 1):
        same, other = asked_again(studio, recording, [prompt, "a dog in the snow"], call)
        assert torch.allclose(same, recording.conditional[call], atol=1e-5)
        assert not torch.allclose(other, recording.conditional[call], atol=1e-3)


def test_so_it_does_with_guidance_inside_and_prompts_of_several_windows(random_studio, tmp_path):
    make_checkpoint(tmp_path / "models" / "lcm", seed=4, time_cond_proj_dim=16)
    settings = Settings(models_dir=tmp_path / "models", model="lcm", outputs_dir=tmp_path, device="cpu")
    for studio, changes in (
        (Studio(settings), dict[str, Any]()),
        (random_studio, {"prompt": "a cat BREAK a (dog:1.3)"}),
        (random_studio, {"negative_prompt": "a BREAK b"}),
        (random_studio, {"prompt": "a {row: cat + 0.5*dog}"}),
    ):
        recording = studio.record(replace(ALONE, **changes), keep=False)
        answer = asked_again(studio, recording, [recording.request.prompt, "a"], 1)[0]
        assert torch.allclose(answer, recording.conditional[1], atol=1e-5)
