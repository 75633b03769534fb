"""What a file is, by the names of its tensors: a checkpoint, or something that is refused by its name."""

from collections.abc import Callable

from .header import Header

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
REFINER_WIDTH = 1280  # columns that the refiner's U-Net reads
CHANNELS = (4, 9)  # of the U-Net's input; 9 with the mask and the masked picture
OTHER_CHANNELS = {
    5: ", as Stable Diffusion 2's depth model's does",
    7: ", as an upscaler's does",
    8: ", as InstructPix2Pix's and some upscalers' do",
}

_LORA = (
    *(".lora_up.", ".lora_down.", ".lora_A.", ".lora_B.", ".lora.up.", ".lora.down."),
    *(".hada_w1", ".lokr_w1"),
)

Test = Callable[[Header], bool]


def _has(*prefixes: str) -> Test:
    return lambda header: header.has(*prefixes)


def _holds(*parts: str) -> Test:
    return lambda header: header.holds(*parts)


def _inside(*names: str) -> Test:
    """Look for names at the top of a file or of its U-Net."""
    return _has(*names, *(UNET + name for name in names), *(f"diffusion_model.{name}" for name in names))


def _is_embedding(header: Header) -> bool:
    """Tell a textual-inversion file: a few vectors, with one of the names in use or a single tensor."""
    known = {"emb_params", "clip_l", "clip_g"} & set(header.shapes)
    return bool(known) or (len(header.shapes) == 1 and len(next(iter(header.shapes.values()))) <= 2)


# The first that fits says what a file is.
_ALWAYS: tuple[tuple[str, Test], ...] = (
    (
        "a ControlNet: it guides a checkpoint and is not one itself",
        _has("control_model.", "controlnet_cond_emb"),
    ),
    # Of those that share names the more particular one comes first.
    ("a Qwen-Image model", _inside("transformer_blocks.0.img_mod.")),
    ("a Flux model", _inside("single_transformer_blocks.")),
    ("a Stable Diffusion 3 model", _inside("joint_blocks.", "transformer_blocks.0.attn.add_q_proj.")),
    ("a Chroma model", _inside("distilled_guidance_layer.")),
    ("a Hunyuan model", _inside("mlp_t5.", "txt_in.individual_token_refiner.", "byt5_in.")),
    ("a Flux model", _inside("double_blocks.")),
    ("an AuraFlow model", _inside("double_layers.", "joint_transformer_blocks.")),
    ("a Stable Video Diffusion model", _holds(".time_stack.", ".time_mixer.")),
    (
        "a video model",
        _holds(".temopral_conv.", ".temporal_conv.", ".temporal_transformer_block"),
    ),
    ("a Stable Cascade model", _inside("clip_txt_mapper.", "clip_txt_pooled_mapper.")),
    ("a HiDream model", _inside("double_stream_blocks.", "caption_projection.0.linear.")),
    ("an LTX-Video model", _inside("patchify_proj.")),
    ("a Mochi model", _inside("t5_yproj.", "t5_y_embedder.")),
    ("a Cosmos model", _inside("blocks.block0.", "blocks.0.mlp.layer1.")),
    ("an OmniGen model", _inside("time_caption_embed.")),
    ("a Sana model", _inside("caption_norm.")),
    ("a PixArt model", _inside("caption_projection.", "adaln_single.", "y_embedder.y_embedding")),
    ("a Z-Image model", _inside("x_pad_token", "cap_pad_token")),
    ("a Lumina model", _inside("cap_embedder.")),
    ("a Wan model", _inside("head.modulation", "condition_embedder.time_embedder.")),
    ("a Kolors model, which has a different text encoder", _inside("encoder_hid_proj.")),
    ("a Zero123 model, which turns pictures and reads no text", _has("cc_projection.")),
    ("an AltDiffusion model, which has a different text encoder", _holds(".roberta.")),
    ("a GLIGEN model, which reads boxes beside the prompt", _holds(".fuser.", "position_net.")),
    ("Playground 2.5, which needs a schedule of its own", _has("edm_mean")),
    ("CosXL, which needs a schedule of its own", _has("edm_vpred.")),
    (
        "the SDXL refiner, which only finishes what SDXL base began",
        # Stable Diffusion 2 in its later repository's names, SD-Turbo say, has its encoder there as well.
        lambda header: header.has(REFINER) and header.holds("label_emb.", "add_embedding."),
    ),
    ("a motion module of AnimateDiff", _holds("motion_modules.")),
)
_WITHOUT_UNET: tuple[tuple[str, Test], ...] = (
    ("a LoRA: it changes a checkpoint and is not one itself", _holds(*_LORA)),
    ("an embedding (textual inversion): it adds a word and is not a checkpoint", _is_embedding),
    (
        "a U-Net alone, a part of a diffusers folder",
        _has("down_blocks.0.resnets.", "down_blocks.0.attentions."),
    ),
    (
        "a VAE alone: it decodes pictures and is not a whole checkpoint",
        _has(VAE, "encoder.conv_in.", "decoder.conv_"),
    ),
    ("a text encoder alone", _has("text_model.", CLIP_L, OPEN_CLIP, "conditioner.")),
    ("an IP-Adapter: it guides a checkpoint and is not one itself", _has("image_proj.", "ip_adapter.")),
    ("a CLIP in open_clip's layout", _has("visual.")),
)


def check_kind(header: Header, *, has_unet: bool) -> None:
    """Raise ValueError saying what a file is instead of a checkpoint."""
    for words, test in _ALWAYS if has_unet else (*_WITHOUT_UNET[:1], *_ALWAYS, *_WITHOUT_UNET[1:]):
        if test(header):
            raise ValueError(f"it is {words}")
    if not has_unet:
        raise ValueError(
            "its tensors are not those of any known model (Stable Diffusion 1, 2 and XL can be used)"
        )


def check_channels(channels: object) -> None:
    """Raise ValueError unless a U-Net's input has a known number of channels."""
    if channels not in CHANNELS:
        like = OTHER_CHANNELS.get(channels, "") if isinstance(channels, int) else ""
        raise ValueError(
            f"its U-Net takes {channels} channels{like} (only 4 and, for inpainting, 9 are known)"
        )
