"""What the tests share: the embedded model, and tiny checkpoints with random weights, made in a second."""

import gc
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
# What a developer has downloaded is none of the tests' business.
os.environ["HF_HUB_CACHE"] = "/nowhere/hub"
os.environ["HF_HOME"] = "/nowhere"
os.environ["HF_TOKEN"] = ""
os.environ["HF_ENDPOINT"] = "http://127.0.0.1:9"  # nobody answers there
if "PYTEST_XDIST_WORKER" in os.environ:  # two processes that want all cores each only wait for each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")

from sd_app import Settings, Studio, catalog
from sd_app.settings import EMBEDDED_DIR

BROWSER = "tests/browser"


def unit_of(nodeid: str) -> str:
    """Return what a test shares a process with: its file, or all files of a browser.

    A page keeps a core busy, its app another: two at once only wait for each other.
    """
    return BROWSER if nodeid.startswith(f"{BROWSER}/") else nodeid.partition("::")[0]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the browser's, which last longest, then the files of many tests: both cores end together."""
    counts = Counter(unit_of(item.nodeid) for item in items)
    items.sort(key=lambda item: (unit_of(item.nodeid) != BROWSER, -counts[unit_of(item.nodeid)]))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling:
    """Give each unit to one process, in the order in which the tests stand."""
    config.option.loadscopereorder = False

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return unit_of(nodeid)

    return Scheduling(config, log)


def set_libraries_apart() -> None:
    """Leave what the libraries hold, half a million objects, out of garbage collections: 0.3 s each else.

    What is made after this is collected as ever.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="module")
def libraries_set_apart() -> None:
    """Set apart what a file of tests has imported when it begins."""
    set_libraries_apart()


@pytest.fixture(autouse=True, scope="session")
def cache_of_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the user's own cache out of it: a folder for this run, which its processes share."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        yield


def make_checkpoint(
    folder: Path,
    *,
    seed: int,
    prediction_type: str = "epsilon",
    in_channels: int = 4,
    time_cond_proj_dim: int | None = None,
) -> Path:
    """Save a Stable Diffusion pipeline of a few layers with random weights; 64x64 pictures."""
    import torch
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    torch.manual_seed(seed)
    text_config = CLIPTextConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=2, projection_dim=32
    )
    pipe = StableDiffusionPipeline(
        tokenizer=CLIPTokenizer.from_pretrained(EMBEDDED_DIR / "tiny-sd" / "tokenizer"),
        text_encoder=CLIPTextModel(text_config),
        vae=AutoencoderKL(
            block_out_channels=(8, 8, 8, 8),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=1,
            norm_num_groups=4,
            latent_channels=4,
            sample_size=64,
        ),
        unet=UNet2DConditionModel(
            sample_size=8,
            in_channels=in_channels,
            out_channels=4,
            block_out_channels=(16, 32),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            layers_per_block=1,
            norm_num_groups=8,
            attention_head_dim=2,
            cross_attention_dim=32,
            time_cond_proj_dim=time_cond_proj_dim,
        ),
        scheduler=DDIMScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            clip_sample=False,
            set_alpha_to_one=False,
            steps_offset=1,
            prediction_type=prediction_type,
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.save_pretrained(folder)
    studio = {"title": folder.name, "default_steps": 4, "default_guidance_scale": 5.0}
    (folder / "studio.json").write_text(json.dumps({**studio, "default_scheduler": "DDIM"}))
    return folder


def make_sdxl(folder: Path, *, seed: int, in_channels: int = 4) -> Path:
    """Save an SDXL pipeline of a few layers with random weights; 64x64 pictures."""
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline

    from sd_app.checkpoints.configs import SCALING_FACTORS, SCHEDULER
    from sd_app.weights.single_file import build_tokenizers
    from tests.checkpoint_files import make_parts

    parts = make_parts("sdxl", seed=seed, in_channels=in_channels)
    parts.vae.register_to_config(scaling_factor=SCALING_FACTORS["sdxl"], force_upcast=True)
    known = ("beta_start", "beta_end", "beta_schedule", "steps_offset", "timestep_spacing")
    pipe = StableDiffusionXLPipeline(
        **build_tokenizers("sdxl"),
        unet=parts.unet,
        vae=parts.vae,
        text_encoder=parts.text_encoders[0],
        text_encoder_2=parts.text_encoders[1],
        scheduler=EulerDiscreteScheduler(**{name: SCHEDULER[name] for name in known}),
        add_watermarker=False,
    )
    pipe.save_pretrained(folder)
    studio = {"title": folder.name, "default_steps": 3, "default_scheduler": "Euler"}
    (folder / "studio.json").write_text(json.dumps(studio))
    return folder


@pytest.fixture(scope="session")
def sdxl_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with xl, and xl-painter made for inpainting: SDXL with random weights."""
    folder = tmp_path_factory.mktemp("sdxl-models")
    make_sdxl(folder / "xl", seed=7)
    make_sdxl(folder / "xl-painter", seed=8, in_channels=9)
    return folder


@pytest.fixture(scope="session")
def random_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with model-a, model-b (random weights) and model-v (v-prediction)."""
    folder = tmp_path_factory.mktemp("models")
    make_checkpoint(folder / "model-a", seed=1)
    make_checkpoint(folder / "model-b", seed=2)
    make_checkpoint(folder / "model-v", seed=3, prediction_type="v_prediction")
    set_libraries_apart()  # diffusers imports most of itself with the first pipeline
    return folder


@pytest.fixture
def without_embedded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the embedded model, so that a list holds what lies in models_dir and no more."""
    monkeypatch.setattr(catalog, "EMBEDDED_DIR", tmp_path / "hidden")


@pytest.fixture(scope="session")
def inpaint_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with painter, a checkpoint made for inpainting (random weights)."""
    folder = tmp_path_factory.mktemp("inpaint-models")
    make_checkpoint(folder / "painter", seed=5, in_channels=9)
    return folder


@pytest.fixture
def copied_model(random_models: Path, tmp_path: Path) -> Path:
    """A copy of model-a that a test may spoil: tmp_path/models/model-a."""
    return Path(shutil.copytree(random_models / "model-a", tmp_path / "models" / "model-a"))


@pytest.fixture
def random_settings(random_models: Path, tmp_path: Path) -> Settings:
    return Settings(models_dir=random_models, outputs_dir=tmp_path / "outputs", model="model-a", batch_size=2)


@pytest.fixture
def random_studio(random_settings: Settings) -> Studio:
    """A studio over the random checkpoints: quick, for everything but the meaning of pictures."""
    return Studio(random_settings)


@pytest.fixture(scope="session")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    """A studio over the embedded model."""
    folders = {name: tmp_path_factory.mktemp(name) for name in ("outputs", "cache")}
    return Studio(Settings(device="cpu", outputs_dir=folders["outputs"], cache_dir=folders["cache"]))
