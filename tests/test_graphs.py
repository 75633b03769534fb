"""Recordings of the U-Net: when they are made, used, passed by and given back.

There is no CUDA graph on a CPU. The stand-in here records by keeping the work and replays it on the same
places in memory, so everything around the recording is the app's own code: what is copied where, what a
shape is, what is handed out. Whether a graph's kernels give eager's bits only the tests marked gpu tell.
"""

import gc
import weakref
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sd_app import Settings, Studio, Txt2ImgRequest
from sd_app.speed import Captured, FastUNet, Graphs
from sd_app.speed.graphs import MAX_KNOWN, PAYS_FROM, WARM_UPS
from sd_app.weights.memory_plan import FRUGAL, Plan
from tests.memory.steps import free_for, free_needed

TWO_WINDOWS = ", ".join(["a big orange cat on the beach"] * 12)
REQUEST = Txt2ImgRequest(prompt="a red cat", negative_prompt="blue", seed=7, num_inference_steps=14)


def same(first: Image.Image, second: Image.Image) -> bool:
    return first.tobytes() == second.tobytes()


def difference(first: Image.Image, second: Image.Image) -> int:
    return int(np.abs(np.asarray(first, np.int16) - np.asarray(second, np.int16)).max())


class Replayed:
    """Record by keeping the work. Poisoned outputs show whether anything is read before a replay."""

    def __init__(self) -> None:
        self.off = ""
        self.recorded = 0
        self.replays = 0
        self.released = 0
        self.cleared = 0
        self.error: Exception | None = None

    def warm_up(self, work: Callable[[], tuple[torch.Tensor, ...]]) -> tuple[torch.Tensor, ...]:
        return work()

    def record(self, work: Callable[[], tuple[torch.Tensor, ...]]) -> Captured:
        if self.error:
            raise self.error
        outputs = tuple(torch.full_like(output, torch.nan) for output in work())
        self.recorded += 1

        def replay() -> None:
            self.replays += 1
            for place, output in zip(outputs, work(), strict=True):
                place.copy_(output)

        def release() -> None:
            self.released += 1

        return Captured(outputs=outputs, replay=replay, release=release)

    def clear(self) -> None:
        self.cleared += 1


def double(tensors):
    return (2 * tensors["x"],)


def run(graphs: Graphs, value: float, *, size: int = 3, left: int = 100, function=double, kind="k"):
    return graphs.run(function, {"x": torch.full((size,), float(value))}, kind=kind, left=left)[0]


@pytest.fixture
def capture() -> Replayed:
    return Replayed()


@pytest.fixture
def graphs(capture) -> Graphs:
    made = Graphs(capture, limit=2)
    made.begin_job()
    return made


# -- recordings of any function


def test_a_shape_is_recorded_after_its_warm_ups_and_then_replayed(graphs, capture):
    for number in range(6):
        assert torch.equal(run(graphs, number), torch.full((3,), 2.0 * number))
    assert (capture.recorded, capture.replays) == (1, 6 - WARM_UPS)


def test_what_is_handed_out_stays_as_it_was(graphs):
    results = [run(graphs, number) for number in range(8)]
    assert [float(result[0]) for result in results] == [2.0 * number for number in range(8)]


def test_a_short_job_is_not_worth_a_recording_but_the_shapes_second_job_is(graphs, capture):
    for left in range(PAYS_FROM - 1 + WARM_UPS, 0, -1):
        run(graphs, 1, left=left)
    assert capture.recorded == 0
    graphs.begin_job()
    run(graphs, 1, left=1)
    assert capture.recorded == 1


@pytest.mark.parametrize(
    "other",
    [
        {"x": torch.zeros(4)},
        {"x": torch.zeros(3, dtype=torch.float16)},
        {"x": torch.zeros(6)[::2]},
        {"x": torch.zeros(3), "y": torch.zeros(1)},
    ],
)
def test_another_shape_format_or_argument_is_another_recording(graphs, capture, other):
    for _ in range(WARM_UPS + 1):
        run(graphs, 1)
    for _ in range(WARM_UPS + 1):
        graphs.run(double, other, kind="k", left=100)
    assert capture.recorded == 2
    for _ in range(WARM_UPS + 1):
        run(graphs, 1, kind="another")
    assert capture.recorded == 3


def test_only_so_many_shapes_are_kept_and_the_one_unused_for_longest_goes(graphs, capture):
    for size in (1, 2):
        for _ in range(WARM_UPS + 1):
            run(graphs, 1, size=size)
    run(graphs, 1, size=1)
    for _ in range(WARM_UPS + 1):
        run(graphs, 1, size=3)
    assert (len(graphs), capture.released) == (2, 1)
    run(graphs, 1, size=1)
    assert capture.recorded == 3
    run(graphs, 1, size=2)  # known, so it is recorded again at once
    assert (capture.recorded, len(graphs)) == (4, 2)


def test_who_changes_the_size_each_time_leaves_no_heap_of_notes(graphs, capture):
    for size in range(1, 3 * MAX_KNOWN):
        run(graphs, 1, size=size)
    assert len(graphs._known) == MAX_KNOWN
    assert capture.recorded == 0


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("capturing")])
def test_a_recording_that_fails_is_never_tried_again_and_nobody_notices(graphs, capture, error):
    capture.error = error
    for number in range(WARM_UPS + 2):
        assert float(run(graphs, number)[0]) == 2.0 * number
    capture.error = None
    run(graphs, 1)
    assert (capture.recorded, len(graphs)) == (0, 0)


def test_a_fault_of_the_function_itself_is_passed_on(graphs, capture):
    def broken(tensors):
        raise RuntimeError("expected scalar type Half")

    for _ in range(WARM_UPS + 2):
        with pytest.raises(RuntimeError, match="scalar type"):
            run(graphs, 1, function=broken)
    assert capture.recorded == 0


def test_dropped_recordings_are_released_and_may_be_made_again(graphs, capture):
    for _ in range(WARM_UPS + 1):
        run(graphs, 1)
    graphs.drop()
    assert (len(graphs), capture.released, capture.cleared) == (0, 1, 1)
    for _ in range(WARM_UPS + 1):
        run(graphs, 1)
    assert capture.recorded == 2


def test_recordings_given_up_are_never_made_again(graphs, capture):
    for _ in range(WARM_UPS + 1):
        run(graphs, 1)
    graphs.give_up()
    for _ in range(WARM_UPS + 3):
        run(graphs, 1)
    assert (len(graphs), capture.released, capture.recorded) == (0, 1, 1)
    for _ in range(WARM_UPS + 1):
        run(graphs, 1, size=2)
    assert graphs.give_up()
    assert not graphs.give_up()
    for size in (3, 2):
        for _ in range(WARM_UPS + 3):
            run(graphs, 1, size=size)
    assert (len(graphs), capture.recorded) == (0, 2)


# -- recordings of a U-Net, in jobs


@pytest.fixture
def recorded(random_settings, capture) -> Studio:
    """A studio whose U-Net is recorded by the stand-in."""
    studio = Studio(replace(random_settings, device="cpu"))
    record(studio, capture)
    return studio


def record(studio: Studio, capture: Replayed, model: str = "model-a") -> FastUNet:
    manager = studio._ready_manager()
    with manager.pipeline(model, "DDIM") as pipe:
        pipe.fast_unet.graphs = Graphs(capture)
        return pipe.fast_unet


def fast_unet_of(studio: Studio) -> FastUNet:
    with studio._ready_manager().pipeline("model-a", "DDIM") as pipe:
        return pipe.fast_unet


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"scheduler": "Euler"},
        {"scheduler": "PLMS", "guidance_scale": 1},  # which keeps what the model said, step after step
        {"scheduler": "Heun"},
        {"num_images": 3},
        {"guidance_end": 0.3},
        {"cache_interval": 2},
        {"cache_interval": 3, "guidance_end": 0.5, "scheduler": "DPM++ 2M Karras"},
        {"prompt": "a [cat:dog:0.5]"},
        {"prompt": f"[cat:{TWO_WINDOWS}:0.5]", "cache_interval": 2},
        {"prompt": f"[cat|{TWO_WINDOWS}] AND dog:0.5", "num_images": 2},
        {"prompt": f"cat AND {TWO_WINDOWS}:0.4", "guidance_end": 0.5},
    ],
)
def test_a_replayed_job_gives_the_eager_jobs_bytes(random_studio, recorded, capture, change):
    request = replace(REQUEST, **change)
    for _ in range(2):  # the second one replays from its first step
        fast = recorded.txt2img(request, save=False)
        eager = random_studio.txt2img(request, save=False)
        assert all(map(same, fast.images, eager.images))
    assert capture.replays > 10


def test_jobs_of_other_kinds_and_sdxl_are_replayed_too(sdxl_models, tmp_path, capture):
    settings = Settings(models_dir=sdxl_models, model="xl", outputs_dir=tmp_path, device="cpu")
    request = replace(REQUEST, width=64, height=64)
    studio = Studio(settings)
    eager = studio.txt2img(request, save=False).images[0]
    record(studio, capture, "xl")
    assert same(studio.txt2img(request, save=False).images[0], eager)
    assert capture.replays == 14 - WARM_UPS


def test_each_shape_of_a_job_has_its_own_recording(recorded, capture):
    recorded.txt2img(replace(REQUEST, num_inference_steps=30, guidance_end=0.5), save=False)
    recorded.txt2img(replace(REQUEST, num_inference_steps=30, cache_interval=2), save=False)
    # Full batch and half of it; full and shallow.
    assert capture.recorded == len(fast_unet_of(recorded).graphs or ()) == 4


def bypass(pipe):
    return pipe.fast_unet.bypass()


@contextmanager
def hooked(pipe):
    handle = pipe.unet.mid_block.register_forward_hook(lambda *_: None)
    yield
    handle.remove()


@contextmanager
def sliced(pipe):
    processors = dict(pipe.unet.attn_processors)
    pipe.unet.set_attention_slice("max")
    yield
    pipe.unet.set_attn_processor(processors)


@contextmanager
def moved(pipe):
    """As offload hooks do: a forward of its own on the U-Net."""
    pipe.unet.forward = pipe.unet.forward
    yield
    del pipe.unet.forward


def counted(function, calls):
    def count(*args, **kwargs):
        calls.append(1)
        return function(*args, **kwargs)

    return count


@pytest.mark.parametrize("watch", [bypass, hooked, moved])
def test_who_watches_the_unet_sees_every_call(recorded, capture, watch):
    expected = recorded.txt2img(REQUEST, save=False).images[0]
    replays = capture.replays
    with recorded._ready_manager().pipeline("model-a", "DDIM") as pipe:
        pass
    calls: list[int] = []
    mid_block, forward = pipe.unet.mid_block, pipe.unet.mid_block.forward
    with watch(pipe):
        mid_block.forward = counted(forward, calls)
        watched = recorded.txt2img(REQUEST, save=False).images[0]
        del mid_block.forward
    assert len(calls) == 14
    assert capture.replays == replays
    assert same(watched, expected)
    recorded.txt2img(REQUEST, save=False)
    assert capture.replays == replays + 14


def test_another_attention_processor_is_another_recording(recorded, capture):
    recorded.txt2img(REQUEST, save=False)
    with recorded._ready_manager().pipeline("model-a", "DDIM") as pipe:
        pass
    replays = capture.replays
    with sliced(pipe):
        recorded.txt2img(replace(REQUEST, num_inference_steps=2), save=False)
    assert capture.replays == replays


def test_attention_is_torchs_fused_one_before_and_after_the_frugal_setting(recorded):
    from diffusers.models.attention_processor import AttnProcessor2_0

    from sd_app.generation.out_of_memory import sparing

    with recorded._ready_manager().pipeline("model-a", "DDIM") as pipe:
        for part in (pipe.unet, pipe.vae):
            assert {type(processor) for processor in part.attn_processors.values()} == {AttnProcessor2_0}
        with sparing(pipe, FRUGAL):
            assert AttnProcessor2_0 not in {type(p) for p in pipe.unet.attn_processors.values()}
        assert {type(processor) for processor in pipe.unet.attn_processors.values()} == {AttnProcessor2_0}


def test_gradients_pass_the_recordings_by(recorded, capture):
    fast_unet = fast_unet_of(recorded)
    assert fast_unet.must_be_eager()  # gradients are on here
    with torch.no_grad():
        assert not fast_unet.must_be_eager()
        fast_unet.unet.train()
        assert fast_unet.must_be_eager()
        fast_unet.unet.eval()
        with torch.autocast("cpu", torch.bfloat16):
            assert fast_unet.must_be_eager()


def test_weights_changed_in_place_reach_the_replay_and_moved_ones_a_new_recording(recorded, capture):
    expected = recorded.txt2img(REQUEST, save=False).images[0]
    fast_unet = fast_unet_of(recorded)
    weight = fast_unet.unet.conv_in.weight
    original = weight.data.clone()
    weight.data.mul_(1.5)  # as a LoRA is merged
    changed = recorded.txt2img(REQUEST, save=False).images[0]
    assert not same(changed, expected)
    assert capture.recorded == 1
    weight.data = original
    assert same(recorded.txt2img(REQUEST, save=False).images[0], expected)
    assert (capture.recorded, capture.released) == (2, 1)


def test_a_full_memory_gives_the_recordings_up_and_the_job_its_picture(recorded, capture):
    expected = recorded.txt2img(REQUEST, save=False).images[0]
    with recorded._ready_manager().pipeline("model-a", "DDIM") as pipe:
        left = [1]

        def full(*_):
            if left[0]:
                left[0] -= 1
                raise torch.OutOfMemoryError("CUDA out of memory")

        handle = pipe.vae.decoder.register_forward_pre_hook(full)
    picture = recorded.txt2img(REQUEST, save=False).images[0]
    handle.remove()
    assert (capture.released, len(fast_unet_of(recorded).graphs or ())) == (1, 0)
    assert difference(picture, expected) <= 2  # sliced attention rounds differently
    recorded.txt2img(REQUEST, save=False)
    assert capture.recorded == 1


def test_recordings_make_room_before_another_model_does_or_a_job_turns_frugal(recorded, capture, monkeypatch):
    expected = recorded.txt2img(REQUEST, save=False).images[0]
    with recorded._ready_manager().pipeline("model-b", "DDIM"):
        pass
    monkeypatch.setattr("sd_app.weights.model_manager.free_bytes", lambda _: 2**40 if capture.released else 0)
    picture = recorded.txt2img(REQUEST, save=False).images[0]
    assert capture.released == 1
    assert recorded.status().loaded == ("model-b", "model-a")
    assert recorded.status().plan == "all on the device"
    assert same(picture, expected)
    recorded.txt2img(REQUEST, save=False)
    assert capture.recorded == 1


@pytest.mark.parametrize("change", [{}, {"guidance_scale": 1.0}])
def test_a_job_whose_recording_is_there_is_planned_with_it(recorded, capture, monkeypatch, change):
    request = replace(REQUEST, num_images=2, **change)
    expected = recorded.txt2img(request, save=False).images
    manager = recorded._ready_manager()
    # Enough for the VAE, one picture at a time, and not for the U-Net, two together.
    free_for(manager, monkeypatch, free_needed(manager, 64 * 64, decoded=1))
    replays = capture.replays
    told: list[str] = []
    images = recorded.txt2img(request, lambda step: told.append(step.text), save=False).images
    assert all(map(same, images, expected))
    assert (capture.recorded, capture.released, capture.replays) == (1, 0, replays + 14)
    assert not any(text.startswith("Short of memory") for text in told)
    recorded.txt2img(replace(request, width=128), lambda step: told.append(step.text), save=False)
    assert any(text.startswith("Short of memory") for text in told)  # that size was never recorded
    assert capture.released == 1


def test_a_dropped_checkpoint_takes_its_recordings_along(recorded, capture):
    recorded.txt2img(REQUEST, save=False)
    unet = weakref.ref(fast_unet_of(recorded).unet)
    recorded.unload()
    gc.collect()
    assert capture.released == 1
    assert unet() is None


def test_without_cuda_or_when_switched_off_there_is_nothing_to_replay(random_settings, monkeypatch):
    import sd_app.speed as speed

    monkeypatch.setattr(speed, "CudaCapture", lambda device: Replayed())  # it opens a stream of the device
    unet = torch.nn.Module()
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert speed.make_fast_unet(unet, random_settings, cuda, "sd1").graphs is not None
    assert speed.make_fast_unet(unet, random_settings, cpu, "sd1").graphs is None
    for change in ({"cuda_graphs": False}, {"lowvram": True}, {"compile": True}):
        settings = replace(random_settings, **change)
        monkeypatch.setattr(speed, "Compiler", lambda *_, **__: None)
        assert speed.make_fast_unet(unet, settings, cuda, "sd1").graphs is None


# -- on a GPU


@pytest.fixture
def on_cuda(random_models: Path, tmp_path: Path):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")

    def make(**changes) -> Studio:
        known: Any = {"models_dir": random_models, "outputs_dir": tmp_path, "model": "model-a"}
        return Studio(Settings(**known, device="cuda", **changes))

    return make


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize(
    "change",
    [
        {},
        {"scheduler": "PLMS", "guidance_scale": 1},
        {"num_images": 3},
        {"guidance_end": 0.3},
        {"cache_interval": 2},
    ],
)
def test_a_cuda_graph_gives_the_eager_bytes(on_cuda, change, dtype):
    fast, eager = on_cuda(dtype=dtype), on_cuda(dtype=dtype, cuda_graphs=False)
    request = replace(REQUEST, **change)
    for _ in range(2):
        pictures = [studio.txt2img(request, save=False).images for studio in (fast, eager)]
        assert all(map(same, *pictures))
    assert len(fast_unet_of(fast).graphs or ()) > 0


@pytest.mark.gpu
def test_the_memory_of_cuda_graphs_is_given_back(on_cuda):
    studio = on_cuda()
    reserved = []
    for _ in range(3):  # what cuBLAS keeps for the stream of the recordings is there after the first round
        studio.txt2img(replace(REQUEST, width=512, height=512), save=False)
        assert len(fast_unet_of(studio).graphs or ()) == 1
        studio.unload()
        torch.cuda.synchronize()
        reserved.append(torch.cuda.memory_reserved())
    assert reserved[1] == reserved[2] <= reserved[0]


@pytest.mark.gpu
@pytest.mark.parametrize("scheduler", ["DPM++ 2M Karras", "Euler"])
def test_no_step_waits_for_the_gpu(on_cuda, scheduler):
    studio = on_cuda()
    request = replace(REQUEST, scheduler=scheduler)
    studio.txt2img(request, save=False)

    def on_step(step):
        if step.text == "Denoising":  # what follows the first step's sign, up to the last step's
            torch.cuda.set_sync_debug_mode("error" if step.step < 14 else "default")

    try:
        studio.txt2img(request, on_step, preview_every=0, save=False)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_after_a_job_whose_parts_visited_the_device_one_by_one_calls_are_replayed_again(recorded, capture):
    expected = recorded.txt2img(REQUEST, save=False).images[0]
    manager = recorded._ready_manager()
    checkpoint = manager._checkpoints["model-a"]
    manager._place(checkpoint, Plan(batch_size=1, offloads=True))
    with manager.pipeline("model-a", "DDIM") as pipe:
        assert "forward" in vars(pipe.unet)  # accelerate's, which brings the part to the device
    assert "forward" not in vars(pipe.unet)
    manager._place(checkpoint, Plan(batch_size=1))
    for _ in range(2):
        replays = capture.replays
        assert same(recorded.txt2img(REQUEST, save=False).images[0], expected)
    assert capture.replays == replays + 14


def test_who_needs_every_part_is_never_given_a_replay(recorded, capture):
    class Needing:
        needs_every_part = True

    expected = recorded.txt2img(REQUEST, save=False).images[0]
    replays = capture.replays
    watched = recorded.txt2img(REQUEST, save=False, observers=[Needing()]).images[0]
    assert capture.replays == replays
    assert same(watched, expected)
    recorded.txt2img(REQUEST, save=False, observers=[object()])  # who needs none of them may be
    assert capture.replays == replays + 14
