"""The tabs: they stand in the address, obey the keys, and do not move."""

import pytest
from playwright.sync_api import Browser, Page, expect

from .conftest import PATIENCE

TABS = ("txt2img", "img2img", "inpaint", "interrogate", "embeddings", "inside", "info", "history")


def choose(page: Page, name: str) -> None:
    page.locator(f"#tab-{name}-button").click()


def expect_shown(page: Page, name: str) -> None:
    expect(page.locator(f"#tab-{name}-button")).to_have_attribute("aria-selected", "true")
    expect(page.locator(f"#tab-{name}")).to_be_visible()


def mode(page: Page, name: str) -> str:
    return f"#tab-embeddings .modes input[value={name}]"


def test_back_and_forward_go_through_tabs_and_their_views(page: Page) -> None:
    start = page.url
    choose(page, "embeddings")
    page.locator("#tab-embeddings .modes label").filter(has_text="Walk").click()
    expect(page).to_have_url(f"{start}#embeddings/walk")
    expect(page).to_have_title("Embeddings · Glass-box Studio")
    choose(page, "interrogate")
    page.locator("#view-match-button").click()
    expect(page).to_have_url(f"{start}#interrogate/match")
    page.go_back()
    expect(page.locator("#view-words-button")).to_have_attribute("aria-selected", "true")
    page.go_back()
    expect_shown(page, "embeddings")
    expect(page.locator(mode(page, "walk"))).to_be_checked()
    page.go_back()
    expect(page.locator(mode(page, "tokens"))).to_be_checked()
    page.go_back()
    expect_shown(page, "txt2img")
    expect(page).to_have_url(start)
    for _ in range(4):
        page.go_forward()
    expect(page.locator("#view-match-button")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#view-match")).to_be_visible()


def test_a_link_opens_its_tab_and_view_whatever_the_browser_kept(browser: Browser, address: str) -> None:
    context = browser.new_context()
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.goto(f"{address}#embeddings/plane")
    expect(page.locator(mode(page, "plane"))).to_be_checked()
    expect(page.locator("#tab-embeddings").get_by_label("Rows", exact=True)).to_be_visible()
    page.wait_for_timeout(1000)  # what the browser kept of the form has come back
    expect(page.locator(mode(page, "plane"))).to_be_checked()
    other = context.new_page()
    other.goto(f"{address}#embeddings/blend")  # kept is "plane"
    expect(other.locator(mode(other, "blend"))).to_be_checked()
    other.wait_for_timeout(1000)
    expect(other.locator(mode(other, "blend"))).to_be_checked()
    other.goto("about:blank")
    other.goto(f"{address}#interrogate/match")
    expect(other.get_by_role("button", name="Match", exact=True)).to_be_visible()
    other.goto("about:blank")
    other.goto(f"{address}#%22%5D,body/javascript:alert(1)")  # nonsense opens the first tab
    expect_shown(other, "txt2img")
    context.close()


def test_arrows_home_and_end_choose_among_tabs_and_one_is_in_the_tab_order(page: Page) -> None:
    choose(page, "img2img")
    steps = (
        ("ArrowRight", "inpaint"),
        ("ArrowLeft", "img2img"),
        ("End", TABS[-1]),
        ("ArrowRight", "txt2img"),
    )
    for key, name in (*steps, ("ArrowLeft", TABS[-1]), ("Home", "txt2img")):
        page.keyboard.press(key)
        expect_shown(page, name)
        expect(page.locator(f"#tab-{name}-button")).to_be_focused()
    assert [page.locator(f"#tab-{name}-button").evaluate("b => b.tabIndex") for name in TABS] == [
        0,
        *[-1] * (len(TABS) - 1),
    ]
    expect(page.locator("#tab-txt2img")).to_have_attribute("aria-labelledby", "tab-txt2img-button")
    choose(page, "interrogate")
    page.locator("#view-words-button").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#view-match")).to_be_visible()
    expect(page).to_have_url(f"{page.url.partition('#')[0]}#interrogate/match")


@pytest.mark.parametrize("width", [1440, 390])
def test_no_tab_moves_when_another_one_is_chosen(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    tabs = "[...document.querySelectorAll('#tabs > .tab-wrapper [role=tab]')]"
    places = f"{tabs}.map(b => [b.id, b.offsetLeft, b.offsetWidth])"
    first = page.evaluate(places)
    assert [name for name, _, _ in first] == [f"tab-{name}-button" for name in TABS]
    for name in (*TABS[::-1], *TABS):
        choose(page, name)  # each can be reached
        expect_shown(page, name)
        assert page.evaluate(places) == first
        box, bar = page.locator(f"#tab-{name}-button").bounding_box(), page.locator("#tabs").bounding_box()
        assert box
        assert bar
        assert bar["x"] <= box["x"]
        assert box["x"] + box["width"] <= bar["x"] + bar["width"]
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_on_a_phone_each_tab_keeps_its_place_and_a_new_one_begins_at_its_top(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_function("() => { window.scrollTo(0, 600); return window.scrollY === 600 }")
    page.locator("#tab-inpaint-button").evaluate("b => b.click()")
    expect_shown(page, "inpaint")
    page.wait_for_function("document.querySelector('#tab-inpaint').getBoundingClientRect().top >= 0")
    page.locator("#tab-txt2img-button").evaluate("b => b.click()")
    page.wait_for_function("Math.abs(window.scrollY - 600) < 20")  # a line that wraps moves it a little
