"""The line of jobs, as a person meets it: a job goes on without its page, and every window finds it."""

import time
from collections.abc import Callable
from pathlib import Path
from threading import Event

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from sd_app.queue import Job, JobQueue
from sd_app.requests import Cancelled, Step
from tests.browser.conftest import PATIENCE, QUEUES
from tests.browser.steps import drawn, fill_in, open_picture
from tests.interrogating import held_out

READY = "document.querySelector('#model-picker input')?.value === 'model-a'"


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> Event:
    """Let jobs go on as long as this is set; cleared, the running one stands still and hears a stop."""
    free, on_step = Event(), JobQueue._on_step
    free.set()

    def wait_too(queue: JobQueue, job: Job, step: Step) -> None:
        on_step(queue, job, step)
        while not free.wait(0.02):
            if job.stopping:
                raise Cancelled

    monkeypatch.setattr(JobQueue, "_on_step", wait_too)
    return free


def begin(page: Page, name: str, *, pictures: int = 40) -> Locator:
    """Open a tab and begin a long job of several pictures."""
    page.get_by_role("tab", name=name, exact=True).click()
    tab = page.locator(".tabitem:visible").first
    tab.get_by_role("spinbutton", name="Pictures").fill(str(pictures))
    tab.get_by_role("spinbutton", name="Steps").first.fill("20")
    fill_in(tab.get_by_label("Prompt", exact=True), "a red cat")
    tab.get_by_role("button", name="Generate").click()
    return tab


def result(page: Page, tab: str, phase: str) -> Locator:
    return page.locator(f"#tab-{tab} .result[data-phase={phase}]")


def reload(page: Page, tab: str = "") -> None:
    """Load the page anew, and open a tab, which is drawn only then."""
    page.reload()
    page.wait_for_selector(".result", state="attached")
    page.wait_for_function(READY)
    if tab:
        page.get_by_role("tab", name=tab, exact=True).click()


def test_a_reload_finds_the_running_job_and_stop_alone_stops_it(page: Page, free: Event) -> None:
    begin(page, "Text to image")
    expect(page.locator("#tab-txt2img .result-strip img").first).to_be_visible()
    free.clear()
    reload(page)
    expect(result(page, "txt2img", "running")).to_be_attached()
    expect(page.locator("#tab-txt2img .result-strip img").first).to_be_visible()  # what is finished
    before = page.locator("#tab-txt2img .result-strip button").count()
    free.set()
    strip = f"document.querySelectorAll('#tab-txt2img .result-strip button').length > {before}"
    page.wait_for_function(strip)  # it goes on
    free.clear()
    page.keyboard.press("Escape")
    expect(result(page, "txt2img", "stopped")).to_be_attached()
    expect(page.locator("#tab-txt2img .result-summary")).to_contain_text("of 40 finished")


def test_what_was_finished_while_the_page_was_closed_is_there_when_it_is_opened(page: Page) -> None:
    tab = begin(page, "Text to image", pictures=6)
    expect(tab.locator(".result[data-phase=running]")).to_be_visible()
    other = page.context.new_page()
    other.goto("about:blank")
    address = page.url
    page.goto("about:blank")
    other.wait_for_timeout(3000)
    page.goto(address)
    page.wait_for_function(READY)
    expect(result(page, "txt2img", "done")).to_be_attached()
    assert page.locator("#tab-txt2img .result-strip button").count() == 6


def test_two_windows_see_one_job_and_either_stops_it(
    page: Page, free: Event, browser: Browser, address: str
) -> None:
    begin(page, "Text to image")
    expect(page.locator("#tab-txt2img .result-strip img").first).to_be_visible()
    free.clear()
    context = browser.new_context()
    context.set_default_timeout(PATIENCE)
    window = context.new_page()
    window.goto(address)
    window.wait_for_function(READY)
    expect(result(window, "txt2img", "running")).to_be_attached()
    expect(window.locator("#tab-txt2img .result-strip img").first).to_be_attached()
    window.locator("#tab-txt2img .stop-run").evaluate("stop => stop.click()")
    for one in (window, page):
        expect(result(one, "txt2img", "stopped")).to_be_attached()
    context.close()


def test_a_reload_finds_a_walk(page: Page, free: Event) -> None:
    page.get_by_role("tab", name="Embeddings").click()
    tab = page.locator("#tab-embeddings")
    tab.get_by_role("radio", name="Walk", exact=True).check(force=True)
    tab.locator(".examples button", has_text="cat → dog").click()
    expect(tab.get_by_label("To", exact=True)).to_have_value("dog")
    fill_in(tab.get_by_label("Frames, 2–400"), "40")
    tab.get_by_role("button", name="Generate").click()
    expect(page.locator("#tab-embeddings .result-strip img").first).to_be_attached()
    free.clear()
    reload(page, "Embeddings")
    expect(result(page, "embeddings", "running")).to_be_attached()
    expect(page.locator("#tab-embeddings .result-strip img").first).to_be_attached()
    page.locator("#tab-embeddings .go-row:not(.show-numbers) .stop-run").evaluate("b => b.click()")
    expect(result(page, "embeddings", "stopped")).to_be_attached()


def test_a_reload_finds_a_search_and_what_it_comes_to(page: Page, free: Event, tmp_path: Path) -> None:
    held_out(3)[0].save(tmp_path / "heart.png")
    page.get_by_role("tab", name="Interrogate", exact=True).click()
    tab = page.locator("#tab-interrogate")
    open_picture(tab, tmp_path / "heart.png")
    expect(drawn(tab)).to_be_visible()
    tab.get_by_role("radio", name="Deep").check()
    free.clear()
    tab.get_by_role("button", name="Interrogate", exact=True).click()
    expect(tab.locator(".words[data-phase=running]")).to_be_visible()
    reload(page, "Interrogate")
    expect(tab.locator(".words[data-phase=running]")).to_be_attached()
    free.set()
    expect(tab.locator(".words[data-phase=done]")).to_be_attached()
    reload(page, "Interrogate")
    expect(tab.locator(".words[data-phase=done]")).to_be_attached()


def wait_until(page: Page, true: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE / 1000
    while not true():
        assert time.monotonic() < until
        page.wait_for_timeout(50)


def test_jobs_are_added_moved_removed_paused_and_resumed_by_key(
    page: Page, free: Event, address: str
) -> None:
    queue = QUEUES[address]

    def waiting() -> list[str]:
        return [now.title for now in queue.jobs("") if now.state == "waiting"]

    tab = begin(page, "Text to image")
    expect(page.locator("#tab-txt2img .result-strip img").first).to_be_visible()
    free.clear()
    for count, words in enumerate(("one", "two", "three"), 1):
        fill_in(tab.get_by_label("Prompt", exact=True), words)
        tab.get_by_role("button", name="Add to line").click()
        wait_until(page, lambda count=count: len(waiting()) == count)  # type: ignore[misc]
    opener = page.locator(".line-open")
    expect(opener).to_have_attribute("aria-label", "Jobs: 1 running, 3 waiting")
    opener.press("Enter")
    panel = page.locator(".line-panel")
    expect(panel.locator(".line-jobs li")).to_have_count(4)
    up = panel.get_by_role("button", name="Move up: three")
    up.press("Enter")
    wait_until(page, lambda: waiting() == ["one", "three", "two"])
    expect(panel.locator(".line-jobs li .line-title")).to_have_text(["a red cat", "one", "three", "two"])
    expect(up).to_be_focused()
    panel.get_by_role("button", name="Remove: two").press("Enter")
    wait_until(page, lambda: waiting() == ["one", "three"])
    expect(panel.get_by_role("button", name="Move down: one")).to_be_enabled()
    panel.get_by_role("button", name="Pause").press("Enter")
    wait_until(page, lambda: queue.paused)
    free.set()
    expect(page.locator("#tab-txt2img .result-text")).to_contain_text("Paused")
    made = len(queue.jobs("")[0].paths)
    expect(page.locator("#tab-txt2img .result-strip button")).to_have_count(made)
    page.wait_for_timeout(1500)
    assert len(queue.jobs("")[0].paths) == made
    panel.get_by_role("button", name="Remove all that wait").press("Enter")
    wait_until(page, lambda: waiting() == [])
    panel.get_by_role("button", name="Resume").press("Enter")
    strip = f"document.querySelectorAll('#tab-txt2img .result-strip button').length > {made}"
    page.wait_for_function(strip)
    panel.get_by_role("button", name="Stop: a red cat").press("Enter")
    expect(result(page, "txt2img", "stopped")).to_be_attached()
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()


def waits(queue: JobQueue) -> list[str]:
    """Return the titles of what waits, in its order."""
    return [now.title for now in queue.jobs("") if now.state == "waiting"]


def centre(row: Locator) -> tuple[float, float]:
    box = row.locator(".line-grip").bounding_box()
    assert box
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_ctrl_enter_adds_to_the_line_and_rows_are_dragged_by_mouse_and_by_finger(
    page: Page, free: Event, address: str, browser: Browser
) -> None:
    queue = QUEUES[address]
    tab = begin(page, "Text to image")
    expect(page.locator("#tab-txt2img .result-strip img").first).to_be_visible()
    free.clear()
    tab.get_by_role("button", name="Generate").click()  # says why it does nothing
    expect(tab.locator(".result-detail")).to_contain_text("already running: Add to line puts another behind")
    prompt = tab.get_by_label("Prompt", exact=True)
    names = ["one", "two", "three", "four"]
    for count, words in enumerate(names, 1):
        fill_in(prompt, words)
        prompt.press("Control+Enter")
        wait_until(page, lambda count=count: waits(queue) == names[:count])  # type: ignore[misc]

    page.locator(".line-open").click()
    rows = page.locator(".line-jobs li[data-state=waiting]")
    titles = page.locator(".line-jobs li[data-state=waiting] .line-title")
    expect(rows).to_have_count(4)
    page.mouse.move(*centre(rows.nth(3)))
    page.mouse.down()
    x, y = centre(rows.nth(1))
    page.mouse.move(x, y - 6, steps=6)
    expect(titles).to_have_text(["one", "four", "two", "three"])  # while it is held
    page.wait_for_timeout(2000)  # news of the line that come meanwhile move nothing
    expect(titles).to_have_text(["one", "four", "two", "three"])
    assert waits(queue) == names
    page.mouse.up()
    wait_until(page, lambda: waits(queue) == ["one", "four", "two", "three"])
    expect(page.locator(".line-note")).to_have_text("Moved: number 2 of what waits.")

    page.mouse.move(*centre(rows.nth(0)))  # Escape takes it back, and neither closes the list nor stops
    page.mouse.down()
    x, y = centre(rows.nth(3))
    page.mouse.move(x, y + 6, steps=6)
    expect(titles).to_have_text(["four", "two", "three", "one"])
    page.keyboard.press("Escape")
    expect(titles).to_have_text(["one", "four", "two", "three"])
    page.mouse.up()
    assert waits(queue) == ["one", "four", "two", "three"]
    assert not queue.jobs("")[0].stopping

    context = browser.new_context(has_touch=True, is_mobile=True, viewport={"width": 390, "height": 844})
    context.set_default_timeout(PATIENCE)
    phone = context.new_page()
    phone.goto(address)
    phone.wait_for_function(READY)
    phone.locator(".line-open").tap()
    rows = phone.locator(".line-jobs li[data-state=waiting]")
    expect(rows).to_have_count(4)
    finger = context.new_cdp_session(phone)

    def touch(kind: str, *at: tuple[float, float]) -> None:
        points = [{"x": x, "y": y} for x, y in at]
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    start, end = centre(rows.nth(0)), centre(rows.nth(2))
    touch("touchStart", start)
    for k in range(1, 9):
        touch("touchMove", (start[0], start[1] + (end[1] + 6 - start[1]) * k / 8))
    touch("touchEnd")
    wait_until(page, lambda: waits(queue) == ["four", "two", "one", "three"])
    expect(titles).to_have_text(["four", "two", "one", "three"])  # in the other window too
    context.close()
    page.keyboard.press("Escape")  # the list alone
    expect(page.locator(".line-panel")).to_be_hidden()
    assert not queue.jobs("")[0].stopping
    queue.clear("")
    queue.stop("")


def test_the_line_fits_a_phone(page: Page, free: Event) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    begin(page, "Text to image")
    free.clear()
    page.locator(".line-open").click()
    row = page.locator(".line-jobs li").first
    expect(row).to_be_visible()
    inside = """() => [...document.querySelectorAll('.line-panel button, .add-to-line')].every((one) => {
        const box = one.getBoundingClientRect();
        return !box.width || (box.left >= 0 && box.right <= 390 && one.scrollWidth <= one.clientWidth + 1);
    })"""
    assert page.evaluate(inside)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
