"""The picker of styles: which are applied, what that makes of the prompts, and the owner's own ones."""

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

import gradio as gr

from ...templates import Style, apply_styles
from .browser_state import QUIET, TELLING
from .components import Component, Updates
from .errors import attempt, error_sentence, sentence
from .studio_protocol import PageStudio
from .toasts import refusal

MAX_SHOWN = 2_000  # characters of a prompt
HINT = "Choose one or more above. {prompt} in a style is where the prompt goes; others are added behind it."


@dataclass(frozen=True, kw_only=True)
class StylePicker:
    """The block's parts, and what fills them."""

    studio: PageStudio
    panel: gr.Accordion
    chosen: Component
    expanded: gr.HTML
    insert: gr.Button
    name: gr.Textbox
    prompt: gr.Textbox
    negative: gr.Textbox
    save: gr.Button
    delete: gr.Button

    def wire(self, prompt: Component, negative_prompt: Component, demo: gr.Blocks) -> None:
        """Connect the picker with a form's prompts."""
        for event in (demo.load, self.panel.expand):
            event(self.refresh, outputs=[self.panel, self.chosen], **QUIET)
        prompts = [prompt, negative_prompt]
        gr.on(
            [self.chosen.change, prompt.change, negative_prompt.change],
            self.expand,
            inputs=[self.chosen, *prompts],
            outputs=[self.panel, self.expanded],
            preprocess=False,
            trigger_mode="always_last",
            **QUIET,
        )
        self.insert.click(
            self.put_in,
            inputs=[self.chosen, *prompts],
            outputs=[*prompts, self.chosen],
            preprocess=False,
            **TELLING,
        )
        edited: list[Component] = [self.name, self.prompt, self.negative]
        self.chosen.change(self.edit, inputs=self.chosen, outputs=edited, preprocess=False, **QUIET)
        self.save.click(
            self.keep,
            inputs=[self.chosen, *edited],
            outputs=[self.chosen, self.expanded],
            preprocess=False,
            **TELLING,
        )
        self.delete.click(
            self.drop,
            inputs=[self.chosen, self.name],
            outputs=[self.chosen, self.expanded],
            preprocess=False,
            **TELLING,
        )

    def refresh(self) -> Updates:
        """List the styles as they are now. Visitors see the block only if there are some."""
        names = list(self.studio.styles().styles)
        own = self.studio.settings.mode == "local"
        return {self.panel: gr.update(visible=bool(names) or own), self.chosen: gr.update(choices=names)}

    def expand(self, chosen: object, prompt: object, negative: object) -> Updates:
        """Show what the chosen styles make of the prompts."""
        names = _names(chosen)
        label = f"Styles ({len(names)})" if names else "Styles"
        return {self.panel: gr.update(label=label), self.expanded: self._expanded(names, prompt, negative)}

    def _expanded(self, names: Sequence[str], prompt: object, negative: object) -> str:
        def shown() -> str:
            found = self.studio.styles()
            if not names:
                return _lines([HINT, *found.problems])
            both = apply_styles(_text(prompt), _text(negative), names, found.styles)
            told = [f"Prompt: {both[0][:MAX_SHOWN]}"]
            told += [f"Negative prompt: {both[1][:MAX_SHOWN]}"] if both[1] else []
            return _lines([*told, *found.problems])

        return attempt(shown, lambda error: _lines([sentence(str(error))]))

    def put_in(self, chosen: object, prompt: object, negative: object) -> list[object]:
        """Write the prompts with the styles into the form, and choose no style any more."""

        def written() -> list[object]:
            styles = self.studio.styles().styles
            return [*apply_styles(_text(prompt), _text(negative), _names(chosen), styles), []]

        return attempt(written, self._end)

    def edit(self, chosen: object) -> list[str]:
        """Open the style that was chosen last in the fields below."""
        names = _names(chosen)
        style = self.studio.styles().styles.get(names[-1]) if names else None
        return [style.name, style.prompt, style.negative_prompt] if style else ["", "", ""]

    def keep(self, chosen: object, name: object, prompt: object, negative: object) -> list[object]:
        """Save the style in the fields, and choose it."""
        style = Style(name=_text(name).strip(), prompt=_text(prompt), negative_prompt=_text(negative))
        self._change(lambda: self.studio.save_style(style))
        names = [*_names(chosen), *([style.name] if style.name not in _names(chosen) else [])]
        return [self._menu(names), _lines([f"The style {style.name} is saved."])]

    def drop(self, chosen: object, name: object) -> list[object]:
        """Delete the style that is named in the fields."""
        gone = _text(name).strip()
        self._change(lambda: self.studio.delete_style(gone))
        return [self._menu([one for one in _names(chosen) if one != gone]), _lines([f"{gone} is deleted."])]

    def _change(self, call: Callable[[], None]) -> None:
        if self.studio.settings.mode != "local":
            raise refusal("Only the owner changes styles.")
        attempt(call, self._end)

    def _menu(self, names: list[str]) -> object:
        return gr.update(choices=list(self.studio.styles().styles), value=names)

    def _end(self, error: Exception) -> NoReturn:
        raise refusal(error_sentence(error, self.studio.settings.mode)) from error


def style_block(studio: PageStudio) -> StylePicker:
    """Make the picker, folded. Its menu is the form's field `styles`."""
    own = studio.settings.mode == "local"
    with gr.Accordion("Styles", open=False, elem_classes=["panel", "folded", "styles"]) as panel:
        chosen = gr.Dropdown(
            [], value=[], multiselect=True, label="Styles, applied in this order", allow_custom_value=True
        )
        expanded = gr.HTML(_lines([HINT]), elem_classes="token-line", apply_default_css=False)
        insert = gr.Button("Write into the prompt", elem_classes="small")
        with gr.Accordion("Edit styles", open=False, visible=own, elem_classes="folded"):
            name = gr.Textbox(label="Name of the style", max_lines=1)
            prompt = gr.Textbox(label="Prompt of the style", lines=2)
            negative = gr.Textbox(label="Negative prompt of the style", lines=1)
            with gr.Row(elem_classes="field-row"):
                save = gr.Button("Save style", elem_classes="small", min_width=80)
                delete = gr.Button("Delete style", elem_classes="small", min_width=80)
    return StylePicker(
        studio=studio,
        panel=panel,
        chosen=chosen,
        expanded=expanded,
        insert=insert,
        name=name,
        prompt=prompt,
        negative=negative,
        save=save,
        delete=delete,
    )


def _names(chosen: object) -> list[str]:
    return [one for one in chosen if isinstance(one, str)] if isinstance(chosen, list) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _lines(texts: Sequence[str]) -> str:
    return "".join(f"<span>{html.escape(text)}</span>" for text in texts)
