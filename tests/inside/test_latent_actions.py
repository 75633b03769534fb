"""What the page may ask of the latents' panels: true answers, and words for what nobody should send."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sd_app import Studio
from sd_app.inside.latents import move_cell
from sd_app.inside.look import Look
from sd_app.inside.poke import poke
from tests.inside.test_word_effects import ALONE, look_at
from tests.test_denoise import PICTURE
from tests.test_observers import KINDS as REQUESTS
from tests.test_observers import open_studio

REQUEST: dict[str, Any] = dict(REQUESTS)


@pytest.fixture(scope="module")
def shared(random_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Studio:
    return open_studio(random_models, "model-a", tmp_path_factory.mktemp("out"))


@pytest.fixture(scope="module")
def look(shared: Studio) -> Look:
    return look_at(shared, ALONE)


def ask(studio: Studio, looked: Any, panel: str, action: str, given: dict[str, Any]) -> Any:
    """Return an answer as the page's script reads it."""
    return studio.look_answer(looked, panel, action, given)


PLACE = {"at_row": 1, "at_column": 2}
MOVE = {**PLACE, "row": "noisy", "frame": 1, "channel": 3, "value": 2.5}


def test_the_numbers_of_a_step_and_a_move_are_those_of_the_recording(shared: Studio, look: Look) -> None:
    recording = look.recording
    shown = ask(shared, look, "latents", "step", {"row": "noisy", "frame": 1})
    assert np.array_equal(shown.numbers["channels"], recording.unscaled(1))
    assert shown.numbers["ranges"][3]["largest"] == float(recording.unscaled(1)[3].max())
    moved = ask(shared, look, "latents", "move", MOVE)
    [expected] = move_cell(look, recording.unscaled(1), row=1, column=2, values=[(3, 2.5)])
    assert moved.numbers["said"] == expected.sentence
    assert moved.pictures["after"].tobytes() == expected.picture_after.tobytes()
    assert moved.numbers["cell"] == [16 / 64, 8 / 64, 8 / 64, 8 / 64]


def test_a_poke_is_told_by_step_from_the_poke_to_the_end(shared: Studio) -> None:
    for scheduler in ("DDIM", "Heun"):
        look = look_at(shared, replace(ALONE, scheduler=scheduler))
        answer = ask(shared, look, "poke", "poke", {**PLACE, "step": 2, "amount": 2.0})
        call = 1 if scheduler == "DDIM" else 2
        poked = poke(look, call=call, row=1, column=2, amount=2.0)
        assert answer.numbers["steps"] == [2, 3, 4, 5]
        assert answer.numbers["distances"][0] == float(poked.distances[call])
        assert answer.numbers["distances"][-1] == float(poked.distances[-1])
        assert len(answer.numbers["ignored"]) == 4


def test_the_loss_of_a_picture_alone_is_that_of_the_apps_own_model(shared: Studio) -> None:
    alone = shared.look_at_picture(PICTURE, "No parameters.")
    answer = ask(shared, alone, "vae", "begin", {})
    [loss] = answer.numbers["losses"]
    assert loss["name"] == "picture"
    assert np.array(loss["kinds_of_cells"]).sum(axis=2) == pytest.approx(np.ones((9, 8)))
    assert set(answer.pictures) == {f"picture:{what}" for what in ("original", "back", "times", "kinds")}
    facts = {panel.name: panel.why_not for panel in shared.look_facts(alone).panels}
    assert facts["vae"] == ""
    assert facts["latents"] == "No parameters."
    with pytest.raises(ValueError, match=r"No parameters\."):
        ask(shared, alone, "latents", "move", MOVE)


@pytest.mark.parametrize(
    ("panel", "action", "given"),
    [
        ("latents", "step", {"row": "guided", "frame": 0}),
        ("latents", "step", {"row": "noisy", "frame": 99}),
        ("latents", "move", {**MOVE, "at_row": 8}),
        ("latents", "move", {**MOVE, "channel": -1}),
        ("latents", "move", {**MOVE, "value": float("nan")}),
        ("latents", "move", {**MOVE, "value": 1e9}),
        ("latents", "move", {**MOVE, "value": "2"}),
        ("latents", "move", {}),
        ("poke", "poke", {**PLACE, "step": 0, "amount": 1.0}),
        ("poke", "poke", {**PLACE, "step": 5, "amount": 1.0}),
        ("poke", "poke", {**PLACE, "step": 1, "amount": float("inf")}),
        ("poke", "poke", {**PLACE, "step": True, "amount": 1.0}),
        ("start", "begin", {}),
        ("start", "strength", {"strength": 0.5}),
        ("putback", "blend", {"call": 0}),
    ],
)
def test_what_nobody_should_ask_is_refused_in_words(
    shared: Studio, look: Look, panel: str, action: str, given: dict[str, object]
) -> None:
    with pytest.raises(ValueError, match=r"must be|began from noise alone|no mask"):
        ask(shared, look, panel, action, given)


def test_a_strength_out_of_range_and_a_blend_past_the_end_are_refused(shared: Studio) -> None:
    look = look_at(shared, REQUEST["inpaint"])
    with pytest.raises(ValueError, match="strength must be a number from 0 to 1"):
        ask(shared, look, "start", "strength", {"strength": 1.5})
    none = ask(shared, look, "start", "strength", {"strength": 0.0})
    assert none.numbers["starts"] == []
    assert none.numbers["said"] == ["Strength 0 runs none of 4 steps."]
    with pytest.raises(ValueError, match="call must be a whole number from 0 to 2"):
        ask(shared, look, "putback", "blend", {"call": 3})
    answer = ask(shared, look, "putback", "begin", {})
    assert len(answer.numbers["strayed"]) == 3
