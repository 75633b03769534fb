"""The package as pip installs it: what the wheel holds, and that it draws without the checkout."""

import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

import sd_app
from sd_app.metadata import read_infotext

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel, with what is installed and nothing from the network."""
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-build-isolation", "--no-deps", "--wheel-dir", folder, ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel alone into a folder; its dependencies are this environment's."""
    folder = tmp_path_factory.mktemp("installed")
    pip("install", "--no-deps", "--target", folder, wheel)
    return folder


def pip(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *map(str, arguments)]
    subprocess.run(command, check=True)


def run(installed: Path, home: Path, *command: str | Path) -> str:
    """Run a command in an empty folder with the installed package in front; return what it prints."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("SD_APP_", "XDG_"))}
    environ |= {"PYTHONPATH": str(installed), "HOME": str(home), "USERPROFILE": str(home)}
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        check=False, cwd=home, env=environ, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_holds_every_file_of_the_app_and_of_the_embedded_models(wheel: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "sd_app", "models"],
        check=False, cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    if listed.returncode:
        pytest.skip("this is no git checkout")
    wanted = {name for name in listed.stdout.splitlines() if (ROOT / name).is_file()}
    wanted = {name.replace("models/", "sd_app/models/", 1) if name[0] == "m" else name for name in wanted}
    held = {name for name in ZipFile(wheel).namelist() if name.startswith("sd_app/")}
    assert held == wanted | {"sd_app/app.py"}
    assert len(wanted) > 150


def test_the_wheel_tells_version_license_and_requirements(wheel: Path) -> None:
    with ZipFile(wheel) as files:
        info = f"glass_box_studio-{sd_app.__version__}.dist-info"
        told = files.read(f"{info}/METADATA").decode()
        assert {f"{info}/licenses/LICENSE", f"{info}/licenses/NOTICE"} <= set(files.namelist())
    assert f"\nVersion: {sd_app.__version__}\n" in told
    assert "\nLicense-Expression: Apache-2.0\n" in told
    lines = (ROOT / "requirements.txt").read_text("utf-8").splitlines()
    names = [line.partition("==")[0].partition(">=")[0] for line in lines if line and line[0] != "#"]
    needed = [
        line for line in told.splitlines() if line.startswith("Requires-Dist: ") and "extra" not in line
    ]
    assert len(needed) == len(names)
    assert all(name.replace("_", "-") in told for name in names)
    assert "Requires-Dist: pytest==" in told
    assert "-r" not in told.partition("\n\n")[0].split()


def test_installed_it_draws_from_another_folder_with_the_models_it_brings(
    installed: Path, tmp_path: Path
) -> None:
    program = installed / "bin" / "glass-box"
    if not program.exists():
        program = next(installed.glob("*/glass-box*"))  # Scripts on Windows
    assert run(installed, tmp_path, program, "models", "--help").startswith("usage: glass-box models")
    printed = run(installed, tmp_path, program, "txt2img", "an orange cat", "--steps", "2", "--seed", "7")
    picture = tmp_path / printed.strip()
    assert picture.parent.parent == tmp_path / "outputs"
    assert f"Model: tiny-sd, Version: sd_app {sd_app.__version__}" in (read_infotext(picture) or "")


def test_installed_it_keeps_your_models_among_your_data(installed: Path, tmp_path: Path) -> None:
    code = (
        "from sd_app import Settings, Studio; s = Settings(); t = Studio(s);"
        "print(s.models_dir, *[m.path for m in t.models()], *t.clip_models()[:1], *t.caption_models()[:1])"
    )
    data, model, clip, captioner = run(installed, tmp_path, "-c", code).split()
    assert Path(data) == tmp_path / ".local" / "share" / "sd_app" / "models"
    assert Path(model) == installed / "sd_app" / "models" / "tiny-sd"
    assert (clip, captioner) == ("tiny-clip", "tiny-blip")


@pytest.mark.slow
def test_installed_it_has_the_page(installed: Path, tmp_path: Path) -> None:
    code = (
        "from sd_app import Settings, Studio; from sd_app.app import make_parser; from sd_app.ui import *;"
        "make_parser({}); print(len(build_ui(Studio(Settings())).blocks))"
    )
    assert int(run(installed, tmp_path, "-c", code)) > 100
