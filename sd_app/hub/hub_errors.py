"""What the hub and the network say, in words for the person who typed the id."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


class HubError(OSError):
    """What went wrong, in words for the person."""


class FileError(HubError):
    """A file cannot be written, or arrived damaged."""


@contextmanager
def hub_errors(hub_id: str, instead: str = "give a folder that holds it") -> Iterator[None]:
    """Turn what the hub's client raises into words for the person who typed the id.

    `instead` says what helps without a connection.
    """
    from huggingface_hub import is_offline_mode

    # HTTPError is whatever the hub's HTTP library raises without a connection; it has changed library before.
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        HTTPError,
        RepositoryNotFoundError,
    )

    try:
        yield
    except FileError:
        raise
    except GatedRepoError as error:
        raise ValueError(
            f"{hub_id} asks for its terms to be accepted: do so on huggingface.co/{hub_id}, then set HF_TOKEN"
            " or run `hf auth login`"
        ) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise ValueError(
            f"there is no public model {hub_id} on huggingface.co (if it is yours and private, set HF_TOKEN"
            " or run `hf auth login`)"
        ) from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status in (401, 403):
            raise ValueError(
                f"the hub refuses {hub_id} ({status}): the token in HF_TOKEN or of `hf auth login` has"
                " expired or gives no access to it"
            ) from error
        raise HubError(
            f"{hub_id} cannot be downloaded: the hub answers {status} (try again later)"
        ) from error
    except (HTTPError, OSError, RuntimeError) as error:
        if is_offline_mode():
            raise HubError(
                f"{hub_id} cannot be downloaded: offline mode is on: {_offline_variable()} is set"
                f" (unset it and start again to fetch it once, or {instead})"
            ) from error
        raise HubError(
            f"{hub_id} cannot be downloaded: {error} (connect once to fetch it, or {instead})"
        ) from error


def _offline_variable() -> str:
    """Return the variable that the hub's client took its offline mode from: the first that says anything."""
    names = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    return next((name for name in names if os.environ.get(name)), names[0])
