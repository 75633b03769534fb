"""The panels of pictures that began from another one: the start under noise, and what an inpainting keeps."""

from collections.abc import Sequence
from io import BytesIO

import numpy as np
import torch
from PIL import Image

from .from_picture import StartAt, low_pass, starts_at, why_from_noise
from .kept_latents import Blends, KeptPixels, kept_pixels, shown_calls, why_no_mask
from .look import Look
from .panel import EXACT, Panel, PanelFiles
from .sheets import sheet, shown, tile_size
from .start_actions import PUTBACK_ACTIONS, START_ACTIONS, blend_pictures, drift_maps, known_blends
from .vae_loss import placed_start


def make_start(look: Look) -> PanelFiles:
    """Make what was encoded, and x_t at the start at several strengths with its low-pass."""
    recording = look.recording
    assert recording.original is not None
    starts, said = starts_at(look)
    original = recording.original
    decoded = look.decode(
        torch.stack(
            [
                original,
                low_pass(original),
                *(latents.to(original) for each in starts for latents in (each.unscaled, each.low)),
            ]
        )
    )
    given = placed_start(look)
    assert given is not None
    return PanelFiles(
        pictures={"start": start_sheet(look, given, decoded, starts)},
        arrays={
            "original": original.float().numpy(),
            "noise": recording.noise.float().numpy(),
            "strengths": np.array([each.strength for each in starts]),
            "x_t": torch.stack([each.latents.float() for each in starts]).numpy(),
            "low": torch.stack([each.low.float() for each in starts]).numpy(),
        },
        tables={"start": start_table(starts)},
        said=[*(each.sentence for each in starts), *said],
    )


def start_sheet(
    look: Look, given: Image.Image, decoded: Sequence[Image.Image], starts: Sequence[StartAt]
) -> Image.Image:
    """Draw the given picture, the encoded one, and for each strength the start and its low-pass."""
    size = tile_size(given)
    encoded, encoded_low, *others = decoded
    white = Image.new("RGB", size, "white")
    tiles = [
        ("given", shown(given, size)),
        ("encoded and decoded again", shown(encoded, size)),
    ]
    below = [("", white), ("its low-pass", shown(encoded_low, size))]
    for number, each in enumerate(starts):
        own = ", this picture's" if each.strength == look.request.strength else ""  # type: ignore[attr-defined]
        tiles.append((f"strength {each.strength:g}{own}: x_t", shown(others[2 * number], size)))
        below.append((f"low-pass: correlation {each.likeness:.2f}", shown(others[2 * number + 1], size)))
    return sheet([*tiles, *below], title="What the run begins from", columns=len(tiles))


def start_table(starts: Sequence[StartAt]) -> list[list[object]]:
    """Return a row for each strength."""
    head: list[object] = [
        *("strength", "steps", "timestep", "noise_over_signal", "signal_share", "low_pass_correlation")
    ]
    rows: list[list[object]] = [
        [each.strength, each.steps, each.timestep, each.sigma, each.signal, each.likeness] for each in starts
    ]
    return [head, *rows]


# -- what an inpainting keeps


def make_putback(look: Look) -> PanelFiles:
    """Make the blend of some steps, how far the kept cells strayed, and what the decoder did to them."""
    recording = look.recording
    blends, kept = known_blends(look), kept_pixels(look)
    pictures = {"decoder": decoder_sheet(kept)}
    said = list(kept.sentences)
    if not recording.facts.reads_masks:
        pictures |= {"steps": blend_sheet(look, blends), "strayed": strayed_curve(blends)}
        said = [strayed_sentence(blends), *said]
    return PanelFiles(
        pictures=pictures,
        arrays={
            "stepped": blends.stepped.float().numpy(),
            "mixed": blends.mixed.float().numpy(),
            "repainted": blends.joined.numpy(),
            "difference": kept.total,
            "difference_by_vae": kept.by_vae,
            "spill": kept.spill,
        },
        tables={"steps": steps_table(blends), "distance": distance_table(kept)},
        said=said,
    )


def strayed_sentence(blends: Blends) -> str:
    """Say how far the kept cells strayed before they were put back."""
    steps = np.nan_to_num(blends.strayed)
    largest = int(steps.argmax())
    step = largest // blends.recording.facts.order + 1
    return (
        "At each step the model paints everywhere, and the kept cells are put back: they had strayed by up"
        f" to {steps[largest]:.3f} (root mean square, at step {step})."
    )


def blend_sheet(look: Look, blends: Blends) -> Image.Image:
    """Draw the blend at some steps, a step a column."""
    recording = blends.recording
    calls = shown_calls(recording)
    size = tile_size(recording.decoded)
    columns = [blend_pictures(look, blends, call) for call in calls]
    titles = {
        "made": "step {}: as the sampler made it",
        "put_back": "what is put back",
        "joined": "what the next step reads",
    }
    tiles = [
        (title.format(call // recording.facts.order + 1), shown(column[name], size))
        for name, title in titles.items()
        for call, column in zip(calls, columns, strict=True)
    ]
    return sheet(tiles, title="How the kept area is put back in latent space", columns=len(calls))


def strayed_curve(blends: Blends, *, width: int = 900, height: int = 360) -> Image.Image:
    """Draw how far the kept cells had strayed at each step before they were put back."""
    from matplotlib.figure import Figure  # here: it takes half a second

    dpi = 100
    figure = Figure(figsize=(width / dpi, height / dpi), dpi=dpi, layout="constrained")
    axes = figure.add_subplot()
    steps = np.arange(len(blends.strayed)) / blends.recording.facts.order + 1
    axes.plot(steps, blends.strayed, marker=".")
    axes.set(xlabel="step", ylabel="kept cells from the original (RMS)", ylim=(0, None))
    axes.set_xlim(1, max(float(steps[-1]), 2))
    axes.spines[["top", "right"]].set_visible(False)
    stream = BytesIO()
    figure.savefig(stream, format="png", dpi=dpi)
    return Image.open(stream).convert("RGB")


def decoder_sheet(kept: KeptPixels) -> Image.Image:
    """Draw the original, the frame before your own pixels are put back, and what differs outside the mask."""
    size, maps = tile_size(kept.frame), drift_maps(kept)
    tiles = [
        ("the original", shown(kept.original, size)),
        ("the frame as decoded", shown(kept.frame, size)),
        (f"outside the mask: {kept.mean(kept.total):.2f} of 255", shown(maps["total"], size)),
        (f"the VAE alone: {kept.mean(kept.by_vae):.2f}", shown(maps["vae"], size)),
        (f"the frame less the VAE alone: {kept.mean(kept.spill):.2f}", shown(maps["spill"], size)),
    ]
    return sheet(
        tiles, title="What the decoder does to the kept area (bright: 32 of 255)", columns=len(tiles)
    )


def steps_table(blends: Blends) -> list[list[object]]:
    """Return a row a call."""
    head: list[object] = ["call", "step", "kept_cells", "strayed_rms"]
    order = blends.recording.facts.order
    rows: list[list[object]] = [
        [call, call // order + 1, int((~blends.joined[call]).sum()), float(blends.strayed[call])]
        for call in range(len(blends.strayed))
    ]
    return [head, *rows]


def distance_table(kept: KeptPixels) -> list[list[object]]:
    """Return a row for each belt around the mask, in pixels."""
    head: list[object] = ["from_pixels", "to_pixels", "pixels", "mean_difference_by_vae", "mean_spill"]
    rows: list[list[object]] = [
        [belt.least, belt.most, belt.pixels, belt.vae, belt.spill] for belt in kept.belts
    ]
    return [head, *rows]


PANELS = (
    Panel(
        name="start",
        title="What it began from",
        seen="The picture it began from, encoded, and under as much noise as three strengths and its own"
        " give. Averaged over some cells the noise goes, and what stays is what the model can still see.",
        not_shown="It does not show what the model makes of it, only what there is to be seen.",
        formula="x_t = √a x0 + √(1−a) ε at the first step that is run (Meng et al. 2022), with the request's"
        " own noise; the low-pass is a Gaussian whose spread is a twelfth of the longer side, of x_t / √a;"
        " compared with that of x0 by their correlation over all channels.",
        exactness=EXACT,
        make=make_start,
        actions=START_ACTIONS,
        why_not=why_from_noise,
    ),
    Panel(
        name="putback",
        title="How the kept area is put back",
        seen="After each step the kept cells are replaced by the original under as much noise as the next"
        " step expects, unless the model reads the mask itself. The decoder still changes their pixels: the"
        " VAE loses some, and the painted cells lie beside them.",
        not_shown="It does not show the finished picture, in which your own pixels stand outside the mask.",
        formula="x_(t−1) ← m · x_(t−1) + (1 − m) · (√a_(t−1) x0 + √(1−a_(t−1)) ε), m from the mask by the"
        " most of each cell's pixels, a soft mask's cells joining one after the other; spill is how far the"
        " decoded frame is from the decoded original.",
        exactness=EXACT,
        make=make_putback,
        actions=PUTBACK_ACTIONS,
        why_not=why_no_mask,
    ),
)
