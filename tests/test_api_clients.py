"""A client of the endpoints that is gone: its job ends within a step, and the next one's turn comes."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path

import httpx
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from sd_app import Settings, Studio
from sd_app.queue import RUNNING, WAITING, JobQueue
from sd_app.ui import build_ui, make_queue
from sd_app.ui.api import clients
from sd_app.ui.front import middleware

LONG = {"num_inference_steps": 1000, "num_images": 100}


@pytest.fixture(scope="module")
def served(random_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, JobQueue]]:
    outputs, cache = (tmp_path_factory.mktemp(name) for name in ("outputs", "cache"))
    settings = Settings(
        models_dir=random_models, outputs_dir=outputs, cache_dir=cache, model="model-a", batch_size=1
    )
    studio = Studio(settings)
    queue = make_queue(studio)
    demo = build_ui(studio, queue)
    checks = {"middleware": middleware("local")}
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, app_kwargs=checks)
    yield url, queue
    demo.close()


def wait_until(true: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not true():
        assert time.monotonic() < until
        time.sleep(0.02)


def states(queue: JobQueue) -> list[str]:
    return [now.state for now in queue.jobs("")]


def stepping(queue: JobQueue) -> bool:
    return any(now.step and now.step.step for now in queue.jobs(""))


@pytest.fixture(scope="module")
def form(served: tuple[str, JobQueue]) -> list[object]:
    """Return what /txt2img takes, in its order."""
    info = Client(served[0], verbose=False).view_api(return_format="dict")
    assert isinstance(info, dict)
    parameters = info["named_endpoints"]["/txt2img"]["parameters"]
    given = {"prompt": "a cat", **LONG}
    return [given.get(one["parameter_name"], one.get("parameter_default")) for one in parameters]


def test_a_dropped_connection_ends_the_job_running_or_waiting(
    served: tuple[str, JobQueue], form: list[object]
) -> None:
    url, queue = served
    call = f"{url}gradio_api/call/txt2img"
    events = [httpx.post(call, json={"data": form}).json()["event_id"] for _ in range(2)]
    wait_until(lambda: states(queue) == [RUNNING, WAITING] and stepping(queue))
    for event in reversed(events):
        with httpx.stream("GET", f"{call}/{event}", timeout=60) as stream:
            assert stream.status_code == 200
    wait_until(lambda: states(queue) == [])


def test_a_client_that_cancels_ends_its_job(served: tuple[str, JobQueue]) -> None:
    url, queue = served
    client = Client(url, verbose=False)
    job = client.submit(prompt="a cat", api_name="/txt2img", **LONG)
    wait_until(lambda: stepping(queue))
    job.cancel()
    wait_until(lambda: states(queue) == [])


@pytest.mark.parametrize("seconds", [0.0, 0.01, 0.05, 0.2])
def test_a_client_that_cancels_while_its_call_is_being_sent_ends_its_job(
    served: tuple[str, JobQueue], seconds: float
) -> None:
    url, queue = served
    client = Client(url, verbose=False)
    job = client.submit(prompt="a cat", api_name="/txt2img", **LONG)
    time.sleep(seconds)
    job.cancel()
    with pytest.raises((CancelledError, AppError, KeyError, ValueError)):  # however the client says so
        job.result(timeout=60)
    wait_until(lambda: states(queue) == [])
    again = client.submit(prompt="a cat", num_inference_steps=2, api_name="/txt2img")
    assert again.result(timeout=60)["images"]


def test_a_call_whose_answer_nobody_fetches_ends(
    served: tuple[str, JobQueue], form: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, queue = served
    call = f"{url}gradio_api/call/txt2img"
    monkeypatch.setattr(clients, "GRACE", 1.0)
    listened = httpx.post(call, json={"data": form}).json()["event_id"]
    with httpx.stream("GET", f"{call}/{listened}", timeout=60):
        httpx.post(call, json={"data": form}).raise_for_status()
        wait_until(lambda: states(queue) == [RUNNING, WAITING])
        wait_until(lambda: states(queue) == [RUNNING])
        wait_until(lambda: stepping(queue))  # the one that is listened for goes on
    wait_until(lambda: states(queue) == [])


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"event_id": null}', b'{"event_id": "nobody"}', b"\xff"]
)
def test_taking_back_what_is_not_there_changes_nothing(served: tuple[str, JobQueue], body: bytes) -> None:
    assert httpx.post(f"{served[0]}gradio_api/reset", content=body).json() == {"success": True}


def test_a_client_that_stays_gets_its_picture_while_others_are_gone(served: tuple[str, JobQueue]) -> None:
    url, queue = served
    gone = [Client(url, verbose=False) for _ in range(3)]
    jobs = [client.submit(prompt="a dog", api_name="/txt2img", **LONG) for client in gone]
    wait_until(lambda: len(states(queue)) == 3)
    stays = Client(url, verbose=False)
    mine = stays.submit(prompt="a cat", num_inference_steps=2, api_name="/txt2img")
    for job in jobs:
        job.cancel()
    assert mine.result(timeout=60)["images"]
    wait_until(lambda: states(queue) == [])
