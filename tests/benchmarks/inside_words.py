"""How true the views of words are: against the judge, and against runs without each word.

    python tests/benchmarks/inside_words.py [--per-kind 60] [--no-runs]

The fixed set of tests/inside_words.py on the embedded model, DDIM, 25 steps, guidance 5. Prints each figure
beside what is wanted of it. Runs without words take most of the time, about ten minutes on one quiet core.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from sd_app import Settings, Studio
from sd_app.tiny.judge import load_judge
from tests.inside_words import (
    FULL,
    SIMPLE,
    Rerun,
    Seen,
    attention_ratio,
    cases,
    function_ratio,
    look_at,
    named_at_centre,
    named_outside,
    run_without,
)


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--per-kind", type=int, default=60)
    parser.add_argument("--no-runs", action="store_true")
    options = parser.parse_args()
    studio, judge = Studio(Settings(device="cpu", batch_size=16)), load_judge()
    began = time.process_time()
    everything = list(look_at(studio, cases(options.per_kind), judge))
    print(f"{len(everything)} pictures recorded and compared, {time.process_time() - began:.0f} CPU seconds")
    report_local(everything)
    if not options.no_runs:
        report_runs([run_without(seen, judge) for seen in everything])
        print(f"{time.process_time() - began:.0f} CPU seconds in all")


def share(hits: list[bool]) -> str:
    """Say a share and of how many."""
    return f"{100 * np.mean(hits):5.1f} % of {len(hits)}"


def report_local(everything: list[Seen]) -> None:
    """Print what the effects name and what attention looks at."""
    read = [
        all(getattr(s.case.scene, n) in (None, getattr(s.shows, n)) for n in vars(s.shows))
        for s in everything
    ]
    print("read by the judge as asked        ", share(read))
    print("background named outside (95)     ", share([named_outside(s) == "background" for s in everything]))
    print(
        "subject or colour at centre (90)  ",
        share([named_at_centre(s) in ("subject", "color") for s in everything]),
    )
    for part in ("subject", "color"):
        ratios = [attention_ratio(s, part) for s in everything]
        controls = [function_ratio(s) for s in everything]
        print(
            f"attention {part:7} inside >= 2x (95)",
            share([r >= 2 for r in ratios]),
            f"median {statistics.median(ratios):.1f}",
        )
        above = [r / c >= 1.5 for r, c in zip(ratios, controls, strict=True) if c == c]
        print("  >= 1.5x the function words (85) ", share(above))


def report_runs(runs: list[Rerun]) -> None:
    """Print how far the effects agree with real runs, and what those change."""
    print(f"same word as the run (75)          {100 * np.mean([r.same_word for r in runs]):5.1f} % of places")
    print(f"order of the totals (0.85)         {np.mean([r.order for r in runs]):.3f}")
    print(
        "attention: same word as the run   "
        f" {100 * np.mean([r.attention_same_word for r in runs]):5.1f} % of places"
    )
    for kind in (FULL, SIMPLE):
        of_kind = [run for run in runs if run.seen.case.kind == kind]
        for part, wanted in (("subject", 85), ("color", 85), ("background", 75)):
            changed = [run.changed(part) for run in of_kind]
            print(f"{kind:6} without {part:10} it changes ({wanted})", share([own for own, _ in changed]))
            others = [other for _, each in changed for other in each]
            print("       another stated one (5 at most)        ", share(others))


if __name__ == "__main__":
    main()
