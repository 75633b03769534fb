"""Memory that runs out: real networks on a memory that fails on demand."""

import gc
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from sd_app import Settings, Studio
from sd_app.generation.out_of_memory import AGAIN
from sd_app.probes.kept_recordings import RecentRecordings
from sd_app.weights.device_memory import count_bytes
from tests.checkpoint_files import write_checkpoint
from tests.memory.fake_allocator import FakeAllocator
from tests.memory.steps import (
    IMG2IMG,
    INPAINT,
    LARGE,
    TXT2IMG,
    difference,
    free_for,
    make,
    parts,
    peak,
)


@pytest.mark.parametrize("request_", [TXT2IMG, LARGE], ids=["a batch", "a large picture"])
def test_a_job_that_fits_only_frugally_is_tried_again_and_gives_its_picture(
    random_studio, frugal_studio, request_
):
    expected = make(random_studio, request_)
    plain, frugal = peak(random_studio, request_), peak(frugal_studio, replace(request_, num_images=1))
    assert frugal < 0.8 * plain
    told: list[str] = []
    with FakeAllocator((plain + frugal) / 2) as memory:
        images = make(random_studio, request_, told)
    assert memory.failures == 1
    assert told.count(AGAIN) == 1
    if request_ is TXT2IMG:  # a batch, then one by one: up to rounding
        assert max(map(difference, images, expected)) <= 2
    else:  # tiles: what lowvram gives, byte for byte, and near what the whole gives
        assert images[0].tobytes() == make(frugal_studio, request_)[0].tobytes()
        assert np.abs(np.asarray(images[0], int) - np.asarray(expected[0], int)).mean() < 8
    assert [image.tobytes() for image in make(random_studio, request_)] == [i.tobytes() for i in expected]


def test_after_a_failure_the_rest_of_the_job_does_not_fail_again(random_studio, frugal_studio):
    request = replace(TXT2IMG, num_images=6)
    plain, frugal = peak(random_studio, request), peak(frugal_studio, replace(request, num_images=1))
    with FakeAllocator((plain + frugal) / 2) as memory:
        assert len(make(random_studio, request)) == 6
    assert memory.failures == 1


PLACES = {
    "U-Net": (TXT2IMG, lambda pipe: pipe.unet),
    "text encoder": (TXT2IMG, lambda pipe: pipe.text_encoder),
    "VAE decoder": (TXT2IMG, lambda pipe: pipe.vae.decoder),
    "img2img encode": (IMG2IMG, lambda pipe: pipe.vae.encoder),
    "inpaint encode": (INPAINT, lambda pipe: pipe.vae.encoder),
    "inpaint round trip": (INPAINT, lambda pipe: pipe.vae.decoder),  # decoded before anything else
}


@pytest.mark.parametrize("place", PLACES)
def test_a_failure_anywhere_is_tried_again_and_a_second_one_says_what_to_lower(random_studio, place):
    request, network = PLACES[place]
    expected = [image.tobytes() for image in make(random_studio, replace(request, num_images=1))]
    pipe = parts(random_studio)
    processors = {key: type(value) for key, value in pipe.unet.attn_processors.items()}
    with FakeAllocator(0, inside=network(pipe), times=1) as memory:
        images = make(random_studio, request)
    assert memory.failures == 1
    assert difference(images[0], Image.frombytes("RGB", images[0].size, expected[0])) <= 2
    with (
        FakeAllocator(0, inside=network(pipe), times=2) as memory,
        pytest.raises(
            MemoryError, match=r"64x64 does not fit into the memory of cpu .*lower width or height"
        ),
    ):
        make(random_studio, request)
    assert memory.failures == 2
    again = make(random_studio, replace(request, num_images=1))
    assert [image.tobytes() for image in again] == expected
    assert {key: type(value) for key, value in pipe.unet.attn_processors.items()} == processors
    assert not pipe.vae.use_tiling
    assert not pipe.vae.use_slicing


@pytest.mark.parametrize("lowvram", [True, False])
def test_a_job_that_was_frugal_from_the_start_is_tried_again_with_all_else_dropped(
    random_studio, frugal_studio, monkeypatch, lowvram
):
    studio = frugal_studio if lowvram else random_studio
    manager = studio._ready_manager()
    if not lowvram:
        free_for(manager, monkeypatch, 0)
    unet = parts(studio).unet
    (expected,) = make(studio, replace(TXT2IMG, num_images=1))
    with manager.pipeline("model-b", "DDIM"):
        pass
    monkeypatch.setattr(manager, "_others_on_device", lambda _: [])  # as where an estimate is too low
    told: list[str] = []
    with FakeAllocator(0, inside=unet, times=1) as memory:
        (image,) = make(studio, replace(TXT2IMG, num_images=1), told)
    assert (memory.failures, told.count(AGAIN)) == (1, 1)
    assert image.tobytes() == expected.tobytes()
    assert studio.status().loaded == ("model-a",)
    with FakeAllocator(0, inside=unet) as memory, pytest.raises(MemoryError) as caught:
        make(studio, TXT2IMG)
    assert memory.failures == 2
    assert "--lowvram" not in str(caught.value)


def held_bytes() -> int:
    """Return what all tensors of the process hold."""
    gc.collect()
    tensors = [thing for thing in gc.get_objects() if isinstance(thing, torch.Tensor)]
    return count_bytes(tensors)


def test_ten_failures_leave_nothing_behind(random_studio):
    decoder, held = parts(random_studio).vae.decoder, []
    for number in range(11):
        with FakeAllocator(0, inside=decoder), pytest.raises(MemoryError):
            make(random_studio, INPAINT)
        if number in (0, 10):
            held.append(held_bytes())
    assert held[1] == held[0]


def test_a_load_that_does_not_fit_beside_others_drops_them(tmp_path, random_settings):
    for name in ("first", "second"):
        write_checkpoint(tmp_path / f"{name}.safetensors", "sd1", seed=len(name))
    studio = Studio(replace(random_settings, models_dir=tmp_path, model="first"))
    request = replace(TXT2IMG, model="first", width=64, height=64)
    manager = studio._ready_manager()
    with FakeAllocator() as memory, manager.pipeline("first", "DDIM"):
        pass
    needed, size = memory.peak_bytes, manager._checkpoints["first"].size_bytes
    assert needed >= size
    manager.unload()
    with FakeAllocator(needed + size // 2) as memory:
        for name in ("first", "second"):
            with manager.pipeline(name, "DDIM"):
                pass
    assert memory.failures == 1
    assert manager.status().loaded == ("second",)
    manager.unload()
    with (
        FakeAllocator(0.5 * needed),
        pytest.raises(MemoryError, match="first does not fit into the memory of cpu"),
    ):
        studio.txt2img(request, save=False)
    assert studio.txt2img(request, save=False).images


def test_going_to_and_fro_between_models_holds_no_more_after_the_second_round(random_models):
    studio = Studio(Settings(models_dir=random_models, model="model-a", device="cpu", cache_gigabytes=0))
    studio._ready_manager()
    studio._recent = RecentRecordings(max_bytes=0)  # or the films of the last pictures grow
    held = []
    for number in range(4):
        for name in ("model-a", "model-b"):
            studio.img2img(replace(IMG2IMG, model=name), save=False)
        if number in (1, 3):
            held.append(held_bytes())
    assert held[1] == held[0]
