"""The tab "Text to image"."""

from functools import partial
from typing import Any

import gradio as gr

from ..catalog import ModelInfo
from .controls import advanced_block, prompt_block, sampling_block, size_block
from .gpu import borrow_gpu
from .jobs import Line, Run
from .maker import Maker
from .pictures import Shelf
from .stage import stage_block

NAME = "txt2img"


def txt2img_tab(
    studio: Any, line: Line, shelf: Shelf, *, demo: Any, picker: Any, model: ModelInfo | None
) -> Maker:
    """Build the tab and connect it. `picker` is the header's model picker, `model` its first choice."""
    with gr.Tab("Text to image", id=NAME), gr.Row(elem_classes="maker", equal_height=False):
        with gr.Column(elem_classes="ask", scale=0, min_width=320):
            prompts = prompt_block(model)
            sizes = size_block(model, studio.settings.max_images)
            sampling = sampling_block(model, studio.schedulers())
            again = sampling.pop("again")
            advanced = advanced_block()
            drop = gr.File(
                label="Drop a picture here to take over its parameters",
                file_types=["image"],
                type="filepath",
                height=56,
                elem_classes="drop-picture",
            )
        with gr.Column(elem_classes="get", scale=1, min_width=320):
            stage = stage_block()
    maker = Maker(
        name=NAME,
        studio=studio,
        line=line,
        shelf=shelf,
        form={**prompts.fields, "model": picker, **sampling, **sizes, **advanced},
        prompts=prompts,
        stage=stage,
        drop=drop,
        again=again,
        saved_form=browser_state("form"),
        saved_results=browser_state("results"),
    )
    maker.wire(demo, partial(make_run, studio, borrow_gpu(studio)))
    return maker


def browser_state(what: str) -> Any:
    """Keep something in the browser. Key and secret are fixed, so that it survives a restart of the app.

    The secret protects nothing: Gradio hands it to the page.
    """
    return gr.BrowserState(storage_key=f"sd_app.{NAME}.{what}", secret="sd_app")  # noqa: S106


def make_run(studio: Any, txt2img: Any, request: Any) -> Run:
    """Return the job of one request."""
    return lambda on_step: txt2img(request, on_step)
