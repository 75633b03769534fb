"""The tab "Interrogate", as a person uses it."""

import re
import time
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from sd_app.interrogator.interrogation import Interrogation
from tests.browser.steps import done, drawn, fill_in, generate, open_picture
from tests.interrogating import held_out

NUMBER = re.compile(r"^0\.\d{4}$")


@pytest.fixture
def tab(page: Page) -> Locator:
    page.get_by_role("tab", name="Interrogate", exact=True).click()
    return page.locator("#tab-interrogate")


@pytest.fixture
def heart(tmp_path: Path) -> Path:
    held_out(3)[0].save(tmp_path / "heart.png")
    return tmp_path / "heart.png"


def interrogate(
    tab: Locator, picture: Path, caption: str = "a drawing", phrases: int = 4, mode: str = "Best"
) -> None:
    """Open a picture, choose a mode, type what the prompt starts with, and search."""
    open_picture(tab, picture)
    expect(drawn(tab)).to_be_visible()
    tab.get_by_role("radio", name=mode).check()
    tab.get_by_label("My words").check()
    fill_in(tab.get_by_label("Caption", exact=True), caption)
    if not tab.get_by_label("Maximum phrases").is_visible():
        tab.get_by_role("button", name="Search limits").click()
    fill_in(tab.get_by_label("Maximum phrases"), str(phrases))
    tab.get_by_role("button", name="Interrogate", exact=True).click()


def found(tab: Locator, phase: str = "done") -> Locator:
    return tab.locator(f".words[data-phase={phase}]")


def prompt(tab: Locator) -> str:
    return tab.locator(".result-prompt").inner_text()


def test_a_picture_becomes_words_that_can_be_switched_drawn_and_sent(tab: Locator, heart: Path) -> None:
    page = tab.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    expect(tab.locator(".result-caveat")).to_contain_text("not the probability that a model draws it")
    interrogate(tab, heart)
    expect(found(tab)).to_be_visible()
    chips = tab.locator(".chip")
    assert chips.count() >= 3
    whole, cosine = prompt(tab), tab.locator(".result-cosine").inner_text()
    assert whole == ", ".join(["a drawing", *chips.all_inner_texts()])
    assert tab.locator(".chip-gain").first.inner_text().startswith("+0.")
    expect(tab.locator(".result-curve circle")).to_have_count(1 + tab.locator(".chip-step").count())
    expect(tab.locator(".result-rank")).to_contain_text("%")
    expect(tab.locator(".result-chance")).to_contain_text("1 in ")
    expect(tab.locator(".result-groups table")).to_have_count(5)

    # A phrase off: prompt and cosine follow at once. On again: as before. Quick presses: the last one counts.
    gone = chips.nth(1).inner_text()
    chips.nth(1).click()
    expect(tab.locator(".result-prompt")).to_have_text(whole.replace(f", {gone}", "", 1))
    expect(tab.locator(".result-cosine")).not_to_have_text(cosine)
    expect(tab.locator(".result-cosine")).to_have_text(NUMBER)
    assert float(tab.locator(".result-cosine").inner_text()) < float(cosine)
    points = tab.locator(".result-curve circle")
    expect(points).to_have_count(tab.locator(".chip-step").count())  # one fewer: those that are on
    last = points.last.locator("title").text_content() or ""
    assert last.endswith(tab.locator(".result-cosine").inner_text())
    for _ in range(3):
        chips.nth(1).click()
    expect(chips.nth(1)).to_have_attribute("aria-pressed", "true")
    expect(tab.locator(".result-cosine")).to_have_text(cosine)
    expect(points).to_have_count(1 + tab.locator(".chip-step").count())
    assert prompt(tab) == whole
    tab.get_by_role("button", name="Copy").click()
    expect(tab.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == whole

    # What the words are worth: four pictures, each with its similarity.
    tab.get_by_role("button", name="Check by drawing").click()
    expect(tab.locator(".result-drawn figcaption")).to_have_text(["Your picture", *map(label, range(4))])
    expect(tab.locator(".result-drawn-text")).to_contain_text("on average")

    # The prompt and the picture go to the other tab; Undo brings back what it held.
    there = page.locator("#tab-inpaint")
    page.get_by_role("tab", name="Inpaint").click()
    there.get_by_label("Prompt", exact=True).fill("my own words")
    page.get_by_role("tab", name="Interrogate", exact=True).click()
    tab.get_by_role("button", name="Inpaint").click()
    expect(there.get_by_label("Prompt", exact=True)).to_have_value(whole)
    expect(drawn(there)).to_be_visible()
    there.get_by_role("button", name="Undo", exact=True).last.click()
    there.locator(".notice").get_by_role("button", name="Undo").click()
    expect(there.get_by_label("Prompt", exact=True)).to_have_value("my own words")

    # A reload brings back the form, the picture and the words, and they can still be switched.
    page.reload()
    page.get_by_role("tab", name="Interrogate", exact=True).click()
    expect(tab.locator(".result-prompt")).to_have_text(whole)
    expect(drawn(tab)).to_be_visible()
    expect(tab.get_by_label("Caption", exact=True)).to_have_value("a drawing")
    expect(tab.locator(".result-drawn figure")).to_have_count(5)
    chips.nth(0).click()
    expect(tab.locator(".result-cosine")).not_to_have_text(cosine)
    expect(tab.locator(".result-cosine")).to_have_text(NUMBER)
    assert prompt(tab) == whole.replace(f", {chips.nth(0).inner_text()}", "", 1)


def test_true_is_chosen_and_lists_apart_what_the_caption_denies(tab: Locator, heart: Path) -> None:
    expect(tab.get_by_role("radio", name="True")).to_be_checked()
    expect(tab.locator(".ask .token-line").first).to_contain_text("more likely than the rest of its list")
    interrogate(tab, heart, caption="a drawing on the left", mode="True")
    expect(found(tab)).to_be_visible()
    against = tab.locator(".result-against")
    expect(against).to_contain_text("CLIP disagrees with the caption")
    expect(against.locator(".chip-gain").last).to_contain_text("CLIP reads the caption as: ")
    assert tab.locator(".chip-gain").first.inner_text().endswith("×")
    expect(tab.locator(".result-chip-hint")).to_contain_text("not the chance that it is true")
    expect(tab.locator(".words .result-notice")).to_contain_text("small world")
    denied = against.locator(".chip").first
    whole, phrase = prompt(tab), denied.inner_text()
    denied.click()
    expect(denied).to_have_attribute("aria-pressed", "false")
    expect(tab.locator(".result-prompt")).to_have_text(whole.replace(f", {phrase}", "", 1))


def label(seed: int) -> re.Pattern[str]:
    """Return what stands below a picture drawn with this seed: its similarity."""
    return re.compile(rf"^−?\d\.\d{{3}} · seed {seed}$")


def slow_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a search take as long as one of large lists does: the embedded ones are through in 0.3 s."""
    tell = Interrogation.tell

    def slow(job: Interrogation, text: str, step: int = 0, num_steps: int = 0) -> None:
        tell(job, text, step, num_steps)
        time.sleep(0.3)

    monkeypatch.setattr(Interrogation, "tell", slow)


def test_errors_and_stop_lose_nothing(tab: Locator, heart: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tab.get_by_role("button", name="Interrogate", exact=True).click()
    expect(tab.locator(".words .result-message")).to_have_text(
        "Picture is missing (open, paste or drop one)."
    )
    interrogate(tab, heart, phrases=3)
    expect(found(tab)).to_be_visible()
    before = prompt(tab)
    tab.get_by_label("Caption", exact=True).fill("word " * 76)
    tab.get_by_role("button", name="Interrogate", exact=True).click()
    expect(tab.locator(".words .result-message")).to_contain_text(
        "Caption must have at most 75 tokens, got 76"
    )
    assert prompt(tab) == before
    # A list can be switched off; a mode says in a line what it does.
    tab.get_by_label("things").uncheck()
    tab.get_by_role("radio", name="Deep").check()
    expect(tab.locator(".ask .token-line").first).to_contain_text("drops and swaps")
    tab.get_by_label("Caption", exact=True).fill("a picture")
    tab.get_by_label("Maximum phrases").fill("60")
    slow_down(monkeypatch)
    tab.get_by_role("button", name="Interrogate", exact=True).click()
    # Asked at every frame: a running search shows its second phrase for a moment only.
    begun = "document.querySelector('.words[data-phase=running] .result-prompt')?.textContent"
    tab.page.wait_for_function(f"{begun}?.startsWith('a picture, ')")
    tab.page.keyboard.press("Escape")
    expect(found(tab, "stopped")).to_be_visible()
    assert prompt(tab).startswith("a picture, ")
    expect(tab.locator(".words .result-summary")).to_contain_text("Stopped.")
    names = tab.locator(".result-groups thead th:first-child").all_inner_texts()
    assert names
    assert "things" not in names


def test_after_a_restart_the_form_and_the_words_come_back_though_the_picture_is_gone(
    tab: Locator, heart: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrogate(tab, heart, caption="a small drawing", phrases=2)
    expect(found(tab)).to_be_visible()
    whole = prompt(tab)
    tab.page.wait_for_timeout(500)  # the browser writes it down
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))  # as after a restart: no upload of before is known
    tab.page.reload()
    tab.page.get_by_role("tab", name="Interrogate", exact=True).click()
    expect(tab.locator(".result-prompt")).to_have_text(whole)
    expect(tab.get_by_label("Caption", exact=True)).to_have_value("a small drawing")
    expect(tab.locator(".canvas[data-empty=true]")).to_be_visible()


def test_pictures_are_matched_with_texts(tab: Locator, tmp_path: Path) -> None:
    texts = []
    for index in (1, 2, 6):
        image, scene = held_out(index)
        image.save(tmp_path / f"{index}.png")
        texts.append(f"a {scene.color} {scene.subject}, {scene.style}")
    tab.get_by_role("tab", name="Match pictures and texts").click()
    view = tab.locator("#view-match")
    with tab.page.expect_file_chooser() as waiting:
        view.get_by_role("button", name="Add pictures").click()
    waiting.value.set_files([tmp_path / f"{index}.png" for index in (1, 2, 6)])
    expect(view.locator(".uploads-pictures button")).to_have_count(3)
    view.get_by_label("Texts, one per line").fill("\n".join(["a"] * 13))
    view.get_by_role("button", name="Match", exact=True).click()
    expect(view.locator(".result-message")).to_contain_text("Texts must number 1 to 12, got 13")
    view.get_by_label("Texts, one per line").fill("\n".join(texts))
    view.get_by_role("button", name="Match", exact=True).click()
    expect(view.locator(".matrix[data-phase=done]")).to_be_visible()
    expect(view.locator(".matrix thead th")).to_have_text(texts)
    for table, mark in (
        ("Which text for this picture", "row-best"),
        ("Which picture for this text", "column-best"),
    ):
        view.get_by_role("button", name=table).click()
        marked = view.locator(".matrix tbody tr").evaluate_all(
            f"rows => rows.map(row => [...row.querySelectorAll('td')].findIndex(c => c.matches('.{mark}')))"
        )
        assert marked == [0, 1, 2]
    # One picture taken away: it stays away after a reload, and the texts stay.
    view.get_by_role("button", name="Remove 2.png").click()
    expect(view.locator(".uploads-pictures button")).to_have_count(2)
    tab.page.wait_for_timeout(500)  # the browser writes it down
    tab.page.reload()
    tab.page.get_by_role("tab", name="Interrogate", exact=True).click()
    tab.get_by_role("tab", name="Match pictures and texts").click()
    expect(view.locator(".uploads-pictures button")).to_have_count(2)
    expect(view.get_by_label("Texts, one per line")).to_have_value("\n".join(texts))


def test_a_made_picture_is_sent_here_and_on_a_phone_nothing_sticks_out(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    here, there = page.locator("#tab-txt2img"), page.locator("#tab-interrogate")
    generate(here)
    expect(done(here)).to_be_visible()
    here.locator(".result-send").get_by_role("button", name="Interrogate").click()
    expect(drawn(there)).to_be_visible()
    expect(there.locator(".notice")).to_contain_text("is on the canvas")
    there.get_by_role("button", name="Interrogate", exact=True).click()
    expect(found(there)).to_be_visible()
    expect(there.locator(".result-prompt")).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
