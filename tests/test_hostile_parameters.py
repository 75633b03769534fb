"""Parameters made to do harm: an answer in words, and soon."""

import json
import re
import tempfile
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sd_app.metadata import read_infotext, read_parameters
from sd_app.metadata.text_decoding import decode_comment
from tests.foreign_forms import chunk, hidden_png, plain_png, png_with
from tests.limits import within_cpu_seconds

LINE = "Steps: 22, Sampler: Euler a, CFG scale: 6.5, Seed: 5, Size: 512x768"
SOON = 5  # seconds of this process; the honest ones take milliseconds

DEEP = "[" * 100_000 + "]" * 100_000
CIRCLE: dict[str, dict[str, Any]] = {
    str(n): {"class_type": "K", "inputs": {key: [str(n + 1), 0] for key in ("positive", "steps")}}
    for n in range(3000)
}
CIRCLE["2999"]["inputs"] = {"positive": ["0", 0], "steps": ["0", 0], "cfg": 1}
WIDE: dict[str, dict[str, Any]] = {
    str(n): {"class_type": "K", "inputs": {f"i{m}": [str(m), 0] for m in range(300)}} for n in range(300)
}
WIDE["0"]["inputs"] |= {"positive": ["1", 0], "cfg": 1, "model": ["1", 0], "latent_image": ["2", 0]}


def answer(text: str) -> str:
    """Return what is said of a text; nothing but words may come of it."""
    try:
        reading = read_parameters(text)
    except ValueError as error:
        return str(error)
    return "\n".join(reading.notes) or "taken"


def refusal(path: Path) -> str:
    """Return the words with which a file is refused."""
    with pytest.raises(ValueError) as caught:
        read_infotext(path)
    return str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        DEEP,
        '{"a":' * 100_000 + "1" + "}" * 100_000,
        json.dumps({"prompt": '{"3": {"class_type": "K", "inputs": ' + DEEP + "}}"}),
        json.dumps({"invokeai_metadata": DEEP}),
        json.dumps({"Comment": DEEP, "Software": "NovelAI"}),
        json.dumps(CIRCLE),
        json.dumps(WIDE),
        "x" * 50_000_000,
        "Steps: 1, " * 400_000,
        "Steps: 1\n" * 400_000,
        "a, " * 1_000_000 + LINE,
        'Seed: "' * 400_000,
        "Seed: [" * 400_000,
        "Seed: {\"a\": \"" * 200_000,
        "<lora:" * 300_000,
        "<a:" + "b" * 1_000_000,
        "embedding:" * 300_000,
        "__" * 1_000_000,
        "\\{" * 1_000_000 + "\n" + LINE,
        f"a cat\n{LINE}, Exact prompts: {json.dumps(DEEP)}",
        f"a cat\n{LINE}, Steps of it: " + "9" * 1_000_000,
        f"a cat\n{LINE.replace('22', '9' * 100_000)}",
        json.dumps({"sui_image_params": {"prompt": [[]], "seed": {}, "steps": [1], "width": "x"}}),
        json.dumps({"sui_image_params": {"seed": 1e400, "steps": -1e300, "cfgscale": None}}),
        json.dumps({"sd-metadata": json.dumps({"image": {"prompt": 5, "sampler": []}})}),
        json.dumps({"c": "a", "uc": 3, "lora": [3, {"model": 4}], "seed": [], "size": {}}),
        json.dumps({"prompt": "a", "base_model": {}, "loras": [[1], 2, [[], {}]], "resolution": 7}),
        json.dumps({"3": {"class_type": [], "inputs": {"positive": {}, "cfg": [], "seed": ["x", "y"]}}}),
        json.dumps([[{"a": 1}]]),
        "[]", "{}", "[1]", "{", "",
    ],
    ids=range(34),
)  # fmt: skip
def test_a_hostile_text_gets_words_soon(text: str) -> None:
    said = within_cpu_seconds(SOON, lambda: answer(text))
    assert said
    assert len(said) < 20_000
    assert "Traceback" not in said
    assert "recursion" not in said
    assert "object" not in said


KEYS = (
    *("prompt", "workflow", "class_type", "inputs", "positive", "negative", "text", "seed", "steps", "model"),
    *("latent_image", "lora_name", "1", "2", "sui_image_params", "loras", "loraweights", "width", "height"),
    *(
        "invokeai_metadata",
        "sd-metadata",
        "image",
        "Dream",
        "Comment",
        "uc",
        "sampler",
        "v4_prompt",
        "caption",
    ),
    *(
        "caption",
        "char_captions",
        "c",
        "lora",
        "base_model",
        "resolution",
        "lora_combined_1",
        "performance",
        "vae",
    ),
    *(
        "use_stable_diffusion_model",
        "sampler_name",
        "use_lora_model",
        "positive_prompt",
        "app_version",
        "meta",
    ),
    *(
        "app_version",
        "num_inference_steps",
        "clip_skip",
        "clipstopatlayer",
        "guider",
        "sigmas",
        "cfg",
        "nodes",
        "links",
    ),
)
LEAVES = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    st.sampled_from(["1", ["1", 0], ["2", 1], "<lora:a:1>", '{"image": 3}', '"a" -s 3', "[1, 2]", "euler"]),
)
OBJECTS = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=25,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(KEYS), OBJECTS, max_size=8))
def test_any_object_with_the_forms_own_keys_gets_words(value: dict[str, object]) -> None:
    assert answer(json.dumps(value))
    within = {key: json.dumps(one) for key, one in value.items()}
    assert answer(json.dumps(within))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(["tEXt", "zTXt", "iTXt", "eXIf"]))
def test_any_bytes_in_a_chunk_or_comment_are_text_or_nothing(data: bytes, kind: str) -> None:
    plain = plain_png()
    for body in (data, b"parameters\0" + data):
        png = plain[:33] + chunk(kind.encode(), body) + plain[33:]
        with tempfile.NamedTemporaryFile(suffix=".png") as file:
            Path(file.name).write_bytes(png)
            try:
                text = read_infotext(file.name)
            except ValueError as error:
                text = str(error)
        assert text is None or isinstance(text, str)
    assert isinstance(decode_comment(data), str)


def test_brackets_by_the_thousand_in_a_prompt_are_a_prompt() -> None:
    reading = read_parameters("[" * 3000 + "cat" + "]" * 3000 + "\n" + LINE)
    assert reading.prompt == "[" * 3000 + "cat" + "]" * 3000
    assert read_parameters("{" * 3000 + "\n" + LINE).prompt == "\\{" * 3000


def test_a_nested_graph_in_a_picture_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png_with({"prompt": DEEP}))
    assert "nested more than 64 deep" in answer(read_infotext(tmp_path / "a.png") or "")
    (tmp_path / "b.png").write_bytes(png_with({"parameters": DEEP}))
    assert "nested more than 64 deep" in answer(read_infotext(tmp_path / "b.png") or "")


def test_a_text_of_fifty_megabytes_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png_with({"parameters": "x" * 50_000_000}))
    said = within_cpu_seconds(SOON, lambda: refusal(tmp_path / "a.png"))
    assert re.search(r"a\.png holds a text of 50,0\d\d,\d+ bytes, and at most 4,000,000", said)


def test_a_graph_beside_a_far_too_long_workflow_is_read(tmp_path: Path) -> None:
    graph = {"1": {"class_type": "KSampler", "inputs": {"positive": ["2", 0], "steps": 7, "seed": 1}}}
    texts = {"workflow": "x" * 5_000_000, "prompt": json.dumps(graph)}
    (tmp_path / "a.png").write_bytes(png_with(texts))
    assert read_parameters(read_infotext(tmp_path / "a.png") or "").request.num_inference_steps == 7


@pytest.mark.parametrize(
    "data",
    [
        b"\x89PNG\r\n\x1a\n",
        b"\x89PNG\r\n\x1a\n" + b"\xff" * 100,
        b"\x89PNG\r\n\x1a\n" + chunk(b"tEXt", b"no keyword"),
        b"\x89PNG\r\n\x1a\n" + chunk(b"zTXt", b"parameters\0\0broken"),
        b"\x89PNG\r\n\x1a\n" + chunk(b"tEXt", b"parameters\0") * 100_000,
        b"RIFF\x10\0\0\0WEBPVP8X",
        b"\xff\xd8\xff\xe1\xff\xff",
    ],
    ids=range(7),
)
def test_a_broken_file_is_refused_in_words(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(data)
    said = within_cpu_seconds(SOON, lambda: refusal(tmp_path / "a.png"))
    assert "a.png is not a picture with parameters" in said


def test_a_text_that_grows_when_it_is_inflated_is_cut(tmp_path: Path) -> None:
    bomb = b"parameters\0\0" + zlib.compress(b"a" * 200_000_000, 9)
    plain = png_with({})
    (tmp_path / "a.png").write_bytes(plain[:33] + chunk(b"zTXt", bomb) + plain[33:])
    assert len(read_infotext(tmp_path / "a.png") or "") <= 4_000_000


def test_a_file_cut_off_behind_its_text_still_says_it(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png_with({"parameters": f"a cat\n{LINE}"})[:-40])
    assert read_infotext(tmp_path / "a.png") == f"a cat\n{LINE}"


def test_hidden_text_is_read_with_and_without_compression(tmp_path: Path) -> None:
    for compressed in (True, False):
        (tmp_path / "a.png").write_bytes(hidden_png(f"a cat\n{LINE}", compressed=compressed))
        assert read_infotext(tmp_path / "a.png") == f"a cat\n{LINE}"
    Image.new("RGBA", (64, 64)).save(tmp_path / "b.png")
    assert read_infotext(tmp_path / "b.png") is None
