"""A command joins the line of the app that is open on the same outputs folder, and only that of the owner."""

import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from PIL import Image

from sd_app import Settings, Studio, cli
from sd_app.cli import joining
from sd_app.metadata import read_infotext
from sd_app.queue import STOPPED, JobQueue, announced, find_open_app
from sd_app.ui import build_ui, make_queue, reachable

from .waiting import busy

QUICK = ("--steps", "2", "--seed", "7")


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in cli.SETTINGS:
        monkeypatch.delenv(f"SD_APP_{name.upper()}", raising=False)


@pytest.fixture(scope="module")
def settings(random_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(models_dir=random_models, outputs_dir=tmp_path_factory.mktemp("outputs"), model="model-a")


@pytest.fixture(scope="module")
def queue(settings: Settings) -> Iterator[JobQueue]:
    """The line of an app that is open, and can be joined."""
    studio = Studio(settings)
    queue = make_queue(studio)
    demo = build_ui(studio, queue)
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True)
    with reachable(studio, url, settings.as_texts()):
        yield queue
    demo.close()
    assert find_open_app(settings.outputs_dir) is None


def run(settings: Settings, *arguments: str) -> int:
    folders = ("--models-dir", str(settings.models_dir), "--outputs-dir", str(settings.outputs_dir))
    return cli.main([*arguments, *folders, "--model", "model-a"])


def kinds(queue: JobQueue) -> list[str]:
    return [now.kind for now in queue.jobs("")]


def test_the_job_runs_in_the_apps_line_and_its_files_are_named(
    settings: Settings, queue: JobQueue, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = tmp_path / "photo.png"
    Image.new("RGB", (64, 64), "red").save(photo)
    before = len(kinds(queue))
    assert run(settings, "txt2img", "a cat", "-n", "2", *QUICK) == 0
    told = capsys.readouterr()
    paths = [Path(line) for line in told.out.splitlines()]
    assert [path.name for path in paths] == ["00000-7.png", "00001-8.png"]
    assert all("a cat" in (read_infotext(path) or "") for path in paths)
    assert "In the line of the app at http://127.0.0.1" in told.err
    flags = ("--init-image", str(photo), "--strength", "1", "--outpaint", "8", "0", "0", "0")
    mask = tmp_path / "mask.png"
    Image.new("L", (64, 64), 255).save(mask)
    assert run(settings, "inpaint", "a cat", *flags, "--mask-image", str(mask), *QUICK) == 0
    assert run(settings, "walk", "cat", "dog", "--frames", "2", "--prompt", "a {}", *QUICK) == 0
    names = [Path(line).name for line in capsys.readouterr().out.splitlines()]
    kept = ("film.mp4", "strip.png", "sheet.png", "plot.png")
    assert [name.partition("-")[2] for name in names[-4:]] == [f"7-{name}" for name in kept]
    assert all((paths[0].parent / name).is_file() for name in names)
    assert kinds(queue)[: len(kinds(queue)) - before] == ["http walk", "http inpaint", "http txt2img"]


def test_what_is_wrong_is_said_as_without_the_app(
    settings: Settings, queue: JobQueue, capsys: pytest.CaptureFixture[str]
) -> None:
    for more in ((), ("--here",)):
        assert run(settings, "txt2img", "a cat", "--scheduler", "nothing", *QUICK, *more) == 2
        assert "error: scheduler must be one of" in capsys.readouterr().err


def test_ctrl_c_stops_the_job_there_and_names_what_is_finished(
    settings: Settings, queue: JobQueue, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    looks = joining._step_of

    def interrupt(status: dict[str, object]) -> object:
        if status.get("saved") and signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
            signal.raise_signal(signal.SIGINT)
        return looks(status)

    monkeypatch.setattr(joining, "_step_of", interrupt)
    assert run(settings, "txt2img", "a cat", "-n", "40", "--steps", "30", "--seed", "7") == 130
    told = capsys.readouterr()
    paths = told.out.splitlines()
    assert 0 < len(paths) < 40
    assert f"stopped: kept {len(paths)} pictures" in told.err
    assert queue.jobs("")[0].state == STOPPED


def test_it_waits_its_turn_and_is_found_by_its_page(
    settings: Settings, queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []
    monkeypatch.setattr(joining, "SECONDS", 0.02)
    looks = joining._step_of

    def note(status: dict[str, object]) -> object:
        shown.append(looks(status).text)
        return looks(status)

    monkeypatch.setattr(joining, "_step_of", note)
    codes: list[int] = []
    with busy(queue):
        given = {"prompt": "a cat", "num_inference_steps": 2}
        app = find_open_app(settings.outputs_dir)
        assert app
        call = joining.connect(app)
        assert call
        status = call("txt2img", given, "key", api_name="/submit")
        thread = threading.Thread(
            target=lambda: codes.append(len(joining.follow(call, status, lambda step: None, lambda: None)))
        )
        thread.start()
        while "Waiting for 1 before it" not in shown:
            assert thread.is_alive()
    thread.join(60)
    assert codes


@pytest.mark.parametrize("why", ["--output", "--here", "other settings"])
def test_some_jobs_run_in_the_commands_own_process(
    settings: Settings, queue: JobQueue, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = {
        "--output": ("--output", str(tmp_path / "out.png")),
        "--here": ("--here",),
        "other settings": ("--tile-above", "4096"),
    }
    before = kinds(queue)
    assert run(settings, "txt2img", "a cat", *QUICK, *flags[why]) == 0
    assert kinds(queue) == before
    told = capsys.readouterr()
    assert Path(told.out.strip()).is_file()
    assert ("has other settings (tile_above)" in told.err) == (why == "other settings")


def test_an_app_that_does_not_answer_is_said_and_the_job_runs_here(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = Settings(models_dir=settings.models_dir, outputs_dir=tmp_path, model="model-a")
    with announced(tmp_path, "http://127.0.0.1:9", here.as_texts()):
        assert run(here, "txt2img", "a cat", *QUICK) == 0
    told = capsys.readouterr()
    assert "no app answers at http://127.0.0.1:9" in told.err
    assert Path(told.out.strip()).is_file()


# -- whom to trust


def held(folder: Path, **values: object) -> Path:
    path = folder / ".queue/app.json"
    path.parent.mkdir(exist_ok=True)
    own = {"pid": os.getpid(), "begun": psutil.Process().create_time()}
    text = json.dumps({"url": "http://127.0.0.1:7860", **own, "settings": {}} | values)
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_only_an_app_of_the_owners_own_on_this_machine_is_found(tmp_path: Path) -> None:
    path = held(tmp_path)
    found = find_open_app(tmp_path)
    assert found
    assert found.url == "http://127.0.0.1:7860"
    held(tmp_path, url="http://[::1]:7860/")
    assert find_open_app(tmp_path)
    for url in ("http://example.org", "https://127.0.0.1", "http://127.0.0.1@example.org/", 7, "file:///etc"):
        held(tmp_path, url=url)
        assert find_open_app(tmp_path) is None, url
    for pid in (2**40, -1, "1", True, None):
        held(tmp_path, pid=pid)
        assert find_open_app(tmp_path) is None, pid
    for begun in (psutil.Process().create_time() - 100, None, "now"):  # its number is another's now
        held(tmp_path, begun=begun)
        assert find_open_app(tmp_path) is None, begun
    held(tmp_path, pid=2**22 - 1, begun=0.0)  # no process, and no time
    assert find_open_app(tmp_path) is None
    held(tmp_path, settings="none")
    assert find_open_app(tmp_path) is None
    for text in ("", "[]", "[" * 9999, "\ud800".encode("utf-16", "surrogatepass").decode("latin-1")):
        held(tmp_path)
        path.write_text(text)
        assert find_open_app(tmp_path) is None


@pytest.mark.skipif(os.name == "nt", reason="Windows has other rights")
def test_a_file_that_others_can_have_written_is_not_believed(tmp_path: Path) -> None:
    path = held(tmp_path)
    path.chmod(0o620)
    assert find_open_app(tmp_path) is None
    path.unlink()
    path.symlink_to(held(tmp_path / "..", pid=os.getpid()).resolve())
    assert find_open_app(tmp_path) is None
    path.unlink()
    os.mkfifo(path, 0o600)  # to open it would be to wait
    assert find_open_app(tmp_path) is None


def test_an_address_goes_with_its_app_and_never_takes_anothers_place(tmp_path: Path) -> None:
    with announced(tmp_path, "http://127.0.0.1:1", {"device": "cpu"}):
        path = tmp_path / ".queue/app.json"
        assert os.name == "nt" or path.stat().st_mode & 0o777 == 0o600
        with announced(tmp_path, "http://127.0.0.1:2", {}):
            found = find_open_app(tmp_path)
            assert found
            assert (found.url, found.settings) == ("http://127.0.0.1:1", {"device": "cpu"})
        assert path.is_file()
    assert not path.exists()


def test_an_app_that_lets_others_in_is_not_announced(tmp_path: Path) -> None:
    studio = Studio(Settings(outputs_dir=tmp_path, mode="shared"))
    with reachable(studio, "http://127.0.0.1:1", {}):
        assert find_open_app(tmp_path) is None
