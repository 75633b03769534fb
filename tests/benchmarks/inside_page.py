"""How long the page of Look inside lets one wait, on the embedded model.

    python tests/benchmarks/inside_page.py

Each answer is asked for as the page does, over HTTP and through the line, of a recording just opened. Printed
are seconds on the clock and of the processor, which says what a machine with nothing else to do needs.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from fastapi.testclient import TestClient
from gradio.routes import App

from sd_app import Settings, Studio, Txt2ImgRequest
from sd_app.ui import build_ui, choose_access, launch_options

ROUNDS = 7
TWELVE = "a medium green cat on the right on the beach, flat style"
ASKED: tuple[tuple[str, str, str, dict[str, object]], ...] = (
    ("film, the first nine frames", "film", "begin", {}),
    ("film, one frame of another row", "film", "frames", {"row": "guided", "frames": [5]}),
    ("film, when what was decided", "film", "decided", {}),
    ("what each of 12 words did", "words", "begin", {}),
    ("attention, the usual maps", "attention", "begin", {}),
    ("attention beside the experiment", "attention", "meeting", {}),
    ("guidance, the curve", "guidance", "begin", {}),
    ("guidance, a map", "guidance", "map", {"what": "prompt", "call": 5}),
)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        studio = Studio(
            Settings(device="cpu", outputs_dir=Path(folder) / "outputs", cache_dir=Path(folder) / "cache")
        )
        recording = studio.record(Txt2ImgRequest(prompt=TWELVE, seed=7))
        demo = build_ui(studio)
        app = App.create_app(demo, app_kwargs=launch_options(choose_access(environ={}))["app_kwargs"])
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name, *_ in ASKED}
        with TestClient(app, base_url="http://127.0.0.1") as client:
            for _ in range(ROUNDS + 1):
                key = demo.desk.open(studio.look(recording), "me").key
                for name, panel, action, given in ASKED:
                    clock, work = time.perf_counter(), time.process_time()
                    asked = {"key": key, "panel": panel, "action": action, "given": given}
                    answer = client.post("/inside/ask", json=asked).json()
                    while "job" in answer:
                        answer = client.post("/inside/job", json={"key": key, "job": answer["job"]}).json()
                    assert "answer" in answer, answer
                    taken[name].append((time.perf_counter() - clock, time.process_time() - work))
    print(f"{'':36} {'clock':>8} {'processor':>10}   median of {ROUNDS}, seconds")
    for name, rounds in taken.items():  # the first round loads what is loaded once
        clock, work = (statistics.median(each) for each in zip(*rounds[1:], strict=True))
        print(f"{name:36} {clock:8.2f} {work:10.2f}   (first: {rounds[0][0]:.2f})")


if __name__ == "__main__":
    main()
