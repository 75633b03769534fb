"""Jobs by their id, for clients that do not hold a connection: submit, ask how it stands, fetch, cancel."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Lock

import gradio as gr

from ...queue import Job, JobNow, JobQueue
from ...requests import Step
from ..shared.files import PictureFiles
from ..shared.studio_protocol import PageStudio
from ..shared.visitors import owner_of
from .answers import Answer
from .clients import client_of_event
from .endpoints import (
    ENDPOINTS,
    HTTP,
    answer_of_job,
    answer_or_error,
    kind_of,
    line_entry,
    parameters_of,
    request_of,
    wait_for,
)

KEY = "key"  # of a job's details: what the client calls it
ASKED = "asked"  # a digest of what was asked for
LONGEST_KEY = 200  # characters


@dataclass(frozen=True, kw_only=True)
class JobEndpoints:
    """The endpoints over the line of jobs. Each is told who asks, and shows nobody's jobs to anybody else."""

    studio: PageStudio
    queue: JobQueue
    files: PictureFiles
    _submitting: Lock = field(default_factory=Lock)  # two calls of one key must not both find nothing

    def publish(self) -> None:
        """Add the endpoints to the page being built."""
        for endpoint in (self.submit, self.status, self.result, self.cancel, self.jobs):
            gr.api(endpoint, api_name=endpoint.__name__, concurrency_limit=None)

    def submit(self, browser: gr.Request, endpoint: str, values: dict, key: str = "") -> Answer:
        """Put a job into the line and return at once. It goes on when the client is gone.

        endpoint names what would run it, such as txt2img; values are the parameters of that endpoint by
        name, files uploaded before. A key of the client's own makes asking again safe: while the job is
        remembered, the same key is the same job. Returns what status returns.
        """

        def submitted() -> Answer:
            return self._status(self.queue.now(self._submit(owner_of(browser), endpoint, values, key)))

        return answer_or_error(self.studio, submitted)

    def status(self, browser: gr.Request, job: str) -> Answer:
        """Tell how a job stands, by its id.

        Returns {"job": its id, "endpoint", "key", "state": "waiting", "running", "done", "stopped" or
        "failed", "ahead": jobs before it while it waits, "paused": whether the line stands still or
        holds this visitor's jobs, "progress":
        {"text", "fraction", "step", "num_steps", "image_index", "num_images", "batch_images",
        "batch_seconds", "eta_seconds"} or None, "images": the pictures finished so far, "saved": on the
        owner's own machine their names in the outputs folder, "error": why it failed}.
        """
        return self._answer(browser, job, lambda found: self._status(self.queue.now(found)))

    def result(self, browser: gr.Request, job: str) -> Answer:
        """Wait for a job's end; return what its endpoint returns. A connection that drops changes nothing.

        Of a job that was asked for on the page it is the status.
        """
        is_here = client_of_event()
        return self._answer(browser, job, lambda found: self._result(found, is_here))

    def cancel(self, browser: gr.Request, job: str) -> Answer:
        """Take a waiting job out of the line, or end a running one within a step; return its status."""

        def stopped(found: Job) -> Answer:
            self.queue.stop(owner_of(browser), job_id=found.id)
            return self._status(self.queue.now(found))

        return self._answer(browser, job, stopped)

    def jobs(self, browser: gr.Request) -> list[Answer]:
        """List the jobs that may be seen: the running one, the line, what has ended, the newest first.

        Each as status tells it, without "images" and "saved".
        """
        return answer_or_error(
            self.studio, lambda: [_describe(now) for now in self.queue.jobs(owner_of(browser))]
        )

    # -- inside

    def _submit(self, owner: str, endpoint: object, values: object, key: object) -> Job:
        name = endpoint.removeprefix("/") if isinstance(endpoint, str) else ""
        if name not in ENDPOINTS:
            raise ValueError(f"endpoint must be one of {', '.join(ENDPOINTS)} (name one of them)")
        if not isinstance(values, dict):
            raise ValueError(f"values must be /{name}'s parameters by name (send an object)")
        if not isinstance(key, str) or len(key) > LONGEST_KEY:
            raise ValueError(f"key must be a text of at most {LONGEST_KEY} characters (choose a shorter one)")
        given = _complete(name, values)
        request = request_of(name, given, self.files)
        details = {KEY: key, ASKED: _digest(name, values)}
        with self._submitting:
            same = self._of_key(owner, key) if key else None
            if same is None:
                return self.queue.submit(
                    owner, kind_of(name), request, details=details, **line_entry(self.studio, request)
                )
        if same.details.get(ASKED) != details[ASKED]:
            raise ValueError("key is that of a job with other values (send another key, or the same values)")
        return self.queue.find(same.id, owner)

    def _of_key(self, owner: str, key: str) -> JobNow | None:
        seen = self.queue.jobs(owner)
        return next((now for now in seen if now.details.get(KEY) == key), None)

    def _answer(self, browser: gr.Request, job_id: object, call: Callable[[Job], Answer]) -> Answer:
        """Return what a call makes of the job of an id; whatever happens, the client gets words."""

        def found() -> Answer:
            if not isinstance(job_id, str):
                raise ValueError("job must be the id that submit returned (send it as a text)")
            return call(self.queue.find(job_id, owner_of(browser)))

        return answer_or_error(self.studio, found)

    def _result(self, job: Job, is_here: Callable[[], bool]) -> Answer:
        if not job.kind.name.startswith(HTTP):  # what is kept of it, is for the page
            for now in self.queue.follow(job):
                if not is_here() or (now is not None and now.ended):
                    break
            return self._status(self.queue.now(job))
        now = self.queue.now(job)
        return answer_of_job(now) if now.ended else wait_for(self.queue, job, is_here)

    def _status(self, now: JobNow) -> Answer:
        paths = [path for path in now.paths if path.is_file()]
        told: Answer = {"images": [self.files.file(path) for path in paths]}
        if self.studio.settings.mode == "local":
            told["saved"] = [self.files.name_of(path) for path in paths]
        return _describe(now) | told


def _describe(now: JobNow) -> Answer:
    return {
        "job": now.id,
        "endpoint": now.kind.removeprefix(HTTP),
        "key": str(now.details.get(KEY, "")),
        "state": now.state,
        "ahead": now.ahead,
        "paused": now.paused or now.held,
        "progress": _progress(now.step) if now.step is not None else None,
        "error": now.failure,
    }


def _complete(name: str, values: Mapping[object, object]) -> dict[str, object]:
    """Return the values of a call with what it leaves out; raise ValueError for a name it does not have."""
    parameters = parameters_of(ENDPOINTS[name][0])
    given = {str(key): value for key, value in values.items()}
    for key in given:
        if key not in parameters:
            raise ValueError(f"values must be named as /{name}'s parameters are, which {key!r:.60} is not")
    missing = [key for key, one in parameters.items() if key not in given and one.default is one.empty]
    if missing:
        raise ValueError(f"{missing[0]} is missing (add it to values)")
    return {key: given.get(key, one.default) for key, one in parameters.items()}


def _digest(name: str, values: Mapping[object, object]) -> str:
    """Return what tells one question from another. A file is the path that it was uploaded to."""
    text = json.dumps([name, _plain(values)], sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _plain(value: object) -> object:
    """Return a value without what two uploads of one file differ in."""
    if isinstance(value, Mapping):
        return str(value["path"]) if "path" in value else {str(k): _plain(v) for k, v in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list) else value


def _progress(step: Step) -> Answer:
    names = ("text", "step", "num_steps", "image_index", "num_images", "batch_images", "batch_seconds")
    eta = step.eta_seconds
    return {name: getattr(step, name) for name in names} | {
        "fraction": round(step.fraction, 6),
        "eta_seconds": None if eta is None else round(eta, 1),
    }
