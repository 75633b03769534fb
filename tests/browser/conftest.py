"""A real browser on a page that is really served."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from sd_app import Settings, Studio
from sd_app.queue import JobQueue
from sd_app.requests import Encoding
from sd_app.ui import build_ui, choose_access, launch_options, make_queue, theme_options
from sd_app.ui.inside.desk import Desk

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 60_000  # milliseconds; the machine may be busy
QUEUES: dict[str, JobQueue] = {}  # the line of jobs of each page that is served, by its address
DESKS: dict[str, Desk] = {}  # and what is looked into

expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = next((path for path in map(shutil.which, BROWSERS) if path), None)
    if program is None:
        message = f"no browser found: none of {', '.join(BROWSERS)} is installed"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def outputs_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture(scope="session")
def address(
    random_models: Path, outputs_dir: Path, tmp_path_factory: pytest.TempPathFactory, browser: Browser
) -> Iterator[str]:
    """The page's address. Its models have random weights: quick, and noise is a picture too."""
    settings = Settings(
        models_dir=random_models,
        outputs_dir=outputs_dir,
        cache_dir=tmp_path_factory.mktemp("cache"),
        model="model-a",
        batch_size=2,
    )
    with served(settings) as url:
        yield url


@contextmanager
def served(settings: Settings, root_path: str = "") -> Iterator[str]:
    """Serve a studio's page; yield its address. `root_path` is where a proxy would put it."""
    studio = Studio(settings)
    queue = make_queue(studio)
    demo = build_ui(studio, queue)
    access = choose_access(environ={})
    options = {**launch_options(access), **theme_options(), "root_path": root_path}
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, **options)
    studio.warm_up()
    QUEUES[url] = queue
    DESKS[url] = demo.desk
    yield url
    demo.close()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """A first visit."""
    with visiting(browser, address) as page:
        yield page


@contextmanager
def visiting(browser: Browser, address: str) -> Iterator[Page]:
    """Visit the page for the first time. Fails at the end if it raised an error or fetched from elsewhere."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, accept_downloads=True)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    errors: list[str] = []
    foreign: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: foreign.append(request.url))
    page.goto(address)
    page.wait_for_selector(".result")
    # The page is usable when its load event has filled the form.
    page.wait_for_function("document.querySelector('#model-picker input')?.value === 'model-a'")
    yield page
    context.close()
    QUEUES[address].resume()
    QUEUES[address].stop("")  # a job goes on without its page
    assert errors == []
    assert [url for url in foreign if not url.startswith((address, "data:", "blob:"))] == []


@pytest.fixture(scope="session")
def encodings(random_models: Path) -> list[Encoding]:
    """Two prompts that differ in one word, as the page's model reads them."""
    studio = Studio(Settings(models_dir=random_models, model="model-a"))
    return [studio.encode(prompt) for prompt in ("a drawing of bozuman", "a drawing of a cat")]
