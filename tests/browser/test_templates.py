"""Choices in a prompt, as a person sees them: drawn for each picture, and shown when one is reused."""

from pathlib import Path

from playwright.sync_api import Page, expect

from sd_app.metadata import parse_infotext, read_infotext
from tests.browser.steps import done, generate


def test_each_picture_draws_its_own_prompt_and_reusing_one_shows_the_template(
    page: Page, outputs_dir: Path
) -> None:
    before = set(outputs_dir.rglob("*.png"))
    tab = page.locator("#tab-txt2img")
    tab.get_by_role("textbox", name="Seed").fill("1")
    tab.get_by_label("Pictures", exact=True).first.fill("3")
    generate(tab, "a {red|green|blue} cat")
    expect(done(tab)).to_be_visible()
    made = sorted(set(outputs_dir.rglob("*.png")) - before)
    prompts = [parse_infotext(read_infotext(path) or "").prompt for path in made]
    assert len(prompts) == 3
    assert len(set(prompts)) > 1
    assert set(prompts) <= {f"a {color} cat" for color in ("red", "green", "blue")}
    tab.get_by_role("button", name="Reuse parameters").click()
    expect(tab.get_by_label("Prompt", exact=True)).to_have_value(prompts[0])
    expect(tab.locator(".notice")).to_contain_text("drawn from this template")
    expect(tab.locator(".notice")).to_contain_text("a {red|green|blue} cat")
