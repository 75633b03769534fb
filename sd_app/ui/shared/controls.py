"""The left side's blocks, built the same way for every tab that makes pictures."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import gradio as gr

from ...checkpoints.model_info import ModelInfo
from ...expressions.misread import shown
from ...requests import Img2ImgRequest, TokenReport, Txt2ImgRequest, request_fields, schedule_types_of
from .browser_state import QUIET
from .components import Component, Fields, Form, Notice, Updates
from .field_controls import control
from .form import OWN_VAE, RANDOM_SEED, model_defaults
from .kinds import MAKERS
from .scripts import function_of, script_of

# The slider's end; larger values arrive with a picture's parameters.
USUAL_STEPS = int(request_fields(Txt2ImgRequest)["num_inference_steps"].ends[1])
MAX_WORDS_SHOWN = 6
MAX_TEXT_SHOWN = 80  # characters of a text in the line under a prompt
WORDS_CLASS, MAX_LINES = "prompt-box", 8  # of texts in which the keyboard weighs words

NO_NOTICE: Notice = {"text": "", "before": None}


@dataclass(frozen=True, kw_only=True)
class PromptBlock:
    """Prompt and negative prompt, each with its token line, and the model's example prompts."""

    fields: Form
    lines: Mapping[str, gr.HTML]  # the same names -> token line
    examples: gr.HTML
    draws: gr.HTML  # what the model can draw, where that is little
    notice: gr.HTML  # what was put into the form from elsewhere, with a way back
    example_for: str = "prompt"  # the form's field that an example fills

    @property
    def of_model(self) -> list[Component]:
        """Return what follows the choice of a model."""
        return [self.examples, self.draws]

    def tell_model(self, model: ModelInfo | None) -> Updates:
        """Return the updates that show a model's examples, and what it can draw."""
        return {
            self.examples: list(model.example_prompts) if model else [],
            self.draws: draws_line(model),
        }


def notice_block() -> gr.HTML:
    """Make the line that tells what was put into the form, {text, before}; it triggers `undo`.

    Settings that are pasted into a prompt arrive there too, as `pasted` with their text; see page.js. A tab
    that it offers is asked for by `move_NAME`.
    """
    moves = [f"move_{name}" for name in MAKERS]
    return gr.HTML(
        value=NO_NOTICE,
        html_template='<p class="notice" role="status" hidden><span></span>'
        '<span class="notice-does"><button type="button" class="notice-undo"'
        ' aria-label="Undo what was put into the form">Undo</button></span></p>',
        js_on_load=script_of("shared/notice.js", "undo", "pasted", *moves),
        apply_default_css=False,
        elem_classes="notice-block",
    )


def examples_block(texts: list[str], *classes: str, label: str = "Try") -> gr.HTML:
    """Make a row of texts to take over by a click; it triggers `pick`."""
    return gr.HTML(
        value=texts,
        html_template=f'<div><span class="examples-label">{label}</span><div class="examples"></div></div>',
        js_on_load=script_of("shared/examples.js", "pick"),
        apply_default_css=False,
        elem_classes=["examples-block", *classes],
    )


def draws_block(model: ModelInfo | None, *classes: str) -> gr.HTML:
    """Make the sentence that says what a model can draw, where that is little."""
    return gr.HTML(
        draws_line(model), apply_default_css=False, elem_classes=["token-line", "draws-line", *classes]
    )


def draws_line(model: ModelInfo | None) -> str:
    """Return the sentence on what a model can draw, "" for one that says nothing of it."""
    return f"<span>{html.escape(model.draws)}</span>" if model and model.draws else ""


def picked(event: gr.EventData) -> str:
    """Return the text of the example that was picked."""
    text = event._data.get("text") if isinstance(event._data, dict) else None
    return text[:20_000] if isinstance(text, str) else ""


def text_box(label: str, placeholder: str, *classes: str, lines: int = 1) -> gr.Textbox:
    """Make a text that is no request's, in which Ctrl+Up and Ctrl+Down weigh words."""
    classes = (WORDS_CLASS, *classes)
    return gr.Textbox(
        label=label, placeholder=placeholder, lines=lines, max_lines=MAX_LINES, elem_classes=list(classes)
    )


def words_box(
    request_type: type, name: str, placeholder: str, *classes: str, lines: int = 1, autofocus: bool = False
) -> Component:
    """Make a request's text, in which Ctrl+Up and Ctrl+Down weigh words."""
    return control(
        request_type,
        name,
        placeholder=placeholder,
        lines=lines,
        max_lines=MAX_LINES,
        autofocus=autofocus,
        elem_classes=[WORDS_CLASS, *classes],
    )


def negative_box(*classes: str) -> Component:
    """Make the field for the negative prompt."""
    return words_box(Txt2ImgRequest, "negative_prompt", "What to leave out", *classes)


def prompt_block(model: ModelInfo | None, *, autofocus: bool) -> PromptBlock:
    """Make what you say. With `autofocus` it has the focus as soon as it is there."""
    notice = notice_block()
    prompt = words_box(Txt2ImgRequest, "prompt", "Describe the picture", lines=3, autofocus=autofocus)
    prompt_line = gr.HTML(token_line(None), elem_classes="token-line", apply_default_css=False)
    draws = draws_block(model)
    examples = examples_block(list(model.example_prompts) if model else [])
    negative = negative_box()
    negative_line = gr.HTML("", elem_classes="token-line", apply_default_css=False)
    return PromptBlock(
        fields={"prompt": prompt, "negative_prompt": negative},
        lines={"prompt": prompt_line, "negative_prompt": negative_line},
        examples=examples,
        draws=draws,
        notice=notice,
    )


def go_row(label: str = "Generate", *classes: str) -> tuple[gr.Button, gr.Button]:
    """Make the two buttons: the one that begins, and Stop."""
    with gr.Row(elem_classes=["go-row", *classes]):
        generate = gr.Button(label, variant="primary", elem_classes="generate", scale=4, min_width=140)
        stop = gr.Button("Stop", variant="stop", elem_classes="stop-run", scale=1, min_width=80)
    return generate, stop


def generate_row(*classes: str) -> tuple[gr.Button, gr.Button, gr.Button]:
    """Make Generate, the button that is there while a job runs and puts another into the line, and Stop."""
    with gr.Row(elem_classes=["go-row", *classes]):
        generate = gr.Button("Generate", variant="primary", elem_classes="generate", scale=4, min_width=110)
        add = gr.Button("Add to line", elem_classes="add-to-line", scale=1, min_width=96)
        stop = gr.Button("Stop", variant="stop", elem_classes="stop-run", scale=1, min_width=72)
    return generate, add, stop


def part_title(text: str) -> None:
    """Head a part of the page for those who hear it; the chosen tab shows the same words to who sees."""
    gr.HTML(f'<h2 class="unseen">{text}</h2>', apply_default_css=False, elem_classes="part-title")


def panel_title(text: str) -> None:
    """Write a panel's title."""
    gr.HTML(f"<h3>{text}</h3>", apply_default_css=False, elem_classes="panel-title")


def strength_block() -> tuple[gr.Slider, gr.HTML]:
    """Make strength, and the line that says how many steps it runs."""
    strength = control(Img2ImgRequest, "strength", explained=True)
    return strength, gr.HTML("", elem_classes="token-line steps-run", apply_default_css=False)


def wire_steps_run(steps: Component, strength: Component, line: gr.HTML, demo: gr.Blocks) -> None:
    """Keep the line "runs n of N steps" true, in the browser alone."""
    inputs = [steps, strength]
    events = [steps.change, strength.change, demo.load]
    js = function_of("shared/controls.js", "stepsRun")
    gr.on(events, fn=None, js=js, inputs=inputs, outputs=line, **QUIET)


def size_block(
    model: ModelInfo | None,
    title: str,
    request_type: type[Txt2ImgRequest] = Txt2ImgRequest,
    fits: Sequence[str] = (),
    *,
    most: int | None,
) -> Fields:
    """Make width, height and the number of pictures, of which `most` are allowed; None: one is made.

    `fits` are the ways to fit a picture.
    """
    side = model.native_size if model else 512
    fields: Fields = {}
    with gr.Group(elem_classes="panel"):
        panel_title(title if most is None else f"{title} of pictures, at most {most}")
        with gr.Row(elem_classes="field-row size-row"):
            width = control(request_type, "width", value=side, min_width=70)
            swap = gr.Button("Swap", elem_classes="small", min_width=50, scale=0)
            height = control(request_type, "height", value=side, min_width=70)
            if most is not None:
                fields["num_images"] = control(request_type, "num_images", min_width=70)
        if fits:
            fields["resize_mode"] = control(request_type, "resize_mode", names=fits, elem_classes="choice")
    swap_js = function_of("shared/controls.js", "swap")
    swap.click(fn=None, js=swap_js, inputs=[width, height], outputs=[width, height])
    return {"width": width, "height": height, **fields}


def sampling_block(model: ModelInfo | None, schedulers: tuple[str, ...]) -> Fields:
    """Make sampler, schedule type, steps, guidance and seed."""
    defaults: dict[str, object] = model_defaults(model) if model else {}
    with gr.Group(elem_classes="panel"):
        panel_title("Sampling")
        scheduler = control(
            Txt2ImgRequest, "scheduler", choices=list(schedulers), value=defaults.get("scheduler")
        )
        types = schedule_types_of(defaults.get("scheduler"))
        schedule_type = control(
            Txt2ImgRequest, "schedule_type", choices=list(types), value=defaults.get("schedule_type")
        )
        steps = control(Txt2ImgRequest, "num_inference_steps", value=defaults.get("num_inference_steps", 25))
        guidance = control(
            Txt2ImgRequest, "guidance_scale", explained=True, value=defaults.get("guidance_scale", 7.5)
        )
        with gr.Row(elem_classes="field-row"):
            seed = control(Txt2ImgRequest, "seed", value=str(RANDOM_SEED), min_width=100)
            shuffle = gr.Button("Random", elem_classes="small", min_width=60, scale=0)
            again = gr.Button("Reuse", elem_classes="small", min_width=60, scale=0)
    shuffle.click(fn=None, js=function_of("shared/controls.js", "same", str(RANDOM_SEED)), outputs=seed)
    scheduler.change(
        schedule_choices,
        inputs=[scheduler, schedule_type],
        outputs=schedule_type,
        preprocess=False,
        trigger_mode="always_last",
        **QUIET,
    )
    return {
        "scheduler": scheduler,
        "schedule_type": schedule_type,
        "seed": seed,
        "num_inference_steps": steps,
        "guidance_scale": guidance,
        "again": again,
    }


def schedule_choices(scheduler: object, schedule_type: object) -> Mapping[str, object]:
    """Return the update that offers the schedule types of a sampler, and keeps the one chosen if it can."""
    types = schedule_types_of(scheduler)
    value = schedule_type if schedule_type in types or not types else types[0]
    return gr.update(choices=list(types), value=value)


def vae_choices(vaes: Sequence[str]) -> list[tuple[str, str]]:
    """Return the menu of VAEs: label and value."""
    return [("The model's own", OWN_VAE), *((name, name) for name in vaes)]


def advanced_block(vaes: Sequence[str]) -> Fields:
    """Make what is rarely used, folded."""
    with gr.Accordion("Advanced", open=False, elem_classes="panel folded"):
        clip_skip = control(Txt2ImgRequest, "clip_skip", explained=True)
        vae = control(Txt2ImgRequest, "vae", explained=True, choices=vae_choices(vaes), value=OWN_VAE)
    return {"clip_skip": clip_skip, "vae": vae}


def faster_block() -> Fields:
    """Make what saves time and changes the picture, folded."""
    with gr.Accordion("Faster, changes the picture", open=False, elem_classes="panel folded"):
        guidance_end = control(Txt2ImgRequest, "guidance_end", explained=True)
        cache_interval = control(Txt2ImgRequest, "cache_interval", explained=True)
    return {"guidance_end": guidance_end, "cache_interval": cache_interval}


def parameter_drop() -> gr.File:
    """Make the place that reads a dropped picture's parameters."""
    return gr.File(
        label="Drop a picture here to use its parameters",
        file_types=["image"],
        type="filepath",
        height=56,
        elem_classes="drop-picture",
    )


def token_line(report: TokenReport | None, *, empty: str = "0 / 75 tokens") -> str:
    """Return the line below a prompt: what is read when, how full each chunk is, and what should be said."""
    if report is None:
        return f"<span>{empty}</span>"
    remarks = "".join(remark_span(remark, report.unseen) for remark in report.remarks)
    if report.texts:
        return _texts_line(report) + remarks
    if not report.count:
        return f"<span>{empty}</span>{remarks}"
    if report.num_chunks == 1:
        return f"<span>{report.count} / {report.limit} tokens</span>{remarks}"
    counts = [len(report.chunk_tokens(chunk)) for chunk in range(report.num_chunks)]
    full = ", ".join(f"{count} / {report.limit}" for count in counts)
    starts = "; ".join(
        f"chunk {chunk + 1} begins with “<b>{_first_words(report, chunk)}</b>”"
        for chunk in range(1, min(report.num_chunks, MAX_WORDS_SHOWN))
        if counts[chunk]
    )
    more = "; …" if report.num_chunks > MAX_WORDS_SHOWN else ""
    total = f"{report.count} tokens in {report.num_chunks} chunks: {full}"
    return f"<span>{total}</span> <span>{starts}{more}</span>{remarks}"


def remark_span(remark: str, unseen: Sequence[str] = ()) -> str:
    """Return a remark as markup; words that the model never saw are marked in it."""
    said = html.escape(remark)
    for word in unseen:
        quoted = html.escape(shown(word))
        said = said.replace(quoted, f"<mark>{quoted[1:-1]}</mark>")
    return f" <span class='remark'>{said}</span>"


def _texts_line(report: TokenReport) -> str:
    """Return which text is read at which steps, and how many tokens each has."""
    shown = []
    for text in report.texts[:MAX_WORDS_SHOWN]:
        stretches = [str(a) if a == b else f"{a}–{b}" for a, b in text.steps[:MAX_WORDS_SHOWN]]
        more = ", …" if len(text.steps) > MAX_WORDS_SHOWN else ""
        one = len(text.steps) == 1 and text.steps[0][0] == text.steps[0][1]
        when = f"step{'' if one else 's'} {', '.join(stretches)}{more}"
        words = text.text if len(text.text) <= MAX_TEXT_SHOWN else f"{text.text[:MAX_TEXT_SHOWN]}…"
        weight = f", weight {text.weight:g}" if text.weight != 1 else ""
        chunks = f" in {text.num_chunks} chunks" if text.num_chunks > 1 else ""
        count = f"{text.count} token{'' if text.count == 1 else 's'}"
        shown.append(f"<span>{when}: “<b>{html.escape(words)}</b>” ({count}{chunks}{weight})</span>")
    rest = len(report.texts) - MAX_WORDS_SHOWN
    return " ".join(shown) + (f" <span>and {rest} more texts</span>" if rest > 0 else "")


def _first_words(report: TokenReport, chunk: int) -> str:
    words = report.chunk_text(chunk).split()
    return html.escape(" ".join(words[:4])[:40])
