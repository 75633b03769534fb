"""A small decoder for previews, distilled from one model's own VAE: some 70 thousand weights."""

from torch import Tensor, nn

WIDTHS = (48, 32, 16)  # channels at one, two and four times the latents' size


class SmallDecoder(nn.Module):
    """Decode (B, 4, h, w) latents, as the U-Net sees them, to (B, 3, 8h, 8w) pixels, about -1..1.

    All but the last layers work at a fraction of the picture's size, as in Shi et al. 2016 (sub-pixel
    convolution): a call takes about a fortieth of the time of the VAE that it is distilled from.
    """

    def __init__(self) -> None:
        super().__init__()
        low, middle, high = WIDTHS
        self.begin = nn.Conv2d(4, low, 3, padding=1)
        self.context = nn.Conv2d(low, low, 1)  # the VAE's group norms see the whole picture too
        self.low = nn.Sequential(Residual(low), Residual(low))
        self.middle = nn.Sequential(*doubled(low, middle), nn.ReLU(), Residual(middle))
        self.high = nn.Sequential(*doubled(middle, high), nn.ReLU(), Residual(high))
        self.end = nn.Sequential(nn.Conv2d(high, 3 * 4, 3, padding=1), nn.PixelShuffle(2))

    def forward(self, latents: Tensor) -> Tensor:
        """Decode latents."""
        features = self.begin(latents).relu()
        features = features + self.context(features.mean((2, 3), keepdim=True))
        pixels: Tensor = self.end(self.high(self.middle(self.low(features))))
        return pixels


class Residual(nn.Module):
    """A convolution whose result is added."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        added: Tensor = features + self.conv(features).relu()
        return added


def doubled(narrow: int, wide: int) -> tuple[nn.Module, nn.Module]:
    """Return layers that make (B, wide, 2h, 2w) of (B, narrow, h, w)."""
    return nn.Conv2d(narrow, 4 * wide, 1), nn.PixelShuffle(2)
