"""The one door for messages that pop up over the page.

Gradio shows their text as HTML, so a text from a file or a client could load pictures from elsewhere. Here it
is escaped; nothing else in the page may call gr.Warning, gr.Info or gr.Error.
"""

import html
import re

import gradio as gr

Worded = gr.Error  # what refusal and client_error return: to be let through, never to be caught for its words


def warn(text: str) -> None:
    """Show a plain text as a warning; the event goes on."""
    gr.Warning(html.escape(text))


def tell(text: str) -> None:
    """Show a plain text that nothing is wrong with; the event goes on."""
    gr.Info(html.escape(text))


def refusal(text: str) -> gr.Error:
    """Return what to raise in an event to end it with a plain text. Never catch it: its str() is its repr."""
    return gr.Error(html.escape(text), print_exception=False)


def client_error(text: str) -> gr.Error:
    """Return what to raise in an endpoint: programs get the text as it is, no page shows it."""
    return gr.Error(text, print_exception=False)


def library_text(error: Exception) -> str | None:
    """Return the plain text of a message that a library raised for Gradio to show; None for other errors."""
    if not isinstance(error, gr.Error):
        return None
    return html.unescape(re.sub(r"<[^>]*>", "", error.message))
