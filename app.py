"""Open the studio's page: python app.py. A Hugging Face Space runs this file too."""

import argparse
import os
import signal
import sys
import warnings
from collections.abc import Mapping
from contextlib import closing, nullcontext, redirect_stdout
from io import StringIO
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradio import Blocks

# Read by gradio and huggingface_hub when they are imported.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

from sd_app import Settings, Studio
from sd_app.ui import (
    THEMES,
    build_ui,
    choose_access,
    error_text,
    launch_options,
    make_queue,
    reachable,
    sweep,
    temp_folder,
    theme_options,
)

NO_LINK = "No public link: gradio.live cannot be reached (check the connection). The address above works."
YES, NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


def make_parser(environ: Mapping[str, str]) -> argparse.ArgumentParser:
    """Return the flags. Each takes its default from SD_APP_<NAME>, so that a Space can set it."""
    parser = argparse.ArgumentParser(description="A Stable Diffusion studio that opens the black box.")

    def text(flag: str, help_text: str, **more: object) -> None:
        name = "SD_APP_" + flag.strip("-").replace("-", "_").upper()
        default = environ.get(name, "").strip() or None
        choices = more.get("choices")
        if default and isinstance(choices, tuple) and default not in choices:  # argparse checks flags alone
            parser.error(f"{name} must be one of {', '.join(choices)}, got {default[:60]}")
        parser.add_argument(flag, default=default, help=f"{help_text} [{name}]", **more)  # type: ignore[arg-type]

    def switch(flag: str, help_text: str, *, usual: bool = False) -> None:
        name = "SD_APP_" + flag.strip("-").replace("-", "_").upper()
        given = environ.get(name, "").strip().lower()
        if given not in ("", *YES, *NO):
            parser.error(f"{name} must be one of {', '.join((*YES, *NO))}, got {given[:60]}")
        default = given in YES if given else usual
        parser.add_argument(
            flag, action=argparse.BooleanOptionalAction, default=default, help=f"{help_text} [{name}]"
        )

    text("--host", "address to listen on (default: 127.0.0.1)")
    text("--port", "port (default: 7860, or the next free one)", type=int)
    switch("--listen", "let other machines in, with a password")
    switch("--share", "open a public gradio.live link, with a password")
    text("--auth", "user:password (default when shared: a generated one)")
    text("--model", "the model to start with: tiny-sd, a name in models/, owner/name of the hub, or a path")
    text("--models-dir", "folder of models", type=Path)
    text("--outputs-dir", "folder for finished pictures", type=Path)
    text(
        "--prompts-dir",
        "folder of your wildcards/ and styles.csv (default: the folder of models)",
        type=Path,
    )
    text("--device", "auto, cpu, cuda, cuda:N or mps")
    text("--dtype", "auto, float16, bfloat16 or float32")
    switch("--lowvram", "move each part to the GPU only when it is needed")
    switch("--cuda-graphs", "replay the U-Net's work on CUDA: the same picture, faster", usual=True)
    switch("--channels-last", "store convolution weights in channels-last order: may be faster on CUDA")
    switch("--compile", "torch.compile the U-Net: the first picture takes a while, later ones less")
    text(
        "--tile-above", "pixels above which the VAE works in tiles (default: when memory is short)", type=int
    )
    text("--theme", "system, light or dark", choices=THEMES)
    text("--mode", "local, shared or space (default: found out)", choices=("local", "shared", "space"))
    return parser


def warm_up(studio: Studio) -> None:
    """Load the first model while the page is looked at; the first job says again what is wrong with it."""
    try:
        studio.warm_up()
    except Exception as error:  # noqa: BLE001  # whatever it is, the page is there
        print(f"The model is not loaded yet: {error_text(error, 'local')}", file=sys.stderr, flush=True)


def launch(demo: "Blocks", options: dict[str, Any]) -> None:
    """Open the page; a public link that cannot be had is said in one line, not in Gradio's many."""
    said = StringIO()
    with redirect_stdout(said) if options["share"] else nullcontext():
        demo.launch(prevent_thread_lock=True, **options)
    words, failed, _ = said.getvalue().partition("\nCould not create share link.")
    print(words, end="", flush=True)
    if failed:
        print(NO_LINK, file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> None:
    """Flags -> Settings -> Studio -> page."""
    parser = make_parser(os.environ)
    flags = vars(parser.parse_args(arguments))
    reach = {name: flags.pop(name) for name in ("host", "port", "listen", "share", "auth", "mode")}
    theme = flags.pop("theme") or "system"
    try:
        access = choose_access(**reach, environ=os.environ)
        given = {name: value for name, value in flags.items() if value is not None}
        settings = Settings(mode=access.mode, **given)
        studio = Studio(settings)
        if flags["model"]:
            studio.find_model()  # a wrong name or path is said here, not by the first job
    except ValueError as error:
        parser.error(str(error))

    # Gradio's copies of pictures live as long as the app; a folder of our own leaves nothing behind, also
    # when a service manager ends the app.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    # Gradio would print what visitors send where a list of choices has it not, at any length.
    warnings.filterwarnings("ignore", message=r"The value passed into gr\.", category=UserWarning)
    # These would open folders, and this file, to visitors.
    for name in ("GRADIO_ALLOWED_PATHS", "GRADIO_VIBE_MODE"):
        os.environ.pop(name, None)
    if swept := sweep(settings.outputs_dir, settings.cache_dir):
        print(swept, flush=True)
    with temp_folder(), closing(make_queue(studio, kept=True)) as queue:
        demo = build_ui(studio, queue)
        queue.restore()
        launch(demo, {**launch_options(access), **theme_options(theme)})
        if access.generated and access.auth:
            print("User: {}\nPassword: {}".format(*access.auth), flush=True)
        Thread(target=warm_up, args=(studio,), daemon=True).start()
        with reachable(studio, demo.local_url, settings.as_texts()):
            demo.block_thread()


if __name__ == "__main__":
    main()
