"""Which device is taken, and what is asked of it and what not; cards here are torch's functions replaced."""

import logging
import multiprocessing
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch

from sd_app import Settings, Studio, Txt2ImgRequest
from sd_app.speed import Graphs, make_fast_unet
from sd_app.ui.header.badge import badge_value
from sd_app.weights import device_memory
from sd_app.weights.devices import choose_device, computing_on, runs_on
from sd_app.weights.model_manager import ModelManager

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
WHEEL = ["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120"]


def set_cards(monkeypatch, *capabilities: tuple[int, int], kernels: list[str] = WHEEL) -> None:
    """Have torch see these CUDA cards, and be built for these kernels."""
    functions = {
        "is_available": lambda: bool(capabilities),
        "device_count": lambda: len(capabilities),
        "get_device_capability": lambda index=0: capabilities[index],
        "get_arch_list": lambda: kernels,
        "get_device_name": lambda index=0: f"Card {index}",
    }
    for name, function in functions.items():
        monkeypatch.setattr(torch.cuda, name, function)


@pytest.mark.parametrize(
    ("kernel", "capability", "runs"),
    [
        ("sm_86", (8, 6), True),
        ("sm_80", (8, 9), True),  # machine code runs on later cards of its major number
        ("sm_86", (8, 0), False),
        ("sm_80", (9, 0), False),
        ("sm_90a", (9, 0), True),  # on that one alone
        ("sm_100a", (10, 3), False),
        ("sm_100f", (10, 3), True),  # its family
        ("sm_120", (12, 1), True),
        ("compute_90", (12, 0), True),  # PTX is compiled for later cards when it is loaded
        ("compute_90", (8, 9), False),
        ("compute_90a", (12, 0), False),
        ("compute_100f", (12, 0), False),
        ("gfx90a", (9, 0), False),
    ],
)
def test_which_kernels_run_on_which_cards(kernel, capability, runs):
    assert runs_on(kernel, *capability) is runs


@pytest.mark.parametrize("capability", [(7, 5), (8, 0), (8, 9), (9, 0), (12, 0), (12, 1)])
def test_a_card_that_torch_has_kernels_for_is_used(monkeypatch, capability):
    set_cards(monkeypatch, capability)
    assert choose_device("auto") == choose_device("cuda") == CUDA
    assert choose_device("cuda:0") == torch.device("cuda:0")


@pytest.mark.parametrize("capability", [(6, 1), (5, 0), (13, 0)])
def test_a_card_that_torch_has_no_kernels_for_is_not_used_and_that_is_said(
    monkeypatch, caplog, capability, random_settings
):
    set_cards(monkeypatch, capability)
    reason = f"has no kernels for Card 0, of compute capability {capability[0]}.{capability[1]}, only for"
    with caplog.at_level(logging.WARNING):
        assert choose_device("auto") == CPU
    assert reason in caplog.text
    with pytest.raises(ValueError, match=f"device cuda cannot be used: the installed torch {reason}"):
        choose_device("cuda")
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    status = ModelManager(random_settings).status()
    assert reason in dict(badge_value(status)["facts"])["Device"]
    assert reason not in ModelManager(replace(random_settings, device="cpu")).status().device_name


def test_torchs_ptx_will_do(monkeypatch):
    set_cards(monkeypatch, (13, 0), kernels=[*WHEEL, "compute_120"])
    assert choose_device("auto") == CUDA


def test_of_two_cards_the_one_that_can_be_used_is(monkeypatch):
    set_cards(monkeypatch, (6, 1), (8, 6))
    assert choose_device("auto") == torch.device("cuda:1")
    assert choose_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(ValueError, match="cannot be used"):
        choose_device("cuda:0")


# -- float32 is float32


def tf32() -> tuple[bool, bool]:
    return torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32


@pytest.fixture
def seen_tf32(random_settings, monkeypatch):
    """Return what a job of a studio sees of torch's switches, as it would on CUDA."""
    entered: list[torch.device] = []

    @contextmanager
    def device(which):
        entered.append(which)
        yield

    monkeypatch.setattr(torch.cuda, "device", device)

    def job(dtype: str, name: str = "cuda") -> tuple[tuple[bool, bool], list[torch.device]]:
        entered.clear()
        manager = ModelManager(replace(random_settings, device="cpu", dtype=dtype))
        manager.device = torch.device(name)
        with manager._exclusive(lambda _: None):
            return tf32(), list(entered)

    return job


def test_float32_is_computed_exactly_on_cuda_and_torchs_switches_come_back(seen_tf32):
    before = tf32()
    assert before == (True, False)  # torch's own
    assert seen_tf32("float32")[0] == (False, False)
    assert tf32() == before
    assert seen_tf32("float16")[0] == seen_tf32("bfloat16")[0] == before


def test_they_come_back_after_an_error_too():
    before = tf32()
    with pytest.raises(ZeroDivisionError), computing_on(CUDA, torch.float32):
        1 / tf32()[0]  # False, that is 0
    assert tf32() == before


def test_a_device_with_a_number_is_the_current_one_during_a_job(seen_tf32):
    assert seen_tf32("float16", "cuda:1")[1] == [torch.device("cuda:1")]
    assert seen_tf32("float16", "cuda")[1] == []


def test_on_other_devices_nothing_is_switched(seen_tf32):
    assert seen_tf32("float32", "cpu") == ((True, False), [])


# -- a ZeroGPU, which is lent to another process


@pytest.fixture
def zero_gpu(monkeypatch) -> None:
    """A Space's main process: whoever asks CUDA for memory or streams here fails."""
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    set_cards(monkeypatch, (9, 0), kernels=[])
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the GPU is not here")

    for name in (
        "Stream",
        "current_stream",
        "mem_get_info",
        "memory_reserved",
        "memory_snapshot",
        "get_device_properties",
        "get_device_capability",
        "device",
        "synchronize",
    ):
        monkeypatch.setattr(torch.cuda, name, refuse)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)  # which does nothing before a first use


def test_in_the_main_process_of_a_zero_gpu_space_nothing_is_asked_of_the_gpu(zero_gpu, random_settings):
    manager = ModelManager(replace(random_settings, mode="space", device="auto"))
    assert manager.device == choose_device("cuda") == CPU
    assert manager.budget_bytes > 1e8
    status = manager.status()
    assert status.device == "cpu"
    assert status.device_name.endswith("; large models on a ZeroGPU")
    assert badge_value(status)["words"][:2] == ["CPU", "float32"]
    with manager._exclusive(lambda _: None):
        device_memory.collect_memory()
    assert make_fast_unet(torch.nn.Module(), random_settings, CUDA, "sd1").graphs is None


def test_in_the_process_it_is_lent_to_memory_is_asked_for_and_graphs_stay_off(
    zero_gpu, monkeypatch, random_settings
):
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: object())
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (1000, 2000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: 0)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: 0)
    monkeypatch.setattr(device_memory, "kept_by_graphs", lambda _: 0)
    assert device_memory.free_bytes(CUDA) == 1000
    assert make_fast_unet(torch.nn.Module(), random_settings, CUDA, "sd1").graphs is None


def test_elsewhere_graphs_are_on_and_no_stream_is_asked_for_before_a_job(monkeypatch, random_settings):
    def refuse(*_: object) -> None:
        raise AssertionError("too early")

    monkeypatch.setattr(torch.cuda, "Stream", refuse)
    assert isinstance(make_fast_unet(torch.nn.Module(), random_settings, CUDA, "sd1").graphs, Graphs)


# -- Apple's GPU


def test_memory_is_given_back_to_apples_gpu_too(monkeypatch, random_models, tmp_path):
    emptied: list[int] = []
    studio = Studio(Settings(models_dir=random_models, model="model-a", outputs_dir=tmp_path, device="cpu"))
    studio.txt2img(Txt2ImgRequest(prompt="a", num_inference_steps=1), save=False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.mps, "empty_cache", lambda: emptied.append(1))
    studio.unload()
    assert emptied
