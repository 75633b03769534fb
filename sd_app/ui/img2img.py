"""The tab "Image to image"."""

from typing import Any

import gradio as gr

from ..catalog import ModelInfo
from ..requests import Img2ImgRequest
from .controls import (
    advanced_block,
    go_row,
    parameter_drop,
    prompt_block,
    sampling_block,
    size_block,
    strength_block,
)
from .easel import easel_block
from .jobs import Line
from .maker import Maker
from .pictures import Shelf
from .stage import stage_block

NAME = "img2img"
FITS = {"Crop": "crop", "Pad": "pad", "Stretch": "stretch"}


def img2img_tab(studio: Any, line: Line, shelf: Shelf, *, picker: Any, model: ModelInfo | None) -> Maker:
    """Build the tab. `picker` is the header's model picker, `model` its first choice."""
    with (
        gr.Tab("Image to image", id=NAME, elem_id=f"tab-{NAME}"),
        gr.Row(elem_classes="maker", equal_height=False),
    ):
        with gr.Column(elem_classes="ask", scale=0, min_width=320):
            prompts = prompt_block(model)
            easel = easel_block("sketch", shelf, studio.settings.max_pixels)
            strength, steps_run = strength_block()
            generate, stop = go_row()
            sizes = size_block(model, fits=FITS)
            sampling = sampling_block(model, studio.schedulers())
            again = sampling.pop("again")
            advanced = advanced_block()
            drop = parameter_drop()
        with gr.Column(elem_classes="get", scale=1, min_width=320):
            stage = stage_block(NAME)
    return Maker(
        name=NAME,
        kinds={NAME: Img2ImgRequest},
        studio=studio,
        line=line,
        shelf=shelf,
        form={
            **prompts.fields,
            "model": picker,
            "strength": strength,
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
