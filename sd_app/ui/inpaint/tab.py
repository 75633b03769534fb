"""The tab "Inpaint"."""

import gradio as gr

from ...requests import InpaintRequest
from ..shared.browser_state import QUIET
from ..shared.components import Fields
from ..shared.controls import panel_title
from ..shared.form import MARGINS
from ..shared.making_tab import MakingTab

CONTENTS = {"The picture": "original", "Colours around it": "fill", "Noise": "noise"}
BLENDS = {"None": "none", "Poisson": "poisson", "Pyramid": "pyramid"}


def own_fields() -> Fields:
    """Make the blocks that only this tab has."""
    return {**painted_block(), **seam_block(), **extend_block()}


def painted_block() -> Fields:
    """Make what is said about the painted area."""
    with gr.Group(elem_classes="panel"):
        panel_title("Painted area")
        contents = gr.Radio(
            list(CONTENTS.items()),
            value="original",
            label="Starts from",
            info="Only counts below strength 1",
            elem_classes="choice",
        )
        with gr.Row(elem_classes="field-row checks"):
            invert = gr.Checkbox(False, label="Invert: repaint what is not painted")
            soft = gr.Checkbox(False, label="Soft: grey changes less than white")
        only = gr.Checkbox(False, label="Work on the painted area alone, as large as the model can")
        padding = gr.Slider(
            0,
            256,
            value=32,
            step=4,
            label="Padding, pixels",
            info="What the model sees around the painted area",
            visible=False,
        )
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
        feather = gr.Slider(
            0,
            128,
            value=0,
            step=1,
            label="Feather, pixels",
            info="The new part fades in from the edge inwards; kept pixels stay yours",
        )
        blend = gr.Radio(list(BLENDS.items()), value="none", label="Blend", elem_classes="choice")
        match = gr.Checkbox(False, label="Match the new part's colours to those around it")
    return {"feather": feather, "blend": blend, "color_match": match}


def extend_block() -> Fields:
    """Make how far the picture is extended: outpainting."""
    with gr.Accordion("Extend the picture (outpaint)", open=False, elem_classes="panel folded"):
        with gr.Row(elem_classes="field-row"):
            sides = [
                gr.Number(0, label=label, step=8, minimum=0, min_width=60)
                for label in ("Left", "Top", "Right", "Bottom")
            ]
        gr.HTML(
            "<span>Pixels to add on each side; the new border is repainted. The mask may stay empty.</span>",
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
    fits={"Pad": "pad", "Stretch": "stretch"},
)
