"""What arrives in a making tab from elsewhere: parameters, pictures, masks; each with a way back."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

import gradio as gr
from gradio.events import Dependency

from ...expressions import escape
from ...metadata import read_infotext, tabs_of
from ...requests import MAX_PROMPT
from .browser_state import QUIET, TELLING
from .canvas import Canvas, upload_of
from .components import Component, Updates
from .errors import attempt, error_sentence
from .form import fields_of
from .kinds import MAKERS
from .making_events import MakingTabEvents
from .scripts import function_of
from .toasts import refusal, warn

NO_PICTURE = "The parameters do not include a picture to start from: open it on the canvas."
THE_PICTURE = (
    "The picture itself is on the canvas, as the file does not hold the one it was made from. Undo there"
    " takes it back."
)


@dataclass(frozen=True, kw_only=True)
class Receiver:
    """The events that fill one tab's form and canvas."""

    tab: MakingTabEvents

    def wire(self) -> None:
        """Connect "reuse", dropped pictures, pasted settings, the canvas, and the way back."""
        self._wire_parameters()
        self._wire_undo()
        if self.tab.canvas:
            self._wire_canvas(self.tab.canvas)

    @property
    def _filled(self) -> list[Component]:
        prompts = self.tab.prompts
        return [*self.tab.form.values(), *prompts.of_model, prompts.notice]

    # -- parameters

    def _wire_parameters(self) -> None:
        tab = self.tab
        tab.result.reuse(
            self.reuse,
            js=function_of("shared/send_to.js", "infotextOf"),
            inputs=[tab.result, *tab.form.values()],
            outputs=self._filled,
            preprocess=False,
            **TELLING,
        )
        seed_js = function_of("shared/send_to.js", "seedOf")
        seed = tab.form["seed"]
        for use_seed in (tab.result.use_seed, tab.again.click):
            use_seed(fn=None, js=seed_js, inputs=[tab.result, seed], outputs=seed)
        tab.prompts.notice.pasted(
            self.paste,
            inputs=[*tab.form.values()],
            outputs=self._filled,
            preprocess=False,
            **TELLING,
        )
        tab.drop.upload(
            self.read_picture,
            inputs=[tab.drop, *tab.form.values()],
            outputs=[*self._filled, tab.drop],
            preprocess=False,
            **TELLING,
        )

    def reuse(self, infotext: object, *before: object) -> Updates:
        """Fill the form from the shown picture's infotext; `before` is what it held."""
        if not isinstance(infotext, str) or not infotext.strip():
            raise refusal("This picture holds no parameters.")
        return self._take(infotext, "this picture's parameters", before)

    def read_picture(self, file: object, *before: object) -> Updates:
        """Fill the form from a dropped picture, and empty the drop place for the next one."""
        drop = self.tab.drop
        if not (isinstance(file, dict) and "path" in file):
            return {drop: gr.skip()}
        path = file["path"]

        def read() -> Updates:
            infotext = read_infotext(self.tab.files.uploaded(path))
            if not infotext:
                raise ValueError(
                    "there are no parameters in this picture (it must be the file as the program saved it)"
                )
            given = self._picture_of(file)
            return self._fill_from(infotext, "that picture's parameters", before, given) | {drop: None}

        def failed(error: Exception) -> Updates:
            warn(self._message(error))
            return {drop: None}

        return attempt(read, failed)

    def paste(self, event: gr.EventData, *before: object) -> Updates:
        """Fill the form from settings that were pasted into a prompt, as from a picture that holds them."""
        text = event._data.get("text") if isinstance(event._data, dict) else None
        return self._take(text if isinstance(text, str) else "", "the pasted parameters", before)

    def _take(self, infotext: str, whose: str, before: tuple[object, ...]) -> Updates:
        """Fill the form, or end the event in words."""
        return attempt(lambda: self._fill_from(infotext, whose, before), self._end)

    def _end(self, error: Exception) -> NoReturn:
        """End an event in words."""
        raise refusal(self._message(error)) from error

    def _picture_of(self, file: Mapping[str, object]) -> tuple[str, str]:
        name = file.get("orig_name")
        return str(file["path"]), name[:100] if isinstance(name, str) else "picture"

    def _fill_from(
        self, infotext: str, whose: str, before: tuple[object, ...], picture: tuple[str, str] | None = None
    ) -> Updates:
        """Fill the form with what it can hold, and tell in one notice whether that is all.

        If another tab makes such pictures, the notice offers it, with the `picture`: its file and name.
        """
        tab = self.tab
        fields, remarks = fields_of(
            infotext, tab.model_names(), tab.studio.schedulers(), tab.request_type, tab.studio.vaes()
        )
        text = f"The form holds {'what it can of ' if remarks else ''}{whose}."
        told = "\n".join([text, *remarks])
        makers = tabs_of(infotext)
        if tab.name in makers or not makers:
            return tab.fill(fields) | self._tell(told, before)
        return tab.fill(fields) | self._tell(
            f"{told}\n{_made_in(makers)}",
            before,
            offers=[[name, MAKERS[name]] for name in makers],
            parameters=infotext,
            picture=list(picture or ()),
        )

    # -- the way back

    def _wire_undo(self) -> None:
        tab, notice = self.tab, self.tab.prompts.notice
        names = list(tab.form)
        notice.undo(
            fn=None,
            js=function_of("shared/send_to.js", "heldBefore", names),
            inputs=[notice, *tab.form.values()],
            outputs=[*tab.form.values(), notice],
            preprocess=False,
            **QUIET,
        )

    def _tell(self, text: str, before: tuple[object, ...] = (), **offered: object) -> Updates:
        """Return the update that tells what happened to the form, with what it held before."""
        held = dict(zip(self.tab.form, before, strict=True)) if before else None
        shown = text.encode(errors="replace").decode()  # half characters, of names on old disks, would end it
        return {self.tab.prompts.notice: {"text": shown, "before": held, **offered}}

    # -- a picture of another kind

    def wire_mover(self, notice: gr.HTML) -> None:
        """Let another tab's notice, that offers this one, hand over what was dropped or pasted there."""
        self._wire_offer(getattr(notice, f"move_{self.tab.name}"), notice)

    def wire_reuse(self, view: gr.HTML) -> None:
        """Let the history hand over a picture that such a tab made."""
        js = function_of("shared/send_to.js", "offered")
        self._wire_offer(getattr(view, f"reuse_{self.tab.name}"), view, js=js)

    def _wire_offer(self, event: Callable[..., Dependency], source: gr.HTML, js: str | None = None) -> None:
        tab = self.tab
        moved = event(
            self.take_over,
            js=js,
            inputs=[source, *tab.form.values()],
            outputs=[*self._filled, *tab.canvas_views],
            preprocess=False,
            **TELLING,
        )
        moved.success(
            fn=None, js=function_of("shared/send_to.js", "openTabs", f"tab-{tab.name}-button"), **QUIET
        )

    def take_over(self, offered: object, *before: object) -> Updates:
        """Fill the form, and the canvas if there is one, with what another tab's notice offers.

        The file holds no picture it was made from, so it is itself what the canvas begins with.
        """
        match offered:
            case {"parameters": str(infotext), "picture": [*picture]}:
                pass
            case _:
                raise refusal("There is nothing to open here any more. Drop the picture again.")
        filled = self._take(infotext, "these parameters", before)
        if self.tab.canvas is None:
            return filled
        notice = filled[self.tab.prompts.notice]
        if not picture:
            return {**filled, self.tab.prompts.notice: {**notice, "text": f"{notice['text']}\n{NO_PICTURE}"}}
        model = dict(zip(self.tab.form, before, strict=True))["model"]
        sheet = self.tab.canvas
        canvas = attempt(lambda: self._put_on_canvas(sheet, picture[0], picture[-1], model), self._end)
        text = f"{notice['text']}\n{THE_PICTURE}"
        return {**canvas, **filled, self.tab.prompts.notice: {**notice, "text": text}}

    # -- pictures of other tabs

    def wire_sender(self, source: gr.HTML) -> None:
        """Let another tab's result block send the picture it shows here."""
        tab = self.tab
        sent = getattr(source, f"send_{tab.name}")(
            self.receive,
            js=function_of("shared/send_to.js", "sentImage"),
            inputs=[source, *tab.form.values()],
            outputs=[*self._filled, *tab.canvas_views],
            preprocess=False,
            **TELLING,
        )
        sent.success(
            fn=None, js=function_of("shared/send_to.js", "openTabs", f"tab-{tab.name}-button"), **QUIET
        )

    def receive(self, entry: object, *form: object) -> Updates:
        """Take over a picture that another tab made.

        A canvas takes the picture, and the prompts only where there are none yet, or if they are arithmetic,
        which is what is sent then; without a canvas the parameters go into the form. What was there before
        can be brought back.
        """
        match entry:
            case {"file": {"path": path}, "infotext": str(infotext), "name": str(name)}:
                pass
            case _:
                raise refusal("There is no picture to send yet.")
        if self.tab.canvas is None:
            return self._take(infotext, f"the parameters of {name}", form)
        before = dict(zip(self.tab.form, form, strict=True))
        canvas = self.tab.canvas
        updates = attempt(lambda: self._put_on_canvas(canvas, path, name, before["model"]), self._end)
        held = f"{name} is on the canvas. Undo there brings back what it held."
        prompts = self._prompts_of(infotext)
        if before["prompt"] and "{" in prompts.get("prompt", ""):
            return updates | self.tab.fill(prompts) | self._tell(f"Its prompt is here. {held}", form)
        return updates | (self.tab.fill(prompts) if not before["prompt"] else {}) | self._tell(held)

    def _prompts_of(self, infotext: str) -> dict[str, str]:
        if not infotext:
            return {}
        fields, _ = fields_of(infotext, [], (), self.tab.request_type)
        return {name: str(fields[name]) for name in ("prompt", "negative_prompt") if name in fields}

    # -- words that were found for a picture

    def wire_words(self, words: gr.HTML, canvas: Canvas) -> None:
        """Let the tab "Interrogate" send the prompt of its words block and the picture on its canvas here."""
        tab = self.tab
        sent = getattr(words, f"send_{tab.name}")(
            self.receive_words,
            inputs=[words, canvas.view, *tab.form.values()],
            outputs=[*self._filled, *tab.canvas_views],
            preprocess=False,
            **TELLING,
        )
        sent.success(
            fn=None, js=function_of("shared/send_to.js", "openTabs", f"tab-{tab.name}-button"), **QUIET
        )

    def receive_words(self, found: object, canvas_value: object, *form: object) -> Updates:
        """Take over a prompt, least-like words as the negative one, and its picture where there is a canvas.

        The words are escaped: what is drawn is what CLIP scored. What was there before can be brought back.
        """
        match found:
            case {"prompt": str(prompt), "mode": mode} if prompt:
                name = "negative_prompt" if mode == "negative" else "prompt"
            case _:
                raise refusal("There are no words to send yet.")
        before = dict(zip(self.tab.form, form, strict=True))
        found_words = escape(prompt[: MAX_PROMPT // 2])  # escaped they are at most twice as long
        updates = self.tab.fill({name: found_words})
        text = "The words found are here."
        match canvas_value:
            case {"picture": {"file": {"path": path}, "name": title}} if self.tab.canvas:
                canvas = self.tab.canvas
                updates |= attempt(
                    lambda: self._put_on_canvas(canvas, path, title, before["model"]), self._end
                )
                text = "The words found are here, and the picture is on the canvas; Undo there takes it back."
        return updates | self._tell(text, form)

    # -- the canvas

    def _wire_canvas(self, canvas: Canvas) -> None:
        sides = [self.tab.form["width"], self.tab.form["height"]]
        given = [canvas.view, self.tab.form["model"]]
        for event, take in (
            (canvas.view.picked, self.take_picture),
            (canvas.view.mask_picked, self.take_mask),
        ):
            event(take, inputs=given, outputs=[canvas.view, *sides], preprocess=False, **QUIET)
        canvas.view.resized(self.tab.fit, inputs=given, outputs=sides, preprocess=False, **QUIET)
        canvas.view.blank(
            fn=None,
            js=function_of("shared/send_to.js", "blankCanvas"),
            inputs=[canvas.view, *sides],
            outputs=canvas.view,
            preprocess=False,
            **QUIET,
        )

    def take_picture(self, value: object, model: object, event: gr.EventData) -> Updates:
        """Put an uploaded picture on the canvas."""
        canvas = self.tab.canvas
        assert canvas
        return attempt(
            lambda: self._put_on_canvas(canvas, *upload_of(event), model),
            lambda error: self._refuse(canvas, value, error),
        )

    def take_mask(self, value: object, model: object, event: gr.EventData) -> Updates:
        """Put an uploaded mask over the picture."""
        canvas = self.tab.canvas
        assert canvas
        return attempt(
            lambda: {canvas.view: canvas.take_mask(value, upload_of(event)[0])},
            lambda error: self._refuse(canvas, value, error),
        )

    def _put_on_canvas(self, canvas: Canvas, path: object, name: object, model: object) -> Updates:
        value = canvas.take(path, name)
        picture = value["picture"]
        assert picture
        return {canvas.view: value, **self.tab.sides((picture["width"], picture["height"]), model)}

    def _refuse(self, canvas: Canvas, value: object, error: Exception) -> Updates:
        return {canvas.view: {**canvas.restore(value), "text": self._message(error)}}

    def _message(self, error: Exception) -> str:
        return error_sentence(error, self.tab.studio.settings.mode)


def _made_in(makers: Sequence[str]) -> str:
    names = " or ".join(MAKERS[name] for name in makers)
    return f"Pictures like this one are made in {names}."
