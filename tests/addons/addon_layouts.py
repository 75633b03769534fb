"""Add-on files in the layouts that trainers and programs write, each with what it has to change.

The expected differences are worked out here in float64, by other means than the app's: sums over ranks, a
Kronecker product by its definition, convolutions one after the other.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Array = NDArray[np.float64]
Delta = Callable[[Array], Array]  # the checkpoint's own weight -> what is added at scale 1

ATTENTION = "mid_block.attentions.0.transformer_blocks.0"
TO_K, TO_OUT, FF = f"{ATTENTION}.attn2.to_k", f"{ATTENTION}.attn1.to_out.0", f"{ATTENTION}.ff.net.0.proj"
CONV, NORM = "down_blocks.0.resnets.0.conv1", "mid_block.resnets.0.norm1"
LAYER_NORM = f"{ATTENTION}.norm2"
Q_PROJ = "encoder.layers.0.self_attn.q_proj"
# The same layers in the original U-Net of two levels with one residual block on the way down.
ORIGINAL = {
    TO_K: "middle_block.1.transformer_blocks.0.attn2.to_k",
    TO_OUT: "middle_block.1.transformer_blocks.0.attn1.to_out.0",
    CONV: "input_blocks.1.0.in_layers.2",
    "conv_in": "input_blocks.0.0",
    "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0",
    "mid_block.resnets.1.conv2": "middle_block.2.out_layers.3",
    "down_blocks.0.downsamplers.0.conv": "input_blocks.2.0.op",
}


@dataclass(kw_only=True)
class Layout:
    """A file, what it adds to which weight, and how many of its tensors are not used."""

    tensors: dict[str, Tensor] = field(default_factory=dict)
    deltas: dict[str, Delta] = field(default_factory=dict)  # part.layer.weight or .bias
    left_out: int = 0


class Writer:
    """Draws tensors for the layers of a model."""

    def __init__(self, components: Mapping[str, object], seed: int) -> None:
        self._components = components
        self._generator = torch.Generator().manual_seed(seed)

    def draw(self, *shape: int) -> Tensor:
        return 0.3 * torch.randn(*shape, generator=self._generator)

    def shape(self, name: str, part: str = "unet") -> tuple[int, ...]:
        network = self._components[part]
        assert isinstance(network, nn.Module)
        modules = {found.removeprefix("text_model."): module for found, module in network.named_modules()}
        weight = modules[name].weight
        assert isinstance(weight, Tensor)
        return tuple(weight.shape)

    def factors(self, name: str, rank: int = 4, part: str = "unet") -> tuple[Tensor, Tensor]:
        """Return down and up for a layer."""
        rows, *rest = self.shape(name, part)
        return self.draw(rank, *rest), self.draw(rows, rank, *(1 for _ in rest[1:]))


def double(tensor: Tensor) -> Array:
    values: Array = tensor.to(torch.float32).numpy().astype(np.float64)
    return values


def product(up: Tensor, down: Tensor, factor: float = 1.0) -> Delta:
    """Sum the outer products of a LoRA's ranks."""
    return always(factor * outer_sum(up.flatten(1), down.flatten(1)))


def outer_sum(a: Tensor, b: Tensor) -> Array:
    """Return the sum of the outer products of a's columns and b's rows."""
    total = np.zeros((len(a), b.shape[1]))
    for column, row in zip(double(a).T, double(b), strict=True):
        total += np.outer(column, row)
    return total


def always(difference: Array) -> Delta:
    """Return what adds the same to any weight."""
    return lambda weight: difference.reshape(weight.shape)


def kohya_key(name: str) -> str:
    return f"lora_unet_{name.replace('.', '_')}"


def lora(
    writer: Writer,
    *,
    layers: tuple[str, ...] = (TO_K, TO_OUT, FF, CONV),
    key: Callable[[str], str] = kohya_key,
    ends: tuple[str, str] = (".lora_down.weight", ".lora_up.weight"),
    alpha: Tensor | None = None,
    ranks: tuple[int, ...] = (4,),
    dtype: torch.dtype = torch.float32,
    text: str = "",
) -> Layout:
    """Write a LoRA of some layers; `text` is what Q_PROJ of the text encoder is called, empty for none."""
    layout = Layout()
    places = [("unet", name, key(name)) for name in layers]
    if text:
        places.append(("text_encoder", Q_PROJ, text))
    for index, (part, name, called) in enumerate(places):
        rank = ranks[index % len(ranks)]
        down, up = (tensor.to(dtype) for tensor in writer.factors(name, rank, part))
        layout.tensors |= {called + ends[0]: down, called + ends[1]: up}
        if alpha is not None:
            layout.tensors[f"{called}.alpha"] = alpha
        layout.deltas[f"{part}.{name}.weight"] = product(
            up, down, 1.0 if alpha is None else float(alpha) / rank
        )
    return layout


def old_diffusers(writer: Writer) -> Layout:
    layout = Layout()
    for name, called in (
        (TO_K, f"unet.{ATTENTION}.attn2.processor.to_k_lora"),
        (TO_OUT, f"unet.{ATTENTION}.attn1.processor.to_out_lora"),
    ):
        down, up = writer.factors(name)
        layout.tensors |= {f"{called}.down.weight": down, f"{called}.up.weight": up}
        layout.deltas[f"unet.{name}.weight"] = product(up, down)
    down, up = writer.factors(Q_PROJ, part="text_encoder")
    called = "text_encoder.text_model.encoder.layers.0.self_attn.to_q_lora"
    layout.tensors |= {f"{called}.down.weight": down, f"{called}.up.weight": up}
    layout.deltas[f"text_encoder.{Q_PROJ}.weight"] = product(up, down)
    return layout


def tucker(writer: Writer) -> Layout:
    """A 1x1 convolution down, a small 3x3 one, a 1x1 one up."""
    rows, columns, *kernel = writer.shape(CONV)
    down, mid, up = writer.draw(4, columns, 1, 1), writer.draw(4, 4, *kernel), writer.draw(rows, 4, 1, 1)
    key = kohya_key(CONV)
    probe = torch.eye(columns, dtype=torch.float64)[:, :, None, None]  # one input channel after the other
    chain = nn.functional.conv2d(probe, down.double())
    chain = nn.functional.conv_transpose2d(chain, mid.double().transpose(0, 1))
    chain = nn.functional.conv2d(chain, up.double())
    expected = chain.transpose(0, 1).numpy()
    return Layout(
        tensors={
            f"{key}.lora_down.weight": down,
            f"{key}.lora_mid.weight": mid,
            f"{key}.lora_up.weight": up,
            f"{key}.alpha": torch.tensor(2.0),
        },
        deltas={f"unet.{CONV}.weight": always(0.5 * expected)},
    )


def loha(writer: Writer, *, alpha: float | None = 2.0) -> Layout:
    layout = Layout()
    for name in (TO_K, CONV):
        rows, *rest = writer.shape(name)
        halves = [(writer.draw(rows, 3), writer.draw(3, int(np.prod(rest)))) for _ in range(2)]
        key = kohya_key(name)
        for half, (a, b) in enumerate(halves, start=1):
            layout.tensors |= {f"{key}.hada_w{half}_a": a, f"{key}.hada_w{half}_b": b}
        if alpha is not None:
            layout.tensors[f"{key}.alpha"] = torch.tensor(alpha)
        both = outer_sum(*halves[0]) * outer_sum(*halves[1]) * (1 if alpha is None else alpha / 3)
        layout.deltas[f"unet.{name}.weight"] = always(both)
    return layout


def core_product(core: Tensor, a: Tensor, b: Tensor) -> Array:
    """Sum core[i, j] * outer(a[i], b[j]) over both ranks, (out, in, h, w)."""
    total = np.zeros((a.shape[1], b.shape[1], *core.shape[2:]))
    for i in range(core.shape[0]):
        for j in range(core.shape[1]):
            outer = np.outer(double(a)[i], double(b)[j])
            total += outer[:, :, None, None] * double(core)[i, j]
    return total


def loha_tucker(writer: Writer) -> Layout:
    rows, columns, *kernel = writer.shape(CONV)
    key = kohya_key(CONV)
    layout = Layout()
    both = np.ones((rows, columns, *kernel))
    for half in (1, 2):
        core, a, b = writer.draw(3, 3, *kernel), writer.draw(3, rows), writer.draw(3, columns)
        layout.tensors |= {
            f"{key}.hada_t{half}": core,
            f"{key}.hada_w{half}_a": a,
            f"{key}.hada_w{half}_b": b,
        }
        both = both * core_product(core, a, b)
    layout.deltas[f"unet.{CONV}.weight"] = always(both)
    return layout


def kron(w1: Array, w2: Array) -> Array:
    """The Kronecker product over rows and columns, kernels along, entry by entry of w1."""
    rows = [np.concatenate([value * w2 for value in row], axis=1) for row in w1]
    return np.concatenate(rows, axis=0)


def lokr(writer: Writer, *, split: tuple[bool, bool], alpha: float = 2.0) -> Layout:
    """LoKr of a linear layer and a convolution; `split` says which half is a product itself."""
    layout = Layout()
    for name in (TO_K, CONV):
        rows, columns, *kernel = writer.shape(name)
        key, halves = kohya_key(name), []
        for half, shape in enumerate(((4, 4), (rows // 4, columns // 4, *kernel)), start=1):
            if split[half - 1]:
                a, b = writer.draw(shape[0], 2), writer.draw(2, int(np.prod(shape[1:])))
                layout.tensors |= {f"{key}.lokr_w{half}_a": a, f"{key}.lokr_w{half}_b": b}
                halves.append(outer_sum(a, b).reshape(shape))
            else:
                layout.tensors[f"{key}.lokr_w{half}"] = one = writer.draw(*shape)
                halves.append(double(one))
        layout.tensors[f"{key}.alpha"] = torch.tensor(alpha)
        expected = kron(*halves) * (alpha / 2 if any(split) else 1)
        layout.deltas[f"unet.{name}.weight"] = always(expected)
    return layout


def lokr_tucker(writer: Writer) -> Layout:
    rows, columns, *kernel = writer.shape(CONV)
    key = kohya_key(CONV)
    w1, core = writer.draw(4, 4), writer.draw(2, 2, *kernel)
    a, b = writer.draw(2, rows // 4), writer.draw(2, columns // 4)
    names = ("lokr_w1", "lokr_t2", "lokr_w2_a", "lokr_w2_b")
    expected = kron(double(w1), core_product(core, a, b))
    return Layout(
        tensors={f"{key}.{name}": tensor for name, tensor in zip(names, (w1, core, a, b), strict=True)},
        deltas={f"unet.{CONV}.weight": always(expected)},
    )


def with_lengths(writer: Writer, layout: Layout, *, per_row: bool, end: str = ".dora_scale") -> Layout:
    """Make a DoRA of it: every row's, or column's, length is another."""
    for place, inner in list(layout.deltas.items()):
        name = place.removeprefix("unet.").removesuffix(".weight")
        rows, columns, *kernel = writer.shape(name)
        count = rows if per_row else columns
        lengths = 1 + writer.draw(count).abs()
        ones = [1] * len(kernel)
        is_vector = "magnitude" in end
        shape = [count] if is_vector else [count, 1, *ones] if per_row else [1, count, *ones]
        key = f"unet.{name}" if is_vector else kohya_key(name)
        layout.tensors[key + end] = lengths.reshape(shape)

        layout.deltas[place] = stretched(inner, double(lengths), per_row=per_row)
    return layout


def stretched(inner: Delta, lengths: Array, *, per_row: bool) -> Delta:
    """Give every row or column of the changed weight a length of its own."""

    def delta(weight: Array) -> Array:
        whole = weight + inner(weight)
        result = np.empty_like(whole)
        for index, length in enumerate(lengths):
            at = (index,) if per_row else (slice(None), index)
            result[at] = length * whole[at] / np.sqrt((whole[at] ** 2).sum())
        return result - weight

    return delta


def glora(writer: Writer, *, is_old: bool = False) -> Layout:
    rows, columns = writer.shape(TO_K)
    key = kohya_key(TO_K)
    a1, a2 = writer.draw(columns, 3), writer.draw(3, columns)
    b1, b2 = writer.draw(rows, 3), writer.draw(3, columns)
    pairs = {"a1": a1, "a2": a2, "b1": b1, "b2": b2}
    if is_old:
        pairs = {"a1": a2, "a2": a1, "b1": b2, "b2": b1}
    tensors = {f"{key}.{name}.weight": tensor for name, tensor in pairs.items()}
    outer = double(b1) @ double(b2)
    return Layout(
        tensors={**tensors, f"{key}.alpha": torch.tensor(1.5)},
        deltas={f"unet.{TO_K}.weight": lambda weight: 0.5 * (weight @ (double(a1) @ double(a2)) + outer)},
    )


def ia3(writer: Writer) -> Layout:
    layout = Layout()
    for name, per_input in ((TO_K, False), (FF, True), (CONV, False)):
        rows, columns, *kernel = writer.shape(name)
        factors = writer.draw(columns if per_input else rows)
        stored = factors.reshape(1, -1, *(1 for _ in kernel)) if kernel else factors
        key = kohya_key(name)
        layout.tensors |= {f"{key}.weight": stored, f"{key}.on_input": torch.tensor(per_input)}
        layout.deltas[f"unet.{name}.weight"] = multiplied(double(factors), axis=int(per_input))
    return layout


def multiplied(factors: Array, axis: int) -> Delta:
    """Add the weight times a factor for each row (0) or column (1)."""
    return lambda weight: np.moveaxis(np.moveaxis(weight, axis, -1) * factors, -1, axis)


def differences(writer: Writer) -> Layout:
    """Whole weights, biases and norms, as LyCORIS' "full" and kohya's extraction write them."""
    layout = Layout()
    for name, ends in (
        (TO_OUT, ("diff", "diff_b")),
        (CONV, ("diff", "diff_b")),
        (NORM, ("w_norm", "b_norm")),
        (LAYER_NORM, ("w_norm", "b_norm")),
    ):
        rows, *rest = writer.shape(name)
        weight, bias = writer.draw(rows, *rest), writer.draw(rows)
        key = kohya_key(name)
        layout.tensors |= {f"{key}.{ends[0]}": weight, f"{key}.{ends[1]}": bias}
        layout.deltas[f"unet.{name}.weight"] = always(double(weight))
        layout.deltas[f"unet.{name}.bias"] = always(double(bias))
    return layout


def lora_with_bias(writer: Writer) -> Layout:
    """peft's `lora_bias`, beside a difference of kohya's."""
    layout = lora(writer, layers=(TO_OUT,), key="unet.{}".format, ends=(".lora_A.weight", ".lora_B.weight"))
    bias = writer.draw(writer.shape(TO_OUT)[0])
    layout.tensors[f"unet.{TO_OUT}.lora_B.bias"] = bias
    layout.deltas[f"unet.{TO_OUT}.bias"] = always(double(bias))
    return layout


def scaled(writer: Writer) -> Layout:
    layout = lora(writer, layers=(TO_K,))
    inner = layout.deltas[f"unet.{TO_K}.weight"]
    layout.tensors[f"{kohya_key(TO_K)}.scalar"] = torch.tensor(0.5)
    layout.deltas[f"unet.{TO_K}.weight"] = lambda weight: 0.5 * inner(weight)
    return layout


def with_strangers(writer: Writer, *names: str, shape: tuple[int, ...] = (3,)) -> Layout:
    layout = lora(writer, alpha=torch.tensor(2.0))
    layout.tensors |= {name: writer.draw(*shape) for name in names}
    layout.left_out = len(names)
    return layout


def with_a_misfit(writer: Writer, *, rank: int = 4, columns: int = 7) -> Layout:
    """One layer of two tensors that cannot be its own."""
    layout = lora(writer)
    key = kohya_key("conv_out")
    layout.tensors |= {
        f"{key}.lora_down.weight": writer.draw(rank, columns),
        f"{key}.lora_up.weight": writer.draw(4, rank),
    }
    layout.left_out = 2
    return layout


def dotted(name: str) -> str:
    return f"lora_unet.{name}"


def original(name: str) -> str:
    return f"lora_unet_{ORIGINAL[name].replace('.', '_')}"


TE, TE_DOTTED = "lora_te_text_model_encoder_layers_0_self_attn_q_proj", f"lora_te1.text_model.{Q_PROJ}"
PEFT = (".lora_A.weight", ".lora_B.weight")

LAYOUTS: dict[str, Callable[[Writer], Layout]] = {
    "kohya": lambda w: lora(w, alpha=torch.tensor(2.0), text=TE),
    "no alpha": lambda w: lora(w, text=TE),
    "a rank for each layer": lambda w: lora(w, ranks=(1, 2, 8, 3), alpha=torch.tensor(4.0)),
    "alpha in a row": lambda w: lora(w, alpha=torch.tensor([2.0])),
    "alpha as a whole number": lambda w: lora(w, alpha=torch.tensor(2)),
    "alpha 0": lambda w: lora(w, layers=(TO_K,), alpha=torch.tensor(0.0)),
    "float16": lambda w: lora(w, dtype=torch.float16),
    "bfloat16": lambda w: lora(w, dtype=torch.bfloat16),
    "float8": lambda w: lora(w, dtype=torch.float8_e4m3fn),
    "tucker": tucker,
    "peft": lambda w: lora(w, key="unet.{}".format, ends=PEFT, text=f"text_encoder.text_model.{Q_PROJ}"),
    "peft alone": lambda w: lora(w, key="base_model.model.{}".format, ends=PEFT),
    "peft inside": lambda w: lora(w, key="unet.base_model.model.{}".format, ends=PEFT),
    "peft's adapter": lambda w: lora(
        w, key="unet.{}".format, ends=(".lora_A.default.weight", ".lora_B.default.weight")
    ),
    "peft text": lambda w: lora(w, layers=(), text=f"base_model.model.text_model.{Q_PROJ}", ends=PEFT),
    "diffusers' first": old_diffusers,
    "diffusers' linear": lambda w: lora(
        w,
        layers=(TO_K,),
        key="unet.{}".format,
        ends=(".lora_linear_layer.down.weight", ".lora_linear_layer.up.weight"),
    ),
    "OneTrainer": lambda w: lora(w, key=dotted, alpha=torch.tensor(2.0), text=TE_DOTTED),
    "ComfyUI": lambda w: lora(
        w,
        layers=tuple(ORIGINAL),
        key=lambda name: f"diffusion_model.{ORIGINAL[name]}",
        text=f"text_encoders.clip_l.transformer.text_model.{Q_PROJ}",
    ),
    "original blocks": lambda w: lora(w, layers=tuple(ORIGINAL), key=original, alpha=torch.tensor(1.0)),
    "LyCORIS' wrapper": lambda w: lora(w, key=lambda name: f"lycoris_{name.replace('.', '_')}"),
    "LoHa": loha,
    "LoHa, no alpha": lambda w: loha(w, alpha=None),
    "LoHa, tucker": loha_tucker,
    "LoKr, whole": lambda w: lokr(w, split=(False, False)),
    # What is no rank divides nothing: trainers write such an alpha beside two whole halves.
    "LoKr, whole, no rank": lambda w: lokr(w, split=(False, False), alpha=1e10),
    "LoKr, second split": lambda w: lokr(w, split=(False, True)),
    "LoKr, first split": lambda w: lokr(w, split=(True, False)),
    "LoKr, both split": lambda w: lokr(w, split=(True, True)),
    "LoKr, tucker": lokr_tucker,
    "DoRA, rows": lambda w: with_lengths(w, lora(w, alpha=torch.tensor(2.0)), per_row=True),
    "DoRA, columns": lambda w: with_lengths(w, lora(w), per_row=False),
    "DoRA, peft": lambda w: with_lengths(
        w,
        lora(w, layers=(TO_K, FF), key="unet.{}".format, ends=PEFT),
        per_row=True,
        end=".lora_magnitude_vector",
    ),
    "DoRA over LoHa": lambda w: with_lengths(w, loha(w), per_row=True),
    "DoRA over LoKr": lambda w: with_lengths(w, lokr(w, split=(False, True)), per_row=False),
    "GLoRA": glora,
    "GLoRA, first form": lambda w: glora(w, is_old=True),
    "IA3": ia3,
    "differences": differences,
    "bias of peft": lora_with_bias,
    "a learned factor": scaled,
    "a foreign tensor": lambda w: with_strangers(w, "optimizer.step"),
    "foreign layers": lambda w: with_strangers(
        w, "lora_unet_x.lora_down.weight", "lora_te3_encoder.lora_up.weight", "v_pred", shape=(2, 2)
    ),
    "a layer beyond": lambda w: with_strangers(w, "lora_unet_down_blocks_9_resnets_0_conv1.diff"),
    "half a layer": lambda w: with_strangers(w, f"{kohya_key('conv_in')}.lora_down.weight", shape=(2, 2)),
    "a layer of another shape": with_a_misfit,
    "a layer of rank 0": lambda w: with_a_misfit(w, rank=0),
    "a bias where there is none": lambda w: with_strangers(
        w, f"{kohya_key(f'{ATTENTION}.attn1.to_q')}.diff_b"
    ),
}
