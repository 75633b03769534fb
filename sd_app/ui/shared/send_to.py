"""What arrives in a making tab from elsewhere: parameters, pictures, masks; each with a way back."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from ...metadata import read_infotext
from ...requests import MAX_PROMPT
from ..interrogate.events import Interrogator
from .browser_state import QUIET, TELLING
from .canvas import Easel, upload_of
from .errors import sentence, words
from .form import fields_of
from .making_events import SHOWN, Maker

Updates = dict[Any, Any]  # component -> what it shall hold


@dataclass(frozen=True, kw_only=True)
class Arrivals:
    """The events that fill one tab's form and easel."""

    maker: Maker

    def wire(self) -> None:
        """Connect "reuse", the place for dropped pictures, the easel, and the way back."""
        self._wire_parameters()
        self._wire_undo()
        if self.maker.easel:
            self._wire_easel(self.maker.easel)

    @property
    def _filled(self) -> list[Any]:
        prompts = self.maker.prompts
        return [*self.maker.form.values(), prompts.examples, prompts.notice]

    # -- parameters

    def _wire_parameters(self) -> None:
        maker = self.maker
        maker.stage.reuse(
            self.reuse,
            js=f"(stage, ...form) => [({SHOWN})(stage)?.infotext ?? '', ...form]",
            inputs=[maker.stage, *maker.form.values()],
            outputs=self._filled,
            preprocess=False,
            **TELLING,
        )
        seed_js = f"(stage, seed) => ({SHOWN})(stage)?.seed ?? seed"
        seed = maker.form["seed"]
        for use_seed in (maker.stage.use_seed, maker.again.click):
            use_seed(fn=None, js=seed_js, inputs=[maker.stage, seed], outputs=seed)
        maker.drop.upload(
            self.read_picture,
            inputs=[maker.drop, *maker.form.values()],
            outputs=[*self._filled, maker.drop],
            preprocess=False,
            **TELLING,
        )

    def reuse(self, infotext: object, *before: object) -> Updates:
        """Fill the form from the shown picture's infotext; `before` is what it held."""
        if not isinstance(infotext, str) or not infotext.strip():
            raise gr.Error("This picture holds no parameters.", print_exception=False)
        return self._fill_from(infotext) | self._tell("The form holds this picture's parameters.", before)

    def read_picture(self, file: object, *before: object) -> Updates:
        """Fill the form from a dropped picture, and empty the drop place for the next one."""
        drop = self.maker.drop
        if not (isinstance(file, dict) and "path" in file):
            return {drop: gr.skip()}
        try:
            infotext = read_infotext(self.maker.shelf.uploaded(file["path"]))
            if not infotext:
                raise ValueError(
                    "No parameters in this picture (it must be the file as Stable Diffusion saved it)"
                )
            updates = self._fill_from(infotext)
        except (ValueError, OSError) as error:
            gr.Warning(self._words(error))
            return {drop: None}
        return {**updates, **self._tell("The form holds that picture's parameters.", before), drop: None}

    def _fill_from(self, infotext: str) -> Updates:
        maker = self.maker
        try:
            fields, remarks = fields_of(
                infotext,
                maker.model_names(),
                maker.studio.schedulers(),
                maker.request_type,
                maker.studio.vaes(),
            )
        except ValueError as error:
            raise gr.Error(sentence(str(error)), print_exception=False) from error
        for remark in remarks:
            gr.Warning(remark)
        return maker.fill(fields)

    # -- the way back

    def _wire_undo(self) -> None:
        maker, notice = self.maker, self.maker.prompts.notice
        names = list(maker.form)
        notice.undo(
            fn=None,
            js=f"(notice, ...form) => [...{names}.map((name, i) => notice?.before?.[name] ?? form[i]),"
            " {text: '', before: null}]",
            inputs=[notice, *maker.form.values()],
            outputs=[*maker.form.values(), notice],
            preprocess=False,
            **QUIET,
        )

    def _tell(self, text: str, before: tuple[object, ...] = ()) -> Updates:
        """Return the update that tells what happened to the form, with what it held before."""
        held = dict(zip(self.maker.form, before, strict=True)) if before else None
        return {self.maker.prompts.notice: {"text": text, "before": held}}

    # -- pictures of other tabs

    def wire_sender(self, source: Any) -> None:
        """Let another tab's stage send the picture it shows here."""
        maker = self.maker
        sent = getattr(source, f"send_{maker.name}")(
            self.receive,
            js=f"(stage, ...form) => [({SHOWN})(stage) && {{...({SHOWN})(stage), ...stage.shown}}, ...form]",
            inputs=[source, *maker.form.values()],
            outputs=[*self._filled, *maker.sheet],
            preprocess=False,
            **TELLING,
        )
        sent.success(fn=None, js=f"() => document.getElementById('tab-{maker.name}-button').click()", **QUIET)

    def receive(self, entry: object, *form: object) -> Updates:
        """Take over a picture that another tab made.

        An easel takes the picture, and the prompts only where there are none yet, or if they are arithmetic,
        which is what is sent then; without an easel the parameters go into the form. What was there before
        can be brought back.
        """
        match entry:
            case {"file": {"path": path}, "infotext": str(infotext), "name": str(name)}:
                pass
            case _:
                raise gr.Error("There is no picture to send yet.", print_exception=False)
        if self.maker.easel is None:
            return self._fill_from(infotext) | self._tell(f"The form holds the parameters of {name}.", form)
        before = dict(zip(self.maker.form, form, strict=True))
        try:
            updates = self._put_on_easel(self.maker.easel, path, name, before["model"])
        except (ValueError, OSError) as error:
            raise gr.Error(self._words(error), print_exception=False) from error
        held = f"{name} is on the easel. Undo there brings back what it held."
        prompts = self._prompts_of(infotext)
        if before["prompt"] and "{" in prompts.get("prompt", ""):
            return updates | self.maker.fill(prompts) | self._tell(f"Its prompt is here. {held}", form)
        return updates | (self.maker.fill(prompts) if not before["prompt"] else {}) | self._tell(held)

    def _prompts_of(self, infotext: str) -> dict[str, Any]:
        if not infotext:
            return {}
        fields, _ = fields_of(infotext, [], (), self.maker.request_type)
        return {name: fields[name] for name in ("prompt", "negative_prompt")}

    # -- words that were found for a picture

    def wire_words(self, source: Interrogator) -> None:
        """Let the tab "Interrogate" send its prompt and its picture here."""
        maker = self.maker
        sent = getattr(source.words, f"send_{maker.name}")(
            self.receive_words,
            inputs=[source.words, source.easel.view, *maker.form.values()],
            outputs=[*self._filled, *maker.sheet],
            preprocess=False,
            **TELLING,
        )
        sent.success(fn=None, js=f"() => document.getElementById('tab-{maker.name}-button').click()", **QUIET)

    def receive_words(self, found: object, sheet: object, *form: object) -> Updates:
        """Take over a prompt, least-like words as the negative one, and its picture where there is an easel.

        What was there before can be brought back.
        """
        match found:
            case {"prompt": str(prompt), "mode": mode} if prompt:
                name = "negative_prompt" if mode == "negative" else "prompt"
            case _:
                raise gr.Error("There are no words to send yet.", print_exception=False)
        before = dict(zip(self.maker.form, form, strict=True))
        updates = self.maker.fill({name: prompt[:MAX_PROMPT]})
        text = "The words found are here."
        match sheet:
            case {"picture": {"file": {"path": path}, "name": title}} if self.maker.easel:
                try:
                    updates |= self._put_on_easel(self.maker.easel, path, title, before["model"])
                except (ValueError, OSError) as error:
                    raise gr.Error(self._words(error), print_exception=False) from error
                text = "The words found are here, and the picture is on the easel; Undo there takes it back."
        return updates | self._tell(text, form)

    # -- the easel

    def _wire_easel(self, easel: Easel) -> None:
        sides = [self.maker.form["width"], self.maker.form["height"]]
        given = [easel.view, self.maker.form["model"]]
        for event, take in ((easel.view.picked, self.take_picture), (easel.view.mask_picked, self.take_mask)):
            event(take, inputs=given, outputs=[easel.view, *sides], preprocess=False, **QUIET)
        easel.view.resized(self.maker.fit, inputs=given, outputs=sides, preprocess=False, **QUIET)
        easel.view.blank(
            fn=None,
            js="(value, width, height) => ({picture: null, paint: null, text: '',"
            " blank: [Math.round(width) || 512, Math.round(height) || 512, '#ffffff']})",
            inputs=[easel.view, *sides],
            outputs=easel.view,
            preprocess=False,
            **QUIET,
        )

    def take_picture(self, value: object, model: object, event: gr.EventData) -> Updates:
        """Put an uploaded picture on the easel."""
        assert self.maker.easel
        try:
            return self._put_on_easel(self.maker.easel, *upload_of(event), model)
        except (ValueError, OSError) as error:
            return self._refuse(self.maker.easel, value, error)

    def take_mask(self, value: object, model: object, event: gr.EventData) -> Updates:
        """Put an uploaded mask over the picture."""
        assert self.maker.easel
        try:
            return {self.maker.easel.view: self.maker.easel.take_mask(value, upload_of(event)[0])}
        except (ValueError, OSError) as error:
            return self._refuse(self.maker.easel, value, error)

    def _put_on_easel(self, easel: Easel, path: object, name: object, model: object) -> Updates:
        value = easel.take(path, name)
        picture = value["picture"]
        return {easel.view: value, **self.maker.sides((picture["width"], picture["height"]), model)}

    def _refuse(self, easel: Easel, value: object, error: Exception) -> Updates:
        return {easel.view: {**easel.restore(value), "text": self._words(error)}}

    def _words(self, error: Exception) -> str:
        return sentence(words(error, self.maker.studio.settings.mode))
