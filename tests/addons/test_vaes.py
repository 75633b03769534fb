"""Another VAE in place of a checkpoint's own: the same one changes nothing."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL
from PIL import Image
from safetensors.torch import save_file

from sd_app import Img2ImgRequest, InpaintRequest, Settings, Step, Studio, Txt2ImgRequest
from sd_app.addons import list_addons, list_vaes
from sd_app.metadata import from_infotext, parse_infotext, read_infotext
from tests.addons.steps import KNOWN, PROMPT, draw
from tests.checkpoint_files import original_vae_name, write_hollow

OLD = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}


@pytest.fixture(scope="module")
def models_dir(random_models, sdxl_models, tmp_path_factory) -> Path:
    """Random checkpoints, and vae/ with model-a's own in every form, and model-b's."""
    folder: Path = tmp_path_factory.mktemp("with-vaes")
    for model in (*random_models.glob("model-?"), sdxl_models / "xl"):
        (folder / model.name).symlink_to(model)
    for model, name in (("model-a", "own"), ("model-b", "other"), ("xl", "xl-own")):
        shutil.copytree(folder / model / "vae", folder / "vae" / f"{name}-folder")
        tensors = weights(folder / model / "vae")
        save_file(tensors, folder / f"vae/{name}-new.safetensors")
        save_file(original(tensors), folder / f"vae/{name}.safetensors")
    prefixed = {
        f"first_stage_model.{name}": t for name, t in original(weights(folder / "model-a/vae")).items()
    }
    save_file({**prefixed, "model_ema.decay": torch.ones(1)}, folder / "vae/prefixed.safetensors")
    wrapped = {f"state_dict.{name}": tensor for name, tensor in prefixed.items()}
    save_file(wrapped, folder / "vae/wrapped.safetensors")
    save_file(older(weights(folder / "model-a/vae")), folder / "vae/older.safetensors")
    return folder


def weights(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(next(folder.glob("*.safetensors")))


def original(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return a VAE's tensors as the original repositories write them."""
    return {
        original_vae_name(name, 4): t[:, :, None, None] if "attentions" in name and t.ndim == 2 else t
        for name, t in tensors.items()
    }


def older(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return them as older versions of diffusers did."""
    renamed = {}
    for name, tensor in tensors.items():
        for new, old in OLD.items():
            name = name.replace(f".{new}.", f".{old}.")
        renamed[name] = tensor
    return renamed


@pytest.mark.parametrize(
    "vae", ["own", "own.safetensors", "own-new", "own-folder", "prefixed", "wrapped", "older"]
)
def test_the_models_own_vae_chosen_by_name_changes_no_byte(studio, base, vae):
    assert draw(studio, PROMPT, vae=vae) == base


def test_another_vae_draws_otherwise_and_the_own_one_is_back_after_it(studio, base):
    other = draw(studio, PROMPT, vae="other")
    assert other != base
    assert draw(studio, PROMPT, vae="other-folder") == draw(studio, PROMPT, vae="other-new") == other
    assert draw(studio, PROMPT) == base


def test_a_stopped_job_gives_the_own_vae_back(studio, base):
    from sd_app import Cancelled

    def stop(step: Step) -> None:
        if step.step == 2:
            raise Cancelled

    result = studio.txt2img(Txt2ImgRequest(prompt=PROMPT, vae="other", **KNOWN), stop, save=False)
    assert result.stopped
    assert draw(studio, PROMPT) == base


def test_it_encodes_and_decodes_in_img2img_and_inpaint_too(studio):
    start = Image.frombytes("RGB", (64, 64), draw(studio, PROMPT))
    img2img = Img2ImgRequest(prompt=PROMPT, init_image=start, strength=0.7, **KNOWN)
    own, same, other = (
        studio.img2img(replace(img2img, vae=vae), save=False) for vae in (None, "own", "other")
    )
    assert same.images[0].tobytes() == own.images[0].tobytes()
    assert other.start_images[0].tobytes() != own.start_images[0].tobytes()
    mask = Image.new("L", (64, 64), 0)
    mask.paste(255, (16, 16, 48, 48))
    inpaint = InpaintRequest(prompt=PROMPT, init_image=start, strength=0.7, mask_image=mask, **KNOWN)
    own, same, other = (
        studio.inpaint(replace(inpaint, vae=vae), save=False) for vae in (None, "own", "other")
    )
    assert same.raw_images[0].tobytes() == own.raw_images[0].tobytes()
    assert other.roundtrip_image.tobytes() != own.roundtrip_image.tobytes()


def test_it_is_in_the_infotext_and_reuse_makes_the_same_picture(studio, base):
    result = studio.txt2img(Txt2ImgRequest(prompt=PROMPT, vae="other", **KNOWN))
    infotext = read_infotext(result.paths[0]) or ""
    assert parse_infotext(infotext).fields["VAE"] == "other"
    request = from_infotext(infotext)
    assert request.vae == "other"
    assert studio.txt2img(request, save=False).images[0].tobytes() == result.images[0].tobytes()
    plain = studio.txt2img(Txt2ImgRequest(prompt=PROMPT, **KNOWN), save=False)
    assert "VAE" not in parse_infotext(plain.infotexts[0]).fields
    assert plain.request.is_resolved
    assert from_infotext(plain.infotexts[0]).vae is None


def test_two_others_are_kept_and_read_once(studio, monkeypatch):
    from sd_app.weights import applied_addons as fitting

    reads: list[str] = []
    load = fitting.load_vae

    def counted(path: Path, own: AutoencoderKL) -> AutoencoderKL:
        reads.append(path.stem)
        return load(path, own)

    monkeypatch.setattr(fitting, "load_vae", counted)
    studio.unload()
    for vae in ("own", "other", "own", "prefixed", "own", "other"):
        draw(studio, PROMPT, vae=vae)
    assert reads == ["own", "other", "prefixed", "other"]


@pytest.mark.parametrize("vae", ["xl-own", "xl-own-folder"])
def test_sdxls_in_float16_still_runs_in_float32_and_comes_back(models_dir, tmp_path, vae):
    studio = Studio(Settings(models_dir=models_dir, model="xl", outputs_dir=tmp_path, dtype="float16"))
    plain = draw(studio, PROMPT)
    assert draw(studio, PROMPT, vae=vae) == plain
    (addons,) = (checkpoint.addons for checkpoint in studio._ready_manager()._checkpoints.values())
    assert addons is not None
    assert [one.dtype for one in addons._vaes.values()] == [torch.float16]


def bad_folder(models_dir: Path, name: str, config: dict[str, object] | str) -> None:
    folder = models_dir / "vae" / name
    shutil.copytree(models_dir / "vae/own-folder", folder, dirs_exist_ok=True)
    file = folder / "config.json"
    given = config if isinstance(config, str) else json.dumps({**json.loads(file.read_text()), **config})
    file.write_text(given)


@pytest.mark.parametrize(
    ("name", "contents", "words"),
    [
        ("gone", None, r"vae must name a VAE that is there, got gone"),
        ("pickled", b"PK\x03\x04" + bytes(100), "pickled cannot: it is a pickle"),
        ("cut", b"nothing", "cut cannot: it is cut off"),
        ("strange", {"a": (1,)}, "of a VAE"),
        ("preview", {"1.weight": (64, 4, 3, 3), "3.conv.0.weight": (64, 64, 3, 3)}, "it is a TAESD"),
        ("flux", {"decoder.conv_in.weight": (512, 16, 3, 3), "encoder.x": (1,)}, "16 channels"),
        ("partial", {"decoder.conv_in.weight": (8, 4, 3, 3), "encoder.x": (1,)}, "partial does not: its VAE"),
        ("wide", {"decoder.conv_in.weight": (512, 4, 3, 3), "encoder.conv_in.weight": (1,)}, "wide does not"),
        ("tiny-folder", {"_class_name": "AutoencoderTiny"}, "it is a AutoencoderTiny"),
        ("cut-folder", "{", "cut-folder cannot: its config.json is not a JSON object"),
        ("list-folder", "[]", "list-folder cannot: its config.json is not a JSON object"),
        ("deep-folder", "[" * 200_000, "deep-folder cannot: its config.json is not a JSON object"),
        ("kind-folder", {"_class_name": "\ud800x"}, "it is a x, and only"),
        ("wide-folder", {"latent_channels": "\ud800"}, "its latents have  channels"),
        ("five-folder", {"block_out_channels": 5}, "config.json has block_out_channels that are not numbers"),
        ("huge-folder", {"block_out_channels": [10**9] * 4}, "channels that are not numbers from 1 to 8192"),
        (
            "narrow-folder",  # 1 is a number of channels: it fails later
            {"block_out_channels": [1] * 4, "norm_num_groups": 1},
            "^(?!.*numbers from 1).*VAE",
        ),
        ("types-folder", {"down_block_types": ["\ud800"] * 4}, "down_block_types differ from a Stable"),
        ("group-folder", {"norm_num_groups": 0}, "its norm_num_groups must be a whole number from 1"),
        ("layer-folder", {"layers_per_block": 1e999}, "its layers_per_block must be a whole number"),
        ("more-folder", {"layers_per_block": 2}, "its VAE lacks 64 tensors"),
        (
            "text-folder",
            {"scaling_factor": "\ud800"},
            r"the scaling_factor in its vae's config.json cannot be '\\ud800'",
        ),
        (
            "xl-folder",
            {"scaling_factor": 0.13025},
            "its scaling_factor is 0.13025, and that of the model's own",
        ),
    ],
)
def test_one_that_does_not_fit_is_refused_by_name_and_the_model_goes_on(
    studio, models_dir, base, name, contents, words
):
    path = models_dir / f"vae/{name}.safetensors"
    if isinstance(contents, bytes):
        path.write_bytes(contents)
    elif name.endswith("folder"):
        bad_folder(models_dir, name, contents)
    elif contents:
        write_hollow(path, contents)
    with pytest.raises(ValueError, match=words) as caught:
        draw(studio, PROMPT, vae=name)
    assert str(models_dir) not in str(caught.value)
    str(caught.value).encode()  # the page can show it
    assert draw(studio, PROMPT) == base


def test_a_folder_whose_files_change_in_place_is_read_anew(studio, models_dir, base):
    folder = models_dir / "vae/moving"
    shutil.copytree(models_dir / "vae/own-folder", folder)
    assert draw(studio, PROMPT, vae="moving") == base
    (file,) = folder.glob("*.safetensors")
    with file.open("r+b") as opened:
        opened.write(next((models_dir / "vae/other-folder").glob("*.safetensors")).read_bytes())
    assert draw(studio, PROMPT, vae="moving") == draw(studio, PROMPT, vae="other")
    with (folder / "config.json").open("r+") as opened:
        opened.write("[" * 9)
    with pytest.raises(ValueError, match=r"moving cannot: its config.json is not a JSON object"):
        draw(studio, PROMPT, vae="moving")


def test_files_and_folders_are_listed_and_are_no_checkpoints(models_dir, tmp_path):
    settings = Settings(models_dir=models_dir)
    names = [file.name for file in list_vaes(settings)]
    assert {"own", "own-folder", "prefixed"} <= set(names)
    assert "vae" not in [info.name for info in Studio(settings).models()]
    shutil.copytree(models_dir / "vae/own-folder", tmp_path / "vae/both")
    shutil.copy(models_dir / "vae/own.safetensors", tmp_path / "vae/both.safetensors")
    both = [file.name for file in list_vaes(Settings(models_dir=tmp_path))]
    assert both == ["both", "both.safetensors"]
    assert list_vaes(Settings(models_dir=tmp_path / "nothing")) == ()


def test_names_that_are_no_text_are_left_out(tmp_path):
    """The page's JSON cannot carry them."""
    for kind in ("vae", "loras", "embeddings"):
        folder = os.fsencode(tmp_path / kind)
        Path(os.fsdecode(folder + b"/in\xff")).mkdir(parents=True)
        for place in (b"/good", b"/bad\xff", b"/in\xff/hidden"):
            Path(os.fsdecode(folder + place + b".safetensors")).touch()
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/vae/in\xff/config.json")).touch()
    settings = Settings(models_dir=tmp_path)
    assert [file.name for file in list_vaes(settings)] == ["good"]
    assert [addon.name for addon in list_addons(settings)] == ["good", "good"]
