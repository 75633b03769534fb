"""The header: adding a model of the hub, the badge with what is loaded, unloading."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from sd_app import Settings, Studio
from sd_app.hub.hub_cache import repo_folder
from sd_app.ui import build_ui, choose_access, launch_options, theme_options
from tests.hub.server import HubServer, Repo, read_files, serve_hub, use_hub

TURBO = "stabilityai/sd-turbo"
SLOW = 200_000  # bytes a second of one connection: slower than what is done meanwhile on a busy machine


@pytest.fixture
def hub(random_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with serve_hub() as server:
        files = read_files(random_models / "model-a")
        server.repos[TURBO] = Repo(files=files)
        server.repos["owner/gated"] = Repo(files=files, gated=True, token="hf_good")
        use_hub(monkeypatch, server.url, tmp_path / "hub")
        yield server


@pytest.fixture
def studio_here(hub: HubServer, random_models: Path, tmp_path: Path) -> Studio:
    """A studio of its own: what is downloaded and freed here is no other test's business."""
    return Studio(Settings(models_dir=random_models, outputs_dir=tmp_path, model="model-a", batch_size=1))


@pytest.fixture
def page(browser: Browser, studio_here: Studio) -> Iterator[Page]:
    studio = studio_here
    demo = build_ui(studio)
    access = choose_access(environ={})
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, **launch_options(access), **theme_options())
    studio.warm_up()
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(60_000)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(url)
    expect(page.locator("#model-picker input")).to_have_value("model-a")
    expect(page.locator("#badge .starting")).to_have_count(0)
    yield page
    context.close()
    demo.close()
    assert errors == []


def window(page: Page) -> Locator:
    return page.locator(".add-model-dialog")


def look_up(page: Page, hub_id: str) -> None:
    window(page).get_by_label("Hugging Face id").fill(hub_id)
    window(page).get_by_role("button", name="Look up", exact=True).first.click()


def test_a_model_is_looked_up_downloaded_cancelled_resumed_used_and_deleted(
    page: Page, hub: HubServer
) -> None:
    page.get_by_role("button", name="Add a model").click()
    look_up(page, "nobody/nothing")
    expect(window(page).get_by_role("alert")).to_contain_text("There is no public model nobody/nothing")
    look_up(page, "owner/gated")
    expect(window(page).get_by_role("alert")).to_contain_text("asks for its terms to be accepted")
    assert not repo_folder(TURBO).exists()

    hub.bytes_per_second = SLOW
    window(page).get_by_role("button", name="Look up SD-Turbo").click()
    plan = window(page).get_by_label("What will be downloaded")
    expect(plan).to_contain_text("64 × 64 pixels")
    expect(plan).to_contain_text("creativeml-openrail-m")
    plan.get_by_role("button", name=re.compile(r"Download \d+ MB")).click()
    meter = window(page).get_by_role("progressbar")
    expect(meter).to_have_attribute("aria-valuetext", re.compile(r"\d+ MB of \d+ MB, .*/s, .* left"))
    page.keyboard.press("Escape")  # the window, not the download

    # The loaded model goes on working.
    page.get_by_label("Prompt", exact=True).fill("a red cat")
    page.get_by_role("button", name="Generate").click()
    expect(page.locator(".result[data-phase=done]")).to_be_visible()
    opener = page.locator(".add-model-open")
    expect(opener).to_contain_text("Downloading")

    page.reload()  # it goes on, and the page finds it again
    expect(opener).to_contain_text(re.compile(r"Downloading \d+ %"))
    opener.click()
    window(page).get_by_role("button", name="Cancel").click()
    expect(window(page).get_by_role("status")).to_contain_text("What was downloaded is kept")
    hub.bytes_per_second = None
    hub.asked.clear()
    look_up(page, TURBO)
    expect(plan).to_contain_text("already downloaded")
    plan.get_by_role("button", name=re.compile("Download")).click()
    expect(window(page).get_by_role("status")).to_contain_text("is ready and selected")
    assert any(asked.range for asked in hub.asked)
    expect(page.locator("#model-picker input")).to_have_value(TURBO)
    window(page).get_by_role("button", name="Close").click()
    expect(page.get_by_role("spinbutton", name="Steps")).to_have_value("1")
    expect(page.get_by_label("Sampler")).to_have_value("Euler")
    page.get_by_role("button", name="Generate").click()
    expect(page.locator(".result-infotext pre")).to_contain_text("Steps: 1, Sampler: Euler,")

    opener.click()
    here = window(page).locator(".add-model-here")
    expect(here).to_contain_text(str(repo_folder(TURBO)))
    here.get_by_role("button", name="Delete").click()
    here.get_by_role("button", name="Delete for good?").click()
    expect(window(page).get_by_role("status")).to_contain_text("was deleted")
    assert not repo_folder(TURBO).exists()
    expect(page.locator("#model-picker input")).to_have_value("model-a")


def test_closing_the_window_ends_a_lookup_and_another_one_works(
    page: Page, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes a connection, and answers nothing
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        page.get_by_role("button", name="Add a model").click()
        look_up(page, TURBO)
        expect(window(page).get_by_role("status")).to_contain_text("Looking it up")
        page.wait_for_timeout(500)
        page.keyboard.press("Escape")
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        page.get_by_role("button", name="Add a model").click()
        look_up(page, TURBO)
        plan = window(page).get_by_label("What will be downloaded")
        expect(plan).to_contain_text("64 × 64 pixels", timeout=4000)  # the silent one would take ten seconds


def test_the_badge_lists_what_is_loaded_and_unloads_after_the_running_job(page: Page) -> None:
    page.locator(".badge-open").click()
    panel = page.get_by_label("Memory", exact=True)
    expect(panel).to_contain_text("model-a")
    expect(panel.locator("tbody")).to_contain_text(re.compile(r"\d+ MB"))
    page.get_by_role("spinbutton", name="Steps").fill("150")
    page.get_by_role("spinbutton", name="Pictures").fill("4")
    page.get_by_label("Prompt", exact=True).fill("a red cat")
    page.get_by_role("button", name="Generate").click()
    expect(page.locator(".result[data-phase=running] .result-detail")).to_contain_text("step")
    page.locator(".badge-open").click()
    panel.get_by_role("button", name="Unload all").click()
    expect(panel.get_by_role("status")).to_contain_text("Waiting for the running job")
    page.get_by_role("spinbutton", name="Steps").fill("2")  # the page stays usable
    expect(page.locator(".result[data-phase=done]")).to_be_visible()
    expect(panel.get_by_role("status")).to_contain_text("of weights freed")
    expect(panel).to_contain_text("None. A job loads the model it needs.")
    page.get_by_role("spinbutton", name="Pictures").fill("1")
    page.get_by_role("button", name="Generate").click()
    expect(page.locator(".result-summary")).to_contain_text("1 picture in")
    page.locator(".badge-open").click()
    expect(panel.locator("tbody")).to_contain_text("model-a")


def test_on_a_phone_header_window_and_panel_fit(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_function(  # a button's place moves gradually
        """() => {
            const boxOf = (id) => document.getElementById(id).getBoundingClientRect();
            const [brand, badge] = [boxOf("brand"), boxOf("badge")];
            return Math.abs(brand.top - badge.top) < 12 && badge.right <= 390;
        }"""
    )
    page.locator(".badge-open").click()
    for shown in (page.locator(".badge-panel"), page.locator("#header")):
        box = shown.bounding_box()
        assert box
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390
    page.locator(".add-model-open").click()
    box = window(page).bounding_box()
    assert box
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
    assert box["height"] <= 844
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_closing_a_page_frees_nothing(page: Page, studio_here: Studio) -> None:
    other = page.context.new_page()
    other.goto(page.url)
    expect(other.locator("#badge .starting")).to_have_count(0)
    other.close()
    page.wait_for_timeout(1500)  # long enough for its last words to arrive
    assert studio_here.status().loaded == ("model-a",)
