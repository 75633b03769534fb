"""The tab "Embeddings": what a prompt becomes, and arithmetic with it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr

from ..catalog import ModelInfo
from ..requests import MAX_FPS, MAX_FRAMES, BlendRequest, PlaneRequest, WalkRequest, take_apart
from .controls import (
    PromptBlock,
    advanced_block,
    examples_block,
    go_row,
    notice_block,
    panel_title,
    parameter_drop,
    sampling_block,
    size_block,
    text_box,
)
from .form import MODES
from .jobs import Line
from .maker import Maker, picked
from .memory import QUIET
from .pictures import Shelf
from .spelling import expression_line, prompt_line
from .stage import stage_block
from .tokens import TokenView, token_view

NAME = "embeddings"
EXPRESSIONS = ("expression", "a", "b", "direction")
SPACES = {
    "All rows. Each phrase is read in the whole prompt; all 77 rows that come out are computed with.": "all",
    "Output row. Of what comes out only the slot's own rows are computed with; the others stay those of the"
    " first phrase.": "row",
    "Input vectors. The words are computed with before the encoder reads them, so every later row"
    " follows.": "input",
}
METHODS = {"Straight (lerp)": "lerp", "On the sphere (slerp)": "slerp"}
FILMS = {"MP4": "mp4", "WebP": "webp", "None": "none"}
# One click each; the words are such that the embedded model knows them too.
BLENDS = (
    "a drawing of {cat + 0.43*dog}",
    "a big orange {lerp(cat, dog, 0.5)} in a meadow",
    "a big {mean(red, blue)} circle on the beach",
    "a big red {input: circle + 0.5*square} on the beach",
)
WAYS = {  # a, b and the prompt around them
    "circle → square": ("circle", "square", "a big red {} on the beach"),
    "cat → dog": ("cat", "dog", "a big orange {} in a meadow"),
    "red → blue": ("red", "blue", "a big {} circle on the beach"),
}
PLANES = {"cat → kitten, ± dog": ("cat", "kitten", "dog", "a drawing of {}")}


@dataclass(frozen=True, kw_only=True)
class Mixer(Maker):
    """The tab, assembled: a maker of blends, walks and planes, and the token view."""

    tokens: TokenView
    show: Any  # the button that asks for the numbers
    stop_reading: Any
    spelling: dict[str, Any]  # an expression's field -> the line below it
    prompt_line: Any
    chips: dict[str, Any]  # mode -> its examples

    def wire(self, demo: Any) -> None:
        super().wire(demo)
        self.tokens.wire(dict(self.form), self.show)
        self.stop_reading.click(self.stop_mine, **QUIET)
        self._wire_spelling()
        for name, fields_of in (("blend", take_apart), ("walk", way_of), ("plane", plane_of)):
            self.chips[name].pick(self._taker(fields_of), outputs=self._filled, **QUIET)

    def _wire_spelling(self) -> None:
        quick: dict[str, Any] = {"preprocess": False, "trigger_mode": "always_last", **QUIET}
        for name, line in self.spelling.items():
            field = self.form[name]
            field.change(partial(expression_line, name), inputs=field, outputs=line, **quick)
        around = [self.form[name] for name in ("prompt", "expression", "space")]
        gr.on(
            [field.change for field in around], prompt_line, inputs=around, outputs=self.prompt_line, **quick
        )

    @property
    def _filled(self) -> list[Any]:
        return [self.form[name] for name in ("prompt", "space", *EXPRESSIONS)]

    def _taker(self, fields_of: Callable[[str], dict[str, str]]) -> Callable[[gr.EventData], dict[Any, Any]]:
        """Return what fills the form from an example that was picked."""

        def take(event: gr.EventData) -> dict[Any, Any]:
            return self.fill(fields_of(picked(event)))

        return take


def way_of(text: str) -> dict[str, str]:
    """Return the fields of one of WAYS."""
    return dict(zip(("a", "b", "prompt"), WAYS.get(text, ()), strict=False))


def plane_of(text: str) -> dict[str, str]:
    """Return the fields of one of PLANES."""
    return dict(zip(("a", "b", "direction", "prompt"), PLANES.get(text, ()), strict=False))


def embeddings_tab(studio: Any, line: Line, shelf: Shelf, *, picker: Any, model: ModelInfo | None) -> Mixer:
    """Build the tab. `picker` is the header's model picker, `model` its first choice."""
    with (
        gr.Tab("Embeddings", id=NAME, elem_id=f"tab-{NAME}"),
        gr.Row(elem_classes="maker", equal_height=False),
    ):
        with gr.Column(elem_classes="ask", scale=0, min_width=320):
            notice = notice_block()
            modes = [(mode.capitalize(), mode) for mode in MODES]
            mode = gr.Radio(modes, value=MODES[0], label="What to do", elem_classes=["choice", "modes"])
            texts = {
                "text": text_box("Prompt", "What you want to look into", *only("tokens"), lines=3),
                "other": text_box("Second prompt, to compare", "Change one word", *only("tokens")),
            }
            examples = examples_block(list(model.example_prompts) if model else [], *only("tokens"))
            show, stop_reading = go_row("Show the numbers", "show-numbers", *only("tokens"))
            asked = words_block()
            negative = text_box("Negative prompt", "What it must not show", *making())
            negative_line = gr.HTML(
                "", elem_classes=["token-line", "negative-line", *making()], apply_default_css=False
            )
            generate, stop = go_row("Generate", *making())
            space = space_block()
            walk = walk_block()
            way = gr.Radio(
                list(METHODS.items()),
                value="lerp",
                label="Way",
                elem_classes=["choice", *only("walk", "plane")],
            )
            plane = plane_block()
            with gr.Column(elem_classes=["making", *making()], scale=0, min_width=0):
                sampling = sampling_block(model, studio.schedulers())
                sizes = size_block(model, "Size", several=False)
            again = sampling.pop("again")
            advanced = advanced_block()
            drop = parameter_drop()
        with gr.Column(elem_classes="get", scale=1, min_width=320):
            tokens = token_view(studio, line)
            stage = stage_block(NAME, *making())
    form = {
        "mode": mode,
        **texts,
        **asked.fields,
        "negative_prompt": negative,
        "space": space,
        "model": picker,
        **walk,
        "method": way,
        **plane,
        **sampling,
        **sizes,
        **advanced,
    }
    return Mixer(
        name=NAME,
        kinds={"blend": BlendRequest, "walk": WalkRequest, "plane": PlaneRequest},
        studio=studio,
        line=line,
        shelf=shelf,
        form=form,
        prompts=PromptBlock(
            fields={"prompt": asked.fields["prompt"], "negative_prompt": negative},
            lines={"negative_prompt": negative_line},
            examples=examples,
            notice=notice,
            example_for="text",
        ),
        generate=generate,
        stop=stop,
        stage=stage,
        drop=drop,
        again=again,
        tokens=tokens,
        show=show,
        stop_reading=stop_reading,
        spelling=asked.spelling,
        prompt_line=asked.prompt_line,
        chips=asked.chips,
    )


def only(*modes: str) -> list[str]:
    """Return the classes of what is shown in these modes only."""
    return ["only", *(f"on-{mode}" for mode in modes)]


def making() -> list[str]:
    """Return the classes of what belongs to making pictures."""
    return only(*MODES[1:])


@dataclass(frozen=True, kw_only=True)
class WordsBlock:
    """The fields that hold expressions, and the prompt around them."""

    fields: dict[str, Any]
    spelling: dict[str, Any]
    prompt_line: Any
    chips: dict[str, Any]


def words_block() -> WordsBlock:
    """Make the fields for expressions, each with the line that reads along."""
    known = {
        "expression": ("Expression", "cat + 0.43*dog", ("blend",)),
        "a": ("From", "cat", ("walk", "plane")),
        "b": ("To", "dog", ("walk", "plane")),
        "direction": ("Add in columns", "tabby", ("plane",)),
    }
    fields, spelling = {}, {}
    for name, (label, placeholder, modes) in known.items():
        fields[name] = text_box(label, placeholder, *only(*modes))
        spelling[name] = line_block(*only(*modes))
    fields["prompt"] = text_box(
        "Prompt around it", "{} is where it goes: a drawing of {}", *making(), value="{}"
    )
    whole = line_block(*only("blend"))
    chips = {
        "blend": examples_block(list(BLENDS), *only("blend")),
        "walk": examples_block(list(WAYS), *only("walk")),
        "plane": examples_block(list(PLANES), *only("plane")),
    }
    return WordsBlock(fields=fields, spelling=spelling, prompt_line=whole, chips=chips)


def line_block(*classes: str) -> Any:
    """Make the line below an expression."""
    return gr.HTML("", elem_classes=["token-line", "spelling", *classes], apply_default_css=False)


def space_block() -> Any:
    """Make the choice of where to compute."""
    with gr.Group(elem_classes=["panel", *making()]):
        panel_title("Where to compute")
        return gr.Radio(
            list(SPACES.items()),
            value="all",
            show_label=False,
            label="Space",
            elem_classes=["choice", "spaces"],
        )


def walk_block() -> dict[str, Any]:
    """Make what only a walk asks."""
    with gr.Group(elem_classes=["panel", *only("walk")]):
        panel_title("Walk")
        with gr.Row(elem_classes="field-row"):
            frames = gr.Number(9, label=f"Frames, 2–{MAX_FRAMES}", step=1, min_width=70)
            fps = gr.Number(8, label=f"Frames a second, 1–{MAX_FPS}", step=1, min_width=70)
        film = gr.Radio(list(FILMS.items()), value="mp4", label="Film", elem_classes="choice")
        bisect = gr.Checkbox(
            False,
            label="Find the jump",
            info="Halves the largest jump until it is narrower than 1/1024",
        )
    return {"frames": frames, "fps": fps, "film": film, "bisect": bisect}


def plane_block() -> dict[str, Any]:
    """Make what only a plane asks."""
    with gr.Group(elem_classes=["panel", *only("plane")]):
        panel_title("Plane")
        with gr.Row(elem_classes="field-row"):
            rows = gr.Number(5, label="Rows", step=1, min_width=60)
            columns = gr.Number(7, label="Columns", step=1, min_width=60)
            low = gr.Number(-0.43, label="First ×", step=0.01, min_width=60)
            high = gr.Number(0.43, label="Last ×", step=0.01, min_width=60)
    return {"rows": rows, "columns": columns, "low": low, "high": high}
