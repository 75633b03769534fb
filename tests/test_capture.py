"""Recordings that fail: what torch leaves behind is undone, and the job goes on as if nothing had been.

The device here is a stand-in whose state changes as torch's does (fake_cuda.py); the code around it is the
app's own. Each test says what must hold after a failure: the thread is on its own stream, the allocator
records nothing, no pool is held by a graph that is not there, and memory can be given back.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch
from PIL import Image

from sd_app import Studio, Txt2ImgRequest
from sd_app.speed import CudaCapture, Graphs
from sd_app.speed.capture import END_ALLOCATING, NO_WAY_TO_UNDO, NOT_UNDONE, RELEASE_POOL
from sd_app.speed.graphs import PAYS_FROM, WARM_UPS
from sd_app.speed.unet import NO_GRAPHS
from sd_app.ui.header.badge import badge_value
from tests.fake_cuda import FakeCuda, install

CPU = torch.device("cpu")
REQUEST = Txt2ImgRequest(prompt="a red cat", seed=7, num_inference_steps=14)


@pytest.fixture
def cuda(monkeypatch) -> FakeCuda:
    fake = FakeCuda()
    monkeypatch.setattr(CudaCapture, "_off", "")
    monkeypatch.setattr(CudaCapture, "_streams", {})
    monkeypatch.setattr(CudaCapture, "_failed", [])
    install(monkeypatch, fake)
    return fake


@pytest.fixture
def capture(cuda: FakeCuda) -> CudaCapture:
    return CudaCapture(CPU)


def fine() -> tuple[torch.Tensor, ...]:
    return (torch.ones(2),)


def works_in(cuda: FakeCuda, failure: str) -> Callable[[], tuple[torch.Tensor, ...]]:
    """Return work whose recording fails in this way."""

    def work() -> tuple[torch.Tensor, ...]:
        if not cuda.is_capturing():
            return fine()
        if failure == "memory":  # which torch survives: the recording itself goes on
            raise torch.OutOfMemoryError("CUDA out of memory")
        if failure == "forbidden":
            cuda.spoil()
            raise RuntimeError("CUDA error: operation not permitted when stream is capturing")
        if failure == "silent":
            cuda.spoil()  # noticed at its end
        if failure == "stopped":
            raise KeyboardInterrupt
        return fine()

    cuda.fails_at = failure
    return work


FAILURES = ["memory", "forbidden", "silent", "stopped", "early begin", "begin", "end", "instantiate"]


@pytest.mark.parametrize("failure", FAILURES)
def test_a_recording_that_fails_leaves_nothing_behind(cuda, capture, failure):
    with pytest.raises((RuntimeError, KeyboardInterrupt)):
        capture.record(works_in(cuda, failure))
    assert cuda.begun == 1
    assert cuda.is_clean()
    torch.cuda.empty_cache()
    assert not capture.off


@pytest.mark.parametrize("failure", FAILURES)
def test_recordings_made_before_stay_and_others_are_made_afterwards(cuda, capture, failure):
    capture.record(fine)
    with pytest.raises((RuntimeError, KeyboardInterrupt)):
        capture.record(works_in(cuda, failure))
    assert sum(cuda.graphs_of.values()) == 1
    cuda.fails_at = ""
    capture.record(fine)
    assert sum(cuda.graphs_of.values()) == 2
    assert not cuda.underway
    assert cuda.streams == 1


@pytest.mark.parametrize("failure", [name for name in FAILURES if name != "stopped"])
def test_the_call_that_was_to_be_recorded_is_run_as_it_is(cuda, capture, failure):
    graphs = Graphs(capture)
    graphs.begin_job()
    work = works_in(cuda, failure)
    for _ in range(WARM_UPS + 3):
        (output,) = graphs.run(lambda _: work(), {"x": torch.zeros(1)}, kind="k", left=100)
        assert torch.equal(output, torch.ones(2))
    assert cuda.begun == 1  # that shape is not tried again
    assert cuda.is_clean()


def test_what_cannot_be_undone_turns_recordings_off_for_the_process(cuda, capture):
    cuda.keeps_underway = True
    with pytest.raises(RuntimeError):
        capture.record(works_in(cuda, "forbidden"))
    assert capture.off == CudaCapture(CPU).off == NOT_UNDONE
    graphs = Graphs(CudaCapture(CPU))
    for _ in range(WARM_UPS + 3):
        graphs.run(lambda _: fine(), {"x": torch.zeros(1)}, kind="k", left=100)
    assert (cuda.begun, cuda.ended) == (1, 0)


@pytest.mark.parametrize("names", [END_ALLOCATING, RELEASE_POOL])
def test_a_torch_that_cannot_undo_records_nothing(cuda, capture, monkeypatch, names):
    for name in names:
        monkeypatch.delattr(torch._C, name, raising=False)
    assert capture.off == NO_WAY_TO_UNDO
    graphs = Graphs(capture)
    for _ in range(WARM_UPS + 3):
        graphs.run(lambda _: fine(), {"x": torch.zeros(1)}, kind="k", left=100)
    assert cuda.begun == 0


def test_an_older_name_of_the_allocators_function_will_do(cuda, capture, monkeypatch):
    monkeypatch.delattr(torch._C, END_ALLOCATING[0])
    monkeypatch.setattr(torch._C, END_ALLOCATING[1], cuda.end_allocating, raising=False)
    with pytest.raises(RuntimeError):
        capture.record(works_in(cuda, "forbidden"))
    assert cuda.is_clean()
    assert not capture.off


def test_nothing_is_asked_of_cuda_before_something_is_recorded(cuda):
    Graphs(CudaCapture(torch.device("cuda:1")))
    assert cuda.streams == 0


def test_all_recordings_of_a_device_share_one_stream(cuda):
    for _ in range(3):
        CudaCapture(CPU).warm_up(fine)
        CudaCapture(CPU).record(fine)
    assert cuda.streams == 1


# -- threads: cuBLAS and cuDNN set themselves up for each


def in_a_thread(function: Callable[[], object]) -> None:
    with ThreadPoolExecutor(1) as thread:
        thread.submit(function).result()


def test_a_thread_that_never_ran_a_shape_warms_up_before_it_records_it(cuda, capture):
    graphs = Graphs(capture)
    graphs.begin_job()

    def work(_: object) -> tuple[torch.Tensor, ...]:
        cuda.multiply()
        return fine()

    def call(left: int = 100) -> None:
        graphs.run(work, {"x": torch.zeros(1)}, kind="k", left=left)

    for _ in range(WARM_UPS):
        call()

    def other() -> None:
        graphs.begin_job()
        for _ in range(WARM_UPS):  # the first of them would be recorded, if threads did not count
            call(PAYS_FROM)
        assert cuda.begun == 0
        with pytest.raises(NotImplementedError):  # recorded, and about to be replayed
            call()

    in_a_thread(other)
    assert (cuda.begun, cuda.ended) == (1, 1)
    with pytest.raises(NotImplementedError):  # what one thread recorded any other replays
        call()


def test_each_of_many_short_lived_threads_warms_up_though_numbers_of_threads_are_reused(cuda, capture):
    graphs = Graphs(capture)

    def work(_: object) -> tuple[torch.Tensor, ...]:
        cuda.multiply()
        return fine()

    def job() -> None:
        graphs.begin_job()
        for _ in range(2):
            graphs.run(work, {"x": torch.zeros(1)}, kind="k", left=100)

    for _ in range(6):
        in_a_thread(job)
    assert cuda.begun == 0


# -- jobs


@pytest.fixture
def recording(random_settings, cuda) -> Studio:
    """A studio whose U-Net is to be recorded on the stand-in."""
    studio = Studio(replace(random_settings, device="cpu"))
    with studio._ready_manager().pipeline("model-a", "DDIM") as pipe:
        pipe.fast_unet.graphs = Graphs(CudaCapture(CPU))
    return studio


def draw(studio: Studio) -> tuple[Image.Image, list[str]]:
    told: list[str] = []
    image = studio.txt2img(REQUEST, lambda step: told.append(step.text), save=False).images[0]
    return image, told


@pytest.mark.parametrize("failure", ["forbidden", "silent"])
def test_a_job_whose_recording_fails_draws_the_same_and_memory_can_be_given_back(
    random_studio, recording, cuda, monkeypatch, failure
):
    expected, _ = draw(random_studio)
    with recording._ready_manager().pipeline("model-a", "DDIM") as pipe:
        forward = pipe.unet.forward

    def spoiled(*args, **kwargs):
        if cuda.is_capturing():
            works_in(cuda, failure)()
        return forward(*args, **kwargs)

    monkeypatch.setattr(type(pipe.unet), "forward", lambda _, *args, **kwargs: spoiled(*args, **kwargs))
    image, told = draw(recording)
    assert cuda.begun == 1
    assert image.tobytes() == expected.tobytes()
    assert cuda.is_clean()
    assert not any(NO_GRAPHS in text for text in told)
    recording.unload()  # which empties the cache


def test_a_device_that_stays_in_disorder_is_told_and_shown(random_studio, recording, cuda, monkeypatch):
    expected, _ = draw(random_studio)
    cuda.fails_at, cuda.keeps_underway = "end", True
    image, told = draw(recording)
    assert image.tobytes() == expected.tobytes()
    assert f"{NO_GRAPHS}: {NOT_UNDONE}" in told
    status = recording.status()
    assert status.plan == f"all on the device, without CUDA graphs, since {NOT_UNDONE}"
    assert ["Last job", status.plan] in badge_value(status)["facts"]
    again, told = draw(recording)
    assert again.tobytes() == expected.tobytes()
    assert (cuda.begun, [text for text in told if NO_GRAPHS in text]) == (1, [])
