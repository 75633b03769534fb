"""A recorded run gone through again: nothing changed gives the recording to the bit, from every step."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from sd_app import Cancelled, InpaintRequest, Studio
from sd_app.inside.look import Look
from sd_app.inside.replay import Poke, answers, go_on, steps_of
from sd_app.probes.recording import Recording
from sd_app.schedulers import SCHEDULER_NAMES
from tests.conftest import make_checkpoint
from tests.inside.test_word_effects import ALONE, look_at
from tests.test_observers import KINDS as REQUESTS
from tests.test_observers import open_studio

KINDS: dict[str, Any] = dict(REQUESTS)
INPAINT: InpaintRequest = KINDS["inpaint"]


@pytest.fixture(scope="module")
def shared(random_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Studio:
    return open_studio(random_models, "model-a", tmp_path_factory.mktemp("out"))


def nothing(recording: Recording, call: int) -> Poke:
    return Poke(call=call, change=torch.zeros_like(recording.final))


def count_calls(look: Look, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note the pictures of each real call of the U-Net from now on."""
    counted: list[int] = []
    with look.pipe() as pipe:
        inner = pipe.unet.forward

    def forward(*arguments: Any, **more: Any) -> Any:
        counted.append(1)
        return inner(*arguments, **more)

    monkeypatch.setattr(pipe.unet, "forward", forward)
    return counted


def assert_same(look: Look, calls: Any = None) -> None:
    """Going on with nothing added is the recorded run, and each step was what the real loop made."""
    recording = look.recording
    for call in range(recording.num_calls) if calls is None else calls:
        again = go_on(look, nothing(recording, call))
        assert torch.equal(again.latents, recording.latents)
        assert torch.equal(again.conditional, recording.conditional)
        assert torch.equal(again.unconditional, recording.unconditional)
        assert again.shallow_calls == recording.shallow_calls
        assert again.decoded.tobytes() == recording.decoded.tobytes()
        assert again.picture_sha256 == recording.picture_sha256
    steps = steps_of(look)
    assert torch.equal(steps.next_latents, recording.latents[1:])
    assert steps.decoded.tobytes() == recording.decoded.tobytes()


# One of each way by default: with a memory of steps, of second order, with fresh noise.
USUAL = ("DDIM", "DPM++ 2M", "DPM++ 2M SDE", "Euler a", "Heun", "UniPC", "PLMS")
SAMPLERS = [pytest.param(name, marks=[] if name in USUAL else [pytest.mark.slow]) for name in SCHEDULER_NAMES]


@pytest.mark.parametrize("scheduler", SAMPLERS)
def test_a_poke_of_nothing_is_the_recording_for_every_sampler(shared, scheduler):
    """With those that remember steps, and those that draw fresh noise."""
    look = look_at(shared, replace(ALONE, scheduler=scheduler))
    assert_same(look, (2,))


@pytest.mark.parametrize(
    ("folder", "model", "kind"),
    [
        ("random_models", "model-v", "img2img"),
        ("random_models", "model-a", "inpaint"),
        ("inpaint_models", "painter", "inpaint"),
        pytest.param("sdxl_models", "xl", "txt2img", marks=pytest.mark.slow),
        ("sdxl_models", "xl-painter", "inpaint"),
    ],
)
def test_so_it_is_for_every_kind_of_picture_and_model(request, tmp_path, folder, model, kind):
    studio = open_studio(request.getfixturevalue(folder), model, tmp_path)
    assert_same(look_at(studio, replace(KINDS[kind], num_images=1, scheduler="DPM++ 2M")), (0, 2))


@pytest.mark.parametrize(
    "changes",
    [
        {"cache_interval": 2},
        {"cache_interval": 3, "scheduler": "Heun"},
        {"guidance_end": 0.5},
        {"guidance_scale": 1.0},
        {"guidance_scale": 0.0},
        {"prompt": "a cat AND a dog:0.4"},
        {"prompt": "a [cat:dog:0.5]", "cache_interval": 2},
        {"num_inference_steps": 1},
    ],
    ids=str,
)
def test_so_it_is_where_calls_are_saved_or_joined(shared, changes):
    assert_same(look_at(shared, replace(ALONE, **changes)))


def test_so_it_is_with_guidance_inside(tmp_path):
    make_checkpoint(tmp_path / "lcm", seed=4, time_cond_proj_dim=16)
    assert_same(look_at(open_studio(tmp_path, "lcm", tmp_path / "out"), replace(ALONE, scheduler="LCM")))


def test_a_soft_mask_is_put_back_as_it_was(shared):
    grey = INPAINT.mask_image.point(lambda level: level // 2)  # type: ignore[union-attr]
    assert_same(look_at(shared, replace(INPAINT, mask_image=grey, soft_mask=True)))


def test_only_what_comes_after_is_run(shared, monkeypatch):
    look = look_at(shared, ALONE)
    counted = count_calls(look, monkeypatch)
    go_on(look, nothing(look.recording, 3))
    assert len(counted) == 1
    steps_of(look)
    assert len(counted) == 1
    reused = look_at(shared, replace(ALONE, cache_interval=3))
    assert len(answers(reused.recording, 3)) == 3
    assert len(answers(reused.recording, 2)) == 0  # call 2 takes the deep blocks of call 0


@pytest.mark.parametrize("call", [0, 2])
def test_a_poke_is_added_there_and_everything_before_stays(shared, call):
    look = look_at(shared, ALONE)
    recording = look.recording
    change = torch.zeros_like(recording.final)
    change[1, 3, 4] = 2.0
    again = go_on(look, Poke(call=call, change=change))
    assert torch.equal(again.latents[:call], recording.latents[:call])
    assert torch.equal(again.latents[call], recording.latents[call] + change)
    assert not torch.equal(again.final, recording.final)


def test_what_is_poked_where_a_picture_is_kept_is_put_back(shared):
    look = look_at(shared, replace(INPAINT, strength=1.0))
    recording = look.recording
    assert recording.mask is not None
    assert recording.mask[0, 0] == 0
    change = torch.zeros_like(recording.final)
    change[:, 0, 0] = 2.0
    again = go_on(look, Poke(call=1, change=change))
    assert torch.equal(again.latents[1:, :, 0, 0], recording.latents[1:, :, 0, 0]) is False
    assert torch.equal(again.latents[2:, :, 0, 0], recording.latents[2:, :, 0, 0])


def test_a_step_that_there_is_none_and_a_stop_are_said(shared):
    look = look_at(shared, ALONE)
    with pytest.raises(ValueError, match="call must be 0 to 3, got 4"):
        go_on(look, nothing(look.recording, 4))

    def stop(step: object) -> None:
        raise Cancelled

    stopped = Look(look.manager, look.recording, on_step=stop)
    with pytest.raises(Cancelled):
        go_on(stopped, nothing(look.recording, 1))


def test_pictures_made_in_a_batch_are_the_same_but_for_rounding(shared):
    result = shared.txt2img(replace(ALONE, num_images=2), save=False)
    recording = shared.film_of(result.request_of(1))
    assert recording
    again = go_on(Look(shared._ready_manager(), recording), nothing(recording, 2))
    assert torch.equal(again.latents[:3], recording.latents[:3])
    assert torch.allclose(again.final, recording.final, atol=1e-4)
