"""Numbers drawn: the heat map of a prompt's tensor, and how far the frames of a walk are apart."""

from collections.abc import Sequence
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..requests import PARTED, Divergence

LINEAR = 1.0  # values up to this size are drawn linearly, larger ones by their logarithm
# From the most negative to the most positive value; 0 is white.
HEAT_COLORS = (
    *((8, 29, 88), (33, 102, 172), (146, 197, 222)),
    (255, 255, 255),
    *((244, 165, 130), (178, 24, 43), (70, 0, 18)),
)


def heat_map(
    values: NDArray[np.float32] | NDArray[np.float64], *, limit: float | None = None, cell: int = 1
) -> Image.Image:
    """Draw (rows, columns) values as a picture of columns*cell x rows*cell pixels, blue below 0, red above.

    Colours are symmetric-logarithmic: sign(v) * log(1 + |v|), which shows both the many small values and the
    few of about 30 that a prompt's tensor has. `limit` is the size with the full colour; without it the
    largest. NaN is black.
    """
    scaled = np.sign(values) * np.log1p(np.abs(values) / LINEAR)
    largest = np.nanmax(np.abs(values), initial=0.0) if limit is None else limit
    full = np.log1p(largest / LINEAR) or 1.0
    place = (np.clip(scaled / full, -1, 1) + 1) / 2
    stops = np.linspace(0, 1, len(HEAT_COLORS))
    rgb = np.stack([np.interp(place, stops, channel) for channel in np.transpose(HEAT_COLORS)], axis=-1)
    pixels = np.where(np.isnan(values)[..., None], 0, np.rint(np.nan_to_num(rgb))).astype(np.uint8)
    picture = Image.fromarray(pixels)
    return picture.resize((picture.width * cell, picture.height * cell), Image.Resampling.NEAREST)


def divergence_plot(
    divergence: Divergence, ts: Sequence[float], *, width: int = 900, height: int = 420
) -> Image.Image:
    """Draw d_i(t) of every pair of neighbours over the steps, and the step at which each pair parts.

    `ts` are the places of the frames, one more than there are pairs. Return a width x height picture.
    """
    from matplotlib import colormaps  # here: it takes half a second
    from matplotlib.figure import Figure

    dpi = 100
    figure = Figure(figsize=(width / dpi, height / dpi), dpi=dpi, layout="constrained")
    axes = figure.add_subplot()
    steps = np.arange(1, divergence.distances.shape[1] + 1)
    num_pairs = len(divergence.distances)
    for pair, (distances, parted) in enumerate(zip(divergence.distances, divergence.parted, strict=True)):
        color = colormaps["viridis"](0.9 * pair / max(num_pairs - 1, 1))
        largest = pair == divergence.largest
        label = f"t {ts[pair]:.3g} – {ts[pair + 1]:.3g}" if num_pairs <= 12 or largest else None
        axes.plot(steps, distances, color=color, linewidth=2.5 if largest else 1.2, label=label)
        if parted is not None:
            axes.plot(parted, distances[parted - 1], "o", color=color, markersize=7 if largest else 5)
    axes.axhline(PARTED, color="0.6", linewidth=1, linestyle="--", label=f"apart ({PARTED})")
    axes.set(
        xlabel="step", ylabel="distance of predicted x0 (RMS, latent units)", xlim=(1, max(steps[-1], 2))
    )
    axes.set_ylim(bottom=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(title="frames", fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    stream = BytesIO()
    figure.savefig(stream, format="png", dpi=dpi)
    return Image.open(stream).convert("RGB")
