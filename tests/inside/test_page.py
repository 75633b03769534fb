"""Look inside as the page asks for it: what there is, what is done in a panel, and bad questions."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sd_app import Settings, Studio, Txt2ImgRequest
from sd_app.inside import film
from sd_app.inside.actions import choice, number, text, whole, wholes
from sd_app.inside.guidance import guidance_push
from sd_app.inside.look import Look
from sd_app.inside.panels import PANELS
from sd_app.inside.tokens import NO_WORDS_IN_FILE
from sd_app.inside.word_actions import on_page
from sd_app.inside.word_effects import effects_of
from tests.test_observers import RUN

REQUEST = Txt2ImgRequest(prompt="a red cat", **RUN)


@pytest.fixture
def look(random_studio: Studio) -> Look:
    result = random_studio.txt2img(REQUEST, save=False)
    recording = random_studio.film_of(result.request_of(0))
    assert recording
    return random_studio.look(recording)


def test_the_clock_has_the_steps_taken_and_the_finished_picture_after_them(random_studio: Studio) -> None:
    for scheduler, order in (("DDIM", 1), ("Heun", 2)):
        result = random_studio.txt2img(replace(REQUEST, scheduler=scheduler), save=False)
        recording = random_studio.film_of(result.request_of(0))
        assert recording
        facts = random_studio.look_facts(random_studio.look(recording))
        clock = facts.clock
        assert clock["calls"] == [step * order for step in range(recording.num_steps)]
        assert clock["num_calls"] == recording.num_calls
        assert clock["timesteps"] == recording.timesteps[::order].tolist()
        assert clock["sigmas"] == recording.sigmas[::order].tolist()
        assert facts.about["seed"] == recording.request.seed
        assert facts.picture is recording.decoded


def test_every_panel_is_offered_with_its_words_or_with_why_not(random_studio: Studio, look: Look) -> None:
    facts = random_studio.look_facts(look)
    assert [panel.name for panel in facts.panels] == [panel.name for panel in PANELS]
    for panel in facts.panels:
        assert panel.seen
        assert panel.not_shown
        assert panel.formula
    why = {panel.name: panel.why_not for panel in facts.panels}
    assert why["film"] == ""
    assert "record it again" in why["attention"]  # a film has no attention
    alone = random_studio.look_facts(random_studio.look_at_picture(look.recording.decoded, "No parameters."))
    assert alone.clock == {}
    assert {panel.why_not for panel in alone.panels} == {"", "No parameters.", NO_WORDS_IN_FILE}
    assert next(panel for panel in alone.panels if panel.name == "film").why_not == "No parameters."


def test_frames_are_those_of_the_recording_by_row_and_call(random_studio: Studio, look: Look) -> None:
    begun = random_studio.look_answer(look, "film", "begin", {})
    first = film.first_frames(look.recording)
    assert begun.numbers["first"] == first
    assert list(begun.pictures) == [f"conditional:{frame}" for frame in first]
    for row in film.ROWS:
        answer = random_studio.look_answer(look, "film", "frames", {"row": row, "frames": [1, 2]})
        for frame, image in zip((1, 2), film.frames(look, row, [1, 2]), strict=True):
            assert np.array_equal(np.asarray(answer.pictures[f"{row}:{frame}"]), np.asarray(image))


def test_frames_of_a_half_that_was_not_run_are_said_to_be_absent(random_studio: Studio) -> None:
    result = random_studio.txt2img(replace(REQUEST, guidance_end=0.5), save=False)
    recording = random_studio.film_of(result.request_of(0))
    assert recording
    look = random_studio.look(recording)
    last = recording.num_calls - 1
    answer = random_studio.look_answer(look, "film", "frames", {"row": "unconditional", "frames": [0, last]})
    assert answer.numbers["absent"] == [last]
    assert list(answer.pictures) == ["unconditional:0"]


@pytest.mark.parametrize(
    ("panel", "action", "given"),
    [
        ("film", "frames", {}),
        ("film", "frames", {"row": "other", "frames": [0]}),
        ("film", "frames", {"row": ["noisy"], "frames": [0]}),
        ("film", "frames", {"row": "noisy", "frames": []}),
        ("film", "frames", {"row": "noisy", "frames": [99]}),
        ("film", "frames", {"row": "noisy", "frames": [-1]}),
        ("film", "frames", {"row": "noisy", "frames": [0] * 500}),
        ("film", "frames", {"row": "noisy", "frames": [True]}),
        ("film", "frames", {"row": "noisy", "frames": [0.5]}),
        ("film", "frames", {"row": "noisy", "frames": "0"}),
        ("film", "other", {}),
        ("other", "begin", {}),
        ("guidance", "other", {}),
        ("attention", "begin", {}),
    ],
)
def test_a_bad_question_is_refused_in_words(
    random_studio: Studio, look: Look, panel: str, action: str, given: dict[str, object]
) -> None:
    with pytest.raises(ValueError, match=r"\w+ \w+"):
        random_studio.look_answer(look, panel, action, given)


def test_readers_take_what_is_in_bounds_and_nothing_else() -> None:
    given = {"a": 3, "b": 0.5, "c": "x", "d": [1, 2], "e": float("nan"), "f": None, "g": True}
    assert (whole(given, "a", 0, 3), number(given, "b", 0, 1), text(given, "c", 1)) == (3, 0.5, "x")
    assert (choice(given, "c", ("x", "y")), wholes(given, "d", 1, 2, 2)) == ("x", [1, 2])
    for read in (
        lambda name: whole(given, name, 0, 2),
        lambda name: number(given, name, 0, 0.4),
        lambda name: text(given, name, 0),
        lambda name: choice(given, name, ("z",)),
        lambda name: wholes(given, name, 1, 2, 1),
    ):
        for name in (*given, "none"):
            with pytest.raises(ValueError, match=name):
                read(name)


def test_kept_recordings_say_what_they_are_without_being_opened(random_studio: Studio) -> None:
    recording = random_studio.record(replace(REQUEST, prompt="a cat, red"))
    name = random_studio.recordings()[0]
    kept = random_studio.describe_recording(name)
    assert (kept.name, kept.prompt, kept.seed) == (name, "a cat, red", recording.request.seed)
    assert kept.size_bytes > 1000
    for wrong in ("none.safetensors", "../x.safetensors", "/etc/passwd"):
        with pytest.raises(ValueError, match="not kept any more"):
            random_studio.describe_recording(wrong)


# -- what is done in the panels


@pytest.fixture(scope="module")
def recorded(random_models: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Studio, Look]:
    """A full recording with a negative prompt, for all tests below."""
    folder = tmp_path_factory.mktemp("page")
    studio = Studio(
        Settings(
            device="cpu", models_dir=random_models, cache_dir=folder, outputs_dir=folder, model="model-a"
        )
    )
    request = replace(REQUEST, prompt="a red cat on the beach", negative_prompt="blue dog")
    return studio, studio.look(studio.record(request, keep=False))


def test_the_words_maps_on_the_page_are_the_effects(recorded: tuple[Studio, Look]) -> None:
    studio, look = recorded
    numbers = studio.look_answer(look, "words", "begin", {}).numbers
    effects = effects_of(look)
    assert numbers["labels"] == list(effects.labels)
    assert numbers["maps"] is effects.maps
    assert numbers["owners"] == effects.owners.tolist()
    assert numbers["has_negative"]
    negative = studio.look_answer(look, "words", "negative", {}).numbers
    assert negative["labels"] == ["blue", "dog"]
    assert np.array_equal(negative["maps"], effects_of(look, negative=True).maps)  # type: ignore[arg-type]


def test_attention_on_the_page_sums_to_one_and_knows_steps_modules_and_heads(
    recorded: tuple[Studio, Look],
) -> None:
    studio, look = recorded
    begun = studio.look_answer(look, "attention", "begin", {}).numbers
    modules = [name for name, *_ in begun["modules"]]  # type: ignore[attr-defined]
    assert begun["finest"] in modules
    for given in ({"module": modules[0], "call": 1}, {"module": modules[-1], "call": -1}):
        maps = studio.look_answer(look, "attention", "maps", {**given, "text": 0}).numbers["maps"]
        assert isinstance(maps, np.ndarray)
        assert maps.sum(axis=0) == pytest.approx(1, abs=2e-3)
    head = {"module": modules[0], "third": "late", "head": 0, "text": 0}
    one = studio.look_answer(look, "attention", "head", head).numbers["maps"]
    assert isinstance(one, np.ndarray)
    assert one.sum(axis=0) == pytest.approx(1, abs=2e-3)
    for bad in ({"head": 99}, {"third": "last"}, {"module": "other"}, {"text": 1}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            studio.look_answer(look, "attention", "head", {**head, **bad})


def test_the_push_on_the_page_is_the_recordings_and_the_negative_one_is_asked_for_first(
    recorded: tuple[Studio, Look],
) -> None:
    studio, look = recorded
    push = guidance_push(look.recording)
    assert studio.look_answer(look, "guidance", "begin", {}).numbers["sizes"] == pytest.approx(push.sizes)
    here = studio.look_answer(look, "guidance", "map", {"what": "prompt", "call": 1}).numbers
    assert np.array_equal(here["map"], push.maps[1])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not worked out yet"):
        studio.look_answer(look, "guidance", "map", {"what": "negative", "call": 1})
    studio.look_answer(look, "guidance", "negative", {})
    assert studio.look_answer(look, "guidance", "map", {"what": "negative", "call": 1}).numbers["size"]
    with pytest.raises(ValueError, match="step"):
        studio.look_answer(look, "guidance", "away", {"step": 1})


def test_a_word_that_the_prompt_lacks_and_a_long_one_are_refused(recorded: tuple[Studio, Look]) -> None:
    studio, look = recorded
    for given in ({"word": "dog", "other": ""}, {"word": "cat", "other": "x" * 201}, {"word": "cat"}):
        with pytest.raises(ValueError, match=r"word|other"):
            studio.look_answer(look, "words", "other", given)


def test_large_maps_are_sent_with_places_averaged_and_small_ones_as_they_are(
    recorded: tuple[Studio, Look],
) -> None:
    effects = effects_of(recorded[1])
    assert on_page(effects) is effects
    tall = np.repeat(np.repeat(effects.by_call, 16, axis=-2), 8, axis=-1)  # 128 x 64 places
    small = on_page(replace(effects, by_call=tall))
    assert small.maps.shape == (len(effects.words), 64, 32)
    assert small.totals == pytest.approx(effects.totals, rel=1e-4)


def test_the_panels_that_take_as_long_as_pictures_do_say_so() -> None:
    """Others answer from the recording alone."""
    assert {panel.name for panel in PANELS if panel.makes_pictures} == {
        "steps",
        "poke",
        "without",
        "kept",
        "sweep",
        "cuts",
        "parting",
        "encoder",
    }
