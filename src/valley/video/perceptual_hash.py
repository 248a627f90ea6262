"""A picture in 64 bits that re-encoding, scaling and exposure leave nearly as they are.

    >>> hash_distance(perceptual_hash(a), mirrored(perceptual_hash(a_seen_in_a_mirror)))
    0

Bits are the signs of the 64 lowest frequencies of a cosine transform, the mean left out.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_SIDE_PX = 32
_FREQUENCIES = 8
_LEAST_POWER = 0.5  # grey levels: below, a picture is empty, and its signs are noise

EMPTY = 0
"""The hash of a picture of one colour; it says nothing, so two of them are no duplicates."""


def perceptual_hash(luma: NDArray[np.uint8]) -> int:
    """Hash one picture.

    Args:
        luma: u8 [height, width], both at least 32; the shape of the picture does not matter.
    """
    height_px, width_px = luma.shape
    if min(height_px, width_px) < _SIDE_PX:
        raise ValueError(f"want at least {_SIDE_PX} x {_SIDE_PX} pixels, got {width_px} x {height_px}")
    rows = _cosines() @ _averaging(height_px) @ luma.astype(np.float32)
    spectrum = rows @ (_cosines() @ _averaging(width_px)).T
    if np.abs(spectrum).max(initial=0.0, where=_wanted()) < _LEAST_POWER:
        return EMPTY
    return _packed((spectrum > 0)[_wanted()])


def mirrored(value: int) -> int:
    """Give the hash of the same picture, left and right exchanged: odd horizontal frequencies change sign."""
    return value if value == EMPTY else value ^ _odd_columns()


def hash_distance(first: int, second: int) -> int:
    """Count the bits that differ: about 32 of two pictures that have nothing to do with each other."""
    return (first ^ second).bit_count()


@lru_cache(maxsize=1)
def _wanted() -> NDArray[np.bool_]:
    """Mark the frequencies that count: 8 x 8, and one more row's first for the mean."""
    wanted = np.zeros((_FREQUENCIES + 1, _FREQUENCIES + 1), dtype=np.bool_)
    wanted[:_FREQUENCIES, :_FREQUENCIES] = True
    wanted[0, 0] = False
    wanted[_FREQUENCIES, 0] = True
    return wanted


@lru_cache(maxsize=1)
def _odd_columns() -> int:
    columns = np.broadcast_to(np.arange(_FREQUENCIES + 1), (_FREQUENCIES + 1, _FREQUENCIES + 1))
    return _packed((columns % 2 == 1)[_wanted()])


def _packed(bits: NDArray[np.bool_]) -> int:
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


@lru_cache(maxsize=1)
def _cosines() -> NDArray[np.float32]:
    """Give the lowest frequencies of the cosine transform: f32 [frequency, pixel]."""
    frequency = np.arange(_FREQUENCIES + 1)[:, None]
    place = (np.arange(_SIDE_PX) + 0.5) / _SIDE_PX
    return (np.cos(np.pi * frequency * place) / _SIDE_PX).astype(np.float32)


@lru_cache(maxsize=16)
def _averaging(size_px: int) -> NDArray[np.float32]:
    """Give the matrix that averages `size_px` pixels to 32: f32 [32, size_px]."""
    edges = np.linspace(0, size_px, _SIDE_PX + 1)
    pixel = np.arange(size_px)
    overlap = np.minimum(pixel + 1, edges[1:, None]) - np.maximum(pixel, edges[:-1, None])
    return (np.maximum(overlap, 0) * _SIDE_PX / size_px).astype(np.float32)
