"""What the server remembers of each visitor, bounded.

Gradio copies the page's configuration, 0.7 MB, for every new session, of programs too, and keeps 10,000 of
them. The copy serves links to a filled page alone, which this app does not offer.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from gradio.routes import App
from gradio.state_holder import SessionState, StateHolder

MAX_SESSIONS = 300  # the latest; one that was forgotten begins anew with its next event, and loses nothing


class Nothing(dict[int, Any]):
    """A dict that stays empty."""

    def __setitem__(self, key: int, value: object) -> None:
        pass


class Session(SessionState):
    """One page or client: the components that differ from the page as it was built, no copy of the rest."""

    def __init__(self, blocks: Any) -> None:
        super().__init__(blocks)
        self.config_values = Nothing()

    def _update_config(self, key: int) -> None:
        pass

    def _update_value_in_config(self, key: int, value: object) -> None:
        pass


class Sessions(StateHolder):
    """The latest sessions."""

    def __getitem__(self, session_id: str) -> SessionState:
        with self.lock:
            if session_id not in self.session_data:
                self.session_data[session_id] = Session(self.blocks)
        return super().__getitem__(session_id)


@asynccontextmanager
async def bounded_sessions(app: App) -> AsyncIterator[None]:
    """Give the app its sessions before its first request; the lifespan of launch_options."""
    app.state_holder = Sessions()
    app.state_holder.set_blocks(app.get_blocks())
    yield
