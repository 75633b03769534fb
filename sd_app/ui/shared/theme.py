"""Colours, fonts and scripts of the page. Nothing is fetched from elsewhere."""

from urllib.parse import quote

import gradio as gr

from .scripts import INLINE, UI, address_of, preloads

STYLES = (  # of two rules of equal weight the later one holds
    "shared/style.css",
    "shared/controls.css",
    "shared/result.css",
    "shared/views.css",
    "shared/canvas.css",
    "interrogate/interrogate.css",
    "interrogate/words.css",
    "interrogate/uploads.css",
    "interrogate/match.css",
    "embeddings/embeddings.css",
    "embeddings/tokens.css",
    "shared/frames.css",
    "header/header.css",
    "header/badge.css",
    "header/add_model.css",
    "line/line.css",
    "inside/inside.css",
    "inside/panels.css",
    "inside/network.css",
    "inside/latents.css",
    "inside/cut_words.css",
    "history/history.css",
    "history/viewer.css",
    "info/info.css",
)
THEMES = ("system", "light", "dark")

SANS = ("ui-sans-serif", "system-ui", "Segoe UI", "Roboto", "Helvetica Neue", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")

ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect x="3" y="3" width="26" height="26"'
    ' rx="6" fill="#0f766e"/><path d="M9 9h14v14H9z" fill="none" stroke="#fff" stroke-width="2"/>'
    '<path d="m9 20 5-5 4 4 3-3 2 2v5H9z" fill="#99f6e4"/></svg>'
)


def theme_options(theme: str = "system") -> dict[str, object]:
    """Return launch options for the page's theme. `theme` is system, light or dark.

    The styles go into the head: there Gradio neither rewrites them nor loads them after the first paint.
    """
    if theme not in THEMES:
        raise ValueError(f"theme must be one of {', '.join(THEMES)}, got {theme!r}")
    first = (UI / INLINE).read_text(encoding="utf-8")
    style = "".join((UI / name).read_text(encoding="utf-8") for name in STYLES)
    head = (
        f'<link rel="icon" href="data:image/svg+xml,{quote(ICON)}"><style>{style}</style>'
        f'<script data-theme="{theme}">{first}</script>'
        f'{preloads()}<script type="module" src="{address_of("shared/page.js")}"></script>'
    )
    return {"theme": studio_theme(), "head": head}


def studio_theme() -> gr.themes.Base:
    """Return neutral greys with one teal accent."""
    teal = gr.themes.colors.teal
    gray = gr.themes.colors.zinc
    theme = gr.themes.Base(
        primary_hue=teal,
        secondary_hue=teal,
        neutral_hue=gray,
        font=SANS,
        font_mono=MONO,
        radius_size=gr.themes.sizes.radius_md,
        spacing_size=gr.themes.sizes.spacing_md,
        text_size=gr.themes.sizes.text_md,
    )
    return theme.set(
        body_background_fill="#f4f5f6",
        body_background_fill_dark="#121416",
        background_fill_primary="#ffffff",
        background_fill_primary_dark="#1a1d20",
        background_fill_secondary="#f8f9fa",
        background_fill_secondary_dark="#16181b",
        block_background_fill="#ffffff",
        block_background_fill_dark="#1a1d20",
        border_color_primary="#e1e4e7",
        border_color_primary_dark="#2b3035",
        block_border_width="0px",
        block_shadow="none",
        block_label_text_color="*neutral_600",
        block_label_text_color_dark="*neutral_400",
        block_title_text_weight="500",
        block_title_text_size="*text_sm",
        input_background_fill="#ffffff",
        input_background_fill_dark="#121416",
        input_border_color="#d3d8dc",
        input_border_color_dark="#343a40",
        input_border_color_focus="*primary_500",
        input_border_color_focus_dark="*primary_500",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover_dark="*primary_500",
        button_primary_text_color="#ffffff",
        button_primary_text_color_dark="#ffffff",
        slider_color="*primary_600",
        slider_color_dark="*primary_500",
    )
