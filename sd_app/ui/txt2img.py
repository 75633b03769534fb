"""The tab "Text to image"."""

from typing import Any

import gradio as gr

from ..catalog import ModelInfo
from ..requests import Txt2ImgRequest
from .controls import advanced_block, go_row, parameter_drop, prompt_block, sampling_block, size_block
from .jobs import Line
from .maker import Maker
from .pictures import Shelf
from .stage import stage_block

NAME = "txt2img"


def txt2img_tab(studio: Any, line: Line, shelf: Shelf, *, picker: Any, model: ModelInfo | None) -> Maker:
    """Build the tab. `picker` is the header's model picker, `model` its first choice."""
    with (
        gr.Tab("Text to image", id=NAME, elem_id=f"tab-{NAME}"),
        gr.Row(elem_classes="maker", equal_height=False),
    ):
        with gr.Column(elem_classes="ask", scale=0, min_width=320):
            prompts = prompt_block(model)
            generate, stop = go_row()
            sizes = size_block(model)
            sampling = sampling_block(model, studio.schedulers())
            again = sampling.pop("again")
            advanced = advanced_block()
            drop = parameter_drop()
        with gr.Column(elem_classes="get", scale=1, min_width=320):
            stage = stage_block(NAME)
    return Maker(
        name=NAME,
        kinds={NAME: Txt2ImgRequest},
        studio=studio,
        line=line,
        shelf=shelf,
        form={**prompts.fields, "model": picker, **sampling, **sizes, **advanced},
        prompts=prompts,
        generate=generate,
        stop=stop,
        stage=stage,
        drop=drop,
        again=again,
    )
