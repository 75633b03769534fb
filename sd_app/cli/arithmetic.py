"""Arithmetic with prompts on the command line: what walks write besides their frames, and the token table."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from .. import metadata
from ..requests import (
    Encoding,
    PlaneResult,
    TokenTable,
    Txt2ImgRequest,
    Txt2ImgResult,
    WalkRequest,
    WalkResult,
    request_fields,
)
from ..studio import Studio


def add_tokens_flags(parser: argparse.ArgumentParser) -> None:
    """Add what `tokens` takes besides the settings."""
    parser.add_argument("prompt", help="any prompt")
    parser.add_argument(
        "--row", type=int, metavar="N", help="describe this row: norm, largest channels, nearest words"
    )
    parser.add_argument("--other", metavar="PROMPT", help="tell which rows differ from this prompt's")
    clip_skip = request_fields(Txt2ImgRequest)["clip_skip"]
    parser.add_argument(
        "--clip-skip",
        type=int,
        default=clip_skip.default,
        metavar="N",
        help=f"{clip_skip.help} (default: {clip_skip.default})",
    )
    parser.add_argument(
        "--output", "-o", type=Path, metavar="PATH", help="draw the tensor as a heat map (.png)"
    )
    parser.add_argument("--minus-empty", action="store_true", help="draw it minus the empty prompt's")


def show_tokens(studio: Studio, options: argparse.Namespace) -> int:
    """Print every row of a prompt; padding is one line."""
    table = studio.token_table(options.prompt)
    for line in table_lines(table):
        print(line)
    if table.kept < table.count:
        print(
            f"one window keeps {table.kept} of {table.count} tokens; the others are read in further windows"
        )
    for remark in studio.tokens(options.prompt).remarks:
        print(remark)
    if (options.row, options.other, options.output) == (None, None, None):
        return 0
    encoding = studio.encode(options.prompt, clip_skip=options.clip_skip)
    if options.row is not None:
        report = studio.look_up(options.prompt, options.row, clip_skip=options.clip_skip)
        print(f"row {options.row}: norm {report.norm:.4g}")
        print(
            "largest channels: " + ", ".join(f"{number} ({value:.3g})" for number, value in report.channels)
        )
        print("nearest words: " + ", ".join(f"{word.text} ({word.cosine:.3f})" for word in report.near))
    if options.other is not None:
        other = studio.encode(options.other, clip_skip=options.clip_skip)
        print(f"rows that differ: {spans(encoding.rows_unlike(other)) or 'none'}")
    if options.output is not None:
        write_heat_map(encoding, options.output, minus_empty=options.minus_empty)
        print(options.output)
    return 0


def table_lines(table: TokenTable) -> Iterator[str]:
    """Yield the lines of a table, heads first."""
    yield f"{'ROW':>5} {'ID':>6} {'WEIGHT':>7}  TOKEN"
    rows = list(enumerate(table.rows))
    while rows:
        index, row = rows.pop(0)
        place, text = str(index), row.text
        if row.kind != "text":
            text = f"[{row.kind}]"
        if row.kind == "padding":
            while rows and rows[0][1].kind == "padding":
                place = f"{index}-{rows.pop(0)[0]}"
        elif row.learned:
            text = f"{row.learned} (learned, vector {row.vector + 1})"
        elif not row.ends_word:
            text += "|"
        yield f"{place:>5} {row.id:>6} {row.weight:>7.4g}  {text}{'  (cut)' if row.cut else ''}"


def spans(rows: tuple[int, ...]) -> str:
    """Write sorted numbers as spans: 3, 5-76."""
    parts: list[list[int]] = []
    for row in rows:
        if parts and parts[-1][-1] == row - 1:
            parts[-1] = [parts[-1][0], row]
        else:
            parts.append([row])
    return ", ".join("-".join(map(str, part)) for part in parts)


def write_heat_map(encoding: Encoding, path: Path, *, minus_empty: bool) -> None:
    """Draw a prompt's tensor into a file, as many pixels a value as make it readable."""
    from ..pictures.charts import heat_map

    values = encoding.minus_empty if minus_empty else encoding.embeds
    cell = max(1, 768 // values.shape[1])
    metadata.write_bytes(metadata.png_bytes(heat_map(values, cell=cell)), path)


def write_frames_companions(result: Txt2ImgResult, paths: tuple[Path, ...]) -> Iterator[Path]:
    """Write film, strip, sheet and plot beside frames that the user named; yield where they are.

    Without `paths` the studio has saved them.
    """
    if not isinstance(result, WalkResult | PlaneResult) or not result.images:
        return
    if not paths:
        for name in ("film_path", "strip_path", "sheet_path", "plot_path"):
            if path := getattr(result, name, None):
                yield path
        return
    stem = paths[0].with_stem(paths[0].stem.removesuffix("-0"))
    pictures = {"sheet": result.grid()}
    if isinstance(result, WalkResult):
        from ..pictures.charts import divergence_plot
        from ..pictures.films import film_bytes

        request = result.request
        assert isinstance(request, WalkRequest)
        pictures["strip"] = result.strip()
        if result.divergence:
            pictures["plot"] = divergence_plot(result.divergence, result.ts)
        if result.jump:
            pictures |= {"left": result.jump.left, "right": result.jump.right}
        if request.film != "none" and len(result.images) > 1:
            path = stem.with_name(f"{stem.stem}-film.{request.film}")
            metadata.write_bytes(film_bytes(result.images, fps=request.fps, kind=request.film), path)
            yield path
    for name, picture in pictures.items():
        path = stem.with_stem(f"{stem.stem}-{name}")
        metadata.write_bytes(metadata.png_bytes(picture), path)
        yield path


def tell_jump(result: Txt2ImgResult) -> None:
    """Say on stderr what bisect found."""
    if not isinstance(result, WalkResult) or not result.jump:
        return
    jump, request = result.jump, result.request
    places = f"between t = {jump.t_left:.6g} and {jump.t_right:.6g}"
    if isinstance(request, WalkRequest) and request.to_strength is not None:
        left, right = (request.strength_at(t) for t in (jump.t_left, jump.t_right))
        places += f", strength {left:.4g} and {right:.4g}"
    print(f"{places}: {jump.kind}. {jump.meaning}", file=sys.stderr)
