"""Parts that visit the device one by one: only one is there at a time, and a move that fails is put right."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from sd_app import Settings, Step, Studio, Txt2ImgRequest
from sd_app.generation.out_of_memory import AGAIN
from sd_app.weights.caches import forget
from tests.memory.steps import IMG2IMG, INPAINT, TXT2IMG, difference, make
from tests.memory.two_places import two_places

REQUESTS = {"txt2img": TXT2IMG, "img2img": IMG2IMG, "inpaint": INPAINT}


@pytest.fixture(scope="module")
def models(random_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """model-a, and `other`, another model's VAE."""
    folder = tmp_path_factory.mktemp("offloaded")
    (folder / "model-a").symlink_to(random_models / "model-a")
    shutil.copytree(random_models / "model-b/vae", folder / "vae/other")
    return folder


@pytest.fixture
def offloaded(models: Path, tmp_path: Path) -> Studio:
    return Studio(Settings(models_dir=models, model="model-a", outputs_dir=tmp_path, device="cpu"))


@pytest.mark.parametrize("vae", [None, "other"])
@pytest.mark.parametrize("kind", REQUESTS)
def test_only_the_part_that_works_is_on_the_device(offloaded, monkeypatch, kind, vae):
    request = replace(REQUESTS[kind], vae=vae)
    expected = make(offloaded, request)
    with two_places(monkeypatch, offloaded, "model-a") as places:
        images = make(offloaded, request)
    assert all(len(there) <= 1 for there in places.seen)
    assert {name for there in places.seen for name in there} >= {"CLIPTextModel", "UNet2DConditionModel"}
    assert [image.tobytes() for image in images] == [image.tobytes() for image in expected]
    assert all(places.share(network) == 0 for network in places.networks.values())


@pytest.mark.parametrize("part", ["CLIPTextModel", "UNet2DConditionModel", "AutoencoderKL"])
@pytest.mark.parametrize("kind", REQUESTS)
def test_memory_that_runs_out_while_a_part_moves_leaves_each_part_in_one_place(
    offloaded, monkeypatch, kind, part
):
    request = REQUESTS[kind]
    expected = make(offloaded, request)
    shares: list[float] = []

    def on_step(step: Step) -> None:
        if step.text == AGAIN:
            shares.extend(places.share(network) for network in places.networks.values())

    with two_places(monkeypatch, offloaded, "model-a") as places:
        for network in places.networks.values():
            forget(network)
        places.fails_in = list(places.networks[part].modules())[-3]  # most of it has moved by then
        images = method_of(offloaded, kind)(request, on_step, save=False).images
    assert shares == [0, 0, 0]
    assert max(map(difference, images, expected)) <= 2  # sliced attention rounds differently
    assert all(len(there) <= 1 for there in places.seen)


def method_of(studio: Studio, kind: str):
    return getattr(studio, kind)


def test_the_first_placement_may_fail_too(offloaded, monkeypatch):
    """From the device to main memory nothing runs out; the other way round the job turns frugal."""
    expected = make(offloaded, TXT2IMG)
    with two_places(monkeypatch, offloaded, "model-a") as places:
        manager = offloaded._ready_manager()
        manager._checkpoints["model-a"].offloads = True
        monkeypatch.setattr(manager, "_choose_plan", lambda *_, **__: replace(manager._plan, offloads=False))
        places.fails_in = places.networks["UNet2DConditionModel"].get_submodule("mid_block")
        images = make(offloaded, TXT2IMG)
    assert max(map(difference, images, expected)) <= 2
    assert all(len(there) <= 1 for there in places.seen)


def test_a_job_that_failed_leaves_the_next_one_all_it_needs(offloaded, monkeypatch):
    request: Txt2ImgRequest = TXT2IMG
    expected = make(offloaded, request)
    with two_places(monkeypatch, offloaded, "model-a") as places:
        unet = places.networks["UNet2DConditionModel"]
        for _ in range(2):
            places.fails_in = unet.get_submodule("mid_block")
            assert max(map(difference, make(offloaded, request), expected)) <= 2
        assert [image.tobytes() for image in make(offloaded, request)] == [
            image.tobytes() for image in expected
        ]
