"""A request's field, written once: what it may hold, what people call it, how a text holds it.

    clip_skip: int = request_field(default=1, low=1, high=12, label="Clip skip", help="1 reads with all")

The request checks it from here when it is built; the page's form and the command line are built from it, and
the infotext in a picture is written and read with it. A subclass that only has another default writes
`name: type = default` and inherits the rest.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from functools import cache, lru_cache
from pathlib import Path
from types import NoneType, UnionType
from typing import (
    Any,
    Required,
    TypedDict,
    TypeVar,
    Unpack,
    cast,
    dataclass_transform,
    get_args,
    get_type_hints,
)

from PIL import Image

from ..checks import check_bool, check_choice, check_float, check_int, check_name, check_picture, check_text

ClassT = TypeVar("ClassT")
Value = Any  # of a field; its type is what the field's annotation says
Check = Callable[[str, object], None]  # takes name and value; raises ValueError for a bad one
Parse = Callable[[object], object]
_AS_IN = "as_in"  # in the metadata of a same_field: the other class
Bound = float | Callable[[object], float]  # a number, or what works it out from a request's earlier fields


@dataclass(frozen=True)
class InfotextKey:
    """A field's key in an infotext's last line. As in AUTOMATIC1111, what is usual is not written."""

    key: str
    write: Callable[[Value], str] = str
    read: Callable[[str], object] | None = None  # None: as the field's type. May raise ValueError
    always: bool = False  # its usual value is written too
    beside: str = ""  # a field of yes and no: with it the usual value is written too


class FieldOptions(TypedDict, total=False):
    """What request_field takes besides the default; RequestField says what each means."""

    label: Required[str]
    help: Required[str]
    long_label: str
    low: Bound
    high: Bound
    remedy: str
    step: float
    slider: tuple[float, float] | bool
    choices: Mapping[str, str]
    limit: int
    modes: tuple[str, ...]
    check: Check
    keep: Callable[[Value], object]
    parse: Parse
    unset: str
    stays_none: bool
    flags: tuple[str, ...]
    infotext: InfotextKey


def request_field(*, default: object = MISSING, **options: Unpack[FieldOptions]) -> Value:
    """Describe a field of a request class. Without a default it must be given."""
    return field(default=default, metadata=options)


def same_field(*, of: type, default: object = MISSING, long_label: str | None = None) -> Value:
    """Describe a field as another request class describes its field of this name, or with another label."""
    changed = {} if long_label is None else {"long_label": long_label}
    return field(default=default, metadata={_AS_IN: of, **changed})


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(request_field, same_field))
def request_class(cls: type[ClassT]) -> type[ClassT]:
    """Make a frozen dataclass, keywords only, of a class of request_fields."""
    return dataclass(frozen=True, kw_only=True)(cls)


@dataclass(frozen=True, kw_only=True)
class RequestField:
    """One field of a request class. Its texts may hold {low} and {high}, its long label {help}."""

    name: str
    hint: object  # its annotation
    default: object  # MISSING if it must be given
    label: str  # what people call it: on the page, and in the errors it shows
    help: str  # one line: what it is, or what happens when it is changed; no capital, no full stop
    long_label: str = ""  # of its control, where that says more than the label
    low: Bound | None = None
    high: Bound | None = None
    remedy: str = ""  # what an error of its bounds advises
    step: float | None = None  # of its control; None: 1, of a fraction 0.01
    slider: tuple[float, float] | bool = False  # the ends of its control; True: its bounds
    choices: Mapping[str, str] | None = None  # value -> what its control calls it
    limit: int | None = None  # characters of a text; without it a text is a name
    modes: tuple[str, ...] = ("RGB",)  # of a picture
    check: Check | None = None  # in place of what the annotation, bounds, choices, limit and modes say
    keep: Callable[[Value], object] | None = None  # makes of a good value what the request keeps
    parse: Parse | None = None  # reads it as people type it
    unset: str = ""  # what None stands for, as --help says it
    stays_none: bool = False  # None is a value of its own, not one still to be chosen
    flags: tuple[str, ...] = ()  # short names on the command line
    infotext: InfotextKey | None = None

    @property
    def kind(self) -> object:
        """Return the annotation without "or None"; of several types the first."""
        return kind_of(self.hint)

    @property
    def is_optional(self) -> bool:
        """Tell whether it may be None."""
        return isinstance(self.hint, UnionType) and NoneType in get_args(self.hint)

    @property
    def is_required(self) -> bool:
        return self.default is MISSING

    @property
    def is_picture(self) -> bool:
        """Tell whether it is a picture or several."""
        return Image.Image in _types_in(self.hint)

    @property
    def is_file(self) -> bool:
        """Tell whether it may be a file or several: a picture, or one that is read for what stands in it."""
        return Path in _types_in(self.hint)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the values to choose from, none if there is no such choice."""
        return tuple(self.choices or ())

    @property
    def is_number(self) -> bool:
        return self.kind in (int, float)

    @property
    def ends(self) -> tuple[float, float]:
        """Return the ends of its slider."""
        return self.slider if isinstance(self.slider, tuple) else (self.bound("low"), self.bound("high"))

    @property
    def is_words(self) -> bool:
        """Tell whether it is a text that people write: a prompt, an expression."""
        return self.hint is str and not self.choices

    @property
    def may_be_empty(self) -> bool:
        """Tell whether an empty text says something else than none."""
        return self.is_optional and self.limit is not None

    def from_text(self, text: str) -> object:
        """Read a value as an infotext writes it. Raise ValueError for what is none."""
        if self.parse:
            return self.parse(text)
        if self.kind is bool:
            return text == "True"
        return int(text) if self.kind is int else float(text) if self.kind is float else text

    def bound(self, name: str, request: object = None) -> float:
        """Return the bound "low" or "high"; one that depends on other fields needs the request."""
        bound: Bound = getattr(self, name)
        return bound(request) if callable(bound) else bound

    def checked(self, value: object, request: object = None) -> object:
        """Return a value as a request keeps it. Raise ValueError naming field, value and rule."""
        if value is None and self.is_optional:
            return None
        if self.check:
            self.check(self.name, value)
        elif self.is_number:
            self._check_number(value, request)
        else:
            self._check_plain(value)
        if self.keep:
            return self.keep(value)
        return float(value) if self.kind is float else value  # type: ignore[arg-type]  # it is a number

    def _check_number(self, value: object, request: object) -> None:
        low, high = (self.bound(name, request) for name in ("low", "high"))
        if self.kind is float:
            check_float(self.name, value, low, high)
        else:
            check_int(self.name, value, int(low), int(high), self.remedy)

    def _check_plain(self, value: object) -> None:
        if self.is_picture:
            check_picture(self.name, value, self.modes)
        elif self.choices:
            check_choice(self.name, value, self.names)
        elif self.kind is bool:
            check_bool(self.name, value)
        elif self.limit is not None:
            check_text(self.name, value, self.limit)
        else:
            check_name(self.name, value)


def request_fields(request_type: type) -> dict[str, RequestField]:
    """Return the fields of a request class by name, in their order. Not to be changed."""
    return _read_class(request_type)


@lru_cache(maxsize=64)
def _read_class(request_type: type) -> dict[str, RequestField]:
    hints = get_type_hints(request_type)
    found = {}
    for plain in fields(request_type):
        name = plain.name
        options = _options(request_type, name)
        found[name] = _filled(RequestField(name=name, hint=hints[name], default=plain.default, **options))
    return found


def make_request(request_type: type[ClassT], values: Mapping[str, object]) -> ClassT:
    """Build a request of values by field name, which it checks."""
    return request_type(**values)


def check_fields(request: object) -> None:
    """Check every field of a request by itself, in their order, and keep numbers as their type."""
    for name, known in request_fields(type(request)).items():
        value: object = getattr(request, name)
        kept = known.checked(value, request)
        if kept is not value:
            object.__setattr__(request, name, kept)


def _options(request_type: type, name: str) -> FieldOptions:
    """Return what a request_field was given, by the class or the nearest of its bases that says it."""
    for base in request_type.__mro__:
        own: Field[object] | None = base.__dict__.get("__dataclass_fields__", {}).get(name)
        if own is not None and _AS_IN in own.metadata:
            changed = {key: value for key, value in own.metadata.items() if key != _AS_IN}
            return cast(FieldOptions, {**_options(own.metadata[_AS_IN], name), **changed})
        if own is not None and own.metadata:
            return cast(FieldOptions, dict(own.metadata))
    raise AssertionError(f"{name} of {request_type.__name__} is no request_field")


def _filled(known: RequestField) -> RequestField:
    """Put its bounds, and into the long label the help, where a field's texts have a place for them."""
    help_text = _with_bounds(known, known.help)
    long_label = (known.long_label or known.label).replace("{help}", help_text)
    return replace(known, help=help_text, long_label=capitalized(_with_bounds(known, long_label)))


def _with_bounds(known: RequestField, text: str) -> str:
    for name in ("low", "high"):
        if f"{{{name}}}" in text:
            text = text.replace(f"{{{name}}}", f"{known.bound(name):g}")
    return text


def kind_of(hint: object) -> object:
    """Return an annotation without "or None"; of several types the first."""
    if not isinstance(hint, UnionType):
        return hint
    return next(kind for kind in get_args(hint) if kind is not NoneType)


def capitalized(text: str) -> str:
    """Return a text with a capital first letter, the others as they are."""
    return text[:1].upper() + text[1:]


@cache
def _types_in(hint: object) -> frozenset[object]:
    return frozenset({hint}).union(*map(_types_in, get_args(hint)))
