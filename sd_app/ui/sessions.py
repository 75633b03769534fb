"""What the server remembers of each visitor, bounded.

Gradio copies the page's configuration, 0.7 MB, for every new session, of programs too, and keeps 10,000 of
them. The copy serves links to a filled page alone, which this app does not offer. It also makes a component
anew for every update, 0.4 MB of them once a page is open, although the browser has what was updated: of those
only the ones are kept that read what comes back from the browser in another way.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from gradio.blocks import Block
from gradio.routes import App
from gradio.state_holder import SessionState, StateHolder

MAX_SESSIONS = 300  # the latest; one that was forgotten begins anew with its next event, and loses nothing


# What a component looks like. All else, choices and bounds say, decides what it takes from the browser.
LOOKS = {"value", "visible", "interactive", "open", "label", "info", "placeholder", "lines", "max_lines"}
LOOKS |= {"render", "elem_id", "elem_classes"}


class Nothing(dict[int, Any]):
    """A dict that stays empty."""

    def __setitem__(self, key: int, value: object) -> None:
        pass


class Session(SessionState):
    """One page or client: the components that differ from the page as it was built, no copy of the rest."""

    def __init__(self, blocks: Any) -> None:
        super().__init__(blocks)
        self.config_values = Nothing()
        self._built = blocks.default_config.blocks
        self._last = -1  # the component that was updated last

    def __setitem__(self, key: int, value: Any) -> None:
        # The update that made the last component was answered from it, at once: now it has served.
        last, built = self.blocks_config.blocks.get(self._last), self._built.get(self._last)
        if isinstance(last, Block) and built is not None and _reading(last) == _reading(built):
            self.blocks_config.blocks[self._last] = built
        super().__setitem__(key, value)
        self._last = key

    def _update_config(self, key: int) -> None:
        pass

    def _update_value_in_config(self, key: int, value: object) -> None:
        pass


def _reading(block: Any) -> dict[str, object]:
    """Return the arguments of a component that decide how it reads what comes from the browser."""
    return {name: value for name, value in block.constructor_args.items() if name not in LOOKS}


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
