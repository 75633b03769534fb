"""The routes by which an open panel asks: small JSON there and back, without a Gradio event for each.

    POST inside/ask   {key, panel, action, given}  -> {answer} or {job}
    POST inside/job   {key, job}                   -> {answer}, or {job, text, fraction}
    POST inside/stop  {key, job}                   -> {}

An error is {error} in words with status 400, or 410 if the key opens nothing any more. The key is the right
to look: it is told to the page alone that opened it.
"""

import asyncio
import time
from typing import cast

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from ...queue import DONE, FAILED, WAITING, Job, JobNow
from ...requests import LookAnswer, PanelShown
from ..shared.errors import error_sentence, sentence
from ..shared.json_routes import Act, for_those_let_in, read_json
from ..shared.result import progress_detail
from .answers import answer_json
from .desk import Desk, Opened

FOLDER = "inside"
PATIENCE = 0.8  # seconds that an answer may take before the page is told how far it is
PULSE = 0.02  # seconds between two looks at a job
STOPPED = "Stopped."


def routes() -> list[Route]:
    """Return the routes. The desk is the page's own: see build_ui."""
    known: dict[str, Act] = {"ask": _ask, "job": _job, "stop": _stop}
    return [
        Route(f"/{FOLDER}/{name}", for_those_let_in(act), methods=["POST"]) for name, act in known.items()
    ]


def desk_of(request: Request) -> Desk:
    """Return the desk of the page that is served."""
    desk: Desk = request.app.get_blocks().desk
    return desk


async def _ask(request: Request) -> JSONResponse:
    asked = await read_json(request)
    desk = desk_of(request)

    def act() -> tuple[Opened, Job | LookAnswer | PanelShown]:
        opened = desk.find(asked.get("key"))
        names = (asked.get("panel"), asked.get("action"))
        given = asked.get("given") or {}
        if not isinstance(given, dict) or not all(isinstance(name, str) and len(name) < 60 for name in names):
            raise ValueError("this must name a panel and an action (reload the page)")
        panel, action = (str(name) for name in names)
        if desk.waits(opened, panel, action):
            return opened, desk.submit(opened, panel, action, given)
        return opened, desk.answer(opened, panel, action, given)

    try:
        opened, answer = await run_in_threadpool(act)
    except Exception as error:  # noqa: BLE001  # whatever is wrong with what was asked, the page says so
        return _refused(error, desk)
    if isinstance(answer, Job):
        return await _follow(desk, opened, answer)
    return JSONResponse({"answer": await run_in_threadpool(answer_json, answer, desk.files)})


async def _job(request: Request) -> JSONResponse:
    asked = await read_json(request)
    desk = desk_of(request)
    try:
        opened = desk.find(asked.get("key"))
        job = desk.job(opened, asked.get("job"))
    except Exception as error:  # noqa: BLE001  # as above
        return _refused(error, desk)
    return await _follow(desk, opened, job)


async def _stop(request: Request) -> JSONResponse:
    asked = await read_json(request)
    desk = desk_of(request)
    try:
        opened = desk.find(asked.get("key"))
        desk.queue.stop(opened.owner, job_id=desk.job(opened, asked.get("job")).id)
    except Exception as error:  # noqa: BLE001  # as above
        return _refused(error, desk)
    return JSONResponse({})


async def _follow(desk: Desk, opened: Opened, job: Job) -> JSONResponse:
    """Wait a moment for a job; answer with what it came to, or with how far it is."""
    until = time.monotonic() + PATIENCE
    while not job.ended and time.monotonic() < until:
        await asyncio.sleep(PULSE)
    now = desk.queue.now(job)
    if not now.ended:
        return JSONResponse({"job": job.id, **progress(now)})
    opened.jobs.pop(job.id, None)
    if now.state == FAILED:
        return JSONResponse({"error": sentence(now.failure)}, status_code=400)
    if now.state != DONE or now.outcome is None:
        return JSONResponse({"error": STOPPED, "stopped": True}, status_code=400)
    outcome = cast(LookAnswer | PanelShown, now.outcome)
    return JSONResponse({"answer": await run_in_threadpool(answer_json, outcome, desk.files)})


def progress(now: JobNow) -> dict[str, object]:
    """Return what a panel says of a job that is waited for."""
    if now.state == WAITING:
        return {"text": now.waiting_text, "fraction": None}
    if now.stopping:
        return {"text": "Stopping…", "fraction": None}
    if now.step is None:
        return {"text": "Working", "fraction": None}
    detail = progress_detail(now.step)
    text = f"{now.step.text} · {detail}" if detail else now.step.text
    return {"text": text, "fraction": round(now.step.fraction, 3)}


def _refused(error: Exception, desk: Desk) -> JSONResponse:
    if isinstance(error, LookupError) and not isinstance(error, KeyError | IndexError):
        return JSONResponse({"error": sentence(str(error)), "gone": True}, status_code=410)
    return JSONResponse({"error": error_sentence(error, desk.studio.settings.mode)}, status_code=400)
