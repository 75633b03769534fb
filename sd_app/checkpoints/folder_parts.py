"""Find the networks in a diffusers folder and see that they are whole: what passes here is loaded so."""

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..user_files import JsonObject, read_object, readable
from .config_values import read_values
from .configs import Config, text_layers, unet_structure, vae_leaves_out, vae_structure
from .kinds import REFINER_WIDTH, TEXT_WIDTHS, check_channels
from .names import name_text_encoder, name_unet, name_vae
from .networks import MAX_SIDE, Shapes, check_unet_kind, unet_shapes, vae_shapes
from .noise_schedule import why_no_noise_schedule
from .parts import VOCABULARY, XL_WIDTH, check_vae, check_widths, fit_text
from .stored import Sources, fit
from .tokenizer_files import fits_table, tokenizer_files
from .weight_files import read_sources

PARTS = ("unet", "vae", "text_encoder", "text_encoder_2")  # folders that hold weights; only SDXL has all
TOKENIZERS = ("tokenizer", "tokenizer_2")
# Pipelines made of these parts, whatever else they are for: img2img, ControlNet, latent consistency.
PIPELINES = re.compile(r"(?:StableDiffusion(?!3|CascadeP)|LatentConsistencyModel)\w*Pipeline\w*")
LIBRARIES = ("diffusers", "transformers")  # code we run; a folder's own code is never run
CLASSES = {
    "unet": ("UNet2DConditionModel",),
    "vae": ("AutoencoderKL",),
    "text_encoder": ("CLIPTextModel",),
    "text_encoder_2": ("CLIPTextModelWithProjection",),
    "tokenizer": ("CLIPTokenizer", "CLIPTokenizerFast"),
    "tokenizer_2": ("CLIPTokenizer", "CLIPTokenizerFast"),
}
# Schedulers over Stable Diffusion's noise: of these, the configuration is read.
SCHEDULERS = (
    *("DDIMScheduler", "DDIMInverseScheduler", "DDIMParallelScheduler", "DDPMScheduler"),
    *("DDPMParallelScheduler", "PNDMScheduler", "LMSDiscreteScheduler", "EulerDiscreteScheduler"),
    *("EulerAncestralDiscreteScheduler", "HeunDiscreteScheduler", "KDPM2DiscreteScheduler"),
    *("KDPM2AncestralDiscreteScheduler", "DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler"),
    *("DPMSolverSDEScheduler", "DEISMultistepScheduler", "UniPCMultistepScheduler", "SASolverScheduler"),
    *("LCMScheduler", "TCDScheduler"),
)
# Parts of pipelines that steer a picture in ways this app does not; the rest of such a folder is as ever.
STEERING = ("controlnet", "adapter", "t2i_adapter", "motion_adapter", "image_encoder")


@dataclass(frozen=True, kw_only=True)
class FolderParts:
    """A diffusers folder's networks: how each is built, and where each of its tensors is."""

    family: str  # "sd1", "sd2" or "sdxl"
    unet: Config
    vae: Config
    text_encoders: tuple[Config, ...]
    unet_sources: Sources
    vae_sources: Sources
    text_sources: tuple[Sources, ...]
    scheduler: str  # its class; empty if the folder has none
    note: str  # what was not taken as it stands, in words
    files: tuple[Path, ...]  # of its weights


def is_xl(index: JsonObject) -> bool:
    """Tell by model_index.json whether a pipeline has SDXL's second text encoder."""
    return _is_there(index, "text_encoder_2")


def tell_family(index: JsonObject, unet: JsonObject) -> str:
    """Return sd1, sd2 or sdxl, from model_index.json and the U-Net's config.json."""
    width = unet.get("cross_attention_dim")
    if is_xl(index) or width == XL_WIDTH:
        return "sdxl"
    return TEXT_WIDTHS.get(width, "sd1") if isinstance(width, int) else "sd1"


def why_not_pipeline(index: JsonObject, unet: JsonObject) -> str:
    """Say by model_index.json and the U-Net's config.json why a model is none of ours; empty when it is."""
    kind = index.get("_class_name")
    if not isinstance(kind, str) or not PIPELINES.fullmatch(kind):
        return f"it is a {shown(kind)}, and only pipelines of Stable Diffusion 1, 2 and XL can be used"
    if unet.get("cross_attention_dim") == REFINER_WIDTH and is_xl(index):
        return "it is the SDXL refiner, which only finishes what SDXL base began"
    parts = PARTS if is_xl(index) else PARTS[:-1]
    for part in (*parts, *TOKENIZERS[: len(parts) - 2], "scheduler"):
        optional = part in (*TOKENIZERS, "scheduler")
        if not _is_there(index, part):
            if optional:
                continue
            return f"it is a {kind} without a {part}, and only whole pipelines can be used"
        entry = index[part]
        if not isinstance(entry, list) or len(entry) != 2 or entry[0] not in LIBRARIES:
            return f"its {part} needs code of its own, which is never run"
        known = SCHEDULERS if part == "scheduler" else CLASSES[part]
        if entry[1] not in known:
            return _why_not_class(part, entry[1])
    try:
        check_channels(unet.get("in_channels", 4))
        check_unet_kind(unet)
    except ValueError as error:
        return str(error)
    return ""


def _why_not_class(part: str, found: object) -> str:
    if part == "scheduler":
        return f"its scheduler is a {shown(found)}, which is made for another noise than Stable Diffusion's"
    return f"its {part} is a {shown(found)}, and only a {CLASSES[part][0]} can be used"


def shown(name: object) -> str:
    """Return what a stranger's file names as a page can carry it."""
    return readable(str(name))[:80]


def _is_there(index: JsonObject, part: str) -> bool:
    return index.get(part) not in (None, [None, None])


def find_folder_parts(path: Path) -> FolderParts:
    """Find a folder's networks. Raise ValueError saying what is wrong, OSError if it cannot be read."""
    index = read_object(path / "model_index.json")
    configs = {part: _read_config(path / part, part) for part in (PARTS if is_xl(index) else PARTS[:-1])}
    notes: list[str] = []
    unet, unet_sources = _fit(
        configs["unet"],
        name_unet(read_sources(path / "unet")),
        "U-Net",
        (unet_shapes, unet_structure),
        notes,
    )
    vae_found = name_vae(read_sources(path / "vae"))
    vae, vae_sources = _fit(
        configs["vae"] | vae_leaves_out(vae_found), vae_found, "VAE", (vae_shapes, vae_structure), notes
    )
    check_vae(vae)
    width = unet.get("cross_attention_dim")
    family = tell_family(index, {"cross_attention_dim": width})
    texts, text_sources = [], []
    for number, part in enumerate(PARTS[2 : len(configs)]):
        found = name_text_encoder(read_sources(path / part))
        text = _text_config(configs[part], found, family, notes)
        texts.append(text)
        text_sources.append(fit_text(found, text, number))
    check_widths(family, {"cross_attention_dim": width, **unet}, texts)
    for tokenizer, text in zip(TOKENIZERS, texts, strict=False):
        if not has_tokenizer(path / tokenizer):
            if _number(text.get("vocab_size"), VOCABULARY) < VOCABULARY:
                raise ValueError(
                    f"its {tokenizer} is missing or damaged, or has more tokens than its text encoder knows"
                )
            notes.append(
                f"Its {tokenizer} is missing, damaged or made for another text encoder; CLIP's own is used."
            )
    notes += [f"Its {part} is not used here." for part in STEERING if _is_there(index, part)]
    return FolderParts(
        family=family,
        unet=unet,
        vae=vae,
        text_encoders=tuple(texts),
        unet_sources=unet_sources,
        vae_sources=vae_sources,
        text_sources=tuple(text_sources),
        scheduler=_scheduler(path, index, notes),
        note=" ".join(notes),
        files=tuple(
            {one.file: None for part in (unet_sources, vae_sources, *text_sources) for one in part.values()}
        ),
    )


def has_tokenizer(folder: Path) -> bool:
    """Tell whether a folder holds a tokenizer that can be read: a vocabulary and merges, or both in one.

    All of its tokens must be in the table of the text encoder beside it.
    """
    encoder = folder.parent / folder.name.replace("tokenizer", "text_encoder")
    table = _number(read_object(encoder / "config.json").get("vocab_size"), MAX_SIDE)
    with suppress(OSError):
        return fits_table(tokenizer_files(folder), table)
    return False


def _read_config(folder: Path, part: str) -> JsonObject:
    config = read_object(folder / "config.json")
    if not config:
        raise ValueError(f"its {part} has no readable config.json (download it again)")
    kind = config.get("_class_name", CLASSES[part][0])
    if kind not in CLASSES[part]:
        raise ValueError(_why_not_class(part, kind))
    return read_values(config, part)


def _fit(
    config: Config,
    found: Sources,
    part: str,
    kind: tuple[Callable[[Config], Shapes], Callable[[Sources], Config]],
    notes: list[str],
) -> tuple[Config, Sources]:
    """Fit tensors to a configuration; where that contradicts them, to what they say themselves."""
    shapes, structure = kind
    try:
        return config, fit(shapes(config), found, part)
    except ValueError as error:
        fault = error
    try:
        told = config | structure(found)
        sources = fit(shapes(told), found, part)
    except ValueError:
        raise fault from None
    notes.append(f"The config.json of its {part} contradicts the weights, which count.")
    return told, sources


def _text_config(config: JsonObject, found: Sources, family: str, notes: list[str]) -> Config:
    """Return a text encoder's configuration; of Stable Diffusion 2's, the layers that are there count.

    So do the rows of the table of tokens: trainers put words at its end.
    """
    table = found.get("embeddings.token_embedding.weight")
    if table is not None and table.shape and table.shape[0] > _number(config.get("vocab_size"), VOCABULARY):
        config = config | {"vocab_size": table.shape[0]}
        notes.append("The config.json of its text encoder contradicts the weights, which count.")
    said, there = config.get("num_hidden_layers", 12), text_layers(found, family)
    if family == "sd2" and isinstance(said, int) and said - there == 1 and text_layers(found, "sd1") == there:
        return config | {"num_hidden_layers": there}
    return config


def _scheduler(path: Path, index: JsonObject, notes: list[str]) -> str:
    """Return the class of a folder's scheduler; empty if it has none that can be read."""
    said = read_object(path / "scheduler/scheduler_config.json")
    if not said:
        notes.append(
            "Its scheduler's configuration is missing or damaged; Stable Diffusion's own noise is used."
        )
        return ""
    entry = index.get("scheduler")
    kind = entry[1] if isinstance(entry, list) and _is_there(index, "scheduler") else said.get("_class_name")
    found = said.get("_class_name", kind)
    if found not in SCHEDULERS:
        raise ValueError(_why_not_class("scheduler", found))
    if reason := why_no_noise_schedule(said):
        raise ValueError(reason)
    return str(kind)


def _number(value: object, default: int) -> int:
    return value if isinstance(value, int) else default
