"""Measure the embedded model with the judge, and write its card: `python -m sd_app.tiny.evaluate`."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import open_clip
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
from PIL import Image
from torch.nn import functional as F
from tqdm import tqdm

from ..interrogator.captioner import load_captioner
from . import data, networks, preview, world
from .caption_reader import read_caption
from .card import GUIDANCE_SCALE, ROUND_TRIPS, STEPS, write_caption_card, write_card
from .export import contact_sheet
from .judge import Judge, load_judge

BATCH = 20
FLAT, HELD_OUT, PER_STYLE = 300, 120, 40
TEST_PICTURES = 2000


def main() -> None:
    """Measure as the command line says, print the figures and write the cards."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models-dir", type=Path, default=Path("models"))
    parser.add_argument(
        "--work", type=Path, default=Path(".training"), help="test pictures and training logs"
    )
    parser.add_argument("--count", type=int, default=FLAT, help="flat pictures to generate")
    parser.add_argument("--sheet", type=Path, help="also write a contact sheet of generated pictures here")
    parser.add_argument("--captioner", action="store_true", help="measure the captioner alone")
    parser.add_argument("--previews", action="store_true", help="measure the decoder for previews alone")
    parser.add_argument("--dry", action="store_true", help="print only; leave the model card as it is")
    arguments = parser.parse_args()
    folder, work = arguments.models_dir, arguments.work
    if arguments.previews:
        card = folder / "tiny-sd"
        report = json.loads((card / "evaluation.json").read_text())
        report["previews"] = preview.measure(folder, work / "preview")
        print(json.dumps(report["previews"], indent=2))
        if not arguments.dry:
            write_card(card, report, work)
        return
    if not arguments.captioner:
        report = evaluate(folder, work, count=arguments.count, sheet=arguments.sheet)
        print(json.dumps(report, indent=2))
        if not arguments.dry:
            write_card(folder / "tiny-sd", report, work)
    report = measure_captions(folder / "tiny-blip", load_test_pictures(work))
    print(json.dumps(report, indent=2))
    if not arguments.dry:
        write_caption_card(folder / "tiny-blip", report, work)


def evaluate(
    models_dir: Path,
    work: Path,
    *,
    count: int = FLAT,
    sheet: Path | None = None,
    preview_share: float = 1.0,
) -> dict:
    """All figures of the card, in percent except PSNR (dB); each judged set as `score` gives it."""
    judge = load_judge(models_dir / "tiny-judge")
    pictures = load_test_pictures(work)
    pipeline = StableDiffusionPipeline.from_pretrained(
        models_dir / "tiny-sd", dtype=torch.float32, local_files_only=True, safety_checker=None
    )
    pipeline.set_progress_bar_config(disable=True)
    pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)
    report = {
        **_measure_ceiling(judge, pipeline, pictures),
        "clip": measure_clip(models_dir / "tiny-clip", pictures),
    }
    examples: list[Image.Image] = []
    sets: dict[str, list[world.Scene]] = {
        "flat": _scenes(count, style="flat", held_out=False, seed=101),
        "held out": _scenes(max(count * HELD_OUT // FLAT, 4), style="flat", held_out=True, seed=102),
    }
    for k, style in enumerate(world.STYLES[1:]):
        sets[style] = _scenes(max(count * PER_STYLE // FLAT, 2), style=style, held_out=False, seed=103 + k)
    results: dict[str, tuple[list[world.Scene], list[world.Scene]]] = {}
    started, made = time.monotonic(), 0
    for name, scenes in sets.items():
        generated = _generate(pipeline, scenes, name)
        results[name] = (scenes, judge.read(generated))
        examples += generated[: 32 if name == "flat" else 16 if name == "held out" else 8]
        made += len(scenes)
    report["generated"] = {name: score(*pair) for name, pair in results.items()}
    other = [results[style] for style in world.STYLES[1:]]
    pooled = [[scene for pair in other for scene in pair[side]] for side in (0, 1)]
    report["generated"]["other styles"] = score(pooled[0], pooled[1])
    report["seconds per picture"] = round((time.monotonic() - started) / made, 3)
    report["previews"] = preview.measure(models_dir, work / "preview", share=preview_share)
    if sheet:
        contact_sheet(examples, 16).save(sheet)
    return report


def load_test_pictures(work: Path) -> data.PictureSet:
    """The pictures that no stage is trained on, of all triples; drawn first if not there."""
    return data.load_or_draw(work / "test", TEST_PICTURES, seed=data.TEST_SEED, held_out=None, workers=2)


def score(asked: Sequence[world.Scene], seen: Sequence[world.Scene]) -> dict[str, float]:
    """Share in percent of pictures in which the judge sees what was asked, by attribute; "all three" is

    subject, colour and background together.
    """
    hits = np.array(
        [
            [getattr(a, name) == getattr(b, name) for name in world.ATTRIBUTES]
            for a, b in zip(asked, seen, strict=True)
        ]
    )
    figures = dict(zip(world.ATTRIBUTES, hits.mean(0), strict=True)) | {
        "all three": hits[:, :3].all(1).mean()
    }
    return {"pictures": len(hits)} | {name: round(100 * float(share), 1) for name, share in figures.items()}


@torch.inference_mode()
def _measure_ceiling(judge: Judge, pipeline: StableDiffusionPipeline, pictures: data.PictureSet) -> dict:
    """What the judge reads from true pictures and from their VAE round trip, and the round trip's PSNR."""
    scenes = [world.from_indices(row) for row in pictures.attributes]
    seen = _read_all(judge, [Image.fromarray(pixels) for pixels in pictures.pixels])
    errors, returned = [], []
    for start in tqdm(range(0, ROUND_TRIPS, BATCH), "VAE round trip"):
        images = networks.to_unit(pictures.pixels[start : start + BATCH])
        decoded = pipeline.vae.decode(pipeline.vae.encode(images).latent_dist.mean).sample.clamp(-1, 1)
        errors += squared_errors(decoded, images)
        bytes_ = ((decoded + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
        returned += [Image.fromarray(pixels) for pixels in bytes_]
    seen_returned = _read_all(judge, returned)
    found = {"all": psnr(errors)}
    for style in world.STYLES:
        found[style] = psnr([e for e, scene in zip(errors, scenes, strict=False) if scene.style == style])
    flat = [k for k, scene in enumerate(scenes) if scene.style == "flat"]
    kept = [k for k in flat if k < ROUND_TRIPS]
    return {
        "judge on true pictures": score(scenes, seen),
        "judge on true flat pictures": score([scenes[k] for k in flat], [seen[k] for k in flat]),
        "judge on flat VAE round trips": score([scenes[k] for k in kept], [seen_returned[k] for k in kept]),
        "VAE PSNR": found,
    }


def squared_errors(decoded: torch.Tensor, images: torch.Tensor) -> list[float]:
    """Return each picture's mean squared error; pictures (N, 3, h, w) in [-1, 1]."""
    return (decoded - images).square().mean((1, 2, 3)).tolist()


def psnr(errors: list[float]) -> float:
    """PSNR in dB of the mean squared error over all pictures (stricter than the mean of their PSNRs)."""
    return round(float(10 * np.log10(4 / np.mean(errors))), 2)


def _read_all(judge: Judge, images: list[Image.Image]) -> list[world.Scene]:
    return [scene for k in range(0, len(images), 100) for scene in judge.read(images[k : k + 100])]


@torch.inference_mode()
def measure_clip(folder: Path, pictures: data.PictureSet, count: int = 1000) -> dict[str, float]:
    """Of `count` pictures and their full captions: how often the nearest caption (picture) is a right one.

    A caption is right if it states the same six attributes, so two pictures of one scene are no miss.
    """
    model, _, _ = open_clip.create_model_and_transforms(f"local-dir:{folder}", require_pretrained=True)
    model.eval()
    rng = np.random.default_rng(7)
    attributes = pictures.attributes[:count]
    captions = [world.caption(world.from_indices(row), rng, full=True)[0] for row in attributes]
    images = networks.to_unit(pictures.pixels[:count])
    tokens = open_clip.get_tokenizer("ViT-B-32")(captions)
    image_features = torch.cat([F.normalize(model.encode_image(part), dim=-1) for part in images.split(100)])
    text_features = torch.cat([F.normalize(model.encode_text(part), dim=-1) for part in tokens.split(100)])
    similarity = image_features @ text_features.T
    same = torch.from_numpy((attributes[:, None] == attributes[None]).all(-1))
    rows = torch.arange(len(similarity))
    figures = {
        "right caption of 1,000": same[rows, similarity.argmax(1)],
        "right picture of 1,000": same[similarity.argmax(0), rows],
    }
    return {name: round(100 * hits.float().mean().item(), 1) for name, hits in figures.items()}


def measure_captions(folder: Path, pictures: data.PictureSet, count: int = TEST_PICTURES) -> dict:
    """What the captions of the first `count` pictures state rightly, as `score` gives it, by set.

    "all six" are captions that state every attribute, and rightly.
    """
    captioner = load_captioner(folder, "cpu", torch.float32)
    scenes = [world.from_indices(row) for row in pictures.attributes[:count]]
    started = time.monotonic()
    captions = [
        captioner.caption(Image.fromarray(pixels))
        for pixels in tqdm(pictures.pixels[:count], "captions", mininterval=10)
    ]
    seconds = (time.monotonic() - started) / len(captions)
    seen = [read_caption(text) for text in captions]
    sets = {"all": set(scenes), "triples never trained": {s for s in scenes if world.is_held_out(s)}}
    sets |= {style: {scene for scene in scenes if scene.style == style} for style in world.STYLES}
    report: dict = {"captions": {}}
    for name, members in sets.items():
        pairs = [(a, b) for a, b in zip(scenes, seen, strict=True) if a in members]
        if pairs:
            exact = sum(a == b for a, b in pairs) / len(pairs)
            figures = score([a for a, _ in pairs], [b for _, b in pairs])
            report["captions"][name] = figures | {"all six": round(100 * exact, 1)}
    return report | {"seconds per caption": round(seconds, 3)}


def _scenes(count: int, *, style: str, held_out: bool, seed: int) -> list[world.Scene]:
    rng = np.random.default_rng(seed)
    return [world.random_scene(rng, held_out=held_out, style=style) for _ in range(count)]


def _generate(pipeline: StableDiffusionPipeline, scenes: list[world.Scene], name: str) -> list[Image.Image]:
    """One picture a scene from its full caption; picture k has seed k."""
    rng = np.random.default_rng(0)
    prompts = [world.caption(scene, rng, full=True)[0] for scene in scenes]
    pictures: list[Image.Image] = []
    for start in tqdm(range(0, len(prompts), BATCH), f"generate {name}"):
        batch = prompts[start : start + BATCH]
        generators = [torch.Generator().manual_seed(start + k) for k in range(len(batch))]
        pictures += pipeline(
            batch, num_inference_steps=STEPS, guidance_scale=GUIDANCE_SCALE, generator=generators
        ).images
    return pictures


if __name__ == "__main__":
    main()
