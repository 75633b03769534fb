"""The password: compared in constant time, and wrong ones are counted and slowed down."""

import asyncio
import hmac
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

FREE = 5  # wrong passwords of an address before the next try waits
FREE_IN_ALL = 100  # wrong passwords of all addresses before every try waits
MAX_WAIT = 10.0  # seconds that a try waits for its answer at most: the right one too, which then is let in
WAIT_IN_ALL = 3.0  # seconds
MOST_AT_ONCE = 8  # tries of an address that wait; more are turned away
MOST_AT_ONCE_IN_ALL = 64
FORGOTTEN = 900.0  # seconds after the last wrong password
MAX_ADDRESSES = 1000  # that are remembered
NOTE = (
    f"After {FREE} wrong passwords each further answer takes longer, up to {MAX_WAIT:.0f} seconds. The right"
    " password is let in all the same."
)

log = logging.getLogger(__name__)


def password_check(login: tuple[str, str]) -> Callable[[str, str], bool]:
    """Return what tells whether user and password are these; how long it takes tells nothing of them."""

    def check(user: str, password: str) -> bool:
        pairs = zip((user, password), login, strict=True)
        # Both are compared, whatever the first comparison says.
        same = [hmac.compare_digest(given.encode(), kept.encode()) for given, kept in pairs]
        return all(same)

    return check


@dataclass(kw_only=True)
class Wrong:
    """The wrong passwords of one address, or of all."""

    count: int = 0
    last: float = 0.0  # when the last one came, in seconds of the clock


class LoginGuard:
    """Make those wait who try many passwords. It waits before the password is looked at.

    So an answer tells nothing early, and nobody is locked out: whoever knows the password waits at most
    MAX_WAIT, also behind an address from which others guess (a tunnel has one address for all).
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.app = app
        self._clock, self._sleep = clock, sleep
        self._wrong: OrderedDict[str, Wrong] = OrderedDict()
        self._in_all = Wrong()
        self._waiting: dict[str, int] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not is_login(scope):
            await self.app(scope, receive, send)
            return
        address = scope["client"][0] if scope.get("client") else "an unknown address"
        waiting = self._waiting.get(address, 0)
        if waiting >= MOST_AT_ONCE or sum(self._waiting.values()) >= MOST_AT_ONCE_IN_ALL:
            words = "Too many passwords are being tried at once. Try again in some seconds."
            await JSONResponse({"detail": words}, status_code=429)(scope, receive, send)
            return
        self._waiting[address] = waiting + 1
        try:
            await self._sleep(self.wait(address))
        finally:
            self._waiting[address] -= 1
            if not self._waiting[address]:
                del self._waiting[address]

        async def watch(message: Message) -> None:
            if message["type"] == "http.response.start":
                if message["status"] == 400:
                    self.was_wrong(address)
                elif message["status"] == 200:
                    self._wrong.pop(address, None)
            await send(message)

        await self.app(scope, receive, watch)

    def wait(self, address: str) -> float:
        """Return the seconds that a try from this address waits now: 1, 2, 4, 8, then MAX_WAIT."""
        now = self._clock()
        mine, in_all = self._wrong.get(address, Wrong()), self._in_all
        alone = 0.0
        if mine.count >= FREE and now - mine.last < FORGOTTEN:
            alone = min(MAX_WAIT, 2.0 ** min(mine.count - FREE, 9))
        together = in_all.count >= FREE_IN_ALL and now - in_all.last < FORGOTTEN
        return max(alone, WAIT_IN_ALL if together else 0.0)

    def was_wrong(self, address: str) -> None:
        """Count a wrong password, and say it in the log when that begins to make tries wait."""
        mine = self._wrong.setdefault(address, Wrong())
        self._wrong.move_to_end(address)
        if len(self._wrong) > MAX_ADDRESSES:
            self._wrong.popitem(last=False)
        now = self._clock()
        for one in (mine, self._in_all):
            if now - one.last >= FORGOTTEN:
                one.count = 0
            one.count, one.last = one.count + 1, now
        if mine.count == FREE:
            log.warning(
                "%d wrong passwords came from %s: further tries there wait, up to %.0f s each.",
                FREE,
                address,
                MAX_WAIT,
            )
        if self._in_all.count == FREE_IN_ALL:
            log.warning(
                "%d wrong passwords came in all: every try waits %.0f s for now.", FREE_IN_ALL, WAIT_IN_ALL
            )


def is_login(scope: Scope) -> bool:
    """Tell whether a request tries a password."""
    return (
        scope["type"] == "http"
        and scope["method"] == "POST"
        and scope["path"].rstrip("/").lower().endswith("/login")
    )
