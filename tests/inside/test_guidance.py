"""What guidance pushed is what passed, and the same noise at other scales is the studio's own picture."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from sd_app.inside.guidance import (
    guidance_push,
    needless_from,
    negative_push,
    why_unguided,
    without_prompt_from,
)
from sd_app.inside.guidance_sweep import clipped_share, guidance_sweep, likeness
from sd_app.probes.recording import CONDITIONAL, GUIDED, UNCONDITIONAL
from tests.conftest import make_checkpoint
from tests.inside.test_word_effects import ALONE, look_at
from tests.test_observers import open_studio


@pytest.mark.parametrize("model", ["model-a", "model-v"])
@pytest.mark.parametrize("scheduler", ["DDIM", "Euler", "Heun"])
def test_the_push_is_how_far_the_guided_picture_is_from_the_unguided_one(
    random_models, tmp_path, model, scheduler
):
    """u + w (c - u) is the guided output, so that the push is x0(guided) - x0(u)."""
    studio = open_studio(random_models, model, tmp_path)
    recording = look_at(studio, replace(ALONE, scheduler=scheduler, guidance_scale=7.0)).recording
    push = guidance_push(recording)
    assert push.calls == list(range(recording.num_calls))
    for call in push.calls:
        c, u = (recording.x0(call, which) for which in (CONDITIONAL, UNCONDITIONAL))
        guided = recording.x0(call, GUIDED)
        assert c is not None
        assert u is not None
        assert guided is not None
        assert torch.allclose(u + 7.0 * (c - u), guided, rtol=1e-4, atol=1e-4 * float(guided.abs().max()))
        moved = (guided - u).float()
        assert push.sizes[call] == pytest.approx(float(moved.square().mean().sqrt()), rel=1e-3)
        assert np.allclose(push.maps[call], moved.square().sum(dim=0).sqrt(), rtol=1e-2, atol=1e-3)


def test_in_noise_units_it_is_w_times_noise_over_signal_times_the_difference(random_studio):
    recording = look_at(random_studio, ALONE).recording
    for call, size in enumerate(guidance_push(recording).sizes):
        unconditional = recording.unconditional_at(call)
        assert unconditional is not None
        difference = (recording.conditional[call] - unconditional).float().square().mean().sqrt()
        assert size == pytest.approx(5.0 * float(recording.sigmas[call]) * float(difference), rel=1e-4)


def test_where_guidance_had_ended_there_is_no_push(random_studio):
    look = look_at(random_studio, replace(ALONE, guidance_end=0.5))
    push = guidance_push(look.recording)
    assert push.calls == [0, 1]
    assert np.isnan(push.sizes[2:]).all()
    assert np.isnan(push.maps[2:]).all()
    assert negative_push(look).calls == [0, 1]


def test_models_and_scales_without_a_second_half_say_so(random_studio, tmp_path):
    recording = look_at(random_studio, replace(ALONE, guidance_scale=1.0)).recording
    assert "at guidance 1 the model runs with the prompt alone" in why_unguided(recording)
    with pytest.raises(ValueError, match="no half without the prompt"):
        guidance_push(recording)
    make_checkpoint(tmp_path / "lcm", seed=4, time_cond_proj_dim=16)
    inside = look_at(open_studio(tmp_path, "lcm", tmp_path / "out"), ALONE).recording
    assert "guidance is inside this model" in why_unguided(inside)
    assert why_unguided(look_at(random_studio, ALONE).recording) == ""


def test_an_empty_negative_prompt_pushed_nothing_and_another_did(random_studio):
    assert not negative_push(look_at(random_studio, replace(ALONE, negative_prompt=""))).sizes.any()
    look = look_at(random_studio, replace(ALONE, negative_prompt="[blue:dog:0.5]"))
    push = negative_push(look, calls=[0, 3])
    assert push.calls == [0, 3]
    assert push.scale == -4.0
    assert (push.sizes[[0, 3]] > 0).all()


def test_the_negative_push_is_that_of_a_run_with_an_empty_one(random_studio):
    """At the first step both runs stand on the same noise: their unconditional halves are compared."""
    look = look_at(random_studio, ALONE)
    other = look_at(random_studio, replace(ALONE, negative_prompt="")).recording
    own, empty = (one.x0(0, UNCONDITIONAL) for one in (look.recording, other))
    assert own is not None
    assert empty is not None
    expected = float((4 * (own - empty)).float().square().mean().sqrt())
    assert negative_push(look, calls=[0]).sizes[0] == pytest.approx(expected, rel=1e-3)


def test_the_prompt_is_needed_where_the_halves_differ(random_studio):
    recording = look_at(random_studio, ALONE).recording
    alike = replace(recording, unconditional=recording.conditional.clone())
    assert needless_from(alike) == 0
    outputs = recording.conditional.clone()
    outputs[1] += 1.0
    assert needless_from(replace(recording, unconditional=outputs)) == 2
    outputs[-1] += 1e3
    assert needless_from(replace(recording, unconditional=outputs)) is None


def test_taking_the_prompt_away_after_the_last_step_changes_nothing_and_before_the_first_all(random_studio):
    look = look_at(random_studio, ALONE)
    assert without_prompt_from(look, 4).is_identical
    empty = random_studio.txt2img(replace(ALONE, prompt=""), save=False).images[0]
    assert without_prompt_from(look, 0).picture.tobytes() == empty.tobytes()
    assert not without_prompt_from(look, 2).is_identical


def test_at_its_own_scale_the_sweep_has_the_recorded_picture_to_the_byte(random_studio):
    look = look_at(random_studio, ALONE)
    points = guidance_sweep(look, scales=(1.0, 5.0), num_seeds=3)
    assert points[1].pictures[0].tobytes() == look.recording.decoded.tobytes()
    expected = random_studio.txt2img(replace(ALONE, guidance_scale=1.0), save=False).images[0]
    assert points[0].pictures[0].tobytes() == expected.tobytes()
    assert [len(point.pictures) for point in points] == [3, 3]
    seed = random_studio.txt2img(replace(ALONE, seed=(ALONE.seed or 0) + 1), save=False).images[0]
    apart = np.abs(np.asarray(points[1].pictures[1]).astype(int) - np.asarray(seed).astype(int))
    assert apart.max() <= 2  # a batch rounds otherwise


def test_the_meters_know_what_is_alike_and_what_is_clipped():
    rng = np.random.default_rng(0)
    noise = [Image.fromarray(rng.integers(1, 255, (64, 64, 3), np.uint8)) for _ in range(3)]
    assert likeness([noise[0], noise[0]]) == pytest.approx(1)
    assert abs(likeness(noise)) < 0.3
    assert np.isnan(likeness(noise[:1]))
    assert clipped_share(noise[0]) == 0
    half = noise[0].copy()
    half.paste((255, 10, 10), (0, 0, 32, 64))
    assert clipped_share(half) == 0.5
