"""What the hub and the network say, in words for the person who typed the id."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from socket import gaierror

NOT_REACHED = "the hub cannot be reached"
NOT_LOCATED = "An error happened while trying to locate the file"  # the hub client's words


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
        with quiet_libraries():
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
        reason = NOT_REACHED if is_no_connection(error) else error
        raise HubError(
            f"{hub_id} cannot be downloaded: {reason} (connect once to fetch it, or {instead})"
        ) from error


def is_no_connection(error: BaseException | None) -> bool:
    """Tell whether an error, or one that it came from, is that nobody was reached."""
    from httpx import ConnectError, ConnectTimeout, ProxyError

    seen: list[BaseException] = []
    while error is not None and error not in seen:
        # What a library raises in place of it, open_clip say, keeps its words at best.
        if isinstance(error, ConnectError | ConnectTimeout | ProxyError | ConnectionRefusedError | gaierror):
            return True
        if type(error).__name__ == "LocalEntryNotFoundError" or NOT_LOCATED in str(error):
            return True
        seen.append(error)
        error = error.__cause__ or error.__context__
    return False


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keep what the hub's client and open_clip log of a failure out of the terminal: it is said in words."""
    client, root = logging.getLogger("huggingface_hub"), logging.getLogger()
    level = client.level

    def is_ours(record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith("Failed to download")

    client.setLevel(logging.CRITICAL)
    root.addFilter(is_ours)
    try:
        yield
    finally:
        client.setLevel(level)
        root.removeFilter(is_ours)


def _offline_variable() -> str:
    """Return the variable that the hub's client took its offline mode from: the first that says anything."""
    names = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    return next((name for name in names if os.environ.get(name)), names[0])
