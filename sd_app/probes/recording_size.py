"""How large a recording will be, told before its first step: the sum of its tensors and its header."""

import json
import shutil
from pathlib import Path

import torch

from ..metadata import png_bytes
from ..requests import format_bytes
from ..speed import plan_calls
from .attention import THIRDS, modules_of
from .features import blocks_of, num_components
from .levels import MAX_ATTENTION_CELLS, MAX_FEATURE_CELLS, pooled
from .observers import LoopStart
from .recorder import MANY_ROWS, Watch, run_facts, text_keys, text_rows
from .recording import ReadText
from .recording_file import MAX_BYTES, PICTURES, to_metadata

Planned = dict[str, tuple[torch.dtype, tuple[int, ...]]]  # the tensors of a file, by name

SPARE_BYTES = 50 * 10**6  # of a disk, that a recording leaves alone


def size_of(start: LoopStart, watch: Watch, picture: int = 0) -> int:
    """Return the bytes of the file that one picture of a batch will make."""
    texts = planned_texts(start, picture)
    tensors = planned_tensors(start, watch, texts, picture)
    data = sum(dtype.itemsize * torch.Size(shape).numel() for dtype, shape in tensors.values())
    entries = {
        name: {"dtype": "F32", "shape": shape, "data_offsets": [data, data]}
        for name, (_, shape) in tensors.items()
    }
    metadata = to_metadata(
        start.requests[picture],
        run_facts(start),
        texts,
        picture_sha256="0" * 64,
        lists={"guided_calls": tuple(range(_guided_calls(start))), "shallow_calls": ()},
        has_attention=watch.attention,
    )
    header = json.dumps({**entries, "__metadata__": metadata}, separators=(",", ":"), ensure_ascii=False)
    return 8 + len(header.encode()) + data


def planned_texts(start: LoopStart, picture: int) -> tuple[ReadText, ...]:
    """Return the texts that will be read, and at which calls."""
    calls: dict[tuple[str, int, float, int], list[int]] = {}
    for call in range(len(start.timesteps)):
        embeds = start.prompts[min(call // start.scheduler.order, len(start.prompts) - 1)]
        for key in text_keys(embeds, picture, len(start.requests)):
            calls.setdefault(key, []).append(call)
    return tuple(
        ReadText(text=key[0], calls=tuple(known), rows=text_rows(start, key), weight=key[2])
        for key, known in calls.items()
    )


def planned_tensors(start: LoopStart, watch: Watch, texts: tuple[ReadText, ...], picture: int = 0) -> Planned:
    """Return the tensors that the file will hold."""
    calls, dtype = len(start.timesteps), start.latents.dtype
    cells = tuple(start.latents.shape[1:])
    request = start.requests[picture]
    assert request.height
    assert request.width
    planned: Planned = {
        "timesteps": (torch.float64, (calls,)),
        "sigmas": (torch.float64, (calls,)),
        "latents": (dtype, (calls + 1, *cells)),
        "conditional": (dtype, (calls, *cells)),
        "unconditional": (dtype, (_guided_calls(start), *cells)),
        "noise": (start.noise.dtype, cells),
        "decoded": (torch.uint8, (request.height, request.width, 3)),
    }
    if start.original is not None:
        planned["original"] = start.original.dtype, cells
    if start.mask is not None:
        planned["mask"] = torch.float32, cells[1:]
    for name in PICTURES:
        if (image := getattr(request, name, None)) is not None:
            planned[f"request.{name}"] = torch.uint8, (len(png_bytes(image)),)
    if watch.attention:
        for number, text in enumerate(texts):
            planned |= _attention_tensors(start, number, text)
    if watch.features:
        for block in blocks_of(start.pipe.unet, start.latents):
            count = num_components(block)
            planned[f"features.{block.name}"] = (
                torch.float16,
                (calls, count, *pooled(block.side, MAX_FEATURE_CELLS)),
            )
            planned[f"features.{block.name}.shares"] = torch.float32, (calls, count)
    return planned


def _attention_tensors(start: LoopStart, number: int, text: ReadText) -> Planned:
    planned: Planned = {}
    rows, in_bytes = len(text.rows), len(text.rows) > MANY_ROWS
    for module in modules_of(start.pipe.unet, start.latents):
        side = pooled(module.side, MAX_ATTENTION_CELLS)
        leading = {"means": (len(text.calls), rows), "by_head": (THIRDS, module.heads, rows)}
        for kind, shape in leading.items():
            name = f"attention.{kind}.{number}.{module.name}"
            planned[name] = (torch.uint8 if in_bytes else torch.float16), (*shape, *side)
            if in_bytes:
                planned[f"{name}.scale"] = torch.float32, shape
    return planned


def _guided_calls(start: LoopStart) -> int:
    """Return at how many calls the half without the prompt will count."""
    if start.negative_prompt_embeds is None:
        return 0
    plan = plan_calls(start.requests[0], start.num_steps, order=start.scheduler.order, is_guided=True)
    calls = len(start.timesteps)
    return calls if plan.guided_calls is None else min(calls, plan.guided_calls)


def check_size(size: int, folder: Path) -> None:
    """Raise ValueError for a recording larger than one may be, or than its disk has room for."""
    if size > MAX_BYTES:
        raise ValueError(
            f"a recording may have at most {format_bytes(MAX_BYTES)}, and this one would have"
            f" {format_bytes(size)} (record fewer steps or a smaller picture, or leave attention or features"
            " out)"
        )
    existing = next(place for place in (folder, *folder.absolute().parents) if place.is_dir())
    free = shutil.disk_usage(existing).free
    if size + SPARE_BYTES > free:
        raise ValueError(
            f"the recording would have {format_bytes(size)}, and its disk has {format_bytes(free)} left"
            " (free some space, or leave attention or features out)"
        )
