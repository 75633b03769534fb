import json
import time

import pytest

from sd_app import Settings, Studio
from sd_app.catalog import LATENT_RGB, find_model, is_hub_id, list_models, why_unusable
from sd_app.schedulers import SCHEDULERS


def at(folder, model="model-a") -> Settings:
    return Settings(models_dir=folder, model=model)


def edit(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_the_default_model_comes_first_then_the_others_by_name(random_models):
    assert [info.name for info in list_models(at(random_models, "model-b"))] == [
        "model-b",
        "model-a",
        "model-v",
    ]
    assert find_model(at(random_models, "model-b"), None).name == "model-b"


def test_the_embedded_model_is_described_by_its_own_file():
    info = Studio().models()[0]
    assert (info.name, info.kind, info.native_size) == ("tiny-sd", "folder", 128)
    assert info.default_scheduler in SCHEDULERS
    assert info.example_prompts
    assert 1e7 < info.size_bytes < 6e7
    assert info.latent_rgb is not None


def test_a_folder_that_says_nothing_gets_what_its_configuration_implies(copied_model):
    (copied_model / "studio.json").unlink()
    edit(copied_model / "unet/config.json", sample_size=64)
    edit(copied_model / "vae/config.json", scaling_factor=0.18215)
    info = find_model(at(copied_model.parent), "model-a")
    assert (info.native_size, info.default_steps, info.default_guidance_scale) == (512, 25, 7.5)
    assert info.default_scheduler == "DPM++ 2M Karras"
    assert info.latent_rgb == LATENT_RGB[0.18215]


def test_the_map_to_rgb_is_chosen_by_the_scaling_factor_or_left_out(copied_model):
    edit(copied_model / "vae/config.json", scaling_factor=0.5)
    assert find_model(at(copied_model.parent), "model-a").latent_rgb is None
    edit(copied_model / "studio.json", latent_rgb={"factors": [[1, 0, 0]] * 4, "bias": [0, 0, 0.5]})
    assert find_model(at(copied_model.parent), "model-a").latent_rgb == (((1, 0, 0),) * 4, (0, 0, 0.5))


def test_an_unknown_name_lists_what_there_is(random_models):
    with pytest.raises(ValueError, match="model must be one of: model-a, model-b, model-v; got 'sd-9'"):
        find_model(at(random_models), "sd-9")


@pytest.mark.parametrize(
    "name", ["../models/model-a", "model-a/", "/etc", "..", ".", "", "a/b/c", "./model-a"]
)
def test_a_name_is_never_a_path(random_models, name):
    with pytest.raises(ValueError, match="model must be one of"):
        find_model(at(random_models), name)


@pytest.mark.parametrize("suffix", [".ckpt", ".pt", ".bin"])
@pytest.mark.parametrize("typed", ["old", "old{}"])
def test_a_pickle_is_refused_with_the_way_to_convert_it(tmp_path, suffix, typed):
    (tmp_path / f"old{suffix}").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"is refused: reading it can run code.*from_single_file\(\"old"):
        find_model(at(tmp_path), typed.format(suffix))


def test_a_folder_of_pickles_is_not_listed_and_says_why(copied_model):
    weights = copied_model / "unet/diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    assert list_models(at(copied_model.parent)) == []
    with pytest.raises(ValueError, match=r"its unet holds no .safetensors.*from_pretrained\(\"model-a\"\)"):
        find_model(at(copied_model.parent), "model-a")


@pytest.mark.parametrize(
    ("file", "values", "reason"),
    [
        ("model_index.json", {"_class_name": "FluxPipeline"}, "it is a FluxPipeline"),
        ("model_index.json", {"unet": ["my_code", "MyUNet"]}, "its unet needs code of its own"),
        ("model_index.json", {"tokenizer": None}, "its tokenizer needs code of its own"),
        ("unet/config.json", {"in_channels": 7}, "its U-Net takes 7 channels"),
        ("studio.json", {"native_size": "big"}, "studio.json or config.json is wrong"),
        ("studio.json", {"latent_rgb": {"factors": [[1, 2]], "bias": []}}, "4 rows of 3 factors"),
    ],
)
def test_what_cannot_be_used_is_not_listed_and_says_why(copied_model, file, values, reason):
    edit(copied_model / file, **values)
    assert reason in why_unusable(copied_model)
    assert list_models(at(copied_model.parent)) == []


def test_broken_json_hides_one_model_only(copied_model, random_models):
    (copied_model / "model_index.json").write_text("{")
    assert "not a diffusers folder" in why_unusable(copied_model)
    assert list_models(at(copied_model.parent)) == []


def test_single_files_are_not_offered_before_they_can_be_loaded(tmp_path):
    (tmp_path / "photo.safetensors").write_bytes(b"x")
    assert list_models(at(tmp_path)) == []
    with pytest.raises(ValueError, match="single file; use a diffusers folder"):
        find_model(at(tmp_path), "photo")


def test_a_missing_models_folder_is_an_empty_list(tmp_path):
    assert list_models(at(tmp_path / "none")) == []
    with pytest.raises(ValueError, match="one of: none yet; got 'model-a'"):
        find_model(at(tmp_path / "none"), None)


def test_hub_ids_are_told_from_names():
    assert is_hub_id("owner/name")
    assert not any(is_hub_id(name) for name in ("name", "/name", "owner/", "a/b/c", "./a", "../a"))


def test_a_hub_id_is_allowed_only_when_the_owner_gave_it(random_models):
    assert find_model(at(random_models, "owner/name"), "owner/name").kind == "hub"
    with pytest.raises(ValueError, match="must be given at start: --model other/name"):
        find_model(at(random_models, "owner/name"), "other/name")


def test_a_folder_with_thousands_of_files_is_listed_quickly(copied_model):
    folder = copied_model.parent
    for number in range(5000):
        (folder / f"{number}.safetensors").touch()
    started = time.perf_counter()
    assert len(list_models(at(folder))) == 1
    print(f"5,000 files listed in {1000 * (time.perf_counter() - started):.1f} ms")
