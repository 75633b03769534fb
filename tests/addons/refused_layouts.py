"""Files beside LoRAs that are none for Stable Diffusion, by the shapes of their tensors."""

_K = "transformer_blocks_0_attn2_to_k"


def _pair(key: str, rows: int = 8, columns: int = 8) -> dict[str, tuple[int, ...]]:
    return {f"{key}.lora_down.weight": (4, columns), f"{key}.lora_up.weight": (rows, 4)}


# What is refused: shapes by name, and how the sentence goes on.
REFUSED: dict[str, tuple[dict[str, tuple[int, ...]], str]] = {
    "Flux": (_pair("lora_unet_double_blocks_0_img_attn_proj"), "a LoRA for Flux"),
    "Flux, diffusers": (_pair("transformer.single_transformer_blocks.0.attn.to_q"), "a LoRA for Flux"),
    "Flux with CLIP-L": (
        {
            **_pair("lora_te1_text_model_encoder_layers_0_self_attn_q_proj"),
            **_pair("lora_unet_double_blocks_0_img_mlp_0"),
            **_pair("lora_unet_double_blocks_1_img_mlp_0"),
        },
        "a LoRA for Flux",
    ),
    "SD 3": (_pair("lora_unet_joint_blocks_0_x_block_attn_proj"), "Stable Diffusion 3"),
    "SD 3, diffusers": (_pair("transformer.transformer_blocks.0.attn.to_q"), "Stable Diffusion 3"),
    "Wan": (_pair("diffusion_model.blocks.0.cross_attn.k"), "a LoRA for a transformer"),
    "PixArt": (_pair("base_model.model.transformer_blocks.0.attn1.to_k"), "a LoRA for a transformer"),
    "AnimateDiff": (
        _pair("down_blocks.0.motion_modules.0.temporal_transformer.proj_in"),
        "a motion module of AnimateDiff",
    ),
    "video": (_pair("unet.down_blocks.0.attentions.0.temporal_transformer_blocks.0.ff"), "videos"),
    "Cascade": (_pair("lora_prior_unet_blocks_0"), "Stable Cascade"),
    "Control-LoRA": (
        {"lora_controlnet": (1,), "input_blocks.0.0.down": (4, 4), "input_blocks.0.0.up": (4, 4)},
        "a Control-LoRA",
    ),
    "LLLite": ({"lllite_unet_down_blocks_0.down.0.weight": (4, 4)}, "a ControlNet-LLLite"),
    "IP-Adapter": ({"image_proj.proj.weight": (4, 4), "ip_adapter.1.to_k_ip.weight": (4, 4)}, "IP-Adapter"),
    "ControlNet": ({"control_model.input_blocks.0.0.weight": (4, 4)}, "a ControlNet"),
    "hypernetwork": ({"320.0.linear.0.weight": (4, 4), "320.1.linear.0.weight": (4, 4)}, "a hypernetwork"),
    "OFT": ({"lora_unet_conv_in.oft_blocks": (4, 4, 4)}, "an OFT"),
    "whole model": ({"model.diffusion_model.input_blocks.0.0.weight": (4, 4)}, "a whole model"),
    "learned word": ({"emb_params": (2, 768)}, "a learned word"),
    "aesthetic gradient": ({"0": (1, 768)}, "of a LoRA"),
    "SDXL": (_pair(f"lora_unet_mid_block_attentions_0_{_K}", 8, 2048), "one for SDXL"),
    "SDXL as LoHa": (
        {
            f"lora_unet_mid_block_attentions_0_{_K}.hada_{end}": shape
            for end, shape in (("w1_a", (8, 4)), ("w1_b", (4, 2048)), ("w2_a", (8, 4)), ("w2_b", (4, 2048)))
        },
        "one for SDXL",
    ),
    "SDXL as LoKr": (
        {
            f"lora_unet_mid_block_attentions_0_{_K}.lokr_w1": (4, 4),
            f"lora_unet_mid_block_attentions_0_{_K}.lokr_w2": (8, 512),
        },
        "one for SDXL",
    ),
    "LoKr, flat": (
        {"lora_unet_conv_in.lokr_w1": (4,), "lora_unet_conv_in.lokr_w2": (4, 1, 3, 3)},
        "its lokr_w1 has the shape",
    ),
    "LoKr, no product": (
        {
            f"lora_unet_conv_in.lokr_{end}": s
            for end, s in (("w1", (4, 4)), ("w2_a", (4, 2)), ("w2_b", (3, 9)))
        },
        "and make no product",
    ),
    "LoHa, unequal halves": (
        {
            f"lora_unet_mid_block_attentions_0_{_K}.hada_{end}": shape
            for end, shape in (("w1_a", (8, 4)), ("w1_b", (4, 32)), ("w2_a", (6, 4)), ("w2_b", (4, 32)))
        },
        "its halves are",
    ),
    "SD 2": (_pair(f"lora_unet_mid_block_attentions_0_{_K}", 8, 1024), "one for Stable Diffusion 2"),
}
