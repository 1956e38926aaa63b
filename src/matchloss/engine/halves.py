"""Conversions of bfloat16 and float16, given as 16-bit integers, to float32 and back (ties to even)."""
# pyright: reportCallIssue=false, reportGeneralTypeIssues=false

from __future__ import annotations

import numpy as np

from matchloss.engine.elementary import bits_of, real_of
from matchloss.engine.signatures import inlined

i32, u32, u16 = np.int32, np.uint32, np.uint16
SCALE = np.float32(2.0**112)  # the difference of the exponents' biases, 127 and 15


@inlined
def same(x):
    """float32 and float64 need no conversion."""
    return x


@inlined
def from_bfloat16(h):
    """The upper half of a float32."""
    return real_of(i32(u32(h) << u32(16)))


@inlined
def to_bfloat16(x):
    """Rounds to nearest, ties to even, by adding just under half a unit of the last kept bit, plus that bit."""
    b = u32(bits_of(np.float32(x)))
    return u16((b + u32(0x7FFF) + ((b >> u32(16)) & u32(1))) >> u32(16)) if x == x else u16(0x7FC0)


@inlined
def from_float16(h):
    """Shifts the bits into place and corrects the exponent's bias by a product, which also handles subnormal numbers."""
    b = u32(h)
    moved = (b & u32(0x7FFF)) << u32(13)
    finite = bits_of(real_of(i32(moved)) * SCALE)
    magnitude = i32(moved | u32(0x7F800000)) if (b & u32(0x7C00)) == u32(0x7C00) else finite
    return real_of(i32(u32(magnitude) | ((b & u32(0x8000)) << u32(16))))


@inlined
def to_float16(x):
    """Rounds subnormal results by adding 1/2, whose last bit has their spacing; infinity from 65520 on."""
    b = u32(bits_of(np.float32(x)))
    sign = u16((b >> u32(16)) & u32(0x8000))
    b = b & u32(0x7FFFFFFF)
    tiny = u32(bits_of(real_of(i32(b)) + np.float32(0.5))) - u32(0x3F000000)
    usual = (b + u32(0xC8000FFF) + ((b >> u32(13)) & u32(1))) >> u32(13)
    half = tiny if b < u32(0x38800000) else usual
    half = u32(0x7C00) if b >= u32(0x477FF000) else half
    half = u32(0x7E00) if b > u32(0x7F800000) else half
    return u16(half) | sign
