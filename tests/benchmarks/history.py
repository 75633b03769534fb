"""What the history costs with many pictures: python tests/benchmarks/history.py [--pictures 50000]

Makes small PNG files of a few hundred prompts over 100 days, reads them into a fresh index while pages are
asked for, then times first pages, pages far down, searches, thumbnails and looks at a folder that is known.
"""

import argparse
import random
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import date, timedelta
from functools import partial
from io import BytesIO
from pathlib import Path

from PIL import Image, PngImagePlugin

from sd_app.history import History
from sd_app.metadata import to_infotext
from sd_app.requests import Txt2ImgRequest

SUBJECTS = [
    "cat",
    "dog",
    "kitten",
    "owl",
    "fox",
    "lighthouse",
    "castle",
    "teapot",
    "robot",
    "bicycle",
    "horse",
    "tulip",
]
COLORS = ["orange", "grey", "blue", "crimson", "emerald", "golden", "violet", "pale"]
PLACES = ["in a meadow", "on the beach", "at night", "in the snow", "under water", "on a roof"]
SEARCHES = (
    *("cat", "orange cat", '"orange cat"', "c", "a", "zebra", "-cat", "model:other", "negative:blurry"),
    *("sampler:dpm", "seed:777", "date:2026-11", "date:yesterday", "size:64", "width:>=65", "kind:txt2img"),
    *("is:favourite", "-is:marked", "猫", "%", "cat owl", "name:00042", "program:comfyui"),
    "orange cat model:tiny sampler:euler date:2026 is:marked size:64 -dog",
)
ROUNDS = 5


def make(outputs: Path, pictures: int) -> None:
    """Write the pictures, straight to their names: the app's own saving is not what is measured."""
    chance = random.Random(7)
    image = Image.new("RGB", (64, 64), (200, 120, 40))
    for number in range(pictures):
        day = date(2026, 11, 27) - timedelta(days=number * 100 // pictures)
        prompt = (
            f"a {chance.choice(COLORS)} {chance.choice(SUBJECTS)} {chance.choice(PLACES)}, masterpiece,"
            f" best quality, number {number}, highly detailed, soft light, by an unknown painter"
        )
        request = Txt2ImgRequest(
            prompt=prompt,
            negative_prompt="blurry, lowres, bad anatomy" if number % 2 else "",
            model="tiny-sd" if number % 5 else "other",
            scheduler="DPM++ 2M" if number % 3 else "Euler",
            seed=number,
            width=64,
            height=64,
            num_inference_steps=20,
            guidance_scale=7.0,
        )
        chunks = PngImagePlugin.PngInfo()
        chunks.add_text("parameters", to_infotext(request))
        stream = BytesIO()
        image.save(stream, "PNG", pnginfo=chunks, compress_level=1)
        folder = outputs / day.isoformat()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:05}-{number}.png").write_bytes(stream.getvalue())


def milliseconds(act: Callable[[], object]) -> tuple[float, float]:
    """Return the median and the longest of a few runs."""
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        act()
        times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times), max(times)


def memory() -> float:
    """Return the largest resident memory so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def first_look(history: History, pictures: int) -> None:
    before, began, pages = memory(), time.perf_counter(), []
    history.refresh(full=True)
    while (state := history.state()).running:
        asked = time.perf_counter()
        history.page()
        pages.append(1000 * (time.perf_counter() - asked))
        time.sleep(0.1)
    seconds = time.perf_counter() - began
    assert not state.problem, state.problem
    assert history.count() == pictures
    print(
        f"first look at {pictures:,} pictures: {seconds:.1f} s, {pictures / seconds:,.0f} a second;"
        f" first page meanwhile {statistics.median(pages):.0f} ms, at most {max(pages):.0f};"
        f" memory {before:.0f} -> {memory():.0f} MB"
    )


def ask(history: History, text: str) -> None:
    history.page(text)
    history.count(text)


def report(history: History, pictures: int) -> None:
    for number in range(0, pictures, max(1, pictures // 2000)):
        day = date(2026, 11, 27) - timedelta(days=number * 100 // pictures)
        history.marks.set(f"{day}/{number:05}-{number}.png", "favourite")
    searches = {f"search {text}": partial(ask, history, text) for text in SEARCHES}
    cases: dict[str, Callable[[], object]] = {
        "first page": partial(ask, history, ""),
        "a page in the middle": lambda: history.page(after=middle),
        **searches,
        "a visitor's first page": lambda: (history.page(owner="anna"), history.count(owner="anna")),
        "models": history.models,
        "a look at a folder that is known": partial(history.scan, full=False),
        "a full look": history.scan,
    }
    middle = history.page(limit=200).after
    for _ in range(pictures // 400):
        middle = history.page(after=middle, limit=200).after or middle
    slowest = 0.0
    for name, act in cases.items():
        median, longest = milliseconds(act)
        if "look" not in name:
            slowest = max(slowest, longest)
        print(f"{name:<75} {median:7.1f} ms, at most {longest:7.1f}")
    print(f"the slowest page or search: {slowest:.0f} ms; memory {memory():.0f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=50_000)
    parser.add_argument("--folder", type=Path, help="keep the pictures there for the next run")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp())
    try:
        outputs = folder / "outputs"
        if not outputs.exists():
            began = time.perf_counter()
            make(outputs, options.pictures)
            print(f"made {options.pictures:,} pictures in {time.perf_counter() - began:.0f} s")
        shutil.rmtree(folder / "cache", ignore_errors=True)
        (outputs / "marks.jsonl").unlink(missing_ok=True)
        history = History(outputs, folder / "cache")
        first_look(history, options.pictures)
        report(history, options.pictures)
    finally:
        if not options.folder:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
