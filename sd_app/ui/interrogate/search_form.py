"""The left side of the tab "Interrogate": what a search is asked, and the request made of it."""

from collections.abc import Mapping
from dataclasses import dataclass

import gradio as gr
from PIL import Image

from ...requests import CLASSIC_PHRASES, DEFAULT_PHRASES, InterrogateRequest, request_fields
from ..shared.browser_state import QUIET
from ..shared.components import Component, Fields, Form, Updates, Values
from ..shared.controls import panel_title
from ..shared.field_controls import control, if_chosen
from ..shared.form import build_request
from ..shared.scripts import function_of
from ..shared.studio_protocol import PageStudio

ABOUT_MODES = {
    "true": "Adds a phrase only if this CLIP finds it, together with its synonyms, more likely than the rest"
    " of its list combined. A rise in similarity alone proves nothing: among many phrases, one always does.",
    "best": "Adds the phrase that raises the similarity most, round after round.",
    "fast": "Takes the phrases that are most similar on their own. The fastest.",
    "classic": "A medium by an artist, a site, a movement, then flavors.",
    "negative": "Collects what the picture is least like: words for a negative prompt.",
    "deep": "Follows several chains at once, then drops and swaps phrases. Never below Best; takes longer.",
}
BEGINS = {"A generated caption": "written", "My words": "typed", "Nothing": "nothing"}


@dataclass(frozen=True, kw_only=True)
class SearchForm:
    """The form's components: the request's fields, and `begins`, what the prompt starts with."""

    studio: PageStudio
    fields: Form
    mode_line: gr.HTML  # explains the chosen mode

    def wire(self) -> None:
        """Connect what the controls do to each other."""
        form = self.fields
        form["mode"].change(
            fn=None,
            js=function_of("interrogate/search_form.js", "aboutMode", ABOUT_MODES),
            inputs=form["mode"],
            outputs=self.mode_line,
            **QUIET,
        )
        form["begins"].change(
            lambda begins: [gr.update(visible=begins == name) for name in ("typed", "written")],
            inputs=form["begins"],
            outputs=[form["caption"], form["caption_model"]],
            **QUIET,
        )
        form["clip_model"].input(
            self.list_choices,
            js=if_chosen(form["clip_model"]),
            inputs=form["clip_model"],
            outputs=form["groups"],
            preprocess=False,
            **QUIET,
        )

    def read(self, values: Values, image: Image.Image | None) -> InterrogateRequest:
        """Build the request from an event's values; raise ValueError for a bad one."""
        given = {name: values[component] for name, component in self.fields.items()}
        given["groups"] = self._groups(given["groups"], given["clip_model"])
        match given.pop("begins"):
            case "written":
                given["caption"] = None
            case "nothing":
                given["caption"] = ""
            case _ if not str(given["caption"] or "").strip():
                raise ValueError("caption must not be empty (type it, or start with nothing)")
        return build_request({**given, "image": image}, InterrogateRequest)

    def _groups(self, chosen: object, clip_model: object) -> object:
        """Return the chosen lists, None if they are those that are searched anyway."""
        found = lists(self.studio, clip_model)
        if not found:
            return None  # the CLIP's name is what is wrong
        if chosen == []:
            raise ValueError("groups must name a list to search, none is chosen (choose one)")
        default = {name for name, on in found.items() if on}
        return None if isinstance(chosen, list) and set(map(str, chosen)) == default else chosen

    def list_choices(self, clip_model: object) -> object:
        """Show the lists of a CLIP, its default ones chosen; None chooses nothing."""
        if clip_model is None:
            return gr.skip()
        found = lists(self.studio, clip_model)
        return gr.update(choices=list(found), value=[name for name, on in found.items() if on])

    def restore(self, saved: object) -> Updates:
        """Return the updates that put a saved form's good fields back. It may hold anything."""
        if not isinstance(saved, dict):
            return {}
        good = {name: saved[name] for name in self.fields if name in saved and _is_valid(name, saved[name])}
        found = lists(self.studio, good.get("clip_model"))
        if isinstance(saved.get("groups"), list) and found:
            good["groups"] = gr.update(choices=list(found), value=[n for n in found if n in saved["groups"]])
        begins = saved.get("begins")
        if begins in BEGINS.values():
            good["begins"] = begins
            good["caption"] = gr.update(value=good.get("caption", ""), visible=begins == "typed")
        return {self.fields[name]: value for name, value in good.items()}


def search_form_block(studio: PageStudio) -> SearchForm:
    """Make mode, and what the prompt starts with; call more_block for the rest."""
    mode = control(InterrogateRequest, "mode", elem_classes="choice tight")
    mode_line = gr.HTML(
        f"<span>{ABOUT_MODES[mode.value]}</span>", elem_classes="token-line", apply_default_css=False
    )
    begins = gr.Radio(
        list(BEGINS.items()), value="written", label="The prompt starts with", elem_classes="choice tight"
    )
    caption = control(
        InterrogateRequest,
        "caption",
        placeholder="Describe the picture in a few words",
        lines=1,
        max_lines=4,
        visible=False,
    )
    form = {"mode": mode, "begins": begins, "caption": caption}
    return SearchForm(studio=studio, fields=form, mode_line=mode_line)


def more_block(studio: PageStudio) -> Fields:
    """Make models, lists and numbers."""
    free = studio.settings.mode == "local"  # elsewhere visitors may not have weights downloaded
    captioners = studio.caption_models()
    with gr.Group(elem_classes="panel"):
        panel_title("Models")
        clip_model = clip_picker(studio)
        caption_model = control(
            InterrogateRequest,
            "caption_model",
            explained=free,
            choices=list(captioners),
            value=next((name for name in captioners if "/" not in name), None),
            allow_custom_value=free,
        )
    found = lists(studio, clip_model.value)
    with gr.Group(elem_classes="panel"):
        panel_title("Lists to search")
        groups = gr.CheckboxGroup(
            list(found),
            value=[name for name, on in found.items() if on],
            show_label=False,
            container=False,
            elem_classes="choice",
        )
    return {"clip_model": clip_model, "caption_model": caption_model, "groups": groups, **numbers_block()}


def clip_picker(studio: PageStudio) -> gr.Dropdown:
    """Make the choice of a CLIP."""
    clips = studio.clip_models()
    free = studio.settings.mode == "local"
    return control(
        InterrogateRequest,
        "clip_model",
        explained=free,
        choices=list(clips),
        value=clips[0] if clips else None,
        allow_custom_value=free,
    )


def numbers_block() -> Fields:
    """Make how long a search goes on, folded."""
    with gr.Accordion("Search limits", open=False, elem_classes="panel folded"):
        usual = f"{DEFAULT_PHRASES} (Classic: {CLASSIC_PHRASES})"
        with gr.Row(elem_classes="field-row"):
            numbers = {"min_phrases": _number("min_phrases")}
            numbers["max_phrases"] = _number("max_phrases", placeholder=usual)
        with gr.Row(elem_classes="field-row"):
            for name in ("flavor_intermediate_count", "beam_width"):
                numbers[name] = _number(name)
        gr.HTML(
            "<span>A search tries the candidates that are most similar on their own. It runs the minimum"
            " number of rounds even when a phrase lowers the similarity, since later ones may make up for it."
            " True adds at most one phrase per list, and compares 512 candidates of each.</span>",
            elem_classes="token-line",
            apply_default_css=False,
        )
    return numbers


def _number(name: str, placeholder: str | None = None) -> Component:
    return control(InterrogateRequest, name, min_width=100, placeholder=placeholder)


def lists(studio: PageStudio, clip_model: object) -> Mapping[str, bool]:
    """Return the lists a CLIP can search, and whether each is searched by default; none if unknown."""
    try:
        name = clip_model if isinstance(clip_model, str) and clip_model else None
        return studio.phrase_groups(name)
    except (ValueError, OSError):
        return {}  # the name is refused in words when the search starts


def _is_valid(name: str, value: object) -> bool:
    if value is None or name not in request_fields(InterrogateRequest).keys() - {"groups"}:
        return False
    try:
        build_request({"image": Image.new("RGB", (8, 8)), name: value}, InterrogateRequest)
    except ValueError:
        return False
    return True
