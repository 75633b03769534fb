"""A job as a file holds it: plain values, pictures by the hash of what they hold, requests in requests."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeGuard

from PIL import Image

from .. import requests
from ..requests import request_fields

PICTURE = "picture"  # the key of what stands for a picture in a request's values
CLASS, VALUES = "class", "values"  # the keys of what stands for a request that another one holds
KeepPicture = Callable[[Image.Image | str | Path], Path]


@dataclass(frozen=True, kw_only=True)
class StoredJob:
    """What is written of a job that waits or runs."""

    id: str
    owner: str
    kind: str
    title: str
    request: dict[str, Any]
    details: dict[str, Any] = field(default_factory=dict)
    work: int = 0
    running: bool = False
    tries: int = 0  # how often it was begun
    earlier: list[str] = field(default_factory=list)  # pictures that were made before it was begun again
    paths: list[str] = field(default_factory=list)  # pictures finished since
    after: str = ""  # the newest picture in the outputs folder when it began: DAY/NUMBER


def read_stored(entry: object) -> StoredJob:
    """Read one job of the file; raise ValueError for what is none."""
    known = {one.name: one.type for one in fields(StoredJob)}
    if not isinstance(entry, dict) or not {"id", "owner", "kind", "title", "request"} <= entry.keys():
        raise ValueError("no job")
    kinds = {"str": str, "int": int, "bool": bool, "list[str]": list, "dict[str, Any]": dict}
    given = {name: value for name, value in entry.items() if name in known}
    for name, value in given.items():
        hint = known[name]
        kind = kinds[hint] if isinstance(hint, str) else getattr(hint, "__origin__", hint)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise ValueError(f"no job: {name}")
    if not all(isinstance(path, str) for name in ("earlier", "paths") for path in given.get(name, [])):
        raise ValueError("no job: paths")
    return StoredJob(**given)


def with_kept_pictures(request: Any, keep: KeepPicture) -> dict[str, Any]:
    """Return the fields of a request that hold pictures, each kept as a file, as it is if it is one.

    Empty if there are none.
    """
    changed: dict[str, Any] = {}
    for name, known in request_fields(type(request)).items():
        value = getattr(request, name)
        if _is_request(value) and (inner := with_kept_pictures(value, keep)):
            changed[name] = replace(value, **inner)
        if not known.is_file or value is None:
            continue
        several = isinstance(value, tuple | list)
        changed[name] = tuple(map(keep, value)) if several else keep(value)
    return changed


def request_values(request: Any, folder: Path) -> dict[str, Any]:
    """Return a request's fields as JSON takes them; its pictures lie in the folder."""

    def plain(value: object) -> object:
        if isinstance(value, Path):
            return {PICTURE: value.relative_to(folder).as_posix()}
        if _is_request(value):
            return {CLASS: type(value).__name__, VALUES: request_values(value, folder)}
        return [plain(one) for one in value] if isinstance(value, tuple | list) else value

    return {name: plain(getattr(request, name)) for name in request_fields(type(request))}


def request_of(request_type: type, values: Mapping[str, Any], folder: Path) -> Any:
    """Build a request of what request_values wrote; raise ValueError for what it does not take."""
    known = request_fields(request_type)

    def value_of(value: object) -> object:
        if isinstance(value, dict) and CLASS in value:
            inner = getattr(requests, str(value[CLASS]), None)
            if not _is_request_class(inner) or not isinstance(value.get(VALUES), dict):
                raise ValueError("the request within the job is of no known kind (ask for it again)")
            return request_of(inner, value[VALUES], folder)
        if isinstance(value, dict):
            name = str(value.get(PICTURE))
            path = (folder / name).resolve()
            if not path.is_relative_to(folder.resolve()) or not path.is_file():
                raise ValueError("the picture that the job needs is not there any more (ask for it again)")
            return path
        return tuple(map(value_of, value)) if isinstance(value, list) else value

    given = {name: value_of(value) for name, value in values.items() if name in known}
    return request_type(**given)


def _is_request(value: object) -> bool:
    return _is_request_class(type(value))


def _is_request_class(value: object) -> TypeGuard[type]:
    """Tell whether this is one of the classes of `requests` that describe their fields."""
    if not isinstance(value, type) or not value.__name__.endswith("Request"):
        return False
    return getattr(requests, value.__name__, None) is value


def pictures_in(values: object) -> set[str]:
    """Return the names of the pictures that a request's values speak of."""
    if isinstance(values, Mapping):
        own = {str(values[PICTURE])} if PICTURE in values else set()
        return own.union(*(pictures_in(value) for value in values.values()))
    return set().union(*map(pictures_in, values)) if isinstance(values, list) else set()
