"""The routes by which the tab "History" asks: small JSON there and back.

    POST history/page      {search, trashed, after} -> {pictures, after, remarks}; of a first one {count} too
    POST history/state     {}                        -> {running, done, total, problem, version}
    POST history/open      {name}                    -> a picture with its parameters and companions
    POST history/compare   {names: two}              -> {pictures, differences}
    POST history/mark      {names, mark}             -> {}
    POST history/trash     {names}                   -> {moved: [old, new] each}
    POST history/restore   {names}                   -> the same
    POST history/export    {names}                   -> {file}, a ZIP
    GET  history/thumbnail?name=...                  -> a PNG or JPEG

An error is {error} in words with status 400, or 410 for a picture that is gone. Where others are let in, a
visitor is told of their own pictures alone: the cookie says who asks.
"""

from collections.abc import Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ..shared.errors import error_sentence, sentence
from ..shared.json_routes import Act, for_those_let_in, read_json
from ..shared.visitors import owner_in
from .shelf import Shelf

FOLDER = "history"
ACTS = ("page", "state", "open", "compare", "mark", "trash", "restore", "export")
PNG = b"\x89PNG"
HEADERS = {"Cache-Control": "private, max-age=31536000, immutable"}  # the address changes with the file


def routes() -> list[Route]:
    """Return the routes. The shelf is the page's own: see build_ui."""
    asked = [Route(f"/{FOLDER}/{name}", for_those_let_in(_act(name)), methods=["POST"]) for name in ACTS]
    return [*asked, Route(f"/{FOLDER}/thumbnail", for_those_let_in(_thumbnail), methods=["GET"])]


def _act(name: str) -> Act:
    async def act(request: Request) -> Response:
        shelf = _shelf_of(request)
        asked, owner = await read_json(request), _owner_of(request, shelf)
        if name == "state":
            return await _answered(shelf, lambda: shelf.state(owner))
        method = getattr(shelf, name)
        return await _answered(shelf, lambda: method(asked, owner))

    return act


async def _answered(shelf: Shelf, call: Callable[[], dict[str, Any]]) -> Response:
    try:
        return JSONResponse(await run_in_threadpool(call))
    except Exception as error:  # noqa: BLE001  # whatever is wrong with what was asked, the page says so
        if isinstance(error, LookupError) and not isinstance(error, KeyError | IndexError):
            return JSONResponse({"error": _capital(sentence(str(error))), "gone": True}, status_code=410)
        said = error_sentence(error, shelf.settings.mode)
        return JSONResponse({"error": _capital(said)}, status_code=400)


def _capital(text: str) -> str:
    """Let a sentence begin with a capital letter, unless it begins with a file's name."""
    return text[:1].upper() + text[1:] if text.partition(" ")[0].isalpha() else text


async def _thumbnail(request: Request) -> Response:
    shelf = _shelf_of(request)
    key, owner = request.query_params.get("name", ""), _owner_of(request, shelf)
    try:
        # Starlette has decoded the address once: what is left is the key itself.
        data = await run_in_threadpool(shelf.thumbnail, key, owner)
    except (LookupError, ValueError, OSError):
        return Response(status_code=404)
    kind = "image/png" if data.startswith(PNG) else "image/jpeg"
    return Response(data, media_type=kind, headers=HEADERS)


def _shelf_of(request: Request) -> Shelf:
    shelf: Shelf = request.app.get_blocks().shelf
    return shelf


def _owner_of(request: Request, shelf: Shelf) -> str | None:
    """Return who asks: None on one's own machine, where everything is one's own."""
    return owner_in(request.cookies) if shelf.is_private else None
