"""The tab "Embeddings" without a browser: its form, what is read along, what its views hold."""

import base64
from pathlib import Path

import gradio as gr
import numpy as np
import pytest

from sd_app import BlendRequest, PlaneRequest, Studio, WalkRequest
from sd_app.expressions.remarks import remarks_on
from sd_app.queue import JobQueue
from sd_app.requests import take_apart
from sd_app.ui.embeddings.controls import BLENDS, PLANES, WAYS, plane_of, usual_space, way_of
from sd_app.ui.embeddings.expression_lines import expression_line, prompt_line
from sd_app.ui.embeddings.tab import EmbeddingsEvents, embeddings_tab
from sd_app.ui.embeddings.token_jobs import EMPTY, MAX_WINDOWS, numbers_of, register_kinds, side_of
from sd_app.ui.img2img.tab import IMG2IMG
from sd_app.ui.shared.errors import sentence
from sd_app.ui.shared.files import PictureFiles
from sd_app.ui.shared.form import fields_of, valid_fields
from sd_app.ui.shared.frames import caption, number
from sd_app.ui.shared.gpu import _stopped
from sd_app.ui.shared.making_job import Shown
from sd_app.ui.shared.making_tab import build_making_tab
from sd_app.ui.shared.send_to import Receiver

STEPS = "Steps: 2, Sampler: DDIM, CFG scale: 5, Seed: 7, Size: 64x64"
OURS = f"{STEPS}, Version: sd_app 0.1.0"  # its braces are arithmetic


@pytest.fixture
def tab(random_studio: Studio) -> EmbeddingsEvents:
    queue, files = JobQueue(), PictureFiles(random_studio.settings.outputs_dir, shared=False, copies=set())
    with gr.Blocks():
        picker = gr.Dropdown(["model-a"], value="model-a")
        tab = embeddings_tab(random_studio, queue, files, picker=picker, model=random_studio.models()[0])
    tab.register_kinds()
    register_kinds(queue, random_studio)
    return tab


def run(tab: EmbeddingsEvents, mode: str, **changed: object) -> list[Shown]:
    form = {name: component.value for name, component in tab.form.items()}
    form |= {"mode": mode, "seed": 7, "num_inference_steps": 2, "film": "webp", **changed}
    values = {tab.form[name]: value for name, value in form.items()}
    events = tab.jobs.events(lambda: tab.ask(values), "me")
    return [(drawn, kept) for drawn, kept in events if "phase" in drawn]


# -- taking prompts apart


@pytest.mark.parametrize(
    "prompt", [*BLENDS, "{cat}", 'a {row: "a: b" - dog} here', r"a \(b\) {input: cat/2}", '{"say \\"hi\\""}']
)
def test_a_prompt_taken_apart_is_made_again(prompt: str) -> None:
    fields = take_apart(prompt)
    assert BlendRequest(**fields).blended_prompt == prompt  # type: ignore[arg-type]


def test_a_prompt_without_a_slot_is_one_phrase_and_two_slots_are_refused() -> None:
    assert take_apart('a "big" cat') == {"prompt": "{}", "space": "all", "expression": '"a \\"big\\" cat"'}
    with pytest.raises(ValueError, match="must have one slot here, got 2"):
        take_apart("{cat} and {dog}")


def test_every_example_can_be_made() -> None:
    for text in WAYS:
        assert WalkRequest(**way_of(text)).frames == 9  # type: ignore[arg-type]
    for text in PLANES:
        assert PlaneRequest(**plane_of(text)).num_pictures == 35  # type: ignore[arg-type]
    assert way_of("made up") == {}
    assert [usual_space(mode) for mode in ("blend", "walk", "plane")] == ["row", "all", "row"]


def test_a_shipped_blend_keeps_the_size_of_a_prompts_rows() -> None:
    for text in BLENDS:
        assert remarks_on(text, steps=20) == ()


def test_weights_that_do_not_add_up_are_said_and_can_be_divided() -> None:
    line = prompt_line("a {}", "cat + 0.43*dog", "all")
    assert "add up to 1.43" in line
    line = prompt_line("a {}", "cat + 0.43*dog", "all", True)
    assert line == "<span>The prompt: <code>a {(cat + 0.43*dog)/1.43}</code></span>"
    assert "add up" not in prompt_line("a {}", "cat + 0.43*dog", "row")
    assert "must have weights that add up to something" in prompt_line("a {}", "cat - dog", "all", True)


# -- what is read along


def test_the_line_below_an_expression_names_its_phrases_or_points_at_the_mistake() -> None:
    assert (
        expression_line("a", "cat + 0.5*orange cat")
        == "<span>2 phrases: <b>cat</b> · <b>orange cat</b></span>"
    )
    line = expression_line("a", "cat +")
    assert "From must have words or a number here" in line
    assert "<pre>  cat +\n       ^</pre>" in line
    assert expression_line("a", "  ") == expression_line("a", None) == ""
    for nonsense in ("(" * 10_000, "cat / 0", "nan", "<b & c", "cat\0", "{" * 99, ["cat"]):
        line = expression_line("b", nonsense)
        assert "<b><" not in line
        assert ("wrong" in line) == isinstance(nonsense, str)


def test_the_prompt_line_shows_the_whole_prompt_or_what_is_wrong_with_its_frame() -> None:
    assert "a {row: cat - dog}" in prompt_line("a {}", "cat - dog", "row")
    assert "must hold {} once" in prompt_line("a cat", "dog", "all")
    assert prompt_line("a {}", "cat -", "all") == ""  # said below the expression
    assert "<i>" not in prompt_line("<i> {}", "cat", "all")


def test_an_error_that_points_keeps_its_lines() -> None:
    with pytest.raises(ValueError) as error:
        BlendRequest(expression="cat*dog")
    assert sentence(str(error.value)).endswith("0.5*cat).\n  cat*dog\n     ^")


# -- the form


def test_a_half_written_expression_and_the_mode_survive_a_reload(tab: EmbeddingsEvents) -> None:
    saved = {"mode": "walk", "a": "cat +", "b": "dog", "frames": 12, "fps": 0, "low": -0.5, "film": "gif"}
    updates = tab.restore(saved, None)
    held = {name: updates[tab.form[name]] for name in saved if tab.form[name] in updates}
    assert held == {"mode": "walk", "a": "cat +", "b": "dog", "frames": 12, "low": -0.5}
    for junk in ({"mode": "magic"}, {"a": 3}, {"b": "x" * 100_000}, {"mode": ["walk"]}):
        assert valid_fields(junk, [], (), WalkRequest) == {}


def test_a_pictures_parameters_become_prompt_and_expression() -> None:
    fields, _ = fields_of(f"a {{row: cat - dog}} here\n{OURS}", [], ("DDIM",), BlendRequest)
    assert {fields[name] for name in ("prompt", "space", "expression", "mode")} == {
        *("a {} here", "row", "cat - dog", "blend")
    }
    assert fields["num_inference_steps"] == 2


def test_an_expression_sent_on_replaces_the_prompt_and_can_be_undone(
    tab: EmbeddingsEvents, random_studio: Studio
) -> None:
    (*_, (drawn, _)) = run(tab, "blend", expression="cat - dog", prompt="a {}")
    with gr.Blocks():
        there = build_making_tab(
            IMG2IMG,
            random_studio,
            tab.queue,
            tab.files,
            picker=gr.Dropdown(["model-a"]),
            model=random_studio.models()[0],
        )
    form = ["mine" if name == "prompt" else component.value for name, component in there.form.items()]
    updates = Receiver(tab=there).receive(drawn["images"][0], *form)
    assert updates[there.form["prompt"]] == "a {row: cat - dog}"
    assert updates[there.prompts.notice]["before"]["prompt"] == "mine"
    assert there.canvas
    assert updates[there.canvas.view]["picture"]["width"] == 64


# -- what is made


def test_each_mode_asks_its_own_request_and_nonsense_makes_nothing(tab: EmbeddingsEvents) -> None:
    (*_, (blended, _)) = run(tab, "blend", expression="cat", a="not read )))")
    assert blended["phase"] == "done"
    assert blended["frames"] is None
    for mode, changed, words in (
        ("blend", {"expression": ""}, "Expression must not have an empty expression"),
        ("walk", {"a": "cat", "b": "dog)"}, "To must have the end"),
        ("walk", {"a": "cat", "b": "dog", "frames": 1e6}, "Frames must be a whole number"),
        ("plane", {"a": "cat", "b": "dog", "direction": "red", "low": float("nan")}, "First column must be"),
        ("tokens", {}, "The mode must be one of"),
    ):
        ((drawn, _),) = run(tab, mode, **changed)
        assert drawn["phase"] == "error"
        assert drawn["text"].startswith(words)


def test_a_walk_shows_its_numbers_and_its_film_comes_back_after_a_reload(tab: EmbeddingsEvents) -> None:
    (*_, (drawn, kept)) = run(tab, "walk", a="cat", b="dog", prompt="a {}", frames=3, bisect=True)
    frames = drawn["frames"]
    assert frames
    plot, jump, shown_film = frames["plot"], frames["jump"], frames["film"]
    assert plot
    assert jump
    assert shown_film
    assert frames["ts"] == [0, 0.5, 1]
    assert [len(curve) for curve in plot["curves"]] == [2, 2]
    assert [image["caption"] for image in drawn["images"]][:3] == ["t = 0", "t = 0.5", "t = 1"]
    left, right = jump["pictures"]
    assert "lerp(cat, dog, " in drawn["images"][left]["infotext"]
    assert drawn["images"][right]["caption"] == f"t = {jump['places'][1]:.6g}"
    assert drawn["text"].startswith("3 pictures in")
    film = tab.files.file(next(tab.studio.settings.outputs_dir.rglob("*-film.webp")))
    assert shown_film["file"] == film
    assert film["mime_type"] == "image/webp"

    again = tab.restore(None, kept)[tab.result]
    assert again["images"] == drawn["images"]
    assert again["frames"] == frames
    assert [view["label"] for view in again["frames"]["views"]] == ["Sheet", "Strip", "Plot"]


def test_a_plane_is_labelled(tab: EmbeddingsEvents) -> None:
    (*_, (drawn, kept)) = run(tab, "plane", a="cat", b="kitten", direction="tabby", rows=3.0, columns=2.0)
    frames = drawn["frames"]
    assert frames
    assert frames["rows"] == ["cat", "0.5", "kitten"]
    assert frames["columns"] == ["−0.43", "+0.43"]
    assert drawn["images"][5]["caption"] == "t = 1, +0.43 × tabby"
    assert tab.restore(None, kept)[tab.result]["frames"] == frames
    assert number(0.0) == "0"


def test_what_a_lent_gpu_finished_is_a_walk_with_its_places(tmp_path: Path, random_studio: Studio) -> None:
    from sd_app import Step, WalkResult

    request = WalkRequest(a="cat", b="dog", frames=5, seed=7, num_inference_steps=1, film="none")
    made = random_studio.walk(request)
    last = Step(
        step=1,
        num_steps=1,
        image_index=2,
        num_images=5,
        seconds=1.0,
        images=made.images[:2],
        paths=made.paths[:2],
    )
    stopped = _stopped(WalkResult, request, last)
    assert isinstance(stopped, WalkResult)
    assert stopped.seeds == (7, 7)
    assert [caption(stopped, index) for index in range(2)] == ["t = 0", "t = 0.25"]
    assert stopped.prompts == made.prompts[:2]


# -- the token view


def test_the_numbers_travel_exactly(random_studio: Studio) -> None:
    encodings = [random_studio.encode(prompt) for prompt in ("a cat", "a dog")]
    sides = [side_of(encoding.prompt, encoding.table) for encoding in encodings]
    drawn = numbers_of(sides, encodings)
    for side, encoding in zip(drawn["sides"], encodings, strict=True):
        values = np.frombuffer(base64.b64decode(side["values"] or ""), "<f4").reshape(77, -1)
        assert (values == encoding.embeds).all()
    empty = np.frombuffer(base64.b64decode(drawn["empty"] or ""), "<f4").reshape(77, -1)
    assert (encodings[0].embeds - empty == encodings[0].minus_empty).all()
    assert drawn["unlike"] == list(range(2, 77))


def test_a_very_long_prompt_shows_its_first_windows(random_studio: Studio) -> None:
    table = random_studio.token_table("cat " * 750)
    side = side_of("cat", table)
    assert side["num_chunks"] == 10
    assert len(side["rows"]) == 77 * MAX_WINDOWS


def test_the_token_view_asks_looks_up_and_refuses_in_words(tab: EmbeddingsEvents) -> None:
    view = tab.tokens
    assert view.table("", None, "model-a", 1) == EMPTY
    assert view.table("a {cat*dog}", "", "model-a", 1)["text"].startswith("Prompt must not multiply")
    browser = gr.Request(session_hash="me")
    *_, last = view.numbers("a cat", "a dog", "model-a", 1.0, browser)
    assert last["phase"] == "done"
    # By these the page knows a list that comes late for the same prompts.
    listed = view.table("a cat", "a dog", "model-a", 1.0)
    assert (listed["asked"], [side["prompt"] for side in listed["sides"]]) == (
        last["asked"],
        [side["prompt"] for side in last["sides"]],
    )
    assert last["unlike"]
    assert last["unlike"][0] == 2
    *_, last = view.numbers("a cat", "", "gone", 1, browser)
    assert last["phase"] == "error"
    assert "model must be one of" in last["text"].lower()
    known = {"prompt": "a cat", "row": 2, "side": 0, "model": "model-a", "clip_skip": 1}
    first, *_, near = view.look_up(browser, gr.EventData(None, known))
    assert first["text"] == "Reading the vocabulary…"
    assert len(near["near"]) == 8
    for wrong in ({**known, "row": 77}, {**known, "row": "2"}, {**known, "prompt": None}, None):
        *_, near = view.look_up(browser, gr.EventData(None, wrong))
        assert "must be" in near["text"]
        assert near["near"] == []
