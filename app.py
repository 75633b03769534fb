"""Open the studio's page: python app.py. A Hugging Face Space runs this file too."""

import argparse
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from threading import Thread

# Read by gradio and huggingface_hub when they are imported.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

from sd_app import Settings, Studio
from sd_app.ui import THEMES, build_ui, choose_access, launch_options, make_queue, theme_options

YES = ("1", "true", "yes", "on")


def make_parser(environ: Mapping[str, str]) -> argparse.ArgumentParser:
    """Return the flags. Each takes its default from SD_APP_<NAME>, so that a Space can set it."""
    parser = argparse.ArgumentParser(description="A Stable Diffusion studio that opens the black box.")

    def text(flag: str, help_text: str, **more: object) -> None:
        name = "SD_APP_" + flag.strip("-").replace("-", "_").upper()
        default = environ.get(name) or None
        parser.add_argument(flag, default=default, help=f"{help_text} [{name}]", **more)  # type: ignore[arg-type]

    def switch(flag: str, help_text: str, *, usual: bool = False) -> None:
        name = "SD_APP_" + flag.strip("-").replace("-", "_").upper()
        default = environ[name].lower() in YES if environ.get(name) else usual
        parser.add_argument(
            flag, action=argparse.BooleanOptionalAction, default=default, help=f"{help_text} [{name}]"
        )

    text("--host", "address to listen on (default: 127.0.0.1)")
    text("--port", "port (default: 7860, or the next free one)", type=int)
    switch("--listen", "let other machines in, with a password")
    switch("--share", "open a public gradio.live link, with a password")
    text("--auth", "user:password (default when shared: a generated one)")
    text("--model", "the model to begin with: tiny-sd, a name in models/, owner/name of the hub, or a path")
    text("--models-dir", "folder of models", type=Path)
    text("--outputs-dir", "folder for finished pictures", type=Path)
    text("--device", "auto, cpu, cuda, cuda:N or mps")
    text("--dtype", "auto, float16, bfloat16 or float32")
    switch("--lowvram", "move each part to the GPU only when it is needed")
    switch("--cuda-graphs", "replay the U-Net's work on CUDA: the same picture, faster", usual=True)
    switch("--channels-last", "keep convolutions' weights in that order of memory: may be faster on CUDA")
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
    except (ValueError, OSError, MemoryError) as error:
        print(f"The model is not loaded yet: {error}", file=sys.stderr, flush=True)


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
    cache = tempfile.mkdtemp(prefix="sd_app-")
    os.environ["GRADIO_TEMP_DIR"] = cache
    queue = None
    try:
        queue = make_queue(studio, kept=True)
        demo = build_ui(studio, queue)
        queue.restore()
        demo.launch(prevent_thread_lock=True, **launch_options(access), **theme_options(theme))
        if access.generated and access.auth:
            print("User: {}\nPassword: {}".format(*access.auth), flush=True)
        Thread(target=warm_up, args=(studio,), daemon=True).start()
        demo.block_thread()
    finally:
        if queue is not None:
            queue.close()
        shutil.rmtree(cache, ignore_errors=True)


if __name__ == "__main__":
    main()
