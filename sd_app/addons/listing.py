"""What can be put into a prompt, as the page's picker lists it."""

from dataclasses import dataclass

from ..checkpoints import TITLES
from ..expressions.tags import find_tags
from ..settings import Settings
from ..user_files import reason_of
from .addon_files import find_file, list_files
from .choice import LORAS
from .lora_files import inspect_lora, tell_left_out
from .word_files import inspect_word, read_words

MEGABYTE = 1e6
KINDS = {"lora": "LoRA", "word": "learned word"}


@dataclass(frozen=True, kw_only=True)
class Addon:
    """Something a prompt can ask for. `text` is what stands in the prompt for it."""

    kind: str  # "lora" or "word"
    name: str

    @property
    def label(self) -> str:
        """Return its name and kind, as the picker shows it."""
        return f"{self.name} ({KINDS[self.kind]})"

    @property
    def text(self) -> str:
        """Return what a prompt asks for it with: `<lora:name:1>` or `<name>`."""
        return f"<lora:{self.name}:1>" if self.kind == "lora" else f"<{self.name}>"


@dataclass(frozen=True, kw_only=True)
class AddonFacts:
    """What is known of one; `reason` says why it cannot be used, empty if it can."""

    title: str  # kind, family, rank and size in words, and what of it is not used
    trigger_words: tuple[str, ...] = ()
    family: str = ""
    reason: str = ""


def list_addons(settings: Settings) -> list[Addon]:
    """List what lies in the folders; nothing is opened."""
    loras = [Addon(kind="lora", name=file.name) for file in list_files(settings.models_dir / LORAS)]
    return loras + [Addon(kind="word", name=file.name) for file in read_words(settings, "").files]


def describe_addon(settings: Settings, text: str) -> AddonFacts:
    """Describe what a prompt asks for by this text. Raise ValueError if it is not there."""
    tags = find_tags(text)
    if not tags:
        return _describe_word(settings, text.strip("<>"))
    file = find_file("LoRA", settings.models_dir / LORAS, tags[0].name)
    try:
        facts = inspect_lora(file.path)
    except (ValueError, OSError) as error:
        return AddonFacts(title="LoRA", reason=reason_of(error, file.path))
    family = TITLES.get(facts.family, "family unknown")
    known = [facts.kind, family, *([f"rank {facts.rank}"] if facts.rank else [])]
    known.append(f"{facts.size_bytes / MEGABYTE:.1f} MB")
    return AddonFacts(
        title=", ".join([*known, *filter(None, [facts.remark])]),
        trigger_words=(*facts.words, *(word for word in facts.trigger_words if word not in facts.words)),
        family=facts.family,
    )


def _describe_word(settings: Settings, name: str) -> AddonFacts:
    file = next((file for file in read_words(settings, "").files if file.name == name), None)
    if file is None:
        raise ValueError(f"text must name a LoRA or a learned word that is there, got {name[:80]}")
    try:
        word = inspect_word(file)
    except ValueError as error:
        return AddonFacts(title="Learned word", reason=str(error))
    family = TITLES.get(word.family, "family unknown")
    vectors = f"{word.num_vectors} vector{'s' * (word.num_vectors > 1)}"
    about = ["Learned word", family, vectors, word.remark, tell_left_out(word.left_out, word.total)]
    return AddonFacts(title=", ".join(filter(None, about)), family=word.family)
