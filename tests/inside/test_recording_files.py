"""Recordings as files, the films of the last jobs in memory, and pictures recorded again."""

import json
import os
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load, save

from sd_app import Img2ImgRequest, Settings, Studio, Txt2ImgRequest, WalkRequest
from sd_app.metadata import png_bytes
from sd_app.probes import kept_recordings, recording_size
from sd_app.probes.kept_recordings import RecentRecordings, RecordingFolder
from sd_app.probes.recorder import sha256_of
from sd_app.probes.recording import Recording
from sd_app.probes.recording_file import load_recording, save_recording, to_tensors
from tests.conftest import make_checkpoint
from tests.test_denoise import PICTURE
from tests.test_observers import KINDS as REQUESTS
from tests.test_observers import RUN, open_studio

KINDS: dict[str, Any] = dict(REQUESTS)
ALONE = Txt2ImgRequest(prompt="a red cat, on the beach", negative_prompt="blue", **RUN)


@pytest.fixture
def studio(random_models, tmp_path) -> Studio:
    return open_studio(random_models, "model-a", tmp_path, cache_dir=tmp_path / "cache")


def same(a: Recording, b: Recording) -> bool:
    """Tell whether two recordings hold the same."""
    tensors, others = to_tensors(a), to_tensors(b)
    plain = ("request", "facts", "guided_calls", "shallow_calls", "picture_sha256", "texts", "notes")
    return (
        tensors.keys() == others.keys()
        and all(torch.equal(tensors[name], others[name]) for name in tensors)
        and all(getattr(a, name) == getattr(b, name) for name in plain)
    )


# -- the file


@pytest.mark.parametrize("kind", ["txt2img", "img2img", "inpaint", "blend"])
def test_a_file_gives_back_the_recording_and_an_equal_request(studio, kind):
    request = replace(KINDS[kind], num_images=1)
    recording = studio.record(request)
    (name,) = studio.recordings()
    read = studio.open_recording(name)
    assert same(recording, read)
    assert read.attention
    assert recording.attention
    assert read.attention.modules == recording.attention.modules
    assert read.features
    assert recording.features
    assert read.features.blocks == recording.features.blocks
    assert {field.name for field in fields(read.facts)} == {field.name for field in fields(recording.facts)}


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("txt2img", {}),
        ("txt2img", {"prompt": "a cat " * 50, "scheduler": "Heun", "guidance_end": 0.5}),
        ("txt2img", {"prompt": "a [cat:dog:0.5] AND a boat", "width": 128, "height": 72}),
        ("img2img", {"strength": 0.5}),
        ("inpaint", {}),
        ("blend", {}),
    ],
)
def test_the_size_told_before_the_first_step_is_the_files(studio, kind, changes):
    told: list[int] = []
    request = replace(KINDS[kind], **({} if kind == "blend" else {"num_images": 1}), **changes)
    studio.record(request, announce=told.append)
    (name,) = studio.recordings()
    size = (studio._recordings().folder / name).stat().st_size
    assert told == [pytest.approx(size, rel=0.05)]
    assert studio.recording_size(request) == told[0]
    assert studio.recording_size(request, attention=False, features=False) < size


@pytest.fixture
def file(studio, tmp_path) -> Path:
    path = tmp_path / "one.safetensors"
    save_recording(studio.record(ALONE, keep=False), path)
    return path


def edited(file: Path, change: Any) -> Path:
    """Write a recording anew with its tensors and metadata changed."""
    data = file.read_bytes()
    length = int.from_bytes(data[:8], "little")
    tensors, metadata = load(data), json.loads(data[8 : 8 + length])["__metadata__"]
    change(tensors, metadata)
    file.write_bytes(save(tensors, metadata))
    return file


def without_latents(tensors: dict[str, Any], metadata: dict[str, str]) -> None:
    del tensors["latents"]


def one_call_less(tensors: dict[str, Any], metadata: dict[str, str]) -> None:
    tensors["conditional"] = tensors["conditional"][1:].clone()


def other_facts(tensors: dict[str, Any], metadata: dict[str, str]) -> None:
    metadata["about"] = metadata["about"].replace('"prediction_type"', '"predicts"')


def strange_parameters(tensors: dict[str, Any], metadata: dict[str, str]) -> None:
    metadata["parameters"] += ", Unheard of: 7"


def calls_beyond(tensors: dict[str, Any], metadata: dict[str, str]) -> None:
    metadata["about"] = metadata["about"].replace('"guided_calls": [0,', '"guided_calls": [99,')


@pytest.mark.parametrize(
    "change", [without_latents, one_call_less, other_facts, strange_parameters, calls_beyond]
)
def test_a_file_whose_parts_do_not_belong_together_is_refused(file, change):
    with pytest.raises(ValueError, match=r"one.safetensors is a damaged recording \(record the picture"):
        load_recording(edited(file, change))


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.999])
def test_a_file_that_is_cut_off_is_refused(file, share):
    data = file.read_bytes()
    file.write_bytes(data[: int(share * len(data))])
    with pytest.raises(ValueError, match=r"is a damaged recording|is not a recording"):
        load_recording(file)


@pytest.mark.parametrize("data", [b"", b"hello", b"\xff" * 100, save({"a": torch.zeros(2)}), b"[" * 9000])
def test_what_is_no_recording_is_refused(tmp_path, data):
    path = tmp_path / "other.safetensors"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"other.safetensors is not a recording"):
        load_recording(path)
    with pytest.raises(ValueError, match=r"missing.safetensors cannot be read"):
        load_recording(tmp_path / "missing.safetensors")


def test_another_version_is_refused(file):
    def newer(tensors: dict[str, Any], metadata: dict[str, str]) -> None:
        metadata["version"] = "2"

    with pytest.raises(ValueError, match=r"is a recording of version 2, and this app reads version 1"):
        load_recording(edited(file, newer))


def test_a_recording_too_large_for_one_or_for_the_disk_is_refused_before_a_step(studio, monkeypatch):
    steps: list[int] = []

    def count(step: Any) -> None:
        steps.append(step.step)

    monkeypatch.setattr(recording_size, "MAX_BYTES", 10_000)
    with pytest.raises(ValueError, match=r"a recording may have at most 10 kB, and this one would have"):
        studio.record(ALONE, count)
    monkeypatch.undo()
    monkeypatch.setattr(recording_size, "SPARE_BYTES", 10**18)
    with pytest.raises(ValueError, match=r"the recording would have .* and its disk has .* left"):
        studio.record(ALONE, count)
    assert set(steps) <= {0}
    assert studio.recordings() == []


def test_a_file_that_cannot_be_written_costs_no_other(studio, monkeypatch):
    studio.record(ALONE)
    monkeypatch.setattr(kept_recordings, "save_recording", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        studio.record(ALONE)
    assert len(studio.recordings()) == 1


def test_the_oldest_recordings_go_when_they_are_too_many_bytes(studio, tmp_path):
    recording = studio.record(ALONE, keep=False)
    folder = RecordingFolder(tmp_path, max_bytes=0)
    first = folder.save(recording)
    assert folder.paths() == [first]  # the newest stays
    size = first.stat().st_size
    folder = RecordingFolder(tmp_path, max_bytes=2 * size + 100)
    for age, path in enumerate([folder.save(recording), folder.save(recording)]):
        os.utime(path, (1000 - age, 1000 - age))
    newest = folder.save(recording)
    assert len(folder.paths()) == 2
    assert folder.paths()[0] == newest
    assert same(folder.load(newest.name), recording)
    for name in ("../one.safetensors", "gone.safetensors", ""):
        with pytest.raises(ValueError, match="this recording is not kept any more"):
            folder.load(name)


def test_only_one_picture_is_recorded(studio):
    with pytest.raises(ValueError, match="num_images must be 1 to be recorded, got 2"):
        studio.record(replace(ALONE, num_images=2))
    walk = WalkRequest(a="cat", b="dog", prompt="a {}", **RUN)
    with pytest.raises(ValueError, match="this request makes several"):
        studio.record(walk)
    mask = Image.new("L", PICTURE.size)
    with pytest.raises(ValueError, match="there is nothing to record: The mask is empty"):
        studio.record(replace(KINDS["inpaint"], mask_image=mask))


# -- the films of the last jobs


@pytest.mark.parametrize("kind", KINDS)
def test_every_picture_made_has_its_film(studio, kind):
    result = getattr(studio, kind)(KINDS[kind], save=False)
    requests = [result.request_of(index) for index in range(len(result.images))]
    if kind == "blend":
        assert requests[0].prompt == KINDS[kind].blended_prompt
    if kind in ("walk", "plane"):
        prompts = [prompt for row in result.prompts for prompt in ([row] if isinstance(row, str) else row)]
        requests = [result.request.picture_of(prompt) for prompt in prompts]
    for request, image in zip(requests, result.images, strict=True):
        film = studio.film_of(request)
        assert film is not None
        assert film.picture_sha256 == sha256_of(image)
        assert film.attention is None
        assert film.features is None


def test_a_film_is_the_recordings_without_a_second_run(studio):
    result = studio.txt2img(ALONE, save=False)
    film, recording = studio.film_of(result.request_of(0)), studio.record(ALONE, keep=False)
    assert film
    for name in ("latents", "conditional", "unconditional", "sigmas", "timesteps", "noise"):
        assert torch.equal(getattr(film, name), getattr(recording, name))
    assert studio.film_of(replace(result.request_of(0), seed=6)) is None


def test_films_take_no_more_memory_than_they_may(studio):
    recording = studio.record(ALONE, keep=False)
    recent = RecentRecordings(max_bytes=3 * recording.num_bytes)
    for seed in range(5):
        recent.add(replace(recording, request=replace(recording.request, seed=seed)))
    assert len(recent) == 3
    assert recent.size_bytes == 3 * recording.num_bytes
    assert recent.find(replace(recording.request, seed=1)) is None
    assert recent.find(replace(recording.request, seed=4)) is not None
    few = RecentRecordings(most=2)
    for _ in range(5):
        few.add(recording)
    assert (len(few), few.size_bytes) == (2, 2 * recording.num_bytes)
    RecentRecordings(max_bytes=1).add(recording)  # one that is too large alone is let go


def test_of_two_pictures_of_one_request_the_latest_is_found(studio):
    recording = studio.record(ALONE, keep=False)
    recent = RecentRecordings()
    recent.add(recording)
    recent.add(latest := replace(recording, picture_sha256="1"))
    assert recent.find(recording.request) is latest


# -- recorded again


def test_a_saved_picture_is_recorded_again_and_is_the_same_to_the_byte(studio):
    path = studio.txt2img(ALONE).paths[0]
    again = studio.record_picture(path)
    assert again.is_identical
    assert again.sentence.startswith("The picture was made again and is the same to the byte")
    assert again.recording.request.prompt == ALONE.prompt
    assert len(studio.recordings()) == 1


def test_and_so_are_those_that_began_from_a_picture_which_has_to_be_given(studio, tmp_path):
    begun = replace(KINDS["img2img"], num_images=1)
    path = studio.img2img(begun).paths[0]
    with pytest.raises(ValueError, match=r"began from another picture, which its file does not hold"):
        studio.record_picture(path)
    start = tmp_path / "start.png"
    PICTURE.save(start)
    assert studio.record_picture(path, init_image=start).is_identical
    painted = studio.inpaint(KINDS["inpaint"])
    mask = KINDS["inpaint"].mask_image
    assert studio.record_picture(painted.paths[0], init_image=PICTURE, mask_image=mask).is_identical
    again = studio.record_again(painted.request_of(0), painted.images[0])
    assert again.is_identical


def test_why_a_picture_is_not_the_same_is_said(studio, tmp_path):
    result = studio.txt2img(ALONE)
    pixels = result.images[0].copy()
    pixels.putpixel((3, 4), (0, 255, 0))
    other = tmp_path / "other.png"
    other.write_bytes(png_bytes(pixels, result.infotexts[0]))
    again = studio.record_picture(other)
    assert not again.is_identical
    assert again.sentence.startswith("The picture made again is not the same to the byte: less than 0.1 %")
    assert "made on another device or in another format than float32 on cpu" in again.sentence
    foreign = result.infotexts[0].rsplit(", Version", 1)[0]
    other.write_bytes(png_bytes(pixels, f"{foreign}, Version: v1.9.0"))
    assert "It was made by another program" in studio.record_picture(other).sentence
    other.write_bytes(png_bytes(pixels.resize((32, 32)), result.infotexts[0]))
    assert "another size: 64x64 instead of 32x32" in studio.record_picture(other).sentence
    pixels.save(other, "JPEG")
    jpeg = other.rename(other.with_suffix(".jpg"))
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + result.infotexts[0].encode("utf-16-be")
    pixels.save(jpeg, exif=exif)
    assert "JPG files do not keep the pixels" in studio.record_picture(jpeg).sentence


def test_a_model_that_was_exchanged_is_said_and_one_that_is_gone_too(random_models, tmp_path):
    folder = tmp_path / "models" / "mine"
    make_checkpoint(folder, seed=11)
    studio = Studio(
        Settings(models_dir=tmp_path / "models", model="mine", outputs_dir=tmp_path, device="cpu")
    )
    path = studio.txt2img(ALONE).paths[0]
    studio.unload()
    make_checkpoint(folder, seed=12)
    for weights in folder.rglob("*.safetensors"):
        os.utime(weights, (path.stat().st_mtime + 60,) * 2)
    again = studio.record_picture(path, keep=False)
    assert not again.is_identical
    assert "The file of the model mine is younger than the picture" in again.sentence
    folder.rename(folder.with_name("yours"))
    with pytest.raises(ValueError, match="model must be one of"):
        studio.record_picture(path)


def test_a_picture_without_parameters_is_refused(studio, tmp_path):
    path = tmp_path / "plain.png"
    PICTURE.save(path)
    with pytest.raises(ValueError, match=r"plain.png holds no parameters, so it cannot be made again"):
        studio.record_picture(path)


def test_an_image_to_image_request_is_recorded_with_its_picture(studio):
    request = Img2ImgRequest(prompt="a", init_image=PICTURE, **RUN)
    recording = studio.record(request)
    read = studio.open_recording(studio.recordings()[0])
    assert isinstance(read.request, Img2ImgRequest)
    assert read.request == recording.request
