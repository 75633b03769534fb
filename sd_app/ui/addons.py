"""The picker of what a prompt can ask for beside its words: it puts the text at the prompt's end."""

import html
from dataclasses import dataclass
from typing import Any

import gradio as gr

from .controls import examples_block, picked
from .errors import sentence
from .memory import QUIET

MAX_LISTED = 2000  # a menu of more is no help
HINT = "<span>Put .safetensors files into loras/ in your models folder, and they are listed here.</span>"
APPEND_JS = """(text, prompt) => {
  const before = (prompt ?? "").trimEnd();
  return text ? (before ? before + " " : "") + text : prompt;
}"""


@dataclass(frozen=True, kw_only=True)
class AddonPicker:
    """The block's parts, and what fills them."""

    studio: Any
    panel: Any
    chosen: Any
    insert: Any
    facts: Any
    triggers: Any

    def wire(self, prompt: Any, demo: Any) -> None:
        """Connect the picker with a form's prompt."""
        for event in (demo.load, self.panel.expand):
            event(self.refresh, outputs=[self.panel, self.chosen, self.facts], **QUIET)
        self.chosen.change(
            self.describe, inputs=self.chosen, outputs=[self.facts, self.triggers], preprocess=False, **QUIET
        )
        self.insert.click(fn=None, js=APPEND_JS, inputs=[self.chosen, prompt], outputs=prompt, **QUIET)
        self.triggers.pick(append, inputs=prompt, outputs=prompt, preprocess=False, **QUIET)

    def refresh(self) -> dict[Any, Any]:
        """List the files as they are now. Visitors see the block only if there are some."""
        addons = self.studio.addons()[:MAX_LISTED]
        own = self.studio.settings.mode == "local"
        return {
            self.panel: gr.update(visible=bool(addons) or own),
            self.chosen: gr.update(choices=[(addon.label, addon.text) for addon in addons]),
            self.facts: gr.skip() if addons else (HINT if own else ""),
        }

    def describe(self, text: object) -> tuple[str, list[str]]:
        """Return what the line says of the chosen one, and its trigger words."""
        if not isinstance(text, str) or not text:
            return "", []
        try:
            facts = self.studio.describe_addon(text)
        except ValueError as error:
            return wrong(str(error)), []
        if facts.reason:
            return wrong(f"{facts.title} that cannot be used: {facts.reason}"), []
        return f"<span>{html.escape(facts.title)}</span>", list(facts.trigger_words)


def addon_block(studio: Any, *classes: str) -> AddonPicker:
    """Make the picker, folded."""
    with gr.Accordion("LoRA", open=False, elem_classes=["panel", "folded", "addons", *classes]) as panel:
        with gr.Row(elem_classes="field-row"):
            chosen = gr.Dropdown([], value=None, label="Add to the prompt", min_width=120)
            insert = gr.Button("Insert", elem_classes="small", min_width=60, scale=0)
        facts = gr.HTML("", elem_classes=["token-line", "addon-facts"], apply_default_css=False)
        triggers = examples_block([])
    return AddonPicker(
        studio=studio, panel=panel, chosen=chosen, insert=insert, facts=facts, triggers=triggers
    )


def append(prompt: object, event: gr.EventData) -> str:
    """Return a prompt with the words that were picked at its end."""
    before = prompt.rstrip() if isinstance(prompt, str) else ""
    return f"{before} {picked(event)}".strip()


def wrong(text: str) -> str:
    """Return an error as markup."""
    return f'<span class="wrong" role="alert">{html.escape(sentence(text))}</span>'
