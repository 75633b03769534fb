"""What the VAE loses of any picture, with a recording and without one."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sd_app import InsideRequest, Studio
from sd_app.generation.vae import encode_image, round_trip
from sd_app.inside import vae_loss as module
from sd_app.inside.vae_loss import MOST_PIXELS, prepare, vae_loss
from sd_app.inside.vae_panel import make_vae
from sd_app.pictures.likeness import KINDS, psnr, ssim
from tests.inside.test_word_effects import ALONE, look_at
from tests.photos import take_photo
from tests.test_denoise import PICTURE
from tests.test_observers import KINDS as REQUESTS
from tests.test_observers import open_studio

REQUEST: dict[str, Any] = dict(REQUESTS)


@pytest.fixture(scope="module")
def shared(random_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Studio:
    folder = tmp_path_factory.mktemp("out")
    return open_studio(random_models, "model-a", folder, cache_dir=folder / "cache")


def test_the_studio_takes_a_file_or_a_picture_and_any_model(shared, tmp_path):
    path = tmp_path / "one.png"
    PICTURE.save(path)
    [of_file, of_picture, of_other] = [
        shared.vae_loss(path),
        shared.vae_loss(PICTURE),
        shared.vae_loss(PICTURE, model="model-b"),
    ]
    assert of_file.back.tobytes() == of_picture.back.tobytes() != of_other.back.tobytes()
    assert of_other.model == "model-b"
    with pytest.raises(ValueError, match="model must be one of"):
        shared.vae_loss(PICTURE, model="nobody")


def test_it_is_the_vaes_round_trip_and_its_measures(shared):
    loss = vae_loss(shared._ready_manager(), PICTURE)
    with shared._ready_manager().pipeline("model-a", "DDIM") as pipe:
        assert loss.back.tobytes() == round_trip(pipe, PICTURE).tobytes()
    assert loss.original.tobytes() == PICTURE.tobytes()
    assert loss.notes == ()
    apart = np.abs(np.asarray(PICTURE, int) - np.asarray(loss.back, int))
    assert (loss.psnr, loss.ssim) == (psnr(PICTURE, loss.back), ssim(PICTURE, loss.back))
    assert loss.largest == apart.max()
    assert apart[loss.largest_at].max() == apart.max()
    assert np.array_equal(np.asarray(loss.times_ten), np.clip(10 * apart, 0, 255))
    assert loss.cells.shape == (9, 8)
    assert loss.cells[1, 2] == pytest.approx(np.sqrt(np.square(apart[8:16, 16:24]).mean()))
    assert f"PSNR {loss.psnr:.1f} dB, SSIM {loss.ssim:.3f}" in loss.sentences[0]


def test_a_vae_that_gives_the_picture_back_loses_nothing(shared, monkeypatch):
    monkeypatch.setattr(module, "round_trip", lambda pipe, image: image)
    loss = vae_loss(shared._ready_manager(), PICTURE)
    assert loss.psnr == float("inf")
    assert loss.ssim == pytest.approx(1)
    assert loss.sentences == ["Nothing is lost: the picture comes back the same to the byte."]
    assert not any(each.loss_share for each in loss.by_kind.values())


def test_what_a_vae_loses_lies_at_the_edges_of_the_embedded_models_pictures(studio):
    """The embedded VAE was trained; flat areas come back nearly as they were."""
    image = Image.new("RGB", (128, 128), (120, 180, 230))
    image.paste((40, 130, 60), (32, 40, 96, 100))
    loss = vae_loss(studio._ready_manager(), image)
    flat, edge, _ = (loss.by_kind[kind] for kind in KINDS)
    assert flat.share > 0.6
    assert edge.density > 3 * flat.density
    assert loss.psnr > 20
    assert loss.ssim > 0.8


@pytest.mark.parametrize(
    ("size", "expected", "notes"),
    [
        ((72, 64), (72, 64), 0),
        ((77, 65), (72, 64), 1),
        ((17, 16), (16, 16), 1),
        ((3000, 2000), (1248, 832), 2),
    ],
)
def test_a_picture_is_brought_to_whole_cells_and_this_is_said(size, expected, notes):
    made, said = prepare(Image.new("RGB", size))
    assert made.size == expected
    assert made.width * made.height <= MOST_PIXELS
    assert len(said) == notes


def test_a_picture_that_is_only_cut_keeps_its_pixels():
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (66, 75, 3), np.uint8))
    made, said = prepare(image)
    assert made.tobytes() == image.crop((1, 1, 73, 65)).tobytes()
    assert said == ("Its middle of 72x64 pixels was taken, since the VAE reads whole cells of 8.",)


@pytest.mark.parametrize("size", [(15, 64), (64, 1), (200_000, 16)])
def test_a_picture_without_room_is_refused_in_words(size):
    with pytest.raises(ValueError, match=r"the picture must (have at least 16x16|be less long and narrow)"):
        prepare(Image.new("RGB", size))


@pytest.mark.parametrize("mode", ["L", "1", "P"])
def test_other_colours_are_read_as_rgb(shared, mode):
    loss = vae_loss(shared._ready_manager(), PICTURE.convert(mode))
    assert loss.original.mode == "RGB"


def test_without_a_recording_a_photo_and_a_picture_of_a_model_that_is_gone_are_shown(shared, tmp_path):
    path = take_photo(tmp_path / "photo.jpg", 300, 200)
    result = shared.inside(InsideRequest(picture=path, panels=("vae", "latents")))
    assert result.is_identical is None
    vae, latents = sorted(result.panels, key=lambda panel: panel.name != "vae")
    assert latents.why_not.startswith("photo.jpg holds no parameters")
    assert not vae.why_not
    assert set(vae.files) == {"vae-picture.png", "vae-loss.csv", "vae.npz"}
    assert "296x200" in vae.said[0]


def test_of_a_recording_it_shows_the_start_picture_and_the_finished_one(shared):
    look = look_at(shared, replace(REQUEST["inpaint"], height=PICTURE.height))
    made = make_vae(look)
    assert set(made.pictures) == {"start", "finished"}
    assert made.tables["loss"][0][0] == "picture"
    start = vae_loss(shared._ready_manager(), PICTURE)
    row = dict(zip(made.tables["loss"][0], made.tables["loss"][1], strict=True))
    assert (row["picture"], row["psnr_db"], row["ssim"]) == ("start", start.psnr, start.ssim)
    alone = make_vae(look_at(shared, ALONE))
    assert set(alone.pictures) == {"finished"}
    assert alone.said[-1] == "It came out of this decoder itself: a photo or a drawing loses more."


def test_the_models_own_latents_are_those_of_the_start(shared):
    """What is sent through is what img2img encodes, pixel for pixel."""
    look = look_at(shared, REQUEST["inpaint"])
    start = module.placed_start(look)
    assert start is not None
    assert look.recording.original is not None
    with look.pipe() as pipe:
        assert torch.equal(encode_image(pipe, start)[0], look.recording.original)
