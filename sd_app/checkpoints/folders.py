"""What a diffusers folder holds, by its names and small JSON files, and why it cannot be loaded. No torch."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from ..user_files import PICKLES, SUFFIX, JsonObject, read_object, reason_of
from .model_info import ModelInfo, apply_overrides
from .noise_schedule import why_no_noise_schedule

PARTS = ("unet", "vae", "text_encoder", "text_encoder_2")  # folders that hold weights; only SDXL has all
XL_PIPELINES = ("StableDiffusionXLPipeline", "StableDiffusionXLInpaintPipeline")  # of model_index.json
PIPELINES = ("StableDiffusionPipeline", "StableDiffusionInpaintPipeline", *XL_PIPELINES)
INPAINT_CHANNELS = 9  # of a U-Net that also reads the mask and the masked picture: 4 + 1 + 4
NO_OVERRIDES: Mapping[str, object] = MappingProxyType({})
# What strangers' JSON raises where it holds other things than it should: all of it means "cannot be used".
ODD_VALUES = (KeyError, IndexError, TypeError, AttributeError, ValueError, OverflowError)
LIBRARIES = ("diffusers", "transformers")  # code we run; a folder's own code is never run


def describe_folder(
    path: Path,
    *,
    name: str | None = None,
    kind: str = "folder",
    overrides: Mapping[str, object] = NO_OVERRIDES,
) -> ModelInfo:
    """Describe a diffusers folder.

    What studio.json says goes before `overrides`, what is known of it otherwise, and both before what the
    configurations imply. Raise one of ODD_VALUES for a value that cannot be.
    """
    vae, unet = read_object(path / "vae/config.json"), read_object(path / "unet/config.json")
    name = name or path.name
    weights = [file for part in parts_of(path) for file in weight_files(path / part)]
    implied = ModelInfo(
        name=name,
        title=name,
        kind=kind,
        path=path,
        family=tell_family(read_object(path / "model_index.json"), unet),
        native_size=native_size(unet, vae),
        size_bytes=sum(file.stat().st_size for file in weights),
        only_inpaints=unet.get("in_channels") == INPAINT_CHANNELS,
    )
    said = {**overrides, **read_object(path / "studio.json")}
    return apply_overrides(implied, said, scaling_factor=vae.get("scaling_factor"))


def parts_of(path: Path) -> tuple[str, ...]:
    """Return the parts of a diffusers folder that hold weights."""
    return PARTS if _is_xl(path) else PARTS[:-1]


def _is_xl(path: Path) -> bool:
    return read_object(path / "model_index.json").get("_class_name") in XL_PIPELINES


def tell_family(index: JsonObject, unet: JsonObject) -> str:
    """Return sd1, sd2 or sdxl, from model_index.json and the U-Net's config.json."""
    if index.get("_class_name") in XL_PIPELINES:
        return "sdxl"
    return "sd2" if unet.get("cross_attention_dim") == 1024 else "sd1"


def native_size(unet: JsonObject, vae: JsonObject) -> int:
    """Return the pixels of a side a model was trained on, from the config.json of both parts.

    Raise TypeError or OverflowError for values that are no number and no list.
    """
    side, channels = unet.get("sample_size") or 64, vae.get("block_out_channels", [0] * 4)
    if not isinstance(side, int | float) or not isinstance(channels, list):
        raise TypeError(f"sample_size {side!r} must be a number and block_out_channels {channels!r} a list")
    return int(side * 2 ** (len(channels) - 1))


def weight_files(part: Path) -> list[Path]:
    """List the safetensors files a load would read: the fp16 ones where a part has both."""
    files = sorted(file for file in part.glob("*.safetensors") if file.is_file())
    return [file for file in files if ".fp16" in file.name] or files


def why_unusable(path: Path) -> str:
    """Say why a diffusers folder cannot be loaded, in words for its owner; empty when it can."""
    try:
        return _why_unusable(path)
    except ODD_VALUES as error:
        return f"a value in its studio.json or config.json is wrong: {error}"
    except OSError as error:
        return f"it cannot be read: {reason_of(error, path)}"


def _why_unusable(path: Path) -> str:
    index = read_object(path / "model_index.json")
    if not index:
        return "it has no readable model_index.json: it is not a diffusers folder"
    if reason := why_not_pipeline(index, read_object(path / "unet/config.json")):
        return reason
    if reason := _why_no_noise_schedule(path, index):
        return reason
    parts = parts_of(path)
    for part in parts:
        if reason := _why_shards_unusable(path / part):
            return reason
    for part in parts:
        if not weight_files(path / part):
            return f"its {part} holds no .safetensors weights{how_to_convert(path, part)}"
    describe_folder(path)
    return ""


def _why_no_noise_schedule(path: Path, index: JsonObject) -> str:
    """Say why a folder's scheduler cannot be used; empty when it can, or where there is none."""
    config = read_object(path / "scheduler" / "scheduler_config.json")
    entry = index.get("scheduler")
    if not config or not isinstance(entry, list) or len(entry) != 2:
        return ""
    return why_no_noise_schedule(entry[1], config)


def why_not_pipeline(index: JsonObject, unet: JsonObject) -> str:
    """Say by model_index.json and the U-Net's config.json why a model is none of ours; empty when it is."""
    kind = index.get("_class_name")
    if kind not in PIPELINES:
        return f"it is a {kind}, and only Stable Diffusion 1, 2 and XL ({', '.join(PIPELINES)}) can be used"
    is_xl = kind in XL_PIPELINES
    parts, tokenizers = PARTS if is_xl else PARTS[:-1], ("tokenizer", "tokenizer_2")[: 1 + is_xl]
    for part in (*parts, *tokenizers, "scheduler"):
        entry = index.get(part)
        if not isinstance(entry, list) or not entry or entry[0] not in LIBRARIES:
            return f"its {part} needs code of its own, which is never run"
    channels = unet.get("in_channels", 4)
    if channels not in (4, INPAINT_CHANNELS):
        return (
            f"its U-Net takes {channels} channels (only 4 and, for inpainting, {INPAINT_CHANNELS} are known)"
        )
    return ""


def _why_shards_unusable(part: Path) -> str:
    """Say what is wrong with weights in several files, which an index names; empty if nothing is."""
    for index in part.glob("*.safetensors.index*.json"):
        if ("fp16" in index.name) != any(".fp16" in file.name for file in weight_files(part)):
            continue
        shards = shards_of(read_object(index))
        # diffusers would follow a name anywhere, and open a pickle that stands there.
        if any(Path(shard).name != shard or not shard.endswith(SUFFIX) for shard in shards):
            return f"its {part.name} has an index that names other files than .safetensors beside it"
        if not all((part / shard).is_file() for shard in shards):
            return f"its {part.name} is not whole: a file that its index names is missing (download it again)"
    return ""


def shards_of(index: JsonObject) -> set[str]:
    """Return the files that an index of weights names. Raise TypeError for one that is no such index."""
    weight_map = index.get("weight_map", {})
    if not isinstance(weight_map, dict):
        raise TypeError("weight_map must be an object")
    names = set(weight_map.values())
    if not all(isinstance(name, str) for name in names):
        raise TypeError("weight_map must name files")
    return names


def how_to_convert(path: Path, part: str | None = None) -> str:
    """Say how to make a usable folder of a file, or of a folder whose part holds pickles only."""
    if part is not None and not any(file.suffix in PICKLES for file in (path / part).glob("*")):
        return ""
    load = "from_single_file" if part is None else "from_pretrained"
    code = f'P.{load}("{path.name}").save_pretrained("{path.stem}-safe")'
    return (
        "; if you trust its source, convert it once, in its folder:"
        f" python -c 'from diffusers import StableDiffusionPipeline as P; {code}'"
    )
