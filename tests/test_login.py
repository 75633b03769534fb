"""The password: compared whole, and who tries many waits, without locking out whoever knows it."""

import asyncio
import logging

import httpx
import pytest
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from sd_app.ui import login
from sd_app.ui.login import FORGOTTEN, FREE, FREE_IN_ALL, MAX_WAIT, WAIT_IN_ALL, LoginGuard, password_check
from tests import event_loops


class Door:
    """A guard before an app that knows the password "right"; time passes only when somebody waits."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.looked = 0  # times that a password was looked at
        self.guard = LoginGuard(self.app, clock=lambda: self.now, sleep=self.sleep)

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.looked += 1
        right = scope["query_string"] == b"right"
        await JSONResponse({}, status_code=200 if right else 400)(scope, receive, send)

    async def sleep(self, seconds: float) -> None:
        self.now += seconds

    def tries(self, password: str, address: str = "10.0.0.1", path: str = "/login") -> tuple[int, float]:
        """Try a password; return the status and the seconds that it took."""
        before = self.now

        async def post() -> int:
            transport = httpx.ASGITransport(self.guard, client=(address, 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
                return (await client.post(f"{path}?{password}")).status_code

        return event_loops.run(post()), self.now - before


@pytest.mark.parametrize(
    ("user", "password", "same"),
    [
        ("me", "a:b ü", True),
        ("me", "a:b u", False),
        ("me", "", False),
        ("", "a:b ü", False),
        ("you", "a:b ü", False),
        ("me", "a:b ü ", False),
        ("mea:b ü", "", False),
    ],
)
def test_only_user_and_password_together_open(user: str, password: str, same: bool) -> None:
    assert password_check(("me", "a:b ü"))(user, password) is same


def test_a_wrong_user_is_compared_to_the_end_too(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bytes] = []

    def compare(given: bytes, kept: bytes) -> bool:
        compared.append(kept)
        return given == kept

    monkeypatch.setattr("sd_app.ui.login.hmac.compare_digest", compare)
    assert not password_check(("me", "secret"))("you", "secret")
    assert compared == [b"me", b"secret"]


def test_a_few_slips_cost_nothing_and_then_each_try_waits_longer() -> None:
    door = Door()
    waits = [door.tries("wrong")[1] for _ in range(FREE + 6)]
    assert waits == [*[0.0] * FREE, 1, 2, 4, 8, MAX_WAIT, MAX_WAIT]


def test_the_right_password_is_let_in_however_many_wrong_ones_came_and_ends_the_waiting() -> None:
    door = Door()
    for _ in range(50):
        door.tries("wrong")
    assert door.tries("right") == (200, MAX_WAIT)
    assert door.tries("wrong") == (400, 0.0)


def test_other_addresses_do_not_wait_until_all_together_guess_too_often() -> None:
    door = Door()
    for _ in range(FREE + 3):
        door.tries("wrong", "10.0.0.1")
    assert door.tries("right", "10.0.0.2") == (200, 0.0)
    for number in range(FREE_IN_ALL):
        door.tries("wrong", f"10.1.0.{number}")
    assert door.tries("right", "10.0.0.3") == (200, WAIT_IN_ALL)


def test_wrong_passwords_are_forgotten() -> None:
    door = Door()
    for _ in range(FREE_IN_ALL):
        door.tries("wrong")
    door.now += FORGOTTEN
    assert door.tries("wrong") == (400, 0.0)
    assert door.tries("wrong", "10.0.0.2") == (400, 0.0)


@pytest.mark.parametrize("path", ["/login", "/login/", "/LOGIN", "/under/a/proxy/login"])
def test_every_way_to_the_login_is_guarded(path: str) -> None:
    door = Door()
    for _ in range(FREE):
        door.tries("wrong", path=path)
    assert door.tries("wrong", path=path)[1] == 1.0


def test_other_requests_never_wait() -> None:
    door = Door()
    for _ in range(FREE + 3):
        door.tries("wrong")
    assert door.tries("wrong", path="/gradio_api/queue/join") == (400, 0.0)


def test_many_tries_at_once_are_turned_away_in_words_before_the_password_is_looked_at() -> None:
    door = Door()
    hold = asyncio.Event()

    async def sleep(seconds: float) -> None:
        await hold.wait()

    async def storm() -> list[httpx.Response]:
        door.guard._sleep = sleep
        transport = httpx.ASGITransport(door.guard, client=("10.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            tries = [asyncio.create_task(client.post("/login?right")) for _ in range(20)]
            while sum(task.done() for task in tries) < 20 - login.MOST_AT_ONCE:
                await asyncio.sleep(0)
            assert door.looked == 0
            hold.set()
            return list(await asyncio.gather(*tries))

    answers = event_loops.run(storm())
    assert sorted(answer.status_code for answer in answers) == [*[200] * 8, *[429] * 12]
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.json()["detail"].endswith("Try again in some seconds.")
    assert door.guard._waiting == {}


def test_the_log_says_once_that_an_address_guesses(caplog: pytest.LogCaptureFixture) -> None:
    door = Door()
    with caplog.at_level(logging.WARNING):
        for _ in range(FREE + 20):
            door.tries("wrong")
    (record,) = caplog.records
    assert record.getMessage().startswith("5 wrong passwords came from 10.0.0.1: further tries there wait")


def test_what_is_remembered_of_addresses_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login, "MAX_ADDRESSES", 10)
    door = Door()
    for number in range(30):
        door.guard.was_wrong(f"10.0.0.{number}")
    assert len(door.guard._wrong) == 10
