"""HTTP endpoints with the request's own field names, for gradio_client and curl."""

import gradio as gr

from ...queue import JobQueue
from ...requests import Txt2ImgRequest, request_fields
from ..shared.files import PictureFiles
from ..shared.form import whole_number
from ..shared.studio_protocol import PageStudio
from .answers import Answer, describe_model, describe_tokens
from .endpoints import ENDPOINTS, answer_or_error, job_endpoint
from .jobs import JobEndpoints
from .uploads import uploaded_picture


def publish_api(studio: PageStudio, queue: JobQueue, files: PictureFiles) -> None:
    """Add to the page an endpoint for each kind of job, those over the line, /info, /models and /tokens."""

    def models() -> list[Answer]:
        """List the models with native size and default steps, guidance and scheduler."""
        return [describe_model(model) for model in studio.models()]

    def tokens(prompt: str, model: str | None = None, num_inference_steps: int | None = None) -> Answer:
        """Cut a prompt into the model's tokens and 75-token chunks.

        "rows" are all that the model reads, start token, end token and padding too; a single window of 77
        rows would keep "kept" tokens and cut the others. Of a prompt that changes on the way or joins others
        by AND "texts" are what it becomes, each with its steps; the tokens are the first one's, without
        "rows".
        "remarks" are sentences on what is not read as it may be meant; "unseen" are the words that the model
        never saw in training, where that is known.
        """

        def report() -> Answer:
            steps = _steps(num_inference_steps)
            read = studio.tokens(prompt, model, steps=(steps, steps) if steps else None)
            return describe_tokens(read, None if read.texts else studio.token_table(prompt, model))

        return answer_or_error(studio, report)

    def info(picture: dict[str, object]) -> Answer:
        """Read all that picture, an uploaded file, says of how it was made, whichever program wrote it.

        "fields" are the parameters, each with its "state": used, not used (with the "reason") or no part of
        the drawing; "texts" all texts of the file as they stand there, "facts" what the file is, "unread"
        what was not read, "infotext" the parameters as a form takes them.
        """
        return answer_or_error(
            studio, lambda: studio.picture_info(uploaded_picture("picture", picture, files)).as_json()
        )

    for name in ENDPOINTS:
        # The queue lets one job run at a time; Gradio shall not hold jobs back before they stand in it.
        gr.api(job_endpoint(name, studio, queue, files), api_name=name, concurrency_limit=None)
    JobEndpoints(studio=studio, queue=queue, files=files).publish()
    gr.api(info, api_name="info", concurrency_limit=None)
    gr.api(models, api_name="models")
    gr.api(tokens, api_name="tokens")


def _steps(value: object) -> int | None:
    steps = request_fields(Txt2ImgRequest)["num_inference_steps"].checked(whole_number(value))
    assert steps is None or isinstance(steps, int)
    return steps
