"""The order of the line: fair turns, moving and placing what waits, and jobs that their owner holds."""

import threading
import time

import pytest

from sd_app.queue import RUNNING, STOPPED, WAITING, JobQueue, holds
from sd_app.ui.shared.studio_protocol import OnStep
from tests.test_queue import echo, endless, queue_of
from tests.waiting import busy, ended

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


# -- holding


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
