"""What every making tab does: generate and stop, count tokens, keep and restore."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import gradio as gr

from ...checkpoints.model_info import ModelInfo
from ...pictures.placement import working_size
from ...queue import Job, JobQueue, Kind, work_of
from ...requests import Txt2ImgRequest, Txt2ImgResult, count_steps
from ...requests.making import MAX_STEPS
from . import frames, views
from . import result as drawing
from .addon_picker import AddonPicker
from .browser_state import QUIET, RUN, browser_state, keep_form, keep_pictures, read_pictures
from .canvas import Canvas
from .components import Component, Form, Updates, Values
from .controls import (
    NO_NOTICE,
    USUAL_STEPS,
    PromptBlock,
    picked,
    schedule_choices,
    token_line,
    vae_choices,
    wire_steps_run,
)
from .errors import attempt
from .field_controls import if_chosen
from .files import PictureFiles
from .form import MODEL_FIELDS, OWN_VAE, TEXTS, model_defaults, read_request, valid_fields
from .job_events import Asked
from .kept_result import keep_pictures_of, keep_result, read_result
from .making_job import MakingJob, Shown, summary_of, title_of
from .result_values import ResultValue
from .scripts import function_of
from .studio_protocol import PageStudio
from .style_picker import StylePicker
from .tab_jobs import TabJobs
from .toasts import refusal
from .visitors import owner_of

USUAL_SIDE = 512  # of a model that is not known


@dataclass(frozen=True, kw_only=True)
class MakingTabEvents:
    """One making tab, assembled."""

    name: str  # the tab's id
    # Studio method -> the request it is asked with; the first is what a received picture is read as.
    request_types: Mapping[str, type[Txt2ImgRequest]]
    studio: PageStudio
    queue: JobQueue
    files: PictureFiles
    form: Form
    prompts: PromptBlock
    addons: AddonPicker
    generate: gr.Button
    add: gr.Button  # the button that puts one more job into the line while one runs
    stop: gr.Button
    result: gr.HTML
    drop: gr.File  # the place to drop a picture on
    again: gr.Button  # the button that takes the last seed
    styles: StylePicker | None = None
    canvas: Canvas | None = None
    steps_run: gr.HTML | None = None  # the line that says how many steps strength leaves

    @property
    def request_type(self) -> type[Txt2ImgRequest]:
        return next(iter(self.request_types.values()))

    def wire(self, demo: gr.Blocks, line: gr.HTML) -> None:
        """Connect all events. Not inside gr.Tabs, which counts what the browser keeps as tabs.

        `line` is the line of jobs, which asks for one to be shown.
        """
        saved_results = browser_state(self.name, "results")
        self.register_kinds()
        self._wire_jobs(line, saved_results)
        if self.steps_run:
            wire_steps_run(self.form["num_inference_steps"], self.form["strength"], self.steps_run, demo)
        self._wire_tokens()
        if self.styles:
            self.styles.wire(self.form["prompt"], self.form["negative_prompt"], demo)
        self.addons.wire(self.form["prompt"], self.form["negative_prompt"], demo)
        self._wire_browser_state(demo, saved_results)

    @property
    def canvas_views(self) -> list[Component]:
        """Return the canvas's component, if there is one."""
        return [self.canvas.view] if self.canvas else []

    # -- generate and stop

    def register_kinds(self) -> None:
        """Tell the queue how the tab's jobs are run, and what is kept of their results."""
        for name in self.request_types:
            make = getattr(self.studio, name)
            kind = Kind(
                name=name,
                make=make,
                keep=self._show_result,
                summary=summary_of,
                tab=self.name,
                request_type=self.request_types[name],
                lost=self._show_lost,
            )
            self.queue.register(kind)

    @cached_property
    def jobs(self) -> TabJobs[Shown]:
        """Return the tab's jobs as its page shows them."""
        return TabJobs(
            tab=self.name,
            queue=self.queue,
            mode=self.studio.settings.mode,
            view_of=lambda _: MakingJob(files=self.files),
        )

    def _wire_jobs(self, line: gr.HTML, saved_results: gr.BrowserState) -> None:
        outputs = [self.result, saved_results]

        def generate(values: Values, browser: gr.Request) -> Iterator[Updates]:
            yield from self._updates(self.jobs.ask(lambda: self.ask(values), browser), saved_results)

        def show(browser: gr.Request, event: gr.EventData) -> Iterator[Updates]:
            yield from self._updates(self.jobs.show(browser, event), saved_results)

        def stop(browser: gr.Request) -> None:
            self.queue.stop(owner_of(browser), tab=self.name)

        def add(values: Values, browser: gr.Request) -> Iterator[Updates]:
            yield from self._updates(self.jobs.add(lambda: self.ask(values), browser), saved_results)

        inputs = {*self.form.values(), *self.canvas_views}
        # A press between a job's last word and the end of its event must not get lost.
        self.generate.click(generate, inputs=inputs, outputs=outputs, trigger_mode="multiple", **RUN)
        self.add.click(add, inputs=inputs, outputs=outputs, trigger_mode="multiple", **RUN)
        getattr(line, f"show_{self.name}")(show, outputs=outputs, trigger_mode="multiple", **RUN)
        self.stop.click(stop, **QUIET)

    def _updates(self, shown: Iterator[Shown], saved_results: gr.BrowserState) -> Iterator[Updates]:
        for drawn, kept in shown:
            yield {self.result: drawn} | ({saved_results: kept} if kept else {})

    def ask(self, values: Values) -> Asked:
        """Read the form as a job; raise ValueError for what cannot be run."""
        request = self._read(values)
        kind = next(name for name, known in self.request_types.items() if known is type(request))
        model = self._model(request.model)
        return Asked(kind=kind, request=request, title=title_of(request), work=work_of(request, model))

    def _read(self, values: Values) -> Txt2ImgRequest:
        pictures = self.canvas.pictures(values[self.canvas.view]) if self.canvas else {}
        return read_request(self.form, values, self._asked(values), pictures)

    def _asked(self, values: Values) -> type[Txt2ImgRequest]:
        """Return the type of the request that the form's mode, if it has one, asks for."""
        if len(self.request_types) == 1:
            return self.request_type
        mode = values[self.form["mode"]]
        if not isinstance(mode, str) or mode not in self.request_types:
            raise ValueError(f"the mode must be one of {', '.join(self.request_types)} (choose one above)")
        return self.request_types[mode]

    def _show_result(self, result: Txt2ImgResult, job: Job) -> Shown:
        note = drawing.size_note(self._model(result.request.model), self.studio.settings)
        self.files.note_made(result, job.owner)
        shown = views.entries(result, self.files)
        start, of_frames = views.start_of(result, self.files), frames.frames_of(result, self.files)
        drawn = drawing.finished(result, shown, note, start=start, frames=of_frames)
        if job.earlier:  # made before the app ended in the middle of it
            drawn = self._with_earlier(drawn, job)
        return drawn, keep_result(result, drawn, self.files, job)

    def _with_earlier(self, drawn: ResultValue, job: Job) -> ResultValue:
        images = [*(views.read_entry(path, self.files) for path in job.earlier), *drawn["images"]]
        before = f"{len(job.earlier)} of these {len(images)} pictures were made before the app was restarted."
        return {**drawn, "images": images, "notice": " ".join(filter(None, [drawn["notice"], before]))}

    def _show_lost(self, paths: tuple[Path, ...], text: str, job: Job) -> Shown:
        """Show what there is of a job that was cut off."""
        images = [views.read_entry(path, self.files) for path in paths]
        drawn: ResultValue = {**drawing.EMPTY, "phase": "stopped", "text": text, "images": images}
        return drawn, keep_pictures_of(paths, drawn, self.files, job)

    # -- the form

    def fill(self, fields: Mapping[str, object]) -> Updates:
        """Return the updates that put these fields into the form; the others stay as they are."""
        updates: Updates = {self.form[n]: value for n, value in fields.items() if n in self.form}
        steps = fields.get("num_inference_steps")
        if isinstance(steps, int):
            slider = self.form["num_inference_steps"]
            updates[slider] = gr.update(value=steps, maximum=max(USUAL_STEPS, steps))
        if "scheduler" in fields and "schedule_type" in fields:
            chosen = schedule_choices(fields["scheduler"], fields["schedule_type"])
            updates[self.form["schedule_type"]] = chosen
        if "model" in fields:
            updates |= self.prompts.tell_model(self._model(fields["model"]))
        return updates

    def fit(self, value: object, model: object) -> Updates:
        """Set width and height to what suits the canvas's picture and the model."""
        canvas = self.canvas
        assert canvas
        size = attempt(lambda: canvas.size(value), lambda _: None)
        return self.sides(size, model) if size else {self.form["width"]: gr.skip()}

    def sides(self, size: tuple[int, int], model: object) -> Updates:
        """Set width and height to what suits a picture of this size and the model."""
        known = self._model(model)
        width, height = working_size(*size, known.native_size if known else USUAL_SIDE)
        return {self.form["width"]: width, self.form["height"]: height}

    # -- prompts, examples, model

    def _wire_tokens(self) -> None:
        fields = ("model", "num_inference_steps", "strength")
        known = [self.form[name] for name in fields if name in self.form]
        for name, line in self.prompts.lines.items():
            negative = name == "negative_prompt"

            def count(prompt: object, model: object, *steps: object, negative: bool = negative) -> str:
                return self.count_tokens(prompt, model, *steps, negative=negative)

            gr.on(
                [self.form[name].change, *(field.change for field in known)],
                count,
                inputs=[self.form[name], *known],
                outputs=line,
                preprocess=False,
                trigger_mode="always_last",
                **QUIET,
            )
        self._wire_choice()

    def _wire_choice(self) -> None:
        field = self.form[self.prompts.example_for]
        self.prompts.examples.pick(
            self.take_example,
            inputs=field,
            outputs=[field, self.prompts.notice],
            preprocess=False,
            **QUIET,
        )
        self.form["model"].input(
            self.choose_model,
            js=if_chosen(self.form["model"]),
            inputs=[self.form["model"], *self.canvas_views],
            outputs=self._chosen,
            preprocess=False,
            **QUIET,
        )

    def take_example(self, before: object, event: gr.EventData) -> Updates:
        """Put an example into its field; what stood there can be brought back."""
        name = self.prompts.example_for
        return {self.form[name]: picked(event), **self.replaced({name: before}, {name: picked(event)})}

    def replaced(self, before: Mapping[str, object], after: Mapping[str, object]) -> Updates:
        """Return the update that offers back what an example takes the place of, if a text is lost."""
        lost = {name: old for name, old in before.items() if old and name in after and old != after[name]}
        if not any(name in TEXTS for name in lost):
            return {self.prompts.notice: NO_NOTICE}
        text = "The example replaced what was here."
        return {self.prompts.notice: {"text": text, "before": lost}}

    def wire_added(self, add_model: gr.HTML) -> None:
        """Set the form to what a model likes that was added just now, and is chosen with that."""

        def added(event: gr.EventData, *canvas_value: object) -> Updates:
            name = event._data.get("name") if isinstance(event._data, dict) else None
            return self.choose_model(name, *canvas_value)

        add_model.added(added, inputs=self.canvas_views, outputs=self._chosen, preprocess=False, **QUIET)

    @property
    def _chosen(self) -> list[Component]:
        """Return the components that follow the choice of a model."""
        return [*(self.form[name] for name in MODEL_FIELDS if name in self.form), *self.prompts.of_model]

    def count_tokens(
        self,
        prompt: object,
        model: object,
        steps: object = None,
        strength: object = None,
        *,
        negative: bool = False,
    ) -> str:
        """Return the line under a prompt, of a run of so many steps; from a picture, of strength's share."""
        text = prompt if isinstance(prompt, str) else ""
        empty = "" if negative else "0 / 75 tokens"

        def count() -> str:
            report = self.studio.tokens(
                text,
                model if isinstance(model, str) else None,
                steps=_steps_run(steps, strength),
                negative=negative,
            )
            return token_line(report, empty=empty)

        # What is wrong with it is said in words when the job starts.
        return attempt(count, lambda _: token_line(None, empty="" if text else empty))

    def choose_model(self, name: object, canvas_value: object = None) -> Updates:
        """Set size, steps, guidance and scheduler to what the model likes; None chooses nothing."""
        if name is None:
            return {self.prompts.examples: gr.skip()}
        model = self._model(name)
        if model is None:
            raise refusal("This model is not here any more. Reload the page.")
        updates = self.fill(model_defaults(model)) | (self.fit(canvas_value, name) if self.canvas else {})
        return updates | self.prompts.tell_model(model)

    def _model(self, name: object) -> ModelInfo | None:
        return next((model for model in self.studio.models() if model.name == name), None)

    def model_names(self) -> list[str]:
        return [model.name for model in self.studio.models()]

    # -- what the browser keeps

    def _wire_browser_state(self, demo: gr.Blocks, saved_results: gr.BrowserState) -> None:
        saved_form = browser_state(self.name, "form")
        saved_canvas = browser_state(self.name, "canvas")
        keep_form(self.form, saved_form)
        if self.canvas:
            keep_pictures(self.canvas.view, saved_canvas)

        def find(kept: object, browser: gr.Request) -> Iterator[Updates]:
            yield {self.result: gr.skip()}  # a generator that yields nothing would empty its outputs
            known = kept.get("job") if isinstance(kept, dict) else None
            yield from self._updates(self.jobs.find(browser, kept=known), saved_results)

        restored = demo.load(
            self.restore,
            js=function_of("shared/tabs.js", "asLinked", self.name),
            inputs=[saved_form, saved_results, saved_canvas],
            outputs=[*self.form.values(), *self.prompts.of_model, self.result, *self.canvas_views],
            **QUIET,
        )
        # After that, so that a job that runs stands over what the browser kept.
        restored.then(find, inputs=saved_results, outputs=[self.result, saved_results], **RUN)

    def restore(self, saved_form: object, saved_results: object, saved_canvas: object = None) -> Updates:
        """Return the updates that bring back what the browser kept. None of it is trusted."""
        fields: dict[str, object] = {}
        here = self.model_names(), self.studio.schedulers()
        vaes = self.studio.vaes()
        for request_type in self.request_types.values():
            fields |= valid_fields(saved_form, *here, request_type, vaes)
        updates: Updates = {self.result: gr.skip(), **self.fill(fields)}
        updates.pop(self.form["model"], None)  # the header brings it back
        updates[self.form["vae"]] = gr.update(choices=vae_choices(vaes), value=fields.get("vae", OWN_VAE))
        if self.canvas:
            updates[self.canvas.view] = self.canvas.restore(read_pictures(saved_canvas))
        note = drawing.size_note(self._model(fields.get("model")), self.studio.settings)
        if shown := read_result(saved_results, self.files, note):
            updates[self.result] = shown
        return updates


def _steps_run(steps: object, strength: object) -> tuple[int, int] | None:
    """Return the steps that are run and those of the schedule; None for what is no number of steps."""
    if not isinstance(steps, int | float) or not 1 <= steps <= MAX_STEPS:
        return None
    share = strength if isinstance(strength, int | float) and 0 <= strength <= 1 else 1.0
    return max(1, count_steps(int(steps), share)), int(steps)
