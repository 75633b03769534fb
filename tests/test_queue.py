"""The one line of jobs: order, fairness, limits, who sees what, following, stopping, pausing."""

import gc
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from sd_app import Cancelled, Txt2ImgRequest, WalkRequest
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
    holds,
    job_queue,
    work_of,
)
from sd_app.queue.job_queue import REMEMBERED
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


# -- order


def test_jobs_of_one_owner_run_one_at_a_time_in_the_order_they_came() -> None:
    at_once, most, order = 0, 0, []
    lock = threading.Lock()

    def make(number: object, on_step: OnStep) -> None:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
            order.append(number)
        time.sleep(0.01)
        with lock:
            at_once -= 1

    queue = queue_of(make)
    with busy(queue, "me"):
        jobs = [queue.submit("me", "job", k) for k in range(5)]
        assert [queue.now(job).ahead for job in jobs] == [1, 2, 3, 4, 5]
        assert queue.now(jobs[0]).waiting_text == "Waiting for 1 job before you"
        assert queue.now(jobs[1]).waiting_text == "Waiting for 2 jobs before you"
    ended(queue, *jobs)
    assert (order, most) == ([0, 1, 2, 3, 4], 1)


def owners_in_line(queue: JobQueue) -> list[str]:
    return [now.owner for now in queue.jobs("") if now.state == WAITING]


def test_a_hundred_jobs_of_one_delay_another_by_one_job() -> None:
    queue = queue_of(echo)
    with busy(queue, "many"):
        mine = [queue.submit("many", "job", k) for k in range(100)]
        late = queue.submit("late", "job", None)
        assert queue.now(late).ahead == 1  # the running one alone
        again = queue.submit("late", "job", None)
        assert owners_in_line(queue)[:4] == ["late", "many", "late", "many"]
        third = queue.submit("third", "job", None)
        assert queue.now(third).ahead == 2
    ended(queue, *mine, late, again, third)


def test_two_with_many_jobs_take_turns_and_keep_their_own_order() -> None:
    queue = queue_of(echo)
    with busy(queue, "gate"):
        jobs = [queue.submit(owner, "job", k) for owner in ("a", "b") for k in range(10)]
        assert owners_in_line(queue) == ["a", "b"] * 10
        assert [now.request for now in queue.jobs("") if now.owner == "b"] == list(range(10))
    ended(queue, *jobs)


def test_moving_changes_places_with_the_neighbour_and_stops_at_the_ends() -> None:
    queue = queue_of(echo)
    with busy(queue, "me"):
        jobs = [queue.submit("me", "job", k) for k in range(3)]
        assert queue.move(jobs[2].id, "me", -1)
        assert [queue.now(job).ahead for job in jobs] == [1, 3, 2]
        assert queue.move(jobs[0].id, "me", 1)
        assert [queue.now(job).ahead for job in jobs] == [2, 3, 1]
        assert not queue.move(jobs[2].id, "me", -1)
        assert not queue.move(jobs[1].id, "me", 1)
        assert not queue.move("forged", "me", 1)
    ended(queue, *jobs)


def test_clearing_takes_out_what_waits_and_leaves_what_runs() -> None:
    queue = queue_of(echo, private=True)
    with busy(queue, "me") as running:
        jobs = [queue.submit(owner, "job", None) for owner in ("me", "other", "me")]
        assert queue.clear("me") == 2
        assert [job.state for job in jobs] == [STOPPED, WAITING, STOPPED]
        assert running.state == RUNNING
    ended(queue, *jobs)


def test_a_visitor_moves_only_their_own_jobs_past_their_own() -> None:
    queue = queue_of(echo, private=True)
    with busy(queue, "gate"):
        jobs = [queue.submit(owner, "job", k) for owner in ("a", "b") for k in range(2)]
        assert owners_in_line(queue) == []
        assert not queue.move(jobs[0].id, "b", 1)
        assert queue.move(jobs[3].id, "b", -1)
        assert [queue.now(job).ahead for job in jobs] == [1, 3, 4, 2]  # a's are where they were
    ended(queue, *jobs)


def test_a_job_is_placed_after_any_other_and_the_others_keep_their_order() -> None:
    queue = queue_of(echo)
    with busy(queue, "gate") as running:
        jobs = [queue.submit("me", "job", k) for k in range(5)]

        def order() -> list[object]:
            return [now.request for now in queue.jobs("") if now.state == WAITING]

        assert queue.place(jobs[0].id, "me", jobs[3].id) == 4
        assert order() == [1, 2, 3, 0, 4]
        assert queue.place(jobs[4].id, "me", jobs[1].id) == 2
        assert order() == [1, 4, 2, 3, 0]
        assert queue.place(jobs[3].id, "me", None) == 1
        assert order() == [3, 1, 4, 2, 0]
        assert queue.place(jobs[0].id, "me", running.id) == 1  # right after what runs
        assert order() == [0, 3, 1, 4, 2]
        assert queue.place(jobs[3].id, "me", jobs[0].id) == 2  # where it is
        assert queue.place("forged", "me", None) == queue.place(jobs[0].id, "me", jobs[0].id) == 0
        assert order() == [0, 3, 1, 4, 2]
    ended(queue, *jobs)


def test_a_visitor_places_their_jobs_in_their_own_places_only() -> None:
    queue = queue_of(echo, private=True)
    with busy(queue, "gate"):
        jobs = [queue.submit(owner, "job", None) for owner in ("a", "b") for _ in range(3)]
        assert queue.place(jobs[3].id, "b", jobs[5].id) == 3
        assert [queue.now(job).ahead for job in jobs] == [1, 3, 5, 6, 2, 4]
        assert queue.place(jobs[0].id, "b", None) == 0  # a's
        assert queue.place(jobs[3].id, "b", jobs[2].id) == 1  # of what they see, none is before it
        assert [queue.now(job).ahead for job in jobs] == [1, 3, 5, 2, 4, 6]
    ended(queue, *jobs)


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
    assert shown.paused
    assert shown.step
    assert (shown.step.step, shown.step.image_index) == (0, 2)  # what it waits at is told
    assert queue.now(waiting).waiting_text == "Waiting for 1 job before you; the line is paused"
    queue.resume()
    ended(queue, running)
    assert (pictures[:4], running.outcome) == ([0, 1, 2, 3], 4)
    ended(queue, waiting)


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


def test_who_holds_their_jobs_lets_everybody_elses_go_on() -> None:
    order: list[object] = []
    queue = queue_of(lambda request, on_step: order.append(request), private=True)
    with busy(queue, "gate"):
        mine = [queue.submit("me", "job", f"mine {k}") for k in range(2)]
        theirs = [queue.submit("they", "job", f"theirs {k}") for k in range(2)]
        queue.hold("me", held=True)
        assert (queue.is_held("me"), queue.is_held("they")) == (True, False)
        assert [queue.now(job).ahead for job in theirs] == [1, 2]  # who is held is no longer before them
        shown = queue.now(mine[0])
        assert (shown.held, shown.paused, shown.waiting_text) == (True, False, "Held (Resume is under Jobs)")
        assert not queue.now(theirs[0]).held
    ended(queue, *theirs)
    assert order == ["theirs 0", "theirs 1"]
    late = queue.submit("they", "job", "late")
    ended(queue, late)
    assert [job.state for job in mine] == [WAITING, WAITING]
    queue.hold("me", held=False)
    ended(queue, *mine)
    assert order[3:] == ["mine 0", "mine 1"]


def test_a_hold_ends_by_itself_and_takes_no_place_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holds, "HOLD_SECONDS", 0.0)
    queue = queue_of(echo, private=True)
    with busy(queue, "gate"):
        job = queue.submit("me", "job", None)
        queue.hold("me", held=True)
        assert not queue.is_held("me")
    ended(queue, job)
    monkeypatch.setattr(holds, "HOLD_SECONDS", 3600.0)
    queue.hold("me", held=True)
    held = queue.submit("me", "job", None)
    monkeypatch.setattr(time, "monotonic", lambda now=time.monotonic: now() + 3601)  # an hour later
    assert queue.jobs("somebody") == []  # whoever looks
    ended(queue, held)


def test_what_a_holder_runs_is_finished() -> None:
    queue = queue_of(endless, private=True)
    job = queue.submit("me", "job", None)
    events = queue.follow(job)
    while (now := next(events)) is None or now.step is None:
        pass
    queue.hold("me", held=True)
    version = job.version
    while job.version < version + 3:  # it goes on
        time.sleep(0.002)
    assert not queue.now(job).held
    queue.stop("me")
    ended(queue, job)


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
