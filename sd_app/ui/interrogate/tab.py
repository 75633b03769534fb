"""The tab "Interrogate": from a picture to words, and pictures against texts."""

from dataclasses import replace

import gradio as gr

from ...queue import JobQueue
from ..shared.canvas import canvas_block
from ..shared.controls import go_row, notice_block, part_title
from ..shared.files import PictureFiles
from ..shared.studio_protocol import PageStudio
from .events import NAME, SearchEvents
from .match import MatchEvents, match_columns
from .search_form import more_block, search_form_block
from .search_results import SearchResults
from .words import words_block


def interrogate_tab(
    studio: PageStudio, queue: JobQueue, files: PictureFiles, *, picker: gr.Dropdown
) -> tuple[SearchEvents, MatchEvents]:
    """Build the tab inside gr.Tabs, with its two views. `picker` is the header's model picker."""
    with (
        gr.Tab("Interrogate", id=NAME, elem_id=f"tab-{NAME}"),
        gr.Tabs(elem_id="interrogate-views", elem_classes="views-bar"),
    ):
        with (
            gr.Tab("Find words", id="words", elem_id="view-words"),
            gr.Row(elem_classes="maker", equal_height=False),
        ):
            search = _words_view(studio, queue, files, picker)
        with (
            gr.Tab("Match pictures and texts", id="match", elem_id="view-match"),
            gr.Row(elem_classes="maker", equal_height=False),
        ):
            match = match_columns(studio, queue, files)
    return search, match


def _words_view(
    studio: PageStudio, queue: JobQueue, files: PictureFiles, picker: gr.Dropdown
) -> SearchEvents:
    with gr.Column(elem_classes="ask", scale=0, min_width=320):
        part_title("Find words")
        notice = notice_block()
        canvas = canvas_block("view", files, studio.settings.max_pixels)
        search_form = search_form_block(studio)
        go, stop = go_row("Interrogate")
        search_form = replace(search_form, fields={**search_form.fields, **more_block(studio)})
    with gr.Column(elem_classes="get", scale=1, min_width=320):
        words = words_block(NAME)
    return SearchEvents(
        studio=studio,
        queue=queue,
        files=files,
        results=SearchResults(),
        picker=picker,
        search_form=search_form,
        notice=notice,
        canvas=canvas,
        go=go,
        stop=stop,
        words=words,
    )
