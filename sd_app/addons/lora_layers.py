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
            check(roles)
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
                raise ValueError(f"its {role} is one number, and has the shape {_shown(shape)}")
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


def _check_loha(roles: set[str]) -> None:
    _need(roles, *sorted(_HADA - _CORES))
    if roles & _CORES:
        _need(roles, *sorted(_CORES))


def _check_lokr(roles: set[str]) -> None:
    for half in ("lokr_w1", "lokr_w2"):
        if half not in roles:
            _need(roles, f"{half}_a", f"{half}_b")


def _check_ia3(roles: set[str]) -> None:
    _need(roles, "weight")


def _check_glora(roles: set[str]) -> None:
    _need(roles, *sorted(_GLORA - {"bm"}))
    if "bm" in roles:
        raise ValueError("it is a GLoRA in Tucker's form, which is not supported")


def _need(roles: set[str], *wanted: str) -> None:
    for role in wanted:
        if role not in roles:
            raise ValueError(f"its {role} is missing")


def _shown(shape: Shape) -> str:
    return str(tuple(shape[:8]))
