"""Who may reach the app: modes and passwords, and what Gradio is told of them."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.middleware import Middleware

from .front import middleware
from .history.routes import routes as history_routes
from .inside.routes import routes as inside_routes
from .login import NOTE, LoginGuard, password_check
from .sessions import MAX_SESSIONS, bounded_sessions
from .shared.scripts import routes

LOOPBACK = ("127.0.0.1", "localhost", "::1")
MAX_QUEUE = 64  # events waiting in Gradio's own queue
MAX_UPLOAD = "100mb"  # a photo of 50 megapixels has 25 as JPEG, one of 24 as PNG twice that
MODES = ("local", "shared", "space")


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

    Shared is whatever others can reach; it always has a password, a generated one if none is given. A Space
    is reached by its own address alone: who opens another one, there or elsewhere, is asked for a password.
    """
    reachable = share or listen or host not in (None, *LOOPBACK)
    if mode is None:
        on_space = bool(environ.get("SPACE_ID", "").strip())
        mode = "shared" if reachable else "space" if on_space else "local"
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}, got {mode[:60]}")
    if port is not None and not 1 <= port <= 65535:
        raise ValueError(f"port must be a whole number from 1 to 65535, got {port}")
    login = None if auth is None else read_auth(auth)
    if reachable and (mode == "local" or (mode == "space" and login is None)):
        more = "" if mode == "local" else " or an --auth"
        raise ValueError(
            f"mode must be shared{more} with --share, --listen or such a --host, got {mode}: others could"
            " come in without a password"
        )
    if mode == "space":
        host = host or ("0.0.0.0" if listen else None)  # noqa: S104  # asked for by --listen
        return Access(mode=mode, host=host, port=port, share=share, auth=login)
    host = host or ("0.0.0.0" if listen else "127.0.0.1")  # noqa: S104  # asked for by --listen
    generated = mode == "shared" and login is None
    if generated:
        login = ("studio", secrets.token_urlsafe(9))
    return Access(mode=mode, host=host, port=port, share=share, auth=login, generated=generated)


def read_auth(text: str) -> tuple[str, str]:
    """Read user:password; the password may hold colons. Spaces around the name are none of it."""
    user, _, password = text.partition(":")
    if not (user.strip() and password.strip()):
        raise ValueError("auth must be user:password, with neither of them empty")
    return user.strip(), password


def launch_options(access: Access) -> dict[str, object]:
    """Return what Gradio's launch needs to know for this mode."""
    return {
        "server_name": access.host,
        "server_port": access.port,
        "share": access.share,
        "auth": password_check(access.auth) if access.auth else None,
        "auth_message": NOTE if access.auth else None,
        "app_kwargs": {
            "middleware": [*middleware(access.mode), *([Middleware(LoginGuard)] if access.auth else [])],
            "routes": [*routes(), *inside_routes(), *history_routes()],
            "openapi_url": None,
            "lifespan": bounded_sessions,
        },
        "state_session_capacity": MAX_SESSIONS,
        "max_file_size": MAX_UPLOAD,
        "footer_links": [],
        "run_history": False,
        "enable_monitoring": False,
        "ssr_mode": False,
        "mcp_server": False,
        "pwa": False,
    }
