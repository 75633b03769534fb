"""The left side's blocks for blends, walks and planes, and their examples."""

from dataclasses import dataclass

import gradio as gr

from ...requests import MAX_FRAMES, BlendRequest, PlaneRequest, WalkRequest, request_fields
from ..shared.components import Fields
from ..shared.controls import examples_block, panel_title, words_box
from ..shared.field_controls import control
from ..shared.form import MODES
from ..shared.studio_protocol import PageSettings

# One click each; the words are such that the embedded model knows them too. Each was looked at over eight
# seeds: in the all space weights that add up to 1.43 left no animal in five of them.
BLENDS = (
    "a drawing of {row: cat + 0.43*dog}",
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
    if text not in WAYS:
        return {}
    return dict(zip(("a", "b", "prompt"), WAYS[text], strict=True)) | {"space": usual_space("walk")}


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
        "expression": (BlendRequest, "cat + 0.43*dog", ("blend",)),
        "a": (WalkRequest, "cat", ("walk", "plane")),
        "b": (WalkRequest, "dog", ("walk", "plane")),
        "direction": (PlaneRequest, "tabby", ("plane",)),
    }
    fields: Fields = {}
    spelling: dict[str, gr.HTML] = {}
    for name, (request_type, placeholder, modes) in known.items():
        fields[name] = words_box(request_type, name, placeholder, *shown_in(*modes))
        spelling[name] = line_block(*shown_in(*modes))
    fields["prompt"] = words_box(
        BlendRequest, "prompt", "{} marks where it goes: a drawing of {}", *shown_when_making()
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


def space_block() -> Fields:
    """Make the choice of where to compute, and whether a blend's weights shall add up to 1."""
    with gr.Group(elem_classes=["panel", *shown_when_making()]):
        panel_title("Where to compute")
        return {
            "space": control(BlendRequest, "space", show_label=False, elem_classes=["choice", "spaces"]),
            "normalize": control(BlendRequest, "normalize", explained=True, elem_classes=shown_in("blend")),
        }


def usual_space(mode: object) -> str:
    """Return the space that a mode of the tab begins with; a walk's ends are then the plain pictures."""
    request_type = {"walk": WalkRequest, "plane": PlaneRequest}.get(str(mode), BlendRequest)
    return str(request_fields(request_type)["space"].default)


def most_frames(settings: PageSettings) -> int:
    """Return how many frames a walk may have here: a visitor's count as pictures (requests.check_limits)."""
    return MAX_FRAMES if settings.mode == "local" else min(MAX_FRAMES, settings.max_images)


def walk_block(most: int) -> Fields:
    """Make what only a walk asks, of at most so many frames."""
    least = int(request_fields(WalkRequest)["frames"].bound("low"))
    with gr.Group(elem_classes=["panel", *shown_in("walk")]):
        panel_title("Walk")
        with gr.Row(elem_classes="field-row"):
            frames = control(WalkRequest, "frames", label=f"Frames, {least}–{most}", min_width=70)
            fps = control(WalkRequest, "fps", min_width=70)
        film = control(WalkRequest, "film", names=("mp4", "webp", "none"), elem_classes="choice")
        bisect = control(WalkRequest, "bisect", explained=True)
    return {"frames": frames, "fps": fps, "film": film, "bisect": bisect}


def plane_block() -> Fields:
    """Make what only a plane asks."""
    with gr.Group(elem_classes=["panel", *shown_in("plane")]):
        panel_title("Plane")
        with gr.Row(elem_classes="field-row"):
            sides = {name: control(PlaneRequest, name, min_width=60) for name in ("rows", "columns")}
            for name, factor in (("low", -0.43), ("high", 0.43)):
                sides[name] = control(PlaneRequest, name, value=factor, min_width=60)
    return sides
