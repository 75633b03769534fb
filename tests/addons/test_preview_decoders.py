"""Previews by a model's own small decoder or by TAESD, where they lie; they never change the picture."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny
from PIL import Image
from safetensors.torch import load_file, save_file

from sd_app import Settings, Step, Studio, Txt2ImgRequest
from sd_app.addons.preview_decoders import OWN, find_preview_decoder
from sd_app.catalog import find_model
from sd_app.generation import vae
from sd_app.probes.observers import LoopStart, Observer, StepTaken
from sd_app.probes.previews import latents_to_images, preview_sheet
from sd_app.requests.running import OWN_PREVIEW, TAESD_PREVIEW
from sd_app.settings import EMBEDDED_DIR
from sd_app.weights.preview_decoders import decode_latents, load_decoder
from tests.addons.steps import KNOWN

REQUEST = replace(Txt2ImgRequest(prompt="a cat", **KNOWN), num_inference_steps=6, num_images=2)


@pytest.fixture(scope="module")
def tiny() -> AutoencoderTiny:
    torch.manual_seed(4)
    return AutoencoderTiny().eval()


@pytest.fixture
def models_dir(random_models, sdxl_models, tmp_path) -> Path:
    folder: Path = tmp_path / "models"
    folder.mkdir()
    for model in (random_models / "model-a", sdxl_models / "xl", EMBEDDED_DIR / "tiny-sd"):
        (folder / model.name).symlink_to(model)
    return folder


def original(tiny: AutoencoderTiny) -> dict[str, torch.Tensor]:
    """Return the decoder's weights as the original repository numbers them: a clamp comes first."""
    found = {}
    for name, tensor in tiny.decoder.state_dict().items():
        _, number, rest = name.split(".", 2)
        found[f"{int(number) + 1}.{rest}"] = tensor
    return found


def put_file(models_dir: Path, name: str, tiny: AutoencoderTiny) -> Path:
    path = models_dir / "taesd" / f"{name}.safetensors"
    path.parent.mkdir(exist_ok=True)
    save_file(original(tiny), path)
    return path


def run(
    models_dir: Path, model: str = "model-a", studio: Studio | None = None, **more: Any
) -> tuple[list[bytes], list[bytes]]:
    """Return the pictures and the previews of a job."""
    studio = studio or Studio(
        Settings(models_dir=models_dir, model=model, outputs_dir=models_dir / "o", batch_size=2)
    )
    previews: list[bytes] = []

    def on_step(step: Step) -> None:
        if step.preview is not None:
            assert step.preview.size == (512, 256)
            previews.append(step.preview.tobytes())

    result = studio.txt2img(REQUEST, on_step, save=False, **more)
    return [image.tobytes() for image in result.images], previews


@pytest.mark.parametrize("place", ["folder", "file"])
def test_previews_are_its_own_and_the_pictures_the_same_to_the_byte(models_dir, tiny, place):
    plain, linear = run(models_dir)
    if place == "folder":
        tiny.save_pretrained(models_dir / "taesd")
    else:
        put_file(models_dir, "taesd_decoder", tiny)
    pictures, previews = run(models_dir)
    assert pictures == plain
    assert len(previews) == len(linear) == 2  # of six steps, as often as before
    assert set(previews).isdisjoint(linear)
    assert run(models_dir, preview_every=0) == (plain, [])
    steps: list[Step] = []
    Studio(Settings(models_dir=models_dir, model="model-a", batch_size=2)).txt2img(
        REQUEST, steps.append, save=False
    )
    assert {step.preview_by for step in steps} == {"", TAESD_PREVIEW}


@pytest.mark.parametrize("place", ["folder", "file"])
def test_it_decodes_as_diffusers_does(tmp_path, tiny, place):
    path = put_file(tmp_path, "taesd_decoder", tiny)
    if place == "folder":
        path = tmp_path / "tiny"
        tiny.save_pretrained(path)
    latents = torch.randn(2, 4, 6, 8)
    images = decode_latents(load_decoder(path), latents)
    with torch.no_grad():
        expected = tiny.decode(latents).sample / 2 + 0.5
    values = (expected.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    assert [image.size for image in images] == [(64, 48)] * 2
    for image, one in zip(images, values, strict=True):
        assert np.abs(np.asarray(image, int) - one).max() <= 1


class Predictions(Observer):
    """What every step predicts, as the model's own VAE decodes it."""

    def __init__(self) -> None:
        self.start: Any = None
        self.decoded: list[Image.Image] = []
        self.rough: list[Image.Image] = []

    def before_loop(self, start: LoopStart) -> None:
        self.start = start

    def on_step(self, step: StepTaken) -> None:
        self.decoded += vae.decode_latents(self.start.pipe, step.predicted_x0)
        self.rough += latents_to_images(step.predicted_x0, self.start.model.latent_rgb)


def decibels(one: Image.Image, other: Image.Image) -> float:
    """Return the PSNR of two pictures of one size."""
    difference = np.asarray(one, float) - np.asarray(other, float)
    return float(10 * np.log10(255**2 / np.square(difference).mean()))


@pytest.mark.parametrize(("width", "height"), [(128, 128), (192, 128)])
def test_the_embedded_models_previews_are_close_to_what_its_own_vae_makes_at_that_step(
    tmp_path, width, height
):
    studio = Studio(Settings(outputs_dir=tmp_path))
    request = Txt2ImgRequest(
        prompt="a big orange kitten in a meadow", seed=4, num_inference_steps=6, width=width, height=height
    )
    true, drawn = Predictions(), list[Image.Image]()

    def on_step(step: Step) -> None:
        if step.preview is not None:
            assert step.preview_by == OWN_PREVIEW
            drawn.append(step.preview)

    result = studio.txt2img(request, on_step, preview_every=1, save=False, observers=[true])
    assert len(drawn) == len(true.decoded) == 6
    for preview, decoded, rough in zip(drawn, true.decoded, true.rough, strict=True):
        wanted = preview_sheet([decoded])
        assert decibels(preview, wanted) > max(22, decibels(preview_sheet([rough]), wanted) + 4)
    plain = studio.txt2img(request, save=False)
    assert plain.images[0].tobytes() == result.images[0].tobytes()


def test_each_family_has_its_decoder_and_latents_of_their_own_theirs(models_dir, tiny):
    settings = Settings(models_dir=models_dir)

    def found(model: str) -> str | None:
        path = find_preview_decoder(settings, find_model(settings, model))
        return None if path is None else path.relative_to(models_dir).as_posix()

    assert found("model-a") is None
    put_file(models_dir, "taesd_decoder", tiny)
    file, own = "taesd/taesd_decoder.safetensors", "tiny-sd/preview_decoder.safetensors"
    assert [found(name) for name in ("model-a", "xl", "tiny-sd")] == [file, None, own]
    embedded = find_model(settings, "tiny-sd")
    assert find_preview_decoder(settings, embedded, own_vae=False) is None  # another VAE makes other pictures
    put_file(models_dir, "taesdxl_decoder", tiny)
    assert found("xl") == "taesd/taesdxl_decoder.safetensors"
    tiny.save_pretrained(models_dir / "taesdxl")
    assert [found(name) for name in ("model-a", "xl")] == [file, "taesdxl"]
    assert {"taesd", "taesdxl"}.isdisjoint(info.name for info in Studio(settings).models())


@pytest.mark.parametrize(
    "config",
    [
        {"latent_channels": 16},  # as those for Stable Diffusion 3 and Flux
        {"out_channels": 4},
        {"num_decoder_blocks": (3, 3, 1), "decoder_block_out_channels": (64, 64, 64)},  # four times the size
        {"upsampling_scaling_factor": 1},
    ],
    ids=str,
)
def test_a_decoder_for_other_latents_leaves_the_linear_previews(models_dir, config):
    expected = run(models_dir)
    AutoencoderTiny(**config).save_pretrained(models_dir / "taesd")
    assert run(models_dir) == expected


@pytest.mark.parametrize("damage", ["cut off", "other shapes", "no numbers"])
def test_a_damaged_decoder_of_the_models_own_leaves_the_linear_previews(random_models, tmp_path, damage):
    """The embedded model's fits another model with latents of four channels: it is the file that is bad."""
    folder = tmp_path / "models/model-a"
    shutil.copytree(random_models / "model-a", folder)
    expected = run(tmp_path / "models")
    own, weights = folder / OWN, load_file(EMBEDDED_DIR / "tiny-sd" / OWN)
    save_file(weights, own)
    pictures, previews = run(tmp_path / "models")
    assert pictures == expected[0]
    assert set(previews).isdisjoint(expected[1])
    if damage == "cut off":
        own.write_bytes(own.read_bytes()[:-8])
    elif damage == "other shapes":
        save_file({**weights, "begin.weight": torch.zeros(1, 4, 3, 3)}, own)
    else:
        save_file({**weights, "end.0.bias": torch.full((12,), float("nan"))}, own)
    assert run(tmp_path / "models") == expected


@pytest.mark.parametrize("contents", [b"nothing", b"", b"PK\x03\x04" + bytes(99)])
def test_a_bad_file_leaves_the_linear_previews_and_says_so_in_the_log(models_dir, contents, caplog):
    expected = run(models_dir)
    (models_dir / "taesd").mkdir()
    (models_dir / "taesd/taesd_decoder.safetensors").write_bytes(contents)
    assert run(models_dir) == expected
    assert "taesd_decoder.safetensors is not used for previews" in caplog.text


BAD_CONFIGS: list[dict[str, object]] = [
    {"act_fn": 3},
    {"act_fn": "\ud800"},
    {"decoder_block_out_channels": 5},
    {"latent_channels": 16},
    {"upsampling_scaling_factor": 4},
    {"num_decoder_blocks": [1, 1, 1, 1]},
    {"num_decoder_blocks": [9, 3, 3, 1]},
]


@pytest.mark.parametrize("config", BAD_CONFIGS, ids=range(7))
def test_a_folder_that_cannot_be_a_decoder_is_refused_in_words(tmp_path, tiny, config):
    tiny.save_pretrained(tmp_path)
    file = tmp_path / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **config}))
    with pytest.raises(ValueError, match="it cannot be read: "):
        load_decoder(tmp_path)


def test_a_folder_of_nonsense_costs_no_picture_and_is_read_anew_when_it_changes(models_dir, tiny, caplog):
    expected = run(models_dir)
    folder = models_dir / "taesd"
    tiny.save_pretrained(folder)
    studio = Studio(
        Settings(models_dir=models_dir, model="model-a", outputs_dir=models_dir / "o", batch_size=2)
    )
    drawn = run(models_dir, studio=studio)
    assert drawn[0] == expected[0]
    assert drawn[1] != expected[1]
    config = (folder / "config.json").read_text()
    for text in (json.dumps({**json.loads(config), "act_fn": 3}), config[:-1] + ', "act_fn": 3}'):
        with (folder / "config.json").open("r+") as file:  # the folder itself stays as it is
            file.truncate()
            file.write(text)
        assert run(models_dir, studio=studio) == expected
    assert "taesd is not used for previews" in caplog.text
    save_file({"a": torch.zeros(1)}, folder / "diffusion_pytorch_model.safetensors")
    assert run(models_dir, studio=studio) == expected


def test_values_beyond_all_bounds_are_drawn_too(tmp_path, tiny):
    decoder = load_decoder(put_file(tmp_path, "taesd_decoder", tiny))
    latents = torch.full((1, 4, 4, 4), float("nan"))
    latents[0, 0] = 1e30
    (image,) = decode_latents(decoder, latents)
    assert isinstance(image, Image.Image)
