"""The model card beside the weights: data, steps, losses, measured quality."""

from __future__ import annotations

import json
from pathlib import Path

from . import world
from .loop import read_log

STEPS, GUIDANCE_SCALE = 25, 5.0
ROUND_TRIPS = 600
WORLD_SIZE = (
    f"{len(world.SUBJECTS)} subjects, {len(world.COLORS)} colours, {len(world.BACKGROUNDS)} backgrounds, "
    f"{len(world.SIZES)} sizes, {len(world.PLACES)} places and {len(world.STYLES)} styles"
)
CARD_HEAD = f"""# The embedded model

A latent diffusion model of Stable Diffusion's make (CLIP text tower, U-Net with cross attention, VAE with
four latent channels), trained from scratch by `python -m sd_app.tiny.train` on pictures of 128x128 pixels,
described by `sd_app/tiny/world.py` and drawn by `drawing.py`:
{WORLD_SIZE}.
It knows nothing else: other words have no meaning to it. No outside picture, text or weight went into it; the
vocabulary is CLIP's.

- Data: 40,000 drawn pictures with four captions each (the U-Net sees 30,000 of them); about
  {world.HELD_OUT_SHARE:.0%} of the subject-colour-background triples occur in none of them.
- Weak points: the eyes of small animals, and pixel art, whose blocks the autoencoder softens.
- Precision of the files: fp16 safetensors. Noise schedule: scaled-linear 0.00085-0.012, 1000 steps, epsilon.

## Training
"""
CARD_TAIL = f"""
Generated with DDIM, {STEPS} steps, guidance {GUIDANCE_SCALE:g}, full captions, seeds 0, 1, 2... The judge is
a small classifier trained on true renderings only; its own hit rate on true pictures and on their VAE round
trip is the ceiling. "Held out" are triples that no training picture or caption contains. PSNR is that of the
mean squared error over {ROUND_TRIPS} test pictures of all styles. Measured by
`python -m sd_app.tiny.evaluate`.
"""


def write_card(folder: Path, report: dict, work: Path) -> None:
    """README.md and evaluation.json beside the weights: data, steps, losses, measured quality."""
    (folder / "evaluation.json").write_text(json.dumps(report, indent=2) + "\n")
    logs = {name: read_log(name, work) for name in ("clip", "vae", "unet", "judge")}
    (folder / "README.md").write_text(_card(report, logs))


def _card(report: dict, logs: dict[str, list[dict[str, float]]]) -> str:
    return "\n".join([CARD_HEAD, _training_table(logs), _quality_table(report), CARD_TAIL])


def _training_table(logs: dict[str, list[dict[str, float]]]) -> str:
    lines = ["| stage | steps | running figures at the end |", "|---|---|---|"]
    for name, log in logs.items():
        if log:
            figures = ", ".join(f"{key} {value:g}" for key, value in log[-1].items() if key != "step")
            lines.append(f"| {name} | {log[-1]['step']:,} | {figures} |")
    return "\n".join(lines) + "\n"


def _quality_table(report: dict) -> str:
    names = ["subject", "color", "background", "size", "place", "style", "all three"]
    lines = [
        "## Measured quality\n",
        f"| set | pictures | {' | '.join(names)} |",
        "|---" * (len(names) + 2) + "|",
    ]
    judged = {key: value for key, value in report.items() if key.startswith("judge")}
    judged |= {f"generated, {key}": value for key, value in report["generated"].items()}
    for key, figures in judged.items():
        lines.append(
            f"| {key} | {figures['pictures']} | " + " | ".join(f"{figures[n]:.1f}" for n in names) + " |"
        )
    psnr = ", ".join(f"{style} {value:.1f}" for style, value in report["VAE PSNR"].items())
    clip = ", ".join(f"{name} {value:.1f} %" for name, value in report["clip"].items())
    return "\n".join([*lines, "", f"VAE round trip, PSNR in dB: {psnr}.", "", f"CLIP: {clip}."]) + "\n"
