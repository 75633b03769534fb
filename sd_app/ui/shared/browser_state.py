"""How events behave, and what the browser keeps between visits."""

import json

import gradio as gr

from .components import Form
from .scripts import function_of

MAX_KEPT = 1_500_000  # characters of a canvas that the browser keeps; it has room for five million in all
# Not `show_progress_on=[]`, though it halves the time of a page's load: with every step of an event Gradio
# also reads what its fields hold into its own tree. Without, what was typed or drawn while a tab opens is put
# back to what that tree holds.
SILENT: dict[str, object] = {"show_progress": "hidden"}
# Event settings: fast, silent, and not part of the public API.
QUIET: dict[str, object] = {**SILENT, "queue": False, "api_visibility": "private"}
# The same for events that show a message: those travel through the queue only.
TELLING: dict[str, object] = {**QUIET, "queue": True, "concurrency_limit": None}

# Jobs: the queue lets one run at a time, and requests check their own values.
RUN: dict[str, object] = {
    **SILENT,
    "concurrency_limit": None,
    "api_visibility": "private",
    "preprocess": False,
}


def browser_state(tab: str, what: str) -> gr.BrowserState:
    """Keep something in the browser. Key and secret are fixed, so that it survives a restart of the app.

    The secret protects nothing: Gradio hands it to the page.
    """
    return gr.BrowserState(storage_key=f"sd_app.{tab}.{what}", secret="sd_app")  # noqa: S106


def keep_form(form: Form, saved: gr.BrowserState) -> None:
    """Write a form's values down at each change, in the browser alone, without a round trip."""
    gr.on(
        [component.change for component in form.values()],
        fn=None,
        js=function_of("shared/browser_state.js", "byName", list(form)),
        inputs=list(form.values()),
        outputs=saved,
        trigger_mode="multiple",
        **QUIET,
    )


def keep_pictures(view: gr.HTML, saved: gr.BrowserState) -> None:
    """Write down what a canvas or uploads hold, at their event `painted`; read_pictures reads it.

    As text: Gradio would take the files in it for uploads, and refuse the whole event once one is gone.
    """
    view.painted(
        fn=None,
        js=function_of("shared/browser_state.js", "asText", MAX_KEPT),
        inputs=view,
        outputs=saved,
        preprocess=False,
        trigger_mode="multiple",
        **QUIET,
    )


def read_pictures(saved: object) -> object:
    """Return what keep_pictures wrote, None for anything else. It may still name files that are gone."""
    try:
        return json.loads(saved) if isinstance(saved, str) else None
    except ValueError:
        return None
