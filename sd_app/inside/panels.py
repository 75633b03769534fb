"""All panels of Look inside, in the order in which they are shown."""

from . import (
    encoder_layers,
    film_panel,
    guidance_panels,
    latent_panels,
    parting_panel,
    start_panels,
    steps_panel,
    tokens_panel,
    unet_panels,
    vae_panel,
    word_panels,
)
from .panel import Panel

PANELS: tuple[Panel, ...] = (
    film_panel.PANEL,
    steps_panel.PANEL,
    *latent_panels.PANELS,
    vae_panel.PANEL,
    tokens_panel.PANEL,
    *word_panels.PANELS,
    *guidance_panels.PANELS,
    *unet_panels.PANELS,
    parting_panel.PANEL,
    encoder_layers.PANEL,
    *start_panels.PANELS,
)


def find_panels(names: tuple[str, ...] = ()) -> tuple[Panel, ...]:
    """Return the panels of these names, all if there are none. Raise ValueError for an unknown one."""
    known = {panel.name: panel for panel in PANELS}
    for name in names:
        if name not in known:
            raise ValueError(f"panels must be some of {', '.join(known)}, got {name}")
    return tuple(panel for panel in PANELS if not names or panel.name in names)
