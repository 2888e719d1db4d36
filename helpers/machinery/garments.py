"""The ten drawers: how a garment of each class becomes a picture, from its factors and its noise.

Outlines are polygons that matplotlib's Agg renderer fills, smooth at the edges; patterns, folds and the
grain of the cloth are added by numpy.
"""

import numpy as np
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.path import Path
from matplotlib.transforms import IdentityTransform

T_SHIRT, TROUSER, PULLOVER, DRESS, COAT, SANDAL, SHIRT, SNEAKER, BAG, BOOT = range(10)  # classes
PLAIN, ACROSS, ALONG, CHECKS, PRINT, MOTIF = range(6)  # the values of the factor ``pattern``


class Factors:
    """Factor values as attributes, float64 (n,), and the tones that follow from shade and seams.

    Args:
        values: Dict of factor name to values, float64 (n,).
    """

    def __init__(self, values):
        self.__dict__.update(values)
        self.n = len(self.shade)
        # Details are darker than light cloth and lighter than dark cloth, else they could not be seen.
        self.line = np.where(self.shade < 0.4, self.shade + 0.35 * self.seams, self.shade * (1 - 0.5 * self.seams))
        self.inside = 0.75 * self.shade  # what lies in its own shadow: the inside of a neck, the far strap
        far = np.where(self.shade < 0.5, 0.95, 0.05)
        self.other = self.shade + self.contrast * (far - self.shade)  # the pattern's second tone


class Noise:
    """What the factors leave open, from the texture seed: bytes as float32 in [0, 1].

    Args:
        seeds: Texture seeds, whole numbers (n,).
    """

    def __init__(self, seeds):
        words = 8 + 784 // 8 + 256 // 8
        raw = np.stack([np.random.PCG64(int(seed)).random_raw(words) for seed in seeds])
        values = raw.astype("<u8").view("uint8").astype("float32") / np.float32(255)  # "<": the same on all machines
        self.few = values[:, :64]
        self.pixels = values[:, 64 : 64 + 784].reshape(-1, 28, 28)
        self.blots = values[:, 64 + 784 :].reshape(-1, 16, 16)


def draw(label, f, noise):
    """Draw n garments of one class.

    Args:
        label: Class index 0 to 9.
        f: The `Factors` of the garments.
        noise: The `Noise` of the garments.

    Returns:
        Pictures, uint8 (n, 28, 28).
    """
    sheet = _Sheet(f.n)
    _DRAWERS[label](sheet, f)
    tone, cloth, cover = sheet.render(f)
    return _weave(label, f, noise, tone, cloth, cover)


_EDGE = 6  # pixels around each picture that are drawn and cut off

_CELL = 28 + 2 * _EDGE

_GRID = 256  # corners lie on multiples of 1/256 pixel, Agg's own grid, so nothing is left to round


class _Sheet:
    """Layers of polygons for n pictures at once, the lowest first.

    Coordinates are pixels: x from the middle of the picture to the right, y from its upper edge downwards.
    Each number may be one for all pictures or an array (n,).
    """

    def __init__(self, n):
        self.n = n
        self.layers = []

    def fill(self, points, tone, cloth=0.0, show=True, smooth=0, cover=1.0):
        """A polygon.

        Args:
            points: List of (x, y).
            tone: Grey value, 0 to 1.
            cloth: Share of the pattern that shows on it, 0 to 1.
            show: Which pictures have it, bool (n,).
            smooth: Number of times that the corners are cut.
            cover: Cover of the ground, 0 to 1; 0 cuts a hole instead.
        """
        shown = np.flatnonzero(np.broadcast_to(show, self.n))
        if not len(shown):
            return
        corners = np.empty((self.n, len(points), 2))
        for place, (x, y) in enumerate(points):
            corners[:, place, 0], corners[:, place, 1] = x, y
        corners = corners[shown]
        for _ in range(smooth):
            following = np.roll(corners, -1, axis=1)
            cut = np.stack([0.75 * corners + 0.25 * following, 0.25 * corners + 0.75 * following], axis=2)
            corners = cut.reshape(len(shown), -1, 2)
        colour = np.empty((self.n, 4))
        for channel, value in enumerate((tone, cloth, cover, 1.0)):
            colour[:, channel] = value
        colour = np.rint(np.clip(colour, 0, 1) * 255) / 255
        self.layers.append((shown, corners, colour[shown]))

    def both(self, points, *args, **kwargs):
        """A polygon and its mirror image."""
        self.fill(points, *args, **kwargs)
        self.fill([(-x, y) for x, y in points], *args, **kwargs)

    def even(self, points, *args, **kwargs):
        """A polygon that is its own mirror image, from the corners of its right half, top to bottom."""
        self.fill(points + [(-x, y) for x, y in reversed(points)], *args, **kwargs)

    def hole(self, points, **kwargs):
        """Cut a polygon out, down to the ground."""
        self.fill(points, 0.0, cover=0.0, **kwargs)

    def line(self, points, width, tone, cloth=0.0, show=True):
        """A line along points, so many pixels wide."""
        xs, ys = (
            np.stack([np.broadcast_to(np.asarray(v, "float64"), self.n) for v in side])
            for side in zip(*points, strict=True)
        )
        dx, dy = np.diff(xs, axis=0), np.diff(ys, axis=0)
        long = np.sqrt(dx * dx + dy * dy) + 1e-6
        nx, ny = -dy / long, dx / long
        # At an inner point the line turns along the mean of the two normals.
        nx, ny = (np.concatenate([v[:1], (v[1:] + v[:-1]) / 2, v[-1:]]) * (width / 2) for v in (nx, ny))
        there, back = list(zip(xs + nx, ys + ny, strict=True)), list(zip(xs - nx, ys - ny, strict=True))
        self.fill(there + back[::-1], tone, cloth, show)

    def dot(self, x, y, radius, tone, show=True):
        """A small disc."""
        self.fill([(x + radius * a, y + radius * b) for a, b in _OCTAGON], tone, show=show)

    def render(self, f):
        """Tone, cloth and cover as float32 (n, 28, 28) in [0, 1]; tone is already times cover."""
        columns = 16
        rows = -(-self.n // columns)
        height = rows * _CELL
        left, top = np.arange(self.n) % columns * _CELL + _EDGE, np.arange(self.n) // columns * _CELL + _EDGE
        # Rounded, because the last bit of a sine differs from platform to platform.
        sine, cosine = (np.rint(wave(f.tilt * (np.pi / 180)) * 4096) / 4096 for wave in (np.sin, np.cos))
        renderer = RendererAgg(columns * _CELL, height, 72)
        context = renderer.new_gc()
        context.set_linewidth(0)
        context.set_snap(False)
        context.set_antialiased(True)
        same = IdentityTransform()
        ground = np.array([[0, 0], [columns * _CELL, 0], [columns * _CELL, height], [0, height]], "float64")
        renderer.draw_path(context, _path(ground[None])[0], same, (0.0, 0.0, 0.0, 1.0))
        for shown, corners, colours in self.layers:
            x, y = corners[..., 0], corners[..., 1] - 14
            s, c = sine[shown, None], cosine[shown, None]
            moved = np.stack([c * x - s * y + f.x[shown, None], s * x + c * y + f.y[shown, None]], axis=-1) + 14
            # What reaches too far ends in the edge, so no picture can touch its neighbours.
            moved = np.clip(np.rint(moved * _GRID) / _GRID, 1 - _EDGE, 27 + _EDGE)
            moved[..., 0] += left[shown, None]
            moved[..., 1] = height - top[shown, None] - moved[..., 1]  # matplotlib counts upwards
            for path, colour in zip(_path(moved), colours.tolist(), strict=True):
                renderer.draw_path(context, path, same, colour)
        pixels = np.asarray(renderer.buffer_rgba()).reshape(rows, _CELL, columns, _CELL, 4).swapaxes(1, 2)
        pixels = pixels.reshape(-1, _CELL, _CELL, 4)[: self.n, _EDGE:-_EDGE, _EDGE:-_EDGE, :3]
        return (np.ascontiguousarray(pixels[..., channel]).astype("float32") / np.float32(255) for channel in range(3))


_OCTAGON = ((1, 0.414), (0.414, 1), (-0.414, 1), (-1, 0.414), (-1, -0.414), (-0.414, -1), (0.414, -1), (1, -0.414))


def _path(corners):
    """Closed polygons (n, corners, 2) as a list of matplotlib paths."""
    closed = np.concatenate([corners, corners[:, :1]], axis=1)
    codes = np.full(closed.shape[1], Path.LINETO, Path.code_type)
    codes[0], codes[-1] = Path.MOVETO, Path.CLOSEPOLY
    return [Path(vertices, codes) for vertices in closed]


# Where a motif sits, x and y in pixels of the picture.
_MOTIF = {TROUSER: (-3.2, 5), SANDAL: (-6.8, 17), SNEAKER: (4, 14), BAG: (0, 17.5), BOOT: (6, 12)}


def _weave(label, f, noise, tone, cloth, cover):
    """Pattern, folds, grain and soft edges on drawn garments; uint8 (n, 28, 28)."""

    def column(values):
        return np.asarray(values).astype("float32")[:, None, None]

    # Each pixel's place on the garment, so that the pattern moves with it.
    across = np.arange(28, dtype="float32")[None, None, :] - np.float32(13.5) - column(f.x)
    down = np.arange(28, dtype="float32")[None, :, None] - np.float32(13.5) - column(f.y)
    turn = column(f.tilt * 0.0175)
    u, v = across + turn * down, down - turn * across

    pattern = np.zeros_like(tone)
    for kind, weave in ((ACROSS, _across), (ALONG, _along), (CHECKS, _checks), (PRINT, _print), (MOTIF, _motif)):
        rows = np.flatnonzero(f.pattern == kind)
        if len(rows):
            pattern[rows] = weave(u[rows], v[rows], column(f.pitch[rows]), noise.blots[rows], label)
    image = tone + cloth * pattern * column(f.other - f.shade)

    # Folds: soft shadows that run down the garment, wandering sideways.
    few = noise.few[:, :, None, None]
    wave = u * (np.float32(0.10) + np.float32(0.08) * few[:, 0]) + v * (few[:, 1] - np.float32(0.5)) * np.float32(0.09)
    image *= 1 + column(f.folds) * (np.float32(0.5) - _triangle(wave + few[:, 2]))
    image += column(f.grain) * (noise.pixels - np.float32(0.5)) * 2 * image
    image = np.clip(image, 0, 1)
    softness = column(f.softness)
    image = (1 - softness) * image + softness * _blur(image)
    return np.rint(image * np.float32(255)).astype("uint8")


def _triangle(x):
    """A wave of period 1 between 0 (at whole numbers) and 1."""
    return np.abs(x - np.rint(x)) * 2


def _stripes(x, pitch):
    """Stripes as wide as the gaps between them, smooth over one pixel at their edges."""
    return np.clip((_triangle(x / pitch) - np.float32(0.5)) * (pitch / 2) + np.float32(0.5), 0, 1)


def _across(u, v, pitch, blots, label):
    return _stripes(v, pitch) + 0 * u


def _along(u, v, pitch, blots, label):
    return _stripes(u, pitch) + 0 * v


def _checks(u, v, pitch, blots, label):
    return (_stripes(u, pitch) + _stripes(v, pitch)) / 2


def _print(u, v, pitch, blots, label):
    """Blots all over: smooth noise, cut at its middle."""
    scale = pitch * np.float32(0.55)
    x, y = u / scale + 64, v / scale + 64
    left, top = np.floor(x).astype("int64"), np.floor(y).astype("int64")
    x, y = x - left, y - top
    row = np.arange(len(u))[:, None, None]

    def at(dx, dy):
        return blots[row, (top + dy) % 16, (left + dx) % 16]

    value = (1 - y) * ((1 - x) * at(0, 0) + x * at(1, 0)) + y * ((1 - x) * at(0, 1) + x * at(1, 1))
    return np.clip((value - np.float32(0.5)) * 4 + np.float32(0.5), 0, 1)


def _motif(u, v, pitch, blots, label):
    """A patch of marks, like letters."""
    x0, y0 = _MOTIF.get(label, (0, 10))
    width, height = pitch * np.float32(0.9), pitch * np.float32(0.45)
    x, y = u - np.float32(x0), v - np.float32(y0 - 14)
    patch = np.clip(width + np.float32(0.5) - np.abs(x), 0, 1) * np.clip(height + np.float32(0.5) - np.abs(y), 0, 1)
    row = np.arange(len(u))[:, None, None]
    marks = blots[row, np.floor(y / 2 + 64).astype("int64") % 16, np.floor(x + 64).astype("int64") % 16]
    return patch * np.clip(marks * 3 - np.float32(0.5), 0, 1)


def _blur(image):
    """Mean over 3 x 3 pixels; beyond the frame is ground."""
    wide = np.pad(image, ((0, 0), (1, 1), (1, 1)))
    rows = wide[:, :-2] + wide[:, 1:-1] + wide[:, 2:]
    return (rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]) / np.float32(9)


def _sleeves(s, f, shoulder, armpit, outer, inner, reach, cuff=0.0, elbow=0.7, show=True):
    """Two sleeves that cover the share ``reach`` of the arm; ``elbow`` is how far they bow outwards, in pixels."""
    bend = (shoulder[0] + 0.5, shoulder[1] + 1.5)

    def point(start, end, t):
        bow = 4 * elbow * t * (1 - t)
        return start[0] + (end[0] - start[0]) * t + bow, start[1] + (end[1] - start[1]) * t

    def across(t):
        """Outer and inner edge, so far down the arm."""
        return [point(bend, outer, t), point(armpit, inner, t)]

    outside, inside = zip(across(reach * 0.45), across(reach), strict=True)
    arm = [(2.5, 0.3), shoulder, bend, *outside, *reversed(inside), armpit, (2.5, armpit[1])]
    s.both(arm, f.shade, 1.0, show)
    if cuff:
        s.both(across(reach - cuff) + across(reach)[::-1], f.line * 0.4 + f.shade * 0.6)


def _body(s, f, neck, shoulder, armpit, waist, hem):
    """The trunk of a top, from half-widths and heights; the arm's seam and the gap beneath it."""
    corners = [neck, shoulder, (armpit[0], armpit[1]), waist, hem]
    s.even(corners, f.shade, 1.0)
    shadow = f.shade * (1 - 0.5 * f.seams)
    s.both([(armpit[0] - 0.5, armpit[1]), (armpit[0] + 0.1, armpit[1]), waist, (waist[0] - 0.5, waist[1])], shadow)
    s.line([shoulder, (armpit[0] + 0.2, armpit[1])], 0.6, f.line)
    s.line([(-shoulder[0], shoulder[1]), (-armpit[0] - 0.2, armpit[1])], 0.6, f.line)


def _t_shirt(s, f):
    w = f.width
    shoulder, armpit = (8.3 * w, 2.4), (6.7 * w, 9.0)
    _sleeves(s, f, shoulder, armpit, (12.4 * w, 10.6), (8.6 * w, 12.4), 0.05 + 1.05 * f.sleeve, elbow=0.3)
    hem = 25.8 + 2.2 * f.length
    _body(s, f, (3.4, 0), shoulder, armpit, (6.5 * w, 15), (6.3 * w + 1.6 * f.flare, hem))
    crew, vee, scoop, polo = (f.style == k for k in range(4))
    s.even([(3.4, -0.2), (2.2, 1.6), (0.8, 2.3)], f.inside, show=crew, smooth=1)
    s.line([(-3.6, 0.3), (-2.3, 2.0), (0, 2.7), (2.3, 2.0), (3.6, 0.3)], 0.7, f.line, show=crew)
    s.even([(3.4, -0.2), (0.1, 5.4)], f.inside * 0.6, show=vee)
    s.line([(-3.6, 0.2), (0, 5.9), (3.6, 0.2)], 0.7, f.line, show=vee)
    s.hole([(5.2, -1), (4.2, 2.8), (0, 4.4), (-4.2, 2.8), (-5.2, -1)], show=scoop, smooth=1)
    s.both([(0.2, 1.6), (3.4, -0.2), (4.2, 1.4), (2.0, 3.4)], f.shade * 0.5 + f.line * 0.5, show=polo)
    s.line([(0, 1.4), (0, 7)], 0.8, f.line, show=polo)


def _trouser(s, f):
    w = f.width
    hem = 25.6 + 2.4 * f.length
    out, inn = (4.0 + 2.2 * f.flare) * w, (1.7 - 1.0 * f.flare) * w
    s.both(
        [(0, 0), (4.3 * w, 0), (4.9 * w, 6), (4.7 * w, 14), (out, hem), (inn, hem), (1.0 * w, 15), (0.15, 7.5)],
        f.shade,
        1.0,
    )
    fly, creases, pockets, turn_ups = (f.style == k for k in range(4))
    s.line([(-4.6 * w, 1.7), (4.6 * w, 1.7)], 0.6, f.line)
    s.line([(0, 1.7), (0.1, 8)], 0.6, f.line)
    s.line([(0, 2), (1.3, 3.5), (1.2, 5.5), (0, 7)], 0.5, f.line, show=fly)
    for side in (-1, 1):
        s.line([(side * 2.8 * w, 3), (side * (out + inn) / 2, hem)], 0.7, f.line, show=creases)
        s.line([(side * 2.2 * w, 1.8), (side * 4.9 * w, 5.2)], 0.7, f.line, show=pockets)
        s.fill(
            [
                (side * (out + 0.3), hem - 2.2),
                (side * (out + 0.3), hem),
                (side * (inn - 0.3), hem),
                (side * (inn - 0.3), hem - 2.2),
            ],
            f.line,
            show=turn_ups,
        )


def _pullover(s, f):
    w = f.width
    shoulder, armpit = (7.5 * w, 2.4), (5.9 * w, 9.5)
    outer, inner = (10.1 * w, 28), (7.2 * w, 28)
    _sleeves(s, f, shoulder, armpit, outer, inner, 0.8 + 0.2 * f.sleeve, cuff=0.1)
    hem = 23.5 + 4.5 * f.length
    half = (5.5 + 1.0 * f.flare) * w
    _body(s, f, (3.8, 0), shoulder, armpit, (5.6 * w, 17), (half, hem))
    s.even([(half - 0.1, hem - 1.8), (half - 0.5, hem)], f.line * 0.4 + f.shade * 0.6)
    crew, vee, roll, hood = (f.style == k for k in range(4))
    s.even([(3.6, -0.2), (2.4, 1.2), (1, 1.7)], f.inside, show=crew, smooth=1)
    s.line([(-3.9, 0.2), (-2.4, 1.7), (0, 2.3), (2.4, 1.7), (3.9, 0.2)], 1.0, f.line * 0.6 + f.shade * 0.4, show=crew)
    s.even([(3.6, -0.2), (0.1, 4.8)], f.inside, show=vee)
    s.line([(-3.8, 0.2), (0, 5.2), (3.8, 0.2)], 0.9, f.line * 0.7 + f.shade * 0.3, show=vee)
    s.both([(2.9, -1), (9, -1), (9, 2.6), (shoulder[0], 3.4), (3.0, 1.6)], 0, show=roll, cover=0)
    s.line([(-3, 2), (3, 2)], 0.6, f.line, show=roll)
    s.both([(3.4, -1), (9, -1), (9, 2.6), (shoulder[0], 3.6), (4.2, 2.2)], 0, show=hood, cover=0)
    s.even([(1.6, 0.6), (2.4, 2.2), (1.0, 4.2)], 0.5 * f.inside, show=hood, smooth=1)
    s.line([(-3.8, 1.2), (-3.0, 4.2), (0, 5.6), (3.0, 4.2), (3.8, 1.2)], 0.7, f.line, show=hood)
    for side in (-1, 1):
        s.line([(side * 1.0, 5.5), (side * 1.0, 9)], 0.5, f.line, show=hood)


def _dress(s, f):
    w = f.width
    straps = f.style == 2
    shoulder, armpit = (np.where(straps, 3.9, 5.3) * w, np.where(straps, 4.4, 1.6)), (4.6 * w, 7.4)
    outer, inner = (8.0 * w, 23), (5.9 * w, 23)
    hem = 25.8 + 2.2 * f.length
    half = (4.2 + 3.2 * f.flare) * w
    reach = f.sleeve * f.sleeve  # many have short sleeves or none
    _sleeves(s, f, shoulder, armpit, outer, inner, reach, elbow=0.2, show=~straps)
    # With straps the sleeve's length is that of the bodice's wings.
    wing = 1.6 * f.sleeve
    s.both([(2.6 * w, 4.2), (3.6 * w + wing, 4.0), (4.4 * w + wing, 7.2), (4.2 * w, 8)], f.shade, 1.0, show=straps)
    s.even([(3.0, np.where(straps, 4.4, 0)), shoulder, armpit, (3.9 * w, 11.5), (half, hem)], f.shade, 1.0)
    s.both([(half * 0.35, 14), (half * 0.2, hem), (half * 0.32, hem)], f.line * 0.5 + f.shade * 0.5)
    s.line([(-3.8 * w, 11.5), (3.8 * w, 11.5)], 0.6, f.line)
    round_, vee, _, belt = (f.style == k for k in range(4))
    s.hole([(2.9, -1), (2.2, 1.8), (0, 2.8), (-2.2, 1.8), (-2.9, -1)], show=round_ | belt, smooth=1)
    s.hole([(2.8, -1), (0, 5.4), (-2.8, -1)], show=vee)
    for side in (-1, 1):
        s.line([(side * 2.0 * w, -0.5), (side * 2.9 * w, 4.8)], 1.0, f.shade, show=straps)
    s.hole([(1.6, 3.8), (0, 5.4), (-1.6, 3.8)], show=straps)
    s.fill([(-4 * w, 10.4), (4 * w, 10.4), (4 * w, 12.6), (-4 * w, 12.6)], f.line, show=belt)


def _coat(s, f):
    w = f.width
    shoulder, armpit = (7.2 * w, 4.0), (6.1 * w, 10.5)
    outer, inner = (10.2 * w, 27.8), (7.2 * w, 27.8)
    _sleeves(s, f, shoulder, armpit, outer, inner, 0.78 + 0.22 * f.sleeve)
    hem = 24 + 4 * f.length
    half = (5.9 + 1.5 * f.flare) * w
    _body(s, f, (2.9, 0), shoulder, armpit, (5.9 * w, 16), (half, hem))
    s.both([(2.8, -1), (9, -1), (9, 2.2), (shoulder[0] + 0.8, 3.6), (4.0, 1.7)], 0, cover=0)
    lapels, zipped, hood, double = (f.style == k for k in range(4))
    s.line([(0, 2), (0, hem)], 0.9, f.line)
    open_ = lapels | double
    s.even([(2.2, -0.2), (0.1, 7.5)], f.inside * 0.7, show=open_)
    s.both([(2.0, 0), (3.6, 0.6), (4.6, 5.2), (3.4, 5.4), (0.2, 9.6)], f.shade * 0.75 + f.line * 0.25, 0.5, show=open_)
    s.line([(2.0, 0.4), (0.2, 9.6)], 0.5, f.line, show=open_)
    s.line([(-2.0, 0.4), (-0.2, 9.6)], 0.5, f.line, show=open_)
    s.even([(2.8, 0), (3.2, 2.8), (0, 4.2)], f.line * 0.5 + f.shade * 0.5, show=zipped)
    s.line([(0, 0), (0, hem)], 0.6, 0.9, show=zipped)
    s.even([(1.8, 0), (3.6, 1.6), (3.4, 4.6), (0.6, 6.4)], f.shade * 0.8, show=hood, smooth=1)
    s.even([(1.2, 0.8), (2.4, 2.4), (1.6, 4.6)], f.inside * 0.4, show=hood, smooth=1)
    for y in (11, 15, 19):
        for x in (-2.1, 2.1):
            s.dot(x, y, 0.8, f.line, show=double)
        s.dot(1.2, y, 0.7, f.line, show=lapels | hood)
    for side in (-1, 1):
        s.line([(side * 2.8 * w, 18.6), (side * 5.2 * w, 17.4)], 0.7, f.line)


def _shirt(s, f):
    w = f.width
    shoulder, armpit = (7.8 * w, 3.2), (6.3 * w, 10)
    outer, inner = (10.0 * w, 27.6), (7.2 * w, 27.6)
    _sleeves(s, f, shoulder, armpit, outer, inner, 0.25 + 0.75 * f.sleeve, cuff=0.07)
    hem = 25 + 3 * f.length
    half = (6.0 + 1.4 * f.flare) * w
    _body(s, f, (3.2, 0.4), shoulder, armpit, (6.0 * w, 16), (half, hem - 1))
    s.even([(half, hem - 1.1), (half * 0.6, hem), (0.2, hem)], f.shade, 1.0)
    classic, band, vee, pocket = (f.style == k for k in range(4))
    buttoned = classic | band | pocket
    s.even([(1.0, 2.5), (1.0, hem)], f.shade * 0.9 + 0.05, 0.6, show=buttoned)
    for side in (-0.9, 0.9):
        s.line([(side, 2), (side, hem)], 0.4, f.line, show=buttoned)
    for y in (5, 9, 13, 17, 21):
        s.dot(0, y, 0.6, f.line * 0.7, show=buttoned)
    collar = classic | pocket
    s.even([(2.2, -0.2), (0.1, 2.6)], f.inside, show=collar)
    s.both([(1.8, -0.2), (3.6, 0.6), (3.4, 3.4), (0.3, 2.4)], f.shade * 0.9 + 0.1, show=collar)
    s.line([(3.6, 0.6), (3.4, 3.4), (0.3, 2.4)], 0.5, f.line, show=collar)
    s.line([(-3.6, 0.6), (-3.4, 3.4), (-0.3, 2.4)], 0.5, f.line, show=collar)
    s.even([(2.9, 0), (2.6, 1.6), (0, 2.2)], f.inside, show=band, smooth=1)
    s.line([(-3.0, 0.2), (-2.5, 1.9), (0, 2.6), (2.5, 1.9), (3.0, 0.2)], 0.8, f.line, show=band)
    s.even([(3.0, -0.4), (0.1, 6.2)], f.inside * 0.5, show=vee)
    s.line([(-3.2, 0), (0, 6.6), (3.2, 0)], 0.7, f.line, show=vee)
    s.line([(0, 6.6), (0, 12)], 0.6, f.line, show=vee)
    s.both([(2.2, 8), (5.2, 8), (5.2, 11.4), (3.7, 12.2), (2.2, 11.4)], f.shade * 0.7 + f.line * 0.3, 0.6, show=pocket)
    for side in (-1, 1):
        s.line([(side * 2.1, 8), (side * 5.3, 8)], 1.0, f.line, show=pocket)


def _sandal(s, f):
    h = 14.0 * f.heel * f.heel  # many are flat
    toe = -13.8 + 2.2 * (1 - f.length)
    ball = 18.2 + 0.58 * h
    seat = ball - h
    thick = 0.6 + 1.0 * f.width
    up, back = ball - thick + 0.4, seat - thick + 0.4

    def base(x):
        """Height of the foot bed."""
        return up + (back - up) * min(max((x + 5) / 12.5, 0), 1)

    ankle, thong, many, crossed = (f.style == k for k in range(4))
    wedge = many | crossed
    sole, strap = 0.95 * f.shade, f.shade
    wide = 1.1 + 3.2 * (f.width - 0.8)
    s.fill(
        [(-4, ball), (13, seat), (13.2, ball + 0.9), (-6, ball + 0.9)], f.line * 0.6 + f.shade * 0.2, 0.5, show=wedge
    )
    s.fill([(10.4, seat), (13.4, seat), (13.2, ball + 0.9), (11.2, ball + 0.9)], sole, show=~wedge)
    behind = [
        (-10, up),
        (-7.5, up - 2.6),
        (-1, base(-1) - 4),
        (6, base(6) - 5.4),
        (13.2, back - 6),
        (13.2, back + 1),
        (2, base(2)),
    ]
    s.fill(behind, 0.35 * f.inside, show=many)
    s.fill(
        [
            (toe, ball - 0.7),
            (toe + 2, ball - thick),
            (-5, ball - thick),
            (2, base(2)),
            (7.5, seat - thick),
            (13.4, seat - thick - 0.3),
            (13.7, seat - 0.2),
            (8, seat + 0.6),
            (2, base(2) + thick + 0.4),
            (-4, ball + 0.9),
            (toe + 1, ball + 0.9),
        ],
        sole,
    )
    s.line(
        [(toe + 1, ball - 0.1), (-4, ball - 0.1), (2, base(2) + 0.6 * thick), (8, seat - 0.2), (13, seat - 0.4)],
        0.6,
        f.line,
    )
    lift = 5.6 + 0.35 * h
    # The back of the shoe, and what goes round the ankle.
    s.fill(
        [(8.6, back + 0.4), (11.0, back - 3.4), (12.0, back - lift), (13.5, back - lift), (13.7, back + 0.6)],
        strap,
        1.0,
        show=ankle | many,
    )
    s.line(
        [(13, back + 0.4 - lift), (8.6, back - 0.4 - lift), (5.4, back + 1.2 - lift)],
        wide,
        strap,
        1.0,
        show=ankle | many,
    )
    s.fill(
        [(-11.6, up + 0.3), (-9.6, up - 3.6), (-6.2, up - 4.2), (-3, base(-3) + 0.3)], strap, 1.0, show=ankle, smooth=1
    )
    s.line([(-10.4, up), (-3, base(-3) - 4.2), (5, base(5))], wide, strap, 1.0, show=thong)
    s.line([(-3, base(-3) - 4), (4, base(4) - 4.4), (12, back - 5.2)], wide * 0.8, strap, 1.0, show=thong)
    s.line([(13, back + 0.4), (11.6, back - 5)], wide, strap, 1.0, show=thong)
    for k in range(5):
        x = -10.4 + 4.0 * k
        s.line([(x, base(x)), (x + 3.4, base(x + 3.4) - 2.8 - 0.8 * k)], wide, strap, 1.0, show=many)
    s.line([(-7.4, base(-7.4) - 2.8), (1, base(1) - 4.6), (9, base(9) - 6)], wide * 0.7, strap, 1.0, show=many)
    s.fill(
        [(-10.5, up + 0.3), (-8.2, up - 3.8), (-3.4, up - 4.6), (-0.4, base(-0.4) + 0.3)],
        strap,
        1.0,
        show=crossed,
        smooth=1,
    )
    s.line(
        [(0, base(0) - 0.5), (5.5, base(5.5) - 3.2), (12.4, back - 0.8 - lift)], wide * 1.4, strap, 1.0, show=crossed
    )
    s.line([(12.8, back), (8.6, back - 4.6), (6.4, back - 6.0)], wide * 1.2, strap, 1.0, show=crossed)
    s.dot(11.6, back - lift + 0.8, 0.9, f.line, show=ankle | crossed)


def _sneaker(s, f):
    toe = -13.8 + 2.4 * (1 - f.length)
    b = f.width
    sole_top = 17.0
    bottom = sole_top + 1.2 + 2.4 * f.heel
    r = 3.6 * f.shaft

    def up(y):
        return sole_top - 0.84 * y * b

    upper = [
        (toe + 0.3, sole_top + 0.5),
        (toe + 0.2, up(1.9)),
        (toe + 2.2, up(3.6)),
        (-7.4, up(4.5)),
        (-2.5, up(6.4)),
        (1.6, up(8.6) - 0.7 * r),
        (3.2, up(9.6) - r),
        (4.6, up(8.6) - r),
        (6.6, up(6.6) - r),
        (9.2, up(6.6) - r),
        (11.6, up(8.4) - r),
        (12.9, up(8.4) - r),
        (13.0, up(5)),
        (13.6, up(2)),
        (13.6, sole_top + 0.5),
    ]
    s.fill(upper, f.shade, 1.0)
    laces, cap, panel, slip = (f.style == k for k in range(4))
    # The sole: white under laces and toe caps, dark elsewhere.
    pale = np.where(laces | cap, 0.92, 0.4)
    s.fill(
        [
            (toe - 0.2, sole_top - 0.4),
            (13.9, sole_top - 0.4),
            (13.9, bottom - 0.5),
            (12.8, bottom),
            (toe + 1.2, bottom),
            (toe - 0.1, bottom - 0.6),
        ],
        pale,
    )
    s.line([(toe, sole_top - 0.3), (13.8, sole_top - 0.3)], 0.7, f.line)
    s.fill(
        [
            (2.0, up(7.6) - r),
            (4.6, up(7.8) - r),
            (6.4, up(5.9) - r),
            (9.4, up(5.9) - r),
            (11.6, up(7.4) - r),
            (11.4, up(6.9) - r),
            (8, up(5) - r),
            (5, up(5.4) - r),
        ],
        f.inside,
        show=~slip,
    )
    for k in range(3):
        x = -6.0 + 2.5 * k
        s.line([(x, up(4.0 + 1.4 * k)), (x + 1.8, up(2.6 + 1.1 * k))], 0.8, f.line, show=laces | cap)
        s.line([(1.0 + 2.4 * k, up(5.2)), (-0.4 + 2.4 * k, up(0.6))], 1.0, f.line, show=laces)
    s.fill(
        [
            (toe + 0.2, sole_top - 0.4),
            (toe + 0.3, up(1.8)),
            (toe + 2.2, up(3.5)),
            (-9.0, up(3.6)),
            (-7.8, sole_top - 0.4),
        ],
        0.5 * pale + 0.5 * f.line,
        show=cap,
    )
    s.fill([(-5, up(1.6)), (2, up(1.4)), (10, up(4.6)), (2, up(3.2)), (-3, up(3.0))], f.line, show=panel)
    s.fill(
        [(9.6, up(6.0) - r), (12.8, up(7.6) - r), (13.4, sole_top - 0.4), (10.4, sole_top - 0.4)],
        0.6 * f.line + 0.4 * f.shade,
        show=panel | cap,
    )
    s.fill([(-1.4, up(6.2)), (2.4, up(8.2) - 0.6 * r), (3.6, up(3.2)), (1, up(3.0))], f.line, show=slip)
    s.line([(toe + 1, up(2.2)), (-7, up(2.6)), (-3.6, sole_top)], 0.6, f.line, show=slip | laces)


def _bag(s, f):
    w = f.width
    round_, two, flap, side = (f.style == k for k in range(4))
    # A high handle stands on a lower bag: together they fill the frame.
    upright = round_ | two
    top = np.where(upright, 13.0 - 5.0 * f.length, 11.0 - 6.0 * f.length)
    bottom = np.where(upright, 24.5 + 3.4 * f.length, 21.0 + 5.5 * f.length)
    half = np.minimum(12.2 * w, 13.9)
    upper = half * (1 - 0.2 * f.flare)
    rise = 0.5 + (top - 0.5) * f.handle
    high = top - rise
    for x, show in ((0.0, round_), (-0.7, two), (0.7, two)):
        reach = np.where(two, 0.42, 0.45) * upper
        peak = np.where(two, 0.12, 0.25) * upper
        s.line(
            [
                (x - reach, top + 0.5),
                (x - 0.9 * reach, top - 0.5 * rise),
                (x - peak, high + 0.2),
                (x, high),
                (x + peak, high + 0.2),
                (x + 0.9 * reach, top - 0.5 * rise),
                (x + reach, top + 0.5),
            ],
            1.3,
            f.shade * 0.8,
            show=show,
        )
    low_rise = 4.2 * f.handle
    s.line(
        [(-upper + 1, top + 1), (-0.5 * upper, top - low_rise), (0.5 * upper, top - low_rise), (upper - 1, top + 1)],
        1.0,
        f.shade * 0.75,
        show=flap | side,
    )
    s.even([(upper - 1.2, top), (upper, top + 1.4), (half, bottom - 2), (half - 1.4, bottom)], f.shade, 1.0)
    s.line([(-upper, top + 1.4), (upper, top + 1.4)], 0.7, f.line, show=round_ | two)
    third = top + 0.55 * (bottom - top)
    s.even(
        [(upper - 0.6, top), (upper + 0.2, top + 1), (0.55 * half, third), (0.1, third + 1.4)],
        f.shade * 0.9 + 0.1 * f.line,
        0.7,
        show=flap,
    )
    s.line(
        [(-upper, top + 1), (-0.55 * half, third), (0, third + 1.4), (0.55 * half, third), (upper, top + 1)],
        0.8,
        f.line,
        show=flap,
    )
    s.dot(0, third + 0.4, 1.1, 1.1 - f.line, show=flap | round_)
    s.line([(-upper + 1, top + 3), (upper - 1, top + 3)], 0.9, f.line, show=side)
    s.line([(-upper * 0.6, top + 1), (-half * 0.6, bottom)], 1.1, f.line, show=side | two)
    s.line([(upper * 0.6, top + 1), (half * 0.6, bottom)], 1.1, f.line, show=side | two)
    s.line([(-half + 0.8, bottom - 1.8), (half - 0.8, bottom - 1.8)], 0.6, f.line)


def _boot(s, f):
    toe = -13.7 + 2.4 * (1 - f.length)
    b = f.width
    top = 8.0 - 7.0 * f.shaft
    h = 0.5 + 5.5 * f.heel
    ball = 22.2 + 2.6 * f.heel
    seat = ball - h
    front = 0.4 + 0.8 * f.heel
    back = 12.6
    upper = [
        (toe + 0.2, ball),
        (toe, ball - 2.0 * b),
        (toe + 2, ball - 3.8 * b),
        (-7.0, ball - 5.0 * b),
        (-2.6, ball - 7.2 * b),
        (front - 1.2, ball - 10.2),
        (front, top + 2),
        (front + 0.2, top),
        (back - 0.2, top),
        (back, top + 3),
        (back - 0.6, seat - 6),
        (back + 0.7, seat - 2),
        (back + 0.6, seat + 0.3),
        (7, seat + 0.3),
        (2.5, ball - 0.55 * h),
        (-2.5, ball),
    ]
    s.fill(upper, f.shade, 1.0)
    sole = f.shade * 0.7
    s.fill(
        [
            (toe - 0.1, ball - 0.7),
            (-2.5, ball - 0.7),
            (3, ball - 0.55 * h - 0.6),
            (8, seat - 0.5),
            (13.4, seat - 0.5),
            (13.4, seat + 0.8),
            (8, seat + 0.9),
            (3, ball - 0.5 * h + 0.6),
            (-2.0, ball + 0.8),
            (toe + 0.6, ball + 0.8),
        ],
        sole,
    )
    s.fill([(7.6 + 1.2 * f.heel, seat), (13.4, seat), (13.1, ball + 0.9), (8.2 + 1.6 * f.heel, ball + 0.9)], sole * 1.1)
    laces, elastic, zipped, buckle = (f.style == k for k in range(4))
    span = ball - 7.6 - top
    for k in range(4):
        y = top + 1.5 + span * (0.22 * k + 0.06)
        x = front - 0.2 - 0.9 * (k == 3)
        s.line([(x, y), (x + 3.6, y + 0.8)], 0.8, f.line, show=laces)
    s.line([(front + 4.0, top), (front + 3.2, ball - 8), (-1.5, ball - 4.4)], 0.6, f.line, show=laces)
    s.fill(
        [(front + 3.6, top + 0.6), (front + 8.4, top + 0.6), (front + 6.6, seat - 6), (front + 5.2, seat - 6)],
        f.line,
        show=elastic,
    )
    s.line([(front + 6.4, top), (front + 6.0, seat - 2)], 0.9, f.line, show=zipped)
    s.line([(front - 0.8, ball - 9.4), (back - 0.4, seat - 6.4)], 1.5, f.line, show=buckle)
    s.dot(front + 3.4, ball - 9.0 - 0.5 * h, 1.1, 1.1 - f.line, show=buckle)
    s.line([(front, top + 0.8), (back, top + 0.8)], 0.7, f.line)
    s.line([(toe + 4, ball - 0.8), (toe + 4.8, ball - 3), (-6.6, ball - 5.0 * b)], 0.6, f.line)


_DRAWERS = (_t_shirt, _trouser, _pullover, _dress, _coat, _sandal, _shirt, _sneaker, _bag, _boot)
