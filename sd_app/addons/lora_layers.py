"""The ways in which a file says how a layer changes: LoRA, LoHa, LoKr, GLoRA, IA3, differences. No torch.

The names of the tensors are those of LyCORIS (Yeh et al. 2024), which all programs read.
"""

from collections.abc import Mapping
from math import prod

Shape = tuple[int, ...]

LORA, LOHA, LOKR, GLORA, IA3, DIFF, BIAS = "LoRA", "LoHa", "LoKr", "GLoRA", "IA3", "difference", "bias"
_CORES = {"hada_t1", "hada_t2"}
_HADA = {"hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"} | _CORES
_LOKR = {"lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2"}
_GLORA = {"a1", "a2", "b1", "b2", "bm"}


def kind_of(shapes: Mapping[str, Shape]) -> str:
    """Return how a layer's tensors, role -> shape, change its weight; BIAS where only its bias changes.

    Raise ValueError saying what is missing or does not go together.
    """
    _check_sizes(shapes)
    roles = set(shapes)
    if roles & {"down", "up", "mid"}:
        return _check_lora(shapes)
    for kind, marks, check in (
        (LOHA, _HADA, _check_loha),
        (LOKR, _LOKR, _check_lokr),
        (IA3, {"on_input"}, _check_ia3),
        (GLORA, _GLORA, _check_glora),
    ):
        if roles & marks:
            check(shapes)
            return kind
    if "diff" in roles:
        return DIFF
    if "diff_b" in roles:
        return BIAS
    raise ValueError("it has nothing that would change the layer")


def rank_of(shapes: Mapping[str, Shape]) -> int | None:
    """Return what alpha is divided by: the number of columns between two factors; None if there is none.

    Of LoKr's two halves the second one counts; both are whole matrices, or have one rank.
    """
    for role in ("down", "hada_w1_b", "lokr_w2_b", "lokr_w1_b"):
        if role in shapes:
            return shapes[role][0]
    if "a1" in shapes:  # (in, rank); in files of the first kind (rank, in)
        return min(shapes["a1"][:2])
    return None


def columns_of(shapes: Mapping[str, Shape]) -> int | None:
    """Return how many columns the weight of a linear layer has, by the shapes of what changes it."""
    if "down" in shapes and len(shapes["down"]) > 1:
        return shapes["down"][1]
    if "hada_w1_b" in shapes and "hada_t1" not in shapes and len(shapes["hada_w1_b"]) > 1:
        return shapes["hada_w1_b"][1]
    halves = [shapes.get(f"lokr_w{half}", shapes.get(f"lokr_w{half}_b")) for half in (1, 2)]
    if all(half is not None and len(half) > 1 for half in halves):
        return prod(half[1] for half in halves if half)
    if "diff" in shapes and len(shapes["diff"]) > 1:
        return shapes["diff"][1]
    return None


def _check_sizes(shapes: Mapping[str, Shape]) -> None:
    for role, shape in shapes.items():
        if role in ("alpha", "scalar", "on_input"):
            if prod(shape) != 1:
                raise ValueError(f"its {role} must be a single number, and has the shape {_shown(shape)}")
        elif not all(shape):
            raise ValueError(f"its {role} has the shape {_shown(shape)}, and so no numbers")


def _check_lora(shapes: Mapping[str, Shape]) -> str:
    _need(set(shapes), "up", "down")
    for role in ("up", "down", "mid"):
        if len(shapes.get(role, (1, 1))) < 2:
            raise ValueError(f"its {role} has the shape {_shown(shapes[role])}, and no factor of a layer has")
    up, down, mid = (shapes.get(role) for role in ("up", "down", "mid"))
    assert up is not None
    assert down is not None
    inner = (mid[0], mid[1]) if mid else (down[0], down[0])
    if (prod(up[1:]), down[0]) != inner:
        raise ValueError(f"its factors are {_shown(up)} x {_shown(down)}, and make no product")
    return LORA


def _check_loha(shapes: Mapping[str, Shape]) -> None:
    _need(set(shapes), *sorted(_HADA - _CORES))
    _check_factors(shapes, _HADA)
    if set(shapes) & _CORES:
        _need(set(shapes), *sorted(_CORES))
        return
    for half in ("hada_w1", "hada_w2"):
        _check_product(shapes[f"{half}_a"], shapes[f"{half}_b"])
    first, second = ((shapes[f"hada_w{half}_a"][0], prod(shapes[f"hada_w{half}_b"][1:])) for half in (1, 2))
    if first != second:  # they are multiplied entry by entry
        raise ValueError(f"its halves are {_shown(first)} and {_shown(second)}, and make no product")


def _check_lokr(shapes: Mapping[str, Shape]) -> None:
    _check_factors(shapes, _LOKR)
    for half in ("lokr_w1", "lokr_w2"):
        if half not in shapes:
            _need(set(shapes), f"{half}_a", f"{half}_b")
            if half == "lokr_w1" or "lokr_t2" not in shapes:
                _check_product(shapes[f"{half}_a"], shapes[f"{half}_b"])


def _check_ia3(shapes: Mapping[str, Shape]) -> None:
    _need(set(shapes), "weight")


def _check_glora(shapes: Mapping[str, Shape]) -> None:
    _need(set(shapes), *sorted(_GLORA - {"bm"}))
    _check_factors(shapes, _GLORA)
    if "bm" in shapes:
        raise ValueError("it is a GLoRA in Tucker's form, which is not supported")


def _check_factors(shapes: Mapping[str, Shape], roles: set[str]) -> None:
    for role in sorted(roles & set(shapes)):
        if len(shapes[role]) < 2:
            raise ValueError(f"its {role} has the shape {_shown(shapes[role])}, and no factor of a layer has")


def _check_product(left: Shape, right: Shape) -> None:
    if left[1] != right[0]:
        raise ValueError(f"its factors are {_shown(left)} x {_shown(right)}, and make no product")


def _need(roles: set[str], *wanted: str) -> None:
    for role in wanted:
        if role not in roles:
            raise ValueError(f"its {role} is missing")


def _shown(shape: Shape) -> str:
    return str(tuple(shape[:8]))
