"""Which files a job needs beside its checkpoint."""

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from ..checkpoints import Stamp, stamp
from ..checkpoints.model_info import ModelInfo
from ..expressions.tags import LoraTag, add_tags, check_scales, find_tags
from ..settings import Settings
from ..user_files import reason_of
from .addon_files import find_file, stamp_files
from .lora_files import check_family, inspect_lora
from .preview_decoders import find_preview_decoder
from .vae_files import find_vae
from .word_files import NO_WORDS, WordBook, WordFile, bundled_words, read_words

LORAS = "loras"  # folders in models_dir


@dataclass(frozen=True, kw_only=True)
class LoraUse:
    """A LoRA file and how much of it goes into U-Net and text encoders. Equal uses give equal weights."""

    name: str
    path: Path
    file: Stamp
    unet_scale: float
    text_scale: float


@dataclass(frozen=True, kw_only=True)
class VaeUse:
    """A VAE to use in place of the checkpoint's own."""

    name: str
    path: Path
    files: tuple[Stamp, ...]


@dataclass(frozen=True, kw_only=True)
class Additions:
    """What a job adds to its checkpoint. Hashable."""

    loras: tuple[LoraUse, ...] = ()
    words: WordBook = NO_WORDS  # those there are: which ones a prompt holds, its encoding finds
    vae: VaeUse | None = None
    preview_decoder: Path | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Return what is to be merged or loaded, for people; a job can do without the decoder."""
        return (*(use.name for use in self.loras), *([self.vae.name] if self.vae else []))


NO_ADDITIONS = Additions()


def choose_additions(
    settings: Settings, info: ModelInfo, prompt: str, vae: str | None = None, *, previews: bool = False
) -> Additions:
    """Find the files a prompt asks for, the VAE and, for `previews`, their decoder. Nothing is loaded.

    Raise ValueError naming what is not there, damaged or made for another family.
    """
    loras = _choose_loras(settings, info, prompt)
    bundled = tuple(word for use in loras for word in bundled_words(use.path, inspect_lora(use.path).words))
    return Additions(
        loras=loras,
        words=_with_bundled(read_words(settings, info.family), bundled),
        vae=None if vae is None else _choose_vae(settings, vae),
        preview_decoder=find_preview_decoder(settings, info, own_vae=vae is None) if previews else None,
    )


def words_of(settings: Settings, family: str, prompt: str) -> WordBook:
    """Return the learned words that a prompt may hold: those of the folder, and what its LoRAs bring.

    A LoRA that cannot be found or used brings none; the job says why.
    """
    bundled: list[WordFile] = []
    with suppress(ValueError):
        for tag in find_tags(prompt):
            with suppress(ValueError, OSError):
                path = find_file("LoRA", settings.models_dir / LORAS, tag.name).path
                if tag.unet_scale or tag.text_scale:
                    bundled += bundled_words(path, inspect_lora(path).words)
    return _with_bundled(read_words(settings, family), tuple(bundled))


def _with_bundled(words: WordBook, bundled: tuple[WordFile, ...]) -> WordBook:
    """Return a book with a LoRA's own words; they go before files of the same name."""
    own = {file.name.lower() for file in bundled}
    return replace(words, files=(*(file for file in words.files if file.name.lower() not in own), *bundled))


def _choose_vae(settings: Settings, name: str) -> VaeUse:
    file = find_vae(settings, name)
    return VaeUse(name=file.name, path=file.path, files=stamp_files(file.path))


def _choose_loras(settings: Settings, info: ModelInfo, prompt: str) -> tuple[LoraUse, ...]:
    found: dict[Path, LoraTag] = {}  # one file may be asked for by two names
    for tag in find_tags(prompt):
        file = find_file("LoRA", settings.models_dir / LORAS, tag.name)
        tag = replace(tag, name=file.name)
        found[file.path] = add_tags(found[file.path], tag) if file.path in found else tag
    uses = []
    for path, tag in found.items():
        check_scales(tag)
        try:
            facts = inspect_lora(path)
        except (ValueError, OSError) as error:
            reason = reason_of(error, path)
            raise ValueError(
                f"prompt must ask for LoRAs that can be used, and {tag.name} cannot: {reason}"
            ) from error
        check_family(tag.name, facts, info.family)
        if tag.unet_scale or tag.text_scale:
            uses.append(
                LoraUse(
                    name=tag.name,
                    path=path,
                    file=stamp(path),
                    unet_scale=tag.unet_scale,
                    text_scale=tag.text_scale,
                )
            )
    return tuple(uses)
