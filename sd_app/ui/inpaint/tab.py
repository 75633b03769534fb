"""The tab "Inpaint"."""

import gradio as gr

from ...requests import RESIZE_MODES, SIDES, InpaintRequest
from ..shared.browser_state import QUIET
from ..shared.components import Fields
from ..shared.controls import panel_title
from ..shared.field_controls import control
from ..shared.form import MARGINS
from ..shared.making_tab import MakingTab


def own_fields() -> Fields:
    """Make the blocks that only this tab has."""
    return {**painted_block(), **seam_block(), **extend_block()}


def painted_block() -> Fields:
    """Make what is said about the painted area."""
    with gr.Group(elem_classes="panel"):
        panel_title("Masked area")
        contents = control(InpaintRequest, "masked_content", explained=True, elem_classes="choice")
        with gr.Row(elem_classes="field-row checks"):
            invert = control(InpaintRequest, "invert_mask")
            soft = control(InpaintRequest, "soft_mask")
        only = control(InpaintRequest, "only_masked")
        padding = control(InpaintRequest, "padding", explained=True, visible=False)
    only.change(lambda on: gr.update(visible=on is True), inputs=only, outputs=padding, **QUIET)
    return {
        "masked_content": contents,
        "invert_mask": invert,
        "soft_mask": soft,
        "only_masked": only,
        "padding": padding,
    }


def seam_block() -> Fields:
    """Make what can be done about a visible edge."""
    with gr.Accordion("Soften the edge", open=False, elem_classes="panel folded"):
        feather = control(InpaintRequest, "feather", explained=True)
        blend = control(InpaintRequest, "blend", elem_classes="choice")
        match = control(InpaintRequest, "color_match")
    return {"feather": feather, "blend": blend, "color_match": match}


def extend_block() -> Fields:
    """Make how far the picture is extended: outpainting."""
    with gr.Accordion("Extend the picture (outpaint)", open=False, elem_classes="panel folded"):
        with gr.Row(elem_classes="field-row"):
            sides = [gr.Number(0, label=side.capitalize(), step=8, minimum=0, min_width=60) for side in SIDES]
        gr.HTML(
            "<span>Pixels to add on each side; the new border is drawn. The mask may stay empty.</span>",
            elem_classes="token-line",
            apply_default_css=False,
        )
    return dict(zip(MARGINS, sides, strict=True))


INPAINT = MakingTab(
    name="inpaint",
    label="Inpaint",
    request_type=InpaintRequest,
    canvas="mask",
    own_fields=own_fields,
    size_title="Working size and number",
    fits=tuple(mode for mode in RESIZE_MODES if mode != "crop"),
)
