"""Memory and what jobs add to a model: LoRAs, VAEs, preview decoders."""

import shutil
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderTiny
from safetensors.torch import save_file

from sd_app import Settings, Step, Studio
from sd_app.addons import choose_additions
from sd_app.catalog import find_model
from sd_app.cli import main
from sd_app.generation.out_of_memory import AGAIN
from sd_app.weights.applied_addons import AppliedAddons
from sd_app.weights.caches import cached_bytes, forget
from sd_app.weights.lora_merging import MergedLoras
from sd_app.weights.memory_plan import Plan
from sd_app.weights.model_manager import ModelManager
from sd_app.weights.pipeline import Pipeline
from tests.addons.lora_writers import kohya, lora_layers, write_lora
from tests.memory.fake_allocator import FakeAllocator
from tests.memory.steps import IMG2IMG, LARGE, TXT2IMG, free_for, free_needed, make, parts


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


def put_on(studio: Studio, prompt: str = "a", vae: str | None = None) -> AbstractContextManager[Pipeline]:
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
    make = addons_studio.txt2img

    def make_with_little(*given, **named):  # in the thread of the command's line, where the job runs
        with FakeAllocator(share * memory.peak_bytes):
            return make(*given, **named)

    monkeypatch.setattr(addons_studio, "txt2img", make_with_little)
    monkeypatch.setattr("sd_app.cli.Studio", lambda settings: addons_studio)
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
