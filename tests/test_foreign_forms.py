"""Pictures of nine other programs, in every place where their files carry the parameters."""

import json
import random
from pathlib import Path

import pytest

from sd_app.metadata import read_infotext, read_parameters
from tests.foreign_forms import FORMS, Form, asked, save

EACH = 7  # pictures a form


@pytest.mark.parametrize("number", range(EACH))
@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_a_picture_of_another_program_is_read_back(form: Form, number: int, tmp_path: Path) -> None:
    sampler, schedule, their_sampler, their_schedule = form.samplers[number % len(form.samplers)]
    given = asked(random.Random(f"{form.name} {number}"), sampler, schedule)
    carrier = form.carriers[number % len(form.carriers)]
    path = tmp_path / "theirs"
    save(form.write(given, their_sampler, their_schedule), carrier, path)
    text = read_infotext(path)
    assert text, carrier
    reading = read_parameters(text)
    request = reading.request
    squares = form.name in ("ComfyUI", "InvokeAI") and "[" in given.prompt  # plain there
    words = given.prompt.replace("[", "\\[").replace("]", "\\]") if squares else given.prompt
    assert (reading.prompt, request.negative_prompt) == (words, given.negative_prompt)
    for name in ("num_inference_steps", "guidance_scale", "seed", "width", "height", "model"):
        assert getattr(request, name) == getattr(given, name), name
    assert request.sampling == given.full_name
    assert (
        reading.notes == ["Square brackets, AND and BREAK in its prompt are read as plain words."] * squares
    )
    assert reading.program in ("", form.name)


def graph(**changes: object) -> dict[str, dict[str, object]]:
    given = asked(random.Random(1), "Euler", "Karras")
    (comfyui,) = (form for form in FORMS if form.name == "ComfyUI")
    nodes: dict[str, dict[str, object]] = json.loads(comfyui.write(given, "euler", "karras")["prompt"])
    for name, value in changes.items():
        node, _, key = name.removeprefix("n").partition("_")
        nodes[node]["inputs"][key] = value  # type: ignore[index]
    return nodes


def test_a_graphs_loras_clip_skip_and_vae_are_read() -> None:
    nodes = graph(n3_model=["20", 0], n6_clip=["22", 0], n8_vae=["23", 0])
    for node, before, name in (("20", "21", "second"), ("21", "4", "first")):
        nodes[node] = {
            "class_type": "LoraLoader",
            "inputs": {
                "lora_name": f"style/{name}.safetensors",
                "strength_model": 0.8,
                "strength_clip": 0.5,
                "model": [before, 0],
                "clip": [before, 1],
            },
        }
    skip: dict[str, object] = {"stop_at_clip_layer": -2, "clip": ["20", 1]}
    nodes["22"] = {"class_type": "CLIPSetLastLayer", "inputs": skip}
    nodes["23"] = {"class_type": "VAELoader", "inputs": {"vae_name": "vae-ft-mse.safetensors"}}
    reading = read_parameters(json.dumps(nodes))
    assert reading.prompt
    assert reading.prompt.endswith("<lora:first:0.5:0.8> <lora:second:0.5:0.8>")
    assert (reading.request.clip_skip, reading.request.vae) == (2, "vae-ft-mse")
    assert reading.is_complete, reading.notes


def test_of_two_passes_the_one_that_begins_from_noise_is_read() -> None:
    nodes = graph()
    second = {**nodes["3"]["inputs"], "steps": 9, "denoise": 0.5, "latent_image": ["31", 0]}  # type: ignore[dict-item]
    nodes["30"] = {"class_type": "KSampler", "inputs": second}
    nodes["31"] = {
        "class_type": "LatentUpscale",
        "inputs": {"samples": ["3", 0], "width": 2048, "height": 2048},
    }
    first = read_parameters(json.dumps(graph())).request
    reading = read_parameters(json.dumps({"30": nodes["30"], **nodes}))
    assert reading.request == first
    told = " ".join(reading.notes)
    assert "One more sampler of its graph is not read." in told
    assert "LatentUpscale" in told


def test_a_sampler_of_several_nodes_is_read() -> None:
    nodes = graph()
    inputs: dict[str, dict[str, object]] = {
        "3": {
            **{part: [part, 0] for part in ("noise", "guider", "sampler", "sigmas")},
            "latent_image": ["5", 0],
        },
        "noise": {"noise_seed": 77},
        "guider": {"model": ["4", 0], "positive": ["40", 0], "negative": ["40", 1], "cfg": 3.5},
        "sampler": {"sampler_name": "dpmpp_2m"},
        "sigmas": {"scheduler": "karras", "steps": 12, "denoise": 1.0, "model": ["4", 0]},
        "40": {"positive": ["6", 0], "negative": ["7", 0], "control_net": ["41", 0], "strength": 0.9},
        "41": {"control_net_name": "canny.safetensors"},
    }
    kinds = {"3": "SamplerCustomAdvanced", "40": "ControlNetApplyAdvanced", "41": "ControlNetLoader"}
    kinds |= {
        "noise": "RandomNoise",
        "guider": "CFGGuider",
        "sampler": "KSamplerSelect",
        "sigmas": "BasicScheduler",
    }
    nodes |= {node: {"class_type": kinds[node], "inputs": given} for node, given in inputs.items()}
    plain = read_parameters(json.dumps(graph()))
    reading = read_parameters(json.dumps(nodes))
    request = reading.request
    assert (request.seed, request.num_inference_steps, request.guidance_scale) == (77, 12, 3.5)
    assert request.sampling == "DPM++ 2M Karras"
    assert (reading.prompt, request.negative_prompt) == (plain.prompt, plain.request.negative_prompt)
    assert (request.width, request.model) == (plain.request.width, plain.request.model)
    assert "ControlNetApplyAdvanced" in " ".join(reading.notes)


def test_words_put_together_by_other_nodes_are_read_in_order() -> None:
    nodes = graph(n6_text=["50", 0])
    nodes["50"] = {"class_type": "Text Concatenate", "inputs": {"text_a": ["13", 0], "text_b": "at night"}}
    nodes["13"]["inputs"] = {"value": "a cat"}
    nodes["7"] = {"class_type": "ConditioningZeroOut", "inputs": {"conditioning": ["6", 0]}}
    reading = read_parameters(json.dumps(nodes))
    assert (reading.prompt, reading.request.negative_prompt) == ("a cat, at night", "")
    del nodes["13"], nodes["50"]
    both = {"text_g": "a cat", "text_l": "in oil", "width": 4096, "height": 4096, "clip": ["4", 1]}
    nodes["6"] = {"class_type": "CLIPTextEncodeSDXL", "inputs": both}
    reading = read_parameters(json.dumps(nodes))
    assert reading.prompt == "a cat, in oil"
    assert reading.request.width != 4096


def test_a_loader_that_holds_everything_is_read() -> None:
    loader = {"ckpt_name": "m.safetensors", "positive": "a cat", "negative": "bad", "empty_latent_width": 512}
    loader |= {"empty_latent_height": 768, "vae_name": "Baked VAE", "clip_skip": -2}
    sampling = {
        "steps": 9,
        "cfg": 4.0,
        "sampler_name": "euler",
        "scheduler": "karras",
        "seed": 5,
        "denoise": 1,
    }
    nodes = {
        "1": {"class_type": "easy fullLoader", "inputs": loader},
        "2": {"class_type": "easy preSampling", "inputs": {**sampling, "pipe": ["1", 0]}},
        "3": {"class_type": "easy kSampler", "inputs": {"pipe": ["2", 0], "image_output": "Preview"}},
    }
    efficient = {
        "1": {"class_type": "Efficient Loader", "inputs": loader},
        "2": {
            "class_type": "KSampler (Efficient)",
            "inputs": {
                **sampling,
                "model": ["1", 0],
                "positive": ["1", 1],
                "negative": ["1", 2],
                "latent_image": ["1", 3],
            },
        },
    }
    for given in (nodes, efficient):
        reading = read_parameters(json.dumps(given))
        request = reading.request
        assert (reading.prompt, request.negative_prompt, request.model) == ("a cat", "bad", "m")
        assert (request.width, request.height, request.num_inference_steps) == (512, 768, 9)
        assert (request.sampling, request.seed, request.clip_skip) == ("Euler Karras", 5, 2)
        assert reading.is_complete, reading.notes


@pytest.mark.parametrize("wanted", ["circle", "missing", "text"])
def test_a_graph_that_leads_nowhere_gives_what_it_has(wanted: str) -> None:
    nodes = graph(n6_text=["6", 0]) if wanted == "circle" else graph(n6_text=["404", 0])
    if wanted == "text":
        nodes = graph(n6_text=["13", 0], n13_value=["6", 0])
    reading = read_parameters(json.dumps(nodes))
    assert reading.prompt == ""
    assert (
        reading.request.num_inference_steps
        == read_parameters(json.dumps(graph())).request.num_inference_steps
    )


def test_invokeais_older_forms_are_read() -> None:
    image = {"prompt": [{"prompt": "a cat [blurry, bad]", "weight": 1}], "steps": 30, "cfg_scale": 7.5}
    image |= {"sampler": "k_euler_a", "height": 512, "width": 768, "seed": 5, "type": "txt2img"}
    old = json.dumps(
        {"sd-metadata": json.dumps({"model_weights": "m", "app_id": "invoke-ai", "image": image})}
    )
    dream = json.dumps({"Dream": '"a cat [blurry, bad]" -s 30 -S 5 -W 768 -H 512 -C 7.5 -A k_euler_a'})
    for text, model in ((old, "m"), (dream, None)):
        reading = read_parameters(text)
        request = reading.request
        assert (reading.prompt, request.negative_prompt) == ("a cat", "blurry, bad")
        assert (request.num_inference_steps, request.seed, request.guidance_scale) == (30, 5, 7.5)
        assert (request.width, request.height, request.scheduler) == (768, 512, "Euler a")
        assert request.model == model
        assert reading.is_complete, reading.notes


def test_invokeais_weights_are_said_to_be_plain_text() -> None:
    text = json.dumps(
        {"app_version": "5", "positive_prompt": "a (big cat)++ and hat+", "steps": 9, "seed": 1}
    )
    assert "weigh words as in (word:1.2)" in " ".join(read_parameters(text).notes)


def test_novelais_version_4_has_a_prompt_for_each_character() -> None:
    caption = {"base_caption": "two cats", "char_captions": [{"char_caption": "one orange", "centers": []}]}
    comment = {
        "prompt": "two cats",
        "uc": "x",
        "sampler": "k_euler",
        "steps": 28,
        "v4_prompt": {"caption": caption},
    }
    reading = read_parameters(json.dumps({"Comment": json.dumps(comment), "Software": "NovelAI"}))
    assert reading.prompt == "two cats, one orange"
    assert reading.request.negative_prompt == "x"


def test_loras_of_other_forms_become_tags() -> None:
    fooocus = {
        "prompt": "a cat",
        "base_model": "m.safetensors",
        "loras": [["a/sdxl_offset.safetensors", 0.1, "1b"]],
    }
    older = {"prompt": "a cat", "base_model": "m", "lora_combined_1": "sdxl_offset.safetensors : 0.1"}
    swarm = {"sui_image_params": {"prompt": "a cat", "loras": ["sdxl_offset"], "loraweights": ["0.1"]}}
    draw = {"c": "a cat", "uc": "", "lora": [{"model": "sdxl_offset.ckpt", "weight": 0.1}]}
    easy = {"prompt": "a cat", "use_stable_diffusion_model": "m", "sampler_name": "ddim"}
    easy |= {"use_lora_model": ["sdxl_offset"], "lora_alpha": [0.1]}  # type: ignore[dict-item]
    invoke = {"app_version": "5", "positive_prompt": "a cat"}
    invoke["loras"] = [{"model": {"name": "sdxl_offset"}, "weight": 0.1}]  # type: ignore[assignment]
    for form in (fooocus, older, swarm, draw, easy, invoke):
        assert read_parameters(json.dumps(form)).prompt == "a cat <lora:sdxl_offset:0.1>", form


@pytest.mark.parametrize(
    "names",
    [
        {"negative": "negative_prompt", "steps": "steps", "cfg": "cfg_scale", "sampler": "sampler_name"},
        {"negative": "negativePrompt", "steps": "steps", "cfg": "cfgScale", "sampler": "sampler"},
        {
            "negative": "negative_prompt",
            "steps": "num_inference_steps",
            "cfg": "guidance_scale",
            "sampler": "scheduler",
        },
    ],
)
@pytest.mark.parametrize("within", ["", "meta", "params"])
def test_json_of_no_program_in_particular_is_read_by_the_usual_names(
    names: dict[str, str], within: str
) -> None:
    data: dict[str, object] = {"prompt": "a cat", names["negative"]: "bad", names["steps"]: 20, "width": 512}
    data |= {names["cfg"]: 6.5, names["sampler"]: "Euler a", "height": 768, "seed": 5, "tiling": False}
    reading = read_parameters(json.dumps({within: data} if within else data))
    request = reading.request
    assert (reading.prompt, request.negative_prompt, request.scheduler) == ("a cat", "bad", "Euler a")
    assert (request.num_inference_steps, request.guidance_scale, request.seed) == (20, 6.5, 5)
    assert (request.width, request.height) == (512, 768)
    assert reading.is_complete, reading.notes


def test_nodes_that_only_hand_on_a_number_are_read() -> None:
    nodes = graph(n3_seed=["50", 0], n3_steps=["51", 0], n5_width=["52", 0], n5_height=["52", 1])
    sides = {"width": 512, "height": 768, "aspect_ratio": "custom"}
    for node, kind, inputs in (
        ("50", "CR Seed", {"seed": 42}),
        ("51", "INTConstant", {"value": 20}),
        ("52", "CR SDXL Aspect Ratio", sides),
    ):
        nodes[node] = {"class_type": kind, "inputs": inputs}
    reading = read_parameters(json.dumps(nodes))
    request = reading.request
    assert (request.seed, request.num_inference_steps) == (42, 20)
    assert (request.width, request.height) == (512, 768)
    assert reading.is_complete, reading.notes


TEXT_NODES: dict[str, dict[str, object]] = {
    "ImpactWildcardEncode": {"wildcard_text": "a __animal__", "populated_text": "a cat on a mat"},
    "StringConcatenate": {"string_a": "a cat", "string_b": ["52", 0], "delimiter": " "},
    "easy positive": {"positive": "a cat on a mat"},
    "SDXLPromptStyler": {"text_positive": "a cat on a mat", "text_negative": "bad", "style": "base"},
    "CR Text": {"text": "a cat on a mat"},
}


@pytest.mark.parametrize("kind", TEXT_NODES)
def test_words_of_other_kinds_of_nodes_are_read(kind: str) -> None:
    nodes = graph(n6_text=["51", 0])
    nodes["51"] = {"class_type": kind, "inputs": TEXT_NODES[kind]}
    nodes["52"] = {"class_type": "PrimitiveString", "inputs": {"value": "on a mat"}}
    if kind == "SDXLPromptStyler":
        nodes["7"]["inputs"]["text"] = ["51", 1]  # type: ignore[index]
    reading = read_parameters(json.dumps(nodes))
    assert reading.prompt == "a cat on a mat"
    assert reading.is_complete == (kind != "SDXLPromptStyler")  # whose template is not known
    if kind == "SDXLPromptStyler":
        assert reading.request.negative_prompt == "bad"


@pytest.mark.parametrize(
    ("kind", "inputs"),
    [
        (
            "Power Lora Loader (rgthree)",
            {
                "lora_1": {"on": True, "lora": "styles/x.safetensors", "strength": 0.75},
                "lora_2": {"on": False, "lora": "y.safetensors", "strength": 1},
            },
        ),
        (
            "CR LoRA Stack",
            {"switch_1": "On", "lora_name_1": "x.safetensors", "model_weight_1": 0.75, "clip_weight_1": 0.75}
            | {"switch_2": "Off", "lora_name_2": "y.safetensors", "model_weight_2": 1},
        ),
        (
            "LoRA Stacker",
            {"input_mode": "simple", "lora_count": 1, "lora_name_1": "x.safetensors", "lora_wt_1": 0.75}
            | {"model_str_1": 1.0, "clip_str_1": 1.0, "lora_name_2": "y.safetensors"},
        ),
        ("Lora Loader Stack (rgthree)", {"lora_01": "x.safetensors", "strength_01": 0.75, "lora_02": "None"}),
    ],
)
def test_loras_of_nodes_that_hold_several_are_read(kind: str, inputs: dict[str, object]) -> None:
    nodes = graph(n3_model=["40", 0])
    nodes["40"] = {"class_type": kind, "inputs": {**inputs, "model": ["4", 0], "clip": ["4", 1]}}
    reading = read_parameters(json.dumps(nodes))
    assert reading.prompt
    assert reading.prompt.endswith(" <lora:x:0.75>")
    assert reading.prompt.count("<lora") == 1
    assert reading.request.model is not None


def test_an_unknown_form_is_said_by_what_it_holds() -> None:
    with pytest.raises(ValueError, match=r"JSON of a form that this app does not know \(it holds a, b\)"):
        read_parameters('{"a": 1, "b": [2]}')
    with pytest.raises(ValueError, match="ComfyUI workflow without the graph"):
        read_parameters('{"nodes": [], "links": [], "version": 0.4}')
