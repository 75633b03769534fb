"""The tab "Embeddings": what a prompt becomes, and arithmetic with it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import gradio as gr

from ...checkpoints.model_info import ModelInfo
from ...queue import JobQueue
from ...requests import BlendRequest, PlaneRequest, WalkRequest, take_apart
from ..shared.addon_picker import addon_block
from ..shared.browser_state import QUIET
from ..shared.components import Component, Updates
from ..shared.controls import (
    PromptBlock,
    advanced_block,
    draws_block,
    examples_block,
    faster_block,
    generate_row,
    go_row,
    negative_box,
    notice_block,
    parameter_drop,
    part_title,
    picked,
    sampling_block,
    size_block,
    text_box,
)
from ..shared.field_controls import control
from ..shared.files import PictureFiles
from ..shared.form import MODES
from ..shared.making_events import MakingTabEvents
from ..shared.result import result_block
from ..shared.studio_protocol import PageStudio
from .controls import (
    expression_fields,
    most_frames,
    plane_block,
    plane_of,
    shown_in,
    shown_when_making,
    space_block,
    usual_space,
    walk_block,
    way_of,
)
from .expression_lines import expression_line, prompt_line, unseen_span
from .tokens import TokenView, token_view

NAME = "embeddings"
FILLED = ("prompt", "space", "expression", "a", "b", "direction")  # by an example


@dataclass(frozen=True, kw_only=True)
class EmbeddingsEvents(MakingTabEvents):
    """The tab, assembled: blends, walks and planes are made, and the token view."""

    tokens: TokenView
    show: gr.Button  # the button that asks for the numbers
    stop_reading: gr.Button
    spelling: dict[str, gr.HTML]  # an expression's field -> the line below it
    prompt_line: gr.HTML
    chips: dict[str, gr.HTML]  # mode -> its examples

    def wire(self, demo: gr.Blocks, line: gr.HTML) -> None:
        super().wire(demo, line)
        self.tokens.wire(dict(self.form), self.show, self.stop_reading)
        self._wire_spelling()
        for name, fields_of in (("blend", take_apart), ("walk", way_of), ("plane", plane_of)):
            self.chips[name].pick(
                self._taker(fields_of),
                inputs=self._filled,
                outputs=[*self._filled, self.prompts.notice],
                preprocess=False,
                **QUIET,
            )

    def _wire_spelling(self) -> None:
        quick: dict[str, object] = {"preprocess": False, "trigger_mode": "always_last", **QUIET}
        for name, line in self.spelling.items():
            field = self.form[name]
            gr.on(
                [field.change, self.form["model"].change],
                partial(self.expression_line, name),
                inputs=[field, self.form["model"]],
                outputs=line,
                **quick,
            )
        around = [self.form[name] for name in ("prompt", "expression", "space", "normalize")]
        gr.on(
            [field.change for field in around], prompt_line, inputs=around, outputs=self.prompt_line, **quick
        )

        # What the user chose by hand stays as long as the mode does.
        self.form["mode"].input(usual_space, inputs=self.form["mode"], outputs=self.form["space"], **quick)

    def expression_line(self, name: str, text: object, model: object) -> str:
        """Return the line below an expression, with its words that the model never saw in training."""
        known = self._model(model)
        learned = {addon.text.strip("<>").casefold() for addon in self.studio.addons()}
        return expression_line(name, text) + unseen_span(text, known, learned)

    @property
    def _filled(self) -> list[Component]:
        return [self.form[name] for name in FILLED]

    def _taker(self, fields_of: Callable[[str], dict[str, str]]) -> Callable[..., Updates]:
        """Return what fills the form from an example that was picked."""

        def take(event: gr.EventData, *before: object) -> Updates:
            fields = fields_of(picked(event))
            return self.fill(fields) | self.replaced(dict(zip(FILLED, before, strict=True)), fields)

        return take


def embeddings_tab(
    studio: PageStudio, queue: JobQueue, files: PictureFiles, *, picker: gr.Dropdown, model: ModelInfo | None
) -> EmbeddingsEvents:
    """Build the tab. `picker` is the header's model picker, `model` its first choice."""
    with (
        gr.Tab("Embeddings", id=NAME, elem_id=f"tab-{NAME}"),
        gr.Row(elem_classes="maker", equal_height=False),
    ):
        with gr.Column(elem_classes="ask", scale=0, min_width=320):
            part_title("Embeddings")
            notice = notice_block()
            modes = [(mode.capitalize(), mode) for mode in MODES]
            mode = gr.Radio(modes, value=MODES[0], label="What to do", elem_classes=["choice", "modes"])
            texts = {
                "text": text_box("Prompt", "The prompt to look into", *shown_in("tokens"), lines=3),
            }
            text_line = gr.HTML("", elem_classes=["token-line", *shown_in("tokens")], apply_default_css=False)
            texts |= {
                "other": text_box("Second prompt, for comparison", "Change one word", *shown_in("tokens")),
            }
            draws = draws_block(model)
            examples = examples_block(list(model.example_prompts) if model else [], *shown_in("tokens"))
            show, stop_reading = go_row("Show the numbers", "show-numbers", *shown_in("tokens"))
            asked = expression_fields()
            negative = negative_box(*shown_when_making())
            negative_line = gr.HTML(
                "",
                elem_classes=["token-line", "negative-line", *shown_when_making()],
                apply_default_css=False,
            )
            generate, add, stop = generate_row(*shown_when_making())
            addons = addon_block(studio, *shown_when_making())
            spaces = space_block()
            walk = walk_block(most_frames(studio.settings))
            way = control(WalkRequest, "method", elem_classes=["choice", *shown_in("walk", "plane")])
            plane = plane_block()
            with gr.Column(elem_classes=["making", *shown_when_making()], scale=0, min_width=0):
                sampling = sampling_block(model, studio.schedulers())
                sizes = size_block(model, "Size", most=None)
            again = sampling.pop("again")
            advanced = advanced_block(studio.vaes())
            with gr.Column(elem_classes=["making", *shown_when_making()], scale=0, min_width=0):
                advanced |= faster_block()
            drop = parameter_drop()
        with gr.Column(elem_classes="get", scale=1, min_width=320):
            tokens = token_view(studio, queue)
            result = result_block(NAME, *shown_when_making())
    form = {
        "mode": mode,
        **texts,
        **asked.fields,
        "negative_prompt": negative,
        **spaces,
        "model": picker,
        **walk,
        "method": way,
        **plane,
        **sampling,
        **sizes,
        **advanced,
    }
    return EmbeddingsEvents(
        name=NAME,
        request_types={"blend": BlendRequest, "walk": WalkRequest, "plane": PlaneRequest},
        studio=studio,
        queue=queue,
        files=files,
        form=form,
        prompts=PromptBlock(
            fields={"prompt": asked.fields["prompt"], "negative_prompt": negative},
            lines={"text": text_line, "negative_prompt": negative_line},
            examples=examples,
            draws=draws,
            notice=notice,
            example_for="text",
        ),
        addons=addons,
        generate=generate,
        add=add,
        stop=stop,
        result=result,
        drop=drop,
        again=again,
        tokens=tokens,
        show=show,
        stop_reading=stop_reading,
        spelling=asked.spelling,
        prompt_line=asked.prompt_line,
        chips=asked.chips,
    )
