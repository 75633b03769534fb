"""Learned words (textual inversion, Gal et al. 2022): found in a prompt by the names of their files.

`<name>` and the bare name as a whole word both mean models_dir/embeddings/name.safetensors; upper and lower
case are one, as they are to CLIP's tokenizer.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ..checkpoints import TEXT_WIDTHS, TITLES, Header, Stamp, read_header, stamp
from ..settings import Settings
from ..user_files import MAX_NAMED, PICKLES
from .addon_files import list_files, scan
from .lora_names import BUNDLED

EMBEDDINGS = "embeddings"  # folder in models_dir
MAX_VECTORS = 75  # a word has to fit into one window
# SDXL's two encoders have a tensor each, by either of two names.
XL_NAMES = (("clip_l", "clip_g"), ("text_encoders_0", "text_encoders_1"))
SD3_NAMES = ("t5xxl", "t5", "text_encoders_2")
ALONE = ("emb_params", "string_to_param.*", "string_to_param")  # the one tensor of Stable Diffusion 1 and 2

_WORD = re.compile(r"\w+")


@dataclass(frozen=True, kw_only=True)
class WordFile:
    """A file that may hold a learned word; a LoRA's file may hold several, each under a prefix."""

    name: str
    path: Path
    file: Stamp
    prefix: str = ""  # of its tensors' names


@dataclass(frozen=True, kw_only=True)
class LearnedWord:
    """A word that stands for vectors of its own instead of its tokens'."""

    name: str
    path: Path
    file: Stamp
    num_vectors: int
    tensors: tuple[str, ...]  # the tensor of each text encoder; "": that one reads empty places
    family: str  # "sd1", "sd2", "sdxl"; "" if nothing says
    left_out: tuple[str, ...] = ()  # tensors that are not used
    total: int = 0  # tensors in the file

    def fits(self, family: str) -> bool:
        """Tell whether a model of that family reads it. CLIP-L alone is Stable Diffusion 1's and SDXL's."""
        if self.only_clip_l:
            return family in ("sd1", "sdxl")
        return (len(self.tensors) > 1) == (family == "sdxl") and self.family in ("", family)

    @property
    def only_clip_l(self) -> bool:
        """Tell a word of SDXL's files that has vectors for the first text encoder alone."""
        return len(self.tensors) > 1 and not self.tensors[1]

    @property
    def remark(self) -> str:
        """Say which text encoder reads empty places in its stead, empty if none does."""
        if len(self.tensors) < 2 or all(self.tensors):
            return ""
        which, other = ("first", "second") if self.tensors[0] else ("second", "first")
        return f"vectors for SDXL's {which} text encoder only: the {other} reads empty places"


@dataclass(frozen=True, kw_only=True)
class WordBook:
    """The learned words there are, for a model of one family. Hashable; another file makes another book."""

    family: str = ""
    files: tuple[WordFile, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        """Return the words' names, in small letters."""
        return frozenset(file.name.lower() for file in self.files)

    def split(self, text: str) -> Iterator[str | tuple[LearnedWord, str]]:
        """Cut a text at its learned words: plain text, or a word and how it is written.

        Raise ValueError for a word whose file cannot be used with this family.
        """
        index = _index(self.files)
        done = 0
        for match in _WORD.finditer(text) if index else ():
            found = _longest(index.get(match[0].lower(), {}), text, match.start(), done)
            if found is None:
                continue
            start, end, name = found
            if text[start - 1 : start] == "<" and text[end : end + 1] == ">" and start > done:
                start, end = start - 1, end + 1
            if start > done:
                yield text[done:start]
            yield self.word(name), text[start:end]
            done = end
        if done < len(text) or not text:
            yield text[done:]

    def word(self, name: str) -> LearnedWord:
        """Return the word of that name. Raise ValueError if its file cannot be used with this family."""
        files = [file for file in self.files if file.name.lower() == name.lower()]
        if len(files) > 1:
            raise ValueError(
                f"prompt must name one learned word, and {len(files)} files in {EMBEDDINGS}/ are called"
                f" {name} (rename one)"
            )
        facts = _inspect(files[0])
        if isinstance(facts, str):
            raise ValueError(
                f"prompt must hold learned words that can be used, and {files[0].name} cannot: {facts}"
            )
        if not facts.fits(self.family):
            title = TITLES.get("sdxl" if len(facts.tensors) > 1 else facts.family, "another family")
            raise ValueError(
                f"prompt must hold learned words of the model's family, and {facts.name} is one for {title}"
                f" (the model is {TITLES[self.family]}; leave it out, or rename the file)"
            )
        return facts

    def check_marked(self, names: tuple[str, ...]) -> None:
        """Refuse `<names>` in an expression that no file is called by; elsewhere they are plain text."""
        for name in names:
            if name.strip("<>").lower() not in self.names:
                some = ", ".join(f"<{file.name}>" for file in self.files[:MAX_NAMED])
                hint = f"there are: {some}" if some else f"{EMBEDDINGS}/ is empty"
                raise ValueError(
                    f"prompt must have learned words that are there in braces, got {name[:80]} ({hint})"
                )


NO_WORDS = WordBook()


def read_words(settings: Settings, family: str) -> WordBook:
    """List the learned words for a model of that family. No file is opened.

    A pickle is among them where no .safetensors file has its name, so that who means it is told why not.
    """
    folder = settings.models_dir / EMBEDDINGS
    paths = [file.path for file in list_files(folder)]
    known = {path.stem.lower() for path in paths}
    pickles = [folder / place for place in scan(folder, PICKLES)]
    paths += [path for path in pickles if path.stem.lower() not in known]
    files = [WordFile(name=path.stem.strip("<>"), path=path, file=stamp(path)) for path in paths]
    return WordBook(family=family, files=tuple(files))


def bundled_words(path: Path, names: tuple[str, ...]) -> tuple[WordFile, ...]:
    """Return the learned words of these names that a LoRA's file brings."""
    return tuple(
        WordFile(name=name.strip("<>"), path=path, file=stamp(path), prefix=f"{BUNDLED}{name}.")
        for name in names
    )


def inspect_word(file: WordFile) -> LearnedWord:
    """Describe an embedding file. Raise ValueError saying what is wrong with it."""
    facts = _inspect(file)
    if isinstance(facts, str):
        raise ValueError(facts)
    return facts


@lru_cache(maxsize=4096)
def _inspect(file: WordFile) -> LearnedWord | str:
    if file.path.suffix.lower() in PICKLES:
        return (
            "it is a pickle, and reading one can run code (get the .safetensors version, or rename the file)"
        )
    try:
        return describe(file, read_header(file.path))
    except ValueError as error:
        return str(error)
    except OSError as error:
        return error.strerror or "it cannot be read"


def describe(file: WordFile, header: Header) -> LearnedWord:
    """Describe an embedding by its header. Raise ValueError for another kind of file.

    One foreign tensor beside those of a known name costs nothing but itself.
    """
    shapes = {
        name.removeprefix(file.prefix): shape
        for name, shape in header.shapes.items()
        if name.startswith(file.prefix)
    }
    tensors = _choose_tensors(shapes)
    used = [name for name in tensors if name]
    header.check_floats(*(file.prefix + name for name in used))
    counts = {shapes[name][0] if len(shapes[name]) == 2 else 1 for name in used}
    if len(counts) > 1:
        raise ValueError(f"its two tensors have {' and '.join(map(str, sorted(counts)))} vectors")
    (num_vectors,) = counts
    if num_vectors > MAX_VECTORS:
        raise ValueError(f"it has {num_vectors} vectors, and a window holds {MAX_VECTORS} tokens")
    return LearnedWord(
        name=file.name,
        path=file.path,
        file=file.file,
        num_vectors=num_vectors,
        tensors=tuple(name and file.prefix + name for name in tensors),
        family="sdxl" if len(tensors) > 1 else TEXT_WIDTHS.get(shapes[used[0]][-1], ""),
        left_out=tuple(name for name in shapes if name not in used),
        total=len(shapes),
    )


def _choose_tensors(shapes: dict[str, tuple[int, ...]]) -> tuple[str, ...]:
    """Return the tensor of each text encoder, "" for one that has none. Raise ValueError for no embedding."""
    if any(name in shapes for name in SD3_NAMES):
        raise ValueError("it is a learned word for Stable Diffusion 3 or Flux, whose encoders are others")
    found: tuple[str, ...] = ()
    for pair in XL_NAMES:
        if set(pair) & set(shapes):
            found = tuple(name if name in shapes else "" for name in pair)
            break
    else:
        alone = next((name for name in ALONE if name in shapes), None)
        if alone is None:
            marked = [name for name in shapes if name.startswith("<") and name.endswith(">")]
            candidates = list(shapes) if len(shapes) == 1 else marked
            alone = candidates[0] if len(candidates) == 1 else None
        if alone is None:
            raise ValueError("its tensors are not those of an embedding")
        found = (alone,)
    for name in filter(None, found):
        if len(shapes[name]) not in (1, 2) or not all(shapes[name]):
            raise ValueError(
                f"its tensor has the shape {shapes[name]}, and an embedding's is (vectors, columns)"
            )
    return found


@lru_cache(maxsize=8)
def _index(files: tuple[WordFile, ...]) -> dict[str, dict[tuple[int, int], set[str]]]:
    """Return names by their first run of letters, then by their length and where that run stands in them.

    The longest come first. Thousands of names may begin alike; their lengths are few.
    """
    index: dict[str, dict[tuple[int, int], set[str]]] = {}
    for name in sorted({file.name.lower() for file in files}, key=len, reverse=True):
        if match := _WORD.search(name):
            index.setdefault(match[0], {}).setdefault((len(name), match.start()), set()).add(name)
    return index


def _longest(
    names: dict[tuple[int, int], set[str]], text: str, at: int, done: int
) -> tuple[int, int, str] | None:
    """Return where the longest of the names stands whose first letters are at `at`, after `done`."""
    for (length, offset), alike in names.items():
        start, end = at - offset, at - offset + length
        name = text[max(start, 0) : end].lower()
        if start < done or name not in alike:
            continue
        if not _WORD.match(text[end : end + 1]) and not (start and _WORD.match(text[start - 1])):
            return start, end, name
    return None
