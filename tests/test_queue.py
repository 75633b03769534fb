"""The one line of jobs: following, who sees what, ends, pausing, limits. Its order: test_queue_order.py."""

import gc
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from sd_app import Cancelled, Settings, Studio, Txt2ImgRequest, WalkRequest
from sd_app.queue import (
    DONE,
    FAILED,
    FRAME_SECONDS,
    RUNNING,
    STOPPED,
    WAITING,
    Job,
    JobNow,
    JobQueue,
    Kind,
    Limits,
    job_queue,
    work_of,
)
from sd_app.queue.job_queue import REMEMBERED
from sd_app.ui.shared.making_job import running_text
from sd_app.ui.shared.studio_protocol import OnStep
from tests.waiting import busy, ended, step


def queue_of(make: Callable[[object, OnStep], object], **more: object) -> JobQueue:
    """Return a line that knows one kind of job."""
    queue = JobQueue(**more)  # type: ignore[arg-type]
    queue.register(Kind(name="job", make=make, tab="jobs"))
    queue.register(Kind(name="press", make=make, tab="jobs", passing=True))
    return queue


def echo(request: object, on_step: OnStep) -> object:
    return request


def endless(request: object, on_step: OnStep) -> str:
    """Tell steps until stopped."""
    try:
        while True:
            on_step(step())
            time.sleep(0.002)
    except Cancelled:
        return "what was finished"


def seen(queue: JobQueue, job: Job) -> list[JobNow]:
    return [now for now in queue.follow(job) if now is not None]


# -- following


def test_any_number_follow_one_job_from_any_moment_to_its_end() -> None:
    go_on = threading.Event()

    def make(request: object, on_step: OnStep) -> str:
        on_step(step(1, 2, preview=Image.new("RGB", (8, 8), "red"), paths=(Path("a.png"),)))
        go_on.wait(60)
        on_step(step(2, 2))
        time.sleep(2 * FRAME_SECONDS)
        return "made"

    queue = queue_of(make)
    job = queue.submit("me", "job", "asked")
    first = queue.follow(job)
    while (now := next(first)) is None or now.step is None:
        pass
    late = queue.follow(queue.find(job.id, "somebody"))  # found by its id
    told = next(late)
    assert told
    assert (told.state, told.request, told.paths) == (RUNNING, "asked", (Path("a.png"),))
    assert told.step
    assert told.step.preview  # the latest one, for who comes late
    go_on.set()
    for events in (first, late):
        *_, last = [now for now in events if now]
        assert (last.state, last.outcome, last.step, last.request) == (DONE, "made", None, None)
    (after,) = seen(queue, job)
    assert after.outcome == "made"


def test_who_stops_following_ends_no_job_that_is_kept() -> None:
    queue = queue_of(endless)
    job = queue.submit("me", "job", None)
    events = queue.follow(job)
    next(events)
    events.close()
    assert any(now and now.step for now in queue.follow(job))
    assert not job.ended
    queue.stop("me")
    ended(queue, job)


@pytest.mark.parametrize("keep", [None, False])
def test_who_stops_following_ends_a_job_that_is_not_kept_running_or_waiting(keep: bool | None) -> None:
    queue = queue_of(endless)
    kind = "press" if keep is None else "job"
    running = queue.submit("me", kind, None, keep=keep)
    waiting = queue.submit("me", kind, None, keep=keep)
    for job in (waiting, running):
        events = queue.follow(job)
        next(events)
        events.close()
    ended(queue, running, waiting)
    assert (running.state, waiting.state) == (DONE, STOPPED)
    assert queue.jobs("me") == []  # and it is forgotten
    with pytest.raises(ValueError, match="no such job"):
        queue.find(running.id, "me")


def test_following_is_silent_no_longer_than_a_pulse() -> None:
    queue = queue_of(echo)
    with busy(queue):
        job = queue.submit("me", "job", None)
        events = queue.follow(job)
        assert next(events)
        assert next(events) is None
    ended(queue, job)


def test_what_the_line_itself_dies_of_fails_one_job_and_the_next_one_runs() -> None:
    def summary(outcome: object) -> str:
        if outcome == "odd":
            raise KeyError(outcome)
        return "fine"

    queue = JobQueue(say=lambda error: "a fault")
    queue.register(Kind(name="job", make=echo, summary=summary))
    odd, fine = (queue.submit("me", "job", request) for request in ("odd", "fine"))
    ended(queue, odd, fine)
    assert [(now.state, now.failure) for now in queue.jobs("me")] == [(DONE, ""), (FAILED, "a fault")]


def test_the_oldest_of_all_may_be_the_one_too_many_of_its_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_queue, "REMEMBERED", 2)
    monkeypatch.setattr(job_queue, "REMEMBERED_OF_ALL", 3)
    queue = queue_of(echo)
    for owner in ("me", "me", "you", "me", "they", "you"):
        job = queue.submit(owner, "job", owner)
        ended(queue, job)
    assert [now.owner for now in queue.jobs("")] == ["you", "they", "me"]


def test_what_has_ended_is_small_and_there_are_only_so_many() -> None:
    class Large:
        """A result with pictures."""

    alive: list[weakref.ref[Large]] = []

    def make(request: object, on_step: OnStep) -> Large:
        large = Large()
        alive.append(weakref.ref(large))
        on_step(step(preview=Image.new("RGB", (8, 8))))
        return large

    queue = JobQueue()
    queue.register(Kind(name="job", make=make, keep=lambda result, job: "small"))
    jobs = [queue.submit("me", "job", Large()) for _ in range(REMEMBERED + 10)]
    other = queue.submit("other", "job", None)
    ended(queue, *jobs, other)
    with busy(queue):  # what ran before is over
        gc.collect()
        assert [ref() for ref in alive] == [None] * len(alive)
    mine = [now for now in queue.jobs("me") if now.owner == "me"]
    assert [now.id for now in mine] == [job.id for job in reversed(jobs[10:])]
    assert all(job.request is None and job.context is None for job in jobs)
    assert queue.find(other.id, "other").outcome == "small"


# -- who sees what


def test_visitors_see_find_and_stop_their_own_jobs_only() -> None:
    queue = queue_of(endless, private=True)
    mine = queue.submit("me", "job", None)
    other = queue.submit("other", "job", None)
    assert [now.id for now in queue.jobs("me")] == [mine.id]
    assert queue.of_tab("jobs", "other") is other
    with pytest.raises(ValueError, match="no such job"):
        queue.find(mine.id, "other")
    assert queue.stop("other", job_id=mine.id) == 0
    assert queue.stop("nobody") == 0
    assert queue.stop("other") == 1
    assert (mine.ended, other.state) == (False, STOPPED)
    queue.stop("me")
    ended(queue, mine)


def test_on_ones_own_machine_everybody_sees_and_stops_everything() -> None:
    queue = queue_of(endless)
    jobs = [queue.submit(owner, "job", None) for owner in ("a", "b")]
    assert queue.of_tab("jobs", "c") is jobs[0]
    assert len(queue.jobs("c")) == 2
    assert queue.stop("c", tab="jobs") == 1  # what the tab shows: the running one
    ended(queue, jobs[0])
    assert not jobs[1].ended
    assert queue.stop("c") == 1
    ended(queue, jobs[1])


# -- ends


def test_stop_raises_cancelled_in_the_job_and_its_result_is_kept() -> None:
    queue = queue_of(endless)
    job = queue.submit("me", "job", None)
    events = queue.follow(job)
    while (now := next(events)) is None or now.step is None:
        pass
    queue.stop("me")
    *_, last = [now for now in events if now]
    assert last.outcome == "what was finished"


def test_a_waiting_job_that_is_stopped_never_runs() -> None:
    ran = []
    queue = queue_of(lambda request, on_step: ran.append(request))
    with busy(queue):
        job = queue.submit("me", "job", "never")
        events = queue.follow(job)
        assert next(events).state == WAITING  # type: ignore[union-attr]
        assert queue.stop("me", job_id=job.id) == 1
        assert [now.state for now in events if now] == [STOPPED]
    after = queue.submit("me", "job", "next")
    ended(queue, after)
    assert ran == ["next"]


def test_whatever_a_job_dies_of_it_is_said_and_the_next_one_runs() -> None:
    def make(error: object, on_step: OnStep) -> None:
        if error is not None:
            raise error  # type: ignore[misc]

    queue = queue_of(make)
    jobs = [queue.submit("me", "job", error) for error in (ValueError("too wide"), SystemExit(3), None)]
    ended(queue, *jobs)
    assert [job.state for job in jobs] == [FAILED, FAILED, DONE]
    assert [job.failure for job in jobs] == ["too wide", "SystemExit", ""]


# -- pausing


def test_a_paused_line_begins_nothing_and_goes_on_where_it_was() -> None:
    pictures = []
    two_done = threading.Event()

    def make(count: object, on_step: OnStep) -> int:
        for index in range(int(str(count))):
            on_step(step(1, 1, image_index=index, num_images=3))
            pictures.append(index)
            if len(pictures) == 2:
                queue.pause()
                two_done.set()
            on_step(step(0, 1, image_index=index + 1, num_images=3))
        return len(pictures)

    queue = queue_of(make)
    running, waiting = queue.submit("me", "job", 4), queue.submit("me", "job", 0)
    assert two_done.wait(60)
    time.sleep(0.05)
    assert (pictures, running.state, waiting.state) == ([0, 1], RUNNING, WAITING)
    shown = queue.now(running)
    assert (shown.paused, shown.rests) == (True, True)
    assert shown.step
    assert (shown.step.step, shown.step.image_index) == (0, 2)  # what it waits at is told
    assert queue.now(waiting).waiting_text == "Waiting for 1 job before you; the line is paused"
    queue.resume()
    ended(queue, running)
    assert (pictures[:4], running.outcome) == ([0, 1, 2, 3], 4)
    ended(queue, waiting)


def test_a_pause_that_comes_when_a_picture_has_begun_does_not_call_it_paused() -> None:
    texts: list[str] = []

    def make(request: object, on_step: OnStep) -> None:
        on_step(step(0, 2))
        queue.pause()
        for number in (1, 2):
            texts.append(running_text(queue.now(job), "Working"))
            on_step(step(number, 2))
        threading.Timer(0.05, queue.resume).start()
        on_step(step(0, 2))
        texts.append(running_text(queue.now(job), "Working"))
        rests.append(queue.now(job).rests)

    rests: list[bool] = []
    queue = queue_of(make)
    queue.pause()
    job = queue.submit("me", "job", None)
    queue.resume()
    ended(queue, job)
    assert texts == ["Working, then a pause"] * 2 + ["Working"]
    assert rests == [False]


def test_a_paused_job_shows_all_pictures_that_are_finished(random_models: Path, tmp_path: Path) -> None:
    """Those made last are saved behind the work that follows, which a pause holds up."""
    studio = Studio(Settings(models_dir=random_models, outputs_dir=tmp_path, model="model-a"))
    queue = JobQueue()
    queue.register(Kind(name="txt2img", make=studio.txt2img))
    request = Txt2ImgRequest(
        prompt="a cat", seed=1, num_inference_steps=4, num_images=80, width=384, height=384
    )
    job = queue.submit("me", "txt2img", request)
    for now in queue.follow(job):
        if now is None or now.step is None or not now.step.step:
            continue
        queue.pause()
        break
    while (step := queue.now(job).step) is None or step.text != "Finished":
        time.sleep(0.002)
    now = queue.now(job)
    assert now.step
    assert 0 < now.step.image_index < 80
    assert now.step.image_index % 4 == 0  # what is made together is finished
    assert len(now.paths) == now.step.image_index
    queue.stop("me")
    queue.resume()
    ended(queue, job)


def test_a_paused_job_can_be_stopped_and_the_line_stays_paused() -> None:
    def make(request: object, on_step: OnStep) -> None:
        queue.pause()
        on_step(step(0))

    queue = queue_of(make)
    running, waiting = (queue.submit("me", "job", None) for _ in range(2))
    while not queue.paused:
        time.sleep(0.002)
    queue.stop("me", job_id=running.id)
    ended(queue, running)
    assert (running.state, waiting.state, queue.paused) == (STOPPED, WAITING, True)
    queue.stop("me")
    assert waiting.state == STOPPED


# -- limits


def test_one_person_may_have_so_many_waiting_and_is_told_how_many() -> None:
    queue = queue_of(echo, limits=Limits(waiting=2, everybody=3))
    with busy(queue):
        jobs = [queue.submit("a", "job", None) for _ in range(2)]
        with pytest.raises(ValueError, match="takes 2 waiting jobs of one person, and yours are 2"):
            queue.submit("a", "job", None)
        jobs.append(queue.submit("b", "job", None))
        with pytest.raises(ValueError, match="3 jobs are waiting already"):
            queue.submit("c", "job", None)
    ended(queue, *jobs)


def test_one_person_may_ask_for_so_much_work_and_is_told_how_much() -> None:
    request = Txt2ImgRequest(prompt="a", width=1000 * 8, height=1000, num_inference_steps=10, num_images=5)
    assert work_of(request, None) == 400_000_000
    assert work_of(Txt2ImgRequest(prompt="a"), None) == 512 * 512 * 25
    walk = WalkRequest(a="cat", b="dog", frames=4, width=64, height=64, num_inference_steps=2)
    assert work_of(walk, None) == 64 * 64 * 2 * 4
    queue = queue_of(echo, limits=Limits(waiting=9, everybody=9, work=600_000_000))
    with busy(queue):
        jobs = [queue.submit("a", "job", None, work=400_000_000)]
        with pytest.raises(ValueError, match="at most 600 million, this job would make it 800 million"):
            queue.submit("a", "job", None, work=400_000_000)
        jobs += [queue.submit("a", "job", None, work=200_000_000), queue.submit("b", "job", None, work=9)]
    ended(queue, *jobs)


def test_two_hundred_jobs_at_once_all_run() -> None:
    queue = queue_of(echo)
    jobs: list[Job] = []
    threads = [
        threading.Thread(target=lambda: jobs.extend(queue.submit("me", "job", k) for k in range(20)))
        for _ in range(10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ended(queue, *jobs)
    assert [job.state for job in jobs] == [DONE] * 200
