"""What it saves that a batch is written behind the next one.

    python tests/benchmarks/saving.py [--full] [--rounds 6] [--images 8] [--batch 2] [--wait 0]

The same job with pictures saved between the batches and behind them, in turns, with the time of the savings
alone. The files' pictures are compared. Of a job of n batches at most (n - 1) / n of the saving can hide. On
a CPU savings and U-Net share the cores; --wait has each U-Net call sleep so many milliseconds more, since one
on a GPU leaves the processor idle.
"""

import sys
import time
from pathlib import Path
from typing import Any

from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sd_app import Txt2ImgRequest
from sd_app.generation import job as jobs
from sd_app.generation.saving import Save, Saver
from tests.benchmarks.turns import bytes_of, make_parser, open_studio, report, take_turns


def main() -> None:
    """Print the seconds of both and of a picture's saving."""
    parser = make_parser(__doc__, rounds=6)
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--side", type=int, default=None)
    parser.add_argument("--wait", type=float, default=0)
    options = parser.parse_args()
    behind, write = Saver.save, jobs.save_image
    spent: list[float] = []

    def between(saver: Saver, save: Save, **_: Any) -> None:
        behind(saver, save, behind=False)

    def timed(*args: Any, **known: Any) -> Any:
        started = time.thread_time()
        path = write(*args, **known)
        spent.append(time.thread_time() - started)
        return path

    jobs.save_image = timed
    with open_studio(options, batch_size=options.batch) as studio:
        with studio._ready_manager().pipeline("one", "DDIM") as pipe:
            pipe.unet.register_forward_hook(lambda *_: time.sleep(options.wait / 1000))
        request = Txt2ImgRequest(
            prompt="an orange cat",
            seed=1,
            num_images=options.images,
            num_inference_steps=options.steps,
            width=options.side,
            height=options.side,
        )

        def make(save: Any) -> bytes:
            Saver.save = save  # type: ignore[method-assign]
            paths = studio.txt2img(request, preview_every=0).paths
            pictures = []
            for path in paths:
                with Image.open(path) as picture:
                    pictures.append(picture.copy())
            return bytes_of(tuple(pictures))

        ways = {"between": lambda: make(between), "behind": lambda: make(behind)}
        seconds = take_turns(ways, options.rounds)
    report(seconds, "between")
    print(f"saving a picture: {1000 * sum(spent) / len(spent):.1f} ms of its thread's processor time")


if __name__ == "__main__":
    main()
