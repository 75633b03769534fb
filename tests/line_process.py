"""A process with a kept line of jobs, to be killed: python -m tests.line_process OUTPUTS MODELS JOBS

puts so many jobs into the line, says "ready", and "done" when nothing is left of it.
"""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from sd_app import Settings, Studio, Txt2ImgRequest
from sd_app.queue import Job, JobQueue, KeptLine, Kind

PICTURES = 3


def main(arguments: Sequence[str]) -> None:
    outputs, models, jobs = Path(arguments[0]), Path(arguments[1]), int(arguments[2])
    studio = Studio(Settings(outputs_dir=outputs, models_dir=models, model="model-a", batch_size=1))

    def lost(paths: tuple[Path, ...], text: str, job: Job) -> str:
        return text

    queue = JobQueue(kept=KeptLine(outputs))
    kind = Kind(
        name="txt2img",
        make=studio.txt2img,
        keep=lambda result, job: f"{len(job.earlier)} + {len(result.paths)}",
        summary=str,
        request_type=Txt2ImgRequest,
        lost=lost,
    )
    queue.register(kind)
    queue.restore()
    for number in range(jobs):
        request = Txt2ImgRequest(
            prompt=f"picture of job {number}",
            num_inference_steps=6,
            num_images=PICTURES,
            width=64,
            height=64,
            model="model-a",
        )
        queue.submit(f"owner {number % 3}", "txt2img", request, title=str(number))
    print("ready", flush=True)
    while not all(now.ended for now in queue.jobs("")):
        time.sleep(0.01)
    ended = {now.title: [now.state, now.summary or now.failure] for now in queue.jobs("")}
    print("done", json.dumps(ended), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
