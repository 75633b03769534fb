"""The tab "Inpaint"."""

from typing import Any

import gradio as gr

from ..catalog import ModelInfo
from ..requests import InpaintRequest
from .controls import (
    advanced_block,
    go_row,
    panel_title,
    parameter_drop,
    prompt_block,
    sampling_block,
    size_block,
    strength_block,
)
from .easel import easel_block
from .form import MARGINS
from .jobs import Line
from .maker import Maker
from .memory import QUIET
from .pictures import Shelf
from .stage import stage_block

NAME = "inpaint"
FITS = {"Pad": "pad", "Stretch": "stretch"}
CONTENTS = {"The picture": "original", "Colours around it": "fill", "Noise": "noise"}
BLENDS = {"None": "none", "Poisson": "poisson", "Pyramid": "pyramid"}


def inpaint_tab(studio: Any, line: Line, shelf: Shelf, *, picker: Any, model: ModelInfo | None) -> Maker:
    """Build the tab. `picker` is the header's model picker, `model` its first choice."""
    with (
        gr.Tab("Inpaint", id=NAME, elem_id=f"tab-{NAME}"),
        gr.Row(elem_classes="maker", equal_height=False),
    ):
        with gr.Column(elem_classes="ask", scale=0, min_width=320):
            prompts = prompt_block(model)
            easel = easel_block("mask", shelf, studio.settings.max_pixels)
            strength, steps_run = strength_block()
            generate, stop = go_row()
            painted = painted_block()
            seam = seam_block()
            extend = extend_block()
            sizes = size_block(model, "Working size and number", FITS)
            sampling = sampling_block(model, studio.schedulers())
            again = sampling.pop("again")
            advanced = advanced_block()
            drop = parameter_drop()
        with gr.Column(elem_classes="get", scale=1, min_width=320):
            stage = stage_block(NAME)
    return Maker(
        name=NAME,
        kinds={NAME: InpaintRequest},
        studio=studio,
        line=line,
        shelf=shelf,
        form={
            **prompts.fields,
            "model": picker,
            "strength": strength,
            **painted,
            **seam,
            **extend,
            **sampling,
            **sizes,
            **advanced,
        },
        prompts=prompts,
        generate=generate,
        stop=stop,
        stage=stage,
        drop=drop,
        again=again,
        easel=easel,
        steps_run=steps_run,
    )


def painted_block() -> dict[str, Any]:
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


def seam_block() -> dict[str, Any]:
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


def extend_block() -> dict[str, Any]:
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
