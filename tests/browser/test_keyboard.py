"""The page by keyboard: every control is reached, seen and left, and says what it is."""

from collections.abc import Iterator
from itertools import pairwise

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from .conftest import visiting

LONGEST = 120  # controls of a tab
PLACES = (
    "txt2img",
    "img2img",
    "inpaint",
    "interrogate/words",
    "interrogate/match",
    "embeddings/tokens",
    "embeddings/blend",
    "embeddings/walk",
    "embeddings/plane",
    "inside",
    "info",
    "history",
)
# What has the focus; whether that is seen; and how many lists are open.
FOCUS = """() => {
    const active = document.activeElement;
    const around = [active, ...["label", ".wrap", ".result-compare"].map((name) => active.closest(name))];
    const outlined = (one) => one && getComputedStyle(one).outlineStyle !== "none";
    const box = active.getBoundingClientRect();
    const open = document.querySelectorAll("[role=listbox], .badge-panel:not([hidden])");
    return {
        tag: active.tagName,
        seen: around.some(outlined),
        open: open.length,
        key: active.outerHTML.slice(0, 300) + box.x + box.y,
    };
}"""
VALUES = """() => [...document.querySelectorAll("input:not([type=file]), textarea")]
    .map((one) => (["checkbox", "radio"].includes(one.type) ? one.checked : one.value)).join("|")"""
# What can be reached by Tab in the page as it is now, as [role, name].
REACHED = """() => {
    const labels = (one) => [...(one.labels ?? [])].map((label) => label.textContent.trim()).join(" ");
    const name = (one) => one.ariaLabel || labels(one) || one.textContent.trim() || one.title;
    const all = document.querySelectorAll("button, a[href], input, textarea, select, summary, [tabindex]");
    return [...all].filter((one) => one.checkVisibility() && one.tabIndex >= 0 && !one.disabled)
        .map((one) => [one.role || one.type || one.tagName, name(one)]);
}"""
HEADINGS = """() => [...document.querySelectorAll("h1, h2, h3, h4, h5, h6")]
    .filter((one) => one.checkVisibility()).map((one) => Number(one.tagName[1]))"""
FOLDED = "button.label-wrap[aria-expanded=false]"
UNFOLD = f"""(tab) => [...document.querySelectorAll(`#tab-${{tab}} {FOLDED}`)]
    .filter((one) => one.checkVisibility()).forEach((one) => one.click())"""
RADIO_GROUPS = """() => new Set([...document.querySelectorAll("input[type=radio]")]
    .filter((one) => one.checkVisibility()).map((one) => one.name)).size"""


@pytest.fixture(scope="module")
def visited(browser: Browser, address: str) -> Iterator[Page]:
    """One page for all places, since none of these tests changes anything."""
    with visiting(browser, address) as page:
        yield page


@pytest.fixture
def at(visited: Page, address: str, request: pytest.FixtureRequest) -> Page:
    """The page at the place that the test names, with everything unfolded."""
    page = visited
    name, _, _ = request.param.partition("/")
    page.goto(f"{address}#{request.param}")
    expect(page.locator(f"#tab-{name}")).to_be_visible()
    page.wait_for_timeout(500)
    for _ in range(2):  # there are folds in folds
        page.evaluate(UNFOLD, name)
        page.wait_for_timeout(500)  # what was folded is there
    expect(page.locator(f"#tab-{name} {FOLDED}").filter(visible=True)).to_have_count(0)
    more = page.locator(f"#tab-{name} .history-more:visible")
    while more.count():  # it loads more as soon as it comes near, and is gone at the end
        more.evaluate("one => one.scrollIntoView()")
        page.wait_for_timeout(300)
    return page


@pytest.mark.parametrize("at", PLACES, indirect=True)
def test_tab_reaches_every_control_and_leaves_it_with_its_list_closed(at: Page) -> None:
    before = at.evaluate(VALUES)
    at.locator("#brand").click()  # begin at the top
    at.evaluate("document.activeElement.blur()")
    seen: list[str] = []
    for _ in range(LONGEST):
        at.keyboard.press("Tab")
        at.wait_for_timeout(20)
        focus = at.evaluate(FOCUS)
        if focus["tag"] == "BODY":
            break
        assert focus["open"] == 0, focus
        assert focus["seen"], focus
        seen.append(focus["key"])
    else:
        pytest.fail("the focus never left the page")
    controls = at.evaluate(REACHED)
    radios = sum(role == "radio" for role, _ in controls)
    groups = at.evaluate(RADIO_GROUPS)
    assert len(seen) == len(controls) - radios + groups
    at.wait_for_timeout(300)
    assert at.evaluate(VALUES) == before  # a control that is only passed changes nothing


@pytest.mark.parametrize("at", PLACES, indirect=True)
def test_each_control_has_a_name_of_its_own_and_headings_are_in_order(at: Page) -> None:
    controls = [(role, name) for role, name in at.evaluate(REACHED) if role != "radio"]
    assert all(name for _, name in controls)
    assert sorted({one for one in controls if controls.count(one) > 1}) == []
    levels = at.evaluate(HEADINGS)
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert 2 in levels
    assert all(after <= before + 1 for before, after in pairwise(levels))


def menu(page: Page) -> Locator:
    return page.locator("#tab-txt2img").get_by_label("Sampler")


def test_a_menu_is_opened_moved_in_and_chosen_from_by_keys(page: Page) -> None:
    sampler, options = menu(page), page.get_by_role("option")
    page.get_by_role("spinbutton", name="Pictures").focus()
    page.keyboard.press("Tab")
    expect(sampler).to_be_focused()
    expect(options).to_have_count(0)
    chosen = sampler.input_value()
    page.keyboard.press("ArrowDown")
    expect(options.first).to_be_visible()
    page.keyboard.press("Escape")
    expect(options).to_have_count(0)
    expect(sampler).to_have_value(chosen)
    page.keyboard.press("ArrowDown")
    expect(page.locator("[role=option].active")).to_contain_text(chosen)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(sampler).not_to_have_value(chosen)
    expect(options).to_have_count(0)
    expect(sampler).to_be_focused()  # and Tab goes on from here
    page.keyboard.press("Shift+Tab")
    expect(page.get_by_role("spinbutton", name="Pictures")).to_be_focused()
    expect(options).to_have_count(0)
    sampler.click()
    expect(options.first).to_be_visible()
    page.keyboard.press("Tab")
    expect(options).to_have_count(0)


def test_a_model_that_is_not_chosen_anew_leaves_the_form_as_it_is(page: Page) -> None:
    steps = page.get_by_role("spinbutton", name="Steps")
    steps.fill("9")
    picker = page.get_by_label("Model", exact=True)
    picker.click()
    page.keyboard.press("Tab")
    page.wait_for_timeout(500)
    expect(steps).to_have_value("9")
    picker.click()
    page.get_by_role("option", name="model-b").click()
    expect(steps).to_have_value("4")
    steps.fill("9")
    page.wait_for_timeout(200)
    picker.focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(picker).to_have_value("model-a")
    expect(steps).to_have_value("4")


def test_the_enlarged_canvas_holds_the_focus_and_gives_it_back(page: Page, address: str) -> None:
    page.goto(f"{address}#img2img")
    canvas = page.locator("#tab-img2img .canvas")
    canvas.get_by_role("button", name="Blank canvas").click()
    enlarge = canvas.locator("[data-do=large]")
    enlarge.focus()
    page.keyboard.press("Enter")
    inside = "Boolean(document.activeElement.closest('.canvas.large'))"
    for key in ["Tab"] * 30 + ["Shift+Tab"] * 30:
        page.keyboard.press(key)
        assert page.evaluate(inside)
    page.keyboard.press("Escape")
    expect(enlarge).to_be_focused()
    assert not page.evaluate(inside)


def test_a_window_holds_the_focus_and_gives_it_back(page: Page) -> None:
    opener = page.locator(".add-model-open")
    opener.focus()
    page.keyboard.press("Enter")
    expect(page.locator("dialog[open]")).to_be_visible()
    for _ in range(20):
        page.keyboard.press("Tab")
        assert page.evaluate(
            "document.activeElement === document.body || Boolean(document.activeElement.closest('dialog'))"
        )
    page.keyboard.press("Escape")
    expect(page.locator("dialog[open]")).to_have_count(0)
    expect(opener).to_be_focused()
    page.locator(".badge-open").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".badge-panel")).to_be_visible()
    page.locator("#stop-all").focus()
    expect(page.locator(".badge-panel")).to_be_hidden()
