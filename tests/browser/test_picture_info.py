"""The tab "Picture info", as a person uses it: open a picture, read what it says, send it to a form."""

from pathlib import Path

from PIL import Image, PngImagePlugin
from playwright.sync_api import Page, expect

from tests.browser.steps import choose

TEXT = (
    "an orange cat\nNegative prompt: blurry\nSteps: 4, Sampler: Euler a, CFG scale: 99, Seed: 12345, Size:"
    " 128x64, Extra: <b>bold</b>, Version: f2.0.1v1.10.1"
)


def test_a_dropped_picture_says_all_it_holds_and_goes_to_the_form(
    page: Page, address: str, tmp_path: Path
) -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("parameters", TEXT)
    texts.add_text("Comment", "<img src=x onerror=alert(1)>" * 3000)
    Image.new("RGB", (32, 32), "orange").save(tmp_path / "theirs.png", pnginfo=texts)
    page.goto(f"{address}#info")
    tab = page.locator("#tab-info")
    choose(tab, "Open picture", tmp_path / "theirs.png")
    expect(tab.get_by_role("heading", name="theirs.png")).to_be_visible()
    expect(tab.get_by_text("Made with Forge f2.0.1v1.10.1")).to_be_visible()
    expect(tab.get_by_role("row", name="CFG scale 99 No: must be a number from 0 to 30")).to_be_visible()
    expect(tab.get_by_role("row", name="Extra <b>bold</b> No: no such field here")).to_be_visible()
    comment = tab.locator("details", has_text="PNG text: Comment (84,000 characters)")
    comment.locator("summary").click()
    expect(comment.locator("pre")).to_contain_text("<img src=x")
    with page.expect_download() as saved:
        comment.get_by_role("link", name="Save all of it").click()
    assert len(saved.value.path().read_text()) == 84_000

    page.reload()
    expect(tab.get_by_role("heading", name="theirs.png")).to_be_visible()
    (tmp_path / "note.png").write_text("no picture")
    choose(tab, "Open picture", tmp_path / "note.png")
    expect(tab.get_by_role("alert")).to_contain_text("is not a picture with parameters")
    choose(tab, "Open picture", tmp_path / "theirs.png")
    tab.get_by_role("button", name="Open in Text to image").click()
    form = page.locator("#tab-txt2img")
    expect(form.get_by_label("Prompt", exact=True)).to_have_value("an orange cat")
    expect(form.get_by_role("textbox", name="Seed")).to_have_value("12345")
    expect(form.locator(".notice")).to_contain_text("CFG scale: 99 (must be a number from 0 to 30)")
