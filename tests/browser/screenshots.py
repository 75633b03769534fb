"""Take the README's picture from the real app.

python tests/browser/screenshots.py .github/screenshot.png [prompt] [seed]

Starts app.py with the embedded model, makes six pictures of the prompt, and saves the window as it then
stands.
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

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[2]
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
WINDOW = (1440, 900)  # pixels
PATIENCE = 300_000  # milliseconds


def shoot(url: str, path: Path, prompt: str, seed: str) -> None:
    """Use the page as a person would, and save what is on the screen."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": WINDOW[0], "height": WINDOW[1]}, color_scheme="light")
        page.set_default_timeout(PATIENCE)
        page.goto(url)
        page.wait_for_selector(".stage")
        page.get_by_label("Prompt", exact=True).fill(prompt)
        page.get_by_role("spinbutton", name="Pictures").fill("6")
        page.get_by_role("spinbutton", name="Seed").fill(seed)
        page.get_by_role("button", name="Generate").click()
        page.wait_for_selector(".stage[data-phase=done]")
        page.wait_for_function("!document.querySelector('#badge .starting')")
        page.mouse.move(0, WINDOW[1] - 1)
        page.wait_for_timeout(500)
        path.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=path)
        browser.close()


def main(path: str, prompt: str = "a big orange kitten in a meadow", seed: str = "7") -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}/"
    with tempfile.TemporaryDirectory() as outputs:
        command = [
            sys.executable,
            "app.py",
            "--port",
            url.split(":")[-1].strip("/"),
            "--outputs-dir",
            outputs,
        ]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, env=os.environ) as app:
            try:
                while app.poll() is None:
                    try:
                        urllib.request.urlopen(url)
                        break
                    except (urllib.error.URLError, ConnectionError):
                        time.sleep(0.2)
                shoot(url, Path(path), prompt, seed)
            finally:
                app.terminate()


if __name__ == "__main__":
    main(*sys.argv[1:])
