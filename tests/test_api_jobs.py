"""Jobs by their id over HTTP: submitted once, followed, fetched and cancelled, also by another client."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from sd_app import Settings, Studio, Txt2ImgRequest
from sd_app.queue import DONE, FAILED, RUNNING, STOPPED, WAITING, JobQueue, KeptLine
from sd_app.requests import InsideRequest, Step
from sd_app.ui import build_ui, make_queue
from sd_app.ui.api.endpoints import job_endpoint
from sd_app.ui.shared.files import PictureFiles
from sd_app.ui.shared.studio_protocol import OnStep

from .waiting import busy, ended

LONG = {"prompt": "a cat", "num_inference_steps": 1000, "num_images": 100}
SHORT = {"prompt": "a cat", "num_inference_steps": 2, "seed": 7}


@pytest.fixture(scope="module")
def studio(random_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Studio:
    outputs, cache = (tmp_path_factory.mktemp(name) for name in ("outputs", "cache"))
    return Studio(
        Settings(
            models_dir=random_models, outputs_dir=outputs, cache_dir=cache, model="model-a", batch_size=1
        )
    )


@pytest.fixture(scope="module")
def served(studio: Studio) -> Iterator[tuple[str, JobQueue]]:
    queue = make_queue(studio)
    demo = build_ui(studio, queue)
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True)
    yield url, queue
    demo.close()


@pytest.fixture
def client(served: tuple[str, JobQueue]) -> Iterator[Client]:
    url, queue = served
    yield Client(url, verbose=False)
    queue.stop("")


def submit(client: Client, values: dict[str, object], endpoint: str = "txt2img", key: str = "") -> str:
    status = client.predict(endpoint, values, key, api_name="/submit")
    assert status["endpoint"] == endpoint
    assert status["key"] == key
    return str(status["job"])


def status(client: Client, job: str) -> dict[str, object]:
    answer: dict[str, object] = client.predict(job, api_name="/status")
    return answer


def wait_for(client: Client, job: str, true: Callable[[dict[str, object]], object]) -> dict[str, object]:
    until = time.monotonic() + 60
    while not true(now := status(client, job)):
        assert time.monotonic() < until, now
        time.sleep(0.02)
    return now


def test_a_job_goes_on_without_its_client_and_another_one_fetches_its_picture(
    client: Client, served: tuple[str, JobQueue], studio: Studio
) -> None:
    job = submit(client, SHORT)
    client.close()
    later = Client(served[0], verbose=False)
    answer = later.predict(job, api_name="/result")
    alone = studio.txt2img(Txt2ImgRequest(**SHORT), save=False)  # type: ignore[arg-type]
    assert Image.open(answer["images"][0]).tobytes() == alone.images[0].tobytes()
    now = status(later, job)
    assert now["state"] == DONE
    assert len(now["images"]) == 1  # type: ignore[arg-type]


def test_a_status_tells_the_place_then_the_steps_then_the_end(
    client: Client, served: tuple[str, JobQueue]
) -> None:
    with busy(served[1]):
        first, second = submit(client, LONG), submit(client, LONG)
        assert [status(client, job)["state"] for job in (first, second)] == [WAITING, WAITING]
        assert [status(client, job)["ahead"] for job in (first, second)] == [1, 2]
    now = wait_for(client, first, lambda now: now["progress"] and now["progress"]["step"] > 10)  # type: ignore[index]
    assert now["state"] == RUNNING
    assert 0 < now["progress"]["fraction"] < 1  # type: ignore[index]
    assert now["progress"]["num_images"] == 100  # type: ignore[index]
    assert [job["job"] for job in client.predict(api_name="/jobs")][:2] == [first, second]
    assert client.predict(second, api_name="/cancel")["state"] == STOPPED
    client.predict(first, api_name="/cancel")
    assert wait_for(client, first, lambda now: now["state"] == STOPPED)["error"] == ""
    with pytest.raises(AppError, match="the job was stopped"):
        client.predict(first, api_name="/result")


def test_a_result_that_nobody_waits_for_any_more_stops_nothing(
    client: Client, served: tuple[str, JobQueue]
) -> None:
    job = submit(client, LONG)
    impatient = Client(served[0], verbose=False)
    waiting = impatient.submit(job, api_name="/result")
    wait_for(client, job, lambda now: now["progress"])
    waiting.cancel()
    step = wait_for(client, job, lambda now: now["progress"])["progress"]["step"]  # type: ignore[index]
    assert wait_for(client, job, lambda now: now["progress"]["step"] > step + 20)["state"] == RUNNING  # type: ignore[index]


def test_one_key_is_one_job(client: Client, served: tuple[str, JobQueue]) -> None:
    with busy(served[1]):
        jobs = [submit(client, SHORT, key="mine") for _ in range(3)]
        assert len(set(jobs)) == 1
        assert submit(client, SHORT, key="other") != jobs[0]
        with pytest.raises(AppError, match="other values"):
            submit(client, {**SHORT, "seed": 8}, key="mine")
    client.predict(jobs[0], api_name="/result")
    assert submit(client, SHORT, key="mine") == jobs[0]  # also when it is done
    assert len({submit(client, SHORT) for _ in range(2)}) == 2  # without a key each is its own


def test_pictures_are_uploaded_with_the_values(client: Client, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    Image.new("RGB", (64, 64), "red").save(photo)
    values = {"prompt": "a cat", "init_image": handle_file(photo), "num_inference_steps": 2, "strength": 1.0}
    same = {submit(client, {**values, "init_image": handle_file(photo)}, "img2img", "k") for _ in range(2)}
    assert len(same) == 1  # a second upload of the same picture is the same picture
    assert client.predict(same.pop(), api_name="/result")["images"]


def test_why_a_job_failed_is_said_with_the_id(
    client: Client, studio: Studio, random_models: Path, served: tuple[str, JobQueue]
) -> None:
    model, hidden = random_models / "model-b", random_models.parent / "hidden"
    with busy(served[1]):
        job = submit(client, {**SHORT, "model": "model-b"})
        after = submit(client, SHORT)
        model.rename(hidden)
    try:
        now = wait_for(client, job, lambda now: now["state"] == FAILED)
    finally:
        hidden.rename(model)
    assert "model-b" in str(now["error"])
    with pytest.raises(AppError, match="model-b"):
        client.predict(job, api_name="/result")
    assert client.predict(after, api_name="/result")["images"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("txt2imgs", SHORT, ""), "endpoint must be one of txt2img, img2img"),
        ((None, SHORT, ""), "endpoint must be one of"),
        (("txt2img", ["a cat"], ""), "values must be /txt2img's parameters by name"),
        (("txt2img", {}, ""), "prompt is missing"),
        (("txt2img", {"prompt": "a cat", "stepz": 3}, ""), "'stepz' is not"),
        (("txt2img", {"prompt": "a cat", "num_inference_steps": 0}, ""), "num_inference_steps must be"),
        (("img2img", {"prompt": "a", "init_image": {"path": "/etc/hostname"}}, ""), "is not here any more"),
        (("txt2img", SHORT, "k" * 201), "key must be a text of at most 200 characters"),
        (("txt2img", SHORT, 7), "key must be a text"),
    ],
)
def test_what_cannot_be_submitted_is_said_at_once(
    client: Client, served: tuple[str, JobQueue], given: tuple[object, ...], words: str
) -> None:
    before = served[1].jobs("")
    with pytest.raises(AppError, match=words):
        client.predict(*given, api_name="/submit")
    assert served[1].jobs("") == before


@pytest.mark.parametrize("endpoint", ["/status", "/result", "/cancel"])
@pytest.mark.parametrize("job", ["", "nobody's", None, 7, ["a"]])
def test_a_job_that_is_not_there_is_said(client: Client, endpoint: str, job: object) -> None:
    with pytest.raises(AppError, match=r"no such job|must be the id"):
        client.predict(job, api_name=endpoint)


def test_a_visitor_of_a_shared_page_sees_no_job_of_another(studio: Studio, random_models: Path) -> None:
    settings = Settings(
        mode="shared", models_dir=random_models, outputs_dir=studio.settings.outputs_dir, model="model-a"
    )
    shared = Studio(settings)
    queue = make_queue(shared)
    demo = build_ui(shared, queue)
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True)
    try:
        mine, other = (Client(url, verbose=False) for _ in range(2))
        job = submit(mine, SHORT, key="same")
        for endpoint in ("/status", "/result", "/cancel"):
            with pytest.raises(AppError, match="no such job"):
                other.predict(job, api_name=endpoint)
        assert other.predict(api_name="/jobs") == []
        assert submit(other, SHORT, key="same") != job
        assert mine.predict(job, api_name="/result")["images"]
    finally:
        demo.close()


def test_a_call_that_was_to_be_kept_goes_on_and_answers_with_all_its_pictures(
    random_models: Path, tmp_path: Path
) -> None:
    studio = Studio(Settings(models_dir=random_models, outputs_dir=tmp_path, model="model-a", batch_size=1))
    files = PictureFiles(tmp_path, shared=False, copies=set())

    def next_start() -> JobQueue:
        queue = JobQueue(kept=KeptLine(tmp_path))
        job_endpoint("txt2img", studio, queue, files)
        return queue

    queue, make = next_start(), studio.txt2img

    def end_after_one(request: Txt2ImgRequest, on_step: OnStep) -> object:
        def told(step: Step) -> None:
            on_step(step)
            if step.paths and queue._kept:
                queue._kept.close()  # as the end of the process does; the later pictures are not written down

        return make(request, told)

    queue.restore()
    queue.register(replace(queue._kinds["http txt2img"], make=end_after_one))
    request = Txt2ImgRequest(prompt="a cat", model="model-a", seed=7, num_images=4, num_inference_steps=2)
    job = queue.submit("me", "http txt2img", request, details={"key": "mine"})
    ended(queue, job)
    again = next_start()
    again.restore()
    (now,) = again.jobs("me")
    found = again.find(job.id, "me")
    ended(again, found)
    assert now.details["key"] == "mine"
    assert found.state == DONE
    answer = again.now(found).outcome
    assert isinstance(answer, dict)
    assert answer["seeds"] == [7, 8, 9, 10]
    assert len(list(tmp_path.glob("2*/*.png"))) == len(answer["images"]) == 4


def test_a_look_inside_goes_on_after_a_restart_with_the_files_it_needs(
    studio: Studio, tmp_path: Path
) -> None:
    """The picture's file is kept as it is, with the request inside; the uploads end with the app."""
    files = PictureFiles(tmp_path, shared=False, copies=set())

    def next_start() -> JobQueue:
        queue = JobQueue(kept=KeptLine(tmp_path))
        job_endpoint("inside", studio, queue, files)
        queue.restore()
        return queue

    picture = Txt2ImgRequest(prompt="a cat", model="model-a", seed=7, num_inference_steps=2)
    made = studio.txt2img(picture).paths[0]
    upload = tmp_path / "upload.png"
    upload.write_bytes(made.read_bytes())
    queue = next_start()
    with busy(queue):
        request = InsideRequest(picture=upload, panels=("film",))
        job = queue.submit("me", "http inside", request, details={"key": "mine"})
        assert queue._kept
        queue._kept.close()  # as the end of the process does
    ended(queue, job)
    upload.unlink()
    again = next_start()
    found = again.find(job.id, "me")
    ended(again, found)
    now = again.now(found)
    assert (now.state, now.failure, now.details["key"]) == (DONE, "", "mine")
    assert isinstance(now.outcome, dict)
    assert now.outcome["is_identical"] is True
    assert [panel["name"] for panel in now.outcome["panels"]] == ["film"]
