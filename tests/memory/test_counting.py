"""What models hold and jobs need, in bytes."""

import pytest
import torch
from torch._subclasses import FakeTensorMode

from sd_app import Settings
from sd_app.weights.caches import cached_bytes
from sd_app.weights.components import Components
from sd_app.weights.device_memory import demand_of, free_bytes, is_out_of_memory, networks_in, size_of
from sd_app.weights.memory_plan import GUIDED
from sd_app.weights.model_manager import ModelManager
from tests.checkpoint_files import make_parts
from tests.memory.fake_allocator import FakeAllocator
from tests.memory.steps import parts


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


def test_on_a_card_decoding_takes_the_copies_that_its_convolutions_make():
    parts = make_parts("sd1")
    components: Components = {"unet": parts.unet, "vae": parts.vae}
    plain, card = demand_of(components), demand_of(components, torch.device("cuda"))
    assert card.decode / plain.decode == pytest.approx(5 / 3)  # measured there: 4.0 to 5.0 tensors, not 3
    assert card.denoise == plain.denoise


def test_a_networks_bytes_are_counted_anew_when_its_format_changes():
    network = torch.nn.Linear(10, 20)
    assert [size_of(network), size_of(network)] == [4 * 220, 4 * 220]
    assert size_of(network.half()) == 2 * 220
