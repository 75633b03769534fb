"""Memory that is short: planned for before a job, told, and shown."""

from dataclasses import replace

import pytest
import torch

from sd_app import Settings, Step, Studio
from sd_app.generation.out_of_memory import AGAIN
from sd_app.weights.device_memory import demand_of
from sd_app.weights.memory_plan import Plan
from tests.memory.steps import IMG2IMG, INPAINT, LARGE, TXT2IMG, difference, free_for, free_needed, make


def test_short_memory_is_planned_for_told_and_shown(random_studio, random_settings, monkeypatch):
    tiled_studio = Studio(replace(random_settings, tile_above=0))
    expected = make(random_studio, LARGE)
    manager = random_studio._ready_manager()
    assert random_studio.status().plan == "all on the device"
    need = demand_of(manager._checkpoints["model-a"].components).decode * 768 * 512
    free_for(manager, monkeypatch, int(0.9 * need))
    told: list[str] = []
    images = make(random_studio, LARGE, told)
    assert "Short of memory: all on the device, the VAE works in tiles" in told
    assert AGAIN not in told
    assert random_studio.status().plan == "all on the device, the VAE works in tiles"
    free_for(manager, monkeypatch, 2**40)
    assert images[0].tobytes() == make(tiled_studio, LARGE)[0].tobytes()
    assert make(random_studio, LARGE)[0].tobytes() == expected[0].tobytes()
    assert random_studio.status().plan == "all on the device"


def test_models_not_in_use_make_room_before_a_job_turns_frugal(random_studio, monkeypatch):
    manager = random_studio._ready_manager()
    with manager.pipeline("model-b", "DDIM"):
        pass
    make(random_studio, LARGE)
    assert random_studio.status().loaded == ("model-b", "model-a")
    enough = free_needed(manager, 768 * 512, decoded=1)

    def free(_: torch.device) -> int:
        return enough - 10 * ("model-b" in manager.status().loaded)

    monkeypatch.setattr("sd_app.weights.model_manager.free_bytes", free)
    make(random_studio, LARGE)
    assert random_studio.status().loaded == ("model-a",)
    assert random_studio.status().plan == "all on the device"


def test_under_lowvram_they_make_room_when_that_is_not_enough(frugal_studio, monkeypatch):
    manager = frugal_studio._ready_manager()
    free_for(manager, monkeypatch, 2**40)
    for name in ("model-b", "model-a"):
        frugal_studio.txt2img(replace(TXT2IMG, model=name), save=False)
    assert frugal_studio.status().loaded == ("model-b", "model-a")
    free_for(manager, monkeypatch, 0)
    told: list[str] = []
    make(frugal_studio, TXT2IMG, told)
    assert frugal_studio.status().loaded == ("model-a",)
    assert any(text.startswith("Short of memory") for text in told)


def test_fewer_pictures_go_together_when_memory_is_short(random_studio, monkeypatch):
    manager = random_studio._ready_manager()
    request = replace(TXT2IMG, width=256, height=256)
    expected = make(random_studio, request)
    free_for(manager, monkeypatch, free_needed(manager, 256 * 256, denoised=1.95, decoded=1))
    steps: list[Step] = []
    images = random_studio.txt2img(request, steps.append, save=False).images
    assert {(s.image_index, s.batch_images) for s in steps if s.text == "Denoising"} == {(0, 1), (1, 1)}
    assert max(map(difference, images, expected)) <= 2


def test_tiles_above_a_size_and_below_it_the_same_bytes(random_studio, frugal_studio, random_settings):
    studio = Studio(replace(random_settings, tile_above=600 * 512))
    tiled = make(studio, LARGE)[0]
    assert difference(tiled, make(frugal_studio, LARGE)[0]) <= 2  # that one slices attention as well
    assert tiled.tobytes() != make(random_studio, LARGE)[0].tobytes()
    small = replace(LARGE, width=576)
    assert make(studio, small)[0].tobytes() == make(random_studio, small)[0].tobytes()


def test_offloaded_parts_come_back_and_draw_the_same(random_studio):
    """A processor has no second memory: here the parts move from it to itself, through the same code."""
    manager = random_studio._ready_manager()
    expected = [make(random_studio, request)[0].tobytes() for request in (TXT2IMG, IMG2IMG, INPAINT)]
    checkpoint = manager._checkpoints["model-a"]
    for _ in range(2):
        manager._place(checkpoint, Plan(batch_size=1, offloads=True))
        for _ in range(3):
            with manager.pipeline("model-a", "DDIM") as pipe:
                assert pipe.offloads
                assert all(hasattr(network, "_hf_hook") for network in pipe.networks)
                for network in pipe.networks:  # each sends all others back
                    assert list(network._hf_hook.company) == pipe.networks
        manager._place(checkpoint, Plan(batch_size=1))
        assert not any(hasattr(network, "_hf_hook") for network in checkpoint.networks)
    made = [make(random_studio, request)[0].tobytes() for request in (TXT2IMG, IMG2IMG, INPAINT)]
    assert made == expected


@pytest.mark.gpu
def test_on_cuda_a_plan_that_offloads_draws_the_same(random_models, tmp_path, monkeypatch):
    settings = Settings(models_dir=random_models, outputs_dir=tmp_path, model="model-a")
    studio = Studio(settings)
    expected = make(studio, TXT2IMG)
    manager = studio._ready_manager()
    checkpoint = manager._checkpoints["model-a"]
    for offloads in (True, False, True):
        choose = lambda *_, o=offloads: Plan(batch_size=2, offloads=o, tight=o)  # noqa: E731
        monkeypatch.setattr(manager, "_choose_plan", choose)
        images = make(studio, TXT2IMG)
        assert checkpoint.offloads is offloads
        assert [image.tobytes() for image in images] == [image.tobytes() for image in expected]
        where = {next(network.parameters()).device.type for network in checkpoint.networks}
        assert where == ({"cpu"} if offloads else {"cuda"})
