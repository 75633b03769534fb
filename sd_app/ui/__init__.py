"""The page. It gets the studio as an argument and never imports torch."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

import gradio as gr

from ..queue import OWNER, VISITOR, JobQueue, KeptLine, announced
from .access import Access, choose_access, launch_options
from .api import publish_api
from .embeddings.tab import embeddings_tab
from .header.header import header
from .history.endpoint import publish_history
from .history.shelf import Shelf
from .history.tab import history_tab
from .img2img.tab import IMG2IMG
from .info.tab import info_tab
from .inpaint.tab import INPAINT
from .inside.desk import Desk
from .inside.tab import inside_tab
from .interrogate.tab import interrogate_tab
from .shared.errors import error_text
from .shared.files import PictureFiles
from .shared.gpu import lend_gpu
from .shared.guarded import GuardedBlocks
from .shared.making_tab import build_making_tab
from .shared.result import TARGETS
from .shared.send_to import Receiver
from .shared.studio_protocol import PageStudio
from .shared.theme import THEMES, theme_options
from .temp_folder import sweep, temp_folder
from .txt2img.tab import TXT2IMG

__all__ = [
    "THEMES",
    "Access",
    "build_ui",
    "choose_access",
    "error_text",
    "launch_options",
    "make_queue",
    "reachable",
    "sweep",
    "temp_folder",
    "theme_options",
]

DAY = 24 * 3600  # seconds
MAX_QUEUE = 64  # events that Gradio itself lets wait


def make_queue(studio: PageStudio, *, kept: bool = False) -> JobQueue:
    """Make the line of jobs of a studio's page. On one's own machine everybody sees all of it.

    `kept`: what waits is there again at the next start; call restore once the page is built.
    """
    mode = studio.settings.mode
    private = mode != "local"
    return JobQueue(
        private=private,
        limits=VISITOR if private else OWNER,
        say=lambda error: error_text(error, mode),
        kept=KeptLine(studio.settings.outputs_dir) if kept else None,
    )


def reachable(studio: PageStudio, url: str, settings: Mapping[str, str]) -> AbstractContextManager[None]:
    """Let the owner's commands find the app by its outputs folder, as long as the `with` lasts.

    `settings` are those of the app as texts, so that a command can tell whether it would run the same.
    """
    if studio.settings.mode != "local":
        return nullcontext()
    return announced(studio.settings.outputs_dir, url, settings)


def build_ui(studio: PageStudio, queue: JobQueue | None = None) -> GuardedBlocks:
    """Build the page of a studio: header, tabs, API. Launch it with theme_options and launch_options.

    `queue` is made by make_queue if it is not given.
    """
    studio = lend_gpu(studio)
    settings = studio.settings
    queue = queue or make_queue(studio)
    models = studio.models()
    with GuardedBlocks(
        mode=settings.mode,
        title="Glass-box Studio",
        analytics_enabled=False,
        delete_cache=(DAY, DAY),
        fill_width=True,
    ) as demo:
        shared = settings.mode != "local"
        files = PictureFiles(settings.outputs_dir, shared=shared, copies=demo.upload_file_set)
        demo.desk = desk = Desk(studio, queue, files)
        demo.shelf = shelf = Shelf(settings, files)
        top = header(studio, queue, demo=demo)
        model = models[0] if models else None
        with gr.Tabs(elem_id="tabs"):
            making_tabs = [
                build_making_tab(tab, studio, queue, files, picker=top.picker, model=model)
                for tab in (TXT2IMG, IMG2IMG, INPAINT)
            ]
            search, match = interrogate_tab(studio, queue, files, picker=top.picker)
            making_tabs.append(embeddings_tab(studio, queue, files, picker=top.picker, model=model))
            inside = inside_tab(studio, queue, files, desk)
            info = info_tab(studio, files)
            history = history_tab(shelf)
        search.wire(demo, top.line)
        match.wire(demo, top.line)
        inside.wire(demo, top.line)
        search.wire_sender(history.view)
        inside.wire_sender(history.view)
        info.wire(demo)
        for tab in making_tabs:
            tab.wire(demo, top.line)
            if top.add_model is not None:
                tab.wire_added(top.add_model)
            receiver = Receiver(tab=tab)
            receiver.wire()
            search.wire_sender(tab.result)
            inside.wire_sender(tab.result)
            receiver.wire_reuse(history.view)
            receiver.wire_mover(info.view)
            for other in making_tabs:
                if other is not tab:
                    receiver.wire_mover(other.prompts.notice)
            if tab.name not in dict(TARGETS):
                continue
            receiver.wire_words(search.words, search.canvas)
            receiver.wire_sender(history.view)
            for other in making_tabs:
                if other is not tab:
                    receiver.wire_sender(other.result)
        publish_api(studio, queue, files)
        publish_history(studio, shelf)
    # Only what goes through the queue is counted and bounded; the API's direct routes would bypass it.
    demo.queue(api_open=False, max_size=MAX_QUEUE)
    return demo
