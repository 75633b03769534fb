"""What can be put into a prompt, as the page's picker lists it."""

from dataclasses import dataclass

from ..checkpoints import TITLES
from ..settings import Settings
from .choice import LORAS
from .files import find_file, list_files
from .loras import inspect_lora
from .tags import find_tags

MEGABYTE = 1e6


@dataclass(frozen=True, kw_only=True)
class Addon:
    """Something a prompt can ask for. `text` is what stands in the prompt for it."""

    kind: str  # "lora"
    name: str

    @property
    def label(self) -> str:
        return self.name

    @property
    def text(self) -> str:
        return f"<lora:{self.name}:1>"


@dataclass(frozen=True, kw_only=True)
class AddonFacts:
    """What is known of one; `reason` says why it cannot be used, empty if it can."""

    title: str  # kind, family, rank and size in words
    trigger_words: tuple[str, ...] = ()
    family: str = ""
    reason: str = ""


def list_addons(settings: Settings) -> list[Addon]:
    """List what lies in the folders; nothing is opened."""
    return [Addon(kind="lora", name=file.name) for file in list_files(settings.models_dir / LORAS)]


def describe_addon(settings: Settings, text: str) -> AddonFacts:
    """Describe what a prompt asks for by this text. Raise ValueError if it is not there."""
    tags = find_tags(text)
    if len(tags) != 1:
        raise ValueError(f"text must ask for one LoRA, got {text[:80]} (for instance <lora:name:1>)")
    file = find_file("LoRA", settings.models_dir / LORAS, tags[0].name)
    try:
        facts = inspect_lora(file.path)
    except (ValueError, OSError) as error:
        return AddonFacts(title="LoRA", reason=str(error))
    family = TITLES.get(facts.family, "family unknown")
    return AddonFacts(
        title=f"LoRA, {family}, rank {facts.rank}, {facts.size_bytes / MEGABYTE:.1f} MB",
        trigger_words=facts.trigger_words,
        family=facts.family,
    )
