import json
import resource
import zlib
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file as load_tensors
from safetensors.torch import save_file
from transformers import CLIPTokenizer

from sd_app import InpaintRequest, Settings, Studio, Txt2ImgRequest
from sd_app.settings import EMBEDDED_DIR
from sd_app.weights.components import LoadedParts
from sd_app.weights.single_file import build_tokenizers, load_file
from tests.checkpoint_files import Parts, original_tensors, write_checkpoint

FAMILIES = ("sd1", "sd2")


def studio_of(folder: Path, **settings) -> Studio:
    return Studio(Settings(models_dir=folder, outputs_dir=folder / "out", **settings))


def picture_of(model: str, **fields) -> Txt2ImgRequest:
    known = {"prompt": "a cat", "seed": 1, "num_inference_steps": 2, "width": 64, "height": 64}
    return Txt2ImgRequest(model=model, **{**known, **fields})


def assert_equal_parts(components: LoadedParts, parts: Parts, dtype: torch.dtype, family: str) -> None:
    """Compare every tensor; Stable Diffusion 2 reads all layers of its text encoder but the last."""
    encoders = [components[name] for name in ("text_encoder", "text_encoder_2") if name in components]
    loaded_parts = (components["unet"], components["vae"], *encoders)
    for loaded, original in zip(loaded_parts, (parts.unet, parts.vae, *parts.text_encoders), strict=True):
        left, right = loaded.state_dict(), original.state_dict()
        if family == "sd2" and loaded in encoders:
            last = f"layers.{original.config.num_hidden_layers - 1}."
            right = {name: tensor for name, tensor in right.items() if last not in name}
        assert left.keys() == right.keys()
        assert all(left[name].dtype == dtype for name in left)
        assert all(torch.equal(left[name], right[name].to(dtype)) for name in left)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("in_channels", [4, 9])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_a_file_is_loaded_back_with_equal_tensors(tmp_path, family, in_channels, dtype):
    path = tmp_path / "model.safetensors"
    parts = write_checkpoint(path, family, in_channels=in_channels, dtype=dtype)
    components = load_file(path, torch.float32)
    assert_equal_parts(components, parts, torch.float32, family)
    assert components["unet"].config.in_channels == in_channels


@pytest.mark.parametrize("family", FAMILIES)
def test_the_loaded_parts_compute_what_the_written_ones_do(tmp_path, family):
    """Equal weights are not enough: heads, activations and projections have to be the family's, too."""
    path = tmp_path / "model.safetensors"
    parts = write_checkpoint(path, family)
    components = load_file(path, torch.float32)
    latents, pixels = torch.randn(1, 4, 8, 8), torch.randn(1, 3, 64, 64)
    context = torch.randn(1, 77, parts.unet.config.cross_attention_dim)
    ids = torch.tensor([[49406, 320, 2368, 49407]])
    with torch.no_grad():
        assert torch.equal(
            components["unet"](latents, 7, context).sample, parts.unet(latents, 7, context).sample
        )
        assert torch.equal(components["vae"](pixels).sample, parts.vae(pixels).sample)
        hidden = parts.text_encoders[0](ids, output_hidden_states=True).hidden_states
        # Stable Diffusion 2 was trained on the last layer but one, normalised.
        expected = parts.text_encoders[0].final_layer_norm(hidden[-2 if family == "sd2" else -1])
        assert torch.equal(components["text_encoder"](ids)[0], expected)


@pytest.mark.usefixtures("without_embedded")
@pytest.mark.parametrize("family", FAMILIES)
def test_a_dropped_file_makes_a_picture_and_the_same_one_again(tmp_path, family):
    write_checkpoint(tmp_path / "mine.safetensors", family, dtype=torch.float16)
    studio = studio_of(tmp_path, model="mine")
    assert [(info.name, info.kind, info.family) for info in studio.models()] == [("mine", "file", family)]
    first, second = (studio.txt2img(picture_of("mine"), save=False) for _ in range(2))
    assert first.images[0].size == (64, 64)
    assert first.images[0].tobytes() == second.images[0].tobytes()
    assert first.request.model == "mine"
    assert studio.tokens("a cat", "mine").count == 2


def test_a_files_picture_is_the_diffusers_folders_to_the_byte(tmp_path):
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    parts = write_checkpoint(tmp_path / "one.safetensors", "sd1")
    loaded = load_file(tmp_path / "one.safetensors", torch.float32)
    StableDiffusionPipeline(
        tokenizer=CLIPTokenizer.from_pretrained(EMBEDDED_DIR / "tiny-sd/tokenizer"),
        text_encoder=parts.text_encoders[0],
        unet=parts.unet,
        vae=parts.vae,
        scheduler=DDIMScheduler.from_config(loaded["scheduler"].config),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(tmp_path / "folder")
    studio = studio_of(tmp_path, model="one")
    one, two = (studio.txt2img(picture_of(name), save=False).images[0] for name in ("one", "folder"))
    assert one.tobytes() == two.tobytes()


@pytest.mark.parametrize("family", FAMILIES)
def test_an_inpainting_file_inpaints_and_only_that(tmp_path, family):
    write_checkpoint(tmp_path / "painter.safetensors", family, in_channels=9)
    studio = studio_of(tmp_path, model="painter")
    assert studio.models()[0].only_inpaints
    image, mask = Image.new("RGB", (64, 64), "red"), Image.new("L", (64, 64), 0)
    mask.paste(255, (16, 16, 48, 48))
    request = InpaintRequest(
        **{**vars(picture_of("painter")), "width": None, "height": None}, init_image=image, mask_image=mask
    )
    result = studio.inpaint(request, save=False)
    assert result.images[0].getpixel((2, 2)) == (255, 0, 0)
    with pytest.raises(ValueError, match="painter only inpaints"):
        studio.txt2img(picture_of("painter"))


def test_v_prediction_changes_the_picture_and_reaches_the_scheduler(tmp_path):
    write_checkpoint(tmp_path / "plain.safetensors", "sd2")
    studio = studio_of(tmp_path, model="plain")
    pictures = []
    for kind in ("epsilon", "v_prediction"):
        (tmp_path / "plain.json").write_text(json.dumps({"prediction_type": kind}))
        assert (
            load_file(tmp_path / "plain.safetensors", torch.float32)["scheduler"].config.prediction_type
            == kind
        )
        studio.unload()
        pictures.append(studio.txt2img(picture_of("plain"), save=False).images[0].tobytes())
    assert pictures[0] != pictures[1]


def test_the_built_tokenizer_is_the_embedded_models_and_pads_as_its_family_does():
    saved = CLIPTokenizer.from_pretrained(EMBEDDED_DIR / "tiny-sd/tokenizer")
    built = build_tokenizers("sd1")["tokenizer"]
    assert built.get_vocab() == saved.get_vocab()
    text = "a bozuman, 12 naïve 🐈 don't"
    assert built(text).input_ids == saved(text).input_ids
    assert built.pad_token_id == 49407
    sd2 = build_tokenizers("sd2")["tokenizer"]
    assert sd2.pad_token_id == 0
    assert sd2("a cat").input_ids == saved("a cat").input_ids
    assert list(build_tokenizers("sdxl")) == ["tokenizer", "tokenizer_2"]


def test_trainers_who_leave_text_model_out_of_the_names_are_understood(tmp_path):
    path = tmp_path / "short.safetensors"
    parts = write_checkpoint(path, "sd1")
    tensors = {name.replace(".text_model.", "."): tensor for name, tensor in load_tensors(path).items()}
    save_file(tensors, path)
    assert_equal_parts(load_file(path, torch.float32), parts, torch.float32, "sd1")


def test_a_second_set_of_averaged_weights_is_neither_loaded_nor_counted(tmp_path):
    path = tmp_path / "pruned.safetensors"
    write_checkpoint(path, "sd1", dtype=torch.float16)
    studio = studio_of(tmp_path, model="pruned")
    size = studio.models()[0].size_bytes
    tensors = load_tensors(path)
    averaged = {
        f"model_ema.{n.replace('.', '')}": t.clone() for n, t in tensors.items() if n.startswith("model.")
    }
    save_file(tensors | averaged, path)
    assert studio.models()[0].size_bytes == size
    assert studio.txt2img(picture_of("pruned"), save=False).images


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda t: t.pop("model.diffusion_model.out.2.bias"),
            "U-Net lacks 1 tensors, for example conv_out.bias",
        ),
        (
            lambda t: t.pop("first_stage_model.decoder.conv_in.bias"),
            "VAE lacks 1 tensors, for example decoder.conv_in.bias",
        ),
        (
            lambda t: t.pop("cond_stage_model.transformer.text_model.final_layer_norm.bias"),
            "text encoder lacks 1 tensors",
        ),
        (
            lambda t: t.update({"model.diffusion_model.input_blocks.1.1.more": torch.zeros(1)}),
            "U-Net has too many tensors: 1",
        ),
        (
            lambda t: t.update({"model.diffusion_model.out.2.bias": torch.zeros(5)}),
            "its U-Net has a tensor of another shape than its family's: conv_out.bias is 5 and must be 4",
        ),
        (
            lambda t: t.update(
                {"cond_stage_model.transformer.text_model.final_layer_norm.weight": torch.ones(())}
            ),
            "its text encoder has a tensor of another shape",
        ),
        (
            lambda t: t.pop("model.diffusion_model.middle_block.1.proj_in.weight"),
            "its U-Net lacks 1 tensors, for example mid_block.attentions.0.proj_in.weight",
        ),
    ],
)
def test_a_file_that_lacks_something_is_refused_in_words_and_the_loaded_model_goes_on(
    tmp_path, spoil, message
):
    good, bad = tmp_path / "good.safetensors", tmp_path / "bad.safetensors"
    parts = write_checkpoint(good, "sd1")
    tensors = original_tensors("sd1", parts)
    spoil(tensors)
    save_file(tensors, bad)
    studio = studio_of(tmp_path, model="good")
    before = studio.txt2img(picture_of("good"), save=False).images[0]
    with pytest.raises(ValueError, match=rf"bad.safetensors cannot be used: .*{message}"):
        studio.txt2img(picture_of("bad"))
    assert studio.txt2img(picture_of("good"), save=False).images[0].tobytes() == before.tobytes()
    assert studio.status().loaded == ("good",)


def test_an_odd_shape_that_the_conversion_stumbles_over_is_refused_in_words(tmp_path):
    path = tmp_path / "odd.safetensors"
    write_checkpoint(path, "sd2")
    name = "cond_stage_model.model.transformer.resblocks.0.attn.in_proj_weight"
    save_file(load_tensors(path) | {name: torch.zeros(5)}, path)
    with pytest.raises(
        ValueError, match=r"odd.safetensors cannot be used: its tensor .*in_proj_weight must have three"
    ):
        load_file(path, torch.float32)


def test_a_file_that_goes_between_listing_and_loading_is_an_error_in_words(tmp_path, monkeypatch):
    good, gone = tmp_path / "good.safetensors", tmp_path / "gone.safetensors"
    write_checkpoint(good, "sd1")
    write_checkpoint(gone, "sd1", seed=2)
    studio = studio_of(tmp_path, model="good")
    before = studio.txt2img(picture_of("good"), save=False).images[0]

    def forget(step):
        if step.text.startswith("Loading"):
            gone.unlink()

    with pytest.raises(OSError, match=r"gone.safetensors cannot be read: .*No such file"):
        studio.txt2img(picture_of("gone"), forget)
    with pytest.raises(ValueError, match="model must be one of: good, tiny-sd; got 'gone'"):
        studio.txt2img(picture_of("gone"))
    assert studio.txt2img(picture_of("good"), save=False).images[0].tobytes() == before.tobytes()


def test_loaded_weights_do_not_change_when_their_file_is_overwritten(tmp_path):
    path = tmp_path / "model.safetensors"
    parts = write_checkpoint(path, "sd1")
    components = load_file(path, torch.float32)
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))
        file.truncate(100)
    assert_equal_parts(components, parts, torch.float32, "sd1")


def digests(*modules) -> set[tuple[str, int]]:
    """Return a checksum of every tensor's bytes, with its name."""
    return {
        (name, zlib.crc32(tensor.contiguous().view(torch.uint8).numpy()))
        for module in modules
        for name, tensor in module.state_dict().items()
    }


@pytest.mark.slow
@pytest.mark.parametrize("family", [*FAMILIES, "sdxl"])
def test_a_file_of_full_size_is_loaded_back_with_equal_tensors_and_draws(tmp_path, family):
    path = tmp_path / "full.safetensors"
    parts = write_checkpoint(path, family, full=True, dtype=torch.bfloat16)
    written = digests(parts.unet, parts.vae, *parts.text_encoders)
    del parts  # two of SDXL's size are more than many machines hold
    components = load_file(path, torch.bfloat16)
    loaded = digests(*(part for part in components.values() if isinstance(part, torch.nn.Module)))
    unread = {name for name, _ in written - loaded}
    assert loaded <= written
    assert all("layers.23." in name for name in unread)  # Stable Diffusion 2 ends before open_clip's last
    assert bool(unread) == (family == "sd2")
    del components
    studio = studio_of(tmp_path, model="full", dtype="bfloat16")
    assert studio.txt2img(picture_of("full"), save=False).images[0].size == (64, 64)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{family}: {path.stat().st_size / 1e9:.2f} GB file, peak {peak:.1f} GB of main memory")
