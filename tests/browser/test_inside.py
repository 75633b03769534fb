"""The tab "Look inside", as a person uses it: the ways in, the clock, and what the panels have in common."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from playwright.sync_api import Locator, Page, Route, expect

from sd_app.inside import film
from sd_app.inside.tokens import cut_prompts
from sd_app.probes.recording import Recording
from tests.browser.conftest import DESKS
from tests.browser.steps import choose, done, fill_in, generate

PROMPT = "a red cat on the beach"


def looked(page: Page, prompt: str = PROMPT) -> Locator:
    """Make a picture, press Look inside, and return the open recording."""
    tab = page.locator("#tab-txt2img")
    generate(tab, prompt)
    expect(done(tab)).to_be_visible()
    tab.get_by_role("button", name="Look inside").click()
    inside = page.locator(".inside[data-phase=done]")
    expect(inside).to_be_visible()
    return inside


def opened(page: Page, panel: str) -> Locator:
    """Open a panel, and return it when its first view stands."""
    section = page.locator(f".look-panel[data-panel={panel}]")
    if section.get_attribute("data-open") == "false":
        section.locator(".look-head").click()
    expect(section.locator(".look-box[data-ready=true]")).to_be_visible()
    return section


def look_of(page: Page) -> Any:
    """Return the studio's own look behind the open recording."""
    address = next(url for url in DESKS if page.url.startswith(url))
    return DESKS[address].find(page.locator(".inside").get_attribute("data-key")).looked


def recording_of(page: Page) -> Recording:
    recording: Recording = look_of(page).recording
    return recording


def pixels(image: Locator) -> np.ndarray:
    """Return the pixels of a picture that is shown as a data URL."""
    data = (image.get_attribute("src") or "").partition(",")[2]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))


@pytest.fixture
def inside(page: Page) -> Locator:
    return looked(page)


def test_a_result_is_looked_into_and_one_scrubber_moves_the_film(inside: Locator) -> None:
    page = inside.page
    expect(inside.locator(".inside-sentence")).to_contain_text("the same to the byte")
    expect(inside.locator(".inside-sentence")).to_contain_text("The recording has")
    recording = recording_of(page)
    assert recording.attention
    look = look_of(page)
    section = opened(page, "film")
    shown = section.locator("figure[data-row=conditional] img")
    assert (pixels(shown) == np.asarray(recording.decoded)).all()

    # By keyboard: three steps back from the finished picture, with nothing in focus.
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    frame = recording.num_calls - 3
    expect(inside.locator(".clock-step")).to_have_text(f"Step {frame + 1} of {recording.num_calls}")
    expect(inside.locator(".clock-level")).to_contain_text(f"{recording.timesteps[frame]:.0f} of 1000")
    for row in film.ROWS:
        tile = section.locator(f"figure[data-row={row}]")
        expect(tile).to_have_attribute("data-waiting", "false")
        [expected] = film.frames(look, row, [frame])
        assert (pixels(tile.locator("img")) == np.asarray(expected)).all(), row

    # A frame of the strip moves the clock, and the keys Home and End lead to its ends.
    section.locator(".film-strip button").first.click()
    expect(inside.locator(".clock-step")).to_have_text(f"Step 1 of {recording.num_calls}")
    page.keyboard.press("End")
    expect(inside.locator(".clock-step")).to_have_text("Finished picture")
    page.locator(".clock-range").fill("1")
    expect(inside.locator(".clock-step")).to_have_text(f"Step 2 of {recording.num_calls}")

    # Its files.
    with page.expect_download() as waiting:
        section.get_by_role("button", name="NPZ").click()
    saved = np.load(waiting.value.path())
    with page.expect_download() as waiting:
        section.get_by_role("button", name="MP4").click()
    assert waiting.value.suggested_filename == "film.mp4"
    assert b"ftyp" in Path(waiting.value.path()).read_bytes()[:16]
    assert np.array_equal(saved["latents"], recording.latents.float().numpy())


def test_a_reloaded_page_shows_what_was_open_and_kept_recordings_open_without_a_run(
    inside: Locator,
) -> None:
    page = inside.page
    page.reload()
    page.locator("#tab-inside-button").click()
    expect(page.locator(".inside-words")).to_have_text(PROMPT)
    opened(page, "film")
    page.locator(".inside-kept button").first.click()
    expect(page.locator(".inside-sentence")).to_contain_text("kept on disk: nothing was run")
    assert recording_of(page).request.prompt == PROMPT

    # The studio has put it away since: the page opens it again by what is kept, and goes on.
    address = next(url for url in DESKS if page.url.startswith(url))
    opened(page, "film")
    old = page.locator(".inside").get_attribute("data-key")
    DESKS[address]._open.clear()
    page.locator(".look-panel[data-panel=guidance] .look-head").click()
    expect(page.locator(f".inside:not([data-key='{old}'])")).to_be_visible()
    opened(page, "guidance")


def test_a_file_that_holds_no_parameters_is_said_in_words(page: Page, tmp_path: Path) -> None:
    page.locator("#tab-inside-button").click()
    path = tmp_path / "holiday.png"
    Image.new("RGB", (64, 64), "blue").save(path)
    choose(page.locator("#tab-inside"), "Open picture", path)
    expect(page.locator(".inside-sentence")).to_contain_text("holiday.png holds no parameters")
    expect(page.locator(".inside-clock")).to_be_hidden()
    page.locator(".look-panel[data-panel=film] .look-head").click()
    expect(page.locator(".look-panel[data-panel=film] .look-why")).to_contain_text("holds no parameters")


def test_a_press_on_a_piece_says_its_word_and_its_number_as_recorded(page: Page, tmp_path: Path) -> None:
    looked(page, "a medium-sized (cat:1.3)")
    section = opened(page, "tokens")
    attention = recording_of(page).attention
    assert attention
    rows = attention.texts[0].rows
    chips = section.locator(".cut-text").first.locator(".cut-piece")
    expect(chips).to_have_count(len(rows))
    tokens = cut_prompts(look_of(page)).texts[0].tokens
    for number, (row, token) in enumerate(zip(rows, tokens, strict=True)):
        assert token
        chips.nth(number).click()
        expect(chips.nth(number)).to_have_attribute("aria-pressed", "true")
        expect(section.locator(".cut-about")).to_contain_text(f"token {token.id},")
        expect(section.locator(".cut-about")).to_contain_text(row.text or row.kind.capitalize())
        expect(section.locator(".cut-about")).to_contain_text(str(row.position))

    # A picture of another program and of a model that is not here shows its words all the same.
    path = tmp_path / "theirs.png"
    text = PngInfo()
    text.add_text("parameters", "a dog\nNegative prompt: cat\nSteps: 20, Seed: 1, Model: dreamshaper")
    Image.new("RGB", (64, 64), "blue").save(path, pnginfo=text)
    choose(page.locator("#tab-inside"), "Open picture", path)
    expect(page.locator(".inside-clock")).to_be_hidden()
    section = opened(page, "tokens")
    expect(section.locator(".cut-by")).to_contain_text("with the model dreamshaper, which is not here")
    expect(section.locator(".cut-piece[data-kind=text] span")).to_have_text(["a", "dog", "cat"])


def test_a_film_stands_under_a_result_at_once_and_nothing_is_run_for_it(page: Page) -> None:
    tab = page.locator("#tab-txt2img")
    generate(tab)
    expect(done(tab)).to_be_visible()
    scrubber = tab.get_by_label("Film: what the words asked for at each step")
    finished = tab.locator(".result-picture").get_attribute("src")
    scrubber.focus()
    expect(tab.locator(".steps-words")).to_have_text("Finished picture")
    desk = DESKS[next(url for url in DESKS if page.url.startswith(url))]
    before = desk.studio.recordings()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    [opened_last] = list(desk._open.values())[-1:]
    recording = opened_last.looked.recording
    frame = recording.num_calls - 2
    expect(tab.locator(".steps-words")).to_have_text(
        f"Step {frame + 1} of {recording.num_calls}: what the words ask for now"
    )
    [expected] = film.frames(opened_last.looked, chosen=[frame])
    assert (pixels(tab.locator(".result-picture")) == np.asarray(expected)).all()
    page.keyboard.press("End")
    expect(tab.locator(".result-picture")).to_have_attribute("src", str(finished))
    assert desk.studio.recordings() == before


def test_a_step_of_the_film_that_is_not_here_yet_says_so(page: Page) -> None:
    held: list[Route] = []
    holds = ["frames"]

    def hold(route: Route) -> None:
        if holds and f'"{holds[0]}"' in (route.request.post_data or ""):
            held.append(route)
        else:
            route.continue_()

    page.route("**/inside/ask", hold)
    tab = page.locator("#tab-txt2img")
    fill_in(tab.get_by_role("spinbutton", name="Steps"), "20")
    generate(tab)
    expect(done(tab)).to_be_visible()
    tab.get_by_label("Film: what the words asked for at each step").focus()
    words = tab.locator(".steps-words")
    expect(words).to_have_text("Finished picture")
    for _ in range(3):  # to where the film is not read at first
        page.keyboard.press("ArrowLeft")
    expect(words).to_have_text("Step 18 of 20: reading it…")
    holds.clear()
    for route in held:
        route.continue_()
    expect(words).to_have_text("Step 18 of 20: what the words ask for now")
