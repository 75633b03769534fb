"""The line on disk: what is written and read again, what is set aside, what a cut-off job goes on with."""

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sd_app import (
    Img2ImgRequest,
    InpaintRequest,
    InterrogateRequest,
    MatchRequest,
    PlaneRequest,
    Settings,
    Studio,
    Txt2ImgRequest,
    WalkRequest,
)
from sd_app.metadata import save_image
from sd_app.queue import DONE, FAILED, STOPPED, WAITING, JobQueue, KeptLine, Kind
from sd_app.queue.recovery import finished, left_to_make, newest
from sd_app.queue.stored import StoredJob, request_of, request_values
from sd_app.ui.inside.recording_job import RecordAsked
from sd_app.ui.shared.studio_protocol import OnStep
from tests.waiting import ended, step

REQUEST = Txt2ImgRequest(prompt="a cat", seed=7, num_images=4)
RESOLVED = replace(
    REQUEST, model="m", scheduler="DDIM", num_inference_steps=2, guidance_scale=5.0, width=64, height=64
)
PICTURE = Path(__file__).parents[1] / ".github/words.png"
RED, GREY = Image.new("RGB", (16, 16), "red"), Image.new("L", (16, 16), 200)
BAD = '{"version": 1, "jobs": [null, {"id": "a", "owner": "b", "kind": "c", "title": "d", "request": []}]}'


def line(
    outputs: Path, make: Callable[..., object] = lambda request, on_step: None, **more: object
) -> JobQueue:
    queue = JobQueue(kept=KeptLine(outputs))
    for request_type in (Txt2ImgRequest, Img2ImgRequest):
        name = request_type.__name__
        queue.register(
            Kind(
                name=name,
                make=make,
                request_type=request_type,
                summary=str,
                lost=lambda paths, text, job: text,
                **more,  # type: ignore[arg-type]
            )
        )
    return queue


def paused(outputs: Path, **more: object) -> JobQueue:
    queue = line(outputs, **more)  # type: ignore[arg-type]
    queue.pause()
    queue.restore()
    return queue


def titles(queue: JobQueue) -> list[str]:
    return [now.title for now in queue.jobs("") if now.state == WAITING]


# -- what is written and read


@pytest.mark.parametrize(
    "request_",
    [
        REQUEST,
        Img2ImgRequest(prompt="é (a:1.2) \U0001f600", init_image=RED, strength=0.5, seed=3),
        InpaintRequest(
            prompt="", init_image=RED, mask_image=Image.new("L", (16, 16), 200), outpaint=(8, 0, 0, 8)
        ),
        WalkRequest(a="cat", b="dog", frames=3),
        PlaneRequest(a="cat", b="dog", direction="big"),
        InterrogateRequest(image=RED, caption="", mode="fast"),
        MatchRequest(images=[RED, RED.copy()], texts=["a", "b"]),
        RecordAsked(
            picture=PICTURE,
            title="mine",
            request=InpaintRequest(prompt="a", init_image=RED, mask_image=GREY, seed=3),
        ),
    ],
    ids=lambda request: type(request).__name__,
)
def test_a_request_survives_the_trip_through_the_file(tmp_path: Path, request_: object) -> None:
    kept = KeptLine(tmp_path)
    kept.restore({}, str)
    stored = kept.storable(request_)
    text = json.dumps(request_values(stored, tmp_path / ".queue"))
    assert request_of(type(request_), json.loads(text), tmp_path / ".queue") == stored


def test_pictures_are_kept_by_their_content_to_the_bit_and_swept_when_nobody_needs_them(
    tmp_path: Path,
) -> None:
    queue = paused(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (20, 24, 3), np.uint8)
    photo = tmp_path / "photo.png"
    Image.fromarray(pixels).save(photo)
    first = queue.submit(
        "me", "Img2ImgRequest", Img2ImgRequest(prompt="a", init_image=Image.fromarray(pixels))
    )
    second = queue.submit("me", "Img2ImgRequest", Img2ImgRequest(prompt="b", init_image=photo))
    third = queue.submit("me", "Img2ImgRequest", Img2ImgRequest(prompt="c", init_image=photo))
    photo.unlink()  # the line has its own
    for job in (first, second, third):
        with Image.open(job.request.init_image) as kept:
            assert np.array_equal(np.asarray(kept), pixels)
    assert second.request.init_image == third.request.init_image
    pictures = tmp_path / ".queue" / "pictures"
    assert {path.name for path in pictures.iterdir()} == {
        Path(job.request.init_image).name for job in (first, second)
    }
    queue.stop("me", job_id=third.id)
    assert Path(second.request.init_image).is_file()
    queue.stop("me")
    assert list(pictures.iterdir()) == []


def test_a_job_on_its_way_keeps_its_picture_when_another_that_has_the_same_one_ends(tmp_path: Path) -> None:
    queue = paused(tmp_path)
    kept = queue._kept
    assert kept
    request = Img2ImgRequest(prompt="a", init_image=RED)
    first = queue.submit("me", "Img2ImgRequest", request)
    second, third = (kept.storable(request) for _ in range(2))  # as submit begins, in other threads
    queue.stop("me", job_id=first.id)
    assert Path(second.init_image).is_file()
    kept.arrived(second)  # it was refused
    queue.stop("me", job_id=queue.submit("me", "Img2ImgRequest", request).id)
    assert Path(third.init_image).is_file()
    kept.arrived(third)
    queue.stop("me", job_id=queue.submit("me", "Img2ImgRequest", request).id)
    assert not Path(third.init_image).exists()


def test_a_picture_drawn_from_a_kept_file_is_the_same(random_studio: Studio, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    asked = Img2ImgRequest(prompt="a", init_image=Image.fromarray(pixels), seed=1, strength=0.5)
    kept = KeptLine(tmp_path)
    kept.restore({}, str)
    first, second = (
        random_studio.img2img(request, save=False).images[0] for request in (asked, kept.storable(asked))
    )
    assert first.tobytes() == second.tobytes()


def test_what_waits_is_there_again_in_its_order_with_its_owner_and_id(tmp_path: Path) -> None:
    queue = paused(tmp_path)
    jobs = [
        queue.submit("me", "Txt2ImgRequest", Txt2ImgRequest(prompt=word), title=word, work=5)
        for word in "abc"
    ]
    queue.move(jobs[2].id, "me", -1)
    queue.stop("me", job_id=jobs[0].id)
    queue.close()
    again = paused(tmp_path)
    assert titles(again) == ["c", "b"]
    found = again.find(jobs[1].id, "me")
    assert (found.owner, found.work, found.request) == ("me", 5, jobs[1].request)
    assert found.request.seed is not None  # drawn when it was asked for
    again.stop("me")
    again.close()
    assert titles(paused(tmp_path)) == []


def test_a_press_and_what_is_not_to_be_kept_are_not_written(tmp_path: Path) -> None:
    queue = paused(tmp_path)
    queue.register(Kind(name="press", make=lambda *_: None, passing=True))
    queue.submit("me", "press", None)
    queue.submit("me", "Txt2ImgRequest", REQUEST, keep=False)
    queue.close()
    assert titles(paused(tmp_path)) == []


def test_what_a_killed_app_left_half_written_is_swept(tmp_path: Path) -> None:
    for folder in (tmp_path / ".queue", tmp_path / ".queue" / "pictures"):
        folder.mkdir()
        (folder / ".a.1234.partial").write_text("half")
    paused(tmp_path)
    assert list(tmp_path.rglob("*.partial")) == []


# -- bad files


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is damaged"),
        ('{"version": 1, "jobs": [', "is damaged"),
        ("[]", "is damaged"),
        ('{"version": true, "jobs": []}', "is damaged"),
        ('{"version": 1, "jobs": 3}', "is damaged"),
        ('{"version": 2, "jobs": []}', "was written by a newer version"),
        ("[" * 100_000, "is damaged"),
        ('{"version": 1, "jobs": [{"id": 3}]}', "holds jobs that cannot be read"),
        (BAD, "holds jobs that cannot be read"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_set_aside_and_said_and_the_line_goes_on(
    tmp_path: Path, text: str, words: str
) -> None:
    folder = tmp_path / ".queue"
    folder.mkdir()
    (folder / "jobs.json").write_text(text)
    queue = line(tmp_path)
    queue.restore()
    assert words in queue.note
    assert "jobs-1.json" in queue.note
    assert (folder / "jobs-1.json").read_text() == text
    job = queue.submit("me", "Txt2ImgRequest", REQUEST)
    ended(queue, job)
    assert job.state == DONE


def test_bytes_that_are_no_text_are_set_aside(tmp_path: Path) -> None:
    (tmp_path / ".queue").mkdir()
    (tmp_path / ".queue" / "jobs.json").write_bytes(b"\xff\xfe\x00")
    queue = line(tmp_path)
    queue.restore()
    assert "cannot be read" in queue.note


def test_a_job_that_cannot_go_on_says_why_and_the_others_do(tmp_path: Path) -> None:
    queue = paused(tmp_path)
    gone = queue.submit("me", "Img2ImgRequest", Img2ImgRequest(prompt="a", init_image=RED), title="gone")
    queue.submit("me", "Txt2ImgRequest", REQUEST, title="good")
    queue.close()
    Path(gone.request.init_image).unlink()
    again = line(tmp_path)
    again.restore()
    lost = again.find(gone.id, "me")
    assert lost.state == FAILED
    assert "the picture that the job needs is not there any more" in lost.failure
    (other,) = [again.find(now.id, "me") for now in again.jobs("me") if now.title == "good"]
    ended(again, other)
    assert other.state == DONE


def test_a_stored_name_leads_nowhere_else(tmp_path: Path) -> None:
    folder = tmp_path / ".queue"
    folder.mkdir()
    RED.save(tmp_path / "secret.png")
    values = {"prompt": "a", "init_image": {"picture": "../secret.png"}}
    with pytest.raises(ValueError, match="not there any more"):
        request_of(Img2ImgRequest, values, folder)


def test_two_apps_on_one_folder_keep_one_line_and_the_second_says_so(tmp_path: Path) -> None:
    first, second = paused(tmp_path), paused(tmp_path)
    first.submit("me", "Txt2ImgRequest", REQUEST, title="first")
    second.submit("me", "Txt2ImgRequest", REQUEST, title="second")
    assert first.note == ""
    assert "another app that runs keeps its own" in second.note
    second.close()
    first.close()
    assert titles(paused(tmp_path)) == ["first"]


def test_a_folder_that_cannot_be_written_costs_only_the_keeping(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    queue = line(blocked)
    queue.restore()
    assert queue.note.startswith("What waits is not kept for the next start")
    job = queue.submit("me", "Img2ImgRequest", Img2ImgRequest(prompt="a", init_image=RED))
    ended(queue, job)
    assert job.state == DONE


def test_a_model_that_is_gone_when_its_turn_comes_is_said_and_the_next_job_runs(
    random_models: Path, tmp_path: Path
) -> None:
    settings = Settings(models_dir=random_models, outputs_dir=tmp_path, model="model-a")
    studio = Studio(settings)
    queue = line(tmp_path, studio.txt2img)
    queue.restore()
    gone = queue.submit("me", "Txt2ImgRequest", replace(REQUEST, model="gone"))
    good = queue.submit(
        "me", "Txt2ImgRequest", Txt2ImgRequest(prompt="a", model="model-a", num_inference_steps=1)
    )
    ended(queue, gone, good)
    assert (gone.state, good.state) == (FAILED, DONE)
    assert "model must be one of" in gone.failure


# -- the job that ran


def save(outputs: Path, seed: int, **changed: object) -> Path:
    return save_image(RED, replace(RESOLVED, **changed), outputs_dir=outputs, seed=seed)  # type: ignore[arg-type]


def stored(outputs: Path, paths: list[Path], **more: object) -> StoredJob:
    names = [path.relative_to(outputs).as_posix() for path in paths]
    known: dict[str, object] = {"running": True, "tries": 1, "paths": names, **more}
    return StoredJob(id="a", owner="me", kind="Txt2ImgRequest", title="", request={}, **known)  # type: ignore[arg-type]


def test_pictures_that_were_saved_and_not_written_down_are_found(tmp_path: Path) -> None:
    save(tmp_path, 7)  # an older job's
    after = newest(tmp_path)
    first, second = save(tmp_path, 7), save(tmp_path, 8)
    save(tmp_path, 9, prompt="a dog")  # another program's
    save(tmp_path, 12)
    job = stored(tmp_path, [first], after=after)
    assert finished(job, REQUEST, tmp_path) == (first, second)
    rest = left_to_make(job, REQUEST, (first, second))
    assert (rest.seed, rest.num_images) == (9, 2)
    assert left_to_make(job, REQUEST, (first,) * 4) is None


def test_in_an_empty_folder_the_first_picture_is_found_too(tmp_path: Path) -> None:
    assert newest(tmp_path) == ""
    first = save(tmp_path, 7)
    assert newest(tmp_path) == f"{date.today().isoformat()}/000000000"
    assert finished(stored(tmp_path, []), REQUEST, tmp_path) == (first,)


def test_a_walk_begins_anew_only_if_none_of_it_is_there(tmp_path: Path) -> None:
    walk = WalkRequest(a="cat", b="dog", frames=3, seed=7)
    job = stored(tmp_path, [])
    assert left_to_make(job, walk, ()) is walk
    assert left_to_make(job, walk, (Path("a.png"),)) is None


def test_what_ended_the_app_twice_is_not_begun_again(tmp_path: Path) -> None:
    assert left_to_make(stored(tmp_path, [], tries=2), REQUEST, ()) is None


def cut_off(outputs: Path, count: int) -> JobQueue:
    """Return the line of the next start after a job was cut off with `count` pictures made."""
    reached, hold = threading.Event(), threading.Event()

    def make(request: Txt2ImgRequest, on_step: OnStep) -> None:
        paths = [save(outputs, (request.seed or 0) + k) for k in range(count)]
        on_step(step(paths=tuple(paths)))
        reached.set()
        hold.wait(60)

    queue = line(outputs, make)
    queue.restore()
    queue.submit("me", "Txt2ImgRequest", REQUEST, title="cut")
    assert reached.wait(60)
    assert queue._kept
    queue._kept.close()  # as the end of the process does; nothing is written any more
    hold.set()
    return paused(outputs)


def test_the_cut_off_job_goes_on_with_what_is_missing_and_shows_what_is_there(tmp_path: Path) -> None:
    queue = cut_off(tmp_path, 3)
    (now,) = queue.jobs("me")
    assert (now.state, len(now.paths), now.request.seed, now.request.num_images) == (WAITING, 3, 10, 1)
    queue.stop("me")
    (now,) = queue.jobs("me")
    assert (now.state, now.outcome) == (STOPPED, "Stopped. 3 pictures finished before")


def test_a_cut_off_job_of_which_all_is_there_is_done(tmp_path: Path) -> None:
    queue = cut_off(tmp_path, 4)
    (now,) = queue.jobs("me")
    assert (now.state, now.summary) == (DONE, "4 pictures finished before the app ended")


def test_an_orderly_end_counts_as_no_try(tmp_path: Path) -> None:
    reached, hold = threading.Event(), threading.Event()

    def make(request: object, on_step: OnStep) -> None:
        reached.set()
        while not hold.wait(0.01):
            on_step(step())  # hears that the app ends

    for _ in range(4):
        queue = line(tmp_path, make)
        queue.restore()
        if not queue.jobs("me"):
            queue.submit("me", "Txt2ImgRequest", REQUEST)
        assert reached.wait(60)
        queue.close()
        assert all(now.ended for now in queue.jobs("me"))  # in this process; the next one begins it again
        reached.clear()
