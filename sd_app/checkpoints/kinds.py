"""What a file is, by the names and shapes of its tensors: a checkpoint of some family, or something else."""

from collections.abc import Callable

from .header import FLOATS, Header

UNET = "model.diffusion_model."
VAE = "first_stage_model."
CLIP_L = "cond_stage_model.transformer."  # Stable Diffusion 1's text encoder, with transformers' names
OPEN_CLIP = "cond_stage_model.model."  # Stable Diffusion 2's, with open_clip's
XL_CLIP_L = "conditioner.embedders.0.transformer."
CLIP_G = "conditioner.embedders.1.model."
REFINER = "conditioner.embedders.0.model."
TEXT_ENCODERS = {"sd1": (CLIP_L,), "sd2": (OPEN_CLIP,), "sdxl": (XL_CLIP_L, CLIP_G)}
TITLES = {"sd1": "Stable Diffusion 1", "sd2": "Stable Diffusion 2", "sdxl": "SDXL"}
TEXT_WIDTHS = {768: "sd1", 1024: "sd2"}  # families whose one text encoder has that many columns
CHANNELS = (4, 9)  # of the U-Net's input; 9 with the mask and the masked picture

_LORA = (
    ".lora_up.",
    ".lora_down.",
    ".lora_A.",
    ".lora_B.",
    ".lora.up.",
    ".lora.down.",
    ".hada_w1",
    ".lokr_w1",
)

Test = Callable[[Header], bool]


def _has(*prefixes: str) -> Test:
    return lambda header: header.has(*prefixes)


def _holds(*parts: str) -> Test:
    return lambda header: header.holds(*parts)


def _is_embedding(header: Header) -> bool:
    """Tell a textual-inversion file: a few vectors, with one of the names in use or a single tensor."""
    known = {"emb_params", "clip_l", "clip_g"} & set(header.shapes)
    return bool(known) or (len(header.shapes) == 1 and len(next(iter(header.shapes.values()))) <= 2)


# The first that fits says what a file is. Those above the line are looked for in checkpoints too.
_OTHERS: tuple[tuple[str, Test], ...] = (
    ("a LoRA: it changes a checkpoint and is none itself", _holds(*_LORA)),
    (
        "a ControlNet: it guides a checkpoint and is none itself",
        _has("control_model.", "controlnet_cond_emb"),
    ),
    ("a Stable Diffusion 3 model", _has("joint_blocks.", UNET + "joint_blocks.")),
    ("a Flux model", _has("double_blocks.", UNET + "double_blocks.")),
    ("Playground 2.5, which needs a schedule of its own", _has("edm_mean")),
    ("the SDXL refiner, which only finishes what SDXL base began", _has(REFINER)),
    ("a motion module of AnimateDiff", _holds("motion_modules.")),
    # ---- without a U-Net under Stable Diffusion's names
    ("an embedding (textual inversion): it adds a word and is no checkpoint", _is_embedding),
    (
        "a U-Net alone, a part of a diffusers folder",
        _has("down_blocks.0.resnets.", "down_blocks.0.attentions."),
    ),
    (
        "a VAE alone: it decodes pictures and is no whole checkpoint",
        _has(VAE, "encoder.conv_in.", "decoder.conv_"),
    ),
    ("a text encoder alone", _has("text_model.", CLIP_L, OPEN_CLIP, "conditioner.")),
    ("an IP-Adapter: it guides a checkpoint and is none itself", _has("image_proj.", "ip_adapter.")),
    ("a CLIP in open_clip's layout", _has("visual.")),
)
_ALWAYS = 7  # so many of them are looked for in every file


def identify(header: Header) -> str:
    """Return the family of a checkpoint: "sd1", "sd2" or "sdxl".

    Raise ValueError saying what the file is instead, or what it lacks.
    """
    is_checkpoint = header.has(UNET + "input_blocks.")
    for words, test in _OTHERS[: _ALWAYS if is_checkpoint else None]:
        if test(header):
            raise ValueError(f"it is {words}")
    if not is_checkpoint:
        raise ValueError("its tensors are those of no known model (Stable Diffusion 1, 2 and XL can be used)")
    family = _family(header)
    for what, prefix in (("VAE", VAE), *(("text encoder", prefix) for prefix in TEXT_ENCODERS[family])):
        if not header.has(prefix):
            raise ValueError(f"it lacks the {what} of {TITLES[family]} (no tensor is named {prefix}...)")
    _check_weights(header, family)
    return family


def _family(header: Header) -> str:
    for family, prefixes in TEXT_ENCODERS.items():
        if header.has(*prefixes):
            return family
    raise ValueError("it lacks the text encoder (a checkpoint has U-Net, VAE and text encoder in one file)")


def _check_weights(header: Header, family: str) -> None:
    channels = header.shape(f"{UNET}input_blocks.0.0.weight")[1:2]
    if channels not in [(count,) for count in CHANNELS]:
        raise ValueError(
            f"its U-Net takes {', '.join(map(str, channels))} channels"
            " (only 4 and, for inpainting, 9 are known)"
        )
    if family != "sdxl" and header.has(UNET + "label_emb."):
        raise ValueError("its U-Net reads pictures beside the prompt (unCLIP), which is not known here")
    prefixes = (UNET, VAE, *TEXT_ENCODERS[family])
    kinds = {
        dtype
        for name, dtype in header.dtypes.items()
        if name.startswith(prefixes) and not name.endswith(".position_ids")
    }
    if odd := sorted(kinds - set(FLOATS)):
        raise ValueError(f"its weights are quantised ({', '.join(odd)}); get the fp16 file instead")
