"""Look inside as the page shows it: what there is to see, and the answer to what is done in a panel."""

from collections.abc import Mapping

from ..probes.recording import Recording
from ..requests import (
    Img2ImgRequest,
    InpaintRequest,
    LookAnswer,
    LookFacts,
    PanelFacts,
    PanelShown,
    Txt2ImgRequest,
)
from . import report
from .actions import Action, Given
from .film import clock_of
from .look import Look, Looked, PictureAlone
from .panel import Panel
from .panels import PANELS, find_panels


def look_facts(looked: Looked) -> LookFacts:
    """Return what the page shows of a recording before any panel is opened. Runs nothing."""
    if isinstance(looked, PictureAlone):
        return LookFacts(panels=tuple(_facts(panel, looked) for panel in PANELS), picture=looked.image)
    recording = looked.recording
    return LookFacts(
        panels=tuple(_facts(panel, looked) for panel in PANELS),
        picture=recording.decoded,
        clock=clock_of(recording),
        about=about(recording),
        notes=recording.notes,
        num_bytes=recording.num_bytes,
    )


def _facts(panel: Panel, looked: Looked) -> PanelFacts:
    if isinstance(looked, Look):
        why_not = panel.why_not(looked.recording)
    else:
        alone = panel.make_of_picture or any(action.of_picture for action in panel.actions)
        why_not = panel.why_not_alone(looked) if alone else looked.reason
    return PanelFacts(
        name=panel.name,
        title=panel.title,
        seen=panel.seen,
        not_shown=panel.not_shown,
        formula=panel.formula,
        exactness=panel.exactness,
        why_not=why_not,
        makes_pictures=panel.makes_pictures,
        running=tuple(action.name for action in panel.actions if action.runs),
    )


def about(recording: Recording) -> Mapping[str, object]:
    """Return what was asked, and what made it."""
    request, facts = recording.request, recording.facts
    kinds: dict[type[Txt2ImgRequest], str] = {InpaintRequest: "inpaint", Img2ImgRequest: "img2img"}
    return {
        "prompt": request.prompt,
        "negative_prompt": request.negative_prompt,
        "kind": kinds.get(type(request), "txt2img"),
        "model": facts.model,
        "sampler": request.scheduler,
        "steps": recording.num_steps,
        "guidance_scale": request.guidance_scale,
        "seed": request.seed,
        "width": request.width,
        "height": request.height,
        "cells": list(recording.latents.shape[-2:]),
        "device": facts.device,
        "dtype": facts.dtype,
        "is_full": recording.attention is not None or recording.features is not None,
    }


def answer(looked: Looked, panel_name: str, action_name: str, given: Given) -> LookAnswer:
    """Do something in a panel. Raise ValueError in words for what cannot be done."""
    panel, action = find_action(panel_name, action_name)
    if isinstance(looked, PictureAlone):
        if action.of_picture is None:
            raise ValueError(looked.reason)
        return action.of_picture(looked, given)
    if reason := panel.why_not(looked.recording):
        raise ValueError(reason)
    return action.answer(looked, given)


def find_action(panel_name: str, action_name: str) -> tuple[Panel, Action]:
    """Return a panel and one of its actions. Raise ValueError for unknown names."""
    [panel] = find_panels((panel_name,))
    for action in panel.actions:
        if action.name == action_name:
            return panel, action
    known = ", ".join(action.name for action in panel.actions) or "none"
    raise ValueError(f"the panel {panel.name} has no such action (it has {known})")


def panel_files(looked: Looked, panel_name: str) -> PanelShown:
    """Make a panel's files: PNG, NPZ, CSV, films; or say why not."""
    [panel] = find_panels((panel_name,))
    if isinstance(looked, PictureAlone):
        return report.show_picture(looked, panel)
    return report.show(looked, panel)
