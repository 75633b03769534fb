"""The tab "Look inside" without a browser: what is open, who may look, and how a panel asks."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
from fastapi.testclient import TestClient
from gradio.routes import App
from PIL import Image

from sd_app import Settings, Studio, Txt2ImgRequest
from sd_app.probes.recording import Recording
from sd_app.queue import JobQueue, KeptLine
from sd_app.requests import LookAnswer
from sd_app.ui import build_ui, choose_access, launch_options, make_queue, theme_options
from sd_app.ui.inside.answers import answer_json, picture_url
from sd_app.ui.inside.desk import CLOSED, MOST_OF_ONE, MOST_OPEN, NO_FILM, Desk
from sd_app.ui.inside.recording_job import RecordAsked, named, record, shown
from sd_app.ui.inside.tab import InsideEvents
from sd_app.ui.shared.files import PictureFiles
from sd_app.ui.shared.made_pictures import MOST, MadePictures
from tests.test_observers import KINDS, RUN
from tests.waiting import ended

REQUEST = Txt2ImgRequest(prompt="a red cat", **RUN)
NOT_ONE = " (choose a .safetensors file that Look inside has made)."


@pytest.fixture(scope="module")
def studio(random_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Studio:
    """A studio over random weights, with folders of its own."""
    folder = tmp_path_factory.mktemp("inside")
    settings = Settings(
        device="cpu",
        models_dir=random_models,
        outputs_dir=folder / "outputs",
        cache_dir=folder / "cache",
        model="model-a",
    )
    return Studio(settings)


@pytest.fixture(scope="module")
def served(studio: Studio) -> Iterator[tuple[TestClient, Desk]]:
    """The page's routes, and its desk."""
    demo = build_ui(studio)
    options = {**launch_options(choose_access(environ={})), **theme_options()}
    app = App.create_app(demo, app_kwargs=options["app_kwargs"])
    with TestClient(app, base_url="http://127.0.0.1") as client:
        yield client, demo.desk


@pytest.fixture
def desk(studio: Studio, tmp_path: Path) -> Desk:
    return Desk(studio, make_queue(studio), PictureFiles(tmp_path, shared=False, copies=set()))


def make(studio: Studio, **changed: Any) -> Any:
    return studio.txt2img(replace(REQUEST, **changed))


def film_of(studio: Studio) -> Recording:
    """Make a picture, and return what passed meanwhile."""
    recording = studio.film_of(make(studio).request_of(0))
    assert recording
    return recording


def ask(client: TestClient, **asked: Any) -> Any:
    answer = client.post("/inside/ask", json=asked)
    while "job" in answer.json():
        answer = client.post("/inside/job", json={"key": asked["key"], "job": answer.json()["job"]})
    return answer


# -- the pictures made last


def test_a_pictures_token_finds_its_own_request_and_no_other_word_does(studio: Studio) -> None:
    made = MadePictures()
    result = make(studio, num_images=2)
    made.note(result, "me")
    for number, path in enumerate(result.paths):
        found = made.find(made.token_of(path))
        assert found
        assert (found.path, found.request, found.owner) == (path, result.request_of(number), "me")
    assert made.token_of(Path("other.png")) == ""
    assert made.find("") is None
    first = made.token_of(result.paths[0])
    made.note(result, "me")  # a file that is written again is another picture
    assert made.find(first) is None


def test_only_the_latest_pictures_are_remembered(studio: Studio) -> None:
    made = MadePictures()
    result = make(studio)
    for number in range(MOST + 3):
        made.note(replace(result, paths=(Path(f"{number}.png"),)), "me")
    assert [made.token_of(Path(f"{number}.png")) != "" for number in (2, 3, MOST + 2)] == [False, True, True]


# -- the desk


def test_a_result_has_its_film_at_once_by_its_token(studio: Studio, desk: Desk) -> None:
    result = make(studio)
    desk.files.made.note(result, "me")
    token = desk.files.made.token_of(result.paths[0])
    opened = desk.find(token)
    assert opened.looked.recording is studio.film_of(result.request_of(0))
    assert desk.find(token) is opened
    assert opened.owner == "me"
    desk.files.made.note(replace(result, request=replace(result.request, prompt="never made")), "me")
    with pytest.raises(LookupError, match="not in memory any more"):
        desk.find(desk.files.made.token_of(result.paths[0]))
    assert "Look inside" in NO_FILM


def test_only_so_much_is_open_and_a_visitor_puts_away_their_own(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = film_of(studio)
    desk = Desk(studio, make_queue(studio), PictureFiles(tmp_path, shared=False, copies=set()))
    keys = [desk.open(studio.look(recording), "me").key for _ in range(MOST_OPEN + 1)]
    with pytest.raises(LookupError, match="put away"):
        desk.find(keys[0])
    assert desk.find(keys[1]).key == keys[1]
    desk.open(studio.look(recording), "me")
    assert desk.find(keys[1]).key == keys[1]  # what was used last stays longest

    monkeypatch.setattr(desk, "_private", True)
    other = desk.open(studio.look(recording), "other").key
    for _ in range(MOST_OPEN):
        desk.open(studio.look(recording), "me")
    assert desk.find(other).owner == "other"
    own = [one for one in desk._open.values() if one.owner == "me"]
    assert len(own) == MOST_OF_ONE


def test_large_recordings_make_room_for_the_latest_and_one_alone_may_be_larger(
    studio: Studio, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = film_of(studio)
    monkeypatch.setattr("sd_app.ui.inside.desk.MOST_BYTES", 2 * recording.num_bytes)
    keys = [desk.open(studio.look(recording), "me").key for _ in range(3)]
    assert [key in desk._open for key in keys] == [False, True, True]
    monkeypatch.setattr("sd_app.ui.inside.desk.MOST_BYTES", 1)
    key = desk.open(studio.look(recording), "me").key
    assert list(desk._open) == [key]


def test_visitors_open_recordings_of_their_own_pictures_only(
    studio: Studio, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert desk.may_open("anybody", "a.safetensors")
    monkeypatch.setattr(desk, "_private", True)
    assert not desk.may_open("me", "a.safetensors")
    desk.own("me", "a.safetensors")
    assert desk.may_open("me", "a.safetensors")
    assert not desk.may_open("you", "a.safetensors")


def test_a_run_is_compared_with_those_that_its_visitor_may_open(
    studio: Studio, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "_private", True)
    recording = studio.record(REQUEST)
    [name, *_] = studio.recordings()
    for owner, listed in (("me", [name]), ("you", [])):
        opened = desk.open(studio.look(recording), owner)
        desk.own("me", name)
        kept = desk.answer(opened, "parting", "kept", {})
        assert isinstance(kept, LookAnswer)
        assert [one["name"] for one in kept.numbers["kept"]] == listed  # type: ignore[attr-defined]
        if listed:
            same = desk.answer(opened, "parting", "compare", {"with": "kept", "kept": name})
            assert isinstance(same, LookAnswer)
            assert same.numbers["said"] == "Nothing parts: both runs are the same at every step."
        else:
            with pytest.raises(ValueError, match="not kept any more"):
                desk.answer(opened, "parting", "compare", {"with": "kept", "kept": name})


# -- what is recorded


def test_a_recorded_picture_says_whether_it_is_the_same_and_how_large_it_is(
    studio: Studio, desk: Desk
) -> None:
    result = make(studio)
    asked = RecordAsked(picture=result.paths[0], title="mine.png", request=result.request_of(0))
    recorded = record(studio, asked, lambda step: None)
    assert recorded.identical
    assert asked.sizes
    [name] = studio.recordings()[:1]
    assert recorded.name == name
    assert abs(asked.sizes[-1] / (studio._recordings().folder / name).stat().st_size - 1) < 0.05
    value = shown(desk, recorded.looked, "me", sentence=recorded.sentence, identical=True)
    assert desk.find(value["key"]).looked is recorded.looked
    assert {panel["name"] for panel in value["panels"] if panel["script"]} >= {"film"}


def test_a_file_without_parameters_is_looked_at_alone_and_named_as_the_person_knows_it(
    studio: Studio, tmp_path: Path
) -> None:
    path = tmp_path / "0a1b2c.png"
    Image.new("RGB", (64, 64), "red").save(path)
    recorded = record(studio, RecordAsked(picture=path, title="holiday.png"), lambda step: None)
    assert recorded.identical is None
    assert recorded.sentence.startswith("holiday.png holds no parameters")
    assert "0a1b2c" not in recorded.sentence
    assert recorded.looked.reason == recorded.sentence


def test_the_fields_of_a_refusal_are_called_as_on_the_page() -> None:
    asked = RecordAsked(picture=Path("x.png"), title="my.png")
    text = "x.png began from another picture (give that one as init_image, and its mask as mask_image)"
    assert named(text, asked) == (
        "my.png began from another picture (give that one under Began from, and its mask under Mask)."
    )


@pytest.mark.parametrize("kind", ["img2img", "inpaint", "blend", "walk"])
def test_every_kind_of_result_is_looked_into_with_all_that_its_file_does_not_hold(
    studio: Studio, desk: Desk, kind: str
) -> None:
    request: Any = KINDS[kind]
    result = getattr(studio, kind)(replace(request, num_images=1))  # in a batch the last bits round otherwise
    desk.files.made.note(result, "me")
    path = result.paths[0]
    made = desk.files.made.find(desk.files.made.token_of(path))
    assert made
    film = desk.find(desk.files.made.token_of(path)).looked.recording
    assert film.request == made.request
    recorded = record(
        studio, RecordAsked(picture=path, title="a.png", request=made.request), lambda step: None
    )
    assert recorded.identical, recorded.sentence


def events_of(desk: Desk) -> InsideEvents:
    return InsideEvents(
        studio=desk.studio, queue=desk.queue, files=desk.files, desk=desk, source=gr.HTML(), view=gr.HTML()
    )


def test_a_look_that_waits_is_there_after_a_restart_with_all_that_it_began_from(
    studio: Studio, tmp_path: Path
) -> None:
    """The page's own copies of the pictures are gone by then."""
    inpainting: Any = replace(KINDS["inpaint"], num_images=1)
    result = studio.inpaint(inpainting)
    handed_out = Path(shutil.copy(result.paths[0], tmp_path / "copy.png"))
    asked = RecordAsked(picture=handed_out, title="mine.png", request=result.request_of(0))

    def started() -> JobQueue:
        queue = JobQueue(kept=KeptLine(tmp_path / "outputs"))
        desk = Desk(studio, queue, PictureFiles(tmp_path, shared=False, copies=set()))
        queue.register(events_of(desk).kind)
        queue.pause()
        queue.restore()
        return queue

    queue = started()
    queue.submit("me", "inside", asked, title="a cat")
    queue.close()
    handed_out.unlink()
    queue = started()
    [waiting] = queue.jobs("me")
    job = queue.find(waiting.id, "me")
    queue.resume()
    ended(queue, job)
    outcome: Any = job.outcome
    assert (job.title, outcome["phase"], outcome["identical"]) == ("a cat", "done", True)
    queue.close()


def test_a_damaged_recording_is_said_in_the_list_and_the_others_are_there(studio: Studio, desk: Desk) -> None:
    good = studio.record(REQUEST)
    damaged = studio._recordings().folder / "20990101-000000-1-abcdef.safetensors"
    damaged.write_bytes(b"nothing")
    events = events_of(desk)
    try:
        first, second = events.listed("me")["kept"][:2]
        assert first == {"name": damaged.name, "problem": f"{damaged.name} is not a recording{NOT_ONE}"}
        assert second["prompt"] == good.request.prompt
        value = events.open_recording({"name": damaged.name}, "me")
        assert (value["phase"], value["text"]) == ("error", first["problem"])
        for wrong in ({"name": "../../x"}, {"name": 3}, None):
            assert events.open_recording(wrong, "me")["phase"] == "error"
        again = events.open_recording({"name": second["name"]}, "me")
        assert desk.find(again["key"]).looked.recording.request == good.request
    finally:
        damaged.unlink()


# -- the routes


def test_a_panel_is_asked_by_key_and_answers_with_arrays_and_pictures(
    studio: Studio, served: tuple[TestClient, Desk]
) -> None:
    client, desk = served
    recording = film_of(studio)
    key = desk.open(studio.look(recording), "me").key
    answer = ask(client, key=key, panel="film", action="begin").json()["answer"]
    assert answer["numbers"]["first"][-1] == recording.num_calls
    last = answer["pictures"][f"conditional:{recording.num_calls}"]
    assert last == picture_url(recording.decoded)
    files = ask(client, key=key, panel="film", action="files").json()["answer"]["numbers"]
    names = {file["name"] for file in files["files"]}
    assert {"film-conditional.png", "film-steps.csv", "film.npz"} <= names
    path = next(file["path"] for file in files["files"] if file["name"] == "film.npz")
    served_file = client.get(f"/gradio_api/file={path}")
    assert served_file.status_code == 200


def test_arrays_travel_as_float32_and_what_json_lacks_as_null() -> None:

    values = np.arange(6, dtype=np.float64).reshape(2, 3)
    numbers: dict[Any, object] = {
        "a": values,
        "n": np.float32(0.5),
        "none": float("nan"),
        "deep": [{"b": values[0]}],
        3: (1, 2),
    }
    files: Any = None
    answer = answer_json(LookAnswer(numbers=numbers), files)["numbers"]
    assert answer["a"]["shape"] == [2, 3]
    assert (answer["n"], answer["none"], answer["3"]) == (0.5, None, [1, 2])
    assert answer["deep"][0]["b"]["shape"] == [3]


@pytest.mark.parametrize(
    ("asked", "status", "words"),
    [
        ({}, 410, "put away"),
        ({"key": "guessed", "panel": "film", "action": "begin"}, 410, "put away"),
        ({"key": ["x"], "panel": "film", "action": "begin"}, 410, "put away"),
        ({"key": True, "panel": 3, "action": None}, 400, "panel and an action"),
        ({"key": True, "panel": "film", "action": "nothing"}, 400, "no such action"),
        ({"key": True, "panel": "film", "action": "x" * 200}, 400, "panel and an action"),
        ({"key": True, "panel": "../film", "action": "begin"}, 400, "must be some of"),
        ({"key": True, "panel": "film", "action": "frames", "given": [1]}, 400, "panel and an action"),
        ({"key": True, "panel": "film", "action": "frames", "given": {"row": {}}}, 400, "must be one of"),
    ],
)
def test_a_bad_question_is_answered_in_words(
    studio: Studio, served: tuple[TestClient, Desk], asked: dict[str, Any], status: int, words: str
) -> None:
    client, desk = served
    if asked.get("key") is True:
        recording = film_of(studio)
        asked = {**asked, "key": desk.open(studio.look(recording), "me").key}
    answer = ask(client, **{"key": None, **asked})
    assert answer.status_code == status
    assert words in answer.json()["error"]
    assert "Traceback" not in answer.text


def test_the_routes_take_small_objects_from_this_page_only(served: tuple[TestClient, Desk]) -> None:
    client, _ = served
    for body in (b"", b"[]", b"nonsense", b"[" * 5000, b'{"key": "' + b"x" * 100_000 + b'"}'):
        answer = client.post("/inside/ask", content=body)
        assert (answer.status_code, answer.json()["gone"]) == (410, True)
    foreign = client.post("/inside/ask", json={}, headers={"Origin": "https://a.example"})
    assert (foreign.status_code, foreign.text) == (403, "Foreign origin.")
    assert client.get("/inside/ask").status_code == 405
    assert client.post("/inside/other", json={}).status_code == 404
    assert CLOSED in "this was put away since (open it again)"


def test_what_runs_waits_in_the_line_and_can_be_stopped(
    studio: Studio, served: tuple[TestClient, Desk]
) -> None:
    client, desk = served
    queue: JobQueue = desk.queue
    recording = film_of(studio)
    key = desk.open(studio.look(recording), "me").key
    queue.pause()
    try:
        answer = client.post("/inside/ask", json={"key": key, "panel": "film", "action": "begin"}).json()
        assert answer["text"] == "Next in the line; the line is paused"
        named_jobs = [now.title for now in queue.jobs("me") if not now.ended]
        assert named_jobs == ["How the noise became the picture"]
        other = desk.open(studio.look(recording), "you").key
        foreign = client.post("/inside/stop", json={"key": other, "job": answer["job"]})
        assert foreign.status_code == 410
        job = desk.job(desk.find(key), answer["job"])
        assert client.post("/inside/stop", json={"key": key, "job": answer["job"]}).json() == {}
        ended(queue, job)
        last = client.post("/inside/job", json={"key": key, "job": answer["job"]})
        assert (last.status_code, last.json()) == (400, {"error": "Stopped.", "stopped": True})
    finally:
        queue.resume()


def test_what_a_page_asked_for_ends_when_the_page_is_gone(
    studio: Studio, served: tuple[TestClient, Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, desk = served
    recording = film_of(studio)
    opened = desk.open(studio.look(recording), "me")
    monkeypatch.setattr("sd_app.ui.inside.desk.GONE_SECONDS", -1.0)
    job = desk.submit(opened, "sweep", "files", {})
    ended(desk.queue, job)
    assert job.state == "stopped"
    assert opened.looked.on_step is None


def test_where_there_is_a_password_a_key_alone_opens_nothing(studio: Studio) -> None:
    demo = build_ui(studio)
    options = launch_options(choose_access(environ={}, auth="me:secret"))
    app: Any = App.create_app(demo, app_kwargs=options["app_kwargs"])
    app.auth = options["auth"]
    with TestClient(app, base_url="http://127.0.0.1") as client:
        key = demo.desk.open(studio.look(film_of(studio)), "me").key
        asked = {"key": key, "panel": "guidance", "action": "begin"}
        refused = client.post("/inside/ask", json=asked)
        assert (refused.status_code, "not logged in" in refused.json()["error"]) == (401, True)
        assert client.post("/login", data={"username": "me", "password": "secret"}).status_code == 200
        assert client.post("/inside/ask", json=asked).status_code == 200
