"""Numbers that overflow: the VAE works in float32 then, and of other parts the result says which it was."""

import logging
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sd_app import Img2ImgRequest, Settings, Studio, Txt2ImgRequest
from sd_app.generation.vae import exact_vae
from sd_app.weights.components import Components
from sd_app.weights.device_memory import demand_of
from sd_app.weights.pipeline import Pipeline
from tests.memory.steps import PICTURE, difference

# Begins at the strongest noise, so that the notice has no more to say.
REQUEST = Txt2ImgRequest(
    prompt="a", seed=3, num_inference_steps=2, scheduler="DDIM", schedule_type="SGM Uniform"
)
FROM_PICTURE = Img2ImgRequest(prompt="a", seed=3, num_inference_steps=2, init_image=PICTURE)


def studio_in(dtype: str, models: Path, folder: Path, model: str = "model-a") -> Studio:
    return Studio(Settings(models_dir=models, model=model, outputs_dir=folder, device="cpu", dtype=dtype))


def parts(studio: Studio) -> Pipeline:
    with studio._ready_manager().pipeline(studio.settings.model, "DDIM") as pipe:
        return pipe


@torch.no_grad()
def enlarge(layer: torch.nn.Module, factor: float = 30_000) -> None:
    """Make a layer's answers so large that float16 holds none; a norm follows, so that float32 minds not."""
    for weight in layer.parameters():
        weight.mul_(factor)


def mean_difference(first, second) -> float:
    return float(np.abs(np.asarray(first, np.float32) - np.asarray(second, np.float32)).mean())


@pytest.fixture
def exact(random_models, tmp_path) -> Studio:
    return studio_in("float32", random_models, tmp_path)


@pytest.fixture
def low(random_models, tmp_path) -> Studio:
    return studio_in("float16", random_models, tmp_path)


def test_a_vae_that_overflows_draws_in_float32_from_then_on(exact, low, caplog):
    for studio in (exact, low):
        enlarge(parts(studio).vae.decoder.conv_in)
    pipe = parts(low)
    components: Components = low._ready_manager()._checkpoints["model-a"].components
    before = demand_of(components).decode
    calls: list[torch.dtype] = []
    pipe.vae.decoder.register_forward_pre_hook(lambda module, _: calls.append(module.conv_in.weight.dtype))
    expected = exact.txt2img(REQUEST, save=False).images[0]
    with caplog.at_level(logging.WARNING):
        result = low.txt2img(REQUEST, save=False)
    assert mean_difference(result.images[0], expected) < 2
    assert calls == [torch.float16, torch.float32]
    assert "The VAE overflowed in torch.float16" in caplog.text
    assert result.notice == ""
    low.txt2img(REQUEST, save=False)
    assert calls[2:] == [torch.float32]
    assert pipe.vae.dtype == torch.float16  # between jobs
    assert demand_of(components).decode == 2 * before


def test_so_does_one_that_overflows_when_it_reads_a_picture(exact, low):
    for studio in (exact, low):
        enlarge(parts(studio).vae.encoder.conv_in)
    pictures = [studio.img2img(FROM_PICTURE, save=False) for studio in (exact, low)]
    assert mean_difference(pictures[1].start_images[0], pictures[0].start_images[0]) < 2
    assert np.asarray(pictures[1].images[0]).any()


PARTS = {
    "U-Net": lambda pipe: pipe.unet.conv_in,
    "text encoder": lambda pipe: (
        pipe.text_encoder.final_layer_norm
        if hasattr(pipe.text_encoder, "final_layer_norm")
        else pipe.text_encoder.text_model.final_layer_norm
    ),
}


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(("dtype", "advice"), [("float16", "bfloat16 or float32"), ("bfloat16", "float32")])
def test_of_another_part_the_result_says_which_one_it_was(
    random_models, tmp_path, capsys, part, dtype, advice
):
    studio = studio_in(dtype, random_models, tmp_path)
    enlarge(PARTS[part](parts(studio)), float("inf"))
    result = studio.txt2img(replace(REQUEST, num_images=3), save=False)
    assert result.notice == (
        f"The {part} gave only NaN in {dtype}, so pictures are black (start with --dtype {advice})."
    )
    assert not np.asarray(result.images[0]).any()


def test_of_a_vae_that_is_broken_too(low):
    enlarge(parts(low).vae.decoder.conv_out, float("inf"))
    result = low.txt2img(REQUEST, save=False)
    assert result.notice == "The VAE gave only NaN in float32, so pictures are black " + (
        "(check the model and its add-ons)."
    )


def test_of_one_that_cannot_read_the_start_picture(exact):
    enlarge(parts(exact).vae.encoder.conv_out, float("inf"))
    result = exact.img2img(FROM_PICTURE, save=False)
    assert result.notice.startswith("The VAE, reading the start picture, gave only NaN in float32")


def test_a_picture_of_numbers_has_no_such_notice(exact, low):
    for studio in (exact, low):
        assert studio.txt2img(REQUEST, save=False).notice == ""


def test_memory_that_runs_out_while_a_vae_changes_its_format_leaves_it_as_it_was(
    sdxl_models, tmp_path, monkeypatch
):
    studio = studio_in("float16", sdxl_models, tmp_path, "xl")
    request = replace(REQUEST, width=64, height=64)
    expected = studio.txt2img(request, save=False).images[0]
    pipe = parts(studio)
    weights = [weight.clone() for weight in pipe.vae.parameters()]
    block, apply = pipe.vae.decoder.mid_block, torch.nn.Module._apply
    left = [1]

    def failing(module, *args, **kwargs):
        if module is block and left:
            left.pop()
            raise torch.OutOfMemoryError("CUDA out of memory")
        return apply(module, *args, **kwargs)

    monkeypatch.setattr(torch.nn.Module, "_apply", failing)
    with pytest.raises(torch.OutOfMemoryError), exact_vae(pipe):
        pass
    assert {weight.dtype for weight in pipe.vae.parameters()} == {torch.float16}
    assert all(map(torch.equal, pipe.vae.parameters(), weights))
    left.append(1)
    assert difference(studio.txt2img(request, save=False).images[0], expected) <= 2


def test_sdxl_in_float16_leaves_no_warning_in_the_log(sdxl_models, tmp_path, caplog, capfd):
    shutil.copytree(sdxl_models / "xl", tmp_path / "models" / "xl")
    studio = studio_in("float16", tmp_path / "models", tmp_path, "xl")
    with caplog.at_level(logging.WARNING):
        studio.txt2img(replace(REQUEST, width=64, height=64), save=False)
        studio.img2img(replace(FROM_PICTURE, width=64, height=64), save=False)
    assert caplog.text == ""
    assert "float32" not in capfd.readouterr().err  # diffusers' own log is not passed on
