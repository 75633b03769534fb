"""The panels of the U-Net: its drawing with what each block gives, and the picture with parts cut out."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from ..probes.recording import Recording
from ..settings import EMBEDDED_MODEL
from .activations import (
    HIGH,
    LEAST_SIDE,
    LOW,
    SETTLED,
    Activation,
    activations,
    is_seen,
    recorded_activation,
    recorded_blocks,
)
from .again import Again
from .cuts import DID_NOTHING, Cut, did_nothing, verdict, with_cuts
from .decided import read_attributes
from .film import first_frames
from .look import Look
from .panel import EXACT, MEASURED, Panel, PanelFiles
from .sheets import sheet, shown, tile_size
from .unet_actions import CUT_ACTIONS, DRAWING_ACTIONS, all_cuts, in_the_run, parts_and_cuts
from .unet_drawing import draw, picture
from .unet_parts import UNetParts
from .word_panels import again_sheet

# -- the drawing, and what the blocks give


def make_unet(look: Look) -> PanelFiles:
    """Make the drawing, its tables, and what each block gives at nine steps."""
    parts, _ = parts_and_cuts(look)
    blocks = block_activations(look, parts)
    drawing = draw(parts)
    said = [f"{drawing.title}.", *filter(None, [in_the_run(look.recording)])]
    for each in blocks:
        if each.settles is not None:
            step = each.settles // look.recording.facts.order + 1
            said.append(f"{each.part} shows what it shows at the end from step {step} on.")
    return PanelFiles(
        pictures={"drawing": picture(drawing)} | _sheets(look, blocks),
        arrays={f"{each.part}_{kind}": values for each in blocks for kind, values in _arrays(each)},
        tables={"parts": parts_table(parts), "skips": skips_table(parts)},
        said=said,
    )


def block_activations(look: Look, parts: UNetParts) -> list[Activation]:
    """Return what each block gives: recorded where it is, else asked again at the calls that are shown."""
    recording = look.recording
    names = list(dict.fromkeys(part.block for part in parts.parts))
    there = recorded_blocks(recording)
    found = {name: recorded_activation(recording, name) for name in there}
    missing = [name for name in names if name not in found]
    found |= activations(look, missing, shown_calls(recording))
    return [found[name] for name in names if name in found]


def shown_calls(recording: Recording) -> list[int]:
    """Return the calls of the nine frames, the last call in place of the finished picture."""
    calls = [*first_frames(recording)[:-1], recording.num_calls - 1]
    return sorted(set(calls))


def _sheets(look: Look, blocks: Sequence[Activation]) -> dict[str, Image.Image]:
    recording, calls = look.recording, shown_calls(look.recording)
    size = tile_size(recording.decoded)
    seen = [each for each in blocks if is_seen(each.side)]
    small = [each for each in blocks if not is_seen(each.side)]
    found: dict[str, Image.Image] = {}
    title = "What each block gives, step by step: its three largest components as red, green and blue"
    for name, chosen, heading in (
        ("blocks", seen, title),
        ("small_blocks", small, "Blocks too coarse to be seen: each channel's mean over the places"),
    ):
        tiles = [
            (_label(recording, each, call), shown(each.picture(each.calls.index(call)), size))
            for each in chosen
            for call in calls
        ]
        if tiles:
            found[name] = sheet(tiles, title=heading, columns=len(calls))
    return found


def _label(recording: Recording, each: Activation, call: int) -> str:
    height, width = each.side
    return f"{each.part}, {height}×{width}, step {call // recording.facts.order + 1}"


def _arrays(each: Activation) -> list[tuple[str, np.ndarray]]:
    kept = (("components", each.components), ("shares", each.shares), ("bars", each.bars))
    return [(name, values) for name, values in kept if values is not None]


def parts_table(parts: UNetParts) -> list[list[object]]:
    """Return a row a part, in the order in which a call runs them."""
    head: list[object] = [
        *("part", "kind", "level", "channels_in", "channels_out", "height", "width", "numbers_in"),
        *("numbers_out", "weights", "cross_attentions", "self_attentions", "heads"),
    ]
    rows: list[list[object]] = [
        [
            part.name,
            part.kind,
            parts.level(part),
            part.reads[0],
            *part.gives,
            int(np.prod(part.reads)),
            int(np.prod(part.gives)),
            part.num_weights,
            part.cross_layers,
            part.self_layers,
            part.heads,
        ]
        for part in parts.parts
    ]
    return [head, *rows]


def skips_table(parts: UNetParts) -> list[list[object]]:
    """Return a row a skip; none for a U-Net without them."""
    rows: list[list[object]] = [[skip.source, skip.target, *skip.shape] for skip in parts.skips]
    return [["from", "to", "channels", "height", "width"], *rows] if rows else []


# -- cuts


def make_cuts(look: Look) -> PanelFiles:
    """Make the picture with each of the named cuts."""
    cuts = [cut for cut in all_cuts(look) if cut.named]
    if not cuts:
        raise ValueError("This U-Net has none of the parts that are cut out here.")
    again = [with_cuts(look, [cut]) for cut in cuts]
    said = [verdict(cut, each) for cut, each in zip(cuts, again, strict=True)]
    return PanelFiles(
        pictures={"cuts": again_sheet(look, again, "The same noise with parts of the U-Net cut out")},
        arrays={"differences": np.stack([each.difference for each in again])},
        tables={"cuts": cuts_table(look.recording, cuts, again)},
        said=said,
    )


def cuts_table(recording: Recording, cuts: Sequence[Cut], again: Sequence[Again]) -> list[list[object]]:
    """Return a row a cut; of the embedded model also what is drawn then, read by its judge."""
    read: dict[str, list[str]] = {}
    if recording.facts.model == EMBEDDED_MODEL:
        read = read_attributes([recording.decoded, *(each.picture for each in again)])
    head: list[object] = ["cut", "where", "mean_change_of_255", "changed_share", "did_nothing", *read]
    rows: list[list[object]] = [
        ["nothing", "", 0.0, 0.0, True, *(values[0] for values in read.values())],
        *(
            [
                *(cut.name, cut.where, each.mean_change, each.changed_share, did_nothing(each)),
                *(values[number] for values in read.values()),
            ]
            for number, (cut, each) in enumerate(zip(cuts, again, strict=True), start=1)
        ),
    ]
    return [head, *rows]


def _why_no_cuts(recording: Recording) -> str:
    if recording.request.cache_interval > 1:
        return (
            "In this run the deep blocks were run only at some steps (cache interval above 1): set it to 1 to"
            " cut parts out."
        )
    return ""


PANELS = (
    Panel(
        name="unet",
        title="The U-Net, as it is loaded",
        seen="The drawing has a row for each resolution, the way down on the left, the way up on the right,"
        " and the lines between them are skips. A block's picture shows what it gives at a step: its three"
        " largest components as red, green and blue, each of which means the same at all steps.",
        not_shown="It does not show what a colour stands for: components are directions in which a block's"
        " channels differ most, and nobody named them.",
        formula="shapes and weights are read from the network while it is called once; components: the three"
        " largest axes of the channels, centred over the places, each step's basis turned to its neighbour's"
        f" (orthogonal Procrustes); percentiles {LOW:g} to {HIGH:g} become 0 to 255. Blocks below"
        f" {LEAST_SIDE}×{LEAST_SIDE} places: each channel's mean. “From step … on”: the components correlate"
        f" by {SETTLED} or more with those of the last step.",
        exactness=MEASURED,
        make=make_unet,
        actions=DRAWING_ACTIONS,
    ),
    Panel(
        name="cuts",
        title="The picture with parts of the U-Net cut out",
        seen="The same noise was run through the U-Net with one part cut out, and each picture stands beside"
        " its difference from yours. What is lost is what that part was needed for.",
        not_shown="It does not show what a part does alone: the rest was never trained to work without it.",
        formula="attention: its output times 0, the residual kept; middle block: it hands on what it was"
        " given; skip: its channels are 0 before the resnet that reads them. Both halves, all steps. “Next to"
        f" nothing”: at most {100 * DID_NOTHING:.0f} % of the pixels change by more than 25 of 255.",
        exactness=EXACT,
        make=make_cuts,
        actions=CUT_ACTIONS,
        why_not=_why_no_cuts,
        makes_pictures=True,
    ),
)
