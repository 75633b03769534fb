"""What img2img and inpaint begin from and keep, against the recorded run and the studio's own results."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sd_app import Img2ImgRequest, InpaintRequest, Studio
from sd_app.generation.vae import decode_latents
from sd_app.inside.from_picture import correlation, low_pass, starts_at
from sd_app.inside.kept_latents import NO_MASK, blends_of, kept_pixels, shown_calls
from sd_app.inside.look import Look
from sd_app.inside.panels import find_panels
from sd_app.inside.report import show
from sd_app.inside.start_actions import begin_putback, blend_pictures
from sd_app.inside.start_panels import make_putback, make_start
from tests.inside.test_word_effects import ALONE, look_at
from tests.test_denoise import MASK, PICTURE
from tests.test_observers import KINDS as REQUESTS
from tests.test_observers import RUN, open_studio

REQUEST: dict[str, Any] = dict(REQUESTS)
IMG2IMG: Img2ImgRequest = replace(REQUEST["img2img"], num_images=1)
INPAINT: InpaintRequest = replace(REQUEST["inpaint"], height=72)


@pytest.fixture(scope="module")
def shared(random_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Studio:
    return open_studio(random_models, "model-a", tmp_path_factory.mktemp("out"))


@pytest.fixture(scope="module")
def inpainted(shared: Studio) -> Look:
    return look_at(shared, replace(INPAINT, scheduler="DPM++ 2M SDE"))


@pytest.fixture(scope="module")
def painter(inpaint_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Look:
    """A model that reads the mask itself."""
    return look_at(open_studio(inpaint_models, "painter", tmp_path_factory.mktemp("out")), INPAINT)


# -- what it began from


@pytest.mark.parametrize("scheduler", ["DDIM", "Euler", "Heun"])
@pytest.mark.parametrize(
    "request_", [IMG2IMG, replace(INPAINT, masked_content="noise")], ids=["img2img", "inpaint"]
)
def test_at_its_own_strength_the_start_is_the_recorded_one_to_the_bit(shared, request_, scheduler):
    look = look_at(shared, replace(request_, scheduler=scheduler))
    recording = look.recording
    starts, said = starts_at(look)
    assert said == []
    assert [each.strength for each in starts] == [0.3, 0.6, 0.75, 0.9]
    own = starts[2]
    assert torch.equal(own.latents, recording.latents[0])
    assert own.sigma == pytest.approx(float(recording.sigmas[0]))
    assert own.timestep == float(recording.timesteps[0])
    assert torch.equal(own.unscaled, recording.unscaled(0))
    assert own.steps == recording.num_steps
    signals = [each.signal for each in starts]
    assert signals == sorted(signals, reverse=True)


def test_another_strengths_start_is_that_of_a_run_of_that_strength(shared):
    look = look_at(shared, IMG2IMG)
    [start], _ = starts_at(look, [0.5])
    other = look_at(shared, replace(IMG2IMG, strength=0.5)).recording
    assert torch.equal(start.latents, other.latents[0])


def test_a_strength_that_runs_no_step_is_said(shared):
    look = look_at(shared, replace(IMG2IMG, num_inference_steps=2, strength=0.6))
    starts, said = starts_at(look)
    assert [each.strength for each in starts] == [0.6, 0.9]
    assert said == ["Strength 0.3 runs none of 2 steps."]


def test_the_low_pass_takes_the_noise_away_and_leaves_what_is_coarse():
    plain = torch.full((4, 16, 16), 0.7)
    assert torch.allclose(low_pass(plain), plain, atol=1e-5)
    noise = torch.randn(4, 16, 16, generator=torch.Generator().manual_seed(0))
    assert float(low_pass(noise).std()) < 0.3
    slope = torch.linspace(-1, 1, 16).expand(4, 16, 16)
    assert correlation(low_pass(slope), slope) > 0.99
    assert correlation(slope, -slope) == pytest.approx(-1, abs=1e-5)
    assert correlation(plain, slope) == 0


def test_less_of_the_coarse_picture_is_left_at_a_higher_strength(studio):
    image = Image.new("RGB", (128, 128), (130, 200, 250))
    image.paste((240, 210, 120), (0, 64, 128, 128))
    request = Img2ImgRequest(prompt="a cat on the beach", init_image=image, seed=4, num_inference_steps=10)
    look = look_at(studio, request)
    starts, _ = starts_at(look, [0.2, 0.5, 1.0])
    assert look.recording.original is not None
    coarse = low_pass(look.recording.original)
    in_its_own_scale = float((starts[1].low * coarse).sum() / coarse.square().sum())
    assert in_its_own_scale == pytest.approx(1, abs=0.15)
    likeness = [each.likeness for each in starts]
    assert likeness[0] > 0.9
    assert likeness == sorted(likeness, reverse=True)
    assert abs(likeness[2]) < 0.3  # at strength 1 only noise is there


def test_the_start_panel_shows_the_encoded_picture(shared):
    look = look_at(shared, IMG2IMG)
    made = make_start(look)
    original = look.recording.original
    assert original is not None
    assert np.array_equal(made.arrays["original"], original.numpy())
    assert made.arrays["x_t"].shape == (4, 4, 8, 8)
    assert [row[0] for row in made.tables["start"][1:]] == [0.3, 0.6, 0.75, 0.9]


# -- how the kept area is put back


def test_every_blend_is_what_the_run_made_and_read(inpainted):
    recording, blends = inpainted.recording, blends_of(inpainted)
    assert torch.equal(blends.mixed, recording.latents[1:])
    joined = blends.joined[:, None].expand_as(blends.mixed)
    assert torch.equal(blends.mixed[joined], blends.stepped[joined])
    assert not torch.equal(blends.mixed[~joined], blends.stepped[~joined])
    assert recording.original is not None
    assert torch.equal(blends.mixed[-1][~joined[-1]], recording.original[~joined[-1]])
    kept = ~blends.joined[0]
    apart = (blends.stepped[0] - blends.mixed[0])[:, kept]
    norm = 1 if recording.facts.keeps_variance else (1 + float(recording.sigmas[1]) ** 2) ** 0.5
    assert blends.strayed[0] == pytest.approx(float(apart.square().mean().sqrt()) / norm, rel=1e-4)


def test_of_a_soft_mask_ever_more_cells_join(shared):
    grey = Image.new("L", PICTURE.size)
    for column, level in enumerate((0, 60, 130, 200, 255)):
        grey.paste(level, (column * 8, 0, column * 8 + 8, 72))
    look = look_at(shared, replace(INPAINT, mask_image=grey, soft_mask=True, strength=1.0))
    blends = blends_of(look)
    joined = blends.joined.flatten(1).sum(dim=1).tolist()
    assert joined == sorted(joined)
    assert joined[0] < joined[-1]
    everywhere = (blends.mixed == blends.stepped).all(dim=1)
    assert torch.equal(everywhere, blends.joined)


def test_the_blend_of_a_step_is_drawn_from_its_latents(inpainted):
    blends = blends_of(inpainted)
    call = blends.recording.num_calls - 1
    drawn = blend_pictures(inpainted, blends, call)
    with inpainted.pipe() as pipe:
        both = decode_latents(pipe, torch.stack([blends.stepped[call], blends.mixed[call]]))
    assert drawn["made"].tobytes() == both[0].tobytes()
    assert drawn["joined"].tobytes() == both[1].tobytes()
    cells = blends.joined[call].numpy().repeat(8, 0).repeat(8, 1)
    put_back = np.asarray(drawn["put_back"])
    assert (put_back[cells] == 128).all()
    assert np.array_equal(put_back[~cells], np.asarray(both[1])[~cells])


def test_what_the_decoder_does_is_what_the_studio_reports_as_drift(shared):
    result = shared.inpaint(INPAINT, save=False)
    look = Look(shared._ready_manager(), shared.film_of(result.request_of(0)))
    kept = kept_pixels(look)
    assert kept.latents_moved == 0
    assert kept.frame.tobytes() == result.raw_images[0].tobytes()
    assert kept.through_vae.tobytes() == result.roundtrip_image.tobytes()
    drift = result.drifts[0]
    assert kept.mean(kept.total) == pytest.approx(drift.raw.mean)
    assert kept.mean(kept.by_vae) == pytest.approx(drift.roundtrip.mean)
    assert "ended exactly at the encoded original" in kept.sentences[0]
    assert any("the decoder reads the painted cells" in sentence for sentence in kept.sentences)


def test_kept_pixels_over_repainted_cells_are_told_apart(shared):
    mask = Image.new("L", PICTURE.size)
    mask.paste(255, (12, 12, 36, 36))  # its edge runs through cells
    kept = kept_pixels(look_at(shared, replace(INPAINT, mask_image=mask)))
    over, *beside = kept.belts
    assert (over.least, over.most) == (0, 0)
    assert over.pixels == 32 * 32 - 24 * 24
    assert sum(belt.pixels for belt in kept.belts) == 64 * 72 - 24 * 24
    assert [belt.least for belt in beside] == [0, 8, 16, 32][: len(beside)]
    away = kept.repainted & ~kept.painted
    assert over.spill == pytest.approx(kept.spill[away].mean())
    whole = kept_pixels(look_at(shared, INPAINT))  # along the cells' edges
    assert whole.belts[0].most == 8


def test_a_model_that_reads_the_mask_is_said_and_nothing_is_shown_as_put_back(painter):
    blends = blends_of(painter)
    assert torch.equal(blends.mixed, blends.stepped)
    made = make_putback(painter)
    assert set(made.pictures) == {"decoder"}
    assert made.said[0].startswith(
        "The kept latents were not put back, since this model reads the mask itself"
    )
    recording = painter.recording
    assert recording.original is not None
    assert recording.mask is not None
    apart = (recording.final - recording.original)[:, recording.mask == 0]
    assert kept_pixels(painter).latents_moved == pytest.approx(float(apart.square().mean().sqrt()))
    assert np.isnan(blends.strayed).all()
    begun = begin_putback(painter, {})
    said = " ".join(made.said)
    assert "the kept latents have moved too" in said
    assert "the decoder reads" not in said
    assert begun.numbers["reads_masks"]
    assert begun.numbers["strayed"] == []


def test_what_has_no_start_or_mask_is_said(shared):
    start, putback = find_panels(("start", "putback"))
    alone, from_picture = look_at(shared, ALONE), look_at(shared, IMG2IMG)
    assert show(alone, start).why_not.startswith("This picture began from noise alone")
    assert show(alone, putback).why_not == NO_MASK == show(from_picture, putback).why_not
    all_white = replace(INPAINT, mask_image=Image.new("L", PICTURE.size, 255))
    assert "nothing was kept" in show(look_at(shared, all_white), putback).why_not
    with pytest.raises(ValueError, match="no mask"):
        blends_of(from_picture)
    with pytest.raises(ValueError, match="began from noise alone"):
        starts_at(alone)


def test_a_picture_with_margins_is_looked_at_in_the_models_frame(shared):
    kept = kept_pixels(look_at(shared, replace(INPAINT, height=64)))  # 64x72 fits into 64x64 with margins
    assert kept.painted.shape == (64, 64)
    assert kept.painted.any()
    assert not (kept.painted & ~kept.repainted).any()


def test_a_small_part_of_a_large_picture_is_looked_at_in_the_models_frame(shared):
    large = PICTURE.resize((200, 160))
    mask = Image.new("L", large.size)
    mask.paste(255, (90, 60, 130, 100))
    look = look_at(
        shared, InpaintRequest(prompt="a", init_image=large, mask_image=mask, only_masked=True, **RUN)
    )
    kept = kept_pixels(look)
    assert kept.frame.size == kept.original.size == kept.through_vae.size == (64, 64)
    assert kept.painted.shape == (64, 64)
    assert not (kept.painted & ~kept.repainted).any()


def test_the_steps_shown_reach_from_the_first_to_the_last(inpainted):
    assert shown_calls(inpainted.recording)[0] == 0
    assert shown_calls(inpainted.recording)[-1] == inpainted.recording.num_calls - 1
    assert MASK.size == PICTURE.size
