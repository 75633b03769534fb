"""What a client gets of a result: plain data, and files where Gradio serves them from."""

from collections.abc import Sequence
from dataclasses import asdict
from math import isnan
from pathlib import Path
from typing import Any

from ...checkpoints.model_info import ModelInfo
from ...requests import (
    BlendResult,
    DriftReport,
    FramesResult,
    InpaintResult,
    InsideResult,
    InterrogateResult,
    Jump,
    MatchResult,
    RankedPhrase,
    Score,
    TokenReport,
    TokenTable,
    Txt2ImgResult,
    WalkResult,
)
from ..shared.files import PictureFiles
from ..shared.frames import curve

# The type as Gradio announces it; what it holds, the endpoints' docstrings say.
Answer = dict[str, Any]
Result = Txt2ImgResult | InterrogateResult | MatchResult | InsideResult


def answer_of(result: Result, files: PictureFiles) -> Answer:
    """Return what a client gets of a result."""
    if isinstance(result, InterrogateResult):
        return _found(result)
    if isinstance(result, MatchResult):
        return _matched(result)
    if isinstance(result, InsideResult):
        return _inside(result, files)
    answer = {
        "images": [files.file(path) for path in result.paths],
        "seeds": list(result.seeds),
        "infotexts": list(result.infotexts),
        "seconds": round(result.seconds, 3),
        "notice": result.notice,
    }
    if isinstance(result, BlendResult):
        return answer | {"near": [[asdict(word) for word in row] for row in result.near]}
    if isinstance(result, FramesResult):
        return answer | _frames(result, files)
    if not isinstance(result, InpaintResult):
        return answer
    roundtrip = result.roundtrip_image
    return answer | {
        "images": answer["images"] or [files.picture(image) for image in result.images],
        "raw_images": [files.picture(image) for image in result.raw_images],
        "roundtrip_image": files.picture(roundtrip) if roundtrip else None,
        "drifts": [_drift(report) for report in result.drifts],
    }


def pictures_answer(paths: Sequence[Path], files: PictureFiles) -> Answer:
    """Return what the files of pictures say themselves: where nothing else is known of a result."""
    entries = [files.read_entry(path) for path in paths]
    return {
        "images": [entry["file"] for entry in entries],
        "seeds": [entry["seed"] for entry in entries],
        "infotexts": [entry["infotext"] for entry in entries],
    }


def _matched(result: MatchResult) -> Answer:
    """Return the tables, a row an image and a column a text."""
    names = ("cosines", "text_chances", "image_chances", "scale", "clip_model")
    answer = {name: getattr(result, name) for name in names} | {"seconds": round(result.seconds, 3)}
    rarities = [[_score(score) for score in row] for row in result.scores]
    for name in ("percentile", "chance"):
        answer[f"{name}s"] = [[score[name] for score in row] for row in rarities]
    return answer


def _inside(result: InsideResult, files: PictureFiles) -> Answer:
    """Return what each panel says of itself, and its files."""
    about = ("name", "title", "seen", "not_shown", "formula", "exactness", "why_not")
    panels = [
        {name: getattr(panel, name) for name in about}
        | {
            "said": list(panel.said),
            "files": [files.data(data, name) for name, data in panel.files.items()],
        }
        for panel in result.panels
    ]
    names = ("sentence", "is_identical", "recording_bytes", "notice")
    return {
        **{name: getattr(result, name) for name in names},
        "panels": panels,
        "seconds": round(result.seconds, 3),
    }


def _found(result: InterrogateResult) -> Answer:
    """Return the words and what they are worth; a number that is not known is None."""
    groups = [
        {"name": group.name, "phrases": [{"phrase": p.phrase, **_score(p)} for p in group.phrases]}
        for group in result.groups
    ]
    return {
        "prompt": result.prompt,
        "as_prompt": result.as_prompt,
        "caption": result.caption,
        **_score(result),
        "steps": [asdict(step) for step in result.steps],
        "findings": [asdict(finding) for finding in result.findings],
        "groups": groups,
        "clip_model": result.clip_model,
        "seconds": round(result.seconds, 3),
        "notice": result.notice,
    }


def _score(score: Score | RankedPhrase) -> dict[str, float | None]:
    values = {name: getattr(score, name) for name in ("similarity", "percentile", "chance")}
    return {name: None if isnan(value) else value for name, value in values.items()}


def _frames(result: FramesResult, files: PictureFiles) -> Answer:
    """Return what walks and planes have besides their pictures."""
    names = ("sheet", "film", "strip", "plot") if isinstance(result, WalkResult) else ("sheet",)
    paths = {name: getattr(result, f"{name}_path") for name in names}
    answer: Answer = {name: path and files.file(path) for name, path in paths.items()}
    answer["prompts"] = list(result.prompts)
    if not isinstance(result, WalkResult):
        return answer
    answer |= {"ts": list(result.ts), "jump": result.jump and _jump(result.jump, files)}
    if divergence := result.divergence:
        answer |= {name: list(getattr(divergence, name)) for name in ("parted", "kinds")}
        answer["distances"] = [curve(row) for row in divergence.distances]
    return answer


def _jump(jump: Jump, files: PictureFiles) -> Answer:
    assert jump.left_path
    assert jump.right_path
    names = ("t_left", "t_right", "left_prompt", "right_prompt", "parted", "kind", "meaning")
    return {name: getattr(jump, name) for name in names} | {
        "left": files.file(jump.left_path),
        "right": files.file(jump.right_path),
        "distances": curve(jump.distances),
        "history": [list(entry) for entry in jump.history],
    }


def _drift(report: DriftReport) -> Answer:
    """Return a drift report's numbers."""
    numbers: Answer = {name: asdict(getattr(report, name)) for name in ("raw", "composite", "roundtrip")}
    seams = {name: getattr(report, name) for name in ("seam_input", "seam_before", "seam_after")}
    return numbers | seams | {"vae_share": report.vae_share}


def describe_model(model: ModelInfo) -> Answer:
    """Return what a client needs to know of a model; no file-system path is among it."""
    return {
        "name": model.name,
        "title": model.title,
        "family": model.family,
        "native_size": model.native_size,
        "default_steps": model.default_steps,
        "default_guidance_scale": model.default_guidance_scale,
        "default_scheduler": model.default_scheduler,
        "size_bytes": model.size_bytes,
        "example_prompts": list(model.example_prompts),
        "draws": model.draws,
    }


def describe_tokens(report: TokenReport, table: TokenTable | None) -> Answer:
    """Return a prompt's tokens, all rows that the model reads, and the texts it becomes if it is several."""
    rows = [
        {"text": t.text, "id": t.id, "position": t.position, "chunk": t.chunk, "weight": t.weight}
        for t in report.tokens
    ]
    return {
        "count": report.count,
        "limit": report.limit,
        "num_chunks": report.num_chunks,
        "tokens": rows,
        "rows": [asdict(row) for row in table.rows] if table else [],
        "kept": table.kept if table else None,
        "texts": [asdict(text) for text in report.texts],
        "remarks": list(report.remarks),
        "unseen": list(report.unseen),
    }
