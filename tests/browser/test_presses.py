"""What a press does at once, and what can be taken back."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, Route, expect

from sd_app.metadata import write_png
from tests.browser.steps import SETTLE, done, fill_in, generate

JOIN = re.compile(r"/queue/join")
INPAINTED = (
    "a green boat\nNegative prompt: grey\nSteps: 3, Sampler: DDIM, CFG scale: 4, Seed: 11, Size: 64x64,"
    " Mask blur: 4, Denoising strength: 0.6, Masked content: original, Version: v1.10.1"
)


@contextmanager
def held(page: Page) -> Iterator[None]:
    """Let the server hear of nothing that goes through the queue, until the block ends."""
    waiting: list[Route] = []
    page.route(JOIN, lambda route: waiting.append(route))
    yield
    for route in waiting:
        route.continue_()
    page.unroute(JOIN)


def test_at_a_press_the_old_error_goes_and_starting_stands(page: Page) -> None:
    tab = page.locator("#tab-txt2img")
    width = tab.get_by_role("spinbutton", name="Width")
    width.fill("513")
    generate(tab)
    expect(tab.locator(".result-message")).to_be_visible()
    width.fill("64")
    page.set_viewport_size({"width": 390, "height": 844})
    with held(page):
        tab.get_by_role("button", name="Generate").click()
        expect(tab.locator(".result-text")).to_have_text("Starting")
        expect(tab.locator(".result-message")).to_be_hidden()
        expect(tab.locator(".result-progress")).to_be_in_viewport()
    expect(done(tab)).to_be_visible()


def test_interrogate_match_and_the_numbers_start_at_once_too(page: Page, address: str) -> None:
    for place, view, button in (
        ("interrogate/words", "#view-words", "Interrogate"),
        ("interrogate/match", "#view-match", "Match"),
    ):
        page.goto(f"{address}#{place}")
        block = page.locator(view)
        press = block.get_by_role("button", name=button, exact=True)
        press.click()  # without a picture
        expect(block.locator(".result-message")).to_be_visible()
        with held(page):
            press.click()
            expect(block.locator(".result-text")).to_have_text("Starting")
            expect(block.locator(".result-message")).to_be_hidden()
        expect(block.locator(".result-message")).to_be_visible()
    page.goto(f"{address}#embeddings/tokens")
    tab = page.locator("#tab-embeddings")
    fill_in(tab.get_by_label("Prompt", exact=True), "a cat")
    expect(tab.locator("tr[data-row]").first).to_be_visible()
    with held(page):
        tab.get_by_role("button", name="Show the numbers").click()
        expect(tab.locator(".tokens-state")).to_have_text("Starting")
    expect(tab.locator(".tokens[data-numbers=true]")).to_be_visible()


def test_an_example_gives_back_what_it_took_the_place_of(page: Page, address: str) -> None:
    page.goto(f"{address}#embeddings/walk")
    page.reload()  # as a link that is opened: an address that differs in its end alone loads nothing
    tab = page.locator("#tab-embeddings")
    expect(tab).to_be_visible()
    fill_in(tab.get_by_label("From", exact=True), "my own words")
    tab.get_by_role("button", name="cat → dog").click()
    expect(tab.get_by_label("From", exact=True)).to_have_value("cat")
    page.wait_for_timeout(SETTLE)  # a press within some milliseconds can be overtaken by Gradio's own end
    tab.get_by_role("button", name="Undo what was put into the form").click()
    expect(tab.get_by_label("From", exact=True)).to_have_value("my own words")
    expect(tab.locator(".notice")).to_be_hidden()


def test_a_picture_of_another_kind_offers_its_tab_and_one_press_opens_it_filled(
    page: Page, tmp_path: Path
) -> None:
    write_png(Image.new("RGB", (80, 64), "teal"), INPAINTED, tmp_path / "theirs.png")
    here, there = page.locator("#tab-txt2img"), page.locator("#tab-inpaint")
    here.locator(".drop-picture input[type=file]").set_input_files(tmp_path / "theirs.png")
    expect(here.locator(".notice")).to_contain_text("Pictures like this one are made in Inpaint.")
    here.get_by_role("button", name="Open in Inpaint").click()
    expect(there).to_be_visible()
    expect(there.get_by_label("Prompt", exact=True)).to_have_value("a green boat")
    expect(there.get_by_label("Negative prompt")).to_have_value("grey")
    expect(there.get_by_role("spinbutton", name="Strength")).to_have_value("0.6")
    expect(there.get_by_role("textbox", name="Seed")).to_have_value("11")
    expect(there.locator(".canvas[data-empty=false]")).to_be_visible()
    expect(there.locator(".notice")).to_contain_text("The picture itself is on the canvas")
    expect(page).to_have_url(re.compile("#inpaint$"))
    page.go_back()
    expect(here).to_be_visible()
