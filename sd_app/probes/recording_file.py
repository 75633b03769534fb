"""A recording as one .safetensors file: its tensors, and in the header the request and the facts of the run.

The file says its own version. One that is damaged, or of a version that is not known, is refused in words.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from ..metadata import png_bytes, read_parameters, to_infotext, write_bytes
from ..requests import Img2ImgRequest, InpaintRequest, Txt2ImgRequest, format_bytes
from .maps import Maps
from .recording import Attention, Features, ReadText, Recording, Row, RunFacts

FORMAT, VERSION = "sd_app recording", "1"
MAX_BYTES = 512 * 10**6  # of one recording
MAX_HEADER = 8 * 10**6
KINDS: dict[str, type[Txt2ImgRequest]] = {
    "txt2img": Txt2ImgRequest,
    "img2img": Img2ImgRequest,
    "inpaint": InpaintRequest,
}
PICTURES = ("init_image", "mask_image")  # fields of a request
_PLAIN = ("timesteps", "sigmas", "latents", "conditional", "unconditional", "noise", "original", "mask")
_LISTS = ("guided_calls", "shallow_calls")
# What a header that holds other things than it should makes of the reading.
_ODD = (KeyError, TypeError, ValueError, IndexError, AttributeError, RuntimeError, OSError)


def to_tensors(recording: Recording) -> dict[str, Tensor]:
    """Return all that a file holds beside its header."""
    tensors = {name: getattr(recording, name) for name in _PLAIN}
    tensors = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    tensors["decoded"] = torch.from_numpy(np.array(recording.decoded.convert("RGB")))
    for name in PICTURES:
        if (image := getattr(recording.request, name, None)) is not None:
            tensors[f"request.{name}"] = torch.frombuffer(bytearray(png_bytes(image)), dtype=torch.uint8)
    if attention := recording.attention:
        for kind in ("means", "by_head"):
            for (text, module), maps in getattr(attention, kind).items():
                tensors[f"attention.{kind}.{text}.{module}"] = maps.values
                if maps.scales is not None:
                    tensors[f"attention.{kind}.{text}.{module}.scale"] = maps.scales
    if features := recording.features:
        for block in features.blocks:
            tensors[f"features.{block}"] = features.components[block]
            tensors[f"features.{block}.shares"] = features.shares[block]
    return {name: tensor.contiguous() for name, tensor in tensors.items()}


def to_metadata(
    request: Txt2ImgRequest,
    facts: RunFacts,
    texts: tuple[ReadText, ...],
    *,
    picture_sha256: str,
    lists: Mapping[str, tuple[int, ...]],
    has_attention: bool,
) -> dict[str, str]:
    """Return what the header says beside the tensors' names."""
    about: dict[str, Any] = {
        "kind": next(name for name, kind in KINDS.items() if kind is type(request)),
        "facts": asdict(facts),
        "texts": [asdict(text) for text in texts],
        "picture_sha256": picture_sha256,
        "has_attention": has_attention,
        **{name: list(numbers) for name, numbers in lists.items()},
    }
    return {
        "format": FORMAT,
        "version": VERSION,
        "parameters": to_infotext(request),
        "about": json.dumps(about, ensure_ascii=False),
    }


def metadata_of(recording: Recording) -> dict[str, str]:
    """Return a recording's header; see to_metadata."""
    return to_metadata(
        recording.request,
        recording.facts,
        recording.texts,
        picture_sha256=recording.picture_sha256,
        lists={name: getattr(recording, name) for name in _LISTS},
        has_attention=recording.attention is not None,
    )


def save_recording(recording: Recording, path: Path) -> None:
    """Write a recording, whole or not at all. Raise OSError in words when that fails."""
    write_bytes(save(to_tensors(recording), metadata_of(recording)), path)


def load_recording(path: Path) -> Recording:
    """Read a recording.

    Raise ValueError for a file that is none, damaged, too large or of another version.
    """
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ValueError(
                f"{path.name} must have at most {format_bytes(MAX_BYTES)}, got {format_bytes(size)}"
                " (a recording of this app is never larger)"
            )
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path.name} cannot be read: {error.strerror or 'it is not a file'}") from error
    metadata = _metadata_in(data, path)
    if metadata.get("version") != VERSION:
        raise ValueError(
            f"{path.name} is a recording of version {metadata.get('version')}, and this app reads version"
            f" {VERSION} (record the picture again)"
        )
    try:
        return _read(load(data), metadata)
    except (SafetensorError, *_ODD) as error:
        raise ValueError(f"{path.name} is a damaged recording (record the picture again)") from error


def read_about(path: Path) -> Txt2ImgRequest:
    """Return what a recording's header says was asked, without pictures. Reads no tensor.

    Raise ValueError for a file that is no recording, or of another version.
    """
    try:
        with path.open("rb") as file:
            start = file.read(8)
            data = start + file.read(min(int.from_bytes(start, "little"), MAX_HEADER))
    except OSError as error:
        raise ValueError(f"{path.name} cannot be read: {error.strerror or 'it is not a file'}") from error
    metadata = _metadata_in(data, path)
    request = read_parameters(metadata.get("parameters", ""), Txt2ImgRequest).request
    if metadata.get("version") != VERSION or request is None:
        raise ValueError(f"{path.name} is a recording of another version (record the picture again)")
    return request


def _metadata_in(data: bytes, path: Path) -> dict[str, str]:
    """Return the header's own words. Raise ValueError for a file that is no recording."""
    try:
        length = int.from_bytes(data[:8], "little")
        metadata = json.loads(data[8 : 8 + length])["__metadata__"]
        if metadata["format"] == FORMAT:
            return dict(metadata)
    except (*_ODD, RecursionError, UnicodeDecodeError):
        pass
    raise ValueError(f"{path.name} is not a recording (choose a .safetensors file that Look inside has made)")


def _read(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> Recording:
    about = json.loads(metadata["about"])
    texts = tuple(_text_of(text) for text in about["texts"])
    facts = about["facts"]
    recording = Recording(
        request=_request_of(about["kind"], metadata["parameters"], tensors),
        facts=RunFacts(
            **facts
            | {
                "model_stamp": tuple(tuple(one) for one in facts["model_stamp"]),
                "latent_rgb": _tuples(facts["latent_rgb"]),
            }
        ),
        **{name: tensors.get(name) for name in _PLAIN},  # type: ignore[arg-type]
        **{name: tuple(map(int, about[name])) for name in _LISTS},  # type: ignore[arg-type]
        decoded=Image.fromarray(tensors["decoded"].numpy()),
        picture_sha256=about["picture_sha256"],
        texts=texts,
        attention=_attention_of(texts, tensors) if about["has_attention"] else None,
        features=_features_of(tensors),
    )
    _check(recording)
    return recording


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _text_of(text: Mapping[str, Any]) -> ReadText:
    rows = tuple(Row(**row) for row in text["rows"])
    return ReadText(**{**text, "rows": rows, "calls": tuple(map(int, text["calls"]))})


def _request_of(kind: str, parameters: str, tensors: Mapping[str, Tensor]) -> Txt2ImgRequest:
    pictures = {}
    for name in PICTURES:
        if (packed := tensors.get(f"request.{name}")) is not None:
            with Image.open(BytesIO(packed.numpy().tobytes()), formats=("PNG",)) as image:
                pictures[name] = Image.frombytes(image.mode, image.size, image.tobytes())
    reading = read_parameters(parameters, KINDS[kind], **pictures)
    if not reading.is_complete:
        raise ValueError(" ".join(reading.notes))
    return reading.request


def _attention_of(texts: tuple[ReadText, ...], tensors: Mapping[str, Tensor]) -> Attention:
    kinds: dict[str, dict[tuple[int, str], Maps]] = {"means": {}, "by_head": {}}
    for name, values in tensors.items():
        if name.startswith("attention.") and not name.endswith(".scale"):
            _, kind, number, module = name.split(".", 3)
            kinds[kind][int(number), module] = Maps(values=values, scales=tensors.get(f"{name}.scale"))
    # A file's tensors are in no order; the way down, the middle and the way up are.
    order = ("down_blocks", "mid_block", "up_blocks")

    def place(key: tuple[int, str]) -> tuple[object, ...]:
        parts = key[1].split(".")
        return key[0], order.index(parts[0]), [int(part) for part in parts if part.isdigit()]

    means, by_head = ({key: maps[key] for key in sorted(maps, key=place)} for maps in kinds.values())
    return Attention(texts=texts, means=means, by_head=by_head)


def _features_of(tensors: Mapping[str, Tensor]) -> Features | None:
    names = [name for name in tensors if name.startswith("features.") and not name.endswith(".shares")]
    if not names:
        return None
    order = ("conv_in", "down_blocks", "mid_block", "up_blocks")

    def place(name: str) -> tuple[int, int]:
        kind, _, number = name.removeprefix("features.").partition(".")
        return order.index(kind), int(number or 0)

    blocks = {name.removeprefix("features."): name for name in sorted(names, key=place)}
    return Features(
        components={block: tensors[name] for block, name in blocks.items()},
        shares={block: tensors[f"{name}.shares"] for block, name in blocks.items()},
    )


def _check(recording: Recording) -> None:
    """Raise ValueError if the parts of a recording do not belong together."""
    calls, side = recording.num_calls, recording.latents.shape[1:]
    sound = [
        recording.sigmas.shape == (calls,),
        recording.latents.shape == (calls + 1, *side),
        recording.conditional.shape == (calls, *side),
        recording.unconditional.shape == (len(recording.guided_calls), *side),
        recording.noise.shape == side,
        recording.original is None or recording.original.shape == side,
        recording.mask is None or recording.mask.shape == side[1:],
        all(0 <= call < calls for call in (*recording.guided_calls, *recording.shallow_calls)),
    ]
    for (text, _), maps in (recording.attention.means if recording.attention else {}).items():
        read = recording.texts[text]
        sound.append(maps.values.shape[:2] == (len(read.calls), len(read.rows)))
    for block, components in (recording.features.components if recording.features else {}).items():
        assert recording.features
        sound.append(components.shape[:2] == recording.features.shares[block].shape)
        sound.append(len(components) == calls)
    if not all(sound):
        raise ValueError("its parts do not belong together")
