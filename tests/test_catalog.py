import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from sd_app import Settings, Studio, catalog
from sd_app.addons import describe_addon
from sd_app.catalog import find_model, is_hub_id, list_models
from sd_app.checkpoints import file_facts, header_cache
from sd_app.checkpoints.folders import why_unusable
from sd_app.checkpoints.model_info import LATENT_RGB
from sd_app.schedulers import SCHEDULERS
from sd_app.settings import EMBEDDED_DIR
from tests.checkpoint_files import original_shapes, write_hollow
from tests.limits import within_cpu_seconds

pytestmark = pytest.mark.usefixtures("without_embedded")


def at(folder, model="model-a") -> Settings:
    return Settings(models_dir=folder, model=model, cache_dir=folder / ".cache")


def edit(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_the_default_model_comes_first_then_the_others_by_name(random_models):
    assert [info.name for info in list_models(at(random_models, "model-b"))] == [
        "model-b",
        "model-a",
        "model-v",
    ]
    assert find_model(at(random_models, "model-b"), None).name == "model-b"


def test_the_embedded_model_is_listed_whatever_the_models_folder_is(random_models, monkeypatch):
    monkeypatch.setattr(catalog, "EMBEDDED_DIR", EMBEDDED_DIR)
    assert [info.name for info in list_models(at(random_models))] == [
        "model-a",
        "model-b",
        "model-v",
        "tiny-sd",
    ]
    assert find_model(at(random_models / "none", "tiny-sd"), None).path == EMBEDDED_DIR / "tiny-sd"


def test_a_folder_of_the_users_goes_before_the_embedded_one_of_its_name(copied_model, monkeypatch):
    monkeypatch.setattr(catalog, "EMBEDDED_DIR", EMBEDDED_DIR)
    mine = copied_model.rename(copied_model.with_name("tiny-sd"))
    assert [info.path for info in list_models(at(mine.parent))] == [mine]


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


def test_of_many_models_the_nearest_are_named(copied_model, sd1_file):
    folder = copied_model.parent
    for number in range(20):
        (folder / f"other {number}.safetensors").symlink_to(sd1_file)
    (folder / "watercolour.safetensors").symlink_to(sd1_file)
    with pytest.raises(ValueError, match=r"model must be one of: watercolour, .* and 14 more; got") as caught:
        find_model(at(folder), "watercolor")
    assert str(caught.value).count(",") == 7
    with pytest.raises(ValueError, match=r"one of: model-a, other 0, .* and 14 more; got 'zzz'"):
        find_model(at(folder), "zzz")


def unreadable(file: Path, monkeypatch) -> Path:
    """Have the system refuse to open a file, as it does to those who may not read it."""
    open_any = Path.open

    def open_others(path: Path, *args, **kwargs):
        if path == file:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return open_any(path, *args, **kwargs)

    file.parent.mkdir(exist_ok=True)
    file.touch()
    monkeypatch.setattr(Path, "open", open_others)
    return file


def test_a_file_that_may_not_be_read_is_said_without_its_folder(tmp_path, monkeypatch):
    unreadable(tmp_path / "style.safetensors", monkeypatch)
    with pytest.raises(ValueError, match=r"style.safetensors cannot be used: Permission denied\)"):
        find_model(at(tmp_path), "style")
    unreadable(tmp_path / "loras/style.safetensors", monkeypatch)
    assert describe_addon(at(tmp_path), "<lora:style:1>").reason == "Permission denied"


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
        ("model_index.json", {"tokenizer": ["my_code", "Mine"]}, "its tokenizer needs code of its own"),
        ("unet/config.json", {"in_channels": 7}, "its U-Net takes 7 channels"),
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


def test_a_missing_models_folder_is_an_empty_list(tmp_path):
    assert list_models(at(tmp_path / "none")) == []
    with pytest.raises(ValueError, match="one of: none yet; got 'model-a'"):
        find_model(at(tmp_path / "none"), None)


def test_hub_ids_are_told_from_names():
    assert is_hub_id("owner/name")
    assert not any(is_hub_id(name) for name in ("name", "/name", "owner/", "a/b/c", "./a", "../a"))


def test_a_hub_id_is_allowed_only_when_the_owner_gave_it(random_models):
    assert find_model(at(random_models, "owner/name"), "owner/name").kind == "hub"
    with pytest.raises(ValueError, match="download it first, python -m sd_app download other/name"):
        find_model(at(random_models, "owner/name"), "other/name")


@pytest.fixture(scope="session")
def sd1_file(tmp_path_factory):
    """A file with the header of a whole Stable Diffusion 1 checkpoint and no weights in it."""
    return write_hollow(tmp_path_factory.mktemp("hollow") / "sd1.safetensors", original_shapes("sd1"))


@pytest.mark.parametrize(
    ("family", "in_channels", "side", "gigabytes"),
    [("sd1", 4, 512, 2.13), ("sd1", 9, 512, 2.13), ("sd2", 4, 768, 2.58), ("sd2", 9, 512, 2.58)],
)
def test_a_file_is_typed_by_its_tensors(tmp_path, family, in_channels, side, gigabytes):
    path = tmp_path / "My model v1.2.safetensors"
    write_hollow(path, original_shapes(family, in_channels=in_channels))
    (info,) = list_models(at(tmp_path))
    assert (info.name, info.title, info.kind, info.path) == ("My model v1.2", info.name, "file", path)
    assert (info.family, info.native_size, info.only_inpaints) == (family, side, in_channels == 9)
    assert info.size_bytes / 1e9 == pytest.approx(gigabytes, abs=0.01)
    assert info.latent_rgb == LATENT_RGB[0.18215]


def test_a_file_may_be_named_with_its_ending(sd1_file):
    for name in ("sd1", "sd1.safetensors"):
        settings = at(sd1_file.parent, name)
        assert find_model(settings, None) == find_model(settings, "sd1") == list_models(settings)[0]
    with pytest.raises(ValueError, match="model must be one of: sd1"):
        find_model(at(sd1_file.parent), "sd1.ckpt")


def test_what_the_owner_writes_beside_a_file_goes_first(sd1_file, tmp_path):
    (tmp_path / "mine.safetensors").symlink_to(sd1_file)
    assert find_model(at(tmp_path), "mine").note == ""
    words = {
        "title": "Mine",
        "native_size": 640,
        "default_steps": 9,
        "note": "For cats.",
        "weight": 1,
    }
    (tmp_path / "mine.json").write_text(json.dumps(words))
    info = find_model(at(tmp_path), "mine")
    assert (info.title, info.native_size, info.default_steps, info.note) == ("Mine", 640, 9, "For cats.")


SIZE = "The native_size in {} is not read: it must be a number of pixels."


@pytest.mark.parametrize(
    ("name", "content", "note"),
    [
        ("mine.json", b'{"native_size": "big"}', SIZE.format("mine.json beside it")),
        ("mine.json", b'{"native_size": 1e999}', SIZE.format("mine.json beside it")),
        (
            "mine.json",
            b'{"prediction_type": "x"}',
            "prediction_type in mine.json beside it is not read: it must be epsilon or v_prediction.",
        ),
        ("mine.json", b"{", "mine.json beside it is not read: it is not JSON."),
        ("mine.json", b"", "mine.json beside it is not read: it is not JSON."),
        ("mine.json", b"[1]", "mine.json beside it is not read: it holds no JSON object."),
        ("mine.json", b"[" * 200_000, "mine.json beside it is not read: it is not JSON."),
        ("mine.json", b" " * 1_000_001, "mine.json beside it is not read: it is larger than 1 MB."),
        ("mine.json", b'\xef\xbb\xbf{"note": "Schoen."}', "Schoen."),
        ("mine.json", '{"note": "Schön."}'.encode("cp1252"), "Schön."),
        ("mine.json", '{"note": "Schön."}'.encode("utf-16"), "Schön."),
        ("mine.yaml", b"a: [", "mine.yaml beside it is not read: it is not YAML."),
        ("mine.yaml", b"a: !!python/name:os.system", "mine.yaml beside it is not read: it is not YAML."),
        ("mine.yaml", b"", ""),
        ("mine.civitai.info", b"\xff{", ""),
    ],
    ids=range(15),
)
def test_whatever_lies_beside_a_file_is_no_reason_not_to_list_it(sd1_file, tmp_path, name, content, note):
    (tmp_path / "mine.safetensors").symlink_to(sd1_file)
    (tmp_path / name).write_bytes(content)
    (info,) = list_models(at(tmp_path))
    assert (info.native_size, info.note) == (512, note)


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ('{"native_size": "big", "title": "Mine"}', SIZE.format("its studio.json")),
        ('{"native_size": Infinity, "title": "Mine"}', SIZE.format("its studio.json")),
        (
            '{"latent_rgb": {"factors": [[1, 2]], "bias": []}, "title": "Mine"}',
            "The latent_rgb in its studio.json is not read:"
            " it must be an object with 4 rows of 3 factors and a bias of 3.",
        ),
    ],
)
def test_a_wrong_value_in_studio_json_costs_that_value(copied_model, text, note):
    (copied_model / "studio.json").write_text(text)
    (info,) = list_models(at(copied_model.parent))
    assert (info.title, info.native_size, info.note) == ("Mine", 64, note)


def test_a_folder_and_a_file_of_one_name_are_both_there(copied_model, sd1_file):
    folder = copied_model.parent
    (folder / "model-a.safetensors").symlink_to(sd1_file)
    assert [info.name for info in list_models(at(folder))] == ["model-a", "model-a.safetensors"]
    assert find_model(at(folder), "model-a").kind == "folder"
    assert find_model(at(folder), "model-a.safetensors").kind == "file"


def test_files_that_differ_in_the_case_of_their_ending_are_both_there(sd1_file, tmp_path):
    for name in ("a.safetensors", "a.SAFETENSORS"):
        (tmp_path / name).symlink_to(sd1_file)
    assert {info.name for info in list_models(at(tmp_path))} == {"a.safetensors", "a.SAFETENSORS"}


def restart() -> None:
    """Forget what headers have told, as a new start does."""
    for remembered in (header_cache.open_header_cache, file_facts._inspect, file_facts._names_unet):
        remembered.cache_clear()


def test_the_next_start_reads_only_the_headers_that_have_changed(sd1_file, tmp_path, monkeypatch):
    for number in range(header_cache.WORTH):
        os.link(sd1_file, tmp_path / f"{number}.safetensors")
    models = list_models(at(tmp_path))
    assert len(models) == header_cache.WORTH
    (tmp_path / "7.json").write_text('{"native_size": 640}')
    (tmp_path / "8.safetensors").unlink()
    write_hollow(tmp_path / "9.safetensors.new", original_shapes("sd1", in_channels=9)).replace(
        tmp_path / "9.safetensors"
    )
    restart()
    read: list[str] = []
    describe = file_facts.describe

    def counted(path: Path, *args: Any) -> file_facts.FileFacts:
        read.append(path.stem)
        return describe(path, *args)

    monkeypatch.setattr(file_facts, "describe", counted)
    again = {info.name: info for info in list_models(at(tmp_path))}
    assert sorted(read) == ["7", "9"]
    assert again["7"].native_size == 640
    assert again["9"].only_inpaints
    assert "8" not in again
    same = [info for info in models if info.name not in ("7", "8", "9")]
    assert [again[info.name] for info in same] == same


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"code": 1}', None])
def test_damaged_notes_are_made_anew(sd1_file, tmp_path, content):
    (tmp_path / ".cache").mkdir()
    for number in range(header_cache.WORTH):
        os.link(sd1_file, tmp_path / f"{number}.safetensors")
    if content is None:
        content = json.dumps({"code": header_cache._code(), "files": {"x": [[1], {"family": 2}]}}).encode()
    (tmp_path / ".cache" / header_cache.NAME).write_bytes(content)
    restart()
    assert len(list_models(at(tmp_path))) == header_cache.WORTH
    restart()
    assert len(header_cache.open_header_cache(tmp_path / ".cache")._found) == header_cache.WORTH


def test_a_link_that_leads_in_a_circle_hides_nothing_else(copied_model, sd1_file):
    folder = copied_model.parent
    for name, target in (("one", "two"), ("two", "one"), ("self", "self"), ("home", ".")):
        (folder / name).symlink_to(target)
    (folder / "loop.safetensors").symlink_to("loop.safetensors")
    (folder / "gone.safetensors").symlink_to("nothing")
    (folder / "good.safetensors").symlink_to(sd1_file)
    assert [info.name for info in list_models(at(folder))] == ["model-a", "good"]
    for name in ("loop", "gone"):
        with pytest.raises(ValueError, match=rf"{name}.safetensors cannot be used: it is a broken link"):
            find_model(at(folder), name)


def test_a_folder_whose_weights_are_a_dead_link_hides_nothing_else(copied_model, sd1_file):
    weights = copied_model / "unet/diffusion_pytorch_model.safetensors"
    weights.unlink()
    weights.symlink_to("nowhere")
    (copied_model.parent / "good.safetensors").symlink_to(sd1_file)
    assert [info.name for info in list_models(at(copied_model.parent))] == ["good"]
    assert "its unet holds no .safetensors" in why_unusable(copied_model)


def test_a_file_that_cannot_be_used_is_not_listed_and_says_why(tmp_path):
    (tmp_path / "style.safetensors").write_bytes(b"x")
    assert list_models(at(tmp_path)) == []
    for name in ("style", "style.safetensors"):
        with pytest.raises(ValueError, match=r"style.safetensors cannot be used: it is cut off"):
            find_model(at(tmp_path), name)


def test_a_changed_file_is_looked_at_again(sd1_file, tmp_path):
    path = tmp_path / "a.safetensors"
    with sd1_file.open("rb") as file:
        path.write_bytes(file.read(1000))
    assert list_models(at(tmp_path)) == []
    path.unlink()
    path.symlink_to(sd1_file)
    assert len(list_models(at(tmp_path))) == 1
    path.unlink()
    write_hollow(path, original_shapes("sd1", in_channels=9))
    assert list_models(at(tmp_path))[0].only_inpaints


@pytest.mark.parametrize(
    ("kind", "count"), [("empty files", 5000), ("LoRA files", 5000), ("checkpoints", 500)]
)
def test_a_folder_with_thousands_of_files_is_listed_quickly(copied_model, sd1_file, kind, count):
    """A file that has not changed is not opened again, whatever it is."""
    folder = copied_model.parent
    lora = {f"lora_unet_block_{n}.lora_{end}.weight": (4, 320) for n in range(264) for end in ("up", "down")}
    write_hollow(folder.parent / "lora", lora)
    for number in range(count):
        path = folder / f"{number}.safetensors"
        if kind == "empty files":
            path.touch()
        else:
            os.link(sd1_file if kind == "checkpoints" else folder.parent / "lora", path)
    expected = count + 1 if kind == "checkpoints" else 1
    assert len(list_models(at(folder))) == expected
    assert len(within_cpu_seconds(5, lambda: list_models(at(folder)))) == expected


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("model_index.json", '{"_class_name": "StableDiffusionPipeline", "unet": []}'),
        ("text_encoder/model.safetensors.index.json", '{"weight_map": [1]}'),
        ("text_encoder/model.safetensors.index.json", '{"weight_map": {"a": [1]}}'),
        ("text_encoder/model.safetensors.index.json", '{"weight_map": {"a": "%s"}}' % ("a" * 5000)),
        ("text_encoder/model.safetensors.index.json", '{"weight_map": {"a": "pytorch_model.bin"}}'),
        ("text_encoder/model.safetensors.index.json", '{"weight_map": {"a": "../unet/x.safetensors"}}'),
        ("unet/config.json", '{"sample_size": Infinity}'),
        ("vae/config.json", '{"block_out_channels": 5}'),
    ],
)
def test_a_folder_of_odd_values_takes_no_other_model_down_and_says_why(
    random_models, copied_model, file, text
):
    (copied_model.parent / "model-b").symlink_to(random_models / "model-b")
    (copied_model / file).write_text(text)
    assert [info.name for info in list_models(at(copied_model.parent))] == ["model-b"]
    assert why_unusable(copied_model)
    with pytest.raises(ValueError, match="model-a cannot be used"):
        find_model(at(copied_model.parent), "model-a")


def test_names_that_are_no_text_or_no_file_of_the_folder_are_left_alone(copied_model):
    folder = copied_model.parent
    os.symlink(copied_model, os.fsencode(folder) + b"/odd-\xff")  # noqa: PTH211 - a Path cannot hold that name
    assert [info.name for info in list_models(at(folder))] == ["model-a"]
    for name in ("..", ".", "a" * 499, "é" * 200, "\udcff"):
        with pytest.raises(ValueError, match="model must be one of: model-a"):
            find_model(at(folder), name)


def test_a_visitor_is_not_told_where_the_owners_model_lies(tmp_path):
    settings = Settings(models_dir=tmp_path, model=str(tmp_path / "gone"), mode="shared")
    with pytest.raises(ValueError, match="gone cannot be used") as caught:
        find_model(settings, None)
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("side", ["64", [64]])
def test_odd_values_of_a_download_that_has_begun_leave_the_list_alone(tmp_path, monkeypatch, side):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    repo, commit = tmp_path / "hub/models--owner--begun", "a" * 40
    for path, text in (
        ("refs/main", commit),
        (f"snapshots/{commit}/unet/config.json", json.dumps({"sample_size": side})),
    ):
        (repo / path).parent.mkdir(parents=True)
        (repo / path).write_text(text)
    settings = Settings(models_dir=tmp_path, model="owner/begun")
    assert [(info.name, info.native_size) for info in list_models(settings)] == [("owner/begun", 512)]
