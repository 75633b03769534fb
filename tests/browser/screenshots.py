"""Take the README's pictures from the real app.

cd .github
python ../tests/browser/screenshots.py screenshot.png inpaint.png look-inside.png words.png attention.png

Starts app.py with the embedded model, makes six pictures of a prompt, saves the window as it then stands;
then sends a picture to the inpainting tab, paints over it, and saves that; then looks inside a picture: its
film at a step with all rows, guided and unguided; and what each word did beside what attention claims.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from playwright.sync_api import Locator, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
WINDOW = (1440, 900)  # pixels
PATIENCE = 90_000  # milliseconds


PROMPT, SEED = "a big orange kitten in a meadow", "7"
BEFORE, AFTER = "a red house in a meadow", "a big orange cat in a meadow"
LOOKED_AT = "an orange cat on the beach"
# Panels in full: nothing scrolls, and the clock is not above them.
WHOLE = """.gradio-container .maker { height: auto !important }
.gradio-container .maker > .get { overflow: visible !important }
.inside-clock { position: static !important }"""
STROKE = tuple((x, y) for y in (0.18, 0.36, 0.54, 0.72) for x in (0.28, 0.72))


def fill(tab: Locator, prompt: str, seed: str, pictures: str = "1") -> None:
    tab.get_by_label("Prompt", exact=True).fill(prompt)
    tab.get_by_role("spinbutton", name="Pictures").fill(pictures)
    tab.get_by_role("textbox", name="Seed").fill(seed)
    tab.get_by_role("button", name="Generate").click()
    tab.locator(".result[data-phase=running]").wait_for()
    tab.locator(".result[data-phase=done]").wait_for()


def shoot_txt2img(page: Page, path: Path) -> None:
    """Make six pictures as a person would, and save what is on the screen."""
    fill(page.locator("#tab-txt2img"), PROMPT, SEED, "6")
    page.wait_for_function("!document.querySelector('#badge .starting')")
    save(page, path)


def shoot_inpaint(page: Page, path: Path) -> None:
    """Send a picture to the inpainting tab, paint over its middle, repaint it, compare."""
    here, there = page.locator("#tab-txt2img"), page.locator("#tab-inpaint")
    fill(here, BEFORE, SEED)
    here.get_by_role("button", name="Inpaint").click()
    there.locator(".canvas[data-empty=false]").wait_for()
    there.locator(".canvas-size").fill("40")
    page.wait_for_timeout(500)  # the canvas has found its place
    box = there.locator(".canvas-paint").bounding_box()
    assert box
    points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in STROKE]
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*point, steps=6)
    page.mouse.up()
    there.get_by_role("spinbutton", name="Strength").fill("1")
    fill(there, AFTER, "3")
    there.get_by_role("button", name="Before / after").click()
    there.get_by_role("slider", name="Before and after").fill("42")
    page.locator("#tab-inpaint .ask").evaluate("node => node.scrollTo(0, 0)")
    save(page, path)


def shoot_film(page: Page, path: Path) -> None:
    """Look inside a picture, at a step at which it is not decided yet."""
    tab = page.locator("#tab-txt2img")
    page.locator("#tab-txt2img-button").click()
    fill(tab, LOOKED_AT, SEED)
    tab.get_by_role("button", name="Look inside").click()
    page.locator(".inside[data-phase=done]").wait_for()
    page.locator("[data-panel=film] .look-box[data-ready=true]").wait_for()
    page.locator(".clock-range").fill("5")
    page.locator("[data-panel=film] figure[data-row=noisy][data-waiting=false]").wait_for()
    save(page, path)


def shoot_words(page: Page, path: Path) -> None:
    """Show what each word did at a place."""
    page.locator("[data-panel=film] .look-head").click()
    words = page.locator("[data-panel=words]")
    words.locator(".look-head").click()
    words.locator(".look-box[data-ready=true]").wait_for()
    words.locator(".words-top .cells").first.click(position={"x": 30, "y": 30})
    page.add_style_tag(content=WHOLE)
    page.add_style_tag(content=".words-experiment, .words-tiles + div { display: none }")
    words.locator(".look-box").screenshot(path=path)


def shoot_attention(page: Page, path: Path) -> None:
    """Show in how many places attention agrees with what the words did."""
    attention = page.locator("[data-panel=attention]")
    attention.locator(".look-head").click()
    attention.get_by_role("button", name="Compare with what the words did").click()
    attention.locator(".attention-meeting canvas").first.wait_for()
    attention.locator(".attention-meeting").screenshot(path=path)


def save(page: Page, path: Path) -> None:
    page.mouse.move(0, WINDOW[1] - 1)
    page.wait_for_timeout(500)
    path.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=path)


def shoot(url: str, paths: list[Path]) -> None:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": WINDOW[0], "height": WINDOW[1]}, color_scheme="light")
        page.set_default_timeout(PATIENCE)
        page.goto(url)
        page.wait_for_function("document.querySelector('#model-picker input')?.value")
        takes = (shoot_txt2img, shoot_inpaint, shoot_film, shoot_words, shoot_attention)
        for take, path in zip(takes, paths, strict=False):
            take(page, path)
        browser.close()


def main(*paths: str) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}/"
    with tempfile.TemporaryDirectory() as outputs:
        port = url.split(":")[-1].strip("/")
        command = [sys.executable, "app.py", "--port", port, "--outputs-dir", outputs]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, env=os.environ) as app:
            try:
                while app.poll() is None:
                    try:
                        urllib.request.urlopen(url)
                        break
                    except (urllib.error.URLError, ConnectionError):
                        time.sleep(0.2)
                shoot(url, [Path(path) for path in paths])
            finally:
                app.terminate()


if __name__ == "__main__":
    main(*sys.argv[1:])
