"""How events behave, and what the browser keeps between visits."""

from typing import Any

import gradio as gr

# Event settings: fast, silent, and not part of the public API.
QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
# The same for events that show a message: those travel through the queue only.
TELLING: dict[str, Any] = {**QUIET, "queue": True, "concurrency_limit": None}


def browser_state(tab: str, what: str) -> Any:
    """Keep something in the browser. Key and secret are fixed, so that it survives a restart of the app.

    The secret protects nothing: Gradio hands it to the page.
    """
    return gr.BrowserState(storage_key=f"sd_app.{tab}.{what}", secret="sd_app")  # noqa: S106
