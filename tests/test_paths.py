"""Models by path: given at start by the owner, never by the page or an API."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import app
from sd_app import Settings, Studio, Txt2ImgRequest, cli
from sd_app.metadata import read_infotext
from sd_app.settings import is_path
from tests.checkpoint_files import original_shapes, write_hollow

pytestmark = pytest.mark.usefixtures("without_embedded")


@pytest.fixture
def folder(random_models: Path, tmp_path: Path) -> Path:
    """model-b under another name, in no models folder."""
    return Path(shutil.copytree(random_models / "model-b", tmp_path / "elsewhere" / "mine"))


@pytest.mark.parametrize("text", ["/a", "./a", "../a", "~/a", ".", "a/b/c", "models/a.safetensors", "./a/b"])
def test_paths_are_told_from_names(text: str) -> None:
    assert is_path(text)


@pytest.mark.parametrize(
    "text", ["tiny-sd", "a.safetensors", "owner/name", "owner/name-v1.5", "My model v1.2"]
)
def test_names_and_hub_ids_are_no_paths(text: str) -> None:
    assert not is_path(text)


def test_a_folder_given_by_path_is_the_default_and_goes_by_its_name(folder, random_models, tmp_path):
    studio = Studio(Settings(models_dir=random_models, model=str(folder), outputs_dir=tmp_path))
    assert [info.name for info in studio.models()] == ["mine", "model-a", "model-b", "model-v"]
    request = Txt2ImgRequest(prompt="a", seed=3, num_inference_steps=2)
    mine = studio.txt2img(request, save=False)
    assert mine.request.model == "mine"
    assert str(folder) not in mine.infotexts[0]
    same = studio.txt2img(replace(request, model="model-b"), save=False)
    assert mine.images[0].tobytes() == same.images[0].tobytes()


def test_the_path_itself_is_no_name_a_request_may_use(folder, random_models):
    studio = Studio(Settings(models_dir=random_models, model=str(folder)))
    with pytest.raises(ValueError, match="model must be one of: mine, model-a"):
        studio.txt2img(Txt2ImgRequest(prompt="a", model=str(folder)))


def test_a_relative_path_holds_from_where_the_app_was_started(folder, monkeypatch, tmp_path):
    monkeypatch.chdir(folder.parent)
    settings = Settings(models_dir=tmp_path / "none", model="./mine")
    monkeypatch.chdir(tmp_path)
    assert Studio(settings).models()[0].path == folder


def test_a_file_given_by_path_is_typed_by_its_tensors(tmp_path):
    (tmp_path / "far").mkdir()
    path = write_hollow(tmp_path / "far" / "big.safetensors", original_shapes("sd2"))
    info = Studio(Settings(models_dir=tmp_path / "none", model=str(path))).models()[0]
    assert (info.name, info.kind, info.family, info.native_size) == ("big", "file", "sd2", 768)


def test_a_path_into_the_models_folder_is_listed_once(random_models):
    studio = Studio(Settings(models_dir=random_models, model=str(random_models / "model-b")))
    assert [info.name for info in studio.models()] == ["model-b", "model-a", "model-v"]
    assert studio.find_model().name == "model-b"


def test_a_name_that_is_taken_is_told_apart(folder, random_models):
    there = folder.rename(folder.with_name("model-a"))
    studio = Studio(Settings(models_dir=random_models, model=str(there)))
    assert [info.name for info in studio.models()][:2] == ["model-a (elsewhere)", "model-a"]
    assert studio.find_model("model-a").path == random_models / "model-a"


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda path: shutil.rmtree(path), "there is no such folder or .safetensors file"),
        (lambda path: (path / "model_index.json").unlink(), "no readable model_index.json"),
        (lambda path: (path / "unet/diffusion_pytorch_model.safetensors").unlink(), "its unet holds no"),
    ],
)
def test_a_wrong_path_is_said_before_the_page_opens(folder, spoil, reason, capsys):
    spoil(folder)
    with pytest.raises(ValueError, match=f"model {folder} cannot be used: .*{reason}"):
        Studio(Settings(model=str(folder))).find_model()
    with pytest.raises(SystemExit):
        app.main(["--model", str(folder)])
    assert reason in capsys.readouterr().err


def test_a_pickle_by_path_is_refused(tmp_path):
    (tmp_path / "old.ckpt").write_bytes(b"x")
    with pytest.raises(ValueError, match="reading it can run code"):
        Studio(Settings(model=str(tmp_path / "old.ckpt"))).find_model()


def test_the_command_line_takes_a_path(folder, tmp_path, capsys):
    output = tmp_path / "out.png"
    code = cli.main(["txt2img", "a cat", "--model", str(folder), "--steps", "1", "-o", str(output)])
    assert code == 0, capsys.readouterr().err
    infotext = read_infotext(output) or ""
    assert "Model: mine" in infotext
    assert str(tmp_path) not in infotext
