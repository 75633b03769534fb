"""The panels of "Look inside": something is done in each, and what follows is that of the recording."""

import re
from collections.abc import Iterator

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from sd_app.inside import film
from sd_app.inside.again import with_another_word
from sd_app.inside.attention_words import agreement, attention_words
from sd_app.inside.closed_rows import with_closed_rows
from sd_app.inside.decided import decide
from sd_app.inside.guidance import guidance_push, without_prompt_from
from sd_app.inside.guidance_sweep import SCALES, guidance_sweep
from sd_app.inside.prompt_words import words_in
from sd_app.inside.sheets import color_of
from sd_app.inside.word_effects import effects_of
from tests.browser.conftest import PATIENCE
from tests.browser.test_inside import look_of, looked, opened, pixels, recording_of

CANVAS = "c => [c.width, c.height, [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]]"


@pytest.fixture(scope="module")
def page(browser: Browser, address: str) -> Iterator[Page]:
    """A page on which one recording is open, for all tests of this file."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address)
    page.wait_for_selector(".result")
    page.wait_for_function("document.querySelector('#model-picker input')?.value === 'model-a'")
    page.locator("#tab-txt2img").get_by_label("number input for Steps").fill("6")
    looked(page)
    yield page
    context.close()
    assert errors == []


def drawn(canvas: Locator) -> np.ndarray:
    """Return what is drawn on a canvas, (h, w, 3)."""
    width, height, values = canvas.evaluate(CANVAS)
    return np.array(values, np.uint8).reshape(height, width, 4)[..., :3]


def click_place(place: Locator, row: int, column: int, side: tuple[int, int]) -> None:
    box = place.bounding_box()
    assert box
    rows, columns = side
    place.click(
        position={"x": (column + 0.5) / columns * box["width"], "y": (row + 0.5) / rows * box["height"]}
    )


def test_the_film_says_when_what_was_decided(page: Page) -> None:
    section = opened(page, "film")
    section.get_by_text("When was it decided?").click()
    recording, look = recording_of(page), look_of(page)
    chosen = film.all_frames(recording)
    found = decide(recording, chosen, film.frames(look, chosen=chosen))
    rows = section.locator(".decided-row")
    expect(rows).to_have_count(len(found) + 1)
    for row, decision in zip(rows.all(), found, strict=False):
        assert row.inner_text().split("\n") == [decision.what, f"step {decision.step(recording)}"]
    rows.first.click()
    expect(page.locator(".clock-step")).to_have_text(f"Step {found[0].step(recording)} of 6")


def test_a_place_has_the_words_that_moved_it_and_its_owners_colour(page: Page) -> None:
    section = opened(page, "words")
    effects = effects_of(look_of(page))
    owners = drawn(section.locator(".words-top canvas"))
    row, column = 2, 3
    click_place(section.locator(".words-top .cells").first, row, column, effects.owners.shape)
    for at in (column, column + 1):  # by pointer, then by an arrow key
        expect(section.locator(".words-bars .cells-title")).to_contain_text(f"row {row + 1}, column {at + 1}")
        shown = [bar.inner_text().split("\n") for bar in section.locator(".bar-row").all()]
        assert [name for name, _ in shown] == [label for label, _ in effects.bars(row, at)]
        assert [float(value) for _, value in shown] == pytest.approx(
            [value for _, value in effects.bars(row, at)], rel=6e-3
        )
        strength = 0.12 + 0.88 * effects.strength[row, at]
        color = np.array(color_of(int(effects.owners[row, at])))
        assert owners[row, at] == pytest.approx(color * strength + 255 * (1 - strength), abs=1)
        section.locator(".words-top .cells").first.focus()
        before = page.locator(".clock-step").inner_text()
        page.keyboard.press("ArrowRight")
        assert (
            page.locator(".clock-step").inner_text() == before
        )  # the key was for the map, not for the clock

    # One word alone, on the scale of all.
    brightest = int(effects.maps.max(axis=(1, 2)).argmax())
    section.locator(f".words-tiles button[data-word='{brightest}']").click()
    heat = drawn(section.locator(".words-top canvas")).astype(int).sum(axis=-1)
    assert heat.argmax() in np.argwhere(heat.ravel() == heat.max())
    place = np.unravel_index(effects.maps[brightest].argmax(), heat.shape)
    assert heat[place] == heat.max()


def test_a_word_is_replaced_on_the_same_noise(page: Page) -> None:
    section = opened(page, "words")
    look = look_of(page)
    section.get_by_label("Word", exact=True).select_option(label="cat")
    section.get_by_label("Another word in its place").fill("dog")
    section.get_by_role("button", name="Make the picture").click()
    [cat] = words_in(look).only("cat").words
    again = section.locator(".again")
    expect(again).to_be_visible()
    expected = with_another_word(look, cat, "dog")
    assert (pixels(again.locator("img").nth(1)) == np.asarray(expected.picture)).all()
    expect(again.locator(".look-said")).to_have_text(expected.sentence)
    expect(again.locator("figcaption").nth(1)).to_have_text("dog instead of cat")


def test_attention_follows_the_clock_and_meets_the_experiment(page: Page) -> None:
    section = opened(page, "attention")
    look = look_of(page)
    recording = look.recording
    found = words_in(look)

    def shares() -> list[str]:
        return [text.split("\n")[-1] for text in section.locator(".words-tiles figcaption").all_inner_texts()]

    usual = attention_words(recording, found)
    assert shares()[1:] == [f"{100 * share:.1f} %" for share in usual.shares]
    names = [text.split("\n")[0] for text in section.locator(".words-tiles figcaption").all_inner_texts()[1:]]
    assert names == list(usual.labels)
    assert {"start mark", "padding"} <= set(names)
    section.get_by_role("button", name="The step of the clock").click()
    page.locator(".clock-range").fill("1")
    second = attention_words(recording, found, calls=[1])
    last = section.locator(".words-tiles figure").last.locator("em")
    expect(last).to_have_text(f"{100 * second.shares[-1]:.1f} %")
    assert shares()[1:] == [f"{100 * share:.1f} %" for share in second.shares]

    section.get_by_role("button", name="Compare with what the words did").click()
    both = agreement(effects_of(look), usual)
    assert both
    expect(section.locator(".attention-meeting .look-said")).to_contain_text(both.sentence)
    same = drawn(section.locator(".attention-meeting canvas").nth(2))
    assert ((same == (15, 118, 110)).all(axis=-1) == both.same).all()
    side = both.same.shape
    click_place(section.locator(".attention-meeting .cells").first, 1, 2, side)
    expect(section.locator(".attention-meeting .cells-title")).to_contain_text(
        both.labels[both.by_effect[1, 2]]
    )


def test_the_picture_with_all_words_closed(page: Page) -> None:
    section = opened(page, "kept")
    section.get_by_role("button", name="all words closed").click()
    expected = with_closed_rows(look_of(page), "all words closed")
    expect(section.locator(".again .look-said")).to_have_text(expected.sentence)
    assert (pixels(section.locator(".again img").nth(1)) == np.asarray(expected.picture)).all()


def test_guidance_is_shown_at_the_clocks_step_and_the_prompt_is_taken_away(page: Page) -> None:
    section = opened(page, "guidance")
    push = guidance_push(recording_of(page))
    for step in (0, 3):
        page.locator(".clock-range").fill(str(step))
        canvas = section.locator(f".push-maps canvas[data-call='{step}']")
        expect(canvas).to_be_visible()
        words = section.locator(".push-maps figcaption").nth(1)
        expect(words).to_contain_text(f"Step {step + 1}: pushed by")
        said = float(re.findall(r"pushed by ([\d.e-]+)", words.inner_text())[0])
        assert said == pytest.approx(push.sizes[step], rel=6e-3)
        heat = drawn(canvas).astype(int).sum(axis=-1)
        assert heat[np.unravel_index(push.maps[step].argmax(), heat.shape)] == heat.max()
    section.get_by_role("button", name="Take the prompt away from step 4 on").click()
    expected = without_prompt_from(look_of(page), 3)
    expect(section.locator(".again .look-said")).to_have_text(expected.sentence)
    assert (pixels(section.locator(".again img").nth(1)) == np.asarray(expected.picture)).all()


def test_scales_are_tried_one_after_the_other_and_can_be_stopped(page: Page) -> None:
    section = opened(page, "sweep")
    section.get_by_role("button", name="Make them at 0, 1, 3").click()
    first = section.locator(".series figure").first
    expect(first.locator("b")).to_have_text("Guidance 0")
    section.get_by_role("button", name="Stop after this one").click()
    expect(section.get_by_role("button", name="Make them at 0, 1, 3")).to_be_visible()
    assert section.locator(".series figure").count() < len(SCALES)
    [point] = guidance_sweep(look_of(page), scales=[SCALES[0]])
    assert (pixels(first.locator("img")) == np.asarray(point.pictures[0])).all()
    expect(first.locator("figcaption").first).to_have_text(f"likeness of seeds {point.likeness:.2f}")


def test_other_numbers_of_steps_begin_at_one_noise(page: Page) -> None:
    section = opened(page, "steps")
    section.get_by_role("button", name="Make it in 200, 50").click()
    figures = section.locator(".series figure")
    expect(figures).to_have_count(5)
    starts = [text.split("\n")[-1] for text in figures.all_inner_texts()]
    assert len(set(starts)) == 1
    assert starts[0].startswith("from level 999")
