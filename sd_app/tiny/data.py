"""Training and test pictures of the world, drawn once and kept on disk as arrays."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from . import drawing, world

CAPTIONS_PER_PICTURE = 4
CHUNK = 250
TRAIN_SEED, TEST_SEED = 1, 2
FILLER_CHANCE = 0.08


@dataclass(frozen=True, kw_only=True)
class PictureSet:
    """Arrays of one set: pixels (N, 128, 128, 3) uint8 memory-mapped, attributes (N, 6) int8,

    tokens (N, 4, 77) uint16 of four captions each, stated (N, 4, 6) int8 with -1 where a caption is silent.
    """

    pixels: NDArray[np.uint8]
    attributes: NDArray[np.int8]
    tokens: NDArray[np.uint16]
    stated: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.attributes)


def load_or_draw(folder: Path, count: int, *, seed: int, held_out: bool | None, workers: int) -> PictureSet:
    """The pictures in `folder`, drawn first if not there. A picture depends on seed and index only."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "stated.npy").exists():
        _draw(folder, count, seed=seed, held_out=held_out, workers=workers)
    arrays = {
        name: np.load(folder / f"{name}.npy", mmap_mode="r")
        for name in ("pixels", "attributes", "tokens", "stated")
    }
    return PictureSet(**arrays)


def _draw(folder: Path, count: int, *, seed: int, held_out: bool | None, workers: int) -> None:
    shape = (count, world.PICTURE_PIXELS, world.PICTURE_PIXELS, 3)
    pixels = np.lib.format.open_memmap(folder / "pixels.npy", "w+", np.uint8, shape)
    attributes = np.empty((count, len(world.ATTRIBUTES)), np.int8)
    stated = np.empty((count, CAPTIONS_PER_PICTURE, len(world.ATTRIBUTES)), np.int8)
    captions: list[str] = []
    starts = range(0, count, CHUNK)
    jobs = [(seed, start, min(start + CHUNK, count), held_out) for start in starts]
    with ProcessPoolExecutor(workers) as pool:
        for start, part in zip(starts, tqdm(pool.map(_draw_chunk, jobs), "pictures", len(jobs)), strict=True):
            rows = slice(start, start + len(part[1]))
            pixels[rows], attributes[rows], stated[rows] = part[0], part[1], part[3]
            captions += part[2]
    pixels.flush()
    np.save(folder / "tokens.npy", tokenize_captions(captions, seed).reshape(count, CAPTIONS_PER_PICTURE, 77))
    np.save(folder / "attributes.npy", attributes)
    np.save(folder / "stated.npy", stated)


def _draw_chunk(
    job: tuple[int, int, int, bool | None],
) -> tuple[NDArray[np.uint8], NDArray[np.int8], list[str], NDArray[np.int8]]:
    """Draw the pictures start..end of a seed: pixels, attributes, captions and what these state."""
    seed, start, end, held_out = job
    pixels, attributes, captions, stated = [], [], [], []
    for index in range(start, end):
        rng = np.random.default_rng((seed, index))
        scene = world.random_scene(rng, held_out=held_out)
        pixels.append(np.asarray(drawing.render(scene, rng)))
        attributes.append(world.to_indices(scene))
        pairs = [world.caption(scene, rng) for _ in range(CAPTIONS_PER_PICTURE)]
        captions += [text for text, _ in pairs]
        stated.append([world.to_indices(said) for _, said in pairs])
    return np.stack(pixels), np.array(attributes, np.int8), captions, np.array(stated, np.int8)


def tokenize_captions(captions: list[str], seed: int) -> NDArray[np.uint16]:
    """Captions as (N, 77) uint16 token ids. Some are padded out with random words of the vocabulary,

    so that all 77 positions are trained and words without a meaning here do no harm.
    """
    from .tokenizer import build_tokenizer

    tokenizer = build_tokenizer()
    eos = tokenizer.eos_token_id
    ids = tokenizer(
        captions, padding="max_length", truncation=True, max_length=77, return_tensors="np"
    ).input_ids
    tokens = ids.astype(np.uint16)
    rng = np.random.default_rng((seed, 77))
    for row in np.flatnonzero(rng.random(len(tokens)) < FILLER_CHANCE):
        end = int(np.argmax(tokens[row] == eos))
        extra = int(rng.integers(1, 77 - end)) if rng.random() < 0.5 else int(rng.integers(1, 6))
        extra = min(extra, 76 - end)
        tokens[row, end : end + extra] = rng.integers(256, eos - 1, extra)
    return tokens
