"""The permutations of `permutation`, computed where the data are: inside jitted programs."""

from __future__ import annotations

import jax
import jax.numpy as jnp

Wide = tuple[jax.Array, jax.Array]
"""An unsigned number of 64 bits: its upper and lower 32."""
Counter = tuple[Wide, Wide, Wide, Wide]
Keys = tuple[Wide, Wide]

_MULTIPLIERS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
_WEYL = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)
_ROUNDS = 10
_HALF = 0xFFFFFFFF


def device_permutation(count: int, *, seed: int | jax.Array, stream: jax.Array) -> jax.Array:
    """The same order as `permutation(count, seed=seed, stream=stream)`, to the last number.

    Philox4x64-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") in 32-bit
    arithmetic, sorted as NumPy sorts its raw output.

    Args:
      count: how many numbers to order, at least 1.
      seed: the run's seed, `0 <= seed < 2**64`, or below 2**32 as a uint32 scalar.
      stream: which of the independent orders of this seed, a uint32 scalar.

    Returns:
      int32 `[count]`.
    """
    blocks = -(-count // 4)
    zeros = jnp.zeros(blocks, jnp.uint32)
    number = jnp.arange(1, blocks + 1, dtype=jnp.uint32)  # The generator counts before it draws.
    counter = ((zeros, number), (zeros, zeros), (zeros, zeros), (zeros, zeros))
    keys = (_wide(seed, zeros), (zeros, zeros + stream.astype(jnp.uint32)))
    counter, _ = jax.lax.fori_loop(0, _ROUNDS, _round, (counter, keys))
    upper = jnp.stack([high for high, _ in counter], axis=1).reshape(-1)[:count]
    lower = jnp.stack([low for _, low in counter], axis=1).reshape(-1)[:count]
    place = jnp.arange(count, dtype=jnp.int32)
    return jax.lax.sort((upper, lower, place), num_keys=2, is_stable=True)[2]


def _round(_: jax.Array, numbers: tuple[Counter, Keys]) -> tuple[Counter, Keys]:
    """One round of Philox, and the keys of the next.

    A loop, since XLA's CPU backend computes the products of rounds that are written out again for
    everything that follows from them: 70 times as long for 50,000 numbers.
    """
    counter, keys = numbers
    high0, low0 = _multiply(counter[0], _MULTIPLIERS[0])
    high1, low1 = _multiply(counter[2], _MULTIPLIERS[1])
    mixed = (
        _xor(_xor(high1, counter[1]), keys[0]),
        low1,
        _xor(_xor(high0, counter[3]), keys[1]),
        low0,
    )
    nothing = jnp.zeros_like(counter[0][0])
    return mixed, (_add(keys[0], _wide(_WEYL[0], nothing)), _add(keys[1], _wide(_WEYL[1], nothing)))


def _wide(value: int | jax.Array, like: jax.Array) -> Wide:
    if isinstance(value, jax.Array):
        return like, like + value
    return like + jnp.uint32(value >> 32), like + jnp.uint32(value & _HALF)


def _xor(a: Wide, b: Wide) -> Wide:
    return a[0] ^ b[0], a[1] ^ b[1]


def _add(a: Wide, b: Wide) -> Wide:
    low = a[1] + b[1]
    return a[0] + b[0] + (low < a[1]).astype(jnp.uint32), low


def _multiply(a: Wide, constant: int) -> tuple[Wide, Wide]:
    """The upper and the lower 64 bits of a product of 128."""
    high, low = constant >> 32, constant & _HALF
    nothing = jnp.zeros_like(a[1])
    low_low, low_high = _multiply32(a[1], low), _multiply32(a[1], high)
    high_low, high_high = _multiply32(a[0], low), _multiply32(a[0], high)
    middle = _add(_add((nothing, low_low[0]), (nothing, low_high[1])), (nothing, high_low[1]))
    upper = _add(high_high, (nothing, low_high[0]))
    upper = _add(_add(upper, (nothing, high_low[0])), (nothing, middle[0]))
    return upper, (middle[1], low_low[1])


def _multiply32(a: jax.Array, constant: int) -> Wide:
    """The product of 32-bit numbers, by halves of 16 bits."""
    half = jnp.uint32(0xFFFF)
    a0, a1 = a & half, a >> 16
    b0, b1 = jnp.uint32(constant & 0xFFFF), jnp.uint32(constant >> 16)
    low, cross0, cross1 = a0 * b0, a0 * b1, a1 * b0
    middle = (low >> 16) + (cross0 & half) + (cross1 & half)
    upper = a1 * b1 + (cross0 >> 16) + (cross1 >> 16) + (middle >> 16)
    return upper, a * jnp.uint32(constant)
