"""HTTP endpoints with the request's own field names, for gradio_client and curl."""

from collections.abc import Callable
from functools import partial
from typing import Any

import gradio as gr

from ..requests import Step, Txt2ImgRequest, Txt2ImgResult
from .errors import words
from .form import build_request
from .gpu import borrow_gpu
from .jobs import Line, stream
from .pictures import Shelf


def publish_api(studio: Any, line: Line, shelf: Shelf) -> None:
    """Add /txt2img, /models and /tokens to the page being built."""
    run = borrow_gpu(studio)

    def txt2img(
        browser: gr.Request,
        prompt: str,
        negative_prompt: str = "",
        model: str | None = None,
        scheduler: str | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        seed: int | None = -1,
        width: int | None = None,
        height: int | None = None,
        num_images: int = 1,
        clip_skip: int = 1,
    ) -> dict[str, Any]:
        """Make pictures of a prompt.

        A seed of -1 is a random one; picture k has seed + k. What is left out takes the model's default.
        Returns {"images": PNG files with their parameters inside, "seeds", "infotexts", "seconds"}.
        """
        values = {
            "prompt": prompt,
            "negative_prompt": negative_prompt,
            "model": model,
            "scheduler": scheduler,
            "num_inference_steps": num_inference_steps,
            "guidance_scale": guidance_scale,
            "seed": seed,
            "width": width,
            "height": height,
            "num_images": num_images,
            "clip_skip": clip_skip,
        }
        return told(partial(_txt2img, line, shelf, run, values, str(browser.session_hash)))

    def models() -> list[dict[str, Any]]:
        """List the models with native size and default steps, guidance and scheduler."""
        return [describe(model) for model in studio.models()]

    def tokens(prompt: str, model: str | None = None) -> dict[str, Any]:
        """Cut a prompt into the model's tokens and 75-token chunks."""
        return told(lambda: _report(studio.tokens(_text(prompt), model)))

    def told(call: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        try:
            return call()
        except Exception as error:  # a client gets words, whatever happened
            raise gr.Error(words(error, studio.settings.mode), print_exception=False) from error

    # The line lets one job run at a time; Gradio shall not hold jobs back before they stand in it.
    gr.api(txt2img, api_name="txt2img", concurrency_limit=None)
    gr.api(models, api_name="models")
    gr.api(tokens, api_name="tokens")


def describe(model: Any) -> dict[str, Any]:
    """Return what a client needs to know of a model; no file-system path is among it."""
    return {
        "name": model.name,
        "title": model.title,
        "family": model.family,
        "native_size": model.native_size,
        "default_steps": model.default_steps,
        "default_guidance_scale": model.default_guidance_scale,
        "default_scheduler": model.default_scheduler,
        "size_bytes": model.size_bytes,
        "example_prompts": list(model.example_prompts),
    }


def _txt2img(
    line: Line,
    shelf: Shelf,
    run: Callable[[Txt2ImgRequest, Callable[[Step], None]], Txt2ImgResult],
    values: dict[str, Any],
    owner: str,
) -> dict[str, Any]:
    request = build_request(values)
    result = None
    for event in stream(line, owner, partial(run, request)):
        result = event
    if not isinstance(result, Txt2ImgResult) or result.stopped:
        raise ValueError("the job was stopped (send it again)")
    return {
        "images": [shelf.file(path) for path in result.paths],
        "seeds": list(result.seeds),
        "infotexts": list(result.infotexts),
        "seconds": round(result.seconds, 3),
    }


def _report(report: Any) -> dict[str, Any]:
    rows = [
        {"text": t.text, "id": t.id, "position": t.position, "chunk": t.chunk, "weight": t.weight}
        for t in report.tokens
    ]
    return {"count": report.count, "limit": report.limit, "num_chunks": report.num_chunks, "tokens": rows}


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"prompt must be text, got {str(value)[:60]}")
    return value
