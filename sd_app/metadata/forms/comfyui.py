"""ComfyUI: the graph of nodes that made the picture, in the text "prompt".

A graph may be anything. What is read is the sampler that begins from noise, and what its inputs lead back to;
of the rest the kinds of nodes are named.
"""

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from ..bounded_json import UnreadableFormError, load_object
from ..foreign import Infotext, add_loras, as_text, file_name, is_off, size_text

KEYWORDS = ("prompt", "workflow")
MAX_HOPS = 10_000  # nodes that one input leads back to
MAX_CHAIN = 100  # nodes that only hand on a value
_SETTINGS = {  # our key -> the inputs that may hold it, on the sampler or on what hangs on it
    "Seed": ("seed", "noise_seed"),
    "Steps": ("steps",),
    "CFG scale": ("cfg", "guidance"),
    "Sampler": ("sampler_name",),
    "Schedule type": ("scheduler",),
    "Denoising strength": ("denoise",),
}
_PARTS = ("guider", "sampler", "sigmas", "noise")  # of a sampler whose settings are nodes of their own
_VALUES = (
    "populated_text",
    "value",
    "seed",
    "noise_seed",
    "int",
    "float",
    "number",
    "string",
    "text",
    "Text",
    "prompt",
)
_TEXT = re.compile(r"(?:text|string|prompt)(?:_?\w)?|clip_l|t5xxl|value|populated_text", re.IGNORECASE)
_BETWEEN = ("delimiter", "separator")  # what a node puts between the texts that it joins
_EMPTIED = ("ConditioningZeroOut",)  # hands on no words, whatever it is given
_NO_WORDS = {
    *("model", "clip", "vae", "image", "images", "pixels", "control_net", "mask", "latent_image", "samples"),
    *("latent", "ckpt_name"),
}
_OF_A_SAMPLER = {"steps", "cfg", "sampler_name", "sigmas", "seed", "noise_seed"}
_SIDES = ("positive", "negative")  # the two outputs of a node that makes both
_MODELS = ("ckpt_name", "unet_name", "model_name", "base_ckpt_name")
_SIZES = (("width", "height"), ("empty_latent_width", "empty_latent_height"))
_NUMBERED = re.compile(r"lora(?:_name)?_(\d+)")
_WEIGHTS = (  # of a numbered LoRA: for the U-Net, and for the text encoder
    ("model_weight", "model_str", "strength_model", "strength", "lora_wt", "lora_weight"),
    ("clip_weight", "clip_str", "strength_clip"),
)
# Kinds of nodes that change nothing, or that are read.
_PLAIN = (
    *("KSampler", "CLIPTextEncode", "CheckpointLoader", "EmptyLatent", "EmptySD3Latent", "VAEDecode"),
    *("VAELoader", "VAEEncode", "LoraLoader", "CLIPSetLastLayer", "SaveImage", "PreviewImage", "LoadImage"),
    *("SamplerCustom", "BasicScheduler", "KSamplerSelect", "RandomNoise", "CFGGuider", "BasicGuider"),
    *("Primitive", "Reroute", "Note", "UNETLoader", "CLIPLoader", "DualCLIPLoader", "Seed", "String", "Text"),
    *("Int", "Float", "Show", "Image Saver", "Image Save", "KarrasScheduler", "Efficient Loader"),
    *("Power Lora Loader", "Lora Loader Stack", "LoRA Stacker", "CR LoRA Stack", "CR Apply LoRA Stack"),
    *("easy positive", "easy negative", "CR Text", "CR Prompt Text", "JoinStrings", "ImpactWildcard"),
    *("ConditioningZeroOut", "easy fullLoader", "easy preSampling", "easy kSampler", "easy comfyLoader"),
)


def read(data: dict[str, object]) -> Infotext | None:
    """Read ComfyUI's graph, alone or beside its workflow. None for another object."""
    nodes = _nodes(load_object(data.get("prompt"))) or _nodes(data)
    if nodes:
        return _read_graph(Graph(nodes=nodes))
    workflow = load_object(data.get("workflow")) or data
    if isinstance(workflow.get("nodes"), list) and "links" in workflow:
        raise UnreadableFormError(
            "the parameters are a ComfyUI workflow without the graph that was run, which cannot be read"
            " (use a picture that ComfyUI saved)"
        )
    return None


@dataclass(frozen=True, kw_only=True)
class Graph:
    """Nodes by their id: {"class_type": ..., "inputs": {name: value or [id, output]}}."""

    nodes: dict[str, dict[str, object]]
    used: set[str] = field(default_factory=set)  # nodes that only gave a number, which was read

    def inputs(self, node: str) -> dict[str, object]:
        """Return a node's inputs, none for one that is not there."""
        found = self.nodes.get(node, {}).get("inputs")
        return found if isinstance(found, dict) else {}

    def target(self, value: object) -> str | None:
        """Return the id of the node that a link leads to, None for a plain value."""
        if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str | int):
            return str(value[0])
        return None

    def value(self, node: str, name: str) -> object:
        """Return an input's plain value, followed through the nodes that only hand one on."""
        return self.link(self.inputs(node).get(name), name)

    def link(self, value: object, name: str = "text") -> object:
        """Return a plain value, or the one that a link leads to; `name` is what the input is called."""
        for _ in range(MAX_CHAIN):
            target = self.target(value)
            if target is None:
                return None if isinstance(value, list | dict) else value
            inputs = self.inputs(target)
            side = _SIDES[value[1] == 1] if isinstance(value, list) else ""
            names = (f"text_{side}", f"prompt_{side}", name, *_VALUES, side)
            value = next((inputs[one] for one in names if one in inputs), None)
            if isinstance(value, int | float):
                self.used.add(target)
        return None  # a circle

    def back(self, start: object, without: set[str] = frozenset()) -> Iterator[str]:  # type: ignore[assignment]
        """Yield the nodes that a link leads back to, near ones first, each once."""
        waiting = deque([self.target(start)])
        seen: set[str] = set()
        while waiting and len(seen) < MAX_HOPS:
            node = waiting.popleft()
            if node is None or node in seen:
                continue
            seen.add(node)
            yield node
            inputs = self.inputs(node)
            waiting.extend(self.target(value) for name, value in inputs.items() if name not in without)


def _nodes(value: dict[str, object]) -> dict[str, dict[str, object]]:
    """Return a graph's nodes, none if an object is no graph."""
    nodes = {str(key): node for key, node in value.items() if isinstance(node, dict) and "class_type" in node}
    return nodes if any(isinstance(node.get("inputs"), dict) for node in nodes.values()) else {}


def _read_graph(graph: Graph) -> Infotext:
    samplers = [node for node in graph.nodes if _samples(graph, node)]
    first = [node for node in samplers if not _goes_on(graph, node, samplers)]
    if not samplers:
        return Infotext(program="ComfyUI", remarks=(f"Its graph has no sampler. {_kinds(graph)}".strip(),))
    main = (first or samplers)[0]
    parts = [main, *filter(None, (graph.target(graph.inputs(main).get(part)) for part in _PARTS))]
    fields = {
        key: as_text(value)
        for key, names in _SETTINGS.items()
        if not is_off(value := _first(graph, parts, names)) or value == 0
    }
    if fields.get("Denoising strength") == "1":
        del fields["Denoising strength"]
    given = _given(graph, main)
    positive, negative = given.get("positive") or given.get("conditioning"), given.get("negative")
    chain = list(graph.back(given.get("model") or [main, 0], {"clip", "vae"}))
    fields |= _size(graph, given.get("latent_image") or [main, 0]) | _files(graph, chain, positive)
    more = len(samplers) - 1
    remarks = [f"{more} more samplers of its graph are not read."] if more > 1 else []
    remarks += ["One more sampler of its graph is not read."] if more == 1 else []
    return Infotext(
        prompt=add_loras(_words(graph, positive, "positive"), _loras(graph, chain)),
        negative_prompt=_words(graph, negative, "negative"),
        fields=fields,
        program="ComfyUI",
        remarks=tuple(filter(None, [*remarks, _kinds(graph)])),
    )


def _samples(graph: Graph, node: str) -> bool:
    inputs = set(graph.inputs(node))
    if {"guider", "sigmas"} <= inputs or {"sampler_name", "steps", "cfg"} <= inputs:
        return True
    return "positive" in inputs and not _OF_A_SAMPLER.isdisjoint(inputs)


def _given(graph: Graph, main: str) -> dict[str, object]:
    """Return a sampler's inputs with those of its guider, or of the node that hands it all of them in one."""
    given = graph.inputs(main)
    given = {**graph.inputs(graph.target(given.get("guider")) or ""), **given}
    if "positive" not in given and "conditioning" not in given:
        behind = (graph.inputs(node) for node in graph.back([main, 0]))
        given = {**next((inputs for inputs in behind if "positive" in inputs), {}), **given}
    return given


def _goes_on(graph: Graph, node: str, samplers: list[str]) -> bool:
    """Tell whether a sampler begins from what another one made."""
    inputs = graph.inputs(node)
    start = next((inputs[name] for name in ("latent_image", "samples", "image") if name in inputs), None)
    others = set(samplers) - {node}
    return any(one in others for one in graph.back(start, {"model", "clip", "vae", "positive", "negative"}))


def _first(graph: Graph, nodes: list[str], names: tuple[str, ...]) -> object:
    values = (graph.value(node, name) for node in nodes for name in names if name in graph.inputs(node))
    return next((value for value in values if value is not None), None)


def _words(graph: Graph, link: object, side: str) -> str:
    """Return the words that conditioning comes from; of several texts one after the other.

    Nodes that change both conditionings hand on each by its name, `side`.
    """
    if isinstance(link, str):
        return link.strip()
    found: list[str] = []
    waiting = deque([link])
    seen: set[str] = set()
    while waiting and len(seen) < MAX_HOPS:
        node = graph.target(waiting.popleft())
        if node is None or node in seen or graph.nodes.get(node, {}).get("class_type") in _EMPTIED:
            continue
        seen.add(node)
        inputs = graph.inputs(node)
        names = [name for name in inputs if name == side or _TEXT.fullmatch(name)]
        if joined := _joined(graph, inputs):
            found.append(joined)
            continue
        texts = [text.strip() for name in names if isinstance(text := graph.value(node, name), str)]
        found += dict.fromkeys(text for text in texts if text and text not in found)
        if side in inputs and not texts:
            waiting.append(inputs[side])
        elif not texts:
            waiting.extend(value for name, value in inputs.items() if name not in _NO_WORDS)
    return ", ".join(found)


def _joined(graph: Graph, inputs: dict[str, object], depth: int = 0) -> str:
    """Return the texts that a node joins, with what it puts between them; nothing for another node."""
    between = next((inputs[name] for name in _BETWEEN if isinstance(inputs.get(name), str)), None)
    if not isinstance(between, str) or depth > MAX_CHAIN:
        return ""
    texts = [
        _text_of(graph, value, depth)
        for name, value in inputs.items()
        if name not in _BETWEEN and _TEXT.fullmatch(name)
    ]
    return between.replace("\\n", "\n").join(filter(None, texts)).strip()


def _text_of(graph: Graph, value: object, depth: int) -> str:
    """Return a text, or the one that a link leads to."""
    target = graph.target(value)
    if target is None:
        return value if isinstance(value, str) else ""
    inputs = graph.inputs(target)
    if joined := _joined(graph, inputs, depth + 1):
        return joined
    found = graph.link(value)
    return found if isinstance(found, str) else ""


def _size(graph: Graph, link: object) -> dict[str, str]:
    for node in graph.back(link, {"model", "clip", "vae", "positive", "negative"}):
        for width, height in _SIZES:
            if size := size_text(graph.value(node, width), graph.value(node, height)):
                return size
    return {}


def _files(graph: Graph, chain: list[str], positive: object) -> dict[str, str]:
    """Return model, VAE and clip skip."""
    fields: dict[str, str] = {}
    if model := _first(graph, chain, _MODELS):
        fields["Model"] = file_name(model)
    for node in graph.nodes:
        vae = graph.value(node, "vae_name")
        if isinstance(vae, str) and vae != "Baked VAE":
            fields["VAE"] = file_name(vae)
    for node in (*graph.back(positive), *chain):
        layer = _first(graph, [node], ("stop_at_clip_layer", "clip_skip"))
        if isinstance(layer, int) and layer < -1:  # -2 is what others call 2
            fields.setdefault("Clip skip", str(-layer))
    return fields


def _loras(graph: Graph, chain: list[str]) -> list[tuple[object, object]]:
    """Return the LoRAs on the way to the model, the first applied first, with their scales."""
    found: list[tuple[object, object]] = []
    for node in reversed(chain):
        name = graph.value(node, "lora_name")
        if isinstance(name, str) and not is_off(name):
            unet = _first(graph, [node], ("strength_model", "lora_model_strength"))
            found.append((name, _scales(0 if unet is None else unet, graph.value(node, "strength_clip"))))
        found += _stacked(graph, node)
    return found


def _scales(unet: object, words: object) -> str:
    """Return the scales of a tag: one for both, or the text encoder's and the U-Net's."""
    is_one = words is None or as_text(words) == as_text(unet)
    return as_text(unet) if is_one else f"{as_text(words)}:{as_text(unet)}"


def _stacked(graph: Graph, node: str) -> list[tuple[object, object]]:
    """Return the LoRAs of a node that holds several: numbered inputs, or an object each."""
    inputs = graph.inputs(node)
    count = graph.value(node, "lora_count")
    found: list[tuple[object, object]] = []
    for key, value in inputs.items():
        if not (numbered := _NUMBERED.fullmatch(key)):
            continue
        if isinstance(value, dict):  # rgthree's
            if value.get("on", True) and not is_off(value.get("lora")):
                found.append((value["lora"], _scales(value.get("strength", 1), value.get("strengthTwo"))))
            continue
        name, number = graph.value(node, key), numbered[1]
        is_left_out = inputs.get(f"switch_{int(number)}") == "Off" or (
            isinstance(count, int) and int(number) > count
        )
        if isinstance(name, str) and not is_off(name) and not is_left_out:
            kinds = (("lora_wt",), ()) if inputs.get("input_mode") == "simple" else _WEIGHTS
            unet, words = (
                _first(graph, [node], tuple(f"{one}_{number}" for one in names)) for names in kinds
            )
            found.append((name, _scales(1 if unet is None else unet, words)))
    return found


def _kinds(graph: Graph) -> str:
    """Name the kinds of nodes that are not read."""
    kinds = {str(node.get("class_type")) for key, node in graph.nodes.items() if key not in graph.used}
    others = sorted(kind[:40] for kind in kinds if not kind.startswith(_PLAIN))
    if not others:
        return ""
    more = f" and {len(others) - 12} more" if len(others) > 12 else ""
    return f"Nodes of its graph that are not read: {', '.join(others[:12])}{more}."
