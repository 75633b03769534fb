"""Models of the hub on their way here: told, cancelled, resumed, shared. Against a server on this machine."""

import re
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from sd_app import Settings, Studio, Txt2ImgRequest
from sd_app.hub import http_client
from sd_app.hub.hub_cache import repo_folder
from sd_app.requests import Cancelled, DownloadProgress, Step
from tests.hub.steps import ENCODER, HUB_ID, SLOW, UNET, blobs, cancel_after, names, repo_of
from tests.limits import PATIENCE


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


def test_cancel_acts_at_once_and_the_next_download_asks_for_the_rest(hub, owner):
    hub.bytes_per_second = SLOW
    on_progress, _ = cancel_after(0.4)
    with pytest.raises(Cancelled):
        owner.download(HUB_ID, on_progress)
    cancelled = time.monotonic()
    while any(thread.name.startswith("download") for thread in threading.enumerate()):
        assert time.monotonic() - cancelled < PATIENCE
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


def test_a_stalled_connection_is_left_at_once(hub, owner, monkeypatch):
    repo_of(hub).stalls = {ENCODER, UNET}
    monkeypatch.setattr(http_client, "TIMEOUT", 1000.0)  # else it is left in ten seconds anyhow
    told: list[float] = []

    def on_progress(progress: DownloadProgress) -> None:
        told.append(time.monotonic())
        if progress.bytes_per_second is not None and told[-1] - told[0] > 1.5:
            raise Cancelled

    with pytest.raises(Cancelled):
        owner.download(HUB_ID, on_progress)
    while any(thread.name.startswith("download") for thread in threading.enumerate()):
        assert time.monotonic() - told[-1] < PATIENCE
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
    with pytest.raises(OSError, match=f"{UNET} of {HUB_ID} arrived damaged: its checksum"):
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
    thread.join(PATIENCE)
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
    result = studio.txt2img(request, on_step, save=False)
    assert result.stopped
    assert result.images == ()
    downloads = [step for step in steps if step.download]
    assert [step.fraction for step in downloads] == sorted(step.fraction for step in downloads)
    assert steps[-1].text == f"Downloading {HUB_ID}"
    # Its configurations have come, so it is known for what it is.
    info = studio.models()[0]
    assert (info.name, info.path, info.native_size) == (HUB_ID, None, 64)
    hub.bytes_per_second = None
    assert studio.txt2img(request, save=False).images[0].size == (64, 64)


def test_warming_up_fetches_the_model_without_holding_up_others(hub, random_models, tmp_path):
    hub.bytes_per_second = SLOW / 4
    studio = Studio(Settings(models_dir=random_models, model=HUB_ID, outputs_dir=tmp_path))
    warming = threading.Thread(target=studio.warm_up, daemon=True)
    warming.start()
    while not hub.asked:
        time.sleep(0.05)
    assert studio.txt2img(Txt2ImgRequest(prompt="a", model="model-a"), save=False).images
    assert HUB_ID not in studio.status().loaded
    hub.bytes_per_second = None
    warming.join(60)
    assert HUB_ID in studio.status().loaded
