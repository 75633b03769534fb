"""What the embedded model can draw stands beside the prompt, and words it never saw are marked under it."""

import os
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from tests.browser.steps import fill_in


def choose_model(page: Page, name: str) -> None:
    page.locator("#model-picker input").click()
    page.get_by_role("option", name=name, exact=True).click()


def marked(tab: Locator) -> Locator:
    return tab.locator(".token-line mark")


def test_words_that_the_model_never_saw_are_marked_as_they_are_typed(page: Page) -> None:
    tab = page.locator("#tab-txt2img")
    draws = tab.locator(".draws-line span")
    fill_in(tab.get_by_label("Prompt", exact=True), "an astronaut in a meadow")
    expect(tab.locator(".token-line").first).to_contain_text("5 / 75 tokens")
    expect(draws).to_have_count(0)
    expect(marked(tab)).to_have_count(0)  # of this model nothing is known

    choose_model(page, "tiny-sd")
    expect(draws).to_contain_text("This model draws one thing at a time: a cat,")
    expect(marked(tab)).to_have_text(["astronaut"])
    tab.get_by_label("Prompt", exact=True).press_sequentially(" with two robots and cats")
    expect(marked(tab)).to_have_text(["astronaut", "with", "two", "robots", "and"])
    tab.get_by_label("Negative prompt").fill("blurry")
    expect(marked(tab).last).to_have_text("blurry")
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(folder) / "unseen.png")
        page.set_viewport_size({"width": 390, "height": 844})
        page.screenshot(path=Path(folder) / "unseen-phone.png")
        page.set_viewport_size({"width": 1440, "height": 900})
    tab.get_by_label("Negative prompt").fill("")
    tab.get_by_label("Prompt", exact=True).fill("a big red cat in a meadow")
    expect(marked(tab)).to_have_count(0)

    page.get_by_role("tab", name="Embeddings").click()
    embeddings = page.locator("#tab-embeddings")
    expect(embeddings.locator(".draws-line span")).to_contain_text("This model draws")
    fill_in(embeddings.get_by_label("Prompt", exact=True), "an astronaut")
    expect(marked(embeddings)).to_have_text(["astronaut"])
    embeddings.get_by_label("Blend").check()
    fill_in(embeddings.get_by_label("Expression", exact=True), "cat + 0.43*tabby")
    expect(embeddings.locator(".spelling mark")).to_have_text(["tabby"])

    choose_model(page, "model-a")
    expect(marked(embeddings)).to_have_count(0)
    page.get_by_role("tab", name="Text to image").click()
    expect(draws).to_have_count(0)
