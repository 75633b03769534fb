"""Nothing leaves the page or an endpoint but answers that can be sent, and failures in words.

Gradio answers a failure of an event, or of a value that it looks at before, with no words at all and a
traceback in the log; and what its JSON cannot hold ends a visitor's whole stream. Both are caught here, for
every event and endpoint, whoever wrote it.
"""

import re
from math import isfinite
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ...failures import TOO_DEEP, failure_text, readable
from .errors import NOT_UPLOADED, error_sentence, error_text
from .toasts import Worded, client_error, refusal

MOST_IN_JSON = 2**63  # whole numbers beyond are sent as text
MAX_NESTED = 100  # lists and objects in each other, in a call
ELSEWHERE = re.compile(r"\s*(?:https?|ftp):", re.IGNORECASE)


class GuardedBlocks(gr.Blocks):
    """Gradio's Blocks for a page in a mode: local, shared or space."""

    def __init__(self, *, mode: str, **options: Any) -> None:
        super().__init__(**options)
        self._shown_in = mode
        self.desk: Any = None  # what the routes of Look inside look at
        self.shelf: Any = None  # and those of the history

    async def process_api(self, block_fn: Any, inputs: list[Any], *more: Any, **known: Any) -> dict[str, Any]:
        """Run one step of an event or endpoint. Raise nothing but words for the page or a client."""
        event = self.fns[block_fn] if isinstance(block_fn, int) else block_fn
        try:
            if known.get("iterator") is None:
                _check_call(event, inputs, getattr(known.get("event_data"), "_data", None))
            output: dict[str, Any] = await super().process_api(event, inputs, *more, **known)
            return {**output, "data": sendable(output["data"])}
        except Worded as error:
            if error.print_exception:  # Gradio's own: it asks for a file that nobody uploaded
                raise self._told(event, ValueError(NOT_UPLOADED)) from error
            raise
        except Exception as error:
            raise self._told(event, error) from error

    async def postprocess_data(self, block_fn: Any, predictions: Any, state: Any) -> Any:
        """Turn what a function returned into its outputs' values; of no updates all stay as they are."""
        if isinstance(predictions, dict) and not predictions and len(block_fn.outputs) > 1:
            predictions = [gr.skip() for _ in block_fn.outputs]
        return await super().postprocess_data(block_fn, predictions, state)

    def _told(self, event: Any, error: Exception) -> Worded:
        """Return what is to be raised: plain text for a program, which no page shows, else a message."""
        if event.api_visibility == "public":
            return client_error(error_text(error, self._shown_in))
        return refusal(error_sentence(error, self._shown_in))


def _check_call(event: Any, inputs: list[Any], data: Any) -> None:
    """Refuse a call that Gradio would stumble over: the number of its values, and what they hold."""
    if len(inputs) != len(event.inputs):
        raise ValueError(
            f"this call must have {len(event.inputs)} values, one for each parameter, got {len(inputs)}"
            " (name the parameters, as gradio_client does)"
        )
    level = [*inputs, data]
    for _ in range(MAX_NESTED):
        level = [part for one in level for part in _parts(one)]
        if not level:
            return
    raise ValueError(TOO_DEEP)


def _parts(value: Any) -> list[Any]:
    """Return what a list or an object holds; refuse a file that Gradio would fetch from elsewhere."""
    if isinstance(value, list):
        return value
    if not isinstance(value, dict):
        return []
    path = value.get("path")
    if isinstance(path, str) and ELSEWHERE.match(path):
        raise ValueError("a file in it lies elsewhere, and this app fetches no addresses (upload the file)")
    if isinstance(path, str) and not _may_exist(path):
        raise ValueError(NOT_UPLOADED)
    return list(value.values())


def _may_exist(path: str) -> bool:
    """Tell whether a disk can be asked for a path at all."""
    try:
        Path(path).lstat()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return True
    except (OSError, ValueError):  # too long, a NUL, half a character
        return False
    return True


def sendable(value: Any) -> Any:
    """Return an answer as JSON can hold it.

    Halves of characters are left out of texts, numbers without end are null, huge ones are text.
    """
    if isinstance(value, str):
        return value if value.isascii() else readable(value)
    if isinstance(value, int) and not isinstance(value, bool) and not -MOST_IN_JSON <= value < MOST_IN_JSON:
        return str(value)
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, dict):
        return {sendable(key): sendable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [sendable(item) for item in value]
    return value


class FailureMiddleware:
    """Answer what no route could in words, and keep its traceback out of the log."""

    def __init__(self, app: ASGIApp, mode: str) -> None:
        self.app, self.mode = app, mode

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_begun = False

        async def watched(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except Exception as error:  # noqa: BLE001  # whatever it is, the server says so and lives
            text = failure_text(error, self.mode)
            if not has_begun and scope["type"] == "http":
                await JSONResponse({"error": text}, status_code=500)(scope, receive, send)
