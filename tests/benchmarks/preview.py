"""What the preview costs: the same job with it every three steps and without, in turns.

    python tests/benchmarks/preview.py [--full] [--rounds 10] [--steps 25]

The pictures are compared byte for byte. Wanted: under 1 %.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sd_app import Step, Txt2ImgRequest
from tests.benchmarks.turns import bytes_of, make_parser, open_studio, report, take_turns


def main() -> None:
    """Print seconds with and without, and how many previews there were."""
    parser = make_parser(__doc__, rounds=10)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--side", type=int, default=None)
    options = parser.parse_args()
    previews = 0

    def on_step(step: Step) -> None:
        nonlocal previews
        previews += step.preview is not None

    with open_studio(options) as studio:
        request = Txt2ImgRequest(
            prompt="an orange cat",
            seed=1,
            num_inference_steps=options.steps,
            width=options.side,
            height=options.side,
        )

        def make(preview_every: int) -> bytes:
            return bytes_of(studio.txt2img(request, on_step, preview_every=preview_every, save=False).images)

        seconds = take_turns({"without": lambda: make(0), "with": lambda: make(3)}, options.rounds)
    report(seconds, "without")
    print(f"{previews / (options.rounds + 1):.0f} previews in each job with them")


if __name__ == "__main__":
    main()
