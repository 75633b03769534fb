"""A visitor that sends anything by plain HTTP, and what must be true of every answer."""

import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx

# What is inside the machine or in its language, and no visitor's business.
INSIDE = re.compile(
    r"Traceback|site-packages|sd_app/|\.py\b|/work\b|/home/|/root/|/tmp/|<\w+ object|object at 0x|codec can't"
    r"|\[Errno|Exception\b|Error\b|NoneType|unhashable|not subscriptable|has no attribute|pydantic|argument"
)
SECONDS = 120


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back: a result, or an error in words."""

    status: int
    result: Any = None
    error: str = ""

    def faults(self, sent: object) -> list[str]:
        """List what is wrong with the answer to a value: no words, or words that tell of the inside."""
        if not self.error:
            return [] if self.status == 200 and self.result is not None else [f"no words: {self}"]
        if found := INSIDE.search(_without(self.error, sent)):
            return [f"{found[0]!r} in: {self.error[:300]}"]
        if "not foreseen" in self.error:
            return [f"nobody thought of it: {self.error}"]
        if self.error.startswith(("{", "[", "<")) or " " not in self.error or len(self.error) > 2_000:
            return [f"no sentence: {self.error[:300]}"]
        return []


def _without(text: str, sent: object) -> str:
    """Return an error without the value that it may quote."""
    if not isinstance(sent, str):
        return text.replace("/etc/passwd", "")
    for part in (repr(sent)[:57], repr(sent), sent):
        text = text.replace(part, "") if part.strip() else text
    return text


class Visitor:
    """Calls endpoints by name, and events of the page by number, as no browser would."""

    def __init__(self, url: str, session: str = "visitor") -> None:
        self.url, self.session = url.rstrip("/") + "/gradio_api", session
        self.http = httpx.Client(timeout=SECONDS)

    def upload(self, path: Path) -> dict[str, object]:
        """Upload a file; return its description."""
        with path.open("rb") as file:
            (stored,) = self.http.post(f"{self.url}/upload", files={"files": file}).json()
        return {"path": stored, "meta": {"_type": "gradio.FileData"}}

    @cached_property
    def parameters(self) -> dict[str, list[dict[str, Any]]]:
        """Return the parameters of all endpoints by the endpoint's name."""
        known = self.http.get(f"{self.url}/info").json()["named_endpoints"]
        return {name: list(about["parameters"]) for name, about in known.items()}

    @cached_property
    def events(self) -> list[dict[str, Any]]:
        """Return the page's own events that do something on the server."""
        config = self.http.get(self.url.replace("/gradio_api", "/config")).json()
        return [
            one for one in config["dependencies"] if one["backend_fn"] and one["api_visibility"] == "private"
        ]

    def call(self, name: str, values: list[object]) -> Answer:
        """Call an endpoint with a value for each parameter."""
        sent = self._post(f"call{name}", {"data": values})
        if sent.status_code != 200:
            return _refused(sent)
        return self._followed(f"call{name}/{sent.json()['event_id']}")

    def trigger(self, event: dict[str, Any], values: list[object], data: object = None) -> Answer:
        """Trigger an event of the page with a value for each input."""
        body = {
            "data": values,
            "fn_index": event["id"],
            "session_hash": self.session,
            "event_data": data,
            "trigger_id": event["targets"][0][0],
        }
        if not event["queue"]:
            return _direct(self._post("run/predict", body))
        sent = self._post("queue/join", body)
        if sent.status_code != 200:
            return _refused(sent)
        return self._followed(f"queue/data?session_hash={self.session}")

    def _post(self, path: str, body: object) -> httpx.Response:
        # Python's own writer: NaN and halves of characters are sent as such.
        return self.http.post(
            f"{self.url}/{path}", content=write_json(body), headers={"content-type": "application/json"}
        )

    def _followed(self, path: str) -> Answer:
        """Read a stream of events to its end; the last one is the answer."""
        kind, answer = "", Answer(status=200)
        with self.http.stream("GET", f"{self.url}/{path}") as stream:
            for line in stream.iter_lines():
                name, _, text = line.partition(": ")
                if name == "event":
                    kind = text
                elif name == "data":
                    answer = _told(kind, json.loads(text)) or answer
        return answer


def write_json(value: object) -> str:
    """Write JSON of any depth: Python's own writer gives up at a thousand."""
    if isinstance(value, list):
        return _joined("[", "]", value)
    return _joined("{", "}", value) if isinstance(value, dict) else json.dumps(value)


def _joined(begin: str, end: str, value: Any) -> str:
    """Write a list or an object without recursion where it holds a single one."""
    head = tail = ""
    while True:
        if isinstance(value, list) and len(value) == 1:
            head, tail, value = head + "[", "]" + tail, value[0]
        elif isinstance(value, dict) and len(value) == 1:
            key, item = next(iter(value.items()))
            head, tail, value = f"{head}{{{json.dumps(key)}:", "}" + tail, item
        else:
            break
    if isinstance(value, list):
        return f"{head}[{','.join(map(write_json, value))}]{tail}"
    if isinstance(value, dict):
        pairs = (f"{json.dumps(key)}:{write_json(item)}" for key, item in value.items())
        return f"{head}{{{','.join(pairs)}}}{tail}"
    return f"{head}{json.dumps(value)}{tail}"


def _told(kind: str, data: Any) -> Answer | None:
    """Return the answer that one event of a stream is, if it is one."""
    if kind in ("complete", "generating"):
        return Answer(status=200, result=data)
    if kind == "error":
        return _worded(data)
    if (
        kind == ""
        and isinstance(data, dict)
        and data.get("msg") in ("process_completed", "process_generating")
    ):
        return _worded(data["output"]) if not data["success"] else Answer(status=200, result=data["output"])
    message = data.get("msg") if isinstance(data, dict) else None
    if message in ("process_completed", "process_generating"):
        return Answer(status=200, result=data["output"]) if data["success"] else _worded(data["output"])
    return Answer(status=500) if message == "unexpected_error" else None


def _worded(data: Any, status: int = 200) -> Answer:
    text = data.get("error") if isinstance(data, dict) else data
    return Answer(status=status, error=text) if isinstance(text, str) and text else Answer(status=500)


def _direct(response: httpx.Response) -> Answer:
    if response.status_code == 200:
        return Answer(status=200, result=response.json())
    return _refused(response)


def _refused(response: httpx.Response) -> Answer:
    """Return the words of a plain refusal; the web framework's own are in `detail`."""
    try:
        told = response.json()
    except ValueError:
        return Answer(status=response.status_code, error=response.text)
    if isinstance(told, dict) and isinstance(told.get("detail"), str):
        return Answer(status=response.status_code, error=told["detail"])
    return _worded(told, response.status_code)
