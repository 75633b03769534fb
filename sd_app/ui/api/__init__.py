"""HTTP endpoints with the request's own field names, for gradio_client and curl."""

import gradio as gr

from ..shared.files import PictureFiles
from ..shared.job_queue import JobQueue
from ..shared.studio_protocol import PageStudio
from .answers import Answer, describe_model, describe_tokens
from .endpoints import ENDPOINTS, answer_or_error, job_endpoint


def publish_api(studio: PageStudio, queue: JobQueue, files: PictureFiles) -> None:
    """Add an endpoint for each of MAKERS, /models and /tokens to the page being built."""

    def models() -> list[Answer]:
        """List the models with native size and default steps, guidance and scheduler."""
        return [describe_model(model) for model in studio.models()]

    def tokens(prompt: str, model: str | None = None) -> Answer:
        """Cut a prompt into the model's tokens and 75-token chunks.

        "rows" are all that the model reads, start mark, end mark and padding too; a single window of 77 rows
        would keep "kept" tokens and cut the others.
        """

        def report() -> Answer:
            text = _text(prompt)
            return describe_tokens(studio.tokens(text, model), studio.token_table(text, model))

        return answer_or_error(studio, report)

    for name in ENDPOINTS:
        # The queue lets one job run at a time; Gradio shall not hold jobs back before they stand in it.
        gr.api(job_endpoint(name, studio, queue, files), api_name=name, concurrency_limit=None)
    gr.api(models, api_name="models")
    gr.api(tokens, api_name="tokens")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"prompt must be text, got {str(value)[:60]}")
    return value
