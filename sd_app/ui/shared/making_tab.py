"""The one shape of every making tab: left what you ask, right what you get."""

from collections.abc import Callable
from dataclasses import dataclass

import gradio as gr

from ...checkpoints.model_info import ModelInfo
from ...queue import JobQueue
from ...requests import Txt2ImgRequest
from .addon_picker import addon_block
from .canvas import Canvas, canvas_block
from .components import Fields
from .controls import (
    advanced_block,
    faster_block,
    generate_row,
    parameter_drop,
    part_title,
    prompt_block,
    sampling_block,
    size_block,
    strength_block,
)
from .files import PictureFiles
from .making_events import MakingTabEvents
from .result import result_block
from .studio_protocol import PageStudio
from .style_picker import style_block


def no_fields() -> Fields:
    """Return the fields of a tab that has none of its own."""
    return {}


@dataclass(frozen=True, kw_only=True)
class MakingTab:
    """What makes one making tab differ from the others."""

    name: str  # its id, and the studio's method
    label: str
    request_type: type[Txt2ImgRequest]
    canvas: str = ""  # the kind of canvas, if the job starts from a picture
    own_fields: Callable[[], Fields] = no_fields  # blocks that only this tab has
    size_title: str = "Size and number"
    fits: tuple[str, ...] = ()  # the resize modes to choose from


def build_making_tab(
    tab: MakingTab,
    studio: PageStudio,
    queue: JobQueue,
    files: PictureFiles,
    *,
    picker: gr.Dropdown,
    model: ModelInfo | None,
) -> MakingTabEvents:
    """Build a tab inside gr.Tabs. `picker` is the header's model picker, `model` its first choice."""
    canvas: Canvas | None = None
    steps_run: gr.HTML | None = None
    start: Fields = {}
    with (
        gr.Tab(tab.label, id=tab.name, elem_id=f"tab-{tab.name}"),
        gr.Row(elem_classes="maker", equal_height=False),
    ):
        with gr.Column(elem_classes="ask", scale=0, min_width=320):
            part_title(tab.label)
            # Elsewhere it would take the focus from the row of tabs.
            prompts = prompt_block(model, autofocus=not tab.canvas)
            if tab.canvas:
                canvas = canvas_block(tab.canvas, files, studio.settings.max_pixels)
                start["strength"], steps_run = strength_block()
            generate, add, stop = generate_row()
            styles = style_block(studio)
            addons = addon_block(studio)
            own = tab.own_fields()
            sizes = size_block(
                model, tab.size_title, tab.request_type, tab.fits, most=studio.settings.max_images
            )
            sampling = sampling_block(model, studio.schedulers())
            again = sampling.pop("again")
            advanced = advanced_block(studio.vaes()) | faster_block()
            drop = parameter_drop()
        with gr.Column(elem_classes="get", scale=1, min_width=320):
            result = result_block(tab.name)
    return MakingTabEvents(
        name=tab.name,
        request_types={tab.name: tab.request_type},
        studio=studio,
        queue=queue,
        files=files,
        form={
            **prompts.fields,
            "model": picker,
            "styles": styles.chosen,
            **start,
            **own,
            **sampling,
            **sizes,
            **advanced,
        },
        prompts=prompts,
        addons=addons,
        styles=styles,
        generate=generate,
        add=add,
        stop=stop,
        result=result,
        drop=drop,
        again=again,
        canvas=canvas,
        steps_run=steps_run,
    )
