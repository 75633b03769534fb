"""Who a visitor is, and what a page that is opened anew finds of their jobs."""

import re
from collections.abc import Iterator

import gradio as gr
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from sd_app.queue import JobNow, JobQueue, Kind
from sd_app.ui.shared.job_events import Asked, JobView
from sd_app.ui.shared.tab_jobs import TabJobs
from sd_app.ui.shared.visitors import COOKIE, VisitorMiddleware, owner_of
from tests.waiting import busy, ended


def answer(request: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


@pytest.fixture
def site() -> TestClient:
    routes = [Route("/", answer), Route("/other", answer)]
    return TestClient(Starlette(routes=routes, middleware=[Middleware(VisitorMiddleware)]))


def test_a_browser_gets_a_long_name_once_that_no_script_can_read(site: TestClient) -> None:
    given = site.get("/").headers["set-cookie"]
    assert re.match(rf"{COOKIE}=[\w-]{{43}}; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax$", given)
    assert "set-cookie" not in site.get("/").headers
    site.cookies.clear()
    assert site.get("/").headers["set-cookie"] != given
    assert "set-cookie" not in site.get("/other").headers


@pytest.mark.parametrize("forged", ["", "x", "me; admin", "a" * 44, "é" * 43, "../" * 14 + "a"])
def test_a_name_that_is_none_is_replaced(site: TestClient, forged: str) -> None:
    header = f"{COOKIE}={forged}".encode()
    assert COOKIE in site.get("/", headers=[(b"cookie", header)]).headers["set-cookie"]


def test_behind_https_the_name_works_in_a_frame_of_another_site(site: TestClient) -> None:
    given = site.get("/", headers={"x-forwarded-proto": "https"}).headers["set-cookie"]
    assert given.endswith("HttpOnly; SameSite=None; Secure; Partitioned")


def visit(cookie: str | None, session: str) -> gr.Request:
    headers = [(b"cookie", f"{COOKIE}={cookie}".encode())] if cookie is not None else []
    scope = {"type": "http", "method": "POST", "path": "/", "headers": headers, "query_string": b""}
    return gr.Request(Request(scope), session_hash=session)


def test_the_owner_is_the_name_and_without_a_good_one_the_session() -> None:
    assert owner_of(visit("a" * 43, "one")) == owner_of(visit("a" * 43, "two")) == "a" * 43
    assert owner_of(visit(None, "one")) == "one"
    assert owner_of(visit("everybody", "one")) == "one"
    assert owner_of(gr.Request(session_hash="one")) == "one"


class Words(JobView[str]):
    def waiting(self, now: JobNow) -> str:
        return f"{now.title} waits"

    def running(self, now: JobNow) -> str:
        return f"{now.title} runs"

    def finished(self, now: JobNow) -> str:
        return str(now.outcome)

    def stopped(self, now: JobNow) -> str:
        return f"{now.title} was stopped"

    def failed(self, message: str, now: JobNow | None) -> str:
        return message


def tab_of(*, private: bool) -> TabJobs[str]:
    def make(request: object, on_step: object) -> object:
        if request == "bad":
            raise ValueError("bad luck")
        return request

    queue = JobQueue(private=private)
    queue.register(Kind(name="job", make=make, tab="tab"))
    return TabJobs(tab="tab", queue=queue, mode="local", view_of=lambda _: Words())


def press(tab: TabJobs[str], owner: str, page: str, request: str) -> Iterator[str]:
    return tab.events(lambda: Asked(kind="job", request=request, title=request), owner, page)


def test_a_page_that_is_opened_anew_finds_the_job_that_waits_and_follows_it_to_its_end() -> None:
    tab = tab_of(private=True)
    with busy(tab.queue):
        events = press(tab, "me", "page", "a")
        assert next(events) == "a waits"
        events.close()  # type: ignore[attr-defined]
        again = tab.found("me", "reloaded")
        assert next(again) == "a waits"
        assert list(tab.found("other", "elsewhere")) == []
    assert list(again)[-1] == "a"


def test_what_one_came_to_is_found_by_its_owner_unless_the_browser_kept_it() -> None:
    tab = tab_of(private=False)
    list(press(tab, "me", "page", "a"))
    (job,) = tab.queue.jobs("me")
    assert list(tab.found("me", "reloaded")) == ["a"]
    assert list(tab.found("me", "reloaded", kept=job.id)) == []
    assert list(tab.found("other", "elsewhere")) == []


def test_a_failure_is_told_once_and_not_at_every_reload() -> None:
    tab = tab_of(private=True)
    with busy(tab.queue):
        events = press(tab, "me", "page", "bad")
        next(events)
        events.close()  # type: ignore[attr-defined]
    ended(tab.queue, *[tab.queue.find(now.id, "me") for now in tab.queue.jobs("me")])
    assert list(tab.found("me", "reloaded")) == ["bad luck."]
    assert list(tab.found("me", "again")) == []


def test_a_second_press_waits_its_turn_and_the_page_shows_one_after_the_other() -> None:
    tab = tab_of(private=True)
    with busy(tab.queue):
        first = press(tab, "me", "page", "a")
        assert next(first) == "a waits"
        more = tab.added(lambda: Asked(kind="job", request="b", title="b"), "me", "page")
        assert list(more) == []
        assert [now.title for now in tab.queue.jobs("me")] == ["a", "b"]
    shown = list(first)
    assert shown.index("a") < shown.index("b")
    assert shown[-1] == "b"


def test_a_press_after_the_last_job_is_shown_again() -> None:
    tab = tab_of(private=True)
    for request in ("a", "b", "c"):
        assert list(press(tab, "me", "page", request))[-1] == request


def test_a_press_on_a_page_that_lost_its_connection_shows_the_job_and_the_lost_event_ends() -> None:
    tab = tab_of(private=True)
    with busy(tab.queue):
        lost = press(tab, "me", "page", "a")
        assert next(lost) == "a waits"
        again = tab.shown(None, "me", "page")
        assert next(again) == "a waits"
        assert list(lost) == []
    assert list(again)[-1] == "a"


def test_the_line_shows_what_has_ended_and_refuses_what_is_not_ones_own() -> None:
    tab = tab_of(private=True)
    list(press(tab, "me", "page", "a"))
    (now,) = tab.queue.jobs("me")
    assert list(tab.shown(now.id, "me", "reloaded")) == ["a"]
    assert list(tab.shown(now.id, "other", "elsewhere")) == []
    assert list(tab.shown("forged", "me", "reloaded")) == []
