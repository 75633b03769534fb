"""What it saves that a prompt met before is not read again, and a picture not encoded again.

    python tests/benchmarks/cache_hits.py [--full] [--rounds 10]

The same img2img request with what is kept forgotten before, and with it there, in turns; one step, so that
what is saved shows. Calls of text encoder and VAE encoder are counted, pictures compared byte for byte.
Wanted: no call of either on a hit.
"""

import sys
from collections import Counter
from pathlib import Path
from typing import Any

from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sd_app import Img2ImgRequest
from sd_app.weights.caches import forget
from tests.benchmarks.turns import bytes_of, make_parser, open_studio, report, take_turns


def main() -> None:
    """Print calls and seconds of both."""
    parser = make_parser(__doc__, rounds=10)
    parser.add_argument("--steps", type=int, default=1)
    options = parser.parse_args()
    with open_studio(options) as studio:
        info = studio.models()[0]
        picture = Image.linear_gradient("L").convert("RGB").resize((info.native_size, info.native_size))
        request = Img2ImgRequest(
            prompt="an orange cat on the beach",
            negative_prompt="blurry",
            init_image=picture,
            strength=1.0,
            num_inference_steps=options.steps,
            seed=1,
        )
        with studio._ready_manager().pipeline(info.name, "DDIM") as pipe:
            text_encoder, vae = pipe.text_encoder, pipe.vae
        calls: Counter[str] = Counter()
        counting = ""

        def count(network: Any, name: str) -> None:
            network.register_forward_pre_hook(lambda *_: calls.update([f"{counting}: {name}"]))

        count(text_encoder, "text encoder")
        count(vae.encoder, "VAE encoder")

        def make(name: str, *, forgetting: bool) -> bytes:
            nonlocal counting
            counting = name
            if forgetting:
                forget(text_encoder, vae)
            return bytes_of(studio.img2img(request, save=False).images)

        make("warm-up", forgetting=True)
        seconds = take_turns(
            {
                "forgotten": lambda: make("forgotten", forgetting=True),
                "hit": lambda: make("hit", forgetting=False),
            },
            options.rounds,
        )
    report(seconds, "forgotten")
    assert not any(name.startswith("hit") for name in calls), f"an encoder was called on a hit: {calls}"
    for name in ("forgotten", "hit"):
        for part in ("text encoder", "VAE encoder"):
            print(f"{name}: {calls[f'{name}: {part}']} calls of the {part} in {options.rounds + 1} jobs")


if __name__ == "__main__":
    main()
