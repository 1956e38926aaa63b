"""bfloat16 and float16 as their 16 bits, since numba knows neither: to float32, and back to the nearest, ties to even."""
# pyright: reportCallIssue=false, reportGeneralTypeIssues=false

from __future__ import annotations

import numpy as np

from matchloss.engine.cache import steady
from matchloss.engine.elementary import bits_of_float32, float32_of_bits, inlined

i32, u32, u16 = np.int32, np.uint32, np.uint16
SCALE = np.float32(2.0**112)  # between the exponents' biases, 127 and 15


@inlined
def same(x):
    """float32 and float64 need no conversion."""
    return x


@inlined
def from_bfloat16(h):
    """The upper half of a float32."""
    return float32_of_bits(i32(u32(h) << u32(16)))


@inlined
def to_bfloat16(x):
    """Adding just under half of the last place kept, and that place's own bit, rounds ties to even."""
    b = u32(bits_of_float32(np.float32(x)))
    return u16((b + u32(0x7FFF) + ((b >> u32(16)) & u32(1))) >> u32(16)) if x == x else u16(0x7FC0)


@inlined
def from_float16(h):
    """The bits moved to their places and the exponent's bias by a product, which takes subnormal numbers along."""
    b = u32(h)
    moved = (b & u32(0x7FFF)) << u32(13)
    finite = bits_of_float32(float32_of_bits(i32(moved)) * SCALE)
    magnitude = i32(moved | u32(0x7F800000)) if (b & u32(0x7C00)) == u32(0x7C00) else finite
    return float32_of_bits(i32(u32(magnitude) | ((b & u32(0x8000)) << u32(16))))


@inlined
def to_float16(x):
    """Subnormal results by adding 1/2, whose last place is theirs; from 65520 on infinity."""
    b = u32(bits_of_float32(np.float32(x)))
    sign = u16((b >> u32(16)) & u32(0x8000))
    b = b & u32(0x7FFFFFFF)
    tiny = u32(bits_of_float32(float32_of_bits(i32(b)) + np.float32(0.5))) - u32(0x3F000000)
    usual = (b + u32(0xC8000FFF) + ((b >> u32(13)) & u32(1))) >> u32(13)
    half = tiny if b < u32(0x38800000) else usual
    half = u32(0x7C00) if b >= u32(0x477FF000) else half
    half = u32(0x7E00) if b > u32(0x7F800000) else half
    return u16(half) | sign


for _helper in (same, from_bfloat16, to_bfloat16, from_float16, to_float16):
    steady(_helper, f"halves {_helper.py_func.__name__}")
