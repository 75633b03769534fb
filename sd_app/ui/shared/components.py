"""What events hand to and fro: components, what they hold, and what they shall hold."""

from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict

from gradio.components import Component

Fields = dict[str, Component]  # as Form, while a tab is built
Form = Mapping[str, Component]  # a request's field name -> the component that holds it
Values = Mapping[Component, object]  # what an event hands over: nothing of it is checked yet
Updates = dict[Component, Any]  # what components shall hold: a value, or what gr.update makes


class ServedFile(TypedDict):
    """A file as Gradio serves it and its clients take it."""

    path: str
    url: str | None
    size: int | None
    orig_name: str | None
    mime_type: str | None
    is_stream: bool
    meta: dict[str, str]


class NamedFile(TypedDict):
    """A file that the page shows, and what a download of it is called."""

    file: ServedFile
    name: str


class Notice(TypedDict):
    """What was put into a form from elsewhere, and what the form held before, if it can be brought back."""

    text: str
    before: dict[str, object] | None
    offers: NotRequired[list[list[str]]]  # id and label of tabs that make such pictures
    # What such a tab is given then: the parameters, and the picture's file and name if there is one.
    parameters: NotRequired[str]
    picture: NotRequired[list[str]]
