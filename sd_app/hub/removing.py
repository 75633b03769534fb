"""What may be deleted of Hugging Face's cache."""

from .download import is_running
from .hub_cache import repo_folder
from .plan import read_hub_id


def check_removable(text: str) -> str:
    """Return the hub id of a model that can be deleted.

    Raise ValueError if nothing of it is there or it is being fetched.
    """
    hub_id = read_hub_id(text)
    if is_running(hub_id):
        raise ValueError(f"{hub_id} is being downloaded (stop that first)")
    if not repo_folder(hub_id).is_dir():
        raise ValueError(f"nothing of {hub_id} is on this disk")
    return hub_id
