"""A command joins the line of the app that is open on the same outputs folder, over HTTP on this machine.

So a model is loaded once, and the job is seen on the page too. Only the owner's own app in local mode is
joined, see queue/open_app.py.
"""

import os
import secrets
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..queue import DONE, FAILED, RUNNING, STOPPED, WAITING, OpenApp, find_open_app
from ..requests import Cancelled, Step, request_fields
from ..settings import Settings
from .progress import INTERRUPTED, Check, Show, progress_bar, stop_on_ctrl_c

SECONDS = 0.25  # between two looks at the job
COMPANIONS = ("film", "strip", "sheet", "plot")  # what a walk saves beside its last picture
GONE = "the app does not answer any more (look at its page: what it began may go on there)"

Call = Callable[..., Any]  # of an endpoint: values, api_name


def find_app(settings: Settings, given: Mapping[str, object]) -> OpenApp | None:
    """Return the app whose line the job can join; say why, if there is one that it cannot join."""
    app = find_open_app(settings.outputs_dir)
    if app is None:
        return None
    own = settings.as_texts()
    if "model" in given:  # the request names it: the app's own is not asked for
        own["model"] = app.settings.get("model", "")
    other = [name for name, value in own.items() if app.settings.get(name) != value]
    if other:
        names = ", ".join(other)
        _say(f"Runs in this process: the app at {app.url} has other settings ({names}).")
        return None
    return app


def connect(app: OpenApp) -> Call | None:
    """Return what calls the app's endpoints; None, said in words, if it does not answer."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when a client is made, which would call out
    from gradio_client import Client

    try:
        client = Client(
            app.url,
            verbose=False,
            download_files=False,
            httpx_kwargs={"trust_env": False},  # no proxy stands between this machine and itself
        )
        names = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    except Exception:  # noqa: BLE001  # whatever is wrong with it, the job runs here
        names, client = {}, None
    if client is None or not {"/submit", "/status", "/result", "/cancel"} <= names.keys():
        _say(f"Runs in this process: no app answers at {app.url}.")
        return None
    call: Call = client.predict
    return call


def make_there(call: Call, app: OpenApp, command: str, request_type: type, given: Mapping[str, object],
               outputs_dir: Path) -> int:  # fmt: skip
    """Run a request in the app's line; print the path of every finished picture. Return the exit code."""
    _say(f"In the line of the app at {app.url} (--here runs it in this process instead).")
    values = {name: _sent(value) for name, value in given.items()}
    values |= _uploads(request_type, given)
    try:
        with progress_bar() as show, stop_on_ctrl_c() as check:
            submitted = call(command, values, secrets.token_urlsafe(12), api_name="/submit")
            status = follow(call, submitted, show, check)
        answer = call(status["job"], api_name="/result") if status["state"] == DONE else {}
    except Exception as error:
        raise _in_words(error) from error
    if status["state"] == FAILED:
        raise ValueError(status["error"])
    if answer.get("notice"):
        _say(answer["notice"])
    saved = [outputs_dir / name for name in status["saved"]]
    names = [picture["orig_name"] for picture in answer.get("images", ())]  # a walk's from a to b
    for path in sorted(saved, key=lambda path: names.index(path.name) if path.name in names else 0):
        print(path)
    for name in COMPANIONS:
        if saved and answer.get(name):
            print(saved[-1].with_name(answer[name]["orig_name"]))
    if jump := answer.get("jump"):
        _say(f"between t = {jump['t_left']:.6g} and {jump['t_right']:.6g}: {jump['kind']}. {jump['meaning']}")
    if status["state"] == STOPPED:
        _say(f"stopped: kept {len(saved)} pictures")
        return INTERRUPTED
    return 0


def follow(call: Call, status: dict[str, Any], show: Show, check: Check) -> dict[str, Any]:
    """Show how a job goes on, to its end; return its last status. Ctrl+C stops it within a step."""
    while status["state"] in (WAITING, RUNNING):
        show(_step_of(status))
        time.sleep(SECONDS)
        try:
            check()
        except Cancelled:
            call(status["job"], api_name="/cancel")
        status = call(status["job"], api_name="/status")
    return status


def _step_of(status: dict[str, Any]) -> Step:
    if progress := status["progress"]:
        known = {name: progress[name] for name in progress if name not in ("fraction", "eta_seconds")}
        return Step(**known, seconds=0.0)
    text = "Starting"
    if status["state"] == WAITING:
        text = f"Waiting for {status['ahead']} before it" + (
            "; the line is paused" if status["paused"] else ""
        )
    return Step(text=text, step=0, num_steps=1, image_index=0, num_images=1, seconds=0.0)


def _sent(value: object) -> object:
    """Return a value as JSON takes it."""
    return list(value) if isinstance(value, tuple) else value


def _uploads(request_type: type, given: Mapping[str, object]) -> dict[str, object]:
    from gradio_client import handle_file

    pictures = [name for name, known in request_fields(request_type).items() if known.is_picture]
    return {name: handle_file(Path(str(given[name])).absolute()) for name in pictures if name in given}


def _in_words(error: Exception) -> Exception:
    """Return a failure as the app says it; of a connection that broke, what that means."""
    from gradio_client.exceptions import AppError

    return ValueError(str(error)) if isinstance(error, AppError) else OSError(GONE)


def _say(text: str) -> None:
    print(text, file=sys.stderr)
