"""Checkpoint files as other programs write them: they draw their plain twin's picture, or say why not."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save, save_file

from sd_app import Settings, Studio, Txt2ImgRequest
from sd_app.catalog import find_model
from sd_app.checkpoints import inspect
from sd_app.weights.single_file import load_file
from tests.checkpoint_files import Tensors, make_parts, original_tensors

UNET, VAE, CLIP = "model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer."
Change = Callable[[Tensors], Tensors | None]  # returns the tensors of an odd file, or alters those given


def studio_of(folder: Path) -> Studio:
    return Studio(Settings(models_dir=folder, outputs_dir=folder / "out", cache_dir=folder / "cache"))


def draw(folder: Path, model: str) -> bytes:
    known: dict[str, Any] = {"num_inference_steps": 1, "width": 64, "height": 64, "scheduler": "DDIM"}
    request = Txt2ImgRequest(model=model, prompt="a cat", seed=1, **known)
    return studio_of(folder).txt2img(request, save=False).images[0].tobytes()


def refusal(folder: Path, model: str) -> str:
    """Return why a model is refused: the same sentence where it is asked for and where it is loaded."""
    with pytest.raises(ValueError, match="cannot be used") as asked:
        find_model(Settings(models_dir=folder, cache_dir=folder / "cache"), model)
    with pytest.raises(ValueError, match="cannot be used") as loaded:
        load_file(folder / f"{model}.safetensors", torch.float32)
    text = str(loaded.value)
    assert text in str(asked.value)
    assert str(folder) not in str(asked.value)
    assert model not in [info.name for info in studio_of(folder).models()]
    assert "\n" not in text
    return text


@pytest.fixture(scope="module")
def plain() -> dict[str, Tensors]:
    return {family: original_tensors(family, make_parts(family)) for family in ("sd1", "sd2", "sdxl")}


@pytest.fixture(scope="module")
def pictures(plain, tmp_path_factory) -> dict[str, bytes]:
    """What the plain file of each family draws."""
    folder = tmp_path_factory.mktemp("plain")
    for family, tensors in plain.items():
        save_file(tensors, folder / f"{family}.safetensors")
    return {family: draw(folder, family) for family in plain}


def under(old: str, new: str) -> Change:
    """Move what lies under a prefix."""
    return lambda t: {new + n.removeprefix(old) if n.startswith(old) else n: x for n, x in t.items()}


def also(**more: torch.Tensor) -> Change:
    return lambda t: t | {name.replace("__", "."): x for name, x in more.items()}


def only_averages(tensors: Tensors) -> Tensors:
    return {
        "model_ema." + name.removeprefix("model.").replace(".", "") if name.startswith(UNET) else name: tensor
        for name, tensor in tensors.items()
    } | {"model_ema.decay": torch.ones(())}


def new_attention(tensors: Tensors) -> Tensors:
    """Give the VAE's attention diffusers' names and matrices beside the original names of all else."""
    out = {}
    for name, tensor in tensors.items():
        if ".attn_1." in name:
            for old, new in (("q", "to_q"), ("k", "to_k"), ("v", "to_v"), ("proj_out", "to_out.0")):
                name = name.replace(f".attn_1.{old}.", f".attn_1.{new}.")
            tensor = tensor.flatten(1) if tensor.ndim == 4 else tensor
        out[name] = tensor.contiguous()
    return out


def squeezed(tensors: Tensors) -> Tensors:
    """Store every 1x1 convolution of VAE and U-Net as a matrix."""
    return {n: t.flatten(1) if t.ndim == 4 and t.shape[2:] == (1, 1) else t for n, t in tensors.items()}


def in_diffusers_names(tensors: Tensors) -> Tensors:
    parts = make_parts("sd1")
    return {
        **{f"unet.{name}": tensor for name, tensor in parts.unet.state_dict().items()},
        **{f"vae.{name}": tensor for name, tensor in parts.vae.state_dict().items()},
        **{f"text_encoder.{name}": tensor for name, tensor in parts.text_encoders[0].state_dict().items()},
    }


def xl_in_diffusers_names(tensors: Tensors) -> Tensors:
    parts = make_parts("sdxl")
    first, second = parts.text_encoders
    return {
        **{f"unet.{name}": tensor for name, tensor in parts.unet.state_dict().items()},
        **{n: t for n, t in tensors.items() if n.startswith(VAE)},
        **{f"text_encoder_2.{name}": tensor for name, tensor in second.state_dict().items()},
        **{f"text_encoder.{name}": tensor for name, tensor in first.state_dict().items()},
    }


def clip_l_by_open_clips_hand(tensors: Tensors) -> Tensors:
    """Write SDXL's second encoder under transformers' names, as some converters do."""
    second = make_parts("sdxl").text_encoders[1]
    kept = {n: t for n, t in tensors.items() if "embedders.1" not in n}
    return kept | {f"conditioner.embedders.1.transformer.{n}": t for n, t in second.state_dict().items()}


def twice(tensors: Tensors) -> Tensors:
    """Hold the text encoder twice, under two namings, the second one in ruins."""
    more = {n.replace("cond_stage_model.transformer.", "text_encoder."): t * 0 for n, t in tensors.items()}
    return {**tensors, **{n: t for n, t in more.items() if n.startswith("text_encoder.")}}


LORA = {f"{UNET}input_blocks.1.0.lora_up.weight": torch.ones(2, 2), "lora_te_x.alpha": torch.ones(())}

SAME: dict[str, tuple[str, Change]] = {
    "plain": ("sd1", lambda t: t),
    "without-model": ("sd1", under("model.", "")),
    "bare-unet": ("sd1", under(UNET, "")),
    "odd-prefix": ("sd1", under(UNET, "my.unet.")),
    "vae-elsewhere": ("sd1", under(VAE, "vae.")),
    "clip-elsewhere": ("sd1", under(CLIP, "cond_stage_model.clip_l.transformer.")),
    "clip-shorter": ("sd1", under(CLIP + "text_model.", CLIP)),
    "diffusers-names": ("sd1", in_diffusers_names),
    "xl-diffusers-names": ("sdxl", xl_in_diffusers_names),
    "xl-clip-g-transformers": ("sdxl", clip_l_by_open_clips_hand),
    "only-averages": ("sd1", only_averages),
    "averages-too": ("sd1", lambda t: t | {n: x * 0 for n, x in only_averages(t).items() if "ema" in n}),
    "vae-attention": ("sd1", new_attention),
    "vae-attention-2": ("sd2", new_attention),
    "matrices": ("sd1", lambda t: {**t, **{n: x for n, x in squeezed(t).items() if n.startswith(VAE)}}),
    "loss": ("sd1", also(first_stage_model__loss__logvar=torch.ones(()))),
    "discriminator": ("sd1", also(first_stage_model__loss__discriminator__main__0__weight=torch.ones(3, 3))),
    "schedule": ("sd1", also(betas=torch.ones(1000), alphas_cumprod=torch.ones(1000))),
    "optimizer": ("sd1", also(optimizer__state__0=torch.ones(9), global_step=torch.ones(()))),
    "schedule-halved": (
        "sd1",
        also(log_one_minus_alphas_cumprod=torch.full((9,), float("nan")).half(), lvlb_weights=torch.ones(9)),
    ),
    "sgm-sd2": ("sd2", under("cond_stage_model.model.", "conditioner.embedders.0.model.")),
    "sgm-sd1": ("sd1", under("cond_stage_model.", "conditioner.embedders.0.")),
    "wrapped": ("sd1", lambda t: {f"module.{n}": x for n, x in t.items()}),
    "clip-deeper": ("sd1", under("text_model.", "text_model.text_model.")),
    "more-words": (
        "sd1",
        lambda t: {n: torch.cat([x, x[:2]]) if "token_embedding" in n else x for n, x in t.items()},
    ),
    "positions-float": (
        "sd1",
        also(cond_stage_model__transformer__text_model__embeddings__position_ids=torch.rand(1, 77).half()),
    ),
    "logit-scale": ("sd1", also(cond_stage_model__logit_scale=torch.ones(()))),
    "stray-lora": ("sd1", lambda t: t | LORA),
    "no-numbers": ("sd1", also(empty=torch.zeros(0), none=torch.zeros(4, 0, 2))),
    "two-namings": ("sd1", twice),
    "mixed-formats": ("sd1", lambda t: {n: x.double() if "proj" in n else x for n, x in t.items()}),
    "positions-long": ("sd1", also(cond_stage_model__transformer__position_ids=torch.arange(77))),
    "whole-tower": ("sd2", lambda t: t),
    "read-tower": (
        "sd2",
        lambda t: {
            n: x for n, x in t.items() if not any(o in n for o in ("resblocks.2", "text_proj", "logit"))
        },
    ),
}


@pytest.mark.parametrize("name", SAME)
def test_an_odd_file_draws_what_its_plain_twin_does(tmp_path, plain, pictures, name):
    family, change = SAME[name]
    tensors = dict(plain[family])
    save_file(
        {n: t.contiguous() for n, t in (change(tensors) or tensors).items()}, tmp_path / f"{name}.safetensors"
    )
    assert draw(tmp_path, name) == pictures[family]


def write(path: Path, tensors: Tensors, *, after: bytes = b"", pad: int = 0) -> None:
    """Write a file with bytes after the tensors, or a header that is `pad` bytes longer."""
    raw = save(tensors)
    length = int.from_bytes(raw[:8], "little")
    path.write_bytes(
        (length + pad).to_bytes(8, "little") + raw[8 : 8 + length] + b" " * pad + raw[8 + length :] + after
    )


@pytest.mark.parametrize("extra", [{"after": b"x"}, {"after": bytes(4096)}, {"pad": 1}, {"pad": 7}])
def test_bytes_that_the_library_minds_change_nothing(tmp_path, plain, pictures, extra):
    write(tmp_path / "odd.safetensors", plain["sd1"], **extra)
    assert draw(tmp_path, "odd") == pictures["sd1"]


@pytest.mark.parametrize("kind", [torch.float8_e4m3fn, torch.float8_e5m2])
@pytest.mark.parametrize("scale", [None, "scale_weight", "weight_scale", "rows", "flat rows"])
def test_eight_bit_floats_draw_what_their_numbers_do(tmp_path, plain, kind, scale):
    """The twin holds the same numbers in 32 bits."""
    odd, twin = dict(plain["sd1"]), dict(plain["sd1"])
    for name, tensor in plain["sd1"].items():
        if not name.endswith("weight") or tensor.ndim < 2 or not name.startswith((UNET, CLIP)):
            continue
        factor = torch.ones(())
        if scale:
            factor = tensor.flatten(1).abs().amax(1) / 100 if "rows" in scale else tensor.abs().max() / 100
        spread = factor.reshape(-1, *(1,) * (tensor.ndim - 1)) if factor.ndim else factor
        odd[name] = (tensor / spread).to(kind)
        twin[name] = odd[name].float() * spread
        if scale:
            word = "weight_scale" if "rows" in scale else scale
            odd[f"{name.removesuffix('.weight')}.{word}"] = factor[:, None] if scale == "rows" else factor
    if scale:
        odd["scaled_fp8"] = torch.zeros(2).to(kind)
        odd[f"{UNET}scaled_fp8"] = torch.zeros(0).to(kind)
        odd[f"{UNET}out.2.input_scale"] = torch.ones(())
    save_file(odd, tmp_path / "odd.safetensors")
    save_file(twin, tmp_path / "twin.safetensors")
    (info,) = [info for info in studio_of(tmp_path).models() if info.name == "odd"]
    assert info.note == ""
    assert draw(tmp_path, "odd") == draw(tmp_path, "twin")


def test_a_vae_without_the_convolutions_around_its_latents_is_one_where_they_do_nothing(tmp_path, plain):
    odd = {n: t for n, t in plain["sd1"].items() if "quant_conv" not in n}
    same = {n: torch.zeros_like(t) for n, t in plain["sd1"].items() if "quant_conv" in n}
    for name in (f"{VAE}quant_conv.weight", f"{VAE}post_quant_conv.weight"):
        same[name] = torch.eye(len(same[name]))[:, :, None, None]
    save_file(odd, tmp_path / "odd.safetensors")
    save_file(odd | same, tmp_path / "twin.safetensors")
    assert draw(tmp_path, "odd") == draw(tmp_path, "twin")


def without(*parts: str) -> Change:
    return lambda t: {n: x for n, x in t.items() if not any(part in n for part in parts)}


def widened(tensors: Tensors, channels: int) -> Tensors:
    name = f"{UNET}input_blocks.0.0.weight"
    return tensors | {name: torch.zeros(tensors[name].shape[0], channels, 3, 3)}


NAN = torch.tensor([float("nan"), 0, 0, 0])
REFUSED: dict[str, tuple[str, Change, str]] = {
    "depth": ("sd2", lambda t: widened(t, 5), "its U-Net takes 5 channels, as Stable Diffusion 2's depth"),
    "upscaler": ("sd2", lambda t: widened(t, 7), "its U-Net takes 7 channels, as an upscaler's does"),
    "pix2pix": ("sd1", lambda t: widened(t, 8), "its U-Net takes 8 channels, as InstructPix2Pix's"),
    "no-clip": ("sd1", without("cond_stage_model."), "it lacks the text encoder"),
    "no-vae": ("sd1", without(VAE), "it lacks the VAE of Stable Diffusion 1"),
    "no-decoder": ("sd1", without(VAE + "decoder.up."), "its VAE lacks"),
    "one-tensor-less": ("sd1", without("final_layer_norm.bias"), "its text encoder lacks 1 tensors"),
    "half-a-unet": ("sd1", without("output_blocks.4", "output_blocks.5"), "other numbers of blocks"),
    "no-middle-norm": ("sd1", without("middle_block.1.norm."), "its U-Net has too many"),
    "one-encoder": ("sdxl", without("embedders.1."), "it lacks the text encoder of SDXL"),
    "shape": (
        "sd1",
        also(first_stage_model__encoder__conv_in__bias=torch.ones(3)),
        "its VAE has a tensor of",
    ),
    "motion": ("sd1", also(model__motion_modules__x=torch.ones(3)), "it is a motion module"),
    "boxes": ("sd1", also(position_net__null=torch.ones(3)), "it is a GLIGEN model"),
    "video": (
        "sd2",
        also(model__diffusion_model__input_blocks__1__1__time_stack__x=torch.ones(3)),
        "it is a Stable Video Diffusion model",
    ),
    "cosxl": ("sdxl", also(edm_vpred__sigma_max=torch.ones(())), "it is CosXL"),
    "refiner": (
        "sdxl",
        under("conditioner.embedders.1.", "conditioner.embedders.0."),
        "it is the SDXL refiner",
    ),
    "other-clip": (
        "sd1",
        lambda t: t | {CLIP + "text_model.embeddings.token_embedding.weight": torch.ones(49408, 96)},
        "its text encoder",
    ),
    "fewer-words": (
        "sd1",
        lambda t: {n: x[:40_000] if "token_embedding" in n else x for n, x in t.items()},
        "its text encoder knows 40,000 tokens",
    ),
    "odd-name": (
        "sd1",
        lambda t: t | {UNET + "out.2.<b>\nx": torch.ones(1)},
        "its U-Net has too many",
    ),
    "long-clip": (
        "sd1",
        lambda t: t | {CLIP + "text_model.embeddings.position_embedding.weight": torch.ones(248, 64)},
        "its text encoder reads 248 tokens",
    ),
    "video-vae": (
        "sd1",
        lambda t: t | {VAE + "decoder.conv_in.weight": torch.ones(32, 16, 3, 3)},
        "16 channels",
    ),
    "bytes": (
        "sd1",
        lambda t: t | {UNET + "out.2.weight": t[UNET + "out.2.weight"].to(torch.int8)},
        "quantised",
    ),
    "more": (
        "sd1",
        also(model__diffusion_model__input_blocks__1__1__x=torch.ones(1)),
        "its U-Net has too many",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_odd_file_is_refused_in_the_same_words_in_list_and_load(tmp_path, plain, name):
    family, change, words = REFUSED[name]
    save_file(change(dict(plain[family])) or {}, tmp_path / f"{name}.safetensors")
    assert words in refusal(tmp_path, name)


@pytest.mark.parametrize("family", ["sd1", "sd2", "sdxl"])
def test_whatever_befalls_the_tensors_list_and_load_say_the_same(tmp_path, plain, family):
    chance, refused = random.Random(family), 0
    for number in range(25):
        tensors = dict(plain[family])
        for _ in range(chance.randint(1, 2)):
            name = chance.choice(list(tensors))
            tensor, group = tensors[name], name.rsplit(".", chance.randint(1, 3))[0]
            match chance.randrange(6):
                case 0:
                    tensors = {n: t for n, t in tensors.items() if not n.startswith(group)}
                case 1:
                    tensors = {
                        n.replace(group, "x." * chance.randint(0, 1) + "y"): t for n, t in tensors.items()
                    }
                case 2:
                    tensors[name] = torch.zeros(chance.choice([(), (3,), (64, 64), (64, 64, 1, 1), (0,)]))
                case 3:
                    tensors[name] = tensor.to(
                        chance.choice([torch.float16, torch.float64, torch.int8, torch.bool])
                    )
                case 4:
                    tensors[name + chance.choice([".x", ".weight_scale", ".absmax"])] = torch.ones(64)
                case 5:
                    tensors[name.replace("0", "1")] = tensors.pop(name, tensor)
        path = tmp_path / f"{number}.safetensors"
        save_file({n: t.contiguous().clone() for n, t in tensors.items()}, path)
        said: list[str] = []
        for read in (lambda: inspect(path), lambda: load_file(path, torch.float32)):  # noqa: B023
            try:
                read()
                said.append("")
            except ValueError as error:
                said.append(str(error).removeprefix(f"{path.name} cannot be used: "))
        assert said[0] == said[1]
        refused += bool(said[0])
        path.unlink()
    assert 3 < refused < 25


def test_numbers_that_are_none_are_said_when_read_and_from_then_on(tmp_path, plain):
    save_file(plain["sd1"] | {UNET + "out.2.bias": NAN}, tmp_path / "black.safetensors")
    assert len(studio_of(tmp_path).models()) == 2  # no header tells
    with pytest.raises(
        ValueError, match=r"its U-Net holds values that are not numbers .*, for example in conv_out.bias"
    ):
        draw(tmp_path, "black")
    assert "its U-Net holds values that are not numbers" in refusal(tmp_path, "black")
    save_file(plain["sd1"], tmp_path / "black.safetensors")
    assert draw(tmp_path, "black")


def test_what_belongs_to_no_part_is_said(tmp_path, plain):
    save_file(plain["sd1"] | LORA | {"what.is.this": torch.ones(1)}, tmp_path / "odd.safetensors")
    (info,) = [info for info in studio_of(tmp_path).models() if info.name == "odd"]
    assert "3 tensors in the file belong to no part of it and are not read" in info.note


@pytest.mark.parametrize(
    "text", ['parameterization: "v"', "parameterization: v # yes", "parameterization: 'v'"]
)
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-8", "utf-16"])
def test_v_prediction_is_read_from_a_file_beside_it(tmp_path, plain, text, encoding):
    save_file(plain["sd1"], tmp_path / "v.safetensors")
    (tmp_path / "v.yaml").write_text(f"model:\n  # für alle\n  params:\n    {text}\n", encoding=encoding)
    config = load_file(tmp_path / "v.safetensors", torch.float32)["scheduler"].config
    assert config.prediction_type == "v_prediction"


def test_a_file_of_its_own_kind_beside_it_says_so(tmp_path, plain):
    save_file(plain["sd1"] | {"v_pred": torch.zeros(0), "ztsnr": torch.zeros(0)}, tmp_path / "n.safetensors")
    (tmp_path / "n.json").write_bytes(b"\xef\xbb\xbf" + json.dumps({"title": "Nö"}).encode())
    (info,) = [info for info in studio_of(tmp_path).models() if info.name == "n"]
    assert (info.title, info.note) == ("Nö", "")
    config = load_file(tmp_path / "n.safetensors", torch.float32)["scheduler"].config
    assert (config.prediction_type, config.rescale_betas_zero_snr) == ("v_prediction", True)
