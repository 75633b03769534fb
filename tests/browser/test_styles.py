"""Styles, as a person uses them: write one, choose it, see what it makes of the prompt, and draw."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from sd_app.metadata import parse_infotext, read_infotext
from tests.browser.steps import done, fill_in, generate


@pytest.fixture
def styles_file(random_models: Path) -> Iterator[Path]:
    yield random_models / "styles.csv"
    (random_models / "styles.csv").unlink(missing_ok=True)


def test_a_style_is_written_chosen_shown_and_drawn_with(
    page: Page, outputs_dir: Path, styles_file: Path
) -> None:
    before = set(outputs_dir.rglob("*.png"))
    tab = page.locator("#tab-txt2img")
    block = tab.locator(".styles")
    block.get_by_role("button", name="Styles ▼").click()
    block.get_by_role("button", name="Edit styles").click()
    fill_in(block.get_by_label("Name of the style"), "Oil")
    fill_in(block.get_by_label("Prompt of the style", exact=True), "oil of {prompt}, <b>thick</b>")
    fill_in(block.get_by_label("Negative prompt of the style"), "photo")
    block.get_by_role("button", name="Save style").click()
    expect(block.get_by_role("button", name="Styles (1)")).to_be_visible()
    assert 'Oil,"oil of {prompt}, <b>thick</b>",photo' in styles_file.read_text("utf-8")
    generate(tab, "a red cat")
    expect(block).to_contain_text("Prompt: oil of a red cat, <b>thick</b>")
    expect(block).to_contain_text("Negative prompt: photo")
    expect(done(tab)).to_be_visible()
    (made,) = set(outputs_dir.rglob("*.png")) - before
    said = parse_infotext(read_infotext(made) or "")
    assert (said.prompt, said.negative_prompt) == ("oil of a red cat, <b>thick</b>", "photo")
    assert (said.fields["Styles"], said.fields["Template"]) == ("Oil", "a red cat")
    tab.get_by_role("button", name="Reuse parameters").click()
    expect(tab.get_by_label("Prompt", exact=True)).to_have_value("oil of a red cat, <b>thick</b>")
    expect(block.get_by_role("button", name="Styles ▼", exact=True)).to_be_visible()
