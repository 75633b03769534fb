"""Who may import whom: the layers of the app, read from the source, and what importing them really loads."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Files at the root of sd_app that are no entrance: small things that many share. No torch, as in all leaves.
ROOT_FILES = {path.stem for path in (ROOT / "sd_app").glob("*.py")} - {"__init__", "__main__", "studio"}
LEAVES = {
    "requests",
    "metadata",
    "pictures",
    "picture_files",
    "checkpoints",
    "addons",
    "hub",
    "expressions",
    "history",
    "templates",
    *ROOT_FILES,
}
TOOLS = {"weights", "speed", "probes", "text"}
FEATURES = {"generation", "interrogator", "training", "sweeps"}
# What the page may read besides the studio it is given: no torch, none of our files on disk but pictures.
PAGE_MAY = {"queue", "requests", "images", "metadata", "checkpoints", "expressions", "pictures", "failures"}
PAGE_MAY |= {"templates", "history"}
# Jobs in a line: what a kind of job does comes as an argument.
QUEUE_MAY = {"requests", "images", "metadata", "checkpoints"}
HEAVY = {
    "torch",
    "torchvision",
    "diffusers",
    "transformers",
    "open_clip",
    "accelerate",
    "safetensors",
    "peft",
}

# Folder of sd_app -> the folders it may import. Every folder may import its own files.
MAY_IMPORT = {
    "__init__": {"requests", "settings", "studio"},
    "__main__": {"cli"},
    "cli": {"studio", "queue", *LEAVES},
    "studio": {"inside"} | FEATURES | TOOLS | LEAVES,
    "queue": QUEUE_MAY,
    "ui": PAGE_MAY,
    "tiny": FEATURES | TOOLS | LEAVES,
    # What is computed from a recording, which may run something; and the embedded model's judge.
    "inside": {"generation", "tiny"} | TOOLS | LEAVES,
    **dict.fromkeys(FEATURES, TOOLS | LEAVES),
    **dict.fromkeys(TOOLS, TOOLS | LEAVES),
    **dict.fromkeys(LEAVES, LEAVES),
}
NEVER_HEAVY = {"ui", "queue", *LEAVES}
# These may name torch inside a function, but importing them must not load it.
LIGHT_TO_IMPORT = {"__init__", "__main__", "cli", "studio"}


def part_of(module: str) -> str:
    """Return the part of sd_app a dotted module belongs to: sd_app.ui.form -> ui, sd_app -> __init__."""
    return module.split(".")[1] if "." in module else "__init__"


def module_name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(source: str, module: str, *, is_package: bool) -> Iterator[tuple[str, bool]]:
    """Yield (dotted name, runs at import) of every import, relative ones made absolute.

    `from .x import y` is given as x.y, since y may be a module. Imports inside a function or under
    TYPE_CHECKING do not run when the module is imported.
    """
    tree = ast.parse(source)
    deferred = {id(child) for node in ast.walk(tree) if _defers(node) for child in ast.walk(node)}
    for node in ast.walk(tree):
        at_import = id(node) not in deferred
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, at_import
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.split(".") if is_package else module.split(".")[:-1]
                package = package[: len(package) - node.level + 1]
                base = ".".join([*package, base] if base else package)
            for alias in node.names:
                yield f"{base}.{alias.name}", at_import


def _defers(node: ast.AST) -> bool:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        return True
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


def faults(source: str, module: str, *, is_package: bool = False) -> list[str]:
    """List what a module of sd_app, or app.py (module "app"), imports against the rules."""
    part = "app" if module == "app" else part_of(module)
    found = []
    for name, at_import in imports(source, module, is_package=is_package):
        top = name.split(".")[0]
        if top == "sd_app":
            target = _target(name)
            if target is not None and part not in ("app", target) and target not in MAY_IMPORT.get(part, ()):
                found.append(f"{module} must not import sd_app.{target}")
            if part == "app" and target not in {None, "__init__", "ui", "studio", "settings"}:
                found.append(f"app.py must not import sd_app.{target}")
        elif top == "gradio" and part not in ("ui", "app"):
            found.append(f"{module} must not import gradio")
        elif top in HEAVY and (part in NEVER_HEAVY or part == "app"):
            found.append(f"{module} must not import {top}")
        elif top in HEAVY and at_import and part in LIGHT_TO_IMPORT:
            found.append(f"{module} must import {top} inside a function")
    return found


def _target(name: str) -> str | None:
    """Return the part a name of sd_app leads to, None for a public name like Studio or __version__."""
    part = part_of(name)
    known = (
        part in MAY_IMPORT or (ROOT / "sd_app" / part).is_dir() or (ROOT / "sd_app" / f"{part}.py").exists()
    )
    return part if known else None


SOURCES = sorted((ROOT / "sd_app").rglob("*.py"))


@pytest.mark.parametrize(
    "path", [*SOURCES, ROOT / "app.py"], ids=lambda path: path.relative_to(ROOT).as_posix()
)
def test_a_file_imports_only_what_its_layer_may(path: Path) -> None:
    module = module_name(path, ROOT)
    assert faults(path.read_text("utf-8"), module, is_package=path.name == "__init__.py") == []


def test_no_two_folders_import_each_other() -> None:
    graph: dict[str, set[str]] = {}
    for path in SOURCES:
        module = module_name(path, ROOT)
        names = imports(path.read_text("utf-8"), module, is_package=path.name == "__init__.py")
        targets = {_target(name) or "" for name, _ in names if name.split(".")[0] == "sd_app"}
        # The package's own names, like __version__, are asked for when they are needed.
        graph.setdefault(part_of(module), set()).update(targets - {part_of(module), "", "__init__"})
    list(TopologicalSorter(graph).static_order())  # a circle raises


def test_the_root_holds_a_dozen_files_at_most_and_no_file_is_long() -> None:
    assert len(list((ROOT / "sd_app").glob("*.*"))) <= 12
    lengths = {path: len(path.read_text("utf-8").splitlines()) for path in SOURCES}
    assert {path.name: length for path, length in lengths.items() if length > 400} == {}


def test_every_part_of_the_app_has_its_rule() -> None:
    parts = {part_of(module_name(path, ROOT)) for path in SOURCES}
    assert parts <= set(MAY_IMPORT)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("sd_app.images", "import torch"),
        ("sd_app.images", "def f():\n    from torch.nn import functional"),
        ("sd_app.images", "from .weights.model_manager import ModelManager"),
        ("sd_app.metadata", "from . import generation"),
        ("sd_app.metadata", "from sd_app.studio import Studio"),
        ("sd_app.requests", "import gradio as gr"),
        ("sd_app.queue.jobs", "import gradio as gr"),
        ("sd_app.queue.jobs", "def f():\n    import torch"),
        ("sd_app.queue.jobs", "from ..studio import Studio"),
        ("sd_app.queue.jobs", "from ..generation import txt2img"),
        ("sd_app.generation", "import gradio"),
        ("sd_app.generation", "from .studio import Studio"),
        ("sd_app.generation", "from .tiny.world import draw"),
        ("sd_app.weights.model_manager", "from .. import generation"),
        ("sd_app.text.prompts", "from ..cli import main"),
        ("sd_app.studio", "import torch"),
        ("sd_app.studio", "try:\n    import diffusers\nexcept ImportError:\n    pass"),
        ("sd_app.studio", "from .ui import build_ui"),
        ("sd_app.cli", "from .generation import txt2img"),
        ("sd_app.ui.shared.form", "import torch"),
        ("sd_app.ui.shared.form", "def f():\n    import diffusers"),
        ("sd_app.ui.shared.form", "from ...studio import Studio"),
        ("sd_app.ui.shared.form", "from ... import weights"),
        ("sd_app.ui.shared.form", "from ...settings import Settings"),
        ("sd_app.tiny.train", "from ..studio import Studio"),
        ("sd_app.tiny.train", "import gradio"),
        ("app", "import torch"),
        ("app", "from sd_app.generation import txt2img"),
    ],
)
def test_the_rule_catches(module: str, source: str) -> None:
    assert faults(source, module) != []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("sd_app.metadata", "from . import __version__"),
        ("sd_app.metadata", "from .requests import Txt2ImgRequest"),
        ("sd_app.studio", "def f():\n    import torch\n    from . import generation"),
        ("sd_app.studio", "if TYPE_CHECKING:\n    import torch"),
        ("sd_app.generation", "import torch\nfrom .weights.model_manager import ModelManager"),
        ("sd_app.ui.shared.form", "import gradio\nfrom ..api import publish\nfrom ...requests import Step"),
        ("sd_app.tiny.train", "import torch\nfrom . import world"),
        ("app", "from sd_app import Settings, Studio\nfrom sd_app.ui import build_ui"),
    ],
)
def test_the_rule_lets_pass(module: str, source: str) -> None:
    assert faults(source, module) == []


def test_importing_the_studio_and_every_leaf_loads_no_torch_and_no_gradio() -> None:
    modules = ", ".join(f"sd_app.{name}" for name in sorted(LEAVES | {"studio", "cli"}))
    code = f"import sys, {modules}; print(sorted({HEAVY | {'gradio'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_importing_the_page_loads_no_torch() -> None:
    code = f"import sys, app; print(sorted({HEAVY} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
