"""Train the embedded model: `python -m sd_app.tiny.train`. Stop it at any time; it goes on later."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist

from . import data, evaluate, export, networks, preview, stages
from .judge import judge_stage
from .loop import load_average, run_stage

TRAIN_PICTURES = 40_000
LATENT_PICTURES = 30_000  # encoded for the U-Net: encoding costs as much as training on them twice
MEETING_PORT = 29_531
STEPS = {"clip": 1500, "vae": 3600, "unet": 3100, "judge": 720, "blip": 4000, "preview": 2000}
BATCH = {"clip": 128, "unet": 32, "blip": 64}


def main() -> None:
    """Run the stages that the command line asks for, each from where it was stopped."""
    arguments = _parse()
    work = arguments.work
    work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)  # two processes of one thread beat one of two at these sizes
    steps = {name: max(1, round(count * arguments.scale)) for name, count in STEPS.items()}
    runners = {
        "data": lambda: _pictures(work, arguments.scale),
        "clip": lambda: _run_single("clip", work, steps, arguments.scale),
        "vae": lambda: _run_single("vae", work, steps, arguments.scale),
        "latents": lambda: _encode(work, arguments.scale),
        "unet": lambda: _run_unet(work, steps, arguments.scale),
        "judge": lambda: _run_single("judge", work, steps, arguments.scale),
        "blip": lambda: _run_single("blip", work, steps, arguments.scale),
        "export": lambda: export.export(work, arguments.models_dir, _pictures(work, arguments.scale)),
        "preview": lambda: _preview(work, arguments.models_dir, steps["preview"], arguments.scale),
        "evaluate": lambda: _evaluate(work, arguments.models_dir, arguments.scale),
    }
    if arguments.stage:
        runners[arguments.stage]()
        return
    runners["data"]()
    _run_together([partial(_run_single, name, work, steps, arguments.scale) for name in ("clip", "vae")])
    for name in ("latents", "unet"):
        runners[name]()
    _run_together([partial(_run_single, name, work, steps, arguments.scale) for name in ("judge", "blip")])
    for name in ("export", "preview", "evaluate"):
        runners[name]()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--work", type=Path, default=Path(".training"), help="pictures and checkpoints (about 3 GB)"
    )
    parser.add_argument("--models-dir", type=Path, default=Path("models"), help="where the finished parts go")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="share of the pictures and steps, for a trial"
    )
    names = ("data", "clip", "vae", "latents", "unet", "judge", "blip", "export", "preview", "evaluate")
    parser.add_argument("--stage", choices=names, help="run this stage alone; without it, all in order")
    return parser.parse_args()


def _pictures(work: Path, scale: float) -> data.PictureSet:
    count = max(500, round(TRAIN_PICTURES * scale))
    return data.load_or_draw(work / "train", count, seed=data.TRAIN_SEED, held_out=False, workers=_cores())


def _cores() -> int:
    return min(2, os.cpu_count() or 1)


def _run_single(name: str, work: Path, steps: dict[str, int], scale: float) -> None:
    torch.set_num_threads(1)
    pictures = _pictures(work, scale)
    if name == "clip":
        run_stage(stages.clip_stage(pictures, steps=steps["clip"], batch=BATCH["clip"]), work)
    elif name == "vae":
        run_stage(stages.vae_stage(pictures, steps=steps["vae"]), work)
    elif name == "blip":
        run_stage(stages.blip_stage(pictures, steps=steps["blip"], batch=BATCH["blip"]), work)
    else:
        run_stage(judge_stage(pictures, steps=steps["judge"]), work)


def _run_together(jobs: Sequence[Callable[[], None]]) -> None:
    """Run one process a job and wait for all; end with an error if one of them did."""
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=job) for job in jobs]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        raise SystemExit("a stage failed; what it has done is kept, so the same command goes on from there")


def in_halves(count: int) -> tuple[range, range]:
    """Share out so many things between two processes."""
    return range(count // 2), range(count // 2, count)


def _encode(work: Path, scale: float) -> None:
    """Encode all training pictures, and settle the scaling factor that gives them unit variance."""
    if (work / "latents.npy").exists():
        return
    count = min(LATENT_PICTURES, len(_pictures(work, scale)))
    halves = in_halves(count)
    _run_together([partial(_encode_span, work, scale, half.start, half.stop) for half in halves])
    moments = np.concatenate([np.load(work / f"latents-{half.start}.npy") for half in halves])
    scaling_factor = float(1 / moments[:, :4].astype(np.float32).std())
    (work / "latents.json").write_text(json.dumps({"scaling_factor": round(scaling_factor, 5)}))
    np.save(work / "latents.npy", moments)


def _encode_span(work: Path, scale: float, start: int, end: int) -> None:
    torch.set_num_threads(1)
    vae = load_average("vae", networks.build_vae(), work)
    stages.encode_latents(vae, _pictures(work, scale), work / f"latents-{start}.npy", start=start, end=end)


def _preview(work: Path, models_dir: Path, steps: int, scale: float) -> None:
    """Distil the decoder for previews from the model that was exported, and write it beside."""
    halves = in_halves(preview.PARTS)
    _run_together([partial(_make_pairs, models_dir, work, half, scale) for half in halves])
    pairs = preview.load_or_make(models_dir, work / "preview", parts=range(preview.PARTS))
    run_stage(preview.preview_stage(pairs, steps=steps), work)
    export.export_preview_decoder(work, models_dir)


def _make_pairs(models_dir: Path, work: Path, parts: range, scale: float) -> None:
    torch.set_num_threads(1)
    preview.load_or_make(models_dir, work / "preview", parts=parts, share=min(1.0, scale))


def _evaluate(work: Path, models_dir: Path, scale: float) -> None:
    torch.set_num_threads(_cores())
    share = min(1.0, scale)
    report = evaluate.evaluate(
        models_dir, work, count=max(10, round(evaluate.FLAT * share)), preview_share=share
    )
    evaluate.write_card(models_dir / "tiny-sd", report, work)
    count = max(10, round(evaluate.TEST_PICTURES * share))
    captions = evaluate.measure_captions(models_dir / "tiny-blip", evaluate.load_test_pictures(work), count)
    evaluate.write_caption_card(models_dir / "tiny-blip", captions, work)


def _run_unet(work: Path, steps: dict[str, int], scale: float) -> None:
    workers = _cores()
    _run_together([partial(_unet_worker, rank, workers, work, steps, scale) for rank in range(workers)])


def _unet_worker(rank: int, workers: int, work: Path, steps: dict[str, int], scale: float) -> None:
    torch.set_num_threads(1)
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    if workers > 1:
        meeting = f"tcp://127.0.0.1:{MEETING_PORT}"
        dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=workers)
    latents = np.load(work / "latents.npy", mmap_mode="r")
    scaling_factor = json.loads((work / "latents.json").read_text())["scaling_factor"]
    stage = stages.unet_stage(
        _pictures(work, scale),
        latents,
        work,
        scaling_factor=scaling_factor,
        steps=steps["unet"],
        batch=BATCH["unet"],
    )
    run_stage(stage, work)
    if workers > 1:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
