"""The page. It gets the studio as an argument and never imports torch."""

from typing import Any

import gradio as gr

from .access import Access, choose_access, launch_options
from .api import publish_api
from .embeddings.tab import embeddings_tab
from .header.header import header
from .img2img.tab import IMG2IMG
from .inpaint.tab import INPAINT
from .interrogate.tab import interrogate_tab
from .shared.files import Shelf
from .shared.job_queue import Line
from .shared.making_tab import build_making_tab
from .shared.result import TARGETS
from .shared.send_to import Arrivals
from .shared.theme import THEMES, look_options
from .txt2img.tab import TXT2IMG

__all__ = ["THEMES", "Access", "build_ui", "choose_access", "launch_options", "look_options"]

DAY = 24 * 3600  # seconds
MAX_QUEUE = 64  # events that Gradio itself lets wait


def build_ui(studio: Any) -> gr.Blocks:
    """Build the page of a studio: header, tabs, API. Launch it with look_options and launch_options."""
    settings = studio.settings
    line = Line()
    models = studio.models()
    with gr.Blocks(
        title="Glass-box Studio", analytics_enabled=False, delete_cache=(DAY, DAY), fill_width=True
    ) as demo:
        shared = settings.mode != "local"
        shelf = Shelf(settings.outputs_dir, shared=shared, copies=demo.upload_file_set)
        top = header(studio, line, demo=demo)
        model = models[0] if models else None
        with gr.Tabs(elem_id="tabs"):
            makers = [
                build_making_tab(tab, studio, line, shelf, picker=top.picker, model=model)
                for tab in (TXT2IMG, IMG2IMG, INPAINT)
            ]
            interrogator, matcher = interrogate_tab(studio, line, shelf, picker=top.picker)
            makers.append(embeddings_tab(studio, line, shelf, picker=top.picker, model=model))
        interrogator.wire(demo)
        matcher.wire(demo)
        for maker in makers:
            maker.wire(demo)
            if top.adding is not None:
                maker.wire_added(top.adding)
            arrivals = Arrivals(maker=maker)
            arrivals.wire()
            interrogator.wire_sender(maker.stage)
            if maker.name not in dict(TARGETS):
                continue
            arrivals.wire_words(interrogator)
            for other in makers:
                if other is not maker:
                    arrivals.wire_sender(other.stage)
        publish_api(studio, line, shelf)
    # Only what goes through the queue is counted and bounded; the API's direct routes would bypass it.
    demo.queue(api_open=False, max_size=MAX_QUEUE)
    return demo
