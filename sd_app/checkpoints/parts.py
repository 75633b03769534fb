"""Find the networks in a checkpoint file and see that they are whole: what passes here is loaded as found.

Where a part lies is told by tensors that every such part has, so that its prefix may be any.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .configs import (
    Config,
    TextConfig,
    context_width,
    is_linear,
    text_config,
    unet_config,
    vae_config,
)
from .header import Header
from .kinds import (
    REFINER_WIDTH,
    TEXT_ENCODERS,
    TEXT_WIDTHS,
    TITLES,
    UNET,
    VAE,
    check_channels,
    check_kind,
)
from .names import name_text_encoder, name_unet, name_vae, with_dots
from .networks import text_shapes, unet_shapes, vae_shapes
from .stored import Sources, fit, gather

XL_WIDTH = 2048  # columns that SDXL's U-Net reads
VOCABULARY = 49_408  # tokens of CLIP's own tokenizer
LATENT_CHANNELS = 4
PICTURE_CHANNELS = 3
SIZE_CHANNELS = 6 * 256  # what SDXL is told of the picture's sizes
AVERAGES = "model_ema.diffusion_model"  # the average of a U-Net's weights, whose names lost their dots

_UNET_ENDS = ("input_blocks.0.0.weight", "down_blocks.0.resnets.0.conv1.weight")
_EMA_BEGIN = f"{AVERAGES}input_blocks00weight"
# What a raw header must hold somewhere to be worth reading.
UNET_MARKS = tuple(f'{end}"'.encode() for end in (*_UNET_ENDS, _EMA_BEGIN))
_NO_UNET = re.compile(r"(?:.*\.)?(?:encoder|decoder)\.|control|model_ema\.")
_TEXT_END = re.compile(r"(?:text_model\.)?(?:embeddings\.)?token_embedding\.weight$")
# What files are known to carry and nobody reads: averages, the noise schedule, losses, trainers' notes.
_KNOWN = re.compile(
    r"model_ema\.|optimizer|.*(?:\.|^)loss\.|(?:.*\.)?(?:sqrt_|log_|one_minus_|alphas_|posterior_|lvlb_)*"
    r"(?:betas|cumprod\w*|alphas?_\w*|variance\w*|log_variance\w*|mean_coef\d|weights|sigmas|v_pred|ztsnr"
    r"|scaled_fp8|logit_scale|position_ids|logvar|global_step|state_dict_version)$|denoiser\."
    r"|.*\.(?:scale_weight|weight_scale|input_scale|scale_input|comfy_quant|num_batches_tracked)$"
)


@dataclass(frozen=True, kw_only=True)
class FileParts:
    """A checkpoint file's networks: how each is built, and where each of its tensors is."""

    family: str  # "sd1", "sd2" or "sdxl"
    unet: Config
    vae: Config
    text_encoders: tuple[TextConfig, ...]
    unet_sources: Sources
    vae_sources: Sources
    text_sources: tuple[Sources, ...]
    unread: tuple[str, ...]  # tensors of no part that are not known to be useless


def find_parts(header: Header, path: Path) -> FileParts:
    """Find a checkpoint's networks. Raise ValueError saying what the file is instead, or what is wrong."""
    prefix, found = _find_unet(header, path)
    check_kind(header, has_unet=bool(found))
    unet = name_unet(found)
    vae_prefix = find_vae_prefix(header)
    texts = _find_text_encoders(header)
    if prefix != UNET and vae_prefix is None and not texts:
        raise ValueError("it is a U-Net alone, a part of a diffusers folder")
    channels = unet["conv_in.weight"].shape[1:2] if "conv_in.weight" in unet else ()
    check_channels(channels[0] if channels else "no")
    context = context_width(unet)
    family = _family(context, unet, texts)
    if family != "sdxl" and "add_embedding.linear_1.weight" in unet:
        raise ValueError("its U-Net reads pictures beside the prompt (unCLIP), which is not known here")
    if vae_prefix is None:
        raise ValueError(f"it lacks the VAE of {TITLES[family]} (no tensor is named {VAE}...)")
    prefixes = _choose_texts(header, texts, family, context)
    unet_made = unet_config(unet, family)
    unet_sources = fit(unet_shapes(unet_made), unet, "U-Net")
    vae = name_vae(gather(header, path, vae_prefix))
    vae_made = vae_config(vae, family)
    check_vae(vae_made)
    vae_sources = fit(vae_shapes(vae_made), vae, "VAE")
    named = [name_text_encoder(gather(header, path, one)) for one in prefixes]
    made = tuple(text_config(one, family, number) for number, one in enumerate(named))
    text_sources = tuple(
        fit_text(one, config, number) for number, (one, config) in enumerate(zip(named, made, strict=True))
    )
    check_widths(family, unet_made, made)
    if (fewest := min(config["vocab_size"] for config in made)) < VOCABULARY:
        raise ValueError(f"its text encoder knows {fewest:,} tokens, and CLIP's tokenizer has {VOCABULARY:,}")
    read = {source.name for part in (unet_sources, vae_sources, *text_sources) for source in part.values()}
    return FileParts(
        family=family,
        unet=unet_made,
        vae=vae_made,
        text_encoders=made,
        unet_sources=unet_sources,
        vae_sources=vae_sources,
        text_sources=text_sources,
        unread=tuple(
            name
            for name in header.shapes
            if name not in read and not name.startswith(prefixes) and not _KNOWN.match(name)
        ),
    )


def fit_text(found: Sources, config: Config | TextConfig, number: int) -> Sources:
    """Return the sources of a text encoder; a projection or a last layer besides is not read."""
    shapes = text_shapes(config, projects=number == 1)
    return fit(shapes, {name: found[name] for name in shapes if name in found}, "text encoder")


def check_vae(config: Config) -> None:
    """Raise ValueError for a VAE of other latents or other pictures than Stable Diffusion's."""
    if (count := config.get("latent_channels", LATENT_CHANNELS)) != LATENT_CHANNELS:
        raise ValueError(f"its VAE's latents have {count!s:.40} channels, and the U-Net's {LATENT_CHANNELS}")
    for name in ("in_channels", "out_channels"):
        if (count := config.get(name, PICTURE_CHANNELS)) != PICTURE_CHANNELS:
            raise ValueError(f"its VAE's {name} is {count!s:.40}, and a picture has {PICTURE_CHANNELS}")


def check_widths(family: str, unet: Config, texts: Sequence[Config | TextConfig]) -> None:
    """Raise ValueError unless a U-Net reads as many columns as the text encoders give."""
    given = sum(_int(text.get("hidden_size")) for text in texts)
    if given != unet["cross_attention_dim"]:
        raise ValueError(
            f"its text encoder gives {given} numbers for each token, and its U-Net reads"
            f" {unet['cross_attention_dim']!s:.40}: they belong to different models"
        )
    pooled = _int(unet.get("projection_class_embeddings_input_dim")) - SIZE_CHANNELS
    if family == "sdxl" and _int(texts[-1].get("projection_dim")) != pooled:
        raise ValueError("its second text encoder and its U-Net belong to different models")


def _int(value: object) -> int:
    return value if isinstance(value, int) else 0


def _prefixes(header: Header, ends: tuple[str, ...]) -> list[str]:
    """Return what stands before these ends of names, each once, in the file's order."""
    found = [
        name.removesuffix(end)
        for name in header.shapes
        if name.endswith(ends)
        for end in ends
        if name.endswith(end)
    ]
    return [one for one in dict.fromkeys(found) if not one or one.endswith(".")]


def _choose(prefixes: list[str], usual: str) -> str | None:
    """Choose the usual prefix, else the shortest."""
    plain = [prefix for prefix in prefixes if not prefix.startswith("model_ema.")]
    return usual if usual in plain else min(plain, key=len, default=None)


def find_vae_prefix(header: Header) -> str | None:
    """Return what stands before the names of a VAE's tensors; None if there is no VAE."""
    return _choose(_prefixes(header, ("decoder.conv_in.weight",)), VAE)


def _find_unet(header: Header, path: Path) -> tuple[str, Sources]:
    """Return a U-Net's prefix and tensors, its averaged ones if those are all; nothing if there is none."""
    prefix = _choose([one for one in _prefixes(header, _UNET_ENDS) if not _NO_UNET.match(one)], UNET)
    if prefix is not None:
        return prefix, gather(header, path, prefix)
    if _EMA_BEGIN not in header.shapes:
        return "", {}
    averages = gather(header, path, AVERAGES)
    return AVERAGES, {with_dots(name) or name: source for name, source in averages.items()}


def _find_text_encoders(header: Header) -> dict[str, int]:
    """Return the prefixes of the text encoders with the numbers of their columns."""
    out = {}
    for name, shape in header.shapes.items():
        if name.endswith("token_embedding.weight") and len(shape) == 2 and not name.startswith("model_ema."):
            out[_TEXT_END.sub("", name)] = shape[1]
    return out


def _family(context: int, unet: Sources, texts: dict[str, int]) -> str:
    """Tell a U-Net's family by how many columns it reads; one of other widths by what is with it."""
    if context == REFINER_WIDTH:
        raise ValueError("it is the SDXL refiner, which only finishes what SDXL base began")
    if context == XL_WIDTH:
        return "sdxl"
    if context in TEXT_WIDTHS:
        return TEXT_WIDTHS[context]
    for family, prefixes in TEXT_ENCODERS.items():
        if all(prefix in texts for prefix in prefixes):
            return family
    has_sizes = "add_embedding.linear_1.weight" in unet  # SDXL is told the picture's
    if has_sizes and (len(texts) > 1 or any(prefix in texts for prefix in TEXT_ENCODERS["sdxl"])):
        return "sdxl"
    return "sd2" if is_linear(unet) else "sd1"


def _choose_texts(header: Header, texts: dict[str, int], family: str, context: int) -> tuple[str, ...]:
    """Return the prefixes of a family's text encoders. Raise ValueError for one that is missing."""
    usual = TEXT_ENCODERS[family]
    if all(prefix in texts for prefix in usual):
        return usual
    if not texts and not header.has(*usual):
        raise ValueError(
            "it lacks the text encoder (a checkpoint has U-Net, VAE and text encoder in one file)"
        )
    missing = next(prefix for prefix in usual if prefix not in texts)
    words = f"it lacks the text encoder of {TITLES[family]} (no tensor is named {missing}...)"
    if header.has(missing):
        words = "its text encoder lacks the table of tokens"
    if family != "sdxl":
        fitting = [prefix for prefix, width in texts.items() if width == context] or list(texts)
        if not fitting:
            raise ValueError(words)
        return (fitting[0],)
    ordered = sorted(texts, key=lambda prefix: texts[prefix])
    pairs = [(a, b) for a in ordered for b in ordered if a != b and texts[a] + texts[b] == context]
    if not pairs:
        raise ValueError(words)
    return pairs[0]
