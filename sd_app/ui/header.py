"""The header, which stays when tabs change: name, model picker, what runs where, stop everything."""

import html
from dataclasses import dataclass
from typing import Any

import gradio as gr

from ..requests import Status
from .jobs import Line
from .memory import QUIET, browser_state

BADGE_SECONDS = 3.0
GIGABYTE = 1e9


@dataclass(frozen=True, kw_only=True)
class Header:
    """The parts of the header that tabs need."""

    picker: Any


def header(studio: Any, line: Line, *, demo: Any) -> Header:
    """Build the header and its events."""
    names = [model.name for model in studio.models()]
    with gr.Row(elem_id="header", equal_height=True):
        gr.HTML(
            '<h1><span class="logo" aria-hidden="true"></span>Glass-box Studio</h1>',
            apply_default_css=False,
            elem_id="brand",
        )
        picker = gr.Dropdown(
            names,
            value=names[0] if names else None,
            label="Model",
            container=False,
            min_width=150,
            elem_id="model-picker",
        )
        badge = gr.HTML(badge_text(studio.status()), apply_default_css=False, elem_id="badge")
        stop_all = gr.Button("Stop everything", size="sm", elem_id="stop-all", min_width=120)

    def stop_everything(browser: gr.Request) -> None:
        mine = None if studio.settings.mode == "local" else str(browser.session_hash)
        line.stop(mine)

    def refresh(shown: str) -> Any:
        now = badge_text(studio.status())
        return gr.skip() if now == shown else now

    def restore(name: object) -> Any:
        """Show the models as they are now, and choose the one chosen last."""
        now = [model.name for model in studio.models()]
        return gr.update(choices=now, value=name if name in now else now[0]) if now else gr.skip()

    saved = browser_state("page", "model")
    picker.change(fn=None, js="(name) => name", inputs=picker, outputs=saved, **QUIET)
    demo.load(restore, inputs=saved, outputs=picker, **QUIET)
    stop_all.click(stop_everything, **QUIET)
    for event in (demo.load, gr.Timer(BADGE_SECONDS).tick):  # a reload shows at once what is true now
        event(refresh, inputs=badge, outputs=badge, **QUIET)
    return Header(picker=picker)


def badge_text(status: Status) -> str:
    """Return device, dtype and memory as the badge's markup."""
    if status.device == "starting":
        return '<span class="dot starting"></span><span>Starting…</span>'
    name = status.device_name or status.device
    title = html.escape(f"{name} ({status.device}); loaded: {', '.join(status.loaded) or 'nothing yet'}")
    words = [html.escape(status.device.upper()), html.escape(status.dtype)]
    if status.memory_total:
        words.append(f"{status.memory_used / GIGABYTE:.1f} / {status.memory_total / GIGABYTE:.0f} GB")
    parts = "".join(f"<span>{word}</span>" for word in words if word)
    return f'<span class="dot"></span><span class="words" title="{title}">{parts}</span>'
