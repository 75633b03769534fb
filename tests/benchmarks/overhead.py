"""How much slower Studio.txt2img is than the bare diffusers pipeline with the same settings.

    python tests/benchmarks/overhead.py [--full] [--side 256] [--steps 25] [--rounds 12]

DDIM. Bare, preview off and preview on take turns within each round, in rotating order, so that what else the
machine does hits all three alike; their pictures are compared byte for byte. Saving the file is part of the
studio's time. Processor time is printed beside wall time: on a busy machine it is the steadier of the two. On
CUDA the recorded U-Net would hide what the studio costs: there it is off.
"""

import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sd_app import Studio, Txt2ImgRequest
from tests.benchmarks.turns import bare_pipeline, bytes_of, make_parser, open_studio, report, take_turns

BARE = "bare diffusers"


def draw(studio: Studio, request: Txt2ImgRequest, preview_every: int) -> bytes:
    return bytes_of(studio.txt2img(request, lambda _: None, preview_every=preview_every).images)


def main() -> None:
    """Print the median seconds and the ratios to the bare pipeline."""
    parser = make_parser(__doc__, rounds=12)
    parser.add_argument("--side", type=int)
    parser.add_argument("--steps", type=int, default=25)
    options = parser.parse_args()
    with open_studio(options, cuda_graphs=False) as studio:
        side = options.side or studio.models()[0].native_size
        request = Txt2ImgRequest(
            prompt="a red cat on the beach",
            negative_prompt="blue",
            scheduler="DDIM",
            num_inference_steps=options.steps,
            guidance_scale=5.0,
            seed=1,
            width=side,
            height=side,
        )
        bare = bare_pipeline(studio, request)
        seconds = take_turns(
            {
                BARE: lambda: bytes_of(bare()),
                "studio, preview off": partial(draw, studio, request, 0),
                "studio, preview on": partial(draw, studio, request, 3),
            },
            options.rounds,
        )
    report(seconds, BARE)
    print("wanted: with the embedded model at most 1.05 and 1.08, at full size under 1.02; pictures equal")


if __name__ == "__main__":
    main()
