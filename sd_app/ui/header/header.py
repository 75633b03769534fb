"""The header, which stays when tabs change: name, model picker, what runs where, stop everything."""

from dataclasses import dataclass

import gradio as gr

from ...queue import JobQueue
from ...requests import Txt2ImgRequest
from ..line.line import line_block, wire_line
from ..shared.browser_state import QUIET, browser_state
from ..shared.field_controls import control
from ..shared.scripts import function_of
from ..shared.studio_protocol import PageStudio
from ..shared.visitors import owner_of
from .add_model import ModelDownloads, add_model_block, wire_add_model
from .badge import badge_block, wire_badge


@dataclass(frozen=True, kw_only=True)
class Header:
    """The parts of the header that tabs need."""

    picker: gr.Dropdown
    line: gr.HTML  # the line of jobs, triggers show_TAB for each tab that has jobs
    add_model: gr.HTML | None  # the window that adds models, triggers `added`; None where visitors are


def header(studio: PageStudio, queue: JobQueue, *, demo: gr.Blocks) -> Header:
    """Build the header and its events."""
    names = [model.name for model in studio.models()]
    with gr.Row(elem_id="header", equal_height=True):
        gr.HTML(
            '<h1><span class="logo" aria-hidden="true"></span>Glass-box Studio</h1>',
            apply_default_css=False,
            elem_id="brand",
        )
        picker = control(
            Txt2ImgRequest,
            "model",
            choices=names,
            value=names[0] if names else None,
            container=False,
            min_width=150,
            elem_id="model-picker",
        )
        downloads = ModelDownloads(studio) if studio.settings.mode == "local" else None
        add_model = add_model_block(downloads) if downloads else None
        badge = badge_block(studio)
        own_line = studio.settings.mode == "local"  # it would hold up everybody
        line = line_block(queue, own_line=own_line)
        stop_all = gr.Button("Stop everything", size="sm", elem_id="stop-all", min_width=120)

    def stop_everything(browser: gr.Request) -> None:
        queue.stop(owner_of(browser))

    def restore(name: object) -> object:
        """Show the models as they are now, and choose the one chosen last."""
        now = [model.name for model in studio.models()]
        return gr.update(choices=now, value=name if name in now else now[0]) if now else gr.skip()

    saved = browser_state("page", "model")
    picker.change(
        fn=None, js=function_of("shared/controls.js", "same"), inputs=picker, outputs=saved, **QUIET
    )
    demo.load(restore, inputs=saved, outputs=picker, **QUIET)
    stop_all.click(stop_everything, **QUIET)
    wire_badge(badge, studio, demo)
    wire_line(line, queue, demo, own_line=own_line)
    if downloads:
        wire_add_model(add_model, downloads, picker, demo)
    return Header(picker=picker, add_model=add_model, line=line)
