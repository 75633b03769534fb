"""Maps as a recording keeps them: half precision, or bytes with a scale for each map."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from .levels import pooling


@dataclass(frozen=True, kw_only=True, eq=False)
class Maps:
    """Maps of (h, w) in any number of dimensions, packed. An index of them gives float32."""

    values: Tensor  # (..., h, w) float16; or uint8, of which 255 is the map's scale
    scales: Tensor | None = None  # (...) float32, beside bytes

    @classmethod
    def pack(cls, maps: Tensor, *, in_bytes: bool) -> "Maps":
        """Pack (..., h, w) numbers of 0 and more; with `in_bytes` to 1/510 of each map's largest."""
        if not in_bytes:
            return cls(values=maps.to(torch.float16))
        scales = maps.amax(dim=(-2, -1)).float()
        shares = maps.float() / scales.clamp_min(1e-30)[..., None, None]
        return cls(values=(shares * 255).round().to(torch.uint8), scales=scales)

    def __getitem__(self, index: object) -> Tensor:
        """Return some of the maps, as an index of leading dimensions picks them, in float32."""
        values = self.values[index].float()  # type: ignore[index]
        if self.scales is None:
            return values
        return values * (self.scales[index] / 255)[..., None, None]  # type: ignore[index]

    def __len__(self) -> int:
        return len(self.values)


def pool(maps: Tensor, most: int) -> Tensor:
    """Average (N, C, h, w) over squares of cells so that at most so many cells remain."""
    factor = pooling((maps.shape[-2], maps.shape[-1]), most)
    if factor == 1:
        return maps
    return functional.avg_pool2d(maps, factor, ceil_mode=True, count_include_pad=False)
