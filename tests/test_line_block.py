"""The block of the line on the page: what its buttons and a drag do, for the owner and for visitors."""

import pytest

from sd_app.queue import JobQueue, Kind
from sd_app.ui.line.line import do, line_value
from tests.waiting import busy, ended


@pytest.mark.parametrize("own_line", [True, False])
def test_a_drag_puts_a_job_after_another_and_says_where_it_is_now(own_line: bool) -> None:
    queue = JobQueue(private=not own_line)
    queue.register(Kind(name="job", make=lambda request, on_step: None))
    with busy(queue, "me") as running:
        jobs = [queue.submit("me", "job", None, title=str(k)) for k in range(3)]

        def drag(job_id: object, after: object) -> str:
            return do(queue, "me", {"do": "place", "id": job_id, "after": after}, own_line=own_line)

        def titles() -> list[str]:
            return [row["title"] for row in line_value(queue, "me", own_line=own_line)["jobs"][1:]]

        assert drag(jobs[0].id, jobs[1].id) == "Moved: number 2 of what waits."
        assert titles() == ["1", "0", "2"]
        assert drag(jobs[2].id, running.id) == "Moved: number 1 of what waits."
        assert drag(jobs[1].id, None) == "Moved: number 1 of what waits."
        assert titles() == ["1", "2", "0"]
        for gone, after in (("forged", None), (None, 3), (jobs[0].id, jobs[0].id)):
            assert drag(gone, after) == "It is not there to be moved any more."
        assert titles() == ["1", "2", "0"]
    ended(queue, *jobs)


def test_the_owner_pauses_the_line_and_a_visitor_only_what_is_theirs() -> None:
    queue = JobQueue(private=True)
    queue.register(Kind(name="job", make=lambda request, on_step: None))
    with busy(queue, "gate"):
        mine, theirs = (queue.submit(owner, "job", None) for owner in ("me", "they"))
        assert do(queue, "me", {"do": "pause"}, own_line=False).startswith("Yours that wait are held")
        shown, others = (line_value(queue, viewer, own_line=False) for viewer in ("me", "they"))
        assert (shown["paused"], others["paused"], queue.paused) == (True, False, False)
        assert (shown["jobs"][0]["text"], others["jobs"][0]["text"]) == ("Held", "1 before it")
    ended(queue, theirs)
    assert not mine.ended
    assert do(queue, "me", {"do": "resume"}, own_line=False) == "Yours take their turns again."
    ended(queue, mine)
    assert do(queue, "owner", {"do": "pause"}, own_line=True).startswith("Paused. The pictures")
    assert (queue.paused, line_value(queue, "owner", own_line=True)["paused"]) == (True, True)
    do(queue, "owner", {"do": "resume"}, own_line=True)
    assert not queue.paused
