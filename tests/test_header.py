"""The header without a browser: what the badge says, an unload that waits, a download that fails."""

import threading
import time
from pathlib import Path

import pytest

from sd_app import Settings, Studio, Txt2ImgRequest
from sd_app.requests import DownloadProgress, Status, Step, format_bytes
from sd_app.ui.header.add_model import ModelDownloads, PlanValue
from sd_app.ui.header.badge import Unloader, badge_value
from tests.hub.server import CLOSED, Repo, read_files, serve_hub, use_hub
from tests.limits import PATIENCE

HUB_ID = "owner/some-model"


def wait_for(condition) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_an_unload_waits_for_the_running_job_and_the_next_one_loads_again(random_studio: Studio) -> None:
    unloader = Unloader(random_studio)
    go_on, began = threading.Event(), threading.Event()

    def on_step(step: Step) -> None:
        if step.step:
            began.set()
            go_on.wait(PATIENCE)

    request = Txt2ImgRequest(prompt="a", num_inference_steps=2)
    job = threading.Thread(target=lambda: random_studio.txt2img(request, on_step, save=False))
    job.start()
    began.wait(PATIENCE)
    unloader.start()
    unloader.start()  # a second press does nothing more
    wait_for(lambda: "Waiting for the running job" in unloader.note)
    assert random_studio.status().loaded == ("model-a",)
    go_on.set()
    wait_for(lambda: not unloader.waiting)
    job.join(PATIENCE)
    assert random_studio.status().loaded == ()
    assert "of weights freed" in unloader.note
    assert random_studio.txt2img(request, save=False).images
    assert random_studio.status().loaded == ("model-a",)


def test_the_badge_says_what_each_model_takes() -> None:
    status = Status(
        device="cuda", device_name="Card", dtype="float16", memory_used=3 * 10**9, memory_total=24 * 10**9,
        loaded=("a", "b"), loaded_bytes=(2 * 10**9, 5 * 10**8),
    )  # fmt: skip
    value = badge_value(status)
    assert value["words"] == ["CUDA", "float16", "3.0 / 24 GB"]
    assert value["loaded"] == [["a", "2.00 GB"], ["b", "500 MB"]]
    assert ["Weights", "2.50 GB"] in value["facts"]
    assert not value["can_unload"]
    assert badge_value(Status(device="starting"))["words"] == []


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (999.9, "1 kB"),
        (45_300_000, "45 MB"),
        (999_900_000, "1.00 GB"),
        (1e13, "10000.00 GB"),
    ],
)
def test_bytes_are_counted_as_disks_do(count: float, text: str) -> None:
    assert format_bytes(count) == text


def test_progress_knows_its_end() -> None:
    progress = DownloadProgress(
        hub_id=HUB_ID, done_bytes=10**9, total_bytes=4 * 10**9, seconds=20, bytes_per_second=5e7
    )
    assert (progress.fraction, progress.eta_seconds) == (0.25, 60)
    assert progress.amount == "1.00 GB of 4.00 GB, 50 MB/s"


def planned(downloads: ModelDownloads) -> PlanValue:
    """Look the model up; return what adding it would fetch."""
    value = downloads.look_up(HUB_ID)
    assert value
    assert value["plan"]
    return value["plan"]


def test_a_download_that_fails_is_said_and_the_next_one_works(
    random_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    downloads = ModelDownloads(Studio(Settings(models_dir=tmp_path / "none")))
    with serve_hub() as hub:
        use_hub(monkeypatch, hub.url, tmp_path / "hub")
        repo = hub.repos[HUB_ID] = Repo(files=read_files(random_models / "model-a"))
        assert [drawn["phase"] for drawn in downloads.follow()] == ["idle"]
        assert planned(downloads)["can_begin"]
        repo.damaged.add("text_encoder/model.safetensors")
        downloads.begin(HUB_ID)
        *_, last = downloads.follow()
        assert last["phase"] == "error"
        assert "arrived damaged" in last["text"]
        repo.damaged.clear()
        downloads.look_up(HUB_ID)
        downloads.begin(HUB_ID)
        *_, last = downloads.follow()
        assert (last["phase"], last["hub_id"]) == ("done", HUB_ID)
        assert [one["hub_id"] for one in last["here"]] == [HUB_ID]
        assert planned(downloads)["label"] == "Use it"
        assert "was deleted" in downloads.remove(HUB_ID)["text"]
        assert downloads.remove("../..")["phase"] == "error"
    monkeypatch.setenv("HF_ENDPOINT", CLOSED)
    refused = downloads.look_up(HUB_ID)
    assert refused
    assert "cannot be downloaded" in refused["text"]
