"""The left side's blocks, built the same way for every tab that makes pictures."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import gradio as gr

from ...checkpoints.model_info import ModelInfo
from ...requests import MAX_CACHE_INTERVAL, MAX_CLIP_SKIP, MAX_GUIDANCE, TokenReport
from .components import Component, Fields, Form, Notice
from .form import EMPTY, OWN_VAE, RANDOM_SEED, model_defaults

USUAL_STEPS = 150  # the slider's end; larger values arrive with a picture's parameters
MAX_WORDS_SHOWN = 6

EXAMPLES_JS = """
const row = element.querySelector(".examples");
function draw() {
  row.replaceChildren(...(props.value || []).map((text) => {
    const chip = document.createElement("button");
    chip.type = "button";
    chip.textContent = chip.title = text;
    chip.addEventListener("click", () => trigger("pick", { text }));
    return chip;
  }));
  row.parentElement.hidden = !row.children.length;
}
row.addEventListener("wheel", (event) => {
  if (!event.deltaY || row.scrollWidth <= row.clientWidth) return;
  event.preventDefault();
  row.scrollLeft += event.deltaY;
});
watch("value", draw);
draw();
"""


NO_NOTICE: Notice = {"text": "", "before": None}
NOTICE_JS = """
const line = element.querySelector(".notice");
function draw() {
  line.querySelector("span").textContent = props.value?.text ?? "";
  line.querySelector("button").hidden = !props.value?.before;
  line.hidden = !props.value?.text;
}
line.querySelector("button").addEventListener("click", () => trigger("undo"));
watch("value", draw);
draw();
"""
STEPS_RUN_JS = """(steps, strength) => {
  const run = Math.min(steps, Math.floor(steps * strength + 1e-9));
  return Number.isFinite(run) ? `<span>Runs ${run} of ${steps} steps</span>` : "";
}"""


@dataclass(frozen=True, kw_only=True)
class PromptBlock:
    """Prompt and negative prompt, each with its token line, and the model's example prompts."""

    fields: Form
    lines: Mapping[str, gr.HTML]  # the same names -> token line
    examples: gr.HTML
    notice: gr.HTML  # what was put into the form from elsewhere, with a way back
    example_for: str = "prompt"  # the form's field that an example fills


def notice_block() -> gr.HTML:
    """Make the line that tells what was put into the form, {text, before}; it triggers `undo`."""
    return gr.HTML(
        value=NO_NOTICE,
        html_template='<p class="notice" role="status" hidden><span></span>'
        '<button type="button">Undo</button></p>',
        js_on_load=NOTICE_JS,
        apply_default_css=False,
        elem_classes="notice-block",
    )


def examples_block(texts: list[str], *classes: str, label: str = "Try") -> gr.HTML:
    """Make a row of texts to take over by a click; it triggers `pick`."""
    return gr.HTML(
        value=texts,
        html_template=f'<div><span class="examples-label">{label}</span><div class="examples"></div></div>',
        js_on_load=EXAMPLES_JS,
        apply_default_css=False,
        elem_classes=["examples-block", *classes],
    )


def picked(event: gr.EventData) -> str:
    """Return the text of the example that was picked."""
    text = event._data.get("text") if isinstance(event._data, dict) else None
    return text[:20_000] if isinstance(text, str) else ""


def text_box(label: str, placeholder: str, *classes: str, lines: int = 1, **more: object) -> gr.Textbox:
    """Make a field for words, in which Ctrl+Up and Ctrl+Down weigh them."""
    return gr.Textbox(
        label=label,
        placeholder=placeholder,
        lines=lines,
        max_lines=8,
        elem_classes=["prompt-box", *classes],
        **more,
    )


def prompt_block(model: ModelInfo | None) -> PromptBlock:
    """Make what you say."""
    notice = notice_block()
    prompt = text_box("Prompt", "What the picture shows", lines=3, autofocus=True)
    prompt_line = gr.HTML(token_line(None), elem_classes="token-line", apply_default_css=False)
    examples = examples_block(list(model.example_prompts) if model else [])
    negative = text_box("Negative prompt", "What it must not show")
    negative_line = gr.HTML("", elem_classes="token-line", apply_default_css=False)
    return PromptBlock(
        fields={"prompt": prompt, "negative_prompt": negative},
        lines={"prompt": prompt_line, "negative_prompt": negative_line},
        examples=examples,
        notice=notice,
    )


def go_row(label: str = "Generate", *classes: str) -> tuple[gr.Button, gr.Button]:
    """Make the two buttons: the one that begins, and Stop."""
    with gr.Row(elem_classes=["go-row", *classes]):
        generate = gr.Button(label, variant="primary", elem_classes="generate", scale=4, min_width=140)
        stop = gr.Button("Stop", variant="stop", elem_classes="stop-run", scale=1, min_width=80)
    return generate, stop


def panel_title(text: str) -> None:
    """Write a panel's title."""
    gr.HTML(f"<h3>{text}</h3>", apply_default_css=False, elem_classes="panel-title")


def strength_block() -> tuple[gr.Slider, gr.HTML]:
    """Make strength, and the line that says how many steps it runs."""
    strength = gr.Slider(
        0.01, 1, value=0.75, step=0.01, label="Strength", info="How much is made anew: 1 is all"
    )
    return strength, gr.HTML("", elem_classes="token-line steps-run", apply_default_css=False)


def wire_steps_run(steps: Component, strength: Component, line: gr.HTML, demo: gr.Blocks) -> None:
    """Keep the line "runs n of N steps" true, in the browser alone."""
    inputs = [steps, strength]
    events = [steps.change, strength.change, demo.load]
    gr.on(events, fn=None, js=STEPS_RUN_JS, inputs=inputs, outputs=line, queue=False, show_progress="hidden")


def size_block(
    model: ModelInfo | None, title: str, fits: Mapping[str, str] | None = None, *, several: bool = True
) -> Fields:
    """Make width, height and, for `several`, number; `fits` are labels and names of ways to fit a picture."""
    side = model.native_size if model else 512
    fields: Fields = {}
    with gr.Group(elem_classes="panel"):
        panel_title(title)
        with gr.Row(elem_classes="field-row size-row"):
            width = gr.Number(side, label="Width", step=8, min_width=70)
            swap = gr.Button("Swap", elem_classes="small", min_width=50, scale=0)
            height = gr.Number(side, label="Height", step=8, min_width=70)
            if several:
                fields["num_images"] = gr.Number(1, label="Pictures", step=1, min_width=70)
        if fits:
            choices = [(label, name) for label, name in fits.items()]
            fields["resize_mode"] = gr.Radio(
                choices, value=choices[0][1], label="If the shapes differ", elem_classes="choice"
            )
    swap.click(fn=None, js="(w, h) => [h, w]", inputs=[width, height], outputs=[width, height])
    return {"width": width, "height": height, **fields}


def sampling_block(model: ModelInfo | None, schedulers: tuple[str, ...]) -> Fields:
    """Make scheduler, steps, guidance and seed."""
    defaults: dict[str, object] = model_defaults(model) if model else {}
    with gr.Group(elem_classes="panel"):
        panel_title("Sampling")
        scheduler = gr.Dropdown(list(schedulers), value=defaults.get("scheduler"), label="Sampler")
        steps = gr.Slider(
            1, USUAL_STEPS, value=defaults.get("num_inference_steps", 25), step=1, label="Steps"
        )
        guidance = gr.Slider(
            0,
            MAX_GUIDANCE,
            value=defaults.get("guidance_scale", 7.5),
            step=0.1,
            label="Guidance (CFG scale)",
            info="Higher follows the prompt more closely",
        )
        with gr.Row(elem_classes="field-row"):
            seed = gr.Number(RANDOM_SEED, label="Seed (−1: random)", step=1, min_width=100)
            shuffle = gr.Button("Random", elem_classes="small", min_width=60, scale=0)
            again = gr.Button("Reuse", elem_classes="small", min_width=60, scale=0)
    shuffle.click(fn=None, js=f"() => {RANDOM_SEED}", outputs=seed)
    return {
        "scheduler": scheduler,
        "seed": seed,
        "num_inference_steps": steps,
        "guidance_scale": guidance,
        "again": again,
    }


def vae_choices(vaes: Sequence[str]) -> list[tuple[str, str]]:
    """Return the menu of VAEs: label and value."""
    return [("The model's own", OWN_VAE), *((name, name) for name in vaes)]


def advanced_block(vaes: Sequence[str]) -> Fields:
    """Make what is rarely used, folded."""
    with gr.Accordion("Advanced", open=False, elem_classes="panel folded"):
        clip_skip = gr.Slider(
            1,
            MAX_CLIP_SKIP,
            value=EMPTY["clip_skip"],
            step=1,
            label="Clip skip",
            info="1 reads the prompt with the whole text encoder, 2 leaves out its last layer",
        )
        vae = gr.Dropdown(
            vae_choices(vaes),
            value=OWN_VAE,
            label="VAE",
            info="Turns latents into pictures and back; others go into models/vae/",
        )
    return {"clip_skip": clip_skip, "vae": vae}


def faster_block() -> Fields:
    """Make what saves time and changes the picture, folded."""
    with gr.Accordion("Faster, at the price of another picture", open=False, elem_classes="panel folded"):
        guidance_end = gr.Slider(
            0,
            1,
            value=1,
            step=0.05,
            label="Guidance until",
            info="Share of the steps that are guided; the others take half the work. 1 is all",
        )
        cache_interval = gr.Slider(
            1,
            MAX_CACHE_INTERVAL,
            value=1,
            step=1,
            label="Deep blocks every",
            info="So many steps share one run of the U-Net's deep blocks; 1 is off",
        )
    return {"guidance_end": guidance_end, "cache_interval": cache_interval}


def parameter_drop() -> gr.File:
    """Make the place that reads a dropped picture's parameters."""
    return gr.File(
        label="Drop a picture here to take over its parameters",
        file_types=["image"],
        type="filepath",
        height=56,
        elem_classes="drop-picture",
    )


def token_line(report: TokenReport | None, *, empty: str = "0 / 75 tokens") -> str:
    """Return the line below a prompt: how full each chunk is, and which words begin a new one."""
    if report is None or not report.count:
        return f"<span>{empty}</span>"
    if report.num_chunks == 1:
        return f"<span>{report.count} / {report.limit} tokens</span>"
    counts = [len(report.chunk_tokens(chunk)) for chunk in range(report.num_chunks)]
    full = ", ".join(f"{count} / {report.limit}" for count in counts)
    starts = "; ".join(
        f"chunk {chunk + 1} begins with “<b>{_first_words(report, chunk)}</b>”"
        for chunk in range(1, min(report.num_chunks, MAX_WORDS_SHOWN))
        if counts[chunk]
    )
    more = "; …" if report.num_chunks > MAX_WORDS_SHOWN else ""
    total = f"{report.count} tokens in {report.num_chunks} chunks: {full}"
    return f"<span>{total}</span> <span>{starts}{more}</span>"


def _first_words(report: TokenReport, chunk: int) -> str:
    words = report.chunk_text(chunk).split()
    return html.escape(" ".join(words[:4])[:40])
