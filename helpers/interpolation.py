"""Interpolation: codes from one code to another, along a line or an arc."""

import numpy as np


def interpolate(start, end, steps, kind="straight"):
    """Interpolate between two codes.

    Args:
        start: Code at the start, (latent_dim,).
        end: Code at the end, (latent_dim,).
        steps: Number of codes, both ends included.
        kind: Either "straight" (a line) or "spherical" (an arc; lengths change evenly).

    Returns:
        Codes, float32 (steps, latent_dim).

    Raises:
        ValueError: The kind is unknown.

    Source: Shoemake, "Animating rotation with quaternion curves" (1985).
    """
    start, end = np.asarray(start, "float64"), np.asarray(end, "float64")
    t = np.linspace(0, 1, steps)[:, None]
    if kind == "straight":
        return ((1 - t) * start + t * end).astype("float32")
    if kind != "spherical":
        raise ValueError(f"kind is {kind!r}; choose 'straight' or 'spherical'.")
    lengths = np.linalg.norm(start), np.linalg.norm(end)
    if min(lengths) == 0:
        return interpolate(start, end, steps)  # the origin has no direction: the arc is the line
    cosine = np.clip(start @ end / (lengths[0] * lengths[1]), -1, 1)
    angle = np.arccos(cosine)
    if np.sin(angle) < 1e-6:
        return interpolate(start, end, steps)
    directions = np.sin((1 - t) * angle) * start / lengths[0] + np.sin(t * angle) * end / lengths[1]
    return (directions / np.sin(angle) * ((1 - t) * lengths[0] + t * lengths[1])).astype("float32")
