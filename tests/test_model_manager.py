import gc
import threading
import weakref
from dataclasses import replace

import pytest
import torch

from sd_app import Cancelled, Settings, Studio, Txt2ImgRequest
from sd_app.weights.device_memory import (
    LARGE_BYTES,
    choose_budget,
    choose_dtype,
    has_native_bf16,
    is_out_of_memory,
)
from sd_app.weights.devices import choose_device
from sd_app.weights.model_manager import ModelManager
from tests.limits import PATIENCE

CPU = torch.device("cpu")


@pytest.fixture
def manager(random_settings) -> ModelManager:
    return ModelManager(random_settings)


def lend(manager: ModelManager, model: str):
    with manager.pipeline(model, "DDIM") as pipe:
        return pipe


def test_a_model_is_loaded_once_and_its_parts_kept(manager):
    first, second = lend(manager, "model-a"), lend(manager, "model-a")
    assert [id(part) for part in first.networks] == [id(part) for part in second.networks]
    assert manager.status().loaded == ("model-a",)


def test_loading_is_told_once(manager):
    told: list[str] = []
    for _ in range(2):
        with manager.pipeline("model-a", "DDIM", told.append):
            pass
    assert told == ["Loading model-a"]


def test_every_job_gets_a_scheduler_of_its_own_from_the_original_configuration(manager):
    with manager.pipeline("model-v", "DPM++ 2M Karras") as pipe:
        first = pipe.scheduler
    with manager.pipeline("model-v", "DPM++ 2M") as pipe:
        assert pipe.scheduler is not first
        assert pipe.scheduler.config.use_karras_sigmas is False
        assert pipe.scheduler.config.prediction_type == "v_prediction"
        assert pipe.scheduler.config.beta_end == 0.012
    with manager.pipeline("model-v", "DPM++ 2M SDE Karras"):
        pass
    with manager.pipeline("model-v", "UniPC") as pipe:
        assert pipe.scheduler.config.use_karras_sigmas is False  # what UniPC's row leaves to the model


def test_a_model_that_makes_room_is_really_gone(random_models):
    manager = ModelManager(Settings(models_dir=random_models, model="model-a", cache_gigabytes=0))
    unet = weakref.ref(lend(manager, "model-a").unet)
    assert unet() is not None
    lend(manager, "model-b")
    assert manager.status().loaded == ("model-b",)
    assert unet() is None


def test_the_model_unused_for_longest_makes_room_first(random_models):
    manager = ModelManager(Settings(models_dir=random_models, model="model-a"))
    lend(manager, "model-a")
    size = manager._checkpoints["model-a"].size_bytes
    manager.budget_bytes = int(2.5 * size)
    lend(manager, "model-b")
    lend(manager, "model-a")
    lend(manager, "model-v")
    assert manager.status().loaded == ("model-a", "model-v")


def test_unload_drops_one_or_all(manager):
    for name in ("model-a", "model-b", "model-v"):
        lend(manager, name)
    manager.unload("model-b")
    assert manager.status().loaded == ("model-a", "model-v")
    manager.unload()
    assert manager.status().loaded == ()


def test_weights_have_the_chosen_dtype(random_models):
    manager = ModelManager(Settings(models_dir=random_models, device="cpu", dtype="bfloat16"))
    pipe = lend(manager, "model-a")
    assert {pipe.unet.dtype, pipe.vae.dtype, pipe.text_encoder.dtype} == {torch.bfloat16}


def test_the_tokenizer_comes_without_weights_and_without_waiting(manager):
    with manager.pipeline("model-a", "DDIM"):
        words: list[list[int]] = []
        thread = threading.Thread(
            target=lambda: words.append(manager.tokenizer("model-b")("cat").input_ids), daemon=True
        )
        thread.start()
        thread.join(PATIENCE)
        assert words == [[49406, 2368, 49407]]
        assert manager.status().loaded == ("model-a",)


def test_four_threads_never_have_two_jobs_on_the_model(random_models, tmp_path):
    settings = Settings(models_dir=random_models, outputs_dir=tmp_path, model="model-a", cache_gigabytes=0)
    studio, alone = Studio(settings), Studio(settings)
    names = ["model-a", "model-b", "model-a", "model-b"]
    requests = [Txt2ImgRequest(prompt=f"picture {k}", model=names[k], seed=k) for k in range(4)]
    expected = [alone.txt2img(request, save=False).images[0].tobytes() for request in requests]
    running, most, pictures = [0], [0], [b""] * 4
    guard = threading.Lock()
    manager = studio._ready_manager()
    lend_pipeline = manager.pipeline

    def watched(*args):  # counts the jobs that hold a pipeline
        class Counted:
            def __enter__(self):
                self.lent = lend_pipeline(*args)
                pipe = self.lent.__enter__()
                with guard:
                    running[0] += 1
                    most[0] = max(most[0], running[0])
                return pipe

            def __exit__(self, *error):
                with guard:
                    running[0] -= 1
                return self.lent.__exit__(*error)

        return Counted()

    manager.pipeline = watched  # type: ignore[method-assign]

    def work(k: int) -> None:
        pictures[k] = studio.txt2img(requests[k]).images[0].tobytes()

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most[0] == 1
    assert pictures == expected
    assert len(list(tmp_path.rglob("*.png"))) == 4


def test_a_waiting_job_can_be_cancelled(manager):
    outcome: list[BaseException] = []

    def cancel(text: str) -> None:
        assert text == "Waiting"
        raise Cancelled

    def wait() -> None:
        try:
            with manager.pipeline("model-a", "DDIM", cancel):
                pass
        except Cancelled as error:
            outcome.append(error)

    with manager.pipeline("model-a", "DDIM"):
        thread = threading.Thread(target=wait)
        thread.start()
        thread.join(PATIENCE)
    assert len(outcome) == 1


def test_a_job_that_starts_another_one_is_told_instead_of_waiting_for_itself(manager):
    with (
        manager.pipeline("model-a", "DDIM"),
        pytest.raises(RuntimeError, match="cannot start another"),
    ):
        manager.unload()
    manager.unload()


def test_an_error_in_a_job_frees_the_lock(manager):
    with pytest.raises(ZeroDivisionError), manager.pipeline("model-a", "DDIM"):
        raise ZeroDivisionError
    lend(manager, "model-b")


def test_weights_that_do_not_fit_make_the_others_go_and_are_tried_again(manager, monkeypatch):
    lend(manager, "model-a")
    load, left = manager._load_once, [1]

    def load_or_fail(info):
        if left[0] > 0:
            left[0] -= 1
            raise torch.OutOfMemoryError("CUDA out of memory")
        return load(info)

    monkeypatch.setattr(manager, "_load_once", load_or_fail)
    lend(manager, "model-b")
    assert manager.status().loaded == ("model-b",)
    left[0] = 2
    with pytest.raises(MemoryError, match=r"model-v does not fit into the memory of cpu .*smaller model"):
        lend(manager, "model-v")
    assert lend(manager, "model-v")


@pytest.mark.parametrize(("can_offload", "lowvram"), [(True, False), (True, True), (False, False)])
def test_lowvram_is_advised_where_it_helps_and_is_not_on_yet(
    random_settings, monkeypatch, can_offload, lowvram
):
    monkeypatch.setattr(ModelManager, "_can_offload", can_offload)
    manager = ModelManager(replace(random_settings, lowvram=lowvram))
    words = manager._does_not_fit("model-a", "choose a smaller model")
    assert ("start with --lowvram" in words) is (can_offload and not lowvram)
    assert words.startswith("model-a does not fit into the memory of cpu (close other programs, ")


def test_status_is_quick_and_names_device_and_dtype(manager):
    with manager.pipeline("model-a", "DDIM"):
        status = manager.status()
    assert (status.device, status.dtype) == (str(manager.device), str(manager.dtype)[6:])
    assert 0 < status.memory_used < status.memory_total


def test_device_and_dtype_are_chosen_in_order():
    assert choose_device("cpu") == CPU
    assert choose_dtype("auto", CPU) == torch.float32
    assert choose_dtype("auto", torch.device("cuda")) == torch.float16
    assert choose_dtype("bfloat16", CPU) == torch.bfloat16
    assert choose_budget(1.5, CPU) == 1_500_000_000
    assert choose_budget(None, CPU) > 1e8


@pytest.mark.parametrize(
    ("capabilities", "native"),
    [
        ({"avx512_bf16": True}, True),
        ({"avx512_bf16": False, "amx_bf16": True}, True),
        ({"bf16": True, "neon": True}, True),
        ({"avx512_f": True, "avx512_bf16": False}, False),
    ],
)
def test_bfloat16_is_for_large_models_on_processors_that_have_it(monkeypatch, capabilities, native):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert has_native_bf16() is native
    large = choose_dtype("auto", CPU, size_bytes=LARGE_BYTES)
    assert large == (torch.bfloat16 if native else torch.float32)
    assert choose_dtype("auto", CPU, size_bytes=LARGE_BYTES - 1) == torch.float32
    assert choose_dtype("float32", CPU, size_bytes=LARGE_BYTES) == torch.float32
    assert choose_dtype("auto", torch.device("cuda"), size_bytes=LARGE_BYTES) == torch.float16


def test_a_large_model_is_loaded_in_bfloat16_and_the_badge_says_so(random_models, monkeypatch):
    monkeypatch.setattr("sd_app.weights.device_memory.has_native_bf16", lambda: True)
    monkeypatch.setattr("sd_app.weights.device_memory.LARGE_BYTES", 1000)
    manager = ModelManager(Settings(models_dir=random_models, device="cpu"))
    assert manager.status().dtype == "float32"
    pipe = lend(manager, "model-a")
    assert {pipe.unet.dtype, pipe.vae.dtype, pipe.text_encoder.dtype} == {torch.bfloat16}
    assert manager.status().dtype == "bfloat16"


def test_a_device_that_is_not_there_is_refused():
    count = torch.cuda.device_count()
    with pytest.raises(ValueError, match=f"device cuda:{count} is not there"):
        choose_device(f"cuda:{count}")


def test_a_full_memory_is_told_from_other_errors():
    assert is_out_of_memory(torch.OutOfMemoryError("x"))
    assert is_out_of_memory(RuntimeError("MPS backend out of memory (MPS allocated: 5 GB)"))
    assert is_out_of_memory(RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"))
    assert is_out_of_memory(OSError(12, "Cannot allocate memory"))
    hidden = OSError("Unable to load weights")
    hidden.__context__ = torch.OutOfMemoryError("x")  # as diffusers tells it
    assert is_out_of_memory(hidden)
    assert not is_out_of_memory(OSError(2, "No such file or directory"))
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


@pytest.mark.gpu
def test_lowvram_moves_the_parts_one_by_one_and_draws_the_same(random_models, tmp_path):
    request = Txt2ImgRequest(prompt="a", seed=1)
    pictures = []
    for lowvram in (False, True):
        settings = Settings(models_dir=random_models, outputs_dir=tmp_path, model="model-a", lowvram=lowvram)
        pictures.append(Studio(settings).txt2img(request, save=False).images[0].tobytes())
        gc.collect()
    assert pictures[0] == pictures[1]
