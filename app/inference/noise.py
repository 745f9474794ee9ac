"""Random numbers that are a function of what they are for: no state, the same on every device.

The numbers of one key are those of the SplitMix64 generator (Steele, Lea and Flood 2014) that starts
at it: the token's id says how far to go, so that each can be had without the others.
"""

import hashlib

import torch

_STEP = 0x9E3779B97F4A7C15 - (1 << 64)
_MIX = ((30, 0xBF58476D1CE4E5B9 - (1 << 64)), (27, 0x94D049BB133111EB - (1 << 64)))


def make_key(seed: int, position: int) -> int:
    """A signed 64-bit number, a function of its arguments alone."""
    digest = hashlib.blake2b(b"%d:%d" % (seed, position), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def draw(keys: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """Exponentially distributed numbers with mean 1, float64, of 53 random bits each, for keys
    (rows, 1) and ids (rows, n), both int64."""
    bits = ids.add(1).mul_(_STEP).add_(keys)  # wraps around, as is wanted
    for shift, factor in _MIX:
        bits.bitwise_xor_(_shift(bits, shift)).mul_(factor)
    bits.bitwise_xor_(_shift(bits, 31))
    return _shift(bits, 11).double().add_(0.5).mul_(2.0**-53).log_().neg_()


def _shift(bits: torch.Tensor, count: int) -> torch.Tensor:
    """Shifts right and fills up with zeros; torch repeats the sign."""
    return (bits >> count).bitwise_and_((1 << (64 - count)) - 1)
