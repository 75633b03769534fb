"""What there is, on the command line: models, and what can join them."""

import sys

from ..studio import Studio
from ..user_files import one_line


def list_models(studio: Studio) -> int:
    """Print one model a line, with the defaults of a request that leaves them out."""
    heads = ("NAME", "SIZE", "STEPS", "GUIDANCE", "SCHEDULER", "TITLE")
    rows = [
        (
            one_line(info.name),
            f"{info.native_size}x{info.native_size}",
            str(info.default_steps),
            f"{info.default_guidance_scale:g}",
            one_line(info.default_scheduler),
            one_line(info.title),
        )
        for info in studio.models()
    ]
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    for row in (heads, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0


def list_styles(studio: Studio) -> int:
    """Print the styles by name with both prompts; what cannot be read of their file goes to stderr."""
    found = studio.styles()
    if not found.styles:
        print(f"There are none. Write some into {studio.settings.styles_file} (name,prompt,negative_prompt).")
    for style in found.styles.values():
        negative = f"  without: {style.negative_prompt}" if style.negative_prompt else ""
        print(one_line(f"{style.name}  {style.prompt}{negative}"))
    for problem in found.problems:
        print(one_line(problem), file=sys.stderr)
    return 0


def list_addons(studio: Studio) -> int:
    """Print what a prompt can ask for, as it is written there, with what its file says; then the VAEs."""
    addons, vaes = studio.addons(), studio.vaes()
    if not addons and not vaes:
        folder = studio.settings.models_dir
        print(
            f"There are none. Put .safetensors files into {folder / 'loras'} (LoRAs), {folder / 'embeddings'}"
            f" (learned words) or {folder / 'vae'} (VAEs)."
        )
    for addon in addons:
        facts = studio.describe_addon(addon.text)
        about = [f"{facts.title}: {facts.reason}" if facts.reason else facts.title, *facts.trigger_words]
        print(one_line(f"{addon.text}  {', '.join(about)}"))
    for name in vaes:
        print(one_line(f"--vae {name}"))
    return 0
