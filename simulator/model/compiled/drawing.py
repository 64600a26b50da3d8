"""The draws and the people, compiled: the same bits as `draws.uniform` and `people.fill`."""

from __future__ import annotations

from typing import Any

from numba import njit, uint64
from numba.extending import overload, register_jitable

from simulator.model import laws, people
from simulator.model.draws import MASK, MULTIPLIER_0, MULTIPLIER_1, ROUNDS, SCALE, WEYL_0, WEYL_1, uniform
from simulator.model.leaf import LEAVES

assert laws.TICKS_PER_S == 1_000_000, "the laws are loaded, and so among the leaves"
for _leaf in LEAVES:
    register_jitable(forceinline=True)(_leaf)


@njit(forceinline=True)
def both(low: Any, high: Any, purpose: Any, entity: Any, block: Any) -> Any:
    """The two uniforms of a block: of the indexes 2 `block` and 2 `block` + 1."""
    mask, shift, cut = uint64(MASK), uint64(32), uint64(11)
    k0, k1 = uint64(low), uint64(high)
    c0, c1, c2, c3 = uint64(entity), uint64(block), uint64(purpose), uint64(0)
    for _ in range(ROUNDS):
        p0, p1 = uint64(MULTIPLIER_0) * c0, uint64(MULTIPLIER_1) * c2
        c0, c1, c2, c3 = (p1 >> shift) ^ c1 ^ k0, p1 & mask, (p0 >> shift) ^ c3 ^ k1, p0 & mask
        k0, k1 = (k0 + uint64(WEYL_0)) & mask, (k1 + uint64(WEYL_1)) & mask
    even, odd = ((c0 << shift) | c1) >> cut, ((c2 << shift) | c3) >> cut
    return (float(even) + 0.5) * SCALE, (float(odd) + 0.5) * SCALE


@overload(uniform, jit_options={"forceinline": True})
def _uniform(key: Any, purpose: Any, entity: Any, index: Any) -> Any:
    """What compiled code calls for `uniform`."""

    def half(key: Any, purpose: Any, entity: Any, index: Any) -> Any:
        even, odd = both(key[0], key[1], purpose, entity, index >> 1)
        return odd if index & 1 else even

    return half


def _compiled_fill() -> Any:
    from simulator.model.compiled.jit import cached

    with cached():
        return njit(cache=True, error_model="numpy")(people.fill)


fill = _compiled_fill()
