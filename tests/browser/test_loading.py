"""The page's scripts arrive by themselves: late, never, or from below another path."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from sd_app import Settings

from .conftest import PATIENCE, served

READY = "document.querySelector('#model-picker input')?.value === 'model-a'"


@contextmanager
def visit(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(PATIENCE)
    yield context.new_page()
    context.close()


def hold(page: Page, script: str) -> list[Route]:
    """Keep a script from arriving; return its requests, which release() lets go on."""
    held: list[Route] = []
    page.route(f"**/scripts/*/{script}", lambda route: held.append(route))
    return held


def release(held: list[Route]) -> None:
    assert held
    for route in held:
        route.continue_()


def swap_sides(page: Page) -> None:
    """See that a button works whose script is called by Gradio."""
    tab = page.locator("#tab-txt2img")
    width, height = (tab.get_by_role("spinbutton", name=name) for name in ("Width", "Height"))
    width.fill("64")
    height.fill("128")
    tab.get_by_role("button", name="Swap").click()
    expect(width).to_have_value("128")
    expect(height).to_have_value("64")


def test_a_press_that_comes_before_the_script_is_not_lost(browser: Browser, address: str) -> None:
    with visit(browser) as page:
        held = hold(page, "header/badge.js")
        page.goto(address)
        page.wait_for_function(READY)
        page.locator(".badge-open").click(force=True)
        page.wait_for_timeout(300)
        expect(page.locator(".badge-panel")).to_be_hidden()
        release(held)
        expect(page.locator(".badge-panel")).to_be_visible()
        expect(page.locator(".badge-words")).not_to_be_empty()
        page.locator(".badge-open").click()
        expect(page.locator(".badge-panel")).to_be_hidden()


def test_a_result_that_comes_before_the_script_is_drawn(
    browser: Browser, address: str, outputs_dir: Path
) -> None:
    with visit(browser) as page:
        held = hold(page, "shared/fit.js")
        page.goto(address)
        page.wait_for_function(READY)
        tab = page.locator("#tab-txt2img")
        tab.get_by_label("Prompt", exact=True).fill("a late script")
        tab.get_by_role("spinbutton", name="Steps").first.fill("2")
        before = len(list(outputs_dir.rglob("*.png")))
        tab.get_by_role("button", name="Generate").click()
        until = time.monotonic() + PATIENCE / 1000
        while len(list(outputs_dir.rglob("*.png"))) == before and time.monotonic() < until:
            page.wait_for_timeout(100)
        page.wait_for_timeout(1000)  # the value has arrived too
        expect(tab.locator(".result")).to_have_attribute("data-phase", "empty")
        release(held)
        expect(tab.locator(".result")).to_have_attribute("data-phase", "done")
        expect(tab.locator(".result-picture")).to_be_visible()


def test_a_script_that_does_not_come_is_told_and_the_rest_works(browser: Browser, address: str) -> None:
    with visit(browser) as page:
        page.route("**/scripts/*/header/badge.js", lambda route: route.abort())
        page.goto(address)
        page.wait_for_function(READY)
        expect(page.locator("#badge [role=alert]")).to_have_text(
            "This part of the page could not be loaded. Reload the page."
        )
        swap_sides(page)


@pytest.fixture(scope="module")
def below(random_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a page that believes to be at /studio/, as behind a proxy."""
    folder = tmp_path_factory.mktemp("below")
    settings = Settings(models_dir=random_models, outputs_dir=folder, model="model-a")
    with served(settings, root_path="/studio") as url:
        yield url


def test_the_page_works_behind_a_proxy_that_moves_it(browser: Browser, below: str) -> None:
    def strip(route: Route) -> None:
        route.continue_(url=route.request.url.replace("/studio/", "/", 1))

    with visit(browser) as page:
        errors: list[str] = []
        strays: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: strays.append(request.url))
        page.route("**/studio/**", strip)
        page.goto(f"{below}studio/")
        page.wait_for_function(READY)
        swap_sides(page)
        page.locator(".badge-open").click()
        expect(page.locator(".badge-panel")).to_be_visible()
        assert errors == []
        assert [url for url in strays if "/scripts/" in url and "/studio/" not in url] == []
