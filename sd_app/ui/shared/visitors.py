"""Who a visitor is, from one page to the next: a long random name that only their browser and the app know.

The session that Gradio gives a page ends with the page; a reload is another one. So a cookie that no script
can read holds a name of its own. Who takes no cookies, programs say, is known by the session alone.
"""

import re
import secrets
from collections.abc import Mapping
from http.cookies import SimpleCookie

import gradio as gr
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "sd_app_visitor"
NAME = re.compile(r"[A-Za-z0-9_-]{43}")  # 32 random bytes, as token_urlsafe writes them
YEAR = 365 * 24 * 3600  # seconds


def owner_of(browser: gr.Request) -> str:
    """Return who asks: the name in the cookie, else the session."""
    name = owner_in(browser.cookies) if browser.request is not None else ""
    return name or page_of(browser)


def owner_in(cookies: Mapping[str, str]) -> str:
    """Return the name in a browser's cookies, "" if there is none."""
    name = cookies.get(COOKIE, "")
    return name if NAME.fullmatch(name) else ""


def page_of(browser: gr.Request) -> str:
    """Return which page asks: it is another one after a reload."""
    return str(browser.session_hash)


class VisitorMiddleware:
    """Give each browser that comes its name."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != "/" or _name_in(scope):
            await self.app(scope, receive, send)
            return

        async def send_with_name(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).append("set-cookie", _cookie(scope))
            await send(message)

        await self.app(scope, receive, send_with_name)


def _name_in(scope: Scope) -> bool:
    header = Headers(scope=scope).get("cookie", "")
    morsel = SimpleCookie(header).get(COOKIE) if COOKIE in header else None
    return bool(morsel and NAME.fullmatch(morsel.value))


def _cookie(scope: Scope) -> str:
    """Return the header of a new name. A Space's page stands in a frame of another site."""
    secure = scope["scheme"] == "https" or Headers(scope=scope).get("x-forwarded-proto") == "https"
    site = "SameSite=None; Secure; Partitioned" if secure else "SameSite=Lax"
    return f"{COOKIE}={secrets.token_urlsafe(32)}; Path=/; Max-Age={YEAR}; HttpOnly; {site}"
