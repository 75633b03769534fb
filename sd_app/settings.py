"""What the owner of the machine decides once, at start: folders, device, limits."""

import os
import re
from dataclasses import dataclass, field, fields
from math import isfinite
from pathlib import Path

from .checks import check_int

DTYPES = ("auto", "float16", "bfloat16", "float32")
MODES = ("local", "shared", "space")
_PACKAGE = Path(__file__).resolve().parent
_CHECKOUT = _PACKAGE.parent
# An installed package brings its models inside; a checkout has them beside the package, for all to see.
EMBEDDED_DIR = _PACKAGE / "models" if (_PACKAGE / "models").is_dir() else _CHECKOUT / "models"
EMBEDDED_MODEL = "tiny-sd"
_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d{1,3})?")


def default_cache_dir() -> Path:
    """Return the folder for what can be made again, as the environment says now."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "sd_app"


def default_models_dir() -> Path:
    """Return the folder for the user's own models: a checkout's models/, else one among the user's data."""
    if EMBEDDED_DIR.parent == _CHECKOUT:
        return EMBEDDED_DIR
    return Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser() / "sd_app" / "models"


def on_zero_gpu() -> bool:
    """Tell whether this runs on a Space whose GPU is lent for one call at a time, to a process of its own."""
    return os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


def is_path(model: str) -> bool:
    """Tell a path from a name and from a hub id, by its looks alone: a/b is a hub id, ./a/b a path."""
    text = model.replace("\\", "/")
    rooted = text.startswith(("/", "./", "../", "~")) or text in (".", "..") or bool(Path(model).drive)
    return rooted or text.count("/") > 1 or ("/" in text and text.lower().endswith(".safetensors"))


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that holds for a whole run of the app. Raise ValueError for a value that cannot be."""

    # The user's own models; the embedded ones are there wherever this leads.
    models_dir: Path = field(default_factory=default_models_dir)
    outputs_dir: Path = field(default_factory=lambda: Path("outputs"))
    # The user's own styles.csv, and wildcards in a folder of that name; None: in models_dir.
    prompts_dir: Path | None = None
    # Tables of phrases, what headers have told; may be deleted.
    cache_dir: Path = field(default_factory=default_cache_dir)
    # The model of a request that names none: a name, a hub id "owner/name", or the path of a folder or file.
    model: str = EMBEDDED_MODEL
    device: str = "auto"  # auto, cpu, cuda, cuda:N or mps
    dtype: str = "auto"  # auto: float16 on cuda and mps; bfloat16 or float32 on the CPU
    lowvram: bool = False  # keep weights in main memory, move each part to the GPU as it is needed
    cuda_graphs: bool = True  # replay the U-Net's work on CUDA: the same bits, faster
    channels_last: bool = False  # store convolution weights in channels-last order
    compile: bool = False  # torch.compile the U-Net: slow to start, then faster, another rounding
    tile_above: int | None = None  # pixels (width * height) above which the VAE works in tiles; None: by need
    mode: str = "local"
    max_pixels: int = 2048 * 2048  # width * height of one picture
    max_images: int = 100  # pictures of one request
    batch_size: int = 4  # pictures denoised together
    cache_gigabytes: float | None = None  # weights kept loaded at once; None: chosen from the memory found

    @property
    def wildcards_dir(self) -> Path:
        """Return the folder of the user's wildcards."""
        return (self.prompts_dir or self.models_dir) / "wildcards"

    @property
    def styles_file(self) -> Path:
        """Return the file of the user's styles."""
        return (self.prompts_dir or self.models_dir) / "styles.csv"

    @property
    def models_folder(self) -> str:
        """Return where the user's models lie, as the owner of the machine knows the place."""
        return "models/" if self.models_dir == _CHECKOUT / "models" else str(self.models_dir)

    def as_texts(self) -> dict[str, str]:
        """Return what decides how a job runs, as texts that another process can compare."""
        apart = ("outputs_dir", "mode")
        values = {one.name: getattr(self, one.name) for one in fields(self) if one.name not in apart}
        return {
            name: str(value.resolve() if isinstance(value, Path) else value) for name, value in values.items()
        }

    def __post_init__(self) -> None:
        object.__setattr__(self, "models_dir", Path(self.models_dir).expanduser())
        object.__setattr__(self, "outputs_dir", Path(self.outputs_dir).expanduser())
        object.__setattr__(self, "cache_dir", Path(self.cache_dir).expanduser())
        if self.prompts_dir is not None:
            object.__setattr__(self, "prompts_dir", Path(self.prompts_dir).expanduser())
        if not isinstance(self.model, str) or not self.model.strip():
            raise ValueError(
                f"model must be a name or a hub id, got {self.model!r} (try tiny-sd or owner/name)"
            )
        if is_path(self.model):
            object.__setattr__(self, "model", str(Path(self.model).expanduser().absolute()))
        if not isinstance(self.device, str) or not _DEVICE.fullmatch(self.device):
            raise ValueError(f"device must be auto, cpu, cuda, cuda:N or mps, got {self.device!r}")
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, got {self.dtype!r}")
        if self.mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}, got {self.mode!r}")
        for name in ("lowvram", "cuda_graphs", "channels_last", "compile"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} must be true or false, got {getattr(self, name)!r}")
        check_int("max_pixels", self.max_pixels, 64 * 64, 8192 * 8192)
        check_int("max_images", self.max_images, 1, 1000)
        check_int("batch_size", self.batch_size, 1, 64)
        if self.tile_above is not None:
            check_int("tile_above", self.tile_above, 0, 8192 * 8192)
        if self.cache_gigabytes is not None:
            _check_gigabytes(self.cache_gigabytes)


def _check_gigabytes(value: object) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not isfinite(value) or value < 0:  # type: ignore[arg-type, operator]
        raise ValueError(f"cache_gigabytes must be 0 or more, got {value!r} (leave it out for automatic)")
