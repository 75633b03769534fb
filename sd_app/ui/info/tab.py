"""The tab "Picture info": all that a picture's file says, and what of it a form can take."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

import gradio as gr

from ...metadata import CarriedText, InfoField, PictureInfo
from ..shared.browser_state import QUIET, RUN, browser_state
from ..shared.components import ServedFile
from ..shared.controls import part_title
from ..shared.errors import attempt, error_sentence
from ..shared.files import PictureFiles
from ..shared.kinds import MAKERS
from ..shared.scripts import UI, function_of, script_of
from ..shared.studio_protocol import PageStudio

NAME = "info"
MAX_NAME = 100  # characters of a file's name
MAX_SHOWN = 50_000  # characters of a text that the page shows; the whole of a longer one is a file
MAX_VALUE = 4_000  # characters of a setting that the page shows
CANVASES = ("img2img", "inpaint")  # tabs that can begin from any picture that has parameters


class ShownText(TypedDict):
    """A text as the page shows it."""

    place: str
    text: str
    length: int  # characters of the whole
    file: ServedFile | None  # the whole, where only the beginning is shown


class InfoValue(TypedDict):
    """What the block shows; info.js draws it. Every text in it is drawn as text."""

    phase: str  # empty, done or error
    text: str  # what went wrong
    name: str
    file: ServedFile | None
    facts: Sequence[tuple[str, str]]
    program: str
    fields: Sequence[Mapping[str, str]]
    remarks: Sequence[str]
    texts: Sequence[ShownText]
    unread: Sequence[str]
    offers: Sequence[tuple[str, str]]  # id and label of the tabs that it can be opened in
    parameters: str  # for those tabs, and the picture's file and name
    picture: Sequence[str]


EMPTY: InfoValue = {
    "phase": "empty",
    "text": "",
    "name": "",
    "file": None,
    "facts": (),
    "program": "",
    "fields": (),
    "remarks": (),
    "texts": (),
    "unread": (),
    "offers": (),
    "parameters": "",
    "picture": (),
}


@dataclass(frozen=True, kw_only=True)
class InfoEvents:
    """The tab, assembled. Its view offers pictures to other tabs as a form's notice does."""

    studio: PageStudio
    files: PictureFiles
    view: gr.HTML

    def wire(self, demo: gr.Blocks) -> None:
        """Connect all events. Not inside gr.Tabs."""
        saved = browser_state(NAME, "open")

        def read(event: gr.EventData) -> InfoValue:
            return self.read(event._data)

        self.view.picked(read, outputs=self.view, trigger_mode="multiple", **RUN)
        self.view.noted(
            fn=None, js=function_of("info/info.js", "noteOf"), inputs=self.view, outputs=saved, **QUIET
        )
        demo.load(self.restore, inputs=saved, outputs=self.view, preprocess=False, **QUIET)

    def read(self, data: object) -> InfoValue:
        """Read an uploaded picture's file: {path, name}."""
        given = data if isinstance(data, dict) else {}
        name = given.get("name")
        shown = name[:MAX_NAME] if isinstance(name, str) and name else "this picture"

        def found() -> InfoValue:
            path = self.files.uploaded(given.get("path"))
            return self._shown(self.studio.picture_info(path), str(path), shown)

        return attempt(found, lambda error: self._failed(error, shown))

    def restore(self, saved: object) -> object:
        """Return what was open before the page was loaded again; nothing that the browser kept is trusted."""
        if not isinstance(saved, dict):
            return gr.skip()
        value = self.read(saved)
        return value if value["phase"] == "done" else gr.skip()

    def _failed(self, error: Exception, name: str) -> InfoValue:
        text = error_sentence(error, self.studio.settings.mode)
        return {**EMPTY, "phase": "error", "name": name, "text": text}

    def _shown(self, info: PictureInfo, path: str, name: str) -> InfoValue:
        others = [kind for kind in ("txt2img", *CANVASES) if kind not in info.kinds]
        kinds = [*info.kinds, *others] if info.infotext else []
        return {
            "phase": "done",
            "text": "",
            "name": name,
            "file": self.files.file(self.files.uploaded(path)),
            "facts": info.facts,
            "program": info.program,
            "fields": [_field(one) for one in info.fields],
            "remarks": info.remarks,
            "texts": [self._text(one, number) for number, one in enumerate(info.texts, 1)],
            "unread": info.unread,
            "offers": [(kind, MAKERS[kind]) for kind in kinds],
            "parameters": info.infotext,
            "picture": (path, name),
        }

    def _text(self, carried: CarriedText, number: int) -> ShownText:
        text = carried.text
        whole = self.files.data(text.encode(), f"text-{number}.txt") if len(text) > MAX_SHOWN else None
        return {"place": carried.place, "text": text[:MAX_SHOWN], "length": len(text), "file": whole}


def _field(one: InfoField) -> dict[str, str]:
    more = f"… ({len(one.value):,} characters)" if len(one.value) > MAX_VALUE else ""
    return {
        "name": one.name,
        "value": one.value[:MAX_VALUE] + more,
        "state": one.state,
        "label": one.label,
        "reason": one.reason,
    }


def info_tab(studio: PageStudio, files: PictureFiles) -> InfoEvents:
    """Build the tab inside gr.Tabs."""
    with gr.Tab("Picture info", id=NAME, elem_id=f"tab-{NAME}"):
        part_title("Picture info")
        moves = [f"move_{name}" for name in MAKERS]
        view = gr.HTML(
            value=EMPTY,
            html_template=(UI / "info/info.html").read_text(encoding="utf-8"),
            js_on_load=script_of("info/info.js", "picked", "noted", *moves),
            apply_default_css=False,
            elem_classes="info-block",
        )
    return InfoEvents(studio=studio, files=files, view=view)
