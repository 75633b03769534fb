"""A request's field as a control: its name, help, bounds, step and choices stand in the request."""

from collections.abc import Sequence

import gradio as gr

from ...requests import RequestField, capitalized, request_fields
from .scripts import function_of

MAX_EXACT = 2**53  # browsers round whole numbers beyond it, so those are typed as text


def control(
    request_type: type,
    name: str,
    *,
    explained: bool = False,
    names: Sequence[str] | None = None,
    **layout: object,
) -> gr.components.Component:
    """Make the control of a field: a checkbox, radio buttons, a slider, a number, a text or a menu.

    With `explained` its help stands below the label. `names` are the choices to offer, in this order, where
    not all are. A menu's choices, which the studio knows, come with the layout: whatever else the component
    takes, as its `value` in place of the field's default.
    """
    known = request_fields(request_type)[name]
    options: dict[str, object] = {
        "label": known.long_label,
        "value": None if known.is_required else known.default,
    }
    if explained:
        options["info"] = capitalized(known.help)
    if known.is_number:
        options["step"] = known.step or (1 if known.kind is int else 0.01)
    if _component(known) is gr.Textbox and known.is_number:
        del options["step"]
    if known.is_number and known.slider:
        options["minimum"], options["maximum"] = known.ends
    if known.choices:
        options["choices"] = [(known.choices[choice], choice) for choice in names or known.names]
    return _component(known)(**options | layout)


def if_chosen(menu: gr.components.Component) -> str:
    """Return the js of a menu's event `input` that hands over None where nothing else was chosen.

    Gradio sends that event also when a menu loses the focus.
    """
    return function_of("shared/fields.js", "ifChosen", menu.label)


def _component(known: RequestField) -> type[gr.components.Component]:
    if known.kind is bool:
        return gr.Checkbox
    if known.is_number and isinstance(known.high, int) and known.high > MAX_EXACT:
        return gr.Textbox
    if known.is_number:
        return gr.Slider if known.slider else gr.Number
    if known.choices:
        return gr.Radio
    return gr.Textbox if known.is_words or known.limit else gr.Dropdown
