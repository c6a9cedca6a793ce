"""Every algorithm's tensors, random, and what its publication makes of a weight with them, in double precision.

The formulas are LyCORIS' (github.com/KohakuBlueleaf/LyCORIS, docs/Algo-Details.md) and kohya's sd-scripts'.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

Tensors = dict[str, torch.Tensor]
RANK, ALPHA = 4, 2.0


@dataclass(frozen=True)
class Made:
    """A layer's tensors by the ends of their names, and the parameters that they make of the layer's own."""

    tensors: Tensors
    weight: Callable[[torch.Tensor], torch.Tensor] | None = None
    bias: Callable[[torch.Tensor], torch.Tensor] | None = None


Maker = Callable[[tuple[int, ...], torch.Generator], Made]


def randn(chance: torch.Generator, *shape: int, scale: float = 0.3) -> torch.Tensor:
    return torch.randn(*shape, generator=chance) * scale


def half(size: int) -> int:
    """A divisor that is not 1 where there is one."""
    return next((divisor for divisor in (4, 3, 2) if size % divisor == 0), 1)


def kernel(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(shape[2:])


def added(tensors: Tensors, delta: torch.Tensor, scale: float = ALPHA / RANK) -> Made:
    tensors["alpha"] = torch.tensor(ALPHA)
    return Made(tensors, lambda base: base + scale * delta.reshape(base.shape))


def lora(shape: tuple[int, ...], chance: torch.Generator) -> Made:
    down, up = randn(chance, RANK, *shape[1:]), randn(chance, shape[0], RANK, *[1] * len(kernel(shape)))
    delta = torch.einsum("or,r...->o...", up.double().flatten(1), down.double())
    return added({"lora_down.weight": down, "lora_up.weight": up}, delta)


def tucker_lora(shape: tuple[int, ...], chance: torch.Generator) -> Made:
    if not kernel(shape):
        return lora(shape, chance)
    ones = [1] * len(kernel(shape))
    down, mid = randn(chance, RANK, shape[1], *ones), randn(chance, RANK, RANK, *kernel(shape))
    up = randn(chance, shape[0], RANK, *ones)
    delta = torch.einsum("mn...,om,ni->oi...", mid.double(), up.double().flatten(1), down.double().flatten(1))
    return added({"lora_down.weight": down, "lora_mid.weight": mid, "lora_up.weight": up}, delta)


def loha(shape: tuple[int, ...], chance: torch.Generator) -> Made:
    tensors: Tensors = {}
    product = torch.ones(shape[0], math.prod(shape[1:]), dtype=torch.double)
    for number in (1, 2):
        a, b = randn(chance, shape[0], RANK), randn(chance, RANK, math.prod(shape[1:]))
        tensors |= {f"hada_w{number}_a": a, f"hada_w{number}_b": b}
        product = product * (a.double() @ b.double())
    return added(tensors, product)


def tucker_loha(shape: tuple[int, ...], chance: torch.Generator) -> Made:
    if not kernel(shape):
        return loha(shape, chance)
    tensors: Tensors = {}
    product = torch.ones(shape, dtype=torch.double)
    for number in (1, 2):
        core = randn(chance, RANK, RANK, *kernel(shape), scale=0.6)
        a, b = randn(chance, RANK, shape[0]), randn(chance, RANK, shape[1])
        tensors |= {f"hada_t{number}": core, f"hada_w{number}_a": a, f"hada_w{number}_b": b}
        product = product * torch.einsum("ij...,jr,ip->pr...", core.double(), b.double(), a.double())
    return added(tensors, product)


def kron(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    return torch.kron(first.reshape(*first.shape, *[1] * (second.dim() - 2)), second.contiguous())


def lokr(shape: tuple[int, ...], chance: torch.Generator, both: bool = False) -> Made:
    """The second half of low rank, or both."""
    (a, b), (c, d) = ((half(size), size // half(size)) for size in shape[:2])
    tensors = {
        "lokr_w2_a": randn(chance, b, RANK),
        "lokr_w2_b": randn(chance, RANK, d * math.prod(kernel(shape))),
    }
    second = (tensors["lokr_w2_a"].double() @ tensors["lokr_w2_b"].double()).reshape(b, d, *kernel(shape))
    if both:
        tensors |= {"lokr_w1_a": randn(chance, a, RANK), "lokr_w1_b": randn(chance, RANK, c)}
        first = tensors["lokr_w1_a"].double() @ tensors["lokr_w1_b"].double()
    else:
        tensors["lokr_w1"] = randn(chance, a, c)
        first = tensors["lokr_w1"].double()
    return added(tensors, kron(first, second))


def lokr_of_both(shape: tuple[int, ...], chance: torch.Generator) -> Made:
    return lokr(shape, chance, both=True)


def tucker_lokr(shape: tuple[int, ...], chance: torch.Generator) -> Made:
    if not kernel(shape):
        return lokr(shape, chance)
    (a, b), (c, d) = ((half(size), size // half(size)) for size in shape[:2])
    first, core = randn(chance, a, c), randn(chance, RANK, RANK, *kernel(shape))
    outer, inner = randn(chance, RANK, b), randn(chance, RANK, d)
    second = torch.einsum("ij...,ip,jr->pr...", core.double(), outer.double(), inner.double())
    tensors = {"lokr_w1": first, "lokr_t2": core, "lokr_w2_a": outer, "lokr_w2_b": inner}
    return added(tensors, kron(first.double(), second))


def whole_lokr(shape: tuple[int, ...], chance: torch.Generator) -> Made:
    (a, b), (c, d) = ((half(size), size // half(size)) for size in shape[:2])
    first, second = randn(chance, a, c), randn(chance, b, d, *kernel(shape))
    return added({"lokr_w1": first, "lokr_w2": second}, kron(first.double(), second.double()), scale=1.0)


def ia3(shape: tuple[int, ...], chance: torch.Generator, on_input: bool = False) -> Made:
    vector = randn(chance, shape[1 if on_input else 0])
    along = [1, -1] if on_input else [-1, 1]
    factors = 1 + vector.double().reshape(*along, *[1] * len(kernel(shape)))
    stored = vector.reshape(1, -1, *[1] * len(kernel(shape))) if kernel(shape) else vector
    tensors = {"weight": stored, "on_input": torch.tensor(int(on_input))}
    return Made(tensors, lambda base: base * factors)


def ia3_on_input(shape: tuple[int, ...], chance: torch.Generator) -> Made:
    return ia3(shape, chance, on_input=True)


def full(shape: tuple[int, ...], chance: torch.Generator) -> Made:
    weight, bias = randn(chance, *shape), randn(chance, shape[0])
    tensors = {"diff": weight, "diff_b": bias}
    return Made(tensors, lambda base: base + weight.double(), lambda base: base + bias.double())


def norm(shape: tuple[int, ...], chance: torch.Generator) -> Made:
    weight, bias = randn(chance, *shape), randn(chance, *shape)
    return Made({"w_norm": weight, "b_norm": bias}, lambda base: base + weight, lambda base: base + bias)


def cayley(blocks: torch.Tensor, most: float) -> torch.Tensor:
    skew = blocks.double() - blocks.double().mT
    if most and skew.norm() > most:
        skew = skew * (most / skew.norm())
    identity = torch.eye(blocks.shape[-1], dtype=torch.double)
    return (identity + skew) @ torch.linalg.inv(identity - skew)


def oft(shape: tuple[int, ...], chance: torch.Generator, constraint: float = 0.0, rescaled: bool = False) -> Made:
    size = half(shape[0])
    blocks = randn(chance, shape[0] // size, size, size)
    rotations = cayley(blocks, constraint * shape[0])
    rescale = torch.ones(shape[0], *[1] * (len(shape) - 1))
    tensors = {"oft_blocks": blocks, "alpha": torch.tensor(constraint)}
    if rescaled:
        rescale = 1 + randn(chance, *rescale.shape)
        tensors["rescale"] = rescale

    def turned(base: torch.Tensor) -> torch.Tensor:
        grouped = base.unflatten(0, (-1, size))
        return rescale * torch.einsum("knm,kn...->km...", rotations, grouped).flatten(0, 1)

    return Made(tensors, turned)


def constrained_oft(shape: tuple[int, ...], chance: torch.Generator) -> Made:
    return oft(shape, chance, constraint=0.01)


def rescaled_oft(shape: tuple[int, ...], chance: torch.Generator) -> Made:
    return oft(shape, chance, rescaled=True)


def early_oft(shape: tuple[int, ...], chance: torch.Generator) -> Made:
    """As LyCORIS wrote it at first: the rotations themselves."""
    made = oft(shape, chance)
    return Made({"oft_diag": cayley(made.tensors["oft_blocks"], 0).float()}, made.weight)


def boft(shape: tuple[int, ...], chance: torch.Generator) -> Made:
    size = 2 * next(odd for odd in (3, 1) if shape[0] % odd == 0)
    number = shape[0] // size
    stages = bin(number - 1).count("1") + 1
    blocks = randn(chance, stages, number, size, size)
    rotations = cayley(blocks, 0)
    rescale = 1 + randn(chance, shape[0], *[1] * (len(shape) - 1))

    def turned(base: torch.Tensor) -> torch.Tensor:
        for stage in range(stages):
            stride = 2**stage * size // 2
            apart = base.unflatten(0, (-1, 2, stride)).transpose(1, 2).flatten(0, 2).unflatten(0, (-1, size))
            mixed = torch.einsum("bij,bj...->bi...", rotations[stage], apart).flatten(0, 1)
            base = mixed.unflatten(0, (-1, stride, 2)).transpose(1, 2).flatten(0, 2)
        return base * rescale

    return Made({"oft_blocks": blocks, "rescale": rescale, "alpha": torch.tensor(0.0)}, turned)


def glora(shape: tuple[int, ...], chance: torch.Generator) -> Made:
    ones = [1] * len(kernel(shape))
    a1, a2 = randn(chance, shape[1], RANK, *ones), randn(chance, RANK, shape[1], *ones)
    b1, b2 = randn(chance, shape[0], RANK, *ones), randn(chance, RANK, *shape[1:])
    tensors = {"a1.weight": a1, "a2.weight": a2, "b1.weight": b1, "b2.weight": b2, "alpha": torch.tensor(ALPHA)}

    def changed(base: torch.Tensor) -> torch.Tensor:
        turned = torch.einsum("oi...,ij->oj...", base, a1.double().flatten(1) @ a2.double().flatten(1))
        product = b1.double().flatten(1) @ b2.double().flatten(1)
        return base + ALPHA / RANK * (turned + product.reshape(base.shape))

    return Made(tensors, changed)


def early_glora(shape: tuple[int, ...], chance: torch.Generator) -> Made:
    """Before version 3 of LyCORIS the factors had each other's names."""
    made = glora(shape, chance)
    swapped = {"a1": "a2", "a2": "a1", "b1": "b2", "b2": "b1"}
    return Made({f"{swapped.get(n[:2], n[:2])}{n[2:]}": tensor for n, tensor in made.tensors.items()}, made.weight)


def dora(of: Maker, on_output: bool, shape: tuple[int, ...], chance: torch.Generator) -> Made:
    """W' = m * V / ||V||, the length of a row or of a column; V is what the algorithm alone makes of W."""
    made = of(shape, chance)
    axis = 0 if on_output else 1
    form = [size if index == axis else 1 for index, size in enumerate(shape)]
    magnitudes = 1 + randn(chance, *form).abs()
    others = [index for index in range(len(shape)) if index != axis]

    def decomposed(base: torch.Tensor) -> torch.Tensor:
        assert made.weight is not None
        moved = made.weight(base)
        return magnitudes.double() * moved / moved.square().sum(others, keepdim=True).sqrt()

    return Made(made.tensors | {"dora_scale": magnitudes}, decomposed)


def with_dora(of: Maker, on_output: bool) -> Maker:
    return lambda shape, chance: dora(of, on_output, shape, chance)


ALGORITHMS: Mapping[str, Maker] = {
    "LoRA": lora,
    "LoRA, Tucker": tucker_lora,
    "LoHa": loha,
    "LoHa, Tucker": tucker_loha,
    "LoKr": lokr,
    "LoKr, both halves": lokr_of_both,
    "LoKr, Tucker": tucker_lokr,
    "LoKr, whole": whole_lokr,
    "(IA)^3": ia3,
    "(IA)^3 on input": ia3_on_input,
    "full": full,
    "OFT": oft,
    "OFT, constrained": constrained_oft,
    "OFT, rescaled": rescaled_oft,
    "OFT, early": early_oft,
    "BOFT": boft,
    "GLoRA": glora,
    "GLoRA, early": early_glora,
    "LoRA with DoRA": with_dora(lora, on_output=True),
    "LoRA with DoRA on input": with_dora(lora, on_output=False),
    "LoHa with DoRA": with_dora(loha, on_output=True),
    "LoKr with DoRA on input": with_dora(tucker_lokr, on_output=False),
}
