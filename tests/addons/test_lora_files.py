"""LoRA files: bad ones are refused by name, and what is known from the header alone."""

import json
import os
from pathlib import Path

import pytest
import torch

from sd_app import Settings, Studio
from sd_app.addons import inspect_lora, list_files
from sd_app.weights.lora_reading import read_lora
from tests.addons.lora_writers import kohya, write_lora
from tests.addons.steps import PROMPT, draw, layers_of, lend, same, weights
from tests.checkpoint_files import write_hollow


def spoil(models_dir: Path, name: str, tensors: dict[str, torch.Tensor] | bytes) -> None:
    path = models_dir / "loras" / f"{name}.safetensors"
    if isinstance(tensors, bytes):
        path.write_bytes(tensors)
    else:
        write_lora(path, tensors)


def some(**shapes: tuple[int, ...]) -> dict[str, torch.Tensor]:
    return {name.replace("__", "."): torch.ones(shape) for name, shape in shapes.items()}


def conv_in(rank: int = 4, **other: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return a LoRA of one layer, some of its tensors others than they should be."""
    tensors = {"down": torch.ones(rank, 4, 3, 3), "up": torch.ones(16, rank, 1, 1), **other}
    names = {"alpha": "unet.conv_in.alpha"}
    return {names.get(name, f"unet.conv_in.lora.{name}.weight"): tensor for name, tensor in tensors.items()}


BAD: dict[str, tuple[dict[str, torch.Tensor] | bytes, str]] = {
    "pickle": (b"PK\x03\x04" + bytes(100), "it is a pickle under another name"),
    "noise": (bytes(range(256)), "it is not a safetensors file"),
    "empty": (b"", "it is empty"),
    "loha": (some(lora_unet_conv_in__hada_w1_a=(4, 4)), "its hada_w1_b is missing"),
    "lokr": (some(lora_unet_conv_in__lokr_w1=(4, 4)), "its lokr_w2_a is missing"),
    "dora": (some(lora_unet_conv_in__dora_scale=(4, 1)), "nothing that would change the layer"),
    "oft": (some(lora_unet_conv_in__oft_blocks=(4, 4, 4)), "it is an OFT"),
    "flux": (some(lora_unet_double_blocks_0__lora_down__weight=(4, 4)), "it is a LoRA for Flux"),
    "other": (some(anything=(4, 4)), "its tensors are not those of a LoRA"),
    "stranger": (
        some(unet__nowhere__lora_A__weight=(4, 4), unet__nowhere__lora_B__weight=(4, 4)),
        "none of its layers is one of Stable Diffusion's, for example unet.nowhere",
    ),
    "half": (some(unet__conv_in__lora_A__weight=(4, 4)), "of unet.conv_in its up is missing"),
    "misfit": (
        some(unet__conv_out__lora_A__weight=(4, 9), unet__conv_out__lora_B__weight=(4, 4)),
        r"its unet.conv_out is \(4, 9\) x \(4, 4\), and the model's is \(4, 16, 3, 3\)",
    ),
    "nan": (
        conv_in(down=torch.full((4, 4, 3, 3), float("nan"))),
        "a value that is not a number",
    ),
    "alphas": (
        conv_in(alpha=torch.ones(2, 2)),
        r"conv_in its alpha must be a single number, and has the shape \(2, 2\)",
    ),
    "nanalpha": (
        conv_in(alpha=torch.tensor(float("nan"))),
        "its unet.conv_in has the alpha nan for the rank 4",
    ),
    "infalpha": (conv_in(alpha=torch.tensor(float("-inf"))), "its unet.conv_in has the alpha -inf for"),
    "largealpha": (
        conv_in(alpha=torch.tensor(4e6 + 1)),
        r"its unet.conv_in has the alpha 4e\+06 for the rank 4",
    ),
    "complexalpha": (conv_in(alpha=torch.tensor(1j)), "its numbers are C64"),
    "rank0": (conv_in(rank=0), r"conv_in its down has the shape \(0, 4, 3, 3\), and so no numbers"),
    "scalar": (conv_in(up=torch.zeros(())), r"conv_in its up has the shape \(\), and no factor"),
    "whole": (conv_in(up=torch.ones(16, 4, 1, 1).long()), "its numbers are I64, and only F16"),
    "beyond": (conv_in(up=torch.full((16, 4, 1, 1), 3e38)), r"beyond unet.conv_in gets too large \(lower"),
}


@pytest.mark.parametrize("name", list(BAD))
def test_a_bad_file_is_refused_by_name_and_the_model_goes_on(studio, models_dir, base, name):
    contents, words = BAD[name]
    spoil(models_dir, name, contents)
    with pytest.raises(ValueError, match=words) as caught:
        draw(studio, f"{PROMPT} <lora:a:0.5> <lora:{name}:1>")
    assert name in str(caught.value)
    assert str(models_dir) not in str(caught.value)
    assert draw(studio, PROMPT) == base


@pytest.mark.parametrize(
    "metadata",
    [
        "[" * 100_000,
        "[]",
        '{"unet.lora_alpha": "1e999"}',
        '{"unet.lora_alpha": [1]}',
        '{"unet.lora_alpha": "much"}',
        '{"unet.lora_alpha": 1' + "0" * 400 + "}",
        '{"unet.lora_alpha": 4000001}',
        '{"unet.alpha_pattern": [1]}',
    ],
    ids=range(8),
)
def test_metadata_without_an_alpha_that_can_be_is_refused(tmp_path, metadata):
    file = write_lora(tmp_path / "a.safetensors", conv_in(), {"lora_adapter_metadata": metadata})
    with pytest.raises(ValueError, match=r"its alpha cannot be read|its unet.conv_in has the alpha"):
        read_lora(file)


def test_what_float16_cannot_hold_is_refused_and_the_weights_are_back(studio, models_dir, tmp_path):
    half = Studio(Settings(models_dir=models_dir, model="model-a", outputs_dir=tmp_path, dtype="float16"))
    write_lora(models_dir / "loras/strong.safetensors", conv_in(up=torch.full((16, 4, 1, 1), 2e4)))
    before = weights(half, PROMPT)
    weights(half, f"{PROMPT} <lora:strong:0.5>")
    with pytest.raises(
        ValueError, match=r"with a and strong unet.conv_in gets too large \(lower the scale\)"
    ):
        weights(half, f"{PROMPT} <lora:a> <lora:strong:2>")
    assert same(weights(half, PROMPT), before)
    assert not same(weights(half, f"{PROMPT} <lora:strong:0.5>"), before)
    weights(studio, f"{PROMPT} <lora:strong:2>")  # float32 can hold it


def test_an_infinity_of_the_checkpoints_own_is_no_fault_of_a_lora(studio):
    with lend(studio, PROMPT) as pipe, torch.no_grad():
        weight = pipe.unet.conv_in.weight
        before = weight.detach().clone()
        weight[0, 0, 0, 0] = float("inf")
    try:
        weights(studio, f"{PROMPT} <lora:a:1>")
    finally:
        with lend(studio, PROMPT), torch.no_grad():
            weight.copy_(before)


def test_a_cut_off_file_is_refused(studio, models_dir, base):
    whole = (models_dir / "loras/a.safetensors").read_bytes()
    spoil(models_dir, "cut", whole[:-100])
    with pytest.raises(ValueError, match="cut cannot: it is cut off"):
        draw(studio, f"{PROMPT} <lora:cut>")
    assert draw(studio, PROMPT) == base


@pytest.mark.parametrize(
    ("key", "shape", "title"),
    [
        ("lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight", 2048, "SDXL"),
        (
            "unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_v.lora_A.weight",
            1024,
            "Stable Diffusion 2",
        ),
        ("lora_te2_text_model_encoder_layers_0_self_attn_q_proj.lora_down.weight", 1280, "SDXL"),
        ("lora_te_text_model_encoder_layers_0_self_attn_q_proj.lora_down.weight", 1024, "Stable Diffusion 2"),
    ],
)
def test_another_familys_lora_is_refused_by_its_header_alone(models_dir, key, shape, title):
    """The studio is a new one: nothing is loaded, and the files' weights are holes."""
    shapes = {key: (8, shape), key.replace("down", "up").replace("lora_A", "lora_B"): (shape, 8)}
    write_hollow(models_dir / "loras/foreign.safetensors", shapes)
    studio = Studio(Settings(models_dir=models_dir, model="model-a"))
    with pytest.raises(ValueError, match=f"foreign is one for {title} .the model is Stable Diffusion 1"):
        draw(studio, "a cat <lora:foreign:1>")
    assert studio.status().loaded == ()


def test_facts_come_from_the_header(tmp_path):
    key = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k"
    frequency = {"10_dog": {"sks dog": 20, "grass": 3}, "5_more": {"grass": 4}}
    metadata = {"ss_tag_frequency": json.dumps(frequency)}
    shapes = {f"{key}.lora_down.weight": (8, 768), f"{key}.lora_up.weight": (320, 8)}
    facts = inspect_lora(write_hollow(tmp_path / "x.safetensors", shapes, metadata))
    assert (facts.family, facts.rank, facts.size_bytes) == ("sd1", 8, 2 * 8 * (768 + 320))
    assert facts.trigger_words == ("sks dog", "grass")
    told = inspect_lora(write_hollow(tmp_path / "y.safetensors", shapes, {"modelspec.trigger_phrase": "sks"}))
    assert told.trigger_words == ("sks",)


@pytest.mark.parametrize(
    ("frequency", "words"),
    [
        ("{", ()),
        ("[" * 100_000, ()),
        ('{"a": {"x": 1e999}}', ()),
        ('{"a": {"x": NaN}}', ()),
        ('{"a": {"x": [1]}}', ()),
        ('{"a": 5}', ()),
        ("[1]", ()),
        ('{"a": {"\\ud800x": 2, "\\udfff": 3, "y": 1}}', ("x", "y")),
    ],
    ids=range(8),
)
def test_odd_trigger_words_are_left_out(tmp_path, frequency, words):
    shapes = {
        "lora_unet_conv_in.lora_down.weight": (8, 4, 3, 3),
        "lora_unet_conv_in.lora_up.weight": (320, 8),
    }
    facts = inspect_lora(write_hollow(tmp_path / "z.safetensors", shapes, {"ss_tag_frequency": frequency}))
    assert facts.trigger_words == words


def test_an_unknown_name_is_answered_with_the_nearest(studio, models_dir):
    write_lora(models_dir / "loras/watercolour.safetensors", some(x=(1,)))
    with pytest.raises(ValueError, match=r"got watercolor \(nearest: watercolour"):
        draw(studio, "a <lora:watercolor:1>")
    (models_dir / "loras/old.pt").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"old.pt is refused: reading it can run code"):
        draw(studio, "a <lora:old:1>")
    with pytest.raises(ValueError, match="LoRA that is there"):
        draw(studio, "a <lora:../../model-a/unet/diffusion_pytorch_model:1>")


def test_two_files_of_one_name_must_be_told_apart(studio, models_dir):
    for place in ("twin", "sub/twin"):
        write_lora(models_dir / f"loras/{place}.safetensors", kohya(layers_of(studio, 0)))
    with pytest.raises(
        ValueError, match=r"2 files are called twin \(write one of: sub/twin.saf\w+, twin.saf"
    ):
        draw(studio, "a <lora:twin:1>")
    with pytest.raises(ValueError, match=r"in all, got 12 for sub/twin.safetensors"):
        draw(studio, "a <lora:sub/twin.safetensors:6> <lora:sub/twin:6>")
    merged = weights(studio, "a <lora:sub/twin.safetensors:0.25> <lora:sub/twin:0.25>")
    assert same(merged, weights(studio, "a <lora:a:0.5>"))
    assert {"twin.safetensors", "sub/twin.safetensors"} <= {f.name for f in list_files(models_dir / "loras")}


def test_links_in_a_circle_and_nowhere_and_pipes_are_left_out_of_5000_files(tmp_path):
    for number in range(5000):
        (tmp_path / f"{number}.safetensors").touch()
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/up").symlink_to(tmp_path)
    (tmp_path / "sub/self.safetensors").symlink_to(tmp_path / "sub/self.safetensors")
    (tmp_path / "dead.safetensors").symlink_to(tmp_path / "gone")
    os.mkfifo(tmp_path / "pipe.safetensors")
    assert len(list_files(tmp_path)) == 5000


def test_the_folders_beside_are_no_checkpoints(studio):
    assert {"loras", "embeddings", "vae"}.isdisjoint(info.name for info in studio.models())


def rewritten(raw: bytes, how: str) -> bytes:
    """Return a safetensors file's bytes in a form that the format's own library minds and people have."""
    length = int.from_bytes(raw[:8], "little")
    header, body = json.loads(raw[8 : 8 + length]), raw[8 + length :]
    if how == "trailing":
        body += bytes(9)
    if how == "numbers in metadata":
        header["__metadata__"] = {"ss_network_dim": 4, "ss_epoch": None}
    if how == "gap":
        body = bytes(8) + body
        for entry in header.values():
            entry["data_offsets"] = [offset + 8 for offset in entry["data_offsets"]]
    text = json.dumps(header) + " " * (how == "odd length")
    return len(text).to_bytes(8, "little") + text.encode() + body


@pytest.mark.parametrize("how", ["trailing", "numbers in metadata", "gap", "odd length"])
def test_what_the_list_takes_is_read_so_in_loras_and_words(studio, models_dir, base, how):
    layers = kohya(layers_of(studio, 5))
    plain = write_lora(models_dir / "loras/plain-five.safetensors", layers)
    spoil(models_dir, "odd-five", rewritten(plain.read_bytes(), how))
    word = write_lora(models_dir / "embeddings/plainword.safetensors", {"emb_params": torch.ones(2, 32)})
    word.with_stem("oddword").write_bytes(rewritten(word.read_bytes(), how))
    try:
        assert (
            draw(studio, f"{PROMPT} <lora:odd-five:1>")
            == draw(studio, f"{PROMPT} <lora:plain-five:1>")
            != base
        )
        assert draw(studio, "a <oddword>") == draw(studio, "a <plainword>")
        assert studio.describe_addon("<lora:odd-five:1>").reason == ""
    finally:
        word.unlink()
        word.with_stem("oddword").unlink()


@pytest.mark.parametrize("said", ["{{{", "[1]", '{"unet.lora_alpha": "x"}', '{"unet.alpha_pattern": [1]}'])
def test_what_a_file_says_of_its_alpha_is_refused_in_list_and_use_alike(studio, models_dir, said):
    path = models_dir / "loras/said.safetensors"
    write_lora(path, conv_in(), {"lora_adapter_metadata": said})
    reason = studio.describe_addon("<lora:said:1>").reason
    assert reason == "what its lora_adapter_metadata says of its alpha cannot be read"
    with pytest.raises(ValueError, match=reason):
        draw(studio, f"{PROMPT} <lora:said:1>")
