"""Small picture files with parameters, for the tests of the history."""

import os
from datetime import datetime
from pathlib import Path

from PIL import Image

from sd_app.history import History
from sd_app.history.search_text import Search
from sd_app.metadata import to_infotext, write_png
from sd_app.requests import Txt2ImgRequest


def put(
    outputs_dir: Path,
    name: str,
    prompt: str = "an orange cat",
    *,
    model: str = "tiny-sd",
    scheduler: str = "Euler",
    made: str = "",
    size: tuple[int, int] = (64, 64),
    infotext: str | None = None,
    negative_prompt: str = "",
) -> Path:
    """Write a picture as the app saves it; `made` is its time, as in 2026-11-26T12:00."""
    path = outputs_dir / name
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = name.rpartition("-")[2].partition(".")[0]
    if infotext is None:
        request = Txt2ImgRequest(
            prompt=prompt,
            negative_prompt=negative_prompt,
            model=model,
            scheduler=scheduler,
            seed=int(seed) if seed.isdecimal() else 0,
            width=64,
            height=64,
            num_inference_steps=5,
            guidance_scale=4.0,
        )
        infotext = to_infotext(request)
    write_png(Image.new("RGB", size, (200, 120, 40)), infotext, path)
    if made:
        when = datetime.fromisoformat(made).timestamp()
        os.utime(path, (when, when))
    return path


def history_of(tmp_path: Path) -> History:
    """Return the history of tmp_path/outputs, not read yet."""
    return History(tmp_path / "outputs", tmp_path / "cache")


def names(history: History, search: str | Search = "", **options: object) -> list[str]:
    """Return the names that a search finds, newest first."""
    return [kept.name for kept in history.page(search, **options).pictures]  # type: ignore[arg-type]
