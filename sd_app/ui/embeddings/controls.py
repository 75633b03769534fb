"""The left side's blocks for blends, walks and planes, and their examples."""

from dataclasses import dataclass

import gradio as gr

from ...requests import MAX_FPS, MAX_FRAMES
from ..shared.components import Fields
from ..shared.controls import examples_block, panel_title, text_box
from ..shared.form import MODES

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


def way_of(text: str) -> dict[str, str]:
    """Return the fields of one of WAYS."""
    return dict(zip(("a", "b", "prompt"), WAYS.get(text, ()), strict=False))


def plane_of(text: str) -> dict[str, str]:
    """Return the fields of one of PLANES."""
    return dict(zip(("a", "b", "direction", "prompt"), PLANES.get(text, ()), strict=False))


def shown_in(*modes: str) -> list[str]:
    """Return the classes of what is shown in these modes only."""
    return ["only", *(f"on-{mode}" for mode in modes)]


def shown_when_making() -> list[str]:
    """Return the classes of what belongs to making pictures."""
    return shown_in(*MODES[1:])


@dataclass(frozen=True, kw_only=True)
class ExpressionFields:
    """The fields that hold expressions, and the prompt around them."""

    fields: Fields
    spelling: dict[str, gr.HTML]
    prompt_line: gr.HTML
    chips: dict[str, gr.HTML]


def expression_fields() -> ExpressionFields:
    """Make the fields for expressions, each with the line that reads along."""
    known = {
        "expression": ("Expression", "cat + 0.43*dog", ("blend",)),
        "a": ("From", "cat", ("walk", "plane")),
        "b": ("To", "dog", ("walk", "plane")),
        "direction": ("Add in columns", "tabby", ("plane",)),
    }
    fields: Fields = {}
    spelling: dict[str, gr.HTML] = {}
    for name, (label, placeholder, modes) in known.items():
        fields[name] = text_box(label, placeholder, *shown_in(*modes))
        spelling[name] = line_block(*shown_in(*modes))
    fields["prompt"] = text_box(
        "Prompt around it", "{} is where it goes: a drawing of {}", *shown_when_making(), value="{}"
    )
    whole = line_block(*shown_in("blend"))
    chips = {
        "blend": examples_block(list(BLENDS), *shown_in("blend")),
        "walk": examples_block(list(WAYS), *shown_in("walk")),
        "plane": examples_block(list(PLANES), *shown_in("plane")),
    }
    return ExpressionFields(fields=fields, spelling=spelling, prompt_line=whole, chips=chips)


def line_block(*classes: str) -> gr.HTML:
    """Make the line below an expression."""
    return gr.HTML("", elem_classes=["token-line", "spelling", *classes], apply_default_css=False)


def space_block() -> gr.Radio:
    """Make the choice of where to compute."""
    with gr.Group(elem_classes=["panel", *shown_when_making()]):
        panel_title("Where to compute")
        return gr.Radio(
            list(SPACES.items()),
            value="all",
            show_label=False,
            label="Space",
            elem_classes=["choice", "spaces"],
        )


def walk_block() -> Fields:
    """Make what only a walk asks."""
    with gr.Group(elem_classes=["panel", *shown_in("walk")]):
        panel_title("Walk")
        with gr.Row(elem_classes="field-row"):
            frames = gr.Number(9, label=f"Frames, 2–{MAX_FRAMES}", step=1, min_width=70)
            fps = gr.Number(8, label=f"Frames a second, 1–{MAX_FPS}", step=1, min_width=70)
        film = gr.Radio(list(FILMS.items()), value="mp4", label="Film", elem_classes="choice")
        bisect = gr.Checkbox(
            False,
            label="Find the jump",
            info="Halves the largest jump until it is no wider than 1/1024",
        )
    return {"frames": frames, "fps": fps, "film": film, "bisect": bisect}


def plane_block() -> Fields:
    """Make what only a plane asks."""
    with gr.Group(elem_classes=["panel", *shown_in("plane")]):
        panel_title("Plane")
        with gr.Row(elem_classes="field-row"):
            rows = gr.Number(5, label="Rows", step=1, min_width=60)
            columns = gr.Number(7, label="Columns", step=1, min_width=60)
            low = gr.Number(-0.43, label="First ×", step=0.01, min_width=60)
            high = gr.Number(0.43, label="Last ×", step=0.01, min_width=60)
    return {"rows": rows, "columns": columns, "low": low, "high": high}
