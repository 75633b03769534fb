"""The picker of what a prompt can ask for beside its words: it puts the text at the prompt's end."""

import html
from dataclasses import dataclass

import gradio as gr

from .browser_state import QUIET
from .components import Component, Updates
from .controls import examples_block, picked
from .errors import sentence
from .scripts import function_of
from .studio_protocol import PageStudio

MAX_LISTED = 2000  # a menu of more is no help
HINT = (
    "<span>Put .safetensors files into loras/ or embeddings/ in your models folder,"
    " and they are listed here.</span>"
)


@dataclass(frozen=True, kw_only=True)
class AddonPicker:
    """The block's parts, and what fills them."""

    studio: PageStudio
    panel: gr.Accordion
    chosen: gr.Dropdown
    insert: gr.Button
    insert_negative: gr.Button
    facts: gr.HTML
    triggers: gr.HTML

    def wire(self, prompt: Component, negative_prompt: Component, demo: gr.Blocks) -> None:
        """Connect the picker with a form's prompts."""
        for event in (demo.load, self.panel.expand):
            event(self.refresh, outputs=[self.panel, self.chosen, self.facts], **QUIET)
        self.chosen.change(self.describe, inputs=self.chosen, outputs=self._about, preprocess=False, **QUIET)
        append_text = function_of("shared/addon_picker.js", "append")
        for button, field in ((self.insert, prompt), (self.insert_negative, negative_prompt)):
            button.click(fn=None, js=append_text, inputs=[self.chosen, field], outputs=field, **QUIET)
        self.triggers.pick(append, inputs=prompt, outputs=prompt, preprocess=False, **QUIET)

    @property
    def _about(self) -> list[Component]:
        return [self.facts, self.triggers, self.insert_negative]

    def refresh(self) -> Updates:
        """List the files as they are now. Visitors see the block only if there are some."""
        addons = self.studio.addons()[:MAX_LISTED]
        own = self.studio.settings.mode == "local"
        return {
            self.panel: gr.update(visible=bool(addons) or own),
            self.chosen: gr.update(choices=[(addon.label, addon.text) for addon in addons]),
            self.facts: gr.skip() if addons else (HINT if own else ""),
        }

    def describe(self, text: object) -> tuple[str, list[str], object]:
        """Return what the line says of the chosen one, its trigger words, and whether it may be negative."""
        if not isinstance(text, str) or not text:
            return "", [], gr.update(visible=False)
        negative = gr.update(visible=not text.startswith("<lora:"))
        try:
            facts = self.studio.describe_addon(text)
        except ValueError as error:
            return wrong(str(error)), [], negative
        if facts.reason:
            return wrong(f"{facts.title} that cannot be used: {facts.reason}"), [], negative
        return f"<span>{html.escape(facts.title)}</span>", list(facts.trigger_words), negative


def addon_block(studio: PageStudio, *classes: str) -> AddonPicker:
    """Make the picker, folded."""
    with gr.Accordion(
        "LoRA and learned words", open=False, elem_classes=["panel", "folded", "addons", *classes]
    ) as panel:
        with gr.Row(elem_classes="field-row"):
            chosen = gr.Dropdown([], value=None, label="Add to the prompt", min_width=120)
            insert = gr.Button("Insert", elem_classes="small", min_width=60, scale=0)
            insert_negative = gr.Button(
                "Into negative", elem_classes="small", min_width=60, scale=0, visible=False
            )
        facts = gr.HTML("", elem_classes=["token-line", "addon-facts"], apply_default_css=False)
        triggers = examples_block([], label="Trigger words")
    return AddonPicker(
        studio=studio,
        panel=panel,
        chosen=chosen,
        insert=insert,
        insert_negative=insert_negative,
        facts=facts,
        triggers=triggers,
    )


def append(prompt: object, event: gr.EventData) -> str:
    """Return a prompt with the words that were picked at its end."""
    before = prompt.rstrip() if isinstance(prompt, str) else ""
    return f"{before} {picked(event)}".strip()


def wrong(text: str) -> str:
    """Return an error as markup."""
    return f'<span class="wrong" role="alert">{html.escape(sentence(text))}</span>'
