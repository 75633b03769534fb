"""What it costs that a picture's film is kept, and that everything is recorded for a look inside.

    python tests/benchmarks/inside_recording.py [--full] [--steps 25] [--rounds 24]

The same picture, nothing watched, with latents and outputs kept, with attention too, and with features of
chosen blocks too, take turns within each round; their pictures are compared byte for byte. The ratio of
processor time is the one to read where the machine does other things beside.
"""

import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sd_app import Studio, Txt2ImgRequest, generation
from sd_app.probes.kept_recordings import RecentRecordings
from sd_app.probes.recorder import Recorder, Watch
from tests.benchmarks.turns import bytes_of, make_parser, open_studio, report, take_turns

NOTHING, FILM = "nothing watched", "film"


def draw(studio: Studio, request: Txt2ImgRequest, what: str) -> bytes:
    recorders = {
        "film and attention": [Recorder(Watch(features=False))],
        "film, attention, features": [Recorder(Watch())],
    }
    kept = RecentRecordings().add if what == FILM else None
    options = generation.RunOptions(None, 0, False, recorders.get(what, []), kept)
    return bytes_of(generation.txt2img(studio._ready_manager(), request, options).images)


def main() -> None:
    """Print the median seconds and the ratios to a picture that nothing watches."""
    parser = make_parser(__doc__, rounds=24)
    parser.add_argument("--steps", type=int, default=25)
    options = parser.parse_args()
    with open_studio(options, cuda_graphs=False) as studio:
        request = Txt2ImgRequest(
            prompt="a medium green cat on the right on the beach, flat style",
            seed=7,
            num_inference_steps=options.steps,
        )
        kinds = (NOTHING, FILM, "film and attention", "film, attention, features")
        seconds = take_turns({kind: partial(draw, studio, request, kind) for kind in kinds}, options.rounds)
    report(seconds, NOTHING)
    print("wanted: film at most 1.03, with attention and features at most 1.12; pictures equal")


if __name__ == "__main__":
    main()
