"""The tab "Image to image", as a person uses it."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from sd_app.metadata import read_infotext
from tests.browser.steps import done, drawn, fill_in, generate, open_picture, painted, stroke

DROP = """(data) => {
  const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([bytes], "dropped.png", { type: "image/png" }));
  for (const name of ["dragover", "drop"]) {
    const event = new DragEvent(name, { dataTransfer, bubbles: true, cancelable: true });
    document.querySelector("#tab-img2img .result").dispatchEvent(event);
  }
}"""
PASTE = """(data) => {
  const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], "pasted.png", { type: "image/png" }));
  document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true }));
}"""


@pytest.fixture
def tab(page: Page) -> Locator:
    page.get_by_role("tab", name="Image to image").click()
    return page.locator("#tab-img2img")


def test_open_a_picture_generate_and_see_what_it_began_from(tab: Locator, tmp_path: Path) -> None:
    Image.new("RGB", (517, 389), "teal").save(tmp_path / "odd.png")
    open_picture(tab, tmp_path / "odd.png")
    expect(drawn(tab)).to_be_visible()
    # The model works at 64 x 64: the picture's shape, the model's area, both sides multiples of 8.
    expect(tab.get_by_role("spinbutton", name="Width")).to_have_value("72")
    expect(tab.get_by_role("spinbutton", name="Height")).to_have_value("64")
    fill_in(tab.get_by_role("spinbutton", name="Steps"), "8")
    tab.get_by_role("spinbutton", name="Strength").fill("0.6")
    expect(tab.locator(".steps-run span")).to_have_text("Runs 4 of 8 steps")
    generate(tab)
    expect(done(tab)).to_be_visible()
    tab.get_by_text("What the run started from").click()
    figures = tab.locator(".result-start figure")
    expect(figures).to_have_count(2)
    expect(figures.first).to_contain_text("encoded and decoded")
    expect(figures.last).to_contain_text("With noise for the last 4 of 8 steps")
    tab.get_by_role("button", name="Input").click()
    tab.page.wait_for_function("document.querySelector('#tab-img2img .result-picture').naturalWidth === 72")
    expect(tab.locator(".result-infotext pre")).to_contain_text("Denoising strength: 0.6")


def test_a_sketch_on_a_blank_canvas_is_the_picture_that_is_sent(tab: Locator) -> None:
    tab.get_by_role("button", name="Blank canvas").click()
    expect(drawn(tab)).to_be_visible()
    tab.get_by_role("button", name="Colour #d62828").click()
    stroke(tab, (0.2, 0.5), (0.8, 0.5))
    generate(tab)
    expect(done(tab)).to_be_visible()
    tab.get_by_role("button", name="Input").click()
    url = tab.locator(".result-picture").get_attribute("src")
    assert url
    response = tab.page.request.get(url)
    sent = np.asarray(Image.open(io.BytesIO(response.body())))
    alpha = painted(tab)
    assert (sent[alpha == 255] == (0xD6, 0x28, 0x28)).all()
    assert (sent[alpha == 0] == 255).all()
    assert 0 < (alpha == 255).mean() < 0.5


def test_undo_redo_erase_and_zoom(tab: Locator) -> None:
    tab.get_by_role("button", name="Blank canvas").click()
    expect(drawn(tab)).to_be_visible()
    stroke(tab, (0.1, 0.5), (0.9, 0.5))
    once = painted(tab)
    stroke(tab, (0.5, 0.1), (0.5, 0.9))
    twice = painted(tab)
    assert (twice > 0).sum() > (once > 0).sum() > 0
    tab.page.keyboard.press("Control+z")
    expect(tab.get_by_role("button", name="Redo")).to_be_enabled()
    assert (painted(tab) == once).all()
    tab.page.keyboard.press("Control+Shift+z")
    expect(tab.get_by_role("button", name="Redo")).to_be_disabled()
    assert (painted(tab) == twice).all()
    tab.get_by_role("button", name="Eraser").click()
    stroke(tab, (0.5, 0.05), (0.5, 0.95))
    assert (painted(tab) > 0).sum() < (twice > 0).sum()
    width = tab.locator(".canvas-sheet").bounding_box()
    tab.get_by_role("button", name="Zoom in").click()
    larger = tab.locator(".canvas-sheet").bounding_box()
    assert width
    assert larger
    assert larger["width"] > width["width"] * 1.4
    tab.get_by_role("button", name="Enlarge").click()
    window = tab.locator(".canvas").bounding_box()
    assert window
    assert (window["width"], window["height"]) == (1440, 900)
    tab.page.keyboard.press("Escape")
    assert tab.locator(".canvas.large").count() == 0


def test_a_pasted_picture_is_put_on_the_canvas_and_undo_brings_back_the_one_before(
    tab: Locator, tmp_path: Path
) -> None:
    for name, side in (("first.png", 64), ("second.png", 96)):
        Image.new("RGB", (side, side), "olive").save(tmp_path / name)
    open_picture(tab, tmp_path / "first.png")
    expect(drawn(tab)).to_be_visible()
    stroke(tab, (0.2, 0.2), (0.8, 0.8))
    before = painted(tab)
    tab.page.evaluate(PASTE, base64.b64encode((tmp_path / "second.png").read_bytes()).decode())
    tab.page.wait_for_function("document.querySelector('#tab-img2img .canvas-paint').width === 96")
    expect(tab.get_by_role("spinbutton", name="Width")).to_have_value("96")
    tab.locator("[data-do=undo]").click()
    tab.page.wait_for_function("document.querySelector('#tab-img2img .canvas-paint').width === 64")
    assert (painted(tab) == before).all()
    expect(tab.get_by_role("spinbutton", name="Width")).to_have_value("64")


def test_a_picture_dropped_anywhere_on_the_tab_is_put_on_the_canvas(tab: Locator, tmp_path: Path) -> None:
    Image.new("RGB", (96, 64), "olive").save(tmp_path / "dropped.png")
    tab.page.evaluate(DROP, base64.b64encode((tmp_path / "dropped.png").read_bytes()).decode())
    expect(drawn(tab)).to_be_visible()
    expect(tab.get_by_role("spinbutton", name="Width")).to_have_value("96")
    expect(tab.get_by_role("spinbutton", name="Height")).to_have_value("64")


def test_what_is_no_picture_is_refused_and_the_canvas_keeps_what_it_holds(
    tab: Locator, tmp_path: Path
) -> None:
    Image.new("RGB", (64, 64), "olive").save(tmp_path / "first.png")
    open_picture(tab, tmp_path / "first.png")
    expect(drawn(tab)).to_be_visible()
    stroke(tab, (0.2, 0.2), (0.8, 0.8))
    before = painted(tab)
    open_picture(tab, {"name": "fake.png", "mimeType": "image/png", "buffer": b"not a picture"})
    expect(tab.locator(".canvas-message")).to_contain_text("is not a picture this app can read")
    assert (painted(tab) == before).all()


def test_without_a_picture_it_says_so_and_without_a_prompt_it_draws(tab: Locator, tmp_path: Path) -> None:
    generate(tab)
    expect(tab.locator(".result-message")).to_contain_text("Picture is missing")
    Image.new("RGB", (64, 64), "olive").save(tmp_path / "first.png")
    open_picture(tab, tmp_path / "first.png")
    expect(drawn(tab)).to_be_visible()
    generate(tab, "")
    expect(done(tab)).to_be_visible()


def test_send_to_keeps_what_the_other_tab_holds(page: Page, outputs_dir: Path) -> None:
    page.get_by_role("tab", name="Image to image").click()
    there = page.locator("#tab-img2img")
    fill_in(there.get_by_label("Prompt", exact=True), "my own words")
    page.get_by_role("tab", name="Text to image").click()
    here = page.locator("#tab-txt2img")
    here.get_by_label("Prompt", exact=True).fill("a red cat")
    here.get_by_role("button", name="Generate").click()
    expect(done(here)).to_be_visible()
    here.get_by_role("button", name="Image to image").click()
    expect(there.locator(".canvas[data-empty=false]")).to_be_visible()
    expect(there.get_by_label("Prompt", exact=True)).to_have_value("my own words")
    expect(there.locator(".notice")).to_contain_text("is on the canvas")
    generate(there, "my own words")
    expect(done(there)).to_be_visible()

    # Back: the parameters of the new picture replace the form, and Undo brings the old form back.
    there.locator(".result-send").get_by_role("button", name="Text to image").click()
    expect(here.get_by_label("Prompt", exact=True)).to_have_value("my own words")
    expect(done(here)).to_be_visible()
    here.get_by_role("button", name="Undo").click()
    expect(here.get_by_label("Prompt", exact=True)).to_have_value("a red cat")
    assert len({read_infotext(path) for path in outputs_dir.rglob("*.png")}) >= 2


def test_a_reload_brings_back_the_picture_and_the_sketch(tab: Locator, tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), "olive").save(tmp_path / "first.png")
    open_picture(tab, tmp_path / "first.png")
    expect(drawn(tab)).to_be_visible()
    stroke(tab, (0.2, 0.2), (0.8, 0.8))
    before = painted(tab)
    tab.page.wait_for_timeout(500)  # the browser writes it down
    tab.page.reload()
    tab.page.get_by_role("tab", name="Image to image").click()
    expect(drawn(tab)).to_be_visible()
    tab.page.wait_for_function("document.querySelector('#tab-img2img .canvas-paint').width === 64")
    tab.page.wait_for_timeout(300)
    assert (painted(tab) == before).all()


def test_what_lies_under_the_canvas_old_name_makes_room(tab: Locator) -> None:
    page = tab.page
    page.evaluate(
        """for (const name of ['easel', 'form']) localStorage.setItem(`sd_app.old.${name}`, "{}")"""
    )
    page.reload()
    page.wait_for_function("localStorage.getItem('sd_app.old.easel') === null")
    assert page.evaluate("localStorage.getItem('sd_app.old.form')") == "{}"
