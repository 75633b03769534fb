"""Models of the hub that are here: listed, used, removed, from the command line too; recommended ones."""

import json
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from sd_app import Settings, Studio, Txt2ImgRequest, cli
from sd_app.catalog import list_models
from sd_app.hub.curated import CURATED
from sd_app.hub.hub_cache import hub_cache, repo_folder
from sd_app.requests import Cancelled, DownloadProgress
from sd_app.schedulers import find_scheduler
from tests.hub.server import COMMIT
from tests.hub.steps import HUB_ID, SLOW, UNET, blobs, cancel_after, names, repo_of
from tests.limits import PATIENCE, within_cpu_seconds


def test_removing_frees_the_disk_and_the_memory(hub, owner):
    owner.download(HUB_ID)
    request = Txt2ImgRequest(prompt="a", model=HUB_ID, scheduler="DDIM", num_inference_steps=1)
    owner.txt2img(request, save=False)
    status = owner.status()
    assert status.loaded == (HUB_ID,)
    assert status.loaded_bytes[0] > 1e6
    assert owner.remove_download(HUB_ID) >= owner.plan_download(HUB_ID).total_bytes
    assert names(owner) == []
    assert owner.status().loaded == ()
    with pytest.raises(ValueError, match=f"nothing of {HUB_ID} is on this disk"):
        owner.remove_download(HUB_ID)


def test_what_is_being_fetched_is_not_removed(hub, owner):
    hub.bytes_per_second = SLOW

    def on_progress(progress: DownloadProgress) -> None:
        with pytest.raises(ValueError, match="is being downloaded"):
            owner.remove_download(HUB_ID)
        raise Cancelled

    with pytest.raises(Cancelled):
        owner.download(HUB_ID, on_progress)
    assert owner.remove_download(HUB_ID) > 0


def test_visitors_see_only_what_the_owner_listed(hub, owner):
    owner.download(HUB_ID)
    for mode in ("shared", "space"):
        assert names(Studio(replace(owner.settings, mode=mode))) == []
        assert names(Studio(replace(owner.settings, mode=mode, model=HUB_ID))) == [HUB_ID]


def test_a_model_with_a_shard_missing_is_none(hub, owner):
    owner.download(HUB_ID)
    part = repo_folder(HUB_ID) / "snapshots" / COMMIT / "unet"
    index = part / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "gone.safetensors"}}))
    assert names(owner) == []


def test_a_big_cache_is_listed_quickly(hub, owner):
    owner.download(HUB_ID)
    for number in range(1000):
        repo = hub_cache() / f"models--somebody--m{number}"
        (repo / "snapshots" / COMMIT).mkdir(parents=True)
        (repo / "refs").mkdir()
        (repo / "refs/main").write_text(COMMIT)
    for odd in ("models--one-word", "datasets--a--b", "models--a--b--c"):
        (hub_cache() / odd / "refs").mkdir(parents=True)
    (hub_cache() / "models--a--out/refs").mkdir(parents=True)
    (hub_cache() / "models--a--out/refs/main").write_text("../../../..")
    models = within_cpu_seconds(3, lambda: list_models(owner.settings))
    assert [info.name for info in models] == [HUB_ID]


CACHES: tuple[dict[str, str], ...] = (
    {},
    {"XDG_CACHE_HOME": "/x"},
    {"XDG_CACHE_HOME": "/x", "HF_HOME": "~/h"},
    {"XDG_CACHE_HOME": "/x", "HF_HOME": "/h", "HUGGINGFACE_HUB_CACHE": "$HOME/old"},
    {"HUGGINGFACE_HUB_CACHE": "/old", "HF_HUB_CACHE": "~/new"},
)


def test_the_cache_is_where_the_hubs_own_client_has_it(monkeypatch):
    """An empty value counts as none, where the client would take the folder it was started in."""
    names = ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME")
    code = f"""if True:
        import importlib, os
        from huggingface_hub import constants
        for values in {CACHES}:
            for name in {names}:
                os.environ.pop(name, None)
            os.environ.update(values)
            print(importlib.reload(constants).HF_HUB_CACHE)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found = []
    for values in CACHES:
        for name in names:
            monkeypatch.setenv(name, values.get(name, ""))
        found.append(str(hub_cache()))
    assert found == done.stdout.split()
    assert len(set(found)) == len(CACHES)


# -- the recommended ones


@pytest.mark.parametrize("hub_id", CURATED)
def test_a_recommended_model_is_described_before_it_is_here(hub_id, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    model = CURATED[hub_id]
    info = Studio(Settings(models_dir=tmp_path, model=hub_id)).models()[0]
    assert (info.name, info.title, info.path) == (hub_id, model.title, None)
    assert (info.family, info.native_size) == (model.family, model.native_size)
    assert info.only_inpaints == model.only_inpaints
    assert find_scheduler(info.default_scheduler)
    assert info.latent_rgb is not None


def test_sd_turbo_takes_one_step_without_guidance_here_too(hub, tmp_path):
    turbo = "stabilityai/sd-turbo"
    hub.repos[turbo] = repo_of(hub)
    studio = Studio(Settings(models_dir=tmp_path / "none", outputs_dir=tmp_path))
    info = studio.download(turbo)
    facts = (info.title, info.default_steps, info.default_guidance_scale, info.default_scheduler)
    assert facts == ("SD-Turbo", 1, 1.0, "Euler")
    assert studio.txt2img(Txt2ImgRequest(prompt="a", model=turbo), save=False).images[0].size == (64, 64)


def test_the_hubs_own_client_finds_what_was_fetched(hub, owner):
    from huggingface_hub import snapshot_download

    owner.download(HUB_ID)
    folder = snapshot_download(
        HUB_ID, cache_dir=hub_cache(), local_files_only=True, allow_patterns=["*/*.json"]
    )
    assert Path(folder) == repo_folder(HUB_ID) / "snapshots" / COMMIT
    assert (Path(folder) / UNET).is_symlink()


def test_what_another_process_fetches_is_waited_for_and_can_be_left(hub, owner):
    from huggingface_hub.utils import WeakFileLock

    plan = owner.plan_download(HUB_ID)
    lock = hub_cache() / ".locks" / plan.folder.name / f"{plan.files[-1].blob}.lock"
    lock.parent.mkdir(parents=True)
    with WeakFileLock(lock):
        on_progress, _ = cancel_after(0.1)
        with pytest.raises(Cancelled):
            owner.download(plan, on_progress)
        assert not [asked for asked in hub.asked if asked.path == plan.files[-1].path]
    assert owner.download(HUB_ID).name == HUB_ID


# -- the command line


def test_the_command_line_plans_fetches_uses_and_removes(hub, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["download"]) == 0
    assert capsys.readouterr().out.count("\n") == len(CURATED)
    assert cli.main(["download", HUB_ID, "--plan"]) == 0
    planned = capsys.readouterr().out
    assert re.search(
        r"owner/some-model: StableDiffusionPipeline, 64x64\n\d+ MB to fetch, .* free in", planned
    )
    assert not hub_cache().exists()
    assert cli.main(["download", HUB_ID]) == 0
    assert f"use it with --model {HUB_ID}" in capsys.readouterr().out
    flags = ["--model", HUB_ID, "--steps", "1", "--scheduler", "DDIM", "--models-dir", str(tmp_path)]
    assert cli.main(["txt2img", "a", *flags, "-o", "out.png"]) == 0
    assert cli.main(["models", "--models-dir", str(tmp_path)]) == 0
    assert HUB_ID in capsys.readouterr().out
    assert cli.main(["remove", HUB_ID]) == 0
    assert "MB freed" in capsys.readouterr().out
    assert cli.main(["download", "nobody/nothing"]) == 2
    assert "there is no public model nobody/nothing" in capsys.readouterr().err


@pytest.mark.parametrize(("end", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_ctrl_c_and_a_crash_keep_what_has_come(hub, tmp_path, end, code):
    hub.bytes_per_second = SLOW
    command = [sys.executable, "-m", "sd_app", "download", HUB_ID]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        while hub.sent < 1_000_000:
            assert program.poll() is None
            time.sleep(0.05)
        program.send_signal(end)
        _, errors = program.communicate(timeout=PATIENCE)
    assert program.returncode == code
    assert ("what was downloaded is kept" in errors) == (end == signal.SIGINT)
    assert sum(path.stat().st_size for path in blobs()) > 500_000
    plan = Studio(Settings(models_dir=tmp_path)).plan_download(HUB_ID)
    assert plan.missing_bytes < plan.total_bytes
