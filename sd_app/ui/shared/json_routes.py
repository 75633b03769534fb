"""What routes of our own share, by which the page asks without a Gradio event: small JSON there and back."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

MOST_BYTES = 64_000  # of a question
NO_LOGIN = "You are not logged in any more. Reload the page."

Act = Callable[[Request], Awaitable[Response]]


def is_let_in(request: Request) -> bool:
    """Tell whether who asks has given the password, where there is one, as Gradio's own routes do."""
    app = request.app
    if app.auth is None:
        return True
    names = (f"access-token-{app.cookie_id}", f"access-token-unsecure-{app.cookie_id}")
    return any(app.tokens.get(request.cookies.get(name)) is not None for name in names)


def for_those_let_in(act: Act) -> Act:
    """Return a route that answers others with nothing but that they must log in."""

    async def checked(request: Request) -> Response:
        if not is_let_in(request):
            return JSONResponse({"error": NO_LOGIN}, status_code=401)
        return await act(request)

    return checked


async def read_json(request: Request) -> dict[str, Any]:
    """Return what was asked; nothing of it is checked yet, but that it is a small object."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            return {}
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return asked if isinstance(asked, dict) else {}
