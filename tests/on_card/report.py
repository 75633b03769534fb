"""From card.json to the table of cards in the papers: python -m tests.on_card.report FILE..."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROWS = """
Stable Diffusion 1.5, 512×512, one picture: bare diffusers | speed-sd1 | 1 x 512: bare diffusers, s | {:.2f} s
the studio's default | speed-sd1 | 1 x 512: default, s | {:.2f} s
times as fast | speed-sd1 | 1 x 512: default, times as fast | **{:.2f}**
four pictures together, times as fast | speed-sd1 | 4 x 512: default, times as fast | {:.2f}
SDXL, 1024×1024, one picture: bare diffusers | speed-xl | bare diffusers, s | {:.2f} s
the studio's default | speed-xl | default, s | {:.2f} s
times as fast | speed-xl | default, times as fast | **{:.2f}**
largest difference from bare diffusers' pictures, of 255 | speed-sd1 | 1 x 512: largest difference | {}
with previews every three steps, times as fast | observers | with previews, times as fast | {:.2f}
`--channels-last`, times as fast | channels-last | channels last, times as fast | {:.2f}
what it changes, of 255 at most | channels-last | largest difference | {}
float16 beside the CPU's float32, mean difference | near-the-cpu | float16, mean difference of 255 | {:.2f}
float32 beside it | near-the-cpu | float32, mean difference of 255 | {:.2f}
"""  # what stands in the table | trial | its figure | how it is written


def markdown(cards: list[Mapping[str, Any]]) -> str:
    """Return the table of what was measured, a column a card."""
    names = [f"{card['machine']['card']}, torch {card['machine']['torch']}" for card in cards]
    lines = ["| | " + " | ".join(names) + " |", "|---|" + "---|" * len(cards)]
    for row in ROWS.strip().splitlines():
        words, trial, figure, form = row.split(" | ")
        cells = []
        for card in cards:
            value = card["trials"].get(trial, {}).get("figures", {}).get(figure)
            cells.append("not measured" if value is None else form.format(value))
        lines.append(f"| {words} | " + " | ".join(cells) + " |")
    lines.append("| trials passed | " + " | ".join(map(passed, cards)) + " |")
    return "\n".join(lines)


def summary(cards: list[Mapping[str, Any]]) -> str:
    """Return the README's short table, a row a card."""
    lines = [
        "| 25 steps, prompt to picture | Stable Diffusion 1.5, 512×512 | SDXL, 1024×1024 |",
        "|---|---|---|",
    ]
    for card in cards:
        cells = []
        for trial, prefix in (("speed-sd1", "1 x 512: "), ("speed-xl", "")):
            figures = card["trials"][trial]["figures"]
            seconds, ratio = figures[f"{prefix}default, s"], figures[f"{prefix}default, times as fast"]
            same = "the same bytes" if figures[f"{prefix}largest difference"] == 0 else "other bytes"
            cells.append(f"{seconds:.2f} s: {ratio:.2f} times as fast as bare diffusers, {same}")
        lines.append(f"| {card['machine']['card']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def passed(card: Mapping[str, Any]) -> str:
    """Return how many of the trials that were run passed."""
    run = [found for found in card["trials"].values() if not found.get("skipped")]
    return f"{sum(bool(found.get('passed')) for found in run)} of {len(run)}"


if __name__ == "__main__":
    print(markdown([json.loads(Path(name).read_text()) for name in sys.argv[1:]]))
