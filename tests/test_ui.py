"""The page without a browser: form, queue of jobs, pictures on their way, events, API."""

import math
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import gradio as gr
import pytest
from PIL import Image

from sd_app import Settings, Step, Studio, Txt2ImgRequest, Txt2ImgResult
from sd_app.metadata import read_infotext, save_image
from sd_app.queue import FRAME_SECONDS, JobNow, JobQueue, Kind
from sd_app.requests import Token, TokenReport
from sd_app.requests.running import LINEAR_PREVIEW, OWN_PREVIEW, PREVIEW_BY, TAESD_PREVIEW
from sd_app.ui.shared.components import Values
from sd_app.ui.shared.controls import token_line
from sd_app.ui.shared.errors import attempt, error_text, sentence
from sd_app.ui.shared.files import PictureFiles
from sd_app.ui.shared.form import build_request, fields_of, model_defaults, valid_fields
from sd_app.ui.shared.job_events import Asked, JobView, job_events
from sd_app.ui.shared.kept_numbers import add_numbers
from sd_app.ui.shared.making_events import MakingTabEvents
from sd_app.ui.shared.making_job import MakingJob, Shown
from sd_app.ui.shared.making_tab import build_making_tab
from sd_app.ui.shared.result import EMPTY, duration, preview_note, running, size_note
from sd_app.ui.shared.result_values import ImageEntry, ResultValue
from sd_app.ui.shared.send_to import Receiver
from sd_app.ui.shared.studio_protocol import OnStep
from sd_app.ui.txt2img.tab import TXT2IMG

SCHEDULERS = ("DDIM", "Euler a")
RESOLVED = Txt2ImgRequest(
    prompt="a cat",
    negative_prompt="a dog",
    model="model-a",
    scheduler="DDIM",
    num_inference_steps=2,
    guidance_scale=5.0,
    seed=7,
    width=64,
    height=64,
)


# -- the form


def test_browser_numbers_become_the_requests_types() -> None:
    values = {"prompt": "a cat", "width": 512.0, "num_inference_steps": 20.0, "seed": -1, "height": None}
    request = build_request(values, Txt2ImgRequest)
    assert request == Txt2ImgRequest(prompt="a cat", width=512, num_inference_steps=20)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("prompt", "x" * 100_000),
        ("prompt", ["a"]),
        ("guidance_scale", math.nan),
        ("guidance_scale", True),
        ("num_inference_steps", 0),
        ("num_inference_steps", 7.5),
        ("num_images", True),
        ("num_images", math.inf),
        ("width", 513),
        ("height", "64"),
        ("seed", 2**70),
        ("seed", 1.5),
        ("seed", -2),
        ("scheduler", ["DDIM"]),
        ("clip_skip", 0),
    ],
)
def test_a_bad_value_is_refused_by_the_fields_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        build_request({"prompt": "a cat", field: value}, Txt2ImgRequest)


@pytest.mark.parametrize("prompt", [None, "", "  "])
def test_a_prompt_without_words_may_be_asked_for(prompt: str | None) -> None:
    assert build_request({"prompt": prompt}, Txt2ImgRequest).prompt == (prompt or "")


def test_a_saved_form_keeps_its_good_fields_and_loses_the_rest() -> None:
    saved = {
        "prompt": "",
        "width": 512,
        "height": 513,
        "seed": "x",
        "steps": 3,
        "num_images": [1],
        "clip_skip": 2,
    }
    assert valid_fields(saved, ["m"], SCHEDULERS) == {"prompt": "", "width": 512, "clip_skip": 2}
    assert valid_fields({"model": "gone", "scheduler": "Euler a"}, ["m"], SCHEDULERS) == {
        "scheduler": "Euler a",
        "schedule_type": "Uniform",
    }
    strange: list[object] = [None, [], "text", {"prompt": {"a": 1}}, {1: 2}]
    for junk in strange:
        assert valid_fields(junk, ["m"], SCHEDULERS) == {}


def test_an_infotext_fills_the_form_and_names_what_is_not_here() -> None:
    text = (
        "a cat\nNegative prompt: a dog\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 965400086, "
        "Size: 512x768, Model hash: 6ce0161689, Model: v1-5-pruned-emaonly, Clip skip: 2, Version: v1.10.1"
    )
    fields, remarks = fields_of(text, ["tiny-sd"], SCHEDULERS)
    assert fields == {
        "prompt": "a cat",
        "negative_prompt": "a dog",
        "scheduler": "Euler a",
        "schedule_type": "Uniform",
        "num_inference_steps": 20,
        "guidance_scale": 7.0,
        "seed": 965400086,
        "width": 512,
        "height": 768,
        "num_images": 1,
        "clip_skip": 2,
        "guidance_end": 1.0,
        "cache_interval": 1,
        "styles": [],
        "vae": "",
    }
    assert len(remarks) == 1
    assert "v1-5-pruned-emaonly" in remarks[0]


# -- pictures to the page and back


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return save_image(Image.new("RGB", (64, 64), "red"), RESOLVED, outputs_dir=tmp_path / "outputs", seed=7)


@pytest.mark.parametrize("shared", [False, True])
def test_noted_pictures_come_back_as_the_same_bytes(saved: Path, shared: bool) -> None:
    files = PictureFiles(saved.parent.parent, shared=shared, copies=set())
    (path,) = files.restore(files.note((saved,)))
    entry = files.read_entry(path)
    assert Path(entry["file"]["path"]).read_bytes() == saved.read_bytes()
    assert entry["seed"] == 7
    assert entry["infotext"] == read_infotext(saved)


def test_a_visitor_cannot_restore_what_was_not_noted_for_them(saved: Path) -> None:
    name = saved.relative_to(saved.parent.parent).as_posix()
    files = PictureFiles(saved.parent.parent, shared=True, copies=set())
    forged = PictureFiles(saved.parent.parent, shared=True, copies=set()).note((saved,))
    for entry in ([name, ""], [name, "0" * 64], [name, "é"], *forged):
        assert files.restore([entry]) == []


def test_only_pictures_inside_the_outputs_folder_are_restored(saved: Path) -> None:
    outside = saved.parent.parent.parent / "secret.png"
    outside.write_bytes(saved.read_bytes())
    text = saved.with_suffix(".txt")
    text.write_text("no picture")
    files = PictureFiles(saved.parent.parent, shared=False, copies=set())
    names = [
        "../secret.png",
        str(outside),
        f"{saved.parent.name}/{text.name}",
        "gone.png",
        "a\0.png",
        ".",
        "",
    ]
    for note in (*([[name, ""]] for name in names), "x", [1], [[1, 2]], [["a.png"]], {"a": 1}, None):
        assert files.restore(note) == []


# -- what is drawn


def test_prompts_cannot_put_markup_into_the_token_line() -> None:
    words = ["a"] * 75 + ["<img", "src=x>", "&", "'"]
    tokens = tuple(Token(text=w, id=1, position=k % 75 + 1, chunk=k // 75) for k, w in enumerate(words))
    line = token_line(TokenReport(tokens=tokens, num_chunks=2, count=len(tokens)))
    assert "&lt;img src=x&gt; &amp; &#x27;" in line
    assert "<img" not in line
    assert "79 tokens in 2 chunks: 75 / 75, 4 / 75" in line


def test_progress_names_the_pictures_the_speed_and_the_time_left() -> None:
    step = Step(
        step=10, num_steps=20, image_index=4, num_images=8, batch_images=4, seconds=9.0, batch_seconds=2.0
    )
    drawn = running(step, RESOLVED, [], None)
    assert drawn["text"] == "Denoising 5–8 of 8"
    assert drawn["detail"] == "step 10 of 20 · 5.0 it/s · 2.0 s left"
    assert drawn["fraction"] == 0.75
    assert drawn["size"] == [128, 128]
    assert [duration(s) for s in (0.84, 12.3, 185)] == ["0.8 s", "12 s", "3:05 min"]


@pytest.mark.parametrize("drawn_by", [LINEAR_PREVIEW, TAESD_PREVIEW, OWN_PREVIEW])
def test_a_preview_is_named_for_what_it_is_until_the_picture_is_there(drawn_by: str) -> None:
    preview = Image.new("RGB", (8, 8))
    preview.info[PREVIEW_BY] = drawn_by
    step = Step(step=3, num_steps=20, image_index=0, num_images=1, seconds=1.0, preview=preview)
    assert preview_note(step).startswith("Rough preview:") == (drawn_by == LINEAR_PREVIEW)
    job = MakingJob(files=Mock())

    def note_at(now: Step) -> object:
        shown = job.running(
            JobNow(
                id="1",
                owner="",
                kind="txt2img",
                tab="txt2img",
                title="",
                state="running",
                ahead=0,
                paused=False,
                rests=False,
                held=False,
                stopping=False,
                request=RESOLVED,
                details={},
                step=now,
                paths=(),
                outcome=None,
                summary="",
                failure="",
            )
        )[0]
        return (shown["note"], bool(shown["preview"]))

    assert note_at(replace(step, preview=None)) == ("", False)
    assert note_at(step) == (preview_note(step), True)
    assert note_at(replace(step, step=4, preview=None)) == (preview_note(step), True)  # it still stands


def test_only_a_small_model_gets_the_line_on_full_size_pictures(random_studio: Studio) -> None:
    small, *_ = random_studio.models()
    assert "press Add a model" in size_note(small, Settings())
    assert "Add a model" not in size_note(small, Settings(mode="shared"))
    elsewhere = Settings(models_dir=Path("/data/models"))
    assert "into /data/models, a .safetensors" in size_note(small, elsewhere)
    assert "into models/, a .safetensors" in size_note(small, Settings())
    assert "64 × 64" in size_note(small, Settings(mode="shared"))
    assert size_note(None, Settings()) == ""


# -- what a page shows of a job


class Told(JobView[str]):
    """A job in words."""

    def waiting(self, now: JobNow) -> str:
        return now.waiting_text

    def running(self, now: JobNow) -> str:
        return now.step.text if now.step else "Starting"

    def finished(self, now: JobNow) -> str:
        return str(now.outcome)

    def stopped(self, now: JobNow) -> str:
        return "stopped"

    def failed(self, message: str, now: JobNow | None) -> str:
        return message


def count_to(result: int, on_step: OnStep) -> int:
    on_step(Step(step=1, num_steps=1, image_index=0, num_images=1, seconds=0.0))
    time.sleep(3 * FRAME_SECONDS)  # steps that come too fast are left out
    return result


def shown(queue: JobQueue, number: int) -> Iterator[str]:
    asked = Asked(kind="count", request=number)
    return job_events(queue, "me", lambda: asked, Told(), "local")


def test_a_page_is_told_of_each_event_and_of_a_failure_while_the_result_is_kept() -> None:
    queue = JobQueue(say=lambda error: error_text(error, "local"))
    queue.register(Kind(name="count", make=count_to, keep=lambda result, job: 1 // result, tab="numbers"))
    *_, before, last = shown(queue, 1)
    assert (before, last) == ("Denoising", "1")
    assert "integer division or modulo by zero" in list(shown(queue, 0))[-1]
    queue.pause()
    waiting = shown(queue, 1)
    assert next(waiting) == "Next in the line; the line is paused"
    queue.stop("me")
    assert list(waiting) == ["stopped"]
    (refused,) = job_events(queue, "me", lambda: 1 // 0, Told(), "local")  # type: ignore[arg-type, return-value]
    assert "integer division or modulo by zero" in refused


def test_a_quick_calls_failure_becomes_what_the_page_says() -> None:
    assert attempt(lambda: "fine", str) == "fine"
    assert attempt(lambda: f"{1 // 0}", lambda error: type(error).__name__) == "ZeroDivisionError"


# -- events of the tab


@pytest.fixture
def tab(random_studio: Studio) -> MakingTabEvents:
    queue = JobQueue(say=lambda error: error_text(error, "local"))
    files = PictureFiles(random_studio.settings.outputs_dir, shared=False, copies=set())
    model = random_studio.models()[0]
    with gr.Blocks():
        picker = gr.Dropdown(["model-a", "model-b"], value="model-a")
        built = build_making_tab(TXT2IMG, random_studio, queue, files, picker=picker, model=model)
    built.register_kinds()
    return built


def values(tab: MakingTabEvents, **changed: object) -> Values:
    """Return a form as the browser sends it."""
    form = {name: component.value for name, component in tab.form.items()}
    form |= {"prompt": "a cat", "seed": 7, "num_inference_steps": 2, **changed}
    return {tab.form[name]: value for name, value in form.items()}


def run(tab: MakingTabEvents, **changed: object) -> list[ResultValue]:
    return [drawn for drawn, _ in events(tab, **changed) if "phase" in drawn]


def events(tab: MakingTabEvents, **changed: object) -> Iterator[Shown]:
    return tab.jobs.events(lambda: tab.ask(values(tab, **changed)), "me")


def test_a_job_draws_progress_and_then_the_saved_files(tab: MakingTabEvents) -> None:
    *before, last = run(tab, num_images=3)
    assert {event["phase"] for event in before} == {"running"}
    assert last["phase"] == "done"
    assert [image["seed"] for image in last["images"]] == [7, 8, 9]
    saved = sorted(tab.studio.settings.outputs_dir.rglob("*.png"))
    assert [Path(i["file"]["path"]).read_bytes() for i in last["images"]] == [p.read_bytes() for p in saved]


def test_a_refused_job_says_why_and_the_next_one_runs(tab: MakingTabEvents) -> None:
    (refused,) = run(tab, width=513)
    assert refused["phase"] == "error"
    assert refused["text"] == "Width must be a multiple of 8, got 513 (try 512 or 520)."
    assert "max_images" in run(tab, num_images=101)[-1]["text"]
    assert run(tab)[-1]["phase"] == "done"


def test_a_broken_job_becomes_one_message_and_the_next_one_runs(
    tab: MakingTabEvents, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(request: Txt2ImgRequest, on_step: OnStep) -> Txt2ImgResult:
        raise RuntimeError("the device went away")

    tab.queue.register(Kind(name="txt2img", make=broken, tab="txt2img"))
    *_, drawn = run(tab)
    tab.register_kinds()
    assert drawn["phase"] == "error"
    assert "the device went away" in drawn["text"]
    assert "RuntimeError: the device went away" in caplog.text
    assert run(tab)[-1]["phase"] == "done"


def test_stop_keeps_the_finished_pictures_of_a_batch(tab: MakingTabEvents) -> None:
    last: ResultValue = EMPTY
    for drawn, _ in events(tab, num_images=40, num_inference_steps=20):
        last = drawn if "phase" in drawn else last
        if last["images"]:
            tab.queue.stop("me")
    assert last["phase"] == "stopped"
    assert 2 <= len(last["images"]) < 40
    assert "of 40 finished" in last["text"]


def test_reload_brings_back_the_form_and_the_pictures(tab: MakingTabEvents) -> None:
    *_, (last, kept) = events(tab)
    form = {"prompt": "a cat", "width": 128, "model": "model-b", "num_inference_steps": 400}
    updates = tab.restore(form, kept)
    assert updates[tab.form["prompt"]] == "a cat"
    assert tab.form["model"] not in updates  # the header's
    assert updates[tab.form["num_inference_steps"]]["maximum"] == 400
    restored = updates[tab.result]["images"]
    assert [image["name"] for image in restored] == [i["name"] for i in last["images"]]


@pytest.mark.parametrize(
    "kept",
    [
        None, 3, "", "{", "[" * 100_000, "[]",
        '{"format": 1}',
        '{"format": 2, "images": [{}], "frames": null}',
        '{"format": 1, "images": [], "frames": null}',
        '{"format": 1, "images": [7], "frames": null}',
        '{"format": 1, "images": [{"caption": {"path": "/etc/passwd"}}], "frames": null}',
        '{"format": 1, "images": [{}], "frames": {"film": {"url": "http://a"}}}',
    ],
)  # fmt: skip
def test_numbers_kept_by_the_browser_are_not_trusted(kept: object, tmp_path: Path) -> None:
    image: ImageEntry = {
        "file": PictureFiles(tmp_path, shared=False, copies=set()).picture(Image.new("RGB", (8, 8))),
        "name": "a.png",
        "seed": 7,
        "infotext": "",
    }
    assert add_numbers([image], kept) == ([image], {})


def test_a_first_visit_gets_the_models_own_defaults(tab: MakingTabEvents) -> None:
    updates = tab.restore(None, None)
    assert updates[tab.result] == gr.skip()
    model = tab.studio.models()[0]
    assert {name: tab.form[name].value for name in model_defaults(model)} == model_defaults(model)


def test_a_dropped_picture_fills_the_form_and_a_strange_one_does_nothing(
    tab: MakingTabEvents, tmp_path: Path
) -> None:
    path = save_image(Image.new("RGB", (64, 64)), RESOLVED, outputs_dir=tmp_path, seed=7)
    receiver = Receiver(tab=tab)
    before = ["held", *[None] * (len(tab.form) - 1)]
    updates = receiver.read_picture(tab.files.file(path), *before)
    assert updates[tab.form["prompt"]] == "a cat"
    assert updates[tab.form["seed"]] == 7
    assert updates[tab.prompts.notice]["before"]["prompt"] == "held"
    plain = tmp_path / "plain.png"
    Image.new("RGB", (8, 8)).save(plain)
    (tmp_path / "text.png").write_text("not a picture")
    for other in (plain, tmp_path / "text.png"):
        assert receiver.read_picture(tab.files.file(other), *before) == {tab.drop: None}
    # A path that nobody uploaded is not read.
    assert receiver.read_picture({"path": str(path)}, *before) == {tab.drop: None}


def test_choosing_a_model_sets_what_it_likes(tab: MakingTabEvents) -> None:
    model = next(m for m in tab.studio.models() if m.name == "model-b")
    updates = tab.choose_model("model-b")
    assert updates[tab.form["width"]] == model.native_size
    assert updates[tab.form["scheduler"]] == model.default_scheduler
    with pytest.raises(gr.Error):
        tab.choose_model("gone")


def test_errors_are_shown_as_sentences() -> None:
    assert sentence("seed must be 0 or more") == "Seed must be 0 or more."
    assert sentence("num_images must be 1 or more.") == "Pictures must be 1 or more."
    assert sentence("x.png is no picture") == "x.png is no picture."
    assert "smaller" in error_text(MemoryError(), "local")


def test_visitors_learn_nothing_of_the_inside_from_an_error() -> None:
    assert "/home/me" in error_text(OSError("/home/me is full"), "local")
    for error in (OSError("/home/me is full"), RuntimeError("/home/me")):
        assert "/home/me" not in error_text(error, "shared")
    assert error_text(ValueError("width must be"), "shared") == "width must be"


def test_the_page_is_built_without_torch() -> None:
    code = (
        "import sys, app; from sd_app import Settings, Studio; app.build_ui(Studio(Settings()));"
        " print(sorted({'torch', 'diffusers', 'transformers'} & set(sys.modules)))"
    )
    root = Path(__file__).resolve().parent.parent
    found = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
