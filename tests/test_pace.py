"""A card works behind the run that feeds it: how far, and when its previews come."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sd_app import Studio, Txt2ImgRequest
from sd_app.probes import pace
from sd_app.probes.pace import Arrivals, Pace

CPU = torch.device("cpu")


class Card:
    """Stands in for a card: it does what it is given only when it is waited for."""

    def __init__(self) -> None:
        self.given = self.done = 0

    def set_mark(self, _: torch.device) -> "CardMark":
        self.given += 1
        return CardMark(self, self.given)


class CardMark:
    def __init__(self, card: Card, number: int) -> None:
        self._card, self._number = card, number

    def query(self) -> bool:
        return self._number <= self._card.done

    def synchronize(self) -> None:
        self._card.done = max(self._card.done, self._number)


@pytest.fixture
def card(monkeypatch):
    card = Card()
    monkeypatch.setattr(pace, "set_mark", card.set_mark)
    return card


def test_a_run_is_at_most_one_step_ahead_of_its_card_and_never_waits_for_the_latest(card):
    paced = Pace(CPU)
    behind = []
    for _ in range(5):
        paced.step()
        behind.append(card.given - card.done)
    assert behind == [1, 1, 1, 1, 1]


def test_what_a_card_has_not_done_yet_is_taken_later_and_only_the_latest(card):
    arrivals: Arrivals[str] = Arrivals(CPU)
    arrivals.ask("first")
    assert arrivals.take() is None
    arrivals.ask("second")
    arrivals.ask("third")
    card.done = 2
    assert arrivals.take() == "second"
    assert arrivals.take() is None
    card.done = 3
    assert arrivals.take() == "third"


def test_where_work_is_done_as_soon_as_it_is_given_nothing_waits():
    arrivals: Arrivals[str] = Arrivals(CPU)
    arrivals.ask("now")
    assert arrivals.take() == "now"
    Pace(CPU).step()


def test_on_a_card_previews_come_a_step_later_and_are_the_same_pictures(random_studio: Studio, monkeypatch):
    request = Txt2ImgRequest(prompt="a cat", seed=3, num_inference_steps=6, scheduler="Euler", num_images=3)

    def previews() -> dict[tuple[int, int], np.ndarray]:
        told = {}

        def on_step(step) -> None:
            if step.preview is not None:
                told[step.image_index, step.step] = np.asarray(step.preview)

        random_studio.txt2img(request, on_step, preview_every=2, save=False)
        return told

    at_once = previews()
    assert list(at_once) == [(first, step) for first in (0, 2) for step in (2, 4, 6)]
    monkeypatch.setattr(pace, "set_mark", Card().set_mark)
    later = previews()
    assert list(later) == [(first, step) for first in (0, 2) for step in (3, 5)]
    for (first, step), preview in later.items():
        assert np.array_equal(preview, at_once[first, step - 1])


def test_a_batchs_last_preview_is_not_shown_as_the_next_ones(random_studio: Studio, card):
    shown = []
    request = Txt2ImgRequest(prompt="a cat", seed=3, num_inference_steps=2, scheduler="Euler")

    def on_step(step) -> None:
        if step.text == "Decoding":
            card.done = card.given  # decoding waits for all of it
        if step.preview is not None:
            shown.append((step.image_index, step.step))

    random_studio.txt2img(replace(request, num_images=4), on_step, preview_every=2, save=False)
    assert shown == []
