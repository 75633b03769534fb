"""The tab "Embeddings", as a person uses it: one journey for each of its modes."""

from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

from sd_app.metadata import parse_infotext, read_infotext
from sd_app.requests import Encoding
from tests.browser.steps import done, fill_in

POINTED = "Expression must not multiply words by words, at character 4 (one side must be a number: 0.5*cat)."


@pytest.fixture
def tab(page: Page) -> Locator:
    page.get_by_role("tab", name="Embeddings").click()
    return page.locator("#tab-embeddings")


def choose(tab: Locator, mode: str) -> None:
    tab.get_by_role("radio", name=mode, exact=True).check(force=True)


def press_generate(tab: Locator) -> None:
    tab.get_by_role("button", name="Generate").click()


def saved(outputs_dir: Path, before: set[Path]) -> list[Path]:
    return sorted(set(outputs_dir.rglob("*.png")) - before)


def heat_values(tab: Locator, row: int) -> list[str]:
    """Return what pointing at every 8th channel of a row says."""
    strip = tab.locator(f"tr[data-row='{row}'] canvas")
    box = strip.bounding_box()
    assert box
    told = []
    for channel in range(0, 32, 8):
        tab.page.mouse.move(box["x"] + (channel + 0.5) / 32 * box["width"], box["y"] + 5)
        told.append(tab.locator(".tokens-point").inner_text().split(": ")[-1])
    return told


def test_tokens_are_listed_compared_and_looked_up(tab: Locator, encodings: list[Encoding]) -> None:
    first, second = encodings
    fill_in(tab.get_by_label("Prompt", exact=True), first.prompt)
    rows = tab.locator("tr[data-row]")
    expect(rows).to_have_count(77)  # before anything is loaded
    assert rows.nth(4).locator("td").all_inner_texts()[:6] == ["4", "bo…", "647", "4", "1", "1"]
    assert [rows.nth(k).locator(".tokens-word").inner_text() for k in (0, 5, 6, 7, 8, 76)] == [
        *("start token", "…zu…", "…man", "end token", "padding", "padding")
    ]
    expect(tab.locator(".tokens-note")).to_contain_text("all 77")
    tab.get_by_label("Second prompt, for comparison").fill(second.prompt)
    tab.page.keyboard.press("Control+Enter")
    expect(tab.locator(".tokens[data-numbers=true]")).to_be_visible()
    expect(tab.locator(".tokens-pair")).to_contain_text("Rows that differ: 4–76. The encoder is causal")
    assert tab.locator("tr.unlike").count() == 73

    # What is drawn is the tensor: exactly this number at every place.
    for kind, values in (("As it is", first.embeds), ("Minus the empty prompt", first.minus_empty)):
        tab.get_by_role("button", name=kind).click()
        shown = [float(text.replace("−", "-")) for text in heat_values(tab, 4)]
        assert shown == pytest.approx(values[4, ::8], rel=6e-3, abs=1e-30)
    tab.get_by_role("button", name="Minus the other prompt").click()
    assert heat_values(tab, 3) == ["0"] * 4

    # By keyboard: a row's length, channels and nearest words.
    tab.get_by_role("button", name="As it is").click()
    rows.nth(4).focus()
    tab.page.keyboard.press("ArrowDown")
    tab.page.keyboard.press("Enter")
    detail = tab.locator(".tokens-detail div")
    expect(detail.nth(2).locator("span")).to_have_count(8)
    channel, value = first.largest_channels(5)[0]
    assert detail.nth(1).locator("span").first.inner_text() == f"{channel} {value:.3g}".replace("-", "−")
    assert float(detail.nth(0).locator("span").inner_text()) == pytest.approx(first.norms[5], rel=6e-3)

    # A slot that cannot be read is pointed at, and what is drawn stays.
    fill_in(tab.get_by_label("Prompt", exact=True), "a {cat*dog}")
    expect(tab.locator(".tokens .result-message")).to_contain_text("a {cat*dog}\n        ^")
    expect(rows.nth(4)).to_be_visible()


def test_a_prompt_too_long_for_a_window_shows_what_would_be_cut(tab: Locator) -> None:
    tab.get_by_label("Prompt", exact=True).fill("cat " * 90)
    expect(tab.locator("tr[data-row]")).to_have_count(154)
    assert tab.locator(".tokens-mark.cut").count() == 15
    expect(tab.locator(".tokens-count")).to_contain_text("would keep 75 and cut 15")


def test_a_blend_is_checked_as_it_is_typed_made_and_sent_on(page: Page, tab: Locator) -> None:
    page.get_by_role("tab", name="Image to image").click()
    there = page.locator("#tab-img2img")
    fill_in(there.get_by_label("Prompt", exact=True), "my own words")
    page.get_by_role("tab", name="Embeddings").click()

    choose(tab, "Blend")
    expression = tab.get_by_label("Expression", exact=True)
    fill_in(expression, "cat*dog")
    wrong = tab.locator(".block.spelling:has(.wrong)")
    expect(wrong).to_contain_text(POINTED)
    assert wrong.locator("pre").inner_text() == "  cat*dog\n     ^"
    press_generate(tab)
    expect(tab.locator(".result .result-message")).to_contain_text(POINTED)
    expect(expression).to_have_value("cat*dog")

    expression.fill("cat + 0.43*tabby")
    tab.get_by_label("Prompt around the words").fill("a drawing of {}")
    expect(tab.locator(".spelling code")).to_have_text("a drawing of {row: cat + 0.43*tabby}")
    press_generate(tab)
    expect(done(tab)).to_be_visible()
    prompt = "a drawing of {row: cat + 0.43*tabby}"
    assert (tab.locator(".result-infotext pre").text_content() or "").startswith(prompt)

    tab.locator(".result-send").get_by_role("button", name="Image to image").click()
    expect(there.get_by_label("Prompt", exact=True)).to_have_value(prompt)
    there.locator(".notice").get_by_role("button", name="Undo").click()
    expect(there.get_by_label("Prompt", exact=True)).to_have_value("my own words")

    # Back, and what the picture was made with fills the form again.
    page.get_by_role("tab", name="Embeddings").click()
    expression.fill("something else")
    tab.get_by_role("button", name="Reuse parameters").click()
    expect(expression).to_have_value("cat + 0.43*tabby")
    expect(tab.get_by_label("Prompt around the words")).to_have_value("a drawing of {}")


def test_a_walk_shows_film_frames_and_where_it_jumps(tab: Locator, outputs_dir: Path) -> None:
    before = set(outputs_dir.rglob("*.png"))
    choose(tab, "Walk")
    tab.locator(".examples button", has_text="cat → dog").click()
    expect(tab.get_by_label("To", exact=True)).to_have_value("dog")
    fill_in(tab.get_by_label("Frames, 2–400"), "5")
    tab.get_by_label("Find the jump").check()
    press_generate(tab)
    expect(done(tab)).to_be_visible()
    strip = tab.locator(".result-strip button")
    captions = ["0", "0.25", "0.5", "0.75", "1"]
    assert strip.locator("span").all_inner_texts()[:5] == captions
    assert strip.count() == 7  # and the two either side of the jump
    assert tab.locator("video").evaluate("v => v.error === null && v.loop")

    # Each frame has its own prompt; the scrubber goes through them.
    tab.locator(".result-scrub input").fill("1")
    expect(tab.locator(".result-seed")).to_contain_text("t = 0.25")
    prompt = "a big orange {lerp(cat, dog, 0.25)} in a meadow"
    assert tab.locator(".result-infotext pre").text_content().startswith(prompt)  # type: ignore[union-attr]
    files = saved(outputs_dir, before)
    assert prompt in [parse_infotext(read_infotext(path) or "").prompt for path in files]

    # A line for each pair; the keys go from one to the next, and a choice shows its left frame.
    assert tab.locator("[data-pair]").count() == 4
    assert tab.locator(".plot-jump").count() == 1
    chart = tab.locator(".plot-chart")
    chart.focus()
    for _ in range(4):
        tab.page.keyboard.press("ArrowLeft")
    expect(tab.locator(".plot-pair")).to_contain_text("t 0 – 0.25")
    tab.page.keyboard.press("ArrowRight")
    expect(tab.locator(".plot-pair")).to_contain_text("t 0.25 – 0.5")
    expect(strip.nth(1)).to_have_attribute("aria-pressed", "true")
    linear = tab.locator("[data-pair='1']").get_attribute("points")
    tab.get_by_role("button", name="Log").click()
    assert tab.locator("[data-pair='1']").get_attribute("points") != linear
    assert tab.locator(".plot-kind").inner_text() in ("small change", "branch early", "differ at the end")

    widths = tab.locator(".result-jump tbody tr td:nth-child(3)").all_inner_texts()
    assert widths == [f"1/{2**power}" for power in range(2, 11)]
    tab.locator(".jump-sides button").nth(1).click()
    expect(strip.nth(6)).to_have_attribute("aria-pressed", "true")

    # Views of all frames; they and the film are there again after a reload.
    tab.page.reload()
    tab.page.get_by_role("tab", name="Embeddings").click()
    expect(tab.locator("video")).to_be_visible()
    expect(strip).to_have_count(7)
    expect(tab.locator("[data-pair]")).to_have_count(4)
    assert tab.locator(".result-jump tbody tr td:nth-child(3)").all_inner_texts() == widths
    tab.locator(".result-views").get_by_role("button", name="Strip").click()
    expect(tab.locator(".result-picture")).to_have_js_property("naturalWidth", 5 * 64)


def test_a_stopped_walk_keeps_the_frames_made_so_far(tab: Locator) -> None:
    choose(tab, "Walk")
    tab.locator(".examples button", has_text="cat → dog").click()
    expect(tab.get_by_label("To", exact=True)).to_have_value("dog")
    fill_in(tab.get_by_label("Frames, 2–400"), "200")
    press_generate(tab)
    expect(tab.locator(".result-strip img").nth(2)).to_be_visible()
    tab.page.keyboard.press("Escape")
    expect(tab.locator(".result[data-phase=stopped]")).to_be_visible()
    expect(tab.locator(".result-summary")).to_contain_text("of 200 finished")
    assert 3 <= tab.locator(".result-strip button").count() < 200
    expect(tab.locator(".plot-chart svg")).to_be_visible()


def test_a_planes_cells_are_labelled_and_selectable(tab: Locator) -> None:
    choose(tab, "Plane")
    tab.locator(".examples button", has_text="cat → kitten").click()
    expect(tab.get_by_label("Add along the columns")).to_have_value("dog")
    fill_in(tab.get_by_role("spinbutton", name="Rows"), "2")
    fill_in(tab.get_by_role("spinbutton", name="Columns"), "3")
    press_generate(tab)
    expect(done(tab)).to_be_visible()
    grid = tab.locator(".result-grid")
    assert grid.locator("span").all_inner_texts() == ["× dog", "−0.43", "0", "+0.43", "cat", "kitten"]
    cells = grid.locator("button")
    assert cells.count() == 6
    cells.nth(5).click()
    expect(cells.nth(5)).to_have_attribute("aria-pressed", "true")
    expect(tab.locator(".result-seed")).to_contain_text("t = 1, +0.43 × dog")
    shown = tab.locator(".result-infotext pre").text_content() or ""
    assert shown.startswith("a drawing of {row: lerp(cat, kitten, 1.0) + 0.43*dog}")


def test_on_a_phone_nothing_sticks_out(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.get_by_role("tab", name="Embeddings").click()
    tab = page.locator("#tab-embeddings")
    fill_in(tab.get_by_label("Prompt", exact=True), "a drawing of bozuman, extraordinarily")
    tab.get_by_role("button", name="Show the numbers").click()
    expect(tab.locator(".tokens[data-numbers=true]")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    canvas = tab.locator("tr[data-row='4'] canvas").bounding_box()
    assert canvas
    assert np.all([canvas["width"] > 100, canvas["x"] + canvas["width"] <= 390])
    choose(tab, "Plane")
    tab.locator(".examples button", has_text="cat → kitten").click()
    expect(tab.get_by_label("Add along the columns")).to_have_value("dog")
    fill_in(tab.get_by_role("spinbutton", name="Rows"), "2")
    press_generate(tab)
    expect(done(tab)).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
