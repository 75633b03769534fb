"""Time from `python app.py` to its first HTTP 200, beside `import gradio` alone.

python tests/benchmarks/startup.py [rounds]

The two are run in turn, so that a busy machine slows both. Bar: at most 1.5 s more.
"""

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BAR_SECONDS = 1.5
GIVE_UP_SECONDS = 120.0


def import_seconds() -> float:
    """Time a fresh Python that imports gradio and does nothing else."""
    environment = {**os.environ, "GRADIO_ANALYTICS_ENABLED": "False"}
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import gradio"], check=True, env=environment)
    return time.perf_counter() - start


def page_seconds(outputs_dir: str) -> float:
    """Time a fresh app until its page is answered with 200."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "app.py", "--port", str(port), "--outputs-dir", outputs_dir]
    start = time.perf_counter()
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as app:
        try:
            wait_for_page(f"http://127.0.0.1:{port}/", start)
            return time.perf_counter() - start
        finally:
            app.terminate()


def wait_for_page(url: str, start: float) -> None:
    """Ask until the answer is 200; raise TimeoutError after GIVE_UP_SECONDS."""
    while time.perf_counter() - start < GIVE_UP_SECONDS:
        try:
            with urllib.request.urlopen(url, timeout=GIVE_UP_SECONDS) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.02)
    raise TimeoutError(f"no page after {GIVE_UP_SECONDS:g} s")


def main(rounds: int = 7) -> None:
    import_seconds()  # fills the disk cache
    imports, pages = [], []
    with tempfile.TemporaryDirectory() as outputs_dir:
        for number in range(rounds):
            imports.append(import_seconds())
            pages.append(page_seconds(outputs_dir))
            print(f"round {number + 1}: import gradio {imports[-1]:.2f} s, first page {pages[-1]:.2f} s")
    more = [page - alone for page, alone in zip(pages, imports, strict=True)]
    median = statistics.median(more)
    verdict = "met" if median <= BAR_SECONDS else "MISSED"
    print(
        f"median of {rounds}: import gradio {statistics.median(imports):.2f} s,"
        f" first page {statistics.median(pages):.2f} s, {median:+.2f} s"
        f" (fastest {min(more):+.2f} s; bar {BAR_SECONDS:+.1f} s: {verdict})"
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
