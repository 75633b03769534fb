"""The tab "Interrogate" without a browser: searching, switching phrases, drawing, matching, remembering."""

import json
from collections.abc import Iterator
from dataclasses import replace
from math import nan
from pathlib import Path

import gradio as gr
import pytest
from PIL import Image

from sd_app import (
    Cancelled,
    InterrogateRequest,
    InterrogateStep,
    MatchRequest,
    Settings,
    Step,
    Studio,
    Txt2ImgRequest,
    Txt2ImgResult,
)
from sd_app.queue import JobQueue
from sd_app.requests import Score
from sd_app.ui.interrogate import words
from sd_app.ui.interrogate.events import SearchEvents
from sd_app.ui.interrogate.match import MatchEvents
from sd_app.ui.interrogate.search_jobs import Shown
from sd_app.ui.interrogate.search_results import SearchResults
from sd_app.ui.interrogate.tab import interrogate_tab
from sd_app.ui.shared.components import NamedFile, Updates
from sd_app.ui.shared.files import PictureFiles
from sd_app.ui.shared.making_tab import build_making_tab
from sd_app.ui.shared.send_to import Receiver
from sd_app.ui.shared.studio_protocol import OnStep
from sd_app.ui.txt2img.tab import TXT2IMG
from tests.interrogating import held_out
from tests.waiting import busy


@pytest.fixture(scope="module")
def quick_studio(random_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Studio:
    """Random checkpoints to draw with, the embedded CLIP to look with."""
    outputs, cache = (tmp_path_factory.mktemp(name) for name in ("outputs", "cache"))
    settings = Settings(models_dir=random_models, outputs_dir=outputs, cache_dir=cache, model="model-a")
    return Studio(settings)


@pytest.fixture
def views(quick_studio: Studio) -> tuple[SearchEvents, MatchEvents]:
    queue, files = JobQueue(), PictureFiles(quick_studio.settings.outputs_dir, shared=False, copies=set())
    with gr.Blocks():
        picker = gr.Dropdown(["model-a", "model-b"], value="model-a")
        with gr.Tabs():
            search, match = interrogate_tab(quick_studio, queue, files, picker=picker)
    search.register_kinds()
    match.register_kind()
    return search, match


@pytest.fixture
def tab(views: tuple[SearchEvents, MatchEvents]) -> SearchEvents:
    return views[0]


@pytest.fixture
def matcher(views: tuple[SearchEvents, MatchEvents]) -> MatchEvents:
    return views[1]


def values(tab: SearchEvents, **changed: object) -> Updates:
    """Return a form and a canvas as the browser sends them."""
    form = tab.search_form.fields
    given: dict[str, object] = {name: component.value for name, component in form.items()}
    given |= {"mode": "best", "begins": "typed", "caption": "a drawing", "max_phrases": 4, **changed}
    canvas_value = tab.canvas.show(held_out(3)[0], "heart.png")
    return {**{form[name]: value for name, value in given.items()}, tab.canvas.view: canvas_value}


def drawn(events: Iterator[Shown]) -> list[words.WordsValue]:
    return [value for value, _ in events if "phase" in value]


def search(tab: SearchEvents, **changed: object) -> list[words.WordsValue]:
    return drawn(searching(tab, values(tab, **changed)))


def searching(tab: SearchEvents, given: Updates) -> Iterator[Shown]:
    return tab.jobs.events(lambda: tab.ask(given), "me")


def toggle(tab: SearchEvents, token: str, off: list[int], turn: int = -1) -> words.WordsValue:
    asked = {"token": token, "asked": off, "turn": turn}
    return drawn(tab.toggle(asked, "me"))[-1]


# -- searching


def test_a_search_draws_what_python_finds(tab: SearchEvents) -> None:
    *_, last = search(tab)
    request = InterrogateRequest(image=held_out(3)[0], mode="best", caption="a drawing", max_phrases=4)
    alone = tab.studio.interrogate(request)
    assert last["phase"] == "done"
    assert last["prompt"] == alone.prompt
    assert last["score"]["cosine"] == f"{alone.similarity:.4f}"
    assert last["curve"] == list(alone.curve)
    assert [tuple(step["phrases"]) for step in last["steps"]] == [step.phrases for step in alone.steps]
    assert last["caption"]["text"] == "a drawing"
    assert last["caption"]["title"].startswith(f"cosine {alone.caption_similarity:.4f}, above ")
    assert last["groups"][0]["rows"][0][0] == alone.groups[0].phrases[0].phrase


def test_the_prompt_grows_in_what_is_drawn() -> None:
    steps = [
        InterrogateStep(
            step=k, num_steps=4, image_index=0, num_images=1, seconds=1.0, text="Searching", caption="a cat",
            caption_similarity=0.2, prompt="a cat" + ", red" * k, cosine=0.2 + k / 100,
        )
        for k in range(3)
    ]  # fmt: skip
    shown = [words.running(step, "best") for step in steps]
    assert [one["prompt"] for one in shown] == ["a cat", "a cat, red", "a cat, red, red"]
    assert shown[2]["score"]["cosine"] == "0.2200"
    assert shown[2]["detail"] == "2 of at most 4 phrases"
    assert shown[0]["curve"] == [0.2]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"begins": "typed", "caption": " "}, "Caption must not be empty"),
        ({"groups": []}, "Lists must name a list to search, none is chosen"),
        ({"groups": ["poets"]}, "Lists must be among"),
        ({"max_phrases": 0}, "Maximum phrases must be a whole number"),
        ({"mode": "worst"}, "Search must be one of true, best, fast"),
        ({"clip_model": "nobody/nothing", "groups": ["mediums"]}, "CLIP model must name an architecture"),
        ({"caption_model": "nobody", "begins": "written"}, "Caption model must be one of"),
        ({"caption": "word " * 76}, "Caption must have at most 75 tokens"),
    ],
)
def test_a_refused_search_says_why_and_the_next_one_runs(tab, changed, message) -> None:
    last = search(tab, **changed)[-1]
    assert (last["phase"], last["token"]) == ("error", "")
    assert last["text"].startswith(message)
    assert last["text"].endswith((".", "!", "?"))
    assert search(tab, mode="fast", max_phrases=1)[-1]["phase"] == "done"


def test_without_a_picture_it_says_so(tab: SearchEvents) -> None:
    empty = {**values(tab), tab.canvas.view: {"picture": None}}
    ((last, _),) = searching(tab, empty)
    assert last["text"] == "Picture is missing (open, paste or drop one)."


def test_the_prompt_begins_as_chosen(tab: SearchEvents) -> None:
    image = held_out(1)[0]

    def read(**changed: object) -> InterrogateRequest:
        return tab.search_form.read(values(tab, **changed), image)

    assert read(begins="written").caption is None
    assert read(begins="nothing").caption == ""
    assert read(begins="typed").caption == "a drawing"
    # The usual lists are the mode's own choice; others are named.
    assert read().groups is None
    assert read(groups=["things"]).groups == ("things",)
    assert search(tab, begins="nothing", mode="fast", max_phrases=1)[-1]["caption"]["text"] == ""


def test_stop_keeps_the_best_so_far(tab: SearchEvents) -> None:
    seen = words.EMPTY
    for shown, _ in searching(tab, values(tab, mode="deep", max_phrases=12)):
        seen = shown if "phase" in shown else seen
        if seen["steps"]:
            tab.queue.stop("me")
    assert seen["phase"] == "stopped"
    assert seen["prompt"].startswith("a drawing, ")
    assert seen["text"].startswith("Stopped.")
    assert toggle(tab, seen["token"], [0])["phase"] == "stopped"  # and its phrases can be switched


def test_a_waiting_search_is_told_and_can_be_stopped(tab: SearchEvents) -> None:
    with busy(tab.queue):
        events = searching(tab, values(tab))
        assert next(events)[0]["text"] == "Waiting for 1 job before you"
        tab.queue.stop("me", tab="interrogate")
        assert drawn(events)[-1]["text"] == "Stopped before it began"


# -- phrases off and on


def test_a_phrase_switched_off_changes_prompt_and_cosine_and_back_again(tab: SearchEvents) -> None:
    last = search(tab)[-1]
    result = tab.results.get(last["token"]).result
    without = toggle(tab, last["token"], [1], turn=-3)
    score = tab.studio.score_phrases(result, [k for k in range(len(result.phrases)) if k != 1])
    assert (without["off"], without["turn"]) == ([1], 3)
    assert without["prompt"] == score.prompt != last["prompt"]
    assert without["score"]["cosine"] == f"{score.similarity:.4f}"
    again = toggle(tab, last["token"], [])
    assert (again["prompt"], again["score"]) == (last["prompt"], last["score"])


def test_what_cannot_be_switched_says_so_and_keeps_the_words(tab: SearchEvents) -> None:
    last = search(tab, begins="nothing", mode="fast", max_phrases=1)[-1]
    refused = toggle(tab, last["token"], [0], turn=-7)
    assert refused["phase"] == "error"
    assert refused["text"].startswith("Phrases must leave something of the prompt")
    assert (refused["prompt"], refused["off"], refused["turn"]) == (last["prompt"], [], 7)
    gone = toggle(tab, "forged", [0], turn=-8)
    assert gone["text"].startswith("The search behind these words is not in memory any more")
    assert (gone["prompt"], gone["turn"]) == ("", 8)  # the page keeps the words it shows
    strange: list[object] = [None, [], {"token": 3}, {"token": last["token"], "asked": ["x", 99], "turn": 1}]
    for junk in strange:
        assert drawn(tab.toggle(junk, "me"))[-1]["phase"] in ("error", "done")


def test_the_server_keeps_so_many_searches_and_their_pictures_only_as_files(tab: SearchEvents) -> None:
    image = held_out(1)[0]
    result = tab.studio.interrogate(InterrogateRequest(image=image, caption="", mode="fast", max_phrases=1))
    entry: NamedFile = {"file": tab.files.picture(image), "name": "a.png"}
    results = SearchResults(limit=2)
    first, second = (results.add(result, entry, token) for token in "ab")
    assert results.get(first.token).result.request.image == entry["file"]["path"]
    third = results.add(result, entry, "c")  # the second was not used for longest
    assert results.get(first.token).token != results.get(third.token).token
    with pytest.raises(ValueError, match="press Interrogate again"):
        results.get(second.token)


# -- check by drawing


def test_four_pictures_are_drawn_and_compared_with_the_picture(tab: SearchEvents) -> None:
    token = search(tab)[-1]["token"]
    *before, last = drawn(tab.check({"token": token}, "model-a", "me"))
    assert {shown["phase"] for shown in before} == {"running"}
    assert last["phase"] == "done"
    assert last["drawn"]
    yours, *images = last["drawn"]["images"]
    assert yours["label"] == "Your picture"
    paths = [Path(image["file"]["path"]) for image in images]
    pictures = [Image.open(path).convert("RGB") for path in paths]
    cosines = tab.studio.compare_pictures(held_out(3)[0], pictures, "tiny-clip")
    assert [image["label"] for image in images] == [
        f"{words.number(c, '.3f')} · seed {k}" for k, c in enumerate(cosines)
    ]
    assert f"{words.number(sum(cosines) / 4, '.3f')} on average" in last["drawn"]["text"]
    assert last["prompt"] in last["drawn"]["text"]
    # It stays when a phrase is switched, and a model that is gone is an error that keeps the words.
    assert toggle(tab, token, [0])["drawn"] == last["drawn"]
    gone = drawn(tab.check({"token": token}, "gone", "me"))
    assert gone[-1]["text"] == "Model is not here any more (choose another one above)."
    assert gone[-1]["steps"] == last["steps"]


def test_what_is_drawn_is_what_clip_scored_words_that_look_like_orders_included(tab: SearchEvents) -> None:
    kept = tab.results.get(search(tab)[-1]["token"])
    odd = tab.results._put(replace(kept, score=replace(kept.score, prompt="a cat, {x} (red:2)")))
    checked = tab.check({"token": odd.token}, "model-a", "me")
    shown = drawn(checked)[-1]["drawn"]
    assert shown
    assert shown["prompt"] == r"a cat, \{x\} \(red\:2\)"


def test_stopped_while_drawing_it_compares_what_is_finished(
    tab: SearchEvents, quick_studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = search(tab, mode="fast")[-1]["token"]

    one_by_one = Studio(replace(quick_studio.settings, batch_size=1))
    make = one_by_one.txt2img

    def draw(request: Txt2ImgRequest, on_step: OnStep) -> Txt2ImgResult:
        def stop_after_one(step: Step) -> None:
            on_step(step)
            if step.images:
                raise Cancelled

        return make(request, stop_after_one)

    tab = replace(tab, studio=one_by_one)
    monkeypatch.setattr(one_by_one, "txt2img", draw)
    tab.register_kinds()
    last = drawn(tab.check({"token": token}, "model-a", "me"))[-1]
    assert last["text"] == "Stopped"
    assert last["drawn"]
    assert 1 <= len(last["drawn"]["images"]) - 1 < 4


# -- matching


def test_matching_draws_what_python_finds(matcher: MatchEvents) -> None:
    pictures = [held_out(index)[0] for index in (1, 2)]
    files = [{"path": matcher.uploads.files.picture(image)["path"], "name": "a.png"} for image in pictures]
    uploads, errors = matcher.uploads.add(None, files)
    assert errors == []
    form = {
        matcher.form["texts"]: "a gray heart\n\n a purple moon \n",
        matcher.form["clip_model"]: "tiny-clip",
    }
    *_, (last, _) = matcher.jobs.events(lambda: matcher.ask({**form, matcher.uploads.view: uploads}), "me")
    texts = ["a gray heart", "a purple moon"]
    alone = matcher.studio.match(MatchRequest(images=pictures, texts=texts))
    assert (last["phase"], last["texts"]) == ("done", texts)
    assert last["tables"] == {
        "cosines": alone.cosines, "by_text": alone.text_chances, "by_image": alone.image_chances
    }  # fmt: skip
    assert last["ranks"][0][0] == words.percent(alone.scores[0][0].percentile) != ""
    assert last["ranks"][0][0] in last["titles"][0][0]


@pytest.mark.parametrize(
    ("texts", "pictures", "message"),
    [
        ("", 1, "Texts must number 1 to 12, got none (write one per line)."),
        ("a\n" * 13, 1, "Texts must number 1 to 12, got 13 (leave some out)."),
        ("a", 0, "Pictures must number 1 to 12, got none (add one)."),
    ],
)
def test_a_refused_match_says_why(matcher: MatchEvents, texts: str, pictures: int, message: str) -> None:
    image = matcher.uploads.files.picture(Image.new("RGB", (8, 8)))
    uploads = {"pictures": [{"file": image, "name": "a.png"}] * pictures}
    form = {matcher.form["texts"]: texts, matcher.form["clip_model"]: "tiny-clip"}
    *_, (last, _) = matcher.jobs.events(lambda: matcher.ask({**form, matcher.uploads.view: uploads}), "me")
    assert (last["phase"], last["text"]) == ("error", message)


def test_uploads_take_twelve_pictures_and_name_what_is_none(matcher: MatchEvents, tmp_path: Path) -> None:
    uploads = matcher.uploads
    good = uploads.files.picture(Image.new("RGB", (8, 8)))["path"]
    (tmp_path / "words.png").write_text("no picture")
    bad = uploads.files.file(tmp_path / "words.png")["path"]
    files = [{"path": path, "name": "x.png"} for path in (good, bad, str(tmp_path / "words.png"), good)]
    value, errors = uploads.add(None, files)
    assert len(value["pictures"]) == 2
    assert "not a picture" in str(errors[0])
    assert "open it again" in str(errors[1])
    value, errors = uploads.add(value, [{"path": good, "name": "x.png"}] * 11)
    assert len(value["pictures"]) == 12
    assert str(errors[0]) == "images must number at most 12 (remove one first)"
    for junk in (
        None,
        3,
        {"pictures": "x"},
        {"pictures": [None, {"file": {"path": "/etc/passwd"}, "name": "a"}]},
    ):
        assert uploads.entries(junk) == []


# -- what the browser keeps, what is received, numbers


def test_a_reload_brings_back_form_picture_and_words(tab: SearchEvents) -> None:
    given = values(tab)
    last, kept = list(searching(tab, given))[-1]
    form = {
        "mode": "deep",
        "begins": "typed",
        "caption": "a cat",
        "max_phrases": 7,
        "groups": ["things", "x"],
    }
    updates = tab.restore(form, kept, json.dumps(given[tab.canvas.view]))
    fields = tab.search_form.fields
    assert updates[fields["mode"]] == "deep"
    assert updates[fields["max_phrases"]] == 7
    assert updates[fields["groups"]]["value"] == ["things"]
    assert (updates[fields["caption"]]["value"], updates[fields["caption"]]["visible"]) == ("a cat", True)
    assert updates[tab.canvas.view]["picture"]["name"] == "heart.png"
    assert updates[tab.words] == last
    # After a restart of the app the words are still shown.
    tab.results._results.clear()
    shown = tab.restore(form, kept, None)[tab.words]
    assert words.note(shown) == words.note(last)


def test_what_the_browser_kept_is_not_trusted(tab: SearchEvents) -> None:
    kept = list(searching(tab, values(tab, mode="fast")))[-1][1]
    strange: list[object] = [
        None,
        3,
        {},
        {**kept, "steps": "x"},
        {**kept, "curve": ["x"]},
        {**kept, "off": None},
    ]
    for junk in strange:
        updates = tab.restore(junk, junk, junk)
        assert updates[tab.words] == gr.skip()
    file = {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}
    forged = {
        **kept,
        "token": "x",
        "drawn": {"images": [{"file": file}]},
        "caption": {**kept["caption"], **file},
    }
    assert "/etc/passwd" not in str(tab.restore({}, forged, None)[tab.words])
    bad = {"mode": "worst", "begins": "x", "max_phrases": -1, "clip_model": [3], "groups": 5, "beam_width": 2}
    assert tab.restore(bad, None, None).keys() - {tab.words, tab.canvas.view} == {
        tab.search_form.fields["beam_width"]
    }


def test_words_sent_to_a_tab_replace_its_prompt_alone_and_can_be_taken_back(quick_studio: Studio) -> None:
    queue, files = JobQueue(), PictureFiles(quick_studio.settings.outputs_dir, shared=False, copies=set())
    with gr.Blocks():
        picker = gr.Dropdown(["model-a"], value="model-a")
        tab = build_making_tab(TXT2IMG, quick_studio, queue, files, picker=picker, model=None)
    receiver = Receiver(tab=tab)
    form = ["mine"] * len(tab.form)
    updates = receiver.receive_words({"prompt": "a red cat", "mode": "best"}, None, *form)
    assert updates[tab.form["prompt"]] == "a red cat"
    assert tab.form["negative_prompt"] not in updates
    assert updates[tab.prompts.notice]["before"]["prompt"] == "mine"
    updates = receiver.receive_words({"prompt": "a grey moon", "mode": "negative"}, None, *form)
    assert updates[tab.form["negative_prompt"]] == "a grey moon"
    assert tab.form["prompt"] not in updates
    updates = receiver.receive_words({"prompt": "a cat (1:2) {x}", "mode": "best"}, None, *form)
    assert updates[tab.form["prompt"]] == r"a cat \(1\:2\) \{x\}"
    with pytest.raises(gr.Error):
        receiver.receive_words({"prompt": "", "mode": "best"}, None, *form)


def test_numbers_are_shown_in_few_words() -> None:
    assert [words.one_in(c) for c in (0.5, 0.03, 0.004, 8.5e-5, 1.2e-7, 1.1e-8, 8e-12, 3e-19, 0.0, nan)] == [
        *(
            "50 %",
            "3 %",
            "1 in 250",
            "1 in 12,000",
            "1 in 8.3 million",
            "1 in 91 million",
            "1 in 125 billion",
        ),
        *("1 in 10¹⁸", "never", ""),
    ]
    assert [words.percent(p) for p in (50.0, 99.44, 99.98, 100.0, nan)] == [
        *("50.0 %", "99.4 %", "99.98 %", "100 %", "")
    ]
    score = Score(prompt="a", similarity=0.2, percentile=97.5, chance=1.1e-8)
    assert words.score_title(score) == (
        "cosine 0.2000, above 97.5 % of random phrases, for random directions 1 in 91 million"
    )
