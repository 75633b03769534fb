"""A pipe, a socket or a device under the name of a file is not waited for, wherever files are read."""

import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from sd_app import Img2ImgRequest, InterrogateRequest, Settings, Studio
from sd_app.cli.interrogate import find_pictures
from sd_app.images import look_at_image, open_image
from sd_app.interrogator.phrases import list_groups
from sd_app.metadata import read_infotext
from sd_app.user_files import read_object, read_text

SECONDS = 60  # to be asked for a pipe that nobody writes into takes for ever


def within(call: Callable[[], object]) -> object:
    """Return what a call returns or raises; fail if it waits."""
    answers: list[object] = []

    def work() -> None:
        try:
            answers.append(call())
        except Exception as error:  # noqa: BLE001
            answers.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(SECONDS)
    assert answers, "it waits for a pipe"
    return answers[0]


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    there = socket.socket(socket.AF_UNIX)
    before = Path.cwd()
    os.chdir(path.parent)  # a socket's address is short
    try:
        there.bind(path.name)
    finally:
        os.chdir(before)


def make_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.fixture(params=[make_pipe, make_socket, make_device], ids=["pipe", "socket", "device"])
def make(request: pytest.FixtureRequest) -> Callable[[Path], None]:
    kind: Callable[[Path], None] = request.param
    return kind


def test_pictures(make: Callable[[Path], None], tmp_path: Path, studio: Studio) -> None:
    studio.warm_up()
    path = tmp_path / "a.png"
    make(path)
    for door in (open_image, look_at_image, read_infotext):
        error = within(lambda door=door: door(path))  # type: ignore[misc]
        assert isinstance(error, ValueError), door
        assert str(error).startswith("a.png ")
    assert isinstance(within(lambda: find_pictures([tmp_path])), ValueError)  # the folder holds none
    for job in (
        lambda: studio.interrogate(InterrogateRequest(image=path)),
        lambda: studio.img2img(Img2ImgRequest(prompt="a", init_image=path), save=False),
    ):
        assert isinstance(within(job), ValueError)


def test_models_addons_and_lists(make: Callable[[Path], None], tmp_path: Path) -> None:
    names = (
        *("model.safetensors", "a.ckpt", "a.json", "a.yaml", "loras/b.safetensors", "vae/c.safetensors"),
        *("embeddings/d.safetensors", "embeddings/e.pt", "phrases/f.txt", "phrases/tiny-clip/g.txt"),
        *("folder/model_index.json", "folder/studio.json", "folder/unet/config.json", "clip/config.json"),
        *("folder/unet/diffusion_pytorch_model.safetensors", "clip/open_clip_config.json"),
        *("taesd/h.safetensors", "vae_approx/i.safetensors", "j/k.safetensors", "blip/config.json"),
    )
    for name in names:
        path = tmp_path / "models" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        make(path)
    studio = Studio(Settings(models_dir=tmp_path / "models", outputs_dir=tmp_path / "o", device="cpu"))

    def look() -> list[str]:
        found = [model.name for model in studio.models()]
        lists = (studio.addons(), studio.vaes(), studio.clip_models(), studio.caption_models())
        assert not any("k" in str(one) and "safetensors" in str(one) for one in lists)
        list_groups(studio.settings, None)
        studio.phrase_groups()
        return found

    assert within(look) == ["tiny-sd"]
    for name in ("model", "folder", "a"):
        assert isinstance(within(lambda name=name: studio.find_model(name)), ValueError)  # type: ignore[misc]


def test_small_files(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / "a.json")
    assert within(lambda: read_object(tmp_path / "a.json")) == {}
    assert isinstance(within(lambda: read_text(tmp_path / "a.json")), OSError)
