"""What every making tab does: generate, stop, reuse, read a dropped picture, keep and restore."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from ..catalog import ModelInfo
from ..metadata import read_infotext
from ..requests import Step, Txt2ImgResult
from . import stage
from .controls import USUAL_STEPS, PromptBlock, token_line
from .errors import sentence, words
from .form import MODEL_FIELDS, Form, fields_of, model_defaults, read_request, valid_fields
from .jobs import Line, Run, Waiting, stream
from .pictures import Shelf

# Event settings: fast, silent, and not part of the public API.
QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
# The same for events that show a message: those travel through the queue only.
TELLING: dict[str, Any] = {**QUIET, "queue": True, "concurrency_limit": None}


@dataclass(frozen=True, kw_only=True)
class Maker:
    """One making tab, assembled."""

    name: str  # the tab's id
    studio: Any
    line: Line
    shelf: Shelf
    form: Form
    prompts: PromptBlock
    stage: Any
    drop: Any  # the place to drop a picture on
    again: Any  # the button that takes the last seed
    saved_form: Any
    saved_results: Any

    def wire(self, demo: Any, make_run: Callable[[Any], Run]) -> None:
        """Connect all events. make_run(request) returns what `stream` runs."""
        self._wire_generate(make_run)
        self._wire_reuse()
        self._wire_tokens()
        self._wire_memory(demo)

    # -- generate and stop

    def _wire_generate(self, make_run: Callable[[Any], Run]) -> None:
        def generate(values: dict[Any, object], browser: gr.Request) -> Iterator[dict[Any, Any]]:
            yield from self.events(values, make_run, str(browser.session_hash))

        self.prompts.generate.click(
            generate,
            inputs=set(self.form.values()),
            outputs=[self.stage, self.saved_results],
            preprocess=False,
            concurrency_limit=None,  # the line lets one run at a time
            # A press between a job's last word and the end of its event must not get lost.
            trigger_mode="multiple",
            show_progress="hidden",
            api_visibility="private",
        )

        def stop(browser: gr.Request) -> None:
            self.line.stop(str(browser.session_hash))

        self.prompts.stop.click(stop, **QUIET)

    def events(
        self, values: Mapping[Any, object], make_run: Callable[[Any], Run], owner: str
    ) -> Iterator[dict[Any, Any]]:
        """Run one job and yield what changes in the page. An error becomes a message; the rest stays."""
        images: list[dict[str, Any]] = []
        try:
            request = read_request(self.form, values)
            preview = None
            for event in stream(self.line, owner, make_run(request)):
                match event:
                    case Waiting():
                        yield {self.stage: stage.waiting(event)}
                    case Step():
                        preview = stage.preview_url(event.preview) if event.preview else preview
                        images += [self.shelf.read_entry(path) for path in event.paths[len(images) :]]
                        yield {self.stage: stage.running(event, request, images, preview)}
                    case Txt2ImgResult():
                        yield self._result(event)
                        return
                    case None:
                        yield {self.stage: gr.skip()}
            yield {self.stage: {**stage.EMPTY, "text": "Stopped before it began"}}
        except Exception as error:  # noqa: BLE001  # whatever a job dies of, the page says so and lives
            text = sentence(words(error, self.studio.settings.mode))
            yield {self.stage: {**stage.EMPTY, "phase": "error", "text": text, "images": images}}

    def _result(self, result: Txt2ImgResult) -> dict[Any, Any]:
        model = self._model(result.request.model)
        note = stage.size_note(model, self.studio.settings.mode)
        rows = zip(result.paths, result.infotexts, result.seeds, strict=True)
        drawn = stage.finished(result, [self.shelf.entry(*row) for row in rows], note)
        kept = {"pictures": self.shelf.note(result.paths), "text": drawn["text"]}
        return {self.stage: drawn, self.saved_results: kept}

    # -- parameters from a picture

    def _wire_reuse(self) -> None:
        selected = "(stage) => stage?.images?.[stage.selected]"
        self.stage.reuse(
            self.reuse,
            js=f"{selected}?.infotext ?? ''",
            inputs=[self.stage],
            outputs=[*self.form.values(), self.prompts.examples],
            preprocess=False,
            **TELLING,
        )
        seed_js = f"(stage, seed) => ({selected})(stage)?.seed ?? seed"
        for use_seed in (self.stage.use_seed, self.again.click):
            use_seed(fn=None, js=seed_js, inputs=[self.stage, self.form["seed"]], outputs=self.form["seed"])
        self.drop.upload(
            self.read_picture,
            inputs=self.drop,
            outputs=[*self.form.values(), self.prompts.examples, self.drop],
            **TELLING,
        )

    def reuse(self, infotext: object) -> dict[Any, Any]:
        """Fill the form from the shown picture's infotext."""
        if not isinstance(infotext, str) or not infotext.strip():
            raise gr.Error("This picture holds no parameters.", print_exception=False)
        return self._fill_from(infotext)

    def read_picture(self, path: str | None) -> dict[Any, Any]:
        """Fill the form from a dropped picture, and empty the drop place for the next one."""
        if path is None:
            return {self.drop: gr.skip()}
        try:
            infotext = read_infotext(Path(path))
            if not infotext:
                raise ValueError(
                    "No parameters in this picture (it must be the file as Stable Diffusion saved it)"
                )
            updates = self._fill_from(infotext)
        except (ValueError, OSError) as error:
            gr.Warning(sentence(words(error, self.studio.settings.mode)))
            return {self.drop: None}
        gr.Info("The form holds the parameters of the picture.")
        return {**updates, self.drop: None}

    def _fill_from(self, infotext: str) -> dict[Any, Any]:
        try:
            fields, remarks = fields_of(infotext, self._model_names(), self.studio.schedulers())
        except ValueError as error:
            raise gr.Error(sentence(str(error)), print_exception=False) from error
        for remark in remarks:
            gr.Warning(remark)
        return self.fill(fields)

    def fill(self, fields: Mapping[str, Any]) -> dict[Any, Any]:
        """Return the updates that put these fields into the form; the others stay as they are."""
        updates: dict[Any, Any] = {self.form[name]: value for name, value in fields.items()}
        steps = fields.get("num_inference_steps")
        if steps:
            slider = self.form["num_inference_steps"]
            updates[slider] = gr.update(value=steps, maximum=max(USUAL_STEPS, steps))
        if "model" in fields:
            model = self._model(fields["model"])
            updates[self.prompts.examples] = list(model.example_prompts) if model else []
        return updates

    # -- prompts, examples, model

    def _wire_tokens(self) -> None:
        for name, line in self.prompts.lines.items():
            empty = "0 / 75 tokens" if name == "prompt" else ""

            def count(prompt: object, model: object, empty: str = empty) -> str:
                return self.count_tokens(prompt, model, empty)

            gr.on(
                [self.form[name].change, self.form["model"].change],
                count,
                inputs=[self.form[name], self.form["model"]],
                outputs=line,
                preprocess=False,
                trigger_mode="multiple",
                **QUIET,
            )
        self.prompts.examples.pick(_picked, outputs=self.form["prompt"], **QUIET)
        chosen = [name for name in MODEL_FIELDS if name in self.form]
        self.form["model"].input(
            self.choose_model,
            inputs=self.form["model"],
            outputs=[*(self.form[name] for name in chosen), self.prompts.examples],
            preprocess=False,
            **QUIET,
        )

    def count_tokens(self, prompt: object, model: object, empty: str) -> str:
        """Return the token line of a prompt."""
        if not isinstance(prompt, str) or not prompt.strip():
            return token_line(None, empty=empty)
        try:
            report = self.studio.tokens(prompt, model if isinstance(model, str) else None)
        except (ValueError, OSError):
            return token_line(None, empty="")  # the prompt or model is refused when the job starts
        return token_line(report)

    def choose_model(self, name: object) -> dict[Any, Any]:
        """Set size, steps, guidance and scheduler to what the model likes."""
        model = self._model(name)
        if model is None:
            raise gr.Error("This model is not here any more. Reload the page.", print_exception=False)
        return {**self.fill(model_defaults(model)), self.prompts.examples: list(model.example_prompts)}

    def _model(self, name: object) -> ModelInfo | None:
        return next((model for model in self.studio.models() if model.name == name), None)

    def _model_names(self) -> list[str]:
        return [model.name for model in self.studio.models()]

    # -- memory of the browser

    def _wire_memory(self, demo: Any) -> None:
        names = list(self.form)
        gr.on(
            [component.change for component in self.form.values()],
            fn=None,  # in the browser alone, without a round trip
            js=f"(...values) => Object.fromEntries({names}.map((name, i) => [name, values[i]]))",
            inputs=list(self.form.values()),
            outputs=self.saved_form,
            trigger_mode="multiple",
            **QUIET,
        )
        demo.load(
            self.restore,
            inputs=[self.saved_form, self.saved_results],
            outputs=[*self.form.values(), self.prompts.examples, self.stage],
            **QUIET,
        )

    def restore(self, saved_form: object, saved_results: object) -> dict[Any, Any]:
        """Return the updates that bring back what the browser kept. None of it is trusted."""
        names = self._model_names()
        fields = valid_fields(saved_form, names, self.studio.schedulers())
        updates = self.fill(fields)
        picker = self.form["model"]
        if names:
            updates[picker] = gr.update(choices=names, value=updates.get(picker, names[0]))
        kept = saved_results if isinstance(saved_results, dict) else {}
        images = self.shelf.restore(kept.get("pictures"))
        if images:
            model = self._model(fields.get("model"))
            updates[self.stage] = {
                **stage.EMPTY,
                "phase": "done",
                "text": str(kept.get("text", ""))[:200],
                "images": images,
                "note": stage.size_note(model, self.studio.settings.mode),
            }
        return updates


def _picked(event: gr.EventData) -> str:
    text = event._data.get("text") if isinstance(event._data, dict) else None
    return text[:20_000] if isinstance(text, str) else ""
