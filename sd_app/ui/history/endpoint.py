"""The history over HTTP, for programs: /history."""

import gradio as gr

from ..api.answers import Answer
from ..api.endpoints import answer_or_error
from ..shared.studio_protocol import PageStudio
from ..shared.visitors import owner_of
from .shelf import Shelf

PATIENCE = 1.0  # seconds in which what is new is waited for


def publish_history(studio: PageStudio, shelf: Shelf) -> None:
    """Add the endpoint to the page."""

    def history(
        browser: gr.Request, search: str = "", trashed: bool = False, after: list[str] | None = None
    ) -> Answer:
        """List saved pictures, newest first, 60 at a time: those that a search finds, as on the page.

        Returns {"pictures": of each "name" (its path in the outputs folder, percent-encoded), "title",
        "made", "prompt", "model", "seed", "width", "height", "kind", "mark" and "companions", "after": what
        leads to the next ones, null at the end, "remarks", "count": of a first page all that were found}.
        """

        def found() -> Answer:
            owner = owner_of(browser) if shelf.is_private else None
            shelf.history.refresh()
            shelf.history.wait(PATIENCE)
            asked = {"search": search, "trashed": trashed, "after": after}
            return shelf.page(asked, owner)

        return answer_or_error(studio, found)

    gr.api(history, api_name="history", concurrency_limit=None)
