"""Which CLIP and caption models there are, by name. Reads names only; no torch."""

from dataclasses import dataclass
from pathlib import Path

from ..checks import shown
from ..settings import EMBEDDED_DIR, Settings
from ..user_files import may_be_file, read_text

EMBEDDED_CLIP, EMBEDDED_CAPTIONER = "tiny-clip", "tiny-blip"
KNOWN_CLIPS = ("ViT-L-14/openai", "ViT-H-14/laion2b_s32b_b79k", "ViT-B-32/openai")
KNOWN_CAPTIONERS = ("Salesforce/blip-image-captioning-base", "Salesforce/blip-image-captioning-large")
CLIP_CONFIG = "open_clip_config.json"
CLIP_WEIGHTS = "open_clip_model.safetensors"


@dataclass(frozen=True, kw_only=True)
class ClipName:
    """A CLIP that can be loaded: a folder of models, or open_clip's architecture and weights."""

    name: str
    folder: Path | None = None

    @property
    def label(self) -> str:
        """Return the name under which the model manager keeps it: no checkpoint can have it."""
        return f"CLIP {self.name}"

    @property
    def architecture(self) -> str:
        """Return open_clip's name of the architecture; "" for a folder."""
        return "" if self.folder else self.name.partition("/")[0]

    @property
    def weights(self) -> str:
        """Return open_clip's name of the weights; "" for a folder."""
        return "" if self.folder else self.name.partition("/")[2]


def list_clips(settings: Settings) -> tuple[str, ...]:
    """List the CLIPs to choose from, the embedded one first. Names of the hub are for local mode only."""
    folders = [name for name, path in _folders(settings).items() if (path / CLIP_CONFIG).is_file()]
    folders.sort(key=lambda name: (name != EMBEDDED_CLIP, name.lower()))
    return (*folders, *(KNOWN_CLIPS if settings.mode == "local" else ()))


def list_captioners(settings: Settings) -> tuple[str, ...]:
    """List the caption models to choose from, the embedded one first. Hub ids are for local mode only."""
    folders = [name for name, path in _folders(settings).items() if is_captioner(path)]
    folders.sort(key=lambda name: (name != EMBEDDED_CAPTIONER, name.lower()))
    return (*folders, *(KNOWN_CAPTIONERS if settings.mode == "local" else ()))


def find_clip(settings: Settings, name: str | None) -> ClipName:
    """Return the CLIP of that name; None is the embedded one.

    In local mode "architecture/weights" may be any that open_clip knows, and an architecture alone takes
    OpenAI's weights. Raise ValueError for what cannot be found or used.
    """
    wanted = EMBEDDED_CLIP if name is None else name
    folder = _find_folder(settings, wanted)
    if folder is not None and (folder / CLIP_CONFIG).is_file():
        if not (folder / CLIP_WEIGHTS).is_file():
            raise ValueError(
                f"clip_model {wanted} cannot be used: it holds no {CLIP_WEIGHTS}, and pickles are refused"
                " because reading them can run code (save its weights as safetensors)"
            )
        return ClipName(name=wanted, folder=folder)
    architecture, _, weights = wanted.partition("/")
    if settings.mode == "local" and architecture and architecture != EMBEDDED_CLIP and "\0" not in wanted:
        return ClipName(name=f"{architecture}/{weights or 'openai'}")
    raise ValueError(f"clip_model must be one of {', '.join(list_clips(settings))}; got {shown(wanted)}")


def find_captioner(settings: Settings, name: str | None) -> str | None:
    """Return the folder or hub id of a caption model; None is the embedded one, or None if that is missing.

    Raise ValueError for a name that is neither a folder in models_dir nor, in local mode, a hub id.
    """
    folder = _find_folder(settings, name or EMBEDDED_CAPTIONER)
    if folder is not None and is_captioner(folder):
        return str(folder)
    if name is None:
        return None
    if settings.mode == "local" and name.count("/") == 1 and all(name.split("/")):
        return name
    names = ", ".join(list_captioners(settings))
    raise ValueError(f"caption_model must be one of {names}; got {shown(name)} (or type a caption)")


def is_captioner(folder: Path) -> bool:
    """Tell whether a folder holds a BLIP of transformers."""
    try:
        return '"blip' in read_text(folder / "config.json").lower()
    except (OSError, ValueError):
        return False


def _find_folder(settings: Settings, name: str) -> Path | None:
    """Return the folder of that name in models_dir, or the embedded one; None for a path, or for nothing."""
    if not name or name in (".", "..") or "\0" in name or Path(name).name != name or not may_be_file(name):
        return None
    folder = settings.models_dir / name
    return folder if folder.is_dir() else _embedded().get(name)


def _folders(settings: Settings) -> dict[str, Path]:
    """Return the embedded folders and those of models_dir by name; of two of one name the user's counts."""
    try:
        children = list(settings.models_dir.iterdir())
    except OSError:
        children = []
    users = {path.name: path for path in children if path.is_dir() and not path.name.startswith(".")}
    return _embedded() | users


def _embedded() -> dict[str, Path]:
    return {name: EMBEDDED_DIR / name for name in (EMBEDDED_CLIP, EMBEDDED_CAPTIONER)}
