"""The panel of what the VAE loses, and what can be done in it on the page."""

from collections.abc import Mapping
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..pictures.likeness import KINDS
from ..requests import LookAnswer
from .actions import Action, Given
from .look import Look, PictureAlone
from .panel import MEASURED, Panel, PanelFiles
from .sheets import COLORS, heat, legend, sheet, shown, tile_size
from .vae_loss import CELL, TIMES, VaeLoss, losses_of_recording, vae_loss

KIND_COLORS = dict(zip(KINDS, (COLORS[7], COLORS[5], COLORS[2]), strict=True))

_losses: WeakKeyDictionary[Look, dict[str, VaeLoss]] = WeakKeyDictionary()


def losses_of(look: Look) -> dict[str, VaeLoss]:
    """Return what is lost of a recorded picture and of its start; sent through once for each look."""
    if look not in _losses:
        _losses[look] = losses_of_recording(look)
    return _losses[look]


def make_vae(look: Look) -> PanelFiles:
    """Make the panel of a recorded picture, and of the one it began from."""
    losses = losses_of(look)
    said: list[str] = []
    names = {"start": "The picture it began from", "finished": "The finished picture"}
    for name, loss in losses.items():
        said += [f"{names[name]}: {loss.sentences[0]}", *loss.sentences[1:]]
    if len(losses) == 1:
        said.append("It came out of this decoder itself: a photo or a drawing loses more.")
    return files_of_losses(losses, said)


def make_vae_of_picture(alone: PictureAlone) -> PanelFiles:
    """Make the panel of any picture, by the app's own model."""
    loss = vae_loss(alone.manager, alone.image)
    return files_of_losses({"picture": loss}, loss.sentences)


def files_of_losses(losses: Mapping[str, VaeLoss], said: list[str]) -> PanelFiles:
    """Return the sheets and numbers of some pictures, by their names."""
    arrays: dict[str, NDArray[np.generic]] = {}
    for name, loss in losses.items():
        arrays |= {f"{name}_squared_error": loss.error.astype(np.float32), f"{name}_kinds": loss.kinds}
    return PanelFiles(
        pictures={name: loss_sheet(loss) for name, loss in losses.items()},
        arrays=arrays,
        tables={"loss": loss_table(losses)},
        said=said,
    )


def loss_sheet(loss: VaeLoss) -> Image.Image:
    """Draw the picture, what came back, ten times the difference, where it is lost, and what is there."""
    size = tile_size(loss.original)
    cells = loss.cells.astype(np.float32)
    bright = float(cells.max())
    tiles = [
        ("the picture", shown(loss.original, size)),
        (f"there and back: {loss.psnr:.1f} dB, SSIM {loss.ssim:.3f}", shown(loss.back, size)),
        (f"difference × {TIMES}", shown(loss.times_ten, size)),
        (f"error by cell of 8x8, bright: {bright:.1f} of 255", heat(cells, bright, size)),
        ("what is there", draw_kinds(loss.kinds, size)),
        ("share of the loss", draw_shares(loss, size)),
    ]
    return sheet(tiles, title=f"Through the VAE of {loss.model} and back", columns=3)


def draw_kinds(kinds: NDArray[np.uint8], size: tuple[int, int]) -> Image.Image:
    """Draw flat areas, edges and texture in their colours."""
    colors = np.array([KIND_COLORS[kind] for kind in KINDS], np.uint8)
    return Image.fromarray(colors[kinds]).resize(size, Image.Resampling.NEAREST)


def draw_shares(loss: VaeLoss, size: tuple[int, int]) -> Image.Image:
    """List the kinds with their shares of pixels and of the loss."""
    rows = []
    for kind, each in loss.by_kind.items():
        rows.append((KIND_COLORS[kind], f"{kind}: {100 * each.loss_share:.0f} %"))
        rows.append(((255, 255, 255), f"of {100 * each.share:.0f} % of pixels"))
    return legend(rows, size)


def loss_table(losses: Mapping[str, VaeLoss]) -> list[list[object]]:
    """Return a row for each picture as a whole and one for each kind of its places."""
    head: list[object] = [
        *("picture", "places", "share_of_pixels", "share_of_loss", "rms_error_of_255", "psnr_db", "ssim"),
        "largest_error",
    ]
    rows: list[list[object]] = []
    for name, loss in losses.items():
        rms = float(np.sqrt(loss.error.mean()))
        rows.append([name, "all", 1.0, 1.0 if rms else 0.0, rms, loss.psnr, loss.ssim, loss.largest])
        rows += [
            [name, kind, each.share, each.loss_share, each.mean_error, "", "", ""]
            for kind, each in loss.by_kind.items()
        ]
    return [head, *rows]


# -- on the page


def begin(look: Look, given: Given) -> LookAnswer:
    """Return what is lost of the recorded picture, and of the one it began from."""
    return loss_answer(losses_of(look))


def begin_of_picture(alone: PictureAlone, given: Given) -> LookAnswer:
    """Return what the app's own model loses of a picture."""
    return loss_answer({"picture": vae_loss(alone.manager, alone.image)})


def loss_answer(losses: Mapping[str, VaeLoss]) -> LookAnswer:
    """Return the measures and pictures of some losses, each picture's as NAME:what."""
    pictures: dict[str, Image.Image] = {}
    for name, loss in losses.items():
        pictures |= {
            f"{name}:original": loss.original,
            f"{name}:back": loss.back,
            f"{name}:times": loss.times_ten,
            f"{name}:kinds": draw_kinds(loss.kinds, loss.original.size),
        }
    return LookAnswer(
        numbers={"losses": [_loss_numbers(name, loss) for name, loss in losses.items()]}, pictures=pictures
    )


def _loss_numbers(name: str, loss: VaeLoss) -> dict[str, object]:
    return {
        "name": name,
        "psnr": loss.psnr if loss.largest else None,  # nothing lost: it is infinite
        "ssim": loss.ssim,
        "largest": loss.largest,
        "cells": loss.cells,
        "kinds": [
            {
                "kind": each.kind,
                "share": each.share,
                "loss_share": each.loss_share,
                "error": each.mean_error,
                "color": KIND_COLORS[each.kind],
            }
            for each in loss.by_kind.values()
        ],
        "kinds_of_cells": kinds_of_cells(loss.kinds),
        "said": loss.sentences,
    }


def kinds_of_cells(kinds: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return for each cell of 8x8 pixels the share of each kind, (H/8, W/8, kinds)."""
    height, width = kinds.shape
    blocks = kinds.reshape(height // CELL, CELL, width // CELL, CELL)
    shares = [(blocks == number).mean(axis=(1, 3)) for number in range(len(KINDS))]
    return np.stack(shares, axis=-1).astype(np.float32)


PANEL = Panel(
    name="vae",
    title="What the VAE loses",
    seen="The picture was encoded to latents and decoded again, with nothing done in between. What differs is"
    " the least that any change of this picture costs, even where nothing is redrawn.",
    not_shown="It does not show what a model redraws, and small errors of colour may be plainer to you than"
    " large ones in texture.",
    formula="PSNR = 10 log10(255² / mean squared error); SSIM as by Wang et al. 2004: Gaussian window of 11"
    " pixels, σ 1.5, the mean of the three channels; flat, edge or texture by the structure tensor of the"
    " grey picture: below 4 levels a pixel flat, from a coherence of 0.5 on an edge, else texture.",
    exactness=MEASURED,
    make=make_vae,
    make_of_picture=make_vae_of_picture,
    actions=(Action(name="begin", answer=begin, of_picture=begin_of_picture),),
)
