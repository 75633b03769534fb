"""Read the package's dependencies from the requirements files for hatchling: each is written once."""

from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


class Requirements(MetadataHookInterface):
    """Fill in the dynamic fields of [project]."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add what pyproject.toml calls dynamic."""
        root = Path(self.root)
        metadata["dependencies"] = read_requirements(root / "requirements.txt")
        metadata["optional-dependencies"] = {"test": read_requirements(root / "tests" / "requirements.txt")}


def read_requirements(path: Path) -> list[str]:
    """Return the lines of a requirements file that name a package, without comments and -r lines."""
    lines = (line.partition("#")[0].strip() for line in path.read_text("utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("-")]
