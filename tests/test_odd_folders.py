"""Diffusers folders as the hub has them: each draws what its plain twin does, or is refused in words."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
from safetensors.torch import load_file as load_tensors
from safetensors.torch import save_file

from sd_app import Settings
from sd_app.catalog import find_model
from sd_app.checkpoints.configs import SCALING_FACTORS, SCHEDULER
from sd_app.checkpoints.folder_parts import find_folder_parts
from sd_app.weights.loaders import load_folder
from sd_app.weights.single_file import build_tokenizers, load_file
from tests.checkpoint_files import Parts, make_parts, original_tensors, unet_config
from tests.test_odd_files import draw, studio_of

pytestmark = pytest.mark.usefixtures("without_embedded")

Change = Callable[[Path], object]
UNET, TEXT = "unet/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors"


def edit(path: Path, **values: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def drop(path: Path, *names: str) -> None:
    config = json.loads(path.read_text())
    path.write_text(json.dumps({name: value for name, value in config.items() if name not in names}))


def change(path: Path, alter: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    save_file({n: t.contiguous() for n, t in alter(load_tensors(path)).items()}, path)


def named(variant: str, *parts: str) -> Change:
    """Give the weights of some parts, or of all, a variant's name."""

    def rename(folder: Path) -> None:
        for file in folder.glob("*/*.safetensors"):
            if not parts or file.parent.name in parts:
                file.rename(file.with_name(f"{file.stem}.{variant}.safetensors"))

    return rename


def pipeline(name: str, **parts: object) -> Change:
    return lambda folder: edit(folder / "model_index.json", _class_name=name, **parts)


def in_shards(folder: Path, *, index: bool) -> None:
    file = folder / UNET
    tensors = list(load_tensors(file).items())
    places: dict[str, str] = {}
    for number, some in enumerate((tensors[:40], tensors[40:]), 1):
        name = f"{file.stem}-{number:05}-of-00002.safetensors"
        save_file(dict(some), file.with_name(name))
        places |= {tensor: name for tensor, _ in some}
    file.unlink()
    if index:
        Path(f"{file}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))


def old_vae(folder: Path) -> None:
    """Name the VAE's attention as diffusers did before 0.17, two matrices as convolutions."""
    words = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}

    def rename(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        out = {}
        for name, tensor in tensors.items():
            for new, old in words.items():
                name = name.replace(f"attentions.0.{new}.", f"attentions.0.{old}.")
            out[name] = tensor[:, :, None, None] if "query.weight" in name else tensor
        return out

    change(folder / "vae/diffusion_pytorch_model.safetensors", rename)


def wrapped(part: str, prefix: str) -> Change:
    """Put what torch.compile and others do before the names of a part's tensors."""
    return lambda folder: change(
        folder / part / "diffusion_pytorch_model.safetensors",
        lambda tensors: {prefix + name: tensor for name, tensor in tensors.items()},
    )


def with_bom(folder: Path) -> None:
    for file in folder.rglob("*.json"):
        if "tokenizer" not in file.parent.name:
            file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())


SAME: dict[str, Change] = {
    "plain": lambda folder: None,
    "fp16": named("fp16"),
    "bf16": named("bf16"),
    "fp32": named("fp32"),
    "bf16-unet": named("bf16", "unet"),
    "other-name": lambda folder: (folder / UNET).rename(folder / "unet/mine.safetensors"),
    "old-text-name": lambda folder: (folder / TEXT).rename(folder / "text_encoder/pytorch_model.safetensors"),
    "beside-others": lambda folder: shutil.copy(folder / "vae/config.json", folder / "unet/._x.safetensors"),
    "pickles-too": lambda folder: (folder / "unet/diffusion_pytorch_model.bin").write_bytes(b"x"),
    "sharded": lambda folder: in_shards(folder, index=True),
    "sharded-without-index": lambda folder: in_shards(folder, index=False),
    "img2img": pipeline("StableDiffusionImg2ImgPipeline"),
    "inpaint-legacy": pipeline("StableDiffusionInpaintPipelineLegacy"),
    "lcm": pipeline("LatentConsistencyModelPipeline"),
    "controlnet": pipeline("StableDiffusionControlNetPipeline", controlnet=["diffusers", "ControlNetModel"]),
    "panorama": pipeline("StableDiffusionPanoramaPipeline"),
    "safe": pipeline("StableDiffusionPipelineSafe", safety_text_concept="x"),
    "fast-tokenizer": pipeline("StableDiffusionPipeline", tokenizer=["transformers", "CLIPTokenizerFast"]),
    "bom": with_bom,
    "no-tokenizer": lambda folder: shutil.rmtree(folder / "tokenizer"),
    "null-tokenizer": pipeline("StableDiffusionPipeline", tokenizer=[None, None]),
    "empty-tokenizer": lambda folder: [file.write_bytes(b"") for file in (folder / "tokenizer").iterdir()],
    "no-merges": lambda folder: [
        file.rename(folder / file.name)
        for name in ("merges.txt", "tokenizer.json")
        if (file := folder / "tokenizer" / name).exists()
    ],
    "old-vae": old_vae,
    "text-model-prefix": lambda folder: change(
        folder / TEXT, lambda t: {f"text_model.{n.removeprefix('text_model.')}": x for n, x in t.items()}
    ),
    "positions": lambda folder: change(
        folder / TEXT, lambda t: t | {"text_model.embeddings.position_ids": torch.arange(77)[None]}
    ),
    "whole-clip": lambda folder: change(
        folder / TEXT, lambda t: t | {"logit_scale": torch.ones(()), "vision_model.x": torch.ones(3)}
    ),
    "wrong-counts": lambda folder: edit(folder / "unet/config.json", layers_per_block=2),
    "notes": lambda folder: edit(folder / "text_encoder/config.json", dtype=[1], id2label=3, torch_dtype="x"),
    "huge-count": lambda folder: edit(folder / "unet/config.json", layers_per_block=10**9),
    "quant-unsaid": lambda folder: drop(folder / "vae/config.json", "use_quant_conv", "use_post_quant_conv"),
    "trailing": lambda folder: (folder / UNET).write_bytes((folder / UNET).read_bytes() + bytes(9)),
    "compiled": wrapped("unet", "_orig_mod."),
    "parallel": wrapped("unet", "module."),
    "vae-of-a-whole": wrapped("vae", "first_stage_model."),
    "more-words": lambda folder: change(
        folder / TEXT, lambda t: {n: torch.cat([x, x[:2]]) if "token_emb" in n else x for n, x in t.items()}
    ),
    "added-words": lambda folder: (folder / "tokenizer/added_tokens.json").write_text('{"<new>": 49408}'),
    "sides": lambda folder: edit(folder / "unet/config.json", sample_size=[8, 8]),
    "plain-latents": lambda folder: edit(
        folder / "vae/config.json", latents_mean=None, latents_std=[1, 1, 1, 1]
    ),
    "odd-studio": lambda folder: edit(folder / "studio.json", default_steps="many", native_size=[1]),
}


@pytest.fixture(scope="module")
def picture(random_models: Path) -> bytes:
    return draw(random_models, "model-a")


@pytest.mark.parametrize("name", SAME)
def test_an_odd_folder_draws_what_its_plain_twin_does(copied_model, picture, name):
    SAME[name](copied_model)
    assert draw(copied_model.parent, "model-a") == picture


def test_a_plain_folder_has_nothing_to_note_and_words_at_the_tables_end_are_noted(copied_model):
    assert find_folder_parts(copied_model).note == ""
    SAME["more-words"](copied_model)
    assert (
        find_folder_parts(copied_model).note
        == "The config.json of its text encoder contradicts the weights, which count."
    )


def lacks(path: str, name: str) -> Change:
    return lambda folder: change(folder / path, lambda t: {n: x for n, x in t.items() if n != name})


def a_shard_less(folder: Path) -> None:
    in_shards(folder, index=False)
    next((folder / "unet").glob("*-00002-*")).unlink()


def other_words(folder: Path) -> None:
    shutil.rmtree(folder / "tokenizer")
    edit(folder / "text_encoder/config.json", vocab_size=1000)
    change(folder / TEXT, lambda t: {n: x[:1000] if "token_emb" in n else x for n, x in t.items()})


def fewer_words(folder: Path) -> None:
    edit(folder / "text_encoder/config.json", vocab_size=40_000)
    change(folder / TEXT, lambda t: {n: x[:40_000] if "token_emb" in n else x for n, x in t.items()})


REFUSED: dict[str, tuple[Change, str]] = {
    "no-final-norm": (
        lambda folder: change(
            folder / TEXT, lambda t: {n: x for n, x in t.items() if "final_layer" not in n}
        ),
        "its text encoder lacks 2 tensors",
    ),
    "a-layer-less": (
        lambda folder: change(folder / TEXT, lambda t: {n: x for n, x in t.items() if "layers.2." not in n}),
        "its text encoder lacks 16 tensors",
    ),
    "a-bias-less": (lacks(UNET, "conv_in.bias"), "its U-Net lacks 1 tensors, for example conv_in.bias"),
    "shape": (
        lambda folder: change(folder / UNET, lambda t: t | {"conv_out.bias": torch.ones(3)}),
        "its U-Net has a tensor of another shape",
    ),
    "cut-off": (
        lambda folder: (folder / UNET).write_bytes((folder / UNET).read_bytes()[:-10]),
        "it is cut off: 10 of",
    ),
    "pickle-named": (lambda folder: (folder / UNET).write_bytes(b"PK\x03\x04" + bytes(99)), "is a pickle"),
    "pickles": (
        lambda folder: (folder / UNET).rename(folder / "unet/x.bin"),
        "holds no .safetensors weights",
    ),
    "no-config": (lambda folder: (folder / "unet/config.json").unlink(), "its unet has no readable config"),
    "a-shard-less": (a_shard_less, "its unet is not whole: 1 of 2 files are there"),
    "refiner": (
        pipeline("StableDiffusionXLImg2ImgPipeline", text_encoder=[None, None]),
        "without a text_encoder",
    ),
    "upscaler": (lambda folder: edit(folder / "unet/config.json", in_channels=7), "as an upscaler's does"),
    "alt": (pipeline("AltDiffusionPipeline"), "it is a AltDiffusionPipeline"),
    "sd3": (pipeline("StableDiffusion3Pipeline"), "it is a StableDiffusion3Pipeline"),
    "onnx": (pipeline("OnnxStableDiffusionPipeline"), "it is a OnnxStableDiffusionPipeline"),
    "bert": (
        pipeline("StableDiffusionPipeline", text_encoder=["transformers", "BertModel"]),
        "its text_encoder is a BertModel",
    ),
    "other-vae": (
        pipeline("StableDiffusionPipeline", vae=["diffusers", "ConsistencyDecoderVAE"]),
        "its vae is a ConsistencyDecoderVAE",
    ),
    "edm": (
        lambda folder: edit(folder / "scheduler/scheduler_config.json", _class_name="EDMEulerScheduler"),
        "its scheduler is a EDMEulerScheduler, which is made for another noise",
    ),
    "flow": (
        pipeline("StableDiffusionPipeline", scheduler=["diffusers", "FlowMatchEulerDiscreteScheduler"]),
        "its scheduler is a FlowMatchEulerDiscreteScheduler",
    ),
    "boxes": (lambda folder: edit(folder / "unet/config.json", attention_type="gated"), "attention_type"),
    "pictures": (
        lambda folder: edit(folder / "unet/config.json", class_embed_type="projection"),
        "its U-Net's class_embed_type is 'projection'",
    ),
    "heads": (lambda folder: edit(folder / "unet/config.json", attention_head_dim=5), "attention heads"),
    "groups": (lambda folder: edit(folder / "vae/config.json", norm_num_groups=3), "in 3 groups"),
    "depth-map": (
        lambda folder: change(
            folder / "vae/diffusion_pytorch_model.safetensors",
            lambda t: {n: torch.cat([x, x]) if "decoder.conv_out" in n else x for n, x in t.items()},
        ),
        "its VAE's out_channels is 6, and a picture has 3",
    ),
    "odd-activation": (
        lambda folder: edit(folder / "text_encoder/config.json", hidden_act="x"),
        "the hidden_act in its text_encoder's config.json cannot be 'x'",
    ),
    "odd-number": (
        lambda folder: edit(folder / "unet/config.json", norm_eps=[1]),
        "the norm_eps in its unet's config.json cannot be [1]",
    ),
    "other-clip": (
        lambda folder: edit(folder / "text_encoder/config.json", hidden_size=64),
        "its text encoder has a tensor of another shape",
    ),
    "other-words": (other_words, "its tokenizer is missing"),
    "fewer-words": (fewer_words, "has more tokens than its text encoder knows"),
    "own-latents": (
        lambda folder: edit(folder / "vae/config.json", latents_mean=[-1.6, 1.8, -1.3, 2.5]),
        "the latents_mean in its vae's config.json cannot be",
    ),
    "tiny-factor": (lambda folder: edit(folder / "vae/config.json", scaling_factor=1e-30), "scaling_factor"),
    "giant": (
        lambda folder: edit(folder / "unet/config.json", sample_size=10**9),
        "the sample_size in its unet",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_odd_folder_is_refused_in_the_same_words_in_list_and_load(copied_model, name):
    spoil, words = REFUSED[name]
    spoil(copied_model)
    models = copied_model.parent
    with pytest.raises(ValueError, match="cannot be used") as asked:
        find_model(Settings(models_dir=models), "model-a")
    with pytest.raises(ValueError, match="cannot be used") as loaded:
        load_folder(copied_model, torch.float32)
    assert words in str(loaded.value)
    assert str(loaded.value) in str(asked.value)
    assert str(models) not in str(asked.value)
    assert studio_of(models).models() == []


def test_what_was_not_taken_as_it_stands_is_said(copied_model):
    shutil.rmtree(copied_model / "tokenizer")
    shutil.rmtree(copied_model / "scheduler")
    edit(copied_model / "model_index.json", controlnet=["diffusers", "ControlNetModel"])
    edit(copied_model / "unet/config.json", layers_per_block=2)
    (info,) = studio_of(copied_model.parent).models()
    for words in (
        "Its tokenizer is missing, damaged or made for another text encoder; CLIP's own is used.",
        "Its scheduler's configuration is missing or damaged; Stable Diffusion's own noise is used.",
        "Its controlnet is not used here.",
        "The config.json of its U-Net contradicts the weights, which count.",
    ):
        assert words in info.note
    assert load_folder(copied_model, torch.float32)["scheduler"].config.beta_schedule == "scaled_linear"


@pytest.mark.parametrize("text", ["", "{{", "[1]"])
def test_a_broken_studio_json_is_said(copied_model, text):
    (copied_model / "studio.json").write_text(text)
    (info,) = studio_of(copied_model.parent).models()
    assert "Its studio.json is not read: it holds no JSON object." in info.note


def test_numbers_that_are_none_are_said_when_read_and_from_then_on(copied_model):
    change(copied_model / UNET, lambda t: t | {"conv_out.bias": t["conv_out.bias"] * float("nan")})
    assert len(studio_of(copied_model.parent).models()) == 1
    for _ in range(2):
        with pytest.raises(
            ValueError, match="model-a cannot be used: its U-Net holds values that are not numbers"
        ):
            load_folder(copied_model, torch.float32)
    assert studio_of(copied_model.parent).models() == []


def test_a_folder_one_deeper_is_found(copied_model, picture):
    inner = copied_model.parent / "repository" / "weights"
    inner.parent.mkdir()
    copied_model.rename(inner)
    (inner.parent / "README.md").write_text("x")
    assert [info.name for info in studio_of(inner.parent.parent).models()] == ["weights"]
    edit(inner / "studio.json", default_steps=4)
    assert draw(inner.parent.parent, "weights") == picture


def test_two_inner_folders_of_one_name_are_told_apart(copied_model):
    models = copied_model.parent
    for outer in ("one", "two"):
        shutil.copytree(copied_model, models / outer / "weights")
    names = [info.name for info in studio_of(models).models()]
    assert names == ["model-a", "weights (one)", "weights (two)"]
    assert find_model(Settings(models_dir=models), "weights (two)").path == models / "two/weights"


# Pruned SDXL, as their own repositories describe them, on two or three levels of a few channels.
PRUNED: dict[str, dict[str, object]] = {
    "ssd": {
        "transformer_layers_per_block": [[1, 1], [2, 2], [4, 4]],
        "reverse_transformer_layers_per_block": [[4, 4, 10], [2, 1, 1], [1, 1, 1]],
        "mid_block_type": "UNetMidBlock2D",
    },
    "vega": {
        "transformer_layers_per_block": [[1, 1], [1, 1], [2, 2]],
        "reverse_transformer_layers_per_block": [[2, 2, 2], [1, 1, 1], [1, 1, 1]],
        "mid_block_type": "UNetMidBlock2D",
    },
    "koala-700m": {
        "transformer_layers_per_block": [1, 2, 5],
        "layers_per_block": 1,
        "mid_block_type": None,
    },
    "koala-1b": {"transformer_layers_per_block": [1, 2, 6], "layers_per_block": 1},
    "odd-levels": {"transformer_layers_per_block": [1, 2, 3], "layers_per_block": [1, 2, 1]},
}


def pruned_parts(name: str) -> Parts:
    config = unet_config("sdxl", full=False) | {
        "block_out_channels": (64, 64, 128),
        "attention_head_dim": [1, 1, 2],
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    }
    torch.manual_seed(3)
    return make_parts("sdxl")._replace(unet=UNet2DConditionModel(**config | PRUNED[name]))


@pytest.mark.parametrize("name", PRUNED)
def test_a_pruned_sdxl_draws_the_same_from_a_folder_and_from_a_file(tmp_path, name):
    parts = pruned_parts(name)
    parts.vae.register_to_config(scaling_factor=SCALING_FACTORS["sdxl"], force_upcast=True)
    StableDiffusionXLPipeline(
        **build_tokenizers("sdxl"),
        unet=parts.unet,
        vae=parts.vae,
        text_encoder=parts.text_encoders[0],
        text_encoder_2=parts.text_encoders[1],
        scheduler=DDIMScheduler(**SCHEDULER),
        add_watermarker=False,
    ).save_pretrained(tmp_path / "folder")
    if name == "odd-levels":  # the tests' inverse of the names is made for equal ones
        tensors = original_tensors("sdxl", make_parts("sdxl"))
        tensors = {n: t for n, t in tensors.items() if not n.startswith("model.diffusion_model.")}
        tensors |= {f"unet.{n}": t for n, t in parts.unet.state_dict().items()}
    else:
        tensors = original_tensors("sdxl", parts)
    save_file(tensors, tmp_path / "file.safetensors")
    assert [(info.name, info.family) for info in studio_of(tmp_path).models()] == [
        ("file", "sdxl"),
        ("folder", "sdxl"),
    ]
    loaded = load_file(tmp_path / "file.safetensors", torch.float32)["unet"].state_dict()
    plain = parts.unet.state_dict()
    assert loaded.keys() == plain.keys()
    assert all(torch.equal(loaded[key], plain[key]) for key in plain)
    assert draw(tmp_path, "file") == draw(tmp_path, "folder")
