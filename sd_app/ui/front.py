"""The checks in front of every request: which host, which origin, which routes, and what a browser may do."""

import base64
import hashlib
import re
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .api.clients import ClientsMiddleware
from .shared.guarded import FailureMiddleware
from .shared.scripts import INLINE, UI
from .shared.visitors import VisitorMiddleware

LOOPBACK_NAMES = ["127.0.0.1", "localhost", "[::1]"]  # as a browser writes them into Host
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
# All that the page and clients need. Gradio has more: links that keep a visitor's form on disk, streams,
# recordings, run history, documentation.
ROUTES = re.compile(
    r"/(config|theme\.css|favicon\.ico|robots\.txt|login|logout|(assets|static|scripts)/.+"
    r"|inside/(ask|job|stop)"
    r"|history/(page|state|open|compare|mark|trash|restore|export|thumbnail))?/?"
    r"|/gradio_api/(info|config|theme\.css|app_id|login_check|startup-events|upload|upload_progress|cancel|reset"
    r"|user|queue/(join|data|status)|heartbeat/[^/]+|(call|run)/.+|file=.+)/?"
)
FILES = "/gradio_api/file="
SCRIPT = re.compile(rb"<script\b(?![^>]*\bsrc=)[^>]*>(.*?)</script>", re.DOTALL)
# Who may show the page in a frame. Hugging Face shows a Space in one.
FRAMES = {"space": "'self' https://huggingface.co https://*.hf.space"}
# A file that was uploaded, opened by itself, is no page: nothing in it runs or is fetched.
FILE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src 'self'; sandbox"


def middleware(mode: str) -> list[Middleware]:
    """Return the checks in front of the app, outermost first."""
    frames = FRAMES.get(mode, "'self'")
    checks = [
        Middleware(SafeHeadersMiddleware, frames=frames),
        Middleware(RouteMiddleware),
        Middleware(FailureMiddleware, mode=mode),
        Middleware(VisitorMiddleware),
        Middleware(ClientsMiddleware),
    ]
    if mode == "local":
        # Without this a web page could reach the app under a name of its own that points to 127.0.0.1.
        checks.insert(1, Middleware(TrustedHostMiddleware, allowed_hosts=LOOPBACK_NAMES, www_redirect=False))
    return checks


def page_policy(scripts: list[bytes], frames: str) -> str:
    """Return the Content-Security-Policy of a page with these inline scripts.

    Only those and our own files run: no markup that got into the page can run anything or call anybody.
    Gradio makes functions of the texts in its configuration, so eval stays; its components set styles.
    """
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(s).digest()).decode()}'" for s in scripts)
    return "; ".join(
        (
            "default-src 'self'",
            f"script-src 'self' 'unsafe-eval' {hashes}".rstrip(),
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "media-src 'self' data: blob:",
            "font-src 'self' data:",
            "connect-src 'self' data: blob:",
            "worker-src 'self' blob:",
            "frame-src 'none'",
            "object-src 'none'",
            "base-uri 'self'",
            "form-action 'self'",
            f"frame-ancestors {frames}",
        )
    )


class SafeHeadersMiddleware:
    """Tell browsers what the answer may do: run our own scripts only, and send no address elsewhere."""

    def __init__(self, app: ASGIApp, frames: str) -> None:
        self.app = app
        self.frames = frames

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start: Message | None = None  # of a page: held back until its scripts are known
        page = bytearray()

        async def sent(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "same-origin"
                if FILES in scope["path"]:
                    headers["Content-Security-Policy"] = FILE_POLICY
                elif headers.get("content-type", "").startswith("text/html"):
                    start = message
                    return
            elif start is not None:
                page.extend(message.get("body", b""))
                if message.get("more_body"):
                    return
                # The first one Gradio puts into the page by itself, from the head that it is launched with.
                first = (UI / INLINE).read_bytes()
                policy = page_policy([first, *(found[1] for found in SCRIPT.finditer(page))], self.frames)
                MutableHeaders(scope=start)["Content-Security-Policy"] = policy
                await send(start)
                message = {**message, "body": bytes(page)}
            await send(message)

        await self.app(scope, receive, sent)


class RouteMiddleware:
    """Let through what the page and clients need, and no writes that another site's page sends."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = refused(scope) if scope["type"] == "http" else None
        if refusal:
            text, status = refusal
            await PlainTextResponse(text, status_code=status)(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def refused(scope: Scope) -> tuple[str, int] | None:
    """Return why a request is refused, in words, and the status; None if it is let through."""
    path = scope["path"]
    if "/file=http" in path.lower() or "/proxy=" in path.lower():
        return "This app fetches no addresses.", 403
    root = scope.get("root_path") or ""
    if not ROUTES.fullmatch(path.removeprefix(root) or "/"):
        return "There is nothing here.", 404
    headers = Headers(scope=scope)
    origin = headers.get("origin")
    if scope["method"] in SAFE_METHODS or origin is None:
        return None
    # A tunnel or proxy may put its own name into Host; no page can make a browser send the other header.
    hosts = [host.lower() for host in (headers.get("host"), headers.get("x-forwarded-host")) if host]
    return None if urlsplit(origin).netloc.lower() in hosts else ("Foreign origin.", 403)
