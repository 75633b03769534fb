"""The text encoder layer by layer: the picture from what each layer has made of the prompt.

The hidden state of layer k goes through the encoder's last normalisation and is read by the U-Net in place of
the last layer's (Diffusion Lens, Toker et al. 2024). The negative prompt is read as in the run. SDXL reads
two encoders, the last layer but one of each and not normalised: both go up together, each by its share of the
layers, and what it reads beside them, the pooled vector, stays that of the whole second encoder.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from ..expressions import parse_prompt
from ..generation.prompt_embeds import Steps, encode_steps
from ..probes.recording import Recording
from ..requests import LookAnswer, Txt2ImgRequest
from ..settings import EMBEDDED_MODEL
from ..text.embeddings import Encoder
from ..text.prompt_embeds import WINDOW, PromptEmbeds
from ..weights.pipeline import Pipeline
from .actions import Action, Given, whole
from .again import Again, make_frames, of_picture
from .decided import read_attributes, stays_as_last
from .look import Look
from .panel import EXACT, Panel, PanelFiles
from .sheets import sheet, shown, tile_size

Layers = tuple[int, ...]  # the layer of each text encoder, from 1

POOLED = (
    "SDXL reads one more vector, pooled from the whole second encoder: it stays as it was, so even the first"
    " picture knows something of the prompt."
)


@dataclass(frozen=True, kw_only=True, eq=False)
class LayerPicture:
    """The picture from one layer."""

    layers: Layers
    is_read: bool  # the layer that the run itself read
    again: Again


def layers_of(pipe: Pipeline, request: Txt2ImgRequest) -> list[Layers]:
    """List the layers from the first to the last, of two encoders in pairs up to those that are read."""
    read = layers_read(pipe, request)
    if not pipe.is_xl:
        return [(layer,) for layer in range(1, num_layers(pipe)[0] + 1)]
    first, second = read
    return [(layer, max(1, round(layer * second / first))) for layer in range(1, first + 1)]


def num_layers(pipe: Pipeline) -> Layers:
    """Return how many layers each text encoder has."""
    return tuple(encoder.config.num_hidden_layers for encoder in pipe.text_encoders)


def layers_read(pipe: Pipeline, request: Txt2ImgRequest) -> Layers:
    """Return the layer of each encoder that a run reads: the last one, or as clip_skip says."""
    skip = max(request.clip_skip, 2) if pipe.is_xl else request.clip_skip
    return tuple(count - skip + 1 for count in num_layers(pipe))


class LayerPrompt:
    """A part of a job: its one picture reads the prompt as layers of the text encoders have it."""

    def __init__(self, layers: Layers) -> None:
        self._layers = layers

    def encode(self, pipe: Pipeline, requests: Sequence[Txt2ImgRequest]) -> Steps:
        """Return what is read at each step; the negative prompt as ever."""
        [request] = requests
        steps = encode_steps(Encoder(pipe, request.clip_skip), requests)
        skips = tuple(count - layer + 1 for count, layer in zip(num_layers(pipe), self._layers, strict=True))
        encoder = Encoder(pipe, skips)
        known = {embeds: _at_layer(encoder, embeds) for embeds in dict.fromkeys(steps)}
        return tuple(known[embeds] for embeds in steps)


def _at_layer(encoder: Encoder, embeds: PromptEmbeds) -> PromptEmbeds:
    """Encode the texts of one picture anew, each to as many windows as it had."""

    def encode(text: str, rows: Tensor) -> Tensor:
        return encoder.encode(parse_prompt(text), rows.shape[1] // WINDOW)

    first, *others = embeds.texts
    return replace(
        embeds,
        positive=encode(first, embeds.positive),
        joined=tuple(encode(text, rows) for text, rows in zip(others, embeds.joined, strict=True)),
    )


def with_layer(look: Look, layers: Layers) -> Again:
    """Make the picture again from these layers of the text encoders. Raise as the job itself."""
    [picture] = make_frames(
        look, look.request, change=lambda parts: replace(parts, prompts=LayerPrompt(layers))
    )
    return of_picture(look.recording, picture, label=label_of(layers))


def layer_pictures(look: Look) -> list[LayerPicture]:
    """Make the picture from each layer."""
    with look.pipe() as pipe:
        every, read = layers_of(pipe, look.request), layers_read(pipe, look.request)
    return [
        LayerPicture(layers=layers, is_read=layers == read, again=with_layer(look, layers))
        for layers in every
    ]


def label_of(layers: Layers) -> str:
    """Name a layer, or the pair of them."""
    return f"layer {' and '.join(map(str, layers))}"


def make_encoder(look: Look) -> PanelFiles:
    """Make the picture from each layer, and of the embedded model what is drawn from which layer on."""
    made = layer_pictures(look)
    size = tile_size(look.recording.decoded)
    tiles = [("as it was", shown(look.recording.decoded, size))]
    for one in made:
        mark = ", which the run read" if one.is_read else ""
        label = f"{one.again.label}{mark}: {100 * one.again.changed_share:.0f} % differs"
        tiles.append((label, shown(one.again.picture, size)))
    return PanelFiles(
        pictures={
            "layers": sheet(tiles, title="The same noise, reading the prompt from each layer", columns=7)
        },
        arrays={"differences": np.stack([one.again.difference for one in made])},
        tables={"layers": layers_table(look.recording, made)},
        said=[*([POOLED] if len(made[0].layers) > 1 else []), *_said(look.recording, made)],
    )


def _said(recording: Recording, made: Sequence[LayerPicture]) -> list[str]:
    said = [f"From {one.again.label}: {one.again.sentence}" for one in made]
    for what, read in _read(recording, made).items():
        first = stays_as_last(read[1:])
        said.append(f"From {made[first].again.label} on the {what} stays {read[-1]}.")
    return said


def _read(recording: Recording, made: Sequence[LayerPicture]) -> dict[str, list[str]]:
    """Return what the embedded model's judge reads, the recorded picture first; nothing of other models."""
    if recording.facts.model != EMBEDDED_MODEL:
        return {}
    return read_attributes([recording.decoded, *(one.again.picture for one in made)])


def layers_table(recording: Recording, made: Sequence[LayerPicture]) -> list[list[object]]:
    """Return a row a layer."""
    read = _read(recording, made)
    head: list[object] = [
        "layer",
        "read_by_the_run",
        "mean_change_of_255",
        "changed_share",
        "identical",
        *read,
    ]
    rows = [
        [
            one.again.label.removeprefix("layer "),
            one.is_read,
            one.again.mean_change,
            one.again.changed_share,
            one.again.is_identical,
            *(values[number] for values in read.values()),
        ]
        for number, one in enumerate(made, start=1)
    ]
    return [head, *rows]


def _why_not(recording: Recording) -> str:
    return "" if recording.request.prompt.strip() else "The prompt is empty: there is nothing to encode."


def list_layers(look: Look, given: Given) -> LookAnswer:
    """Return the layers that a picture can be made from, and which of them the run read."""
    with look.pipe() as pipe:
        every, read = layers_of(pipe, look.request), layers_read(pipe, look.request)
    listed = [{"label": label_of(layers), "is_read": layers == read} for layers in every]
    return LookAnswer(numbers={"layers": listed, "said": POOLED if len(read) > 1 else ""})


def from_layer(look: Look, given: Given) -> LookAnswer:
    """Make the picture from the layer of a `number`, counted from 0 in the list."""
    with look.pipe() as pipe:
        every = layers_of(pipe, look.request)
    again = with_layer(look, every[whole(given, "number", 0, len(every) - 1)])
    shows: dict[str, str] = {}
    if look.recording.facts.model == EMBEDDED_MODEL:
        shows = {what: read[0] for what, read in read_attributes([again.picture]).items()}
    numbers = {"said": again.sentence, "shows": shows, **again.changes}
    return LookAnswer(numbers=numbers, pictures={"picture": again.picture})


PANEL = Panel(
    name="encoder",
    title="The text encoder, layer by layer",
    seen="The same noise was run with the prompt as each layer of the text encoder has it, from the first to"
    " the last. What the picture shows only from some layer on, the encoder had not worked out before it.",
    not_shown="It does not show all that an early layer knows: the U-Net learned to read the last layers"
    " alone, so what it makes of early ones lies outside what it learned.",
    formula="c_k = LN(h_k): the hidden state of layer k through the encoder's last normalisation, in place of"
    " the last layer's (Toker et al. 2024); SDXL: h_k of both encoders side by side, not normalised, each by"
    " its share of the layers, the pooled vector as it was. The negative prompt stays as it was.",
    exactness=EXACT,
    make=make_encoder,
    actions=(Action(name="begin", answer=list_layers), Action(name="layer", answer=from_layer)),
    why_not=_why_not,
    makes_pictures=True,
)
