"""A Space's GPU is asked for once a job, for as long as the job needs it, and only by jobs that need it.

The app runs with the real package `spaces`; what keeps the books is tests/zero_gpu.py.
"""

import json
import socket
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from sd_app import Cancelled, InterrogateRequest, InterrogateStep, Settings, Step, Studio, Txt2ImgRequest
from sd_app.interrogator.models import EMBEDDED_CAPTIONER, EMBEDDED_CLIP
from sd_app.settings import EMBEDDED_MODEL
from sd_app.ui.shared.gpu import EMBEDDED, SpaceStudio, lend_gpu
from tests.interrogating import held_out
from tests.zero_gpu import Booking, DeviceManager, lending, space

TOKEN = "a.e30.c"  # a visitor's, as the Space's front puts it into each request; its payload is {}
VISITOR = {"x-ip-token": TOKEN}


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@dataclass(frozen=True, kw_only=True)
class Running:
    """The Space, who lends it the card, and a client."""

    manager: DeviceManager
    url: str
    log: Path
    client: Client

    def call(self, name: str, **fields: object) -> Any:
        return self.client.predict(**fields, api_name=f"/{name}")

    def press(
        self, shown: str, event: str, values: Mapping[str, object], session: str = ""
    ) -> list[dict[str, Any]]:
        """Trigger an event of a component of the page as a browser does; return what it was answered.

        The component is the button with that label or the block of that class; `values` replace the form's
        own by label.
        """
        config = httpx.get(self.url + "config", headers=VISITOR).json()
        known = {one["id"]: one["props"] for one in config["components"]}
        found = next(
            one
            for one in config["dependencies"]
            for number, name in one["targets"]
            if name == event
            and shown in (known[number].get("value"), *(known[number].get("elem_classes") or ()))
        )
        session = session or uuid.uuid4().hex
        data = [values.get(known[i].get("label"), known[i].get("value")) for i in found["inputs"]]
        body = {
            "data": data,
            "fn_index": found["id"],
            "session_hash": session,
            "event_data": values.get("event"),
        }
        api = self.url + "gradio_api/"
        if found["queue"] is False:
            return [httpx.post(api + "run/predict", json=body, headers=VISITOR).raise_for_status().json()]
        httpx.post(api + "queue/join", json=body, headers=VISITOR).raise_for_status()
        with httpx.stream(
            "GET", f"{api}queue/data?session_hash={session}", headers=VISITOR, timeout=60
        ) as answer:
            told = [json.loads(line[5:]) for line in answer.iter_lines() if line.startswith("data:")]
        return [one for one in told if one["msg"] in ("process_generating", "process_completed")]


@pytest.fixture(scope="module")
def running(random_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("space")
    with (
        lending() as (manager, manager_url),
        space(folder, random_models, manager_url=manager_url, port=free_port()) as (url, log),
    ):
        client = Client(url, headers=VISITOR, verbose=False)
        yield Running(manager=manager, url=url, log=log, client=client)


@pytest.fixture
def booked(running: Running) -> list[Booking]:
    """Forget earlier loans, not their process; return the list of those that come."""
    running.manager.refusal = None
    del running.manager.bookings[:-1]
    running.manager.bookings[:] = [replace(one, seconds=0) for one in running.manager.bookings]
    return running.manager.bookings


def loans(bookings: list[Booking]) -> list[Booking]:
    return [one for one in bookings if one.seconds]


def wait_for(true: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not true():
        assert time.monotonic() < until
        time.sleep(0.05)


def picture(folder: Path) -> object:
    path = folder / "cat.png"
    Image.new("RGB", (64, 64), "red").save(path)
    return handle_file(str(path))


def test_what_needs_no_gpu_asks_for_none(running: Running, booked: list[Booking], tmp_path: Path) -> None:
    assert len(running.call("models")) >= 2
    assert running.call("tokens", prompt="a cat", model="model-a")["count"] == 2
    assert running.call("txt2img", prompt="a cat", num_inference_steps=1, width=64, height=64)["seeds"]
    assert running.call("match", images=[picture(tmp_path)], texts=["a cat"])["cosines"]
    assert running.call("interrogate", image=picture(tmp_path), caption="a", mode="fast")["prompt"]
    form = {"Prompt": "a cat", "Model": "model-a"}
    shown = running.press("Show the numbers", "click", form)
    assert "done" in json.dumps(shown)
    row = {"prompt": "a cat", "row": 1, "side": 0, "model": "model-a", "clip_skip": 1}
    near = running.press("on-tokens", "look_up", {"event": row})
    assert '"near": [["' in json.dumps(near)
    assert loans(booked) == []
    assert running.manager.workers == set()


def test_page_and_api_share_one_process_and_each_job_is_booked_once_for_its_own_time(
    running: Running, booked: list[Booking], tmp_path: Path
) -> None:
    few = {"prompt": "a cat", "model": "model-a", "num_inference_steps": 1, "width": 64, "height": 64}
    running.call("txt2img", **few)
    running.call("img2img", **few, init_image=picture(tmp_path), strength=1)
    running.call("txt2img", **{**few, "num_images": 12, "num_inference_steps": 20})
    form = {"Prompt": "a cat", "Model": "model-a", "Steps": 1, "Width": 64, "Height": 64}
    assert "done" in json.dumps(running.press("Generate", "click", form))
    short, picture_too, long, page = loans(booked)
    assert max(short.seconds, picture_too.seconds, page.seconds) < long.seconds
    assert short.seconds < 30
    assert len({one.task for one in booked}) == 1
    assert len(running.manager.workers) == 1
    assert all(one.released for one in booked)
    assert {one.token for one in booked} == {TOKEN}


def test_a_job_that_is_stopped_gives_the_card_back(running: Running, booked: list[Booking]) -> None:
    form = {"Prompt": "a cat", "Model": "model-a", "Steps": 150, "Pictures": 4}
    with ThreadPoolExecutor(1) as others:
        job = others.submit(running.press, "Generate", "click", form, "visitor")
        wait_for(lambda: bool(loans(booked)))
        assert not booked[-1].released
        running.press("Stop everything", "click", {}, "visitor")
        shown = json.dumps(job.result())
    assert "Stopped" in shown
    assert booked[-1].released
    assert len(running.manager.workers) == 1


def test_a_visitor_without_minutes_left_is_told_in_words(running: Running, booked: list[Booking]) -> None:
    running.manager.refusal = {"left": 7, "wait": 3600}
    with pytest.raises(AppError) as refused:
        running.call("txt2img", prompt="a cat", model="model-a")
    text = str(refused.value)
    assert text.startswith("the GPU is not lent now: You have exceeded your")
    assert "7s left" in text
    assert "tiny-sd needs none" in text
    assert "<" not in text
    assert running.call("txt2img", prompt="a", num_inference_steps=1, width=64, height=64)["seeds"]


def test_a_job_longer_than_any_loan_is_refused_before_it_is_booked(
    running: Running, booked: list[Booking]
) -> None:
    with pytest.raises(AppError, match=r"for about .* seconds, and one is lent for 300 at most"):
        running.call(
            "txt2img",
            prompt="a",
            model="model-a",
            num_images=100,
            width=1024,
            height=1024,
            num_inference_steps=99,
        )
    with pytest.raises(AppError, match=r"model must be one of tiny-sd.*got elsewhere"):
        running.call("txt2img", prompt="a", model="elsewhere")
    assert loans(booked) == []


def test_what_goes_wrong_over_there_comes_back_in_its_own_words(
    running: Running, booked: list[Booking]
) -> None:
    with pytest.raises(AppError, match="must have words or a number here"):
        running.call("txt2img", prompt="{row: cat + 2*}", model="model-a")
    with pytest.raises(AppError, match="lora"):
        running.call("txt2img", prompt="a cat <lora:nowhere:1>", model="model-a")
    assert all(one.released for one in booked)
    assert len(running.manager.workers) == 1


def test_the_app_starts_and_ends_without_a_traceback(running: Running) -> None:
    assert "Traceback" not in running.log.read_text()


# -- what a borrowed card's events become, in one process


def nothing_lent(task: object, duration: object) -> object:
    return task  # as the real decorator does where no card is lent


@pytest.fixture
def borrower(random_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr("sd_app.ui.shared.gpu.EMBEDDED", ("none",))
    return SpaceStudio(Studio(replace(random_settings, mode="space", batch_size=1)), nothing_lent)


def test_a_borrowed_job_tells_its_steps_and_can_be_stopped(borrower: Any) -> None:
    request = Txt2ImgRequest(prompt="a cat", model="model-a", seed=7, num_images=3, num_inference_steps=100)
    steps: list[Step] = []
    assert borrower.txt2img(request, steps.append).seeds == (7, 8, 9)
    assert steps[0].text == "Asking for a GPU for 23 s"  # three pictures of a hundred steps
    assert steps[-1].step >= 1

    def stop_after_one(step: Step) -> None:
        if step.images:
            raise Cancelled

    stopped = borrower.txt2img(replace(request, num_images=20, num_inference_steps=100), stop_after_one)
    assert stopped.stopped
    assert 1 <= len(stopped.images) < 20
    assert stopped.images[0].size == (64, 64)
    with pytest.raises(ValueError, match="scheduler"):
        borrower.txt2img(replace(request, scheduler="Magic"), steps.append)


def test_a_borrowed_search_that_is_stopped_returns_the_best_so_far(borrower: Any) -> None:
    request = InterrogateRequest(
        image=held_out(3)[0], clip_model="tiny-clip", caption="a drawing", mode="deep"
    )

    def stop(step: Step) -> None:
        if isinstance(step, InterrogateStep) and step.accepted:
            raise Cancelled

    result = borrower.interrogate(request, stop)
    assert result.stopped
    assert result.prompt == ", ".join(["a drawing", *result.phrases])
    assert len(result.phrases) >= 1
    assert not borrower.interrogate(replace(request, mode="fast", max_phrases=1)).stopped


def test_the_embedded_models_are_those_that_borrow_nothing() -> None:
    assert set(EMBEDDED) == {EMBEDDED_MODEL, EMBEDDED_CLIP, EMBEDDED_CAPTIONER}


@pytest.mark.parametrize("mode", ["local", "shared", "space"])
def test_where_no_card_is_lent_the_studio_is_called_itself(random_settings: Settings, mode: str) -> None:
    studio = Studio(replace(random_settings, mode=mode))
    assert lend_gpu(studio) is studio
