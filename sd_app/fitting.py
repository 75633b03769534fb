"""What a lent pipeline wears beside its checkpoint's own parts; put on by the model manager."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from .addons import Additions
from .loras import MergedLoras


class Outfit:
    """What jobs added to one checkpoint. LoRAs stay in its weights while the next job asks for the same."""

    def __init__(self, components: Mapping[str, Any]) -> None:
        self.loras = MergedLoras(components)

    @contextmanager
    def worn(self, pipe: Any, additions: Additions, tell: Callable[[str], None]) -> Iterator[None]:
        """Have a pipeline use exactly these additions. Raise ValueError naming one that does not fit.

        `pipe.dressing` is hashable and changes whenever the weights of U-Net or text encoders do.
        """
        if additions.loras not in ((), self.loras.state):
            tell(f"Merging {', '.join(use.name for use in additions.loras)}")
        self.loras.exchange(additions.loras)
        pipe.dressing, pipe.words = self.loras.state, additions.words
        yield
