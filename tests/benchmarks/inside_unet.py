"""What parts of the U-Net are for, and what parts first: measured on the embedded model.

    python tests/benchmarks/inside_unet.py [--per-kind 30] [--no-cuts] [--figure FILE]

Cuts: prompts like those of tests/inside_words.py (DDIM, 25 steps, guidance 5), each picture again with each
named cut and with the middle's cross attention cut; printed is what the judge still finds. Parting: one word
changed, eight seeds; printed is the step at which attention, predicted and noisy picture part.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from sd_app import Settings, Studio, Txt2ImgRequest
from sd_app.inside.cuts import ALL_CROSS
from sd_app.inside.parting import SHOWN, Parting
from sd_app.inside.parting_files import COLORS, WhichFirst, which_first
from sd_app.tiny.judge import load_judge
from tests.inside_cuts import ATTRIBUTES, MIDDLE_CROSS, run_cuts
from tests.inside_words import cases

PAIRS = (
    ("an orange cat on the beach", "an orange dog on the beach"),
    ("a green bird on the beach", "a green bird in a meadow"),
)


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--per-kind", type=int, default=30)
    parser.add_argument("--no-cuts", action="store_true")
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    studio = Studio(Settings(device="cpu", batch_size=16))
    report_parting(studio, options.figure)
    if not options.no_cuts:
        report_cuts(studio, options.per_kind)


def report_parting(studio: Studio, figure: Path | None) -> None:
    """Print when attention and the pictures part, and draw the curves."""
    manager = studio._ready_manager()
    drawn: dict[str, list[Parting]] = {}
    for prompt, other in PAIRS:
        asked = Txt2ImgRequest(prompt=prompt, scheduler="DDIM", num_inference_steps=25, guidance_scale=5.0)
        name = f"“{prompt}” and “{other}”"
        here = drawn[name] = []
        print(name)

        def on_seed(one: WhichFirst, parting: Parting, here: list[Parting] = here) -> None:
            print(f"  seed {one.seed}:", ", ".join(f"{what} {one.steps[what]}" for what in SHOWN), flush=True)
            here.append(parting)

        found = which_first(manager, asked, other, on_seed=on_seed)
        first = sum(one.attention_first for one in found)
        print(f"  attention parts before the predicted picture in {first} of {len(found)} seeds")
    if figure:
        draw(drawn, figure)


def draw(drawn: Mapping[str, Sequence[Parting]], path: Path) -> None:
    """Draw every run's curves faintly, and their means, a panel for each pair of prompts."""
    from matplotlib.figure import Figure

    page = Figure(figsize=(10, 3.4), dpi=100, layout="constrained")
    steps = np.arange(1, 26)
    for axes, (name, partings) in zip(page.subplots(1, len(drawn), sharey=True), drawn.items(), strict=True):
        for what in SHOWN:
            shares = np.stack([parting.shares(what) for parting in partings])
            for one in shares:
                axes.plot(steps, one, color=COLORS[what], linewidth=0.7, alpha=0.3)
            axes.plot(steps, shares.mean(axis=0), color=COLORS[what], linewidth=2.2, label=what)
        axes.axhline(0.5, color="0.6", linestyle="--", linewidth=1)
        axes.set_title(name, fontsize=9)
        axes.set(xlabel="step of 25", xlim=(1, 25), ylim=(0, None))
        axes.spines[["top", "right"]].set_visible(False)
    page.axes[0].set_ylabel("distance, as a share\nof what it becomes")
    page.axes[0].legend(frameon=False, loc="lower right", fontsize=8)
    page.savefig(path)
    print(f"drawn: {path}")


def report_cuts(studio: Studio, per_kind: int) -> None:
    """Print for each cut the share of pictures in which each attribute is still what it was."""
    effects = run_cuts(studio, cases(per_kind, seed=20261128), load_judge())
    print(f"{2 * per_kind} pictures: in how many is each attribute kept, and did a cut do next to nothing")
    print(f"{'':42}", *(f"{name:>10}" for name in ATTRIBUTES), "   nothing")
    wanted = {ALL_CROSS: "(subject at most 30)", MIDDLE_CROSS: "(subject at least 90)"}
    for name, effect in effects.items():
        said = " ".join(f"{100 * effect.kept(attribute):8.0f} %" for attribute in ATTRIBUTES)
        print(f"{name:42} {said} {100 * np.mean(effect.nothing):8.0f} %  {wanted.get(name, '')}", flush=True)


if __name__ == "__main__":
    main()
