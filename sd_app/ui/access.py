"""Who may reach the app: modes, passwords, and the checks in front of every request."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from .shared.guarded import FailureMiddleware
from .shared.scripts import routes
from .shared.visitors import VisitorMiddleware

LOOPBACK = ("127.0.0.1", "localhost", "::1")
LOOPBACK_NAMES = ["127.0.0.1", "localhost", "[::1]"]  # as a browser writes them into Host
MAX_QUEUE = 64  # events waiting in Gradio's own queue
MAX_UPLOAD = "100mb"  # a photo of 50 megapixels has 25 as JPEG, one of 24 as PNG twice that
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True, kw_only=True)
class Access:
    """How the app is reached."""

    mode: str  # local, shared or space
    host: str | None  # None: as the Space says
    port: int | None  # None: 7860, or the next free one
    share: bool
    auth: tuple[str, str] | None
    generated: bool = False  # the password was made here and must be printed


def choose_access(
    *,
    host: str | None = None,
    port: int | None = None,
    listen: bool = False,
    share: bool = False,
    auth: str | None = None,
    mode: str | None = None,
    environ: Mapping[str, str],
) -> Access:
    """Decide mode, address and password from the flags. Raise ValueError for flags that do not fit.

    Shared is whatever others can reach; it always has a password, a generated one if none is given.
    """
    reachable = share or listen or host not in (None, *LOOPBACK)
    if mode is None:
        mode = "space" if "SPACE_ID" in environ else "shared" if reachable else "local"
    if mode == "local" and reachable:
        raise ValueError("mode must be shared with --share, --listen or such a --host, got local")
    if port is not None and not 1 <= port <= 65535:
        raise ValueError(f"port must be a whole number from 1 to 65535, got {port}")
    login = read_auth(auth) if auth else None
    if mode == "space":
        return Access(mode=mode, host=host, port=port, share=False, auth=login)
    host = host or ("0.0.0.0" if listen else "127.0.0.1")  # noqa: S104  # asked for by --listen
    generated = mode == "shared" and login is None
    if generated:
        login = ("studio", secrets.token_urlsafe(9))
    return Access(mode=mode, host=host, port=port, share=share, auth=login, generated=generated)


def read_auth(text: str) -> tuple[str, str]:
    """Read user:password; the password may hold colons."""
    user, colon, password = text.partition(":")
    if not (user and colon and password):
        raise ValueError("auth must be user:password, with neither of them empty")
    return user, password


def launch_options(access: Access) -> dict[str, object]:
    """Return what Gradio's launch needs to know for this mode."""
    return {
        "server_name": access.host,
        "server_port": access.port,
        "share": access.share,
        "auth": access.auth,
        "app_kwargs": {"middleware": middleware(access.mode), "routes": routes(), "openapi_url": None},
        "max_file_size": MAX_UPLOAD,
        "footer_links": [],
        "run_history": False,
        "enable_monitoring": False,
        "ssr_mode": False,
        "mcp_server": False,
        "pwa": False,
    }


def middleware(mode: str) -> list[Middleware]:
    """Return the checks in front of the app, outermost first."""
    checks = [
        Middleware(SameOriginMiddleware),
        Middleware(FailureMiddleware, mode=mode),
        Middleware(VisitorMiddleware),
    ]
    if mode == "local":
        # Without this a web page could reach the app under a name of its own that points to 127.0.0.1.
        checks.insert(0, Middleware(TrustedHostMiddleware, allowed_hosts=LOOPBACK_NAMES, www_redirect=False))
    return checks


class SameOriginMiddleware:
    """Refuse writes that another site's page sends, and the routes that fetch a URL for the client."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = _refusal(scope) if scope["type"] == "http" else None
        if refusal:
            await PlainTextResponse(refusal, status_code=403)(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def _refusal(scope: Scope) -> str | None:
    path = scope["path"].lower()
    if "/file=http" in path or "/proxy=" in path:
        return "This app fetches no addresses."
    headers = Headers(scope=scope)
    origin = headers.get("origin")
    if scope["method"] in SAFE_METHODS or origin is None:
        return None
    # A tunnel or proxy may put its own name into Host; no page can make a browser send the other header.
    hosts = (headers.get("host"), headers.get("x-forwarded-host"))
    return None if urlsplit(origin).netloc.lower() in [h.lower() for h in hosts if h] else "Foreign origin."
