"""Models of the hub: plan, fetch, cancel, resume, refuse. Against a real server on this machine."""

import json
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from sd_app import Settings, Studio, Txt2ImgRequest, cli
from sd_app.catalog import list_models
from sd_app.hub.curated import CURATED
from sd_app.hub.hub_cache import hub_cache, repo_folder
from sd_app.hub.plan import read_hub_id
from sd_app.requests import Cancelled, DownloadProgress, Step
from sd_app.schedulers import SCHEDULERS
from tests.hub_server import CLOSED, COMMIT, HubServer, Repo, read_files, serve_hub, set_offline, use_hub

HUB_ID = "owner/some-model"
UNET = "unet/diffusion_pytorch_model.safetensors"
ENCODER = "text_encoder/model.safetensors"  # the largest file
SLOW = 2_000_000  # bytes a second of one connection


@pytest.fixture
def hub(random_models, tmp_path, monkeypatch):
    """A hub that holds model-a, and an empty cache of its own."""
    with serve_hub() as server:
        server.repos[HUB_ID] = Repo(files=read_files(random_models / "model-a"))
        use_hub(monkeypatch, server.url, tmp_path / "hub")
        yield server


@pytest.fixture
def owner(tmp_path, hub) -> Studio:
    return Studio(Settings(models_dir=tmp_path / "none", outputs_dir=tmp_path / "out"))


def repo_of(hub: HubServer) -> Repo:
    return hub.repos[HUB_ID]


def names(studio: Studio) -> list[str]:
    return [info.name for info in studio.models()]


def blobs() -> list[Path]:
    return sorted((repo_folder(HUB_ID) / "blobs").iterdir())


def cancel_after(share: float):
    """Return an on_progress that cancels once so much is there, and the list of what it was told."""
    told: list[DownloadProgress] = []

    def on_progress(progress: DownloadProgress) -> None:
        told.append(progress)
        if progress.fraction > share:
            raise Cancelled

    return on_progress, told


# -- the plan


def test_the_plan_says_exactly_what_will_be_fetched_and_writes_nothing(hub, owner):
    repo_of(hub).files |= {
        "unet/diffusion_pytorch_model.bin": b"x" * 999,
        "README.md": b"hello",
        "a.ckpt": b"x",
    }
    plan = owner.plan_download(HUB_ID)
    assert not hub_cache().exists()
    assert (plan.pipeline, plan.family, plan.native_size) == ("StableDiffusionPipeline", "sd1", 64)
    assert (plan.license, plan.gated, plan.only_inpaints) == ("creativeml-openrail-m", False, False)
    assert plan.free_bytes > 1e6
    paths = [file.path for file in plan.files]
    assert paths[0] == "model_index.json"
    assert [path for path in paths if path.endswith(".safetensors")] == paths[-3:]
    assert not {"README.md", "a.ckpt", "unet/diffusion_pytorch_model.bin"} & set(paths)
    assert plan.missing_bytes == plan.total_bytes
    hub.asked.clear()
    owner.download(plan)
    assert hub.sent == plan.total_bytes
    assert sorted(asked.path for asked in hub.asked) == sorted(paths)
    assert owner.plan_download(HUB_ID).missing_bytes == 0


@pytest.mark.parametrize(
    "typed",
    [HUB_ID, f" {HUB_ID}/ ", f"https://huggingface.co/{HUB_ID}", f"hf.co/{HUB_ID}/tree/main?x=1"],
)
def test_an_id_may_be_typed_as_a_page_address(typed):
    assert read_hub_id(typed) == HUB_ID


@pytest.mark.parametrize(
    "typed", ["", "name", "a/b/c", "../etc", "/etc/passwd", "a/..", "./a", "a b/c", "a/b\0"]
)
def test_what_is_no_id_is_refused(typed, owner):
    with pytest.raises(ValueError, match=r"hub id must be owner/name|there is no public model"):
        owner.plan_download(typed)


def test_half_precision_and_shards_are_chosen_with_their_own_index(hub, owner):
    files = repo_of(hub).files
    half = "text_encoder/model.fp16.safetensors"
    files[half] = files[ENCODER]
    weights = files.pop(UNET)
    shards = [f"unet/diffusion_pytorch_model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    files |= dict.fromkeys(shards, weights)
    index = "unet/diffusion_pytorch_model.safetensors.index.json"
    files[index] = json.dumps(
        {"weight_map": {"a": shards[0].split("/")[1], "b": shards[1].split("/")[1]}}
    ).encode()
    files["vae/diffusion_pytorch_model.safetensors.index.json"] = b"{}"
    paths = {file.path for file in owner.plan_download(HUB_ID).files}
    assert {half, index, *shards} <= paths
    assert not {ENCODER, "vae/diffusion_pytorch_model.safetensors.index.json"} & paths


# -- what is refused, before any weights


def refused(owner: Studio, hub: HubServer, error: type[Exception] = ValueError) -> str:
    with pytest.raises(error) as caught:
        owner.download(HUB_ID)
    assert [asked.path for asked in hub.asked if asked.path.endswith(".safetensors")] == []
    return str(caught.value)


def test_another_family_is_refused_by_name(hub, owner):
    repo_of(hub).files["model_index.json"] = b'{"_class_name": "FluxPipeline"}'
    assert "owner/some-model cannot be used: it is a FluxPipeline" in refused(owner, hub)


def test_pickles_only_are_refused(hub, owner):
    files = repo_of(hub).files
    files["unet/diffusion_pytorch_model.bin"] = files.pop(UNET)
    assert "no safetensors weights for its unet, and pickles" in refused(owner, hub)


def test_a_repository_of_one_file_is_refused_with_the_way_to_use_it(hub, owner):
    repo_of(hub).files = {"model.safetensors": b"x"}
    assert "download that into models/" in refused(owner, hub)


def test_code_of_its_own_is_never_run(hub, owner):
    index = json.loads(repo_of(hub).files["model_index.json"])
    repo_of(hub).files["model_index.json"] = json.dumps({**index, "unet": ["mine", "MyUNet"]}).encode()
    assert "its unet needs code of its own" in refused(owner, hub)


def test_an_unknown_id_is_refused(hub, owner):
    hub.repos.clear()
    assert f"there is no public model {HUB_ID}" in refused(owner, hub)


def test_a_gated_model_says_where_to_accept_and_a_token_opens_it(hub, owner, monkeypatch):
    repo_of(hub).gated, repo_of(hub).token = True, "hf_good"
    words = refused(owner, hub)
    assert f"asks for its terms to be accepted: do so on huggingface.co/{HUB_ID}" in words
    monkeypatch.setenv("HF_TOKEN", "hf_bad")
    assert "asks for its terms" in refused(owner, hub)
    monkeypatch.setenv("HF_TOKEN", "hf_good")
    assert owner.plan_download(HUB_ID).gated
    assert owner.download(HUB_ID).name == HUB_ID
    assert {asked.token for asked in hub.asked[-5:]} == {"hf_good"}


def test_a_disk_that_is_too_small_is_refused(hub, owner):
    repo_of(hub).sizes[UNET] = 10**16
    words = refused(owner, hub)
    assert re.search(r"needs 100\d+\.\d\d GB more, and .* has .* free", words)
    assert "HF_HUB_CACHE" in words


def test_offline_is_said_within_seconds(owner, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", CLOSED)
    started = time.monotonic()
    with pytest.raises(OSError, match=f"{HUB_ID} cannot be downloaded: .*connect once"):
        owner.download(HUB_ID)
    assert time.monotonic() - started < 15


def test_offline_mode_is_named_with_the_variable_that_set_it(hub, owner, monkeypatch):
    set_offline(monkeypatch, on=True)
    with pytest.raises(
        OSError, match=r"offline mode is on: HF_HUB_OFFLINE is set \(unset it and start again"
    ):
        owner.download(HUB_ID)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("TRANSFORMERS_OFFLINE", "yes")
    with pytest.raises(OSError, match="offline mode is on: TRANSFORMERS_OFFLINE is set"):
        owner.plan_download(HUB_ID)
    assert hub.asked == []


def test_visitors_add_and_remove_nothing(hub, tmp_path):
    shared = Studio(Settings(models_dir=tmp_path, mode="shared"))
    for call in (shared.plan_download, shared.download, shared.remove_download):
        with pytest.raises(ValueError, match="local mode"):
            call(HUB_ID)
    assert hub.asked == []


# -- the way here


def test_a_download_tells_how_far_it_is_and_the_model_works_and_stays(hub, owner, tmp_path, random_studio):
    hub.bytes_per_second = 4 * SLOW
    told: list[DownloadProgress] = []
    info = owner.download(HUB_ID, told.append)
    assert (info.name, info.kind, info.native_size) == (HUB_ID, "hub", 64)
    assert len(told) >= 3
    assert [progress.done_bytes for progress in told] == sorted(progress.done_bytes for progress in told)
    assert any(progress.bytes_per_second and progress.eta_seconds for progress in told)
    assert re.fullmatch(r"[\d.]+ [kMG]?B of \d+ MB(, \d+ [kMG]?B/s)?", told[-1].amount)
    assert not list(repo_folder(HUB_ID).rglob("*.incomplete"))
    again = Studio(owner.settings)
    assert names(again) == [HUB_ID]
    assert [(d.hub_id, d.folder) for d in again.downloaded()] == [(HUB_ID, repo_folder(HUB_ID))]
    request = Txt2ImgRequest(
        prompt="a", model=HUB_ID, seed=1, scheduler="DDIM", num_inference_steps=2, guidance_scale=5
    )
    picture = again.txt2img(request, save=False).images[0]
    same = random_studio.txt2img(replace(request, model="model-a"), save=False).images[0]
    assert picture.tobytes() == same.tobytes()


def test_cancel_acts_within_a_second_and_the_next_download_asks_for_the_rest(hub, owner):
    hub.bytes_per_second = SLOW
    on_progress, _ = cancel_after(0.4)
    with pytest.raises(Cancelled):
        owner.download(HUB_ID, on_progress)
    cancelled = time.monotonic()
    while any(thread.name.startswith("download") for thread in threading.enumerate()):
        assert time.monotonic() - cancelled < 10
        time.sleep(0.02)
    partial = sum(path.stat().st_size for path in blobs() if path.suffix == ".incomplete")
    assert partial > 100_000
    assert names(owner) == []  # half a model is none
    plan = owner.plan_download(HUB_ID)
    assert plan.missing_bytes < plan.total_bytes - partial + 1
    hub.asked.clear()
    hub.bytes_per_second = None
    owner.download(plan)
    resumed = [asked for asked in hub.asked if asked.range]
    assert resumed
    assert hub.sent == plan.missing_bytes < 0.7 * plan.total_bytes
    assert names(owner) == [HUB_ID]


def test_a_stalled_connection_is_left_within_a_second(hub, owner):
    repo_of(hub).stalls = {ENCODER, UNET}
    told: list[float] = []

    def on_progress(progress: DownloadProgress) -> None:
        told.append(time.monotonic())
        if progress.bytes_per_second is not None and told[-1] - told[0] > 1.5:
            raise Cancelled

    with pytest.raises(Cancelled):
        owner.download(HUB_ID, on_progress)
    while any(thread.name.startswith("download") for thread in threading.enumerate()):
        assert time.monotonic() - told[-1] < 10
        time.sleep(0.02)


def test_a_line_that_drops_is_taken_up_where_it_broke(hub, owner):
    repo_of(hub).breaks[ENCODER] = 1_000_000
    plan = owner.plan_download(HUB_ID)
    hub.asked.clear()
    owner.download(plan)
    ranges = [asked.range for asked in hub.asked if asked.path == ENCODER]
    assert ranges[0] == ""
    assert re.fullmatch(r"bytes=\d{6,}-", ranges[1])
    assert hub.sent == plan.total_bytes


def test_a_server_without_ranges_sends_all_again(hub, owner):
    repo_of(hub).breaks[ENCODER] = 1_000_000
    repo_of(hub).no_ranges = True
    told: list[DownloadProgress] = []
    assert owner.download(HUB_ID, told.append).name == HUB_ID


def test_a_damaged_file_is_not_kept_and_the_next_try_works(hub, owner):
    repo_of(hub).damaged.add(UNET)
    with pytest.raises(OSError, match=f"{UNET} of {HUB_ID} has come damaged: its checksum"):
        owner.download(HUB_ID)
    assert names(owner) == []
    repo_of(hub).damaged.clear()
    assert owner.download(HUB_ID).name == HUB_ID


def test_a_full_disk_is_said_and_names_the_file(hub, owner):
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    plan = owner.plan_download(HUB_ID)
    file = next(file for file in plan.files if file.path == UNET)
    folder = repo_folder(HUB_ID) / "blobs"
    folder.mkdir(parents=True)
    (folder / f"{file.blob}.incomplete").symlink_to("/dev/full")
    with pytest.raises(OSError, match=rf"{file.blob}.incomplete cannot be written: No space left"):
        owner.download(plan)
    assert names(owner) == []


def test_a_cache_that_cannot_be_written_is_said(hub, owner, tmp_path):
    (tmp_path / "hub").write_text("a file")
    with pytest.raises(OSError, match=r"cannot be (written|kept)"):
        owner.download(HUB_ID)


def test_two_who_want_one_model_share_one_transfer(hub, owner):
    hub.bytes_per_second = 2 * SLOW
    plan = owner.plan_download(HUB_ID)
    hub.asked.clear()
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(owner.download(plan).name)) for _ in range(2)]
    on_progress, _ = cancel_after(0.1)
    for thread in threads:
        thread.start()
    with pytest.raises(Cancelled):  # one that leaves does not stop the others
        owner.download(plan, on_progress)
    for thread in threads:
        thread.join(60)
    assert found == [HUB_ID] * 2
    assert hub.sent == plan.total_bytes


def test_the_loaded_model_works_while_another_one_is_fetched(hub, random_models, tmp_path):
    hub.bytes_per_second = SLOW / 2
    studio = Studio(Settings(models_dir=random_models, model="model-a", outputs_dir=tmp_path))
    request = Txt2ImgRequest(prompt="a", num_inference_steps=2)
    studio.txt2img(request, save=False)
    stop = threading.Event()
    ended: list[type] = []

    def on_progress(progress: DownloadProgress) -> None:
        if stop.is_set():
            raise Cancelled

    def work() -> None:
        try:
            studio.download(HUB_ID, on_progress)
        except Cancelled:
            ended.append(Cancelled)

    thread = threading.Thread(target=work)
    thread.start()
    for _ in range(3):
        assert studio.txt2img(request, save=False).images
    assert thread.is_alive()
    stop.set()
    thread.join(10)
    assert ended == [Cancelled]


# -- the first job of a hub model


def test_a_job_shows_the_download_and_stop_acts_during_it(hub, tmp_path):
    hub.bytes_per_second = SLOW
    studio = Studio(Settings(models_dir=tmp_path / "none", model=HUB_ID, outputs_dir=tmp_path / "out"))
    steps: list[Step] = []

    def on_step(step: Step) -> None:
        steps.append(step)
        if step.download and step.download.fraction > 0.3:
            raise Cancelled

    request = Txt2ImgRequest(prompt="a", scheduler="DDIM", num_inference_steps=1)
    started = time.monotonic()
    result = studio.txt2img(request, on_step, save=False)
    assert result.stopped
    assert result.images == ()
    downloads = [step for step in steps if step.download]
    assert [step.fraction for step in downloads] == sorted(step.fraction for step in downloads)
    assert steps[-1].text == f"Downloading {HUB_ID}"
    assert time.monotonic() - started < 60
    # Its configurations have come, so it is known for what it is.
    info = studio.models()[0]
    assert (info.name, info.path, info.native_size) == (HUB_ID, None, 64)
    hub.bytes_per_second = None
    assert studio.txt2img(request, save=False).images[0].size == (64, 64)


def test_warming_up_fetches_the_model_without_holding_up_others(hub, random_models, tmp_path):
    hub.bytes_per_second = SLOW / 4
    studio = Studio(Settings(models_dir=random_models, model=HUB_ID, outputs_dir=tmp_path))
    threading.Thread(target=studio.warm_up, daemon=True).start()
    while not hub.asked:
        time.sleep(0.05)
    assert studio.txt2img(Txt2ImgRequest(prompt="a", model="model-a"), save=False).images
    assert HUB_ID not in studio.status().loaded
    hub.bytes_per_second = None


# -- what is in the cache


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
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        assert [info.name for info in list_models(owner.settings)] == [HUB_ID]
        seconds.append(time.perf_counter() - started)
    print(f"1,000 repositories: {min(seconds):.3f} s")
    assert min(seconds) < 3


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
    assert info.default_scheduler in SCHEDULERS
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
        started = time.monotonic()
        _, errors = program.communicate(timeout=20)
        assert time.monotonic() - started < 30
    assert program.returncode == code
    assert ("what has come is kept" in errors) == (end == signal.SIGINT)
    assert sum(path.stat().st_size for path in blobs()) > 500_000
    plan = Studio(Settings(models_dir=tmp_path)).plan_download(HUB_ID)
    assert plan.missing_bytes < plan.total_bytes
