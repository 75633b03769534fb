"""The model card beside the weights: data, steps, losses, measured quality."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from . import world
from .loop import read_log

STEPS, GUIDANCE_SCALE = 25, 5.0
ROUND_TRIPS = 600
WORLD_SIZE = (
    f"{len(world.SUBJECTS)} subjects, {len(world.COLORS)} colours, {len(world.BACKGROUNDS)} backgrounds, "
    f"{len(world.SIZES)} sizes, {len(world.PLACES)} places and {len(world.STYLES)} styles"
)
CARD_HEAD = f"""---
license: apache-2.0
library_name: diffusers
pipeline_tag: text-to-image
tags:
  - stable-diffusion
  - trained-from-scratch
  - education
---

# The embedded model

A latent diffusion model of Stable Diffusion's make (CLIP text tower, U-Net with cross attention, VAE with
four latent channels), trained from scratch by `python -m sd_app.tiny.train` on pictures of 128x128 pixels,
described by `sd_app/tiny/world.py` and drawn by `drawing.py`:
{WORLD_SIZE}.
It knows nothing else: other words have no meaning to it. No outside picture, text or weight went into it; the
vocabulary is CLIP's.

- Data: 40,000 drawn pictures with four captions each (the U-Net sees 30,000 of them); about
  {world.HELD_OUT_SHARE:.0%} of the subject-colour-background triples occur in none of them.
- Weak points: the eyes of small animals, and pixel art, whose blocks the autoencoder softens.
- `preview_decoder.safetensors`: a decoder of 67,000 weights for previews, distilled from the VAE by
  `python -m sd_app.tiny.train --stage preview` (`sd_app/weights/small_decoder.py` says how it is built).
- Precision of the files: fp16 safetensors. Noise schedule: scaled-linear 0.00085-0.012, 1000 steps, epsilon.

## Training
"""
CARD_TAIL = f"""
Generated with DDIM, {STEPS} steps, guidance {GUIDANCE_SCALE:g}, full captions, seeds 0, 1, 2... The judge is
a small classifier trained on true renderings only; its own hit rate on true pictures and on their VAE round
trip is the ceiling. "Held out" are triples that no training picture or caption contains. PSNR is that of the
mean squared error over {ROUND_TRIPS} test pictures of all styles; that of previews is over what was predicted
at all {STEPS} steps of pictures that the decoder did not learn from, and "linear map" what a preview without
it shows of them. Measured by `python -m sd_app.tiny.evaluate`.
"""


CAPTION_CARD_HEAD = f"""---
license: apache-2.0
library_name: transformers
pipeline_tag: image-to-text
tags:
  - blip
  - image-captioning
  - trained-from-scratch
---

# The embedded captioner

A BLIP (Li et al. 2022: image tower, and a text decoder that attends to it), trained from scratch by
`python -m sd_app.tiny.train` on the pictures and captions of the embedded model's little world:
{WORLD_SIZE}.
It sees nothing else: any other picture is described in these words too. No outside picture, text or weight
went into it. `BlipForConditionalGeneration` and `BlipProcessor` of transformers read the folder as it is.

- Data: the embedded model's 40,000 drawn pictures; each time one comes up its caption is made anew, all six
  attributes in it, half of them in one plain form ("a small red cat on the left on the beach, watercolor"),
  half in varied words. About {world.HELD_OUT_SHARE:.0%} of the subject-colour-background triples never occur.
- Vocabulary: WordPiece of the words in these captions, and of letters, so that any text can be written in it.
- Precision of the file: fp16 safetensors.

## Training
"""
CAPTION_CARD_TAIL = """
Pictures that were not in training, captioned one by one (fp32, three beams). A caption counts as right if the
word it uses for the attribute is one that the picture world has for it. Measured by
`python -m sd_app.tiny.evaluate --captioner`.
"""
SCORES = ("subject", "color", "background", "size", "place", "style", "all three")


def write_card(folder: Path, report: dict, work: Path) -> None:
    """README.md and evaluation.json beside the weights: data, steps, losses, measured quality.

    Of a stage that left no log in `work`, the card keeps the figures it has.
    """
    rows = _training_rows(folder, work, ("clip", "vae", "unet", "judge", "preview"))
    _write(folder, report, [CARD_HEAD, _training_table(rows), _quality_table(report), CARD_TAIL])


def write_caption_card(folder: Path, report: dict, work: Path) -> None:
    """The same for the captioner."""
    rows = _training_rows(folder, work, ("blip",))
    table = _score_table(report["captions"], (*SCORES, "all six"))
    _write(folder, report, [CAPTION_CARD_HEAD, _training_table(rows), table, CAPTION_CARD_TAIL])


def _write(folder: Path, report: dict, parts: Sequence[str]) -> None:
    (folder / "evaluation.json").write_text(json.dumps(report, indent=2) + "\n")
    (folder / "README.md").write_text("\n".join(parts))


def _training_rows(folder: Path, work: Path, stages: Sequence[str]) -> list[str]:
    """Return the rows of the stages that have a log in `work`, or a row in the folder's card."""
    card = folder / "README.md"
    kept = card.read_text().splitlines() if card.exists() else []
    rows: list[str] = []
    for name in stages:
        if log := read_log(name, work):
            figures = ", ".join(f"{key} {value:g}" for key, value in log[-1].items() if key != "step")
            rows.append(f"| {name} | {log[-1]['step']:,} | {figures} |")
        else:
            rows += [line for line in kept if line.startswith(f"| {name} |")]
    return rows


def _training_table(rows: Sequence[str]) -> str:
    return "\n".join(["| stage | steps | running figures at the end |", "|---|---|---|", *rows]) + "\n"


def _quality_table(report: dict) -> str:
    judged = {key: value for key, value in report.items() if key.startswith("judge")}
    judged |= {f"generated, {key}": value for key, value in report["generated"].items()}
    psnr = ", ".join(f"{style} {value:.1f}" for style, value in report["VAE PSNR"].items())
    clip = ", ".join(f"{name} {value:.1f} %" for name, value in report["clip"].items())
    table = _score_table(judged, SCORES)
    previews = ", ".join(f"{name} {value:.1f}" for name, value in report["previews"].items())
    lines = [table, f"VAE round trip, PSNR in dB: {psnr}.", "", f"CLIP: {clip}.", ""]
    lines.append(f"Previews by the small decoder, PSNR in dB against the VAE's pictures: {previews}.")
    return "\n".join(lines) + "\n"


def _score_table(sets: dict[str, dict[str, float]], names: Sequence[str]) -> str:
    lines = [
        "## Measured quality\n",
        f"| set | pictures | {' | '.join(names)} |",
        "|---" * (len(names) + 2) + "|",
    ]
    for key, figures in sets.items():
        lines.append(
            f"| {key} | {figures['pictures']} | " + " | ".join(f"{figures[n]:.1f}" for n in names) + " |"
        )
    return "\n".join(lines) + "\n"
