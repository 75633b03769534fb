"""The tab "History", as a person uses it: find, compare, send on, mark, throw away, undo."""

from datetime import datetime, timedelta
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.steps import drawn, fill_in
from tests.history.picture_files import put

YESTERDAY = datetime.now() - timedelta(days=1)


def test_a_picture_of_yesterday_is_found_compared_with_todays_and_sent_to_inpaint(
    page: Page, outputs_dir: Path
) -> None:
    day = YESTERDAY.date().isoformat()
    put(outputs_dir, f"{day}/90001-7.png", "a zeppelin at dawn", made=YESTERDAY.isoformat(), size=(64, 64))
    put(outputs_dir, f"{day}/90001-7-raw.png")
    put(outputs_dir, "zeppelins/90002-8.png", "a zeppelin at night", size=(64, 64))
    page.get_by_role("tab", name="History").click()
    tab = page.locator("#tab-history")
    cells = tab.locator(".history-cell")
    search = tab.get_by_label("Find pictures")
    fill_in(search, "zeppelin date:yesterday")
    expect(cells).to_have_count(1)
    expect(tab.locator(".history-count")).to_have_text("1 picture found")
    expect(tab.get_by_role("combobox", name="Date")).to_have_value("yesterday")
    expect(cells.locator(".history-beside")).to_have_text("+1")
    cells.hover()
    cells.get_by_role("button", name="Select this picture").click()
    search.fill("zeppelin date:today")
    expect(cells.locator(".history-open")).to_have_attribute("title", "a zeppelin at night")
    cells.locator(".history-open").focus()
    page.keyboard.press("Space")
    expect(tab.locator(".history-chosen-count")).to_have_text("2 selected")
    page.keyboard.press("c")
    compare = page.get_by_role("dialog", name="Two pictures compared")
    expect(compare.locator("tbody tr")).to_have_count(2)  # prompt and seed
    expect(compare.locator("tbody tr").first).to_contain_text("a zeppelin at dawn")
    slider = compare.get_by_role("slider")
    expect(slider).to_be_focused()
    page.keyboard.press("Home")
    assert compare.locator(".compare-stack").evaluate("one => one.style.getPropertyValue('--part')") == "0%"
    page.keyboard.press("Escape")

    search.fill("zeppelin date:yesterday")
    expect(cells.locator(".history-open")).to_have_attribute("title", "a zeppelin at dawn")
    cells.locator(".history-open").click()
    viewer = page.get_by_role("dialog", name="A picture of the history")
    expect(viewer.locator(".viewer-list")).to_contain_text("a zeppelin at dawn")
    viewer.get_by_role("button", name="Inpaint", exact=True).click()
    inpaint = page.locator("#tab-inpaint")
    expect(drawn(inpaint)).to_be_visible()
    expect(inpaint.get_by_label("Prompt", exact=True)).to_have_value("a zeppelin at dawn")


def test_keys_mark_throw_away_and_bring_back_and_a_mark_survives_a_reload(
    page: Page, outputs_dir: Path
) -> None:
    put(outputs_dir, "kites/90003-9.png", "a paper kite")
    put(outputs_dir, "kites/90004-9.png", "a silk kite")
    page.get_by_role("tab", name="History").click()
    tab = page.locator("#tab-history")
    cells = tab.locator(".history-cell")
    fill_in(tab.get_by_label("Find pictures"), "kite")
    expect(cells).to_have_count(2)
    cells.first.locator(".history-open").focus()
    page.keyboard.press("f")
    expect(cells.first.locator(".history-mark")).to_have_text("★")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Delete")
    expect(cells).to_have_count(1)
    expect(tab.locator(".history-notice")).to_contain_text("1 picture moved to the trash.")
    page.keyboard.press("Control+z")
    expect(cells).to_have_count(2)
    page.reload()
    fill_in(tab.get_by_label("Find pictures"), "kite is:favourite")
    expect(cells).to_have_count(1)
    cells.locator(".history-open").click()
    viewer = page.get_by_role("dialog", name="A picture of the history")
    expect(viewer.get_by_role("button", name="Favourite")).to_have_attribute("aria-pressed", "true")
    viewer.get_by_role("button", name="Reuse parameters").click()
    expect(page.locator("#tab-txt2img").get_by_label("Prompt", exact=True)).to_have_value("a silk kite")


def test_more_pictures_come_near_the_end_and_the_focus_goes_on_with_the_first_new_one(
    page: Page, outputs_dir: Path
) -> None:
    for number in range(130):
        put(outputs_dir, f"lanterns/{90100 + number}-1.png", "a lantern")
    page.set_viewport_size({"width": 390, "height": 500})
    page.get_by_role("tab", name="History").click()
    tab = page.locator("#tab-history")
    cells = tab.locator(".history-cell")
    search = tab.get_by_label("Find pictures")
    fill_in(search, "lantern")
    expect(tab.locator(".history-count")).to_have_text("130 pictures found")
    expect(cells).to_have_count(60)
    more = tab.get_by_role("button", name="Show more")
    more.evaluate("one => one.focus({ preventScroll: true })")
    page.keyboard.press("Enter")
    expect(cells).to_have_count(120)
    expect(cells.nth(60).locator(".history-open")).to_be_focused()
    page.set_viewport_size({"width": 1440, "height": 9000})  # all of it is near at once
    expect(cells).to_have_count(130)
    expect(more).to_be_hidden()
    search.fill("no such lantern")
    expect(cells).to_have_count(0)
    search.fill("lantern")
    expect(cells).to_have_count(130)  # page after page, with the end in sight all the time
    expect(search).to_be_focused()
