"""A client of the endpoints that is gone: its job ends within a step, and the next one's turn comes."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from gradio_client import Client

from sd_app import Settings, Studio
from sd_app.queue import RUNNING, WAITING, JobQueue
from sd_app.ui import build_ui, make_queue

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
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True)
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
            next(stream.iter_bytes())
    wait_until(lambda: states(queue) == [])


def test_a_client_that_cancels_ends_its_job(served: tuple[str, JobQueue]) -> None:
    url, queue = served
    client = Client(url, verbose=False)
    job = client.submit(prompt="a cat", api_name="/txt2img", **LONG)
    wait_until(lambda: stepping(queue))
    job.cancel()
    wait_until(lambda: states(queue) == [])


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
