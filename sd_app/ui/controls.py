"""The left side's blocks, built the same way for every tab that makes pictures."""

import html
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from ..catalog import ModelInfo
from ..requests import MAX_CLIP_SKIP, MAX_GUIDANCE, TokenReport
from .form import EMPTY, RANDOM_SEED, model_defaults

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


@dataclass(frozen=True, kw_only=True)
class PromptBlock:
    """Prompt and negative prompt, each with its token line, and the model's example prompts."""

    fields: Mapping[str, Any]  # field name -> component
    lines: Mapping[str, Any]  # the same names -> token line
    examples: Any
    generate: Any
    stop: Any


def prompt_block(model: ModelInfo | None) -> PromptBlock:
    """Make what you say and the two buttons."""
    prompt = gr.Textbox(
        label="Prompt",
        placeholder="What the picture shows",
        lines=3,
        max_lines=8,
        elem_classes="prompt-box",
        autofocus=True,
    )
    prompt_line = gr.HTML(token_line(None), elem_classes="token-line", apply_default_css=False)
    examples = gr.HTML(
        value=list(model.example_prompts) if model else [],
        html_template='<div><span class="examples-label">Try</span><div class="examples"></div></div>',
        js_on_load=EXAMPLES_JS,
        apply_default_css=False,
        elem_classes="examples-block",
    )
    negative = gr.Textbox(
        label="Negative prompt",
        placeholder="What it must not show",
        lines=1,
        max_lines=8,
        elem_classes="prompt-box",
    )
    negative_line = gr.HTML("", elem_classes="token-line", apply_default_css=False)
    with gr.Row(elem_classes="go-row"):
        generate = gr.Button("Generate", variant="primary", elem_classes="generate", scale=4, min_width=140)
        stop = gr.Button("Stop", variant="stop", elem_classes="stop-run", scale=1, min_width=80)
    return PromptBlock(
        fields={"prompt": prompt, "negative_prompt": negative},
        lines={"prompt": prompt_line, "negative_prompt": negative_line},
        examples=examples,
        generate=generate,
        stop=stop,
    )


def size_block(model: ModelInfo | None, max_images: int) -> dict[str, Any]:
    """Make width, height and number."""
    side = model.native_size if model else 512
    with gr.Group(elem_classes="panel"):
        gr.HTML("<h3>Size and number</h3>", apply_default_css=False, elem_classes="panel-title")
        with gr.Row(elem_classes="field-row size-row"):
            width = gr.Number(side, label="Width", step=8, min_width=70)
            swap = gr.Button("Swap", elem_classes="small", min_width=50, scale=0)
            height = gr.Number(side, label="Height", step=8, min_width=70)
            num_images = gr.Number(1, label="Pictures", step=1, min_width=70)
    swap.click(fn=None, js="(w, h) => [h, w]", inputs=[width, height], outputs=[width, height])
    return {"width": width, "height": height, "num_images": num_images}


def sampling_block(model: ModelInfo | None, schedulers: tuple[str, ...]) -> dict[str, Any]:
    """Make scheduler, steps, guidance and seed."""
    defaults: dict[str, Any] = model_defaults(model) if model else {}
    with gr.Group(elem_classes="panel"):
        gr.HTML("<h3>Sampling</h3>", apply_default_css=False, elem_classes="panel-title")
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


def advanced_block() -> dict[str, Any]:
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
    return {"clip_skip": clip_skip}


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
