"""What happens when memory is short or runs out: real networks on a memory that fails on demand."""

import gc
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderTiny
from PIL import Image
from safetensors.torch import save_file
from torch._subclasses import FakeTensorMode

from sd_app import Img2ImgRequest, InpaintRequest, Settings, Step, Studio, Txt2ImgRequest
from sd_app.addons import choose_additions
from sd_app.catalog import find_model
from sd_app.cli import main
from sd_app.generation.out_of_memory import AGAIN
from sd_app.weights.applied_addons import AppliedAddons
from sd_app.weights.caches import cached_bytes, forget
from sd_app.weights.device_memory import count_bytes, demand_of, free_bytes, is_out_of_memory, networks_in
from sd_app.weights.lora_merging import MergedLoras
from sd_app.weights.memory_plan import GUIDED, SHARE, Plan
from sd_app.weights.model_manager import ModelManager
from tests.addon_files import kohya, lora_layers, write_lora
from tests.checkpoint_files import make_parts, write_checkpoint
from tests.fake_allocator import FakeAllocator

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
MASK = Image.new("L", PICTURE.size)
MASK.paste(255, (8, 8, 40, 40))
TXT2IMG = Txt2ImgRequest(prompt="a", seed=3, num_images=2, num_inference_steps=2)
LARGE = replace(TXT2IMG, width=768, height=512, num_images=1, num_inference_steps=1)
IMG2IMG = Img2ImgRequest(prompt="a", seed=3, num_inference_steps=2, init_image=PICTURE)
INPAINT = InpaintRequest(prompt="a", seed=3, num_inference_steps=2, init_image=PICTURE, mask_image=MASK)


def difference(first: Image.Image, second: Image.Image) -> int:
    return int(np.abs(np.asarray(first, np.int16) - np.asarray(second, np.int16)).max())


def parts(studio: Studio, kind: str = "txt2img") -> Any:
    with studio._ready_manager().pipeline("model-a", "DDIM") as pipe:
        return pipe


def make(studio: Studio, request: Any, told: list[str] | None = None) -> list[Image.Image]:
    pipe = parts(studio)
    forget(pipe.text_encoder, pipe.vae)  # what is remembered would ask for no memory
    name = {Txt2ImgRequest: "txt2img", Img2ImgRequest: "img2img", InpaintRequest: "inpaint"}[type(request)]

    def on_step(step: Step) -> None:
        if told is not None:
            told.append(step.text)

    return list(getattr(studio, name)(request, on_step, save=False).images)


def peak(studio: Studio, request: Any) -> int:
    parts(studio)
    with FakeAllocator() as memory:
        make(studio, request)
    return memory.peak_bytes


@pytest.fixture
def frugal_studio(random_settings) -> Studio:
    return Studio(replace(random_settings, lowvram=True))


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
    held = []
    for number in range(4):
        for name in ("model-a", "model-b"):
            studio.img2img(replace(IMG2IMG, model=name), save=False)
        if number in (1, 3):
            held.append(held_bytes())
    assert held[1] == held[0]


# -- the plan


def free_for(manager: ModelManager, monkeypatch: pytest.MonkeyPatch, size_bytes: int) -> None:
    monkeypatch.setattr("sd_app.weights.model_manager.free_bytes", lambda device: size_bytes)


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


def free_needed(manager: ModelManager, pixels: int, *, denoised: float = 0, decoded: float = 0) -> int:
    """Return the free memory that suffices beside model-a's weights, which are there already."""
    checkpoint = manager._checkpoints["model-a"]
    demand, weights = demand_of(checkpoint.components), count_bytes(checkpoint.networks)
    need = max(denoised * demand.denoise, decoded * demand.decode) * pixels
    return int((need + weights) / SHARE - weights) + 2


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
        manager._place(checkpoint, Plan(batch_size=1))
        assert not any(hasattr(network, "_hf_hook") for network in checkpoint.networks)
    made = [make(random_studio, request)[0].tobytes() for request in (TXT2IMG, IMG2IMG, INPAINT)]
    assert made == expected


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
@pytest.mark.parametrize("side", [512, 1024])
def test_the_estimate_is_at_most_a_quarter_above_what_full_size_models_hold(family, side):
    dtype = torch.float16
    with FakeTensorMode(), torch.no_grad():  # shapes without numbers: no memory, no minutes
        torch.set_default_dtype(dtype)
        made = make_parts(family, full=True)
        torch.set_default_dtype(torch.float32)
        latents = torch.randn(GUIDED, 4, side // 8, side // 8).to(dtype)
        words = torch.randn(GUIDED, 77, made.unet.config.cross_attention_dim).to(dtype)
        size = {
            "text_embeds": torch.randn(GUIDED, 1280).to(dtype),
            "time_ids": torch.randn(GUIDED, 6).to(dtype),
        }
        with FakeAllocator(weights_of=(made.unet,)) as denoising:
            made.unet(latents, 500, words, added_cond_kwargs=size if family == "sdxl" else None)
        with FakeAllocator(weights_of=(made.vae,)) as decoding:
            made.vae.decode(latents[:1])
        with FakeAllocator(weights_of=(made.vae,)) as encoding:
            made.vae.encode(torch.randn(1, 3, side, side).to(dtype))
    demand = demand_of({"unet": made.unet, "vae": made.vae})
    pixels = side * side
    assert encoding.peak_bytes < decoding.peak_bytes
    assert 0.9 < demand.decode * pixels / decoding.peak_bytes < 1.25
    assert 0.9 < demand.denoise * pixels / denoising.peak_bytes < (1.25 if family == "sd1" else 2.5)


def test_only_a_networks_own_bytes_and_what_is_kept_count(random_studio):
    checkpoint = random_studio._ready_manager()._checkpoint("model-a", lambda _: None)
    pipe = parts(random_studio)
    weights = sum(t.numel() * 4 for n in (pipe.unet, pipe.vae, pipe.text_encoder) for t in n.parameters())
    buffers = sum(t.nbytes for n in (pipe.unet, pipe.vae, pipe.text_encoder) for t in n.buffers())
    assert buffers > 0
    kept = cached_bytes(pipe.text_encoder) + cached_bytes(pipe.vae)
    assert checkpoint.size_bytes == weights + buffers + kept
    checkpoint.kept["another VAE"] = torch.nn.Linear(10, 10)
    checkpoint.kept["the same VAE"] = pipe.vae
    checkpoint.kept["rows"] = torch.zeros(3, dtype=torch.float64)
    assert checkpoint.size_bytes == weights + buffers + kept + 440 + 24


def test_a_budget_of_bytes_keeps_exactly_what_fits(random_models):
    manager = ModelManager(Settings(models_dir=random_models, model="model-a", device="cpu"))

    def load(name: str) -> int:
        with manager.pipeline(name, "DDIM"):
            return manager._checkpoints[name].size_bytes

    sizes = {name: load(name) for name in ("model-a", "model-b", "model-v")}
    with manager.lend() as get:
        get("CLIP x", lambda device, dtype: torch.nn.Linear(1000, 1000))
    clip = manager._checkpoints["CLIP x"].size_bytes
    assert clip == 4 * (1000 * 1000 + 1000)
    for spare, kept in ((0, ("model-v", "CLIP x")), (-1, ("CLIP x",))):
        manager.unload()
        manager.budget_bytes = 2**40
        load("model-b"), load("model-v")
        manager.budget_bytes = sizes["model-v"] + clip + spare
        with manager.lend() as get:
            get("CLIP x", lambda device, dtype: torch.nn.Linear(1000, 1000))
        assert manager.status().loaded == kept


def test_free_bytes_of_a_processor_are_the_machines():
    assert 2**27 < free_bytes(torch.device("cpu")) < 2**50
    assert is_out_of_memory(torch.OutOfMemoryError("x"))
    assert networks_in(object()) == []


# -- what jobs add to a model


@pytest.fixture(scope="module")
def models_dir(random_models, tmp_path_factory) -> Path:
    """model-a and model-b, a LoRA `a`, and VAEs: `other` is model-b's, `wide` has four times the channels."""
    folder: Path = tmp_path_factory.mktemp("with-addons")
    for name in ("model-a", "model-b"):
        (folder / name).symlink_to(random_models / name)
    shutil.copytree(random_models / "model-b/vae", folder / "vae/other")
    own = AutoencoderKL.from_pretrained(random_models / "model-b/vae")
    config = {**own.config, "block_out_channels": (32,) * 4}
    AutoencoderKL.from_config(config).save_pretrained(folder / "vae/wide")
    save_file(own.state_dict(), folder / "vae/file.safetensors")
    manager = ModelManager(Settings(models_dir=folder, model="model-a", device="cpu"))
    with manager.pipeline("model-a", "DDIM") as pipe:
        write_lora(folder / "loras/a.safetensors", kohya(lora_layers(pipe.components, 0)))
    return folder


@pytest.fixture
def addons_studio(models_dir, tmp_path) -> Studio:
    return Studio(Settings(models_dir=models_dir, model="model-a", outputs_dir=tmp_path, device="cpu"))


def put_on(studio: Studio, prompt: str = "a", vae: str | None = None) -> Any:
    info = find_model(studio.settings, "model-a")
    additions = choose_additions(studio.settings, info, prompt, vae)
    return studio._ready_manager().pipeline("model-a", "DDIM", additions=additions)


def bytes_in(studio: Studio) -> list[bytes]:
    """Return the weights of U-Net and text encoder as they are."""
    components = studio._ready_manager()._checkpoints["model-a"].components
    networks = components["unet"], components["text_encoder"]
    return [weight.numpy().tobytes() for network in networks for weight in network.state_dict().values()]


# Prompt, VAE, and at what share of the bytes they take memory ends: a LoRA is being merged by then.
ADDED = {"LoRA": ("a <lora:a:1>", None, 0.9), "folder": ("a", "other", 0.5), "file": ("a", "file", 0.5)}


@pytest.mark.parametrize("kind", ADDED)
def test_an_addition_that_does_not_fit_beside_other_models_is_tried_again_without_them(
    addons_studio, monkeypatch, kind
):
    studio, (prompt, vae, share) = addons_studio, ADDED[kind]
    name = vae or "a"
    manager = studio._ready_manager()
    parts(studio)
    base, merged = bytes_in(studio), [0]
    eject = MergedLoras.eject

    def counted(self: MergedLoras) -> None:
        merged.append(len(self._originals))
        eject(self)

    monkeypatch.setattr(MergedLoras, "eject", counted)
    with FakeAllocator() as plain, manager.pipeline("model-a", "DDIM"):
        pass
    with FakeAllocator() as memory, put_on(studio, prompt, vae):
        pass
    worn = bytes_in(studio)  # LoRAs stay until a job asks for others
    limit = (1 - share) * plain.peak_bytes + share * memory.peak_bytes
    manager.unload()
    parts(studio)
    with manager.pipeline("model-b", "DDIM"):
        pass
    merged[:] = [0]
    with FakeAllocator(limit, times=1) as memory, put_on(studio, prompt, vae) as pipe:
        assert (pipe.vae is manager._checkpoints["model-a"].components["vae"]) is (vae is None)
    assert memory.failures == 1
    assert bytes_in(studio) == worn
    assert studio.status().loaded == ("model-a",)
    assert kind != "LoRA" or max(merged) > 2  # it failed half-way
    manager.unload()
    parts(studio)
    with (
        FakeAllocator(limit) as memory,
        pytest.raises(MemoryError, match=f"model-a with {name} does not fit .*leave out {name}"),
        put_on(studio, prompt, vae),
    ):
        pass
    assert memory.failures == 2
    assert bytes_in(studio) == base
    with put_on(studio, prompt, vae):
        pass
    assert bytes_in(studio) == worn


def test_what_runs_out_outside_of_a_batch_is_told_in_words(addons_studio):
    encoder = parts(addons_studio).text_encoder
    words = "the job does not fit into the memory of cpu .*shorten the prompt"
    with FakeAllocator(0, inside=encoder), pytest.raises(MemoryError, match=words):
        addons_studio.encode("a long prompt")
    assert addons_studio.encode("a long prompt").embeds.any()


@pytest.mark.parametrize(("share", "what"), [(0.9, "model-a with a"), (0, "the job")])
def test_the_command_line_tells_a_full_memory_in_one_line(addons_studio, monkeypatch, capsys, share, what):
    parts(addons_studio)
    with FakeAllocator() as memory, put_on(addons_studio, "a <lora:a:1>"):
        pass
    parts(addons_studio)
    monkeypatch.setattr("sd_app.cli.Studio", lambda settings: addons_studio)
    with FakeAllocator(share * memory.peak_bytes):
        assert main(["txt2img", "a <lora:a:1>", "--model", "model-a", "--steps", "1"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()[-1:]
    assert f"txt2img: error: {what} does not fit into the memory of cpu" in line


def test_a_preview_decoder_that_does_not_fit_leaves_the_linear_previews(models_dir, tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "model-a").symlink_to(models_dir / "model-a")
    studio = Studio(Settings(models_dir=folder, model="model-a", outputs_dir=tmp_path, device="cpu"))
    request = replace(TXT2IMG, num_images=1)
    seen: list[Step] = []

    def run() -> tuple[list[bytes], bytes]:
        seen.clear()
        image = studio.txt2img(request, seen.append, preview_every=1, save=False).images[0]
        assert AGAIN not in [step.text for step in seen]
        return [step.preview.tobytes() for step in seen if step.preview], image.tobytes()

    linear = run()
    AutoencoderTiny().save_pretrained(folder / "taesd")
    limit = 4 * 10**6  # of the decoder's 4.9 MB; a job of the small model takes less
    with FakeAllocator(limit) as memory:
        assert run() == linear
    assert memory.failures > 0
    assert run()[0] != linear[0]
    (decoder,) = addons_of(studio).networks
    with FakeAllocator(0, inside=decoder) as memory:
        assert run() == linear
    assert memory.failures == 1
    assert run()[0] != linear[0]


def addons_of(studio: Studio) -> AppliedAddons:
    addons = studio._ready_manager()._checkpoints["model-a"].addons
    assert addons is not None
    return addons


def test_turning_frugal_keeps_of_what_was_added_only_what_the_job_uses(addons_studio, tmp_path):
    studio, manager = addons_studio, addons_studio._ready_manager()
    for vae in ("file", "other"):
        make(studio, replace(IMG2IMG, vae=vae))
    size = manager._checkpoints["model-a"].size_bytes
    first, second = addons_of(studio).networks
    kept = [cached_bytes(network) for network in (first, second)]
    assert min(kept) > 0
    forget(first)
    assert manager._checkpoints["model-a"].size_bytes == size - kept[0]
    addons_of(studio)._decoder = ("of another job", torch.nn.Linear(2, 2))
    with put_on(studio, vae="other") as pipe:
        assert pipe.vae is second
        manager.turn_frugal()
        assert addons_of(studio).networks == [second]
    assert cached_bytes(second) == 0
    with put_on(studio) as pipe:
        pipe.preview_decoder = torch.nn.Linear(2, 2)
        addons_of(studio)._decoder = ("of this job", pipe.preview_decoder)
        manager.turn_frugal()
        assert addons_of(studio).networks == [pipe.preview_decoder]


def test_another_vae_visits_the_device_like_the_other_parts_and_the_own_one_does_not(addons_studio):
    manager = addons_studio._ready_manager()
    parts(addons_studio)
    checkpoint = manager._checkpoints["model-a"]
    manager._place(checkpoint, Plan(batch_size=1, offloads=True))
    with put_on(addons_studio, vae="other") as pipe:
        assert all(hasattr(network, "_hf_hook") for network in (pipe.text_encoder, pipe.unet, pipe.vae))
        assert not hasattr(checkpoint.components["vae"], "_hf_hook")
        vae = pipe.vae
    assert not hasattr(vae, "_hf_hook")
    assert "forward" not in vars(vae)


def test_the_plan_is_made_for_the_vae_that_is_used(addons_studio, monkeypatch):
    manager = addons_studio._ready_manager()
    make(addons_studio, LARGE)
    free_for(manager, monkeypatch, free_needed(manager, 768 * 512, decoded=1))
    make(addons_studio, LARGE)
    assert addons_studio.status().plan == "all on the device"
    make(addons_studio, replace(LARGE, vae="wide"))
    assert addons_studio.status().plan == "all on the device, the VAE works in tiles"


def test_what_cuda_graphs_keep_for_themselves_is_not_free(monkeypatch):
    """torch's figures for one graph of 40 bytes, 30 of them unused, beside a common segment of 100."""
    common = {"device": 1, "segment_pool_id": (0, 0), "total_size": 100, "allocated_size": 60}
    graph = {"device": 1, "segment_pool_id": (0, 3), "total_size": 40, "allocated_size": 10}
    known = {
        "mem_get_info": lambda device: (1000, 2000),
        "memory_reserved": lambda device: 140,
        "memory_allocated": lambda device: 70,
        "memory_snapshot": lambda: [common, graph, {**graph, "device": 0}],
        "get_allocator_backend": lambda: "native",
    }
    for name, function in known.items():
        monkeypatch.setattr(torch.cuda, name, function)
    assert free_bytes(torch.device("cuda:1")) == 1000 + 40


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
