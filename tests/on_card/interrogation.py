"""The interrogator on the device beside the CPU."""

from typing import Any

from sd_app import InterrogateRequest, MatchRequest

from .exactness import painted
from .trial import Bench, Outcome, draw, request_for


def near_the_cpu(bench: Bench) -> Outcome:
    """The same picture put into words on the CPU in float32, and on the device in each format."""
    pictures = [draw(bench.studio(dtype="float32"), request_for(bench))[0], painted(128)[0]]
    figures: dict[str, Any] = {}
    passed = True
    reference = bench.studio(device="cpu", dtype="float32")
    studios = {dtype: bench.studio(dtype=dtype) for dtype in ("float32", "float16", "bfloat16")}
    limits = {"float32": 1e-4, "float16": 5e-3, "bfloat16": 3e-2}
    for number, picture in enumerate(pictures):
        request = InterrogateRequest(image=picture, mode="fast")
        expected = reference.interrogate(request)
        for dtype, studio in studios.items():
            found = studio.interrogate(request)
            gap = abs(found.similarity - expected.similarity)
            same = len(set(found.phrases) & set(expected.phrases))
            figures[f"picture {number}, {dtype}"] = (
                f"cosine off by {gap:.1e}, {same} of {len(expected.phrases)} phrases the same"
            )
            passed &= gap < limits[dtype] or same < len(expected.phrases)
            passed &= dtype != "float32" or found.prompt == expected.prompt
    match = MatchRequest(images=tuple(pictures), texts=("an orange cat", "a blue house"))
    expected_match = reference.match(match)
    for dtype, studio in studios.items():
        found_match = studio.match(match)
        gap = max(
            abs(a - b)
            for mine, theirs in zip(found_match.cosines, expected_match.cosines, strict=True)
            for a, b in zip(mine, theirs, strict=True)
        )
        figures[f"matching, {dtype}"] = f"cosines off by {gap:.1e}"
        passed &= gap < limits[dtype]
    return Outcome(passed=passed, figures=figures)
