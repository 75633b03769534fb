import json
import os
import pickle
import random
from pathlib import Path

import pytest
import torch

from sd_app.catalog import describe_file
from sd_app.checkpoints import file_scheduler, find_parts, inspect, read_header
from sd_app.checkpoints.networks import text_shapes
from tests.checkpoint_files import (
    original_shapes,
    text_configs,
    unet_config,
    vae_config,
    write_hollow,
)

UNET = "model.diffusion_model."
CONV = (320, 4, 3, 3)


@pytest.fixture(scope="module")
def shapes():
    """Names and shapes of whole checkpoints of full size, by family."""
    return {family: original_shapes(family) for family in ("sd1", "sd2", "sdxl")}


def facts_of(path, shapes, metadata=None):
    return inspect(write_hollow(path, shapes, metadata))


@pytest.mark.parametrize("family", ["sd1", "sd2", "sdxl"])
def test_the_configuration_read_off_the_shapes_is_the_familys_own(tmp_path, shapes, family):
    path = write_hollow(tmp_path / "a.safetensors", shapes[family])
    facts = inspect(path)
    configs = find_parts(read_header(path), path)
    assert facts.family == configs.family == family
    for made, expected in (
        (configs.unet | {"sample_size": facts.native_size // 8}, unet_config(family, full=True)),
        (configs.vae, vae_config(full=True)),
        *zip(configs.text_encoders, text_configs(family, full=True), strict=True),
    ):
        if family == "sd2" and "hidden_size" in expected:
            expected["num_hidden_layers"] = 23  # of open_clip's 24
        assert {key: made[key] for key in expected} == expected
    assert configs.vae["scaling_factor"] == (0.13025 if family == "sdxl" else 0.18215)
    assert (file_scheduler(facts)["beta_start"], file_scheduler(facts)["beta_end"]) == (0.00085, 0.012)


CLIP, OPEN_CLIP = "cond_stage_model.transformer.text_model.", "cond_stage_model.model."


@pytest.mark.parametrize("blocks", [23, 24])
@pytest.mark.parametrize("naming", ["open_clip", "transformers"])
@pytest.mark.parametrize("whole", [True, False])
def test_of_stable_diffusion_2_the_23_layers_that_it_reads_are_taken(tmp_path, shapes, blocks, naming, whole):
    """Whatever the naming, and whether the projection of the whole encoder is there or not."""
    kept = dict(shapes["sd2"])
    if not whole:
        kept = {
            name: shape for name, shape in kept.items() if "text_proj" not in name and "logit" not in name
        }
    if blocks == 23:
        kept = {name: shape for name, shape in kept.items() if "resblocks.23." not in name}
    if naming == "transformers":
        known = {"hidden_size": 1024, "intermediate_size": 4096, "num_attention_heads": 16}
        clip = text_shapes(known | {"num_hidden_layers": blocks}, projects=False)
        kept = {name: shape for name, shape in kept.items() if not name.startswith(OPEN_CLIP)}
        kept |= {CLIP + name: shape for name, shape in clip.items()}
    path = write_hollow(tmp_path / "a.safetensors", kept)
    parts = find_parts(read_header(path), path)
    (config,) = parts.text_encoders
    assert (parts.family, config["hidden_act"]) == ("sd2", "gelu")
    assert (config["num_hidden_layers"], config["pad_token_id"]) == (23, 0)
    assert inspect(path).left_out == ""


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ({"lora_unet_down.lora_up.weight": (4, 4), "lora_unet_down.lora_down.weight": (4, 4)}, "a LoRA"),
        ({"unet.down_blocks.0.to_q.lora_A.weight": (4, 4), "unet.x.lora_B.weight": (4, 4)}, "a LoRA"),
        ({"first_stage_model.encoder.conv_in.weight": CONV, "first_stage_model.x": (1,)}, "a VAE alone"),
        ({"encoder.conv_in.weight": CONV, "decoder.conv_in.weight": CONV}, "a VAE alone"),
        ({"emb_params": (4, 768)}, "an embedding"),
        ({"clip_g": (4, 1280), "clip_l": (4, 768)}, "an embedding"),
        ({"<cat>": (768,)}, "an embedding"),
        ({UNET + "joint_blocks.0.x_block.attn.qkv.weight": (4, 4), "x": (1,)}, "a Stable Diffusion 3 model"),
        ({"double_blocks.0.img_attn.qkv.weight": (4, 4), "img_in.weight": (4, 4)}, "a Flux model"),
        ({UNET + "double_blocks.0.img_attn.qkv.weight": (4, 4), "x": (1,)}, "a Flux model"),
        ({"double_blocks.0.x": (4,), "txt_in.individual_token_refiner.x": (1,)}, "a Hunyuan model"),
        ({"single_transformer_blocks.0.x": (4,), "transformer_blocks.0.attn.add_q_proj.x": (1,)}, "a Flux"),
        ({"transformer_blocks.0.attn.add_q_proj.x": (4,), "pos_embed.x": (1,)}, "a Stable Diffusion 3 model"),
        (
            {"transformer_blocks.0.attn.add_q_proj.x": (4,), "transformer_blocks.0.img_mod.1.x": (1,)},
            "a Qwen-Image",
        ),
        ({"patchify_proj.weight": (4, 4), "adaln_single.linear.weight": (4, 4)}, "an LTX-Video model"),
        ({"caption_projection.0.linear.weight": (4, 4), "x": (1,)}, "a HiDream model"),
        ({UNET + "cap_embedder.1.weight": (4, 4), UNET + "x_pad_token": (1, 4)}, "a Z-Image model"),
        ({"joint_transformer_blocks.0.x": (4,), "x": (1,)}, "an AuraFlow model"),
        ({"condition_embedder.time_embedder.x": (4,), "x": (1,)}, "a Wan model"),
        ({"control_model.input_blocks.0.0.weight": CONV, "control_model.x": (1,)}, "a ControlNet"),
        ({"down_blocks.0.resnets.0.conv1.weight": CONV, "conv_in.weight": CONV}, "a U-Net alone"),
        ({"text_model.final_layer_norm.weight": (768,), "text_model.x": (1,)}, "a text encoder alone"),
        ({"image_proj.proj.weight": (4, 4), "ip_adapter.1.to_k_ip.weight": (4, 4)}, "an IP-Adapter"),
    ],
)
def test_what_is_no_checkpoint_is_refused_by_what_it_is(tmp_path, names, words):
    path = write_hollow(tmp_path / "a.safetensors", names)
    with pytest.raises(ValueError, match=f"it is {words}"):
        find_parts(read_header(path), path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {
                "conditioner.embedders.0.model.ln_final.weight": (1280,),
                UNET + "label_emb.0.0.weight": (1536, 2560),
            },
            "it is the SDXL refiner",
        ),
        ({"edm_mean": (4,)}, "it is Playground 2.5"),
        ({"control_model.x": (1,)}, "it is a ControlNet"),
        ({UNET + "label_emb.0.0.weight": (1280, 2048)}, "unCLIP"),
        ({UNET + "input_blocks.0.0.weight": (320, 5, 3, 3)}, "its U-Net takes 5 channels"),
        ({UNET + "input_blocks.0.0.weight": ()}, "its U-Net takes no channels"),
    ],
)
def test_a_checkpoint_of_another_kind_is_refused_by_what_it_is(tmp_path, shapes, change, words):
    path = write_hollow(tmp_path / "a.safetensors", shapes["sd1"] | change)
    with pytest.raises(ValueError, match=words):
        inspect(path)


@pytest.mark.parametrize(
    ("family", "prefix", "words"),
    [
        ("sd1", "first_stage_model.", "it lacks the VAE of Stable Diffusion 1"),
        ("sd1", "cond_stage_model.", "it lacks the text encoder"),
        ("sd2", "first_stage_model.", "it lacks the VAE of Stable Diffusion 2"),
        ("sdxl", "conditioner.embedders.1.", "it lacks the text encoder of SDXL"),
        ("sd1", UNET, "it is a VAE alone"),
    ],
)
def test_a_missing_component_is_named(tmp_path, shapes, family, prefix, words):
    kept = {name: shape for name, shape in shapes[family].items() if not name.startswith(prefix)}
    with pytest.raises(ValueError, match=words):
        inspect(write_hollow(tmp_path / "a.safetensors", kept))


def test_a_truncated_file_says_how_much_is_missing(tmp_path, shapes):
    path = write_hollow(tmp_path / "a.safetensors", shapes["sd1"])
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 1_000_000)
    with pytest.raises(ValueError, match=r"it is cut off: 1,000,000 of 2,1.* bytes are missing"):
        inspect(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it is empty"),
        (b"abc", "it is cut off: it has only 3 bytes"),
        (pickle.dumps({"a": 1}) + b" " * 99, "it is a pickle under another name"),
        (b"PK\x03\x04" + b" " * 99, "it is a pickle under another name"),
        (b"<!DOCTYPE html>" + b" " * 99, "it is not a safetensors file"),
        ((999).to_bytes(8, "little") + b"{}", "it is cut off, or no safetensors file: its header needs 999"),
        ((2).to_bytes(8, "little") + b"[]", "its header is damaged: it is not a JSON object"),
        ((2).to_bytes(8, "little") + b"{}", "its tensors are not those of any known model"),
        ((3).to_bytes(8, "little") + b"{}}", "its header is damaged"),
        ((200000).to_bytes(8, "little") + b"[" * 200000, "its header is damaged"),
    ],
)
def test_what_is_no_safetensors_file_is_refused_in_words(tmp_path, content, words):
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=words):
        inspect(path)


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F16", "shape": [2], "data_offsets": [0, 2]},
        {"dtype": "F16", "shape": [-1], "data_offsets": [2, 0]},
        {"dtype": "F16", "shape": "2", "data_offsets": [0, 4]},
        {"dtype": "F16", "shape": [2]},
        {"dtype": ["F16"], "shape": [2], "data_offsets": [0, 4]},
        {"dtype": "F16", "shape": [2.5], "data_offsets": [0, 5]},
        {"dtype": "F16", "shape": [2.0], "data_offsets": [0, 4]},
        {"dtype": "F16", "shape": [[2]], "data_offsets": [0, 4]},
        {"dtype": "F16", "shape": [True], "data_offsets": [0, 2]},
        {"dtype": "F16", "shape": [1.0], "data_offsets": [0, 2]},
        {"dtype": "F16", "shape": [float("inf")], "data_offsets": [0, 2]},
        {"dtype": "F16", "shape": [1], "data_offsets": [0.0, 2]},
        {"dtype": "F16", "shape": [10**4000] * 10, "data_offsets": [0, 2]},
        {"dtype": "F16", "shape": [2**62] * 64, "data_offsets": [0, 2]},
        {"dtype": "F16", "shape": [0] * 65, "data_offsets": [0, 0]},
        {"dtype": "F4", "shape": ["a", 1], "data_offsets": [0, 0]},
        {"dtype": "F4", "shape": [-1], "data_offsets": [0, 0]},
        {"dtype": "F4", "shape": [1.5], "data_offsets": [0, 0]},
        {"dtype": "F4", "shape": None, "data_offsets": [0, 0]},
        {"dtype": "F4", "shape": [1], "data_offsets": [0, float("inf")]},
        {"dtype": "F4", "shape": [1], "data_offsets": [0, float("nan")]},
        {"dtype": "F4", "shape": [1], "data_offsets": [9, 0]},
        {"dtype": "F4", "shape": [1], "data_offsets": [-9, 0]},
        {"dtype": "F4", "shape": [1], "data_offsets": [0, 9, 9]},
        {"dtype": "F4", "shape": [1], "data_offsets": "01"},
        {"dtype": 4, "shape": [1], "data_offsets": [0, 0]},
        {"shape": [1], "data_offsets": [0, 0]},
        [],
        None,
    ],
)
def test_a_header_that_contradicts_itself_is_damaged(tmp_path, entry):
    path = write_header(tmp_path, json.dumps({"odd.one": entry}))
    with pytest.raises(ValueError, match=r"its header is damaged: odd\.one ") as caught:
        read_header(path)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ('["a"]', "its header is damaged: it is not a JSON object"),
        ('{"__metadata__": [1]}', "its header is damaged: its metadata must be an object"),
        ('{"a": {"dtype": "F4", "shape": [1], "data_offsets": [0, 1e999]}}', "its header is damaged: a does"),
        ('{"\\ud800": {"dtype": "F4", "shape": [1], "data_offsets": [0, 1]}}', "its header is damaged"),
        ('{"__metadata__": {"a": "\\udfff"}}', "its header is damaged"),
        ('{"a":' + " " * 20_000_000 + "1}", "its header has 20,000,007 bytes, and at most 20,000,000"),
        (
            '{"a": {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]}, "a": 1}',
            "damaged: a stands in it twice",
        ),
        (
            '{"a": {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]},'
            ' "b": {"dtype": "F16", "shape": [2], "data_offsets": [2, 6]}}',
            "its header is damaged: b lies over the bytes of a",
        ),
        ("", "it is not JSON in UTF-8"),
        ('{"\x00', "it is not JSON in UTF-8"),
        ('{"a":[' + "{}," * 100_000 + "{}]}", "its header names more than 100,000 tensors"),
    ],
    ids=range(11),
)
def test_a_header_that_no_known_model_has_is_refused_in_words(tmp_path, header, words):
    with pytest.raises(ValueError, match=words) as caught:
        read_header(write_header(tmp_path, header))
    str(caught.value).encode()


def test_a_header_in_another_encoding_is_refused_in_words(tmp_path):
    raw = '{"a": {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]}}'.encode("utf-16")
    path = tmp_path / "a.safetensors"
    path.write_bytes(len(raw).to_bytes(8, "little") + raw + bytes(4))
    with pytest.raises(ValueError, match="it is not JSON in UTF-8"):
        read_header(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such pipes")
def test_a_pipe_by_a_models_name_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.safetensors")
    with pytest.raises(ValueError, match="it is not a plain file"):
        inspect(tmp_path / "pipe.safetensors")


@pytest.mark.parametrize("length", [640, 896, 1152, 1408])
def test_a_length_that_begins_as_a_pickle_does_is_none(tmp_path, length):
    entry = '{"a": {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]}}'
    assert read_header(write_header(tmp_path, entry.ljust(length))).shapes == {"a": (2,)}


def write_header(folder: Path, header: str) -> Path:
    raw = header.encode()
    path = folder / "a.safetensors"
    path.write_bytes(len(raw).to_bytes(8, "little") + raw + bytes(99))
    return path


@pytest.mark.parametrize("family", ["sd1", "sd2", "sdxl"])
def test_whatever_is_wrong_with_the_shapes_is_said_in_words(tmp_path, shapes, family):
    chance = random.Random(7)
    names = list(shapes[family])
    refused = 0
    for number in range(30):
        changed = dict(shapes[family])
        for name in [name for name in chance.sample(names, 40) if chance.random() < 0.5]:
            changed.pop(name)
        for name in chance.sample(list(changed), 400):
            changed[name] = chance.choice([(), (3,), (5, 7), (64, 64, 1), changed[name][::-1]])
        path = write_hollow(tmp_path / f"{number}.safetensors", changed)
        try:
            inspect(path)
        except ValueError as error:
            refused += bool(str(error))
    assert refused > 10


def test_quantised_weights_are_refused_and_eight_bit_floats_are_not(tmp_path):
    from safetensors.torch import save_file

    from tests.checkpoint_files import make_parts, original_tensors

    tensors = original_tensors("sd1", make_parts("sd1"))
    name = UNET + "middle_block.0.in_layers.2.weight"
    save_file(tensors | {name: tensors[name].to(torch.float8_e4m3fn)}, tmp_path / "float8.safetensors")
    assert inspect(tmp_path / "float8.safetensors").family == "sd1"
    save_file(tensors | {name: tensors[name].to(torch.int8)}, tmp_path / "int8.safetensors")
    with pytest.raises(ValueError, match=r"its weights are quantised \(I8\); get the fp16 file"):
        inspect(tmp_path / "int8.safetensors")


@pytest.mark.parametrize(
    ("name", "prediction_type", "side", "ground"),
    [
        ("anything", "v_prediction", 768, "because most"),
        ("v2-1_512-ema-pruned", "epsilon", 512, "from the file's name"),
        ("512-base-ema", "epsilon", 512, "from the file's name"),
        ("sd_turbo", "epsilon", 512, "from the file's name"),
        ("mine-vpred-base", "v_prediction", 768, "from the file's name"),
    ],
)
def test_of_stable_diffusion_2_it_is_said_what_is_assumed(
    tmp_path, shapes, name, prediction_type, side, ground
):
    facts = facts_of(tmp_path / f"{name}.safetensors", shapes["sd2"])
    assert (facts.prediction_type, facts.native_size) == (prediction_type, side)
    assert facts.assumed.startswith(f"Assumed {ground}")
    assert facts.assumed.endswith(f"{prediction_type}, {side} pixels; {name}.json can say otherwise.")
    assert describe_file(facts.path).note == facts.assumed


@pytest.mark.parametrize(
    ("family", "metadata", "extra", "prediction_type"),
    [
        ("sd2", {"modelspec.prediction_type": "epsilon"}, {}, "epsilon"),
        ("sd2", {"modelspec.architecture": "stable-diffusion-v2-512"}, {}, "epsilon"),
        ("sd2", {"modelspec.architecture": "stable-diffusion-v2-768-v"}, {}, "v_prediction"),
        ("sd1", {"modelspec.prediction_type": "v"}, {}, "v_prediction"),
        ("sd1", None, {"v_pred": (0,)}, "v_prediction"),
        ("sd1", None, {}, "epsilon"),
        ("sdxl", None, {"v_pred": (0,), "ztsnr": (0,)}, "v_prediction"),
    ],
)
def test_what_a_file_says_of_itself_needs_no_assumption(
    tmp_path, shapes, family, metadata, extra, prediction_type
):
    path = tmp_path / "a.safetensors"
    facts = facts_of(path, shapes[family] | extra, metadata)
    assert (facts.prediction_type, facts.assumed) == (prediction_type, "")
    assert facts.zero_snr == ("ztsnr" in extra)
    schedule = file_scheduler(facts)
    assert schedule.get("rescale_betas_zero_snr", False) == facts.zero_snr


def test_the_files_beside_it_say_what_it_predicts(tmp_path, shapes):
    path = tmp_path / "a.safetensors"
    assert facts_of(path, shapes["sd1"]).prediction_type == "epsilon"
    (tmp_path / "a.yaml").write_text('model:\n  params:\n    parameterization: "v"\n    image_size: 64\n')
    assert inspect(path).prediction_type == "v_prediction"
    (tmp_path / "a.json").write_text('{"prediction_type": "epsilon"}')
    assert inspect(path).prediction_type == "epsilon"


@pytest.mark.parametrize(
    ("resolution", "side"),
    [("1024x1024", 1024), ("640x960", 960), ("1x1", 512), ("big", 512), ("99999", 512)],
)
def test_the_size_in_the_metadata_counts_if_it_can_be_one(tmp_path, shapes, resolution, side):
    facts = facts_of(tmp_path / "a.safetensors", shapes["sd1"], {"modelspec.resolution": resolution})
    assert facts.native_size == side
