"""What a visitor may and may not, mode by mode: the one table, and how each of its lines is tried.

.github/docs/flags.md prints the table; tests/test_drill.py tries every line of it in every mode.
"""

import json
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from tests.limits import PATIENCE

MODES = ("local", "shared", "space")
SMALL = {"num_inference_steps": 1, "width": 64, "height": 64, "seed": 7}
ELSEWHERE = "https://elsewhere.example"


@dataclass(frozen=True, kw_only=True)
class Visitor:
    """Somebody at a served app; a stranger has no password."""

    url: str
    folder: Path  # for files of the trial, where the app has none of its own
    outputs: Path  # the app's own pictures
    models: Path
    http: httpx.Client  # with the cookies of who has logged in
    login: tuple[str, str] | None

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.http.get(self.url + path, headers=headers)

    def client(self) -> Client:
        return Client(self.url, auth=self.login, verbose=False)

    def call(self, name: str, **fields: object) -> Any:
        return self.client().predict(**fields, api_name=f"/{name}")

    def answers(self, name: str, **fields: object) -> bool:
        try:
            return bool(self.call(name, **fields))
        except AppError:
            return False

    @property
    def events(self) -> set[str]:
        config = self.get("config").json()
        return {name for one in config["dependencies"] for _, name in one["targets"]}

    def press(self, elem_id: str) -> None:
        """Press a button of the page, as another visitor than all before."""
        config = self.get("config").json()
        (button,) = (one["id"] for one in config["components"] if one["props"].get("elem_id") == elem_id)
        (event,) = (one["id"] for one in config["dependencies"] if [button, "click"] in one["targets"])
        body = {"data": [], "fn_index": event, "session_hash": uuid.uuid4().hex}
        self.http.post(self.url + "gradio_api/run/predict", json=body).raise_for_status()

    def picture(self) -> object:
        path = self.folder / "red.png"
        Image.new("RGB", (64, 64), "red").save(path)
        return handle_file(str(path))


def enters_without_password(one: Visitor) -> bool:
    with httpx.Client() as stranger:
        return stranger.get(one.url + "config").status_code == 200


def is_answered_under_another_name(one: Visitor) -> bool:
    return one.get("", host="elsewhere.example").status_code == 200


def writes_from_another_site(one: Visitor) -> bool:
    files = {"files": ("a.txt", b"hello")}
    answer = one.http.post(one.url + "gradio_api/upload", files=files, headers={"origin": ELSEWHERE})
    return answer.status_code == 200


def framed_by(site: str) -> Callable[[Visitor], bool]:
    def framed(one: Visitor) -> bool:
        policy = one.get("").headers["content-security-policy"]
        (frames,) = (part for part in policy.split("; ") if part.startswith("frame-ancestors"))
        return site in frames.split()

    return framed


def makes_pictures(one: Visitor) -> bool:
    image = one.picture()
    return (
        one.answers("txt2img", prompt="a", **SMALL)
        and one.answers("img2img", prompt="a", init_image=image, strength=1, **SMALL)
        and one.answers("match", images=[image], texts=["a"])
        and one.answers("interrogate", image=image, caption="a", mode="fast")
        and one.answers("tokens", prompt="a")
        and one.answers("models")
    )


def takes_a_model_by_path(one: Visitor) -> bool:
    return one.answers("txt2img", prompt="a", model=str(one.models / "model-b"), **SMALL)


def adds_and_removes_models(one: Visitor) -> bool:
    return bool({"look_up_model", "begin", "remove", "added"} & one.events)


def unloads_weights(one: Visitor) -> bool:
    return "free" in one.events


def stops_the_job_of_another(one: Visitor) -> bool:
    """Tell whether a job of eight pictures ends early when another visitor stops everything."""
    pictures = {**SMALL, "num_images": 8, "num_inference_steps": 20}
    with ThreadPoolExecutor(1) as others:
        job = others.submit(one.answers, "txt2img", prompt="a", **pictures)
        before = set(one.outputs.rglob("*.png"))
        until = time.monotonic() + PATIENCE
        while set(one.outputs.rglob("*.png")) == before:
            assert time.monotonic() < until
            time.sleep(0.05)
        one.press("stop-all")
        return not job.result()


def reads_a_picture_by_its_path(one: Visitor) -> bool:
    one.answers("txt2img", prompt="a", **SMALL)
    saved = next(one.outputs.rglob("*.png"))
    return one.get(f"gradio_api/file={saved}").status_code == 200


def reads_another_file(one: Visitor) -> bool:
    paths = ("/etc/passwd", "app.py", "../app.py", str(Path(__file__)), str(one.models), "/proc/self/environ")
    return any(one.get(f"gradio_api/file={path}").status_code == 200 for path in paths)


def asks_with_a_file_of_the_machine(one: Visitor) -> bool:
    """Name a file of the machine where an uploaded picture is asked for."""
    path = one.folder / "secret.png"
    Image.new("RGB", (64, 64)).save(path)
    file = {"path": str(path), "meta": {"_type": "gradio.FileData"}}
    config = one.get("config").json()
    (found,) = (dep for dep in config["dependencies"] if dep["api_name"] == "img2img")
    values = {"prompt": "a", "init_image": file, "strength": 1, **SMALL}
    known = one.get("gradio_api/info").json()["named_endpoints"]["/img2img"]["parameters"]
    data = [values.get(each["parameter_name"], each.get("parameter_default")) for each in known]
    session = uuid.uuid4().hex
    body = {"data": data, "fn_index": found["id"], "session_hash": session}
    one.http.post(one.url + "gradio_api/queue/join", json=body).raise_for_status()
    with one.http.stream("GET", f"{one.url}gradio_api/queue/data?session_hash={session}", timeout=60) as told:
        answers = [json.loads(line[5:]) for line in told.iter_lines() if line.startswith("data:")]
    return any(answer.get("success") for answer in answers)


def has_an_address_fetched(one: Visitor) -> bool:
    paths = ("file=http://127.0.0.1:9/x", "file=HTTPS%3A//a.example", "proxy=https://a.hf.space")
    return any(one.get(f"gradio_api/{path}").status_code != 403 for path in paths)


def passes_the_queue(one: Visitor) -> bool:
    answer = one.http.post(one.url + "gradio_api/run/txt2img", json={"data": ["a"]})
    return answer.status_code != 404


def reaches_what_gradio_has_besides(one: Visitor) -> bool:
    """Reach what the page has no use for: some of it writes to the disk, some runs code."""
    paths = (
        "openapi.json docs redoc monitoring monitoring/summary manifest.json pwa_icon gradio_api/openapi.json"
        " gradio_api/deep_link?session_hash=x gradio_api/runs gradio_api/dev/reload gradio_api/vibe-code"
        " gradio_api/token gradio_api/stream/a/b/1/playlist.m3u8 gradio_api/custom_component/a/b/c/d"
        " gradio_api/mcp gradio_api/profiling/summary svelte/x gradio_api/file/etc/passwd"
    )
    writes = (
        "gradio_api/process_recording gradio_api/vibe-edit gradio_api/stream/a gradio_api/component_server"
    )
    answers = [one.get(path) for path in paths.split()]
    answers += [one.http.post(one.url + path) for path in writes.split()]
    return any(answer.status_code != 404 for answer in answers)


YES, NO = True, False


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of the table."""

    may: str  # what a visitor may, after "may"
    tried: Callable[[Visitor], bool]
    local: bool
    shared: bool
    space: bool


def line(may: str, tried: Callable[[Visitor], bool], local: bool, shared: bool, space: bool) -> Line:
    return Line(may=may, tried=tried, local=local, shared=shared, space=space)


TABLE = (
    line("come in without a password", enters_without_password, YES, NO, YES),
    line("reach the app under any host name", is_answered_under_another_name, NO, YES, YES),
    line("write from another site's page", writes_from_another_site, NO, NO, NO),
    line("show the app in a frame of huggingface.co", framed_by("https://huggingface.co"), NO, NO, YES),
    line("show it in a frame of any other site", framed_by("*"), NO, NO, NO),
    line("upload pictures, make pictures, interrogate, match, over HTTP too", makes_pictures, YES, YES, YES),
    line("load a model by its path", takes_a_model_by_path, NO, NO, NO),
    line("download models and remove them", adds_and_removes_models, YES, NO, NO),
    line("unload weights", unloads_weights, YES, NO, NO),
    line("stop the jobs of others", stops_the_job_of_another, YES, NO, NO),
    line("read a picture of the outputs folder by its path", reads_a_picture_by_its_path, NO, NO, NO),
    line("read any other file of the machine", reads_another_file, NO, NO, NO),
    line("use a file of the machine that was not uploaded", asks_with_a_file_of_the_machine, NO, NO, NO),
    line("have the app fetch an address", has_an_address_fetched, NO, NO, NO),
    line("run a job past the queue", passes_the_queue, NO, NO, NO),
    line(
        "use Gradio's other routes: pages of its own, links, streams",
        reaches_what_gradio_has_besides,
        NO,
        NO,
        NO,
    ),
)


def as_markdown() -> str:
    """Return the table as .github/docs/flags.md prints it."""
    words: Mapping[bool, str] = {True: "yes", False: "no"}
    rows = [[one.may, *(words[getattr(one, mode)] for mode in MODES)] for one in TABLE]
    lines = [["a visitor may", *MODES], ["---"] * 4, *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
