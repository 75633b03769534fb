"""The left side's blocks for blends, walks and planes, and their examples."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from ...requests import BlendRequest, PlaneRequest, WalkRequest
from ..shared.controls import examples_block, panel_title, words_box
from ..shared.field_controls import control
from ..shared.form import MODES

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


def only(*modes: str) -> list[str]:
    """Return the classes of what is shown in these modes only."""
    return ["only", *(f"on-{mode}" for mode in modes)]


def making() -> list[str]:
    """Return the classes of what belongs to making pictures."""
    return only(*MODES[1:])


@dataclass(frozen=True, kw_only=True)
class ExpressionFields:
    """The fields that hold expressions, and the prompt around them."""

    fields: dict[str, Any]
    spelling: dict[str, Any]
    prompt_line: Any
    chips: dict[str, Any]


def words_block() -> ExpressionFields:
    """Make the fields for expressions, each with the line that reads along."""
    known = {
        "expression": (BlendRequest, "cat + 0.43*dog", ("blend",)),
        "a": (WalkRequest, "cat", ("walk", "plane")),
        "b": (WalkRequest, "dog", ("walk", "plane")),
        "direction": (PlaneRequest, "tabby", ("plane",)),
    }
    fields, spelling = {}, {}
    for name, (request_type, placeholder, modes) in known.items():
        fields[name] = words_box(request_type, name, placeholder, *only(*modes))
        spelling[name] = line_block(*only(*modes))
    fields["prompt"] = words_box(BlendRequest, "prompt", "{} is where it goes: a drawing of {}", *making())
    whole = line_block(*only("blend"))
    chips = {
        "blend": examples_block(list(BLENDS), *only("blend")),
        "walk": examples_block(list(WAYS), *only("walk")),
        "plane": examples_block(list(PLANES), *only("plane")),
    }
    return ExpressionFields(fields=fields, spelling=spelling, prompt_line=whole, chips=chips)


def line_block(*classes: str) -> Any:
    """Make the line below an expression."""
    return gr.HTML("", elem_classes=["token-line", "spelling", *classes], apply_default_css=False)


def space_block() -> Any:
    """Make the choice of where to compute."""
    with gr.Group(elem_classes=["panel", *making()]):
        panel_title("Where to compute")
        return control(BlendRequest, "space", show_label=False, elem_classes=["choice", "spaces"])


def walk_block() -> dict[str, Any]:
    """Make what only a walk asks."""
    with gr.Group(elem_classes=["panel", *only("walk")]):
        panel_title("Walk")
        with gr.Row(elem_classes="field-row"):
            frames = control(WalkRequest, "frames", min_width=70)
            fps = control(WalkRequest, "fps", min_width=70)
        film = control(WalkRequest, "film", names=("mp4", "webp", "none"), elem_classes="choice")
        bisect = control(WalkRequest, "bisect", explained=True)
    return {"frames": frames, "fps": fps, "film": film, "bisect": bisect}


def plane_block() -> dict[str, Any]:
    """Make what only a plane asks."""
    with gr.Group(elem_classes=["panel", *only("plane")]):
        panel_title("Plane")
        with gr.Row(elem_classes="field-row"):
            sides = {name: control(PlaneRequest, name, min_width=60) for name in ("rows", "columns")}
            for name, factor in (("low", -0.43), ("high", 0.43)):
                sides[name] = control(PlaneRequest, name, value=factor, min_width=60)
    return sides
