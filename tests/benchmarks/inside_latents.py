"""What a latent cell does and whether a poke heals: measured on the embedded model.

    python tests/benchmarks/inside_latents.py [--per-kind 10]

Prompts like those of tests/inside_words.py (DDIM, 25 steps, guidance 5). Moved: one number of a random cell
by three spreads of its channel; printed is how far it reaches through the decoder. Poked: the same cell by
three spreads in all channels; printed is what is left at the end by the step of the poke, and the verdicts.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from sd_app import Settings, Studio
from sd_app.inside.latents import channel_ranges, move_cell
from sd_app.inside.poke import early_to_late, poke
from tests.inside_words import cases

SPREADS = 3.0


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--per-kind", type=int, default=10)
    options = parser.parse_args()
    studio = Studio(Settings(device="cpu"))
    rng = np.random.default_rng(0)
    boxes: list[tuple[int, int]] = []
    faint: list[float] = []
    own: list[float] = []
    left: dict[int, list[float]] = {}
    ignored: dict[int, list[float]] = {}
    verdicts: dict[int, Counter[str]] = {}
    for case in cases(options.per_kind):
        recording = studio.record(case.request, attention=False, features=False, keep=False)
        look = studio.look(recording)
        rows, columns = recording.final.shape[-2:]
        row, column = int(rng.integers(rows)), int(rng.integers(columns))
        for each in channel_ranges(recording.final):
            value = float(recording.final[each.channel, row, column]) + SPREADS * each.spread
            [moved] = move_cell(look, recording.final, row=row, column=column, values=[(each.channel, value)])
            box = moved.clear_box or (0, 0, 0, 0)
            boxes.append((box[2] - box[0], box[3] - box[1]))
            faint.append(moved.changed_share)
            own.append(moved.own_share)
        for call in early_to_late(recording):
            poked = poke(look, call=call, row=row, column=column, amount=SPREADS)
            left.setdefault(call, []).append(poked.left)
            ignored.setdefault(call, []).append(float(poked.unnoticed[-1] / poked.distances[call]))
            verdicts.setdefault(call, Counter())[poked.verdict] += 1
    width, height = np.median(boxes, axis=0)
    print(
        f"moved, {len(boxes)} numbers: changed clearly within {width:.0f}x{height:.0f} pixels (median),"
        f" faintly {100 * np.median(faint):.0f} % of the picture, {100 * np.median(own):.0f} % of the change"
        " over the cell"
    )
    for call, shares in left.items():
        print(
            f"poked at step {call + 1}: {np.median(shares):.2f} of it is left"
            f" ({np.quantile(shares, 0.25):.2f} to {np.quantile(shares, 0.75):.2f}; if the U-Net ignored it"
            f" {np.median(ignored[call]):.1f}); {dict(verdicts[call])}"
        )


if __name__ == "__main__":
    main()
