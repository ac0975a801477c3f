"""Draws deploy/sample.png, the picture of the request path. Not a part of the product, and Pillow is no dependency of it:

    python3 -m venv /tmp/draw && /tmp/draw/bin/pip install pillow
    /tmp/draw/bin/python docs/draw_request_path.py deploy/sample.png

Needs the DejaVu fonts (Debian, Ubuntu: fonts-dejavu-core).
"""

from __future__ import annotations

import itertools
import math
import sys

from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT = 1200, 630
# Drawn larger and made small, for smooth edges.
SCALE = 3

INK = "#1f2a37"
GREY = "#5b6675"
PAPER = "#ffffff"
FILL = {"client": "#eef1f5", "nginx": "#e6f4ea", "i1": "#e3eefc", "i2": "#fdeedd", "m1": "#cfe2fb", "m2": "#fbdcba"}
EDGE = {"client": "#8893a2", "nginx": "#3c9a5f", "i1": "#2f6fd0", "i2": "#d27a1c", "m1": "#2f6fd0", "m2": "#d27a1c"}
DATA = "#8a3ab9"
WAY = "sign_endpoint in instances.yaml says which way: to the node itself, or through nginx as /s3/<node>/"

Point = tuple[float, float]

image = Image.new("RGB", (WIDTH * SCALE, HEIGHT * SCALE), PAPER)
draw = ImageDraw.Draw(image)


def font(size: float, style: str = "") -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(f"DejaVuSans{style}.ttf", round(size * SCALE))


def text(at: Point, words: str, size: float, style: str = "", fill: str = INK, anchor: str = "mm") -> None:
    draw.text((at[0] * SCALE, at[1] * SCALE), words, font=font(size, style), fill=fill, anchor=anchor)


def box(x: float, y: float, w: float, h: float, fill: str, edge: str, radius: float = 12, width: float = 2.5) -> None:
    corners = [v * SCALE for v in (x, y, x + w, y + h)]
    draw.rounded_rectangle(corners, radius * SCALE, fill=fill, outline=edge, width=round(width * SCALE))


def arrow(points: list[Point], colour: str, width: float = 3, both: bool = False, dashed: bool = False) -> None:
    """A line through points, with a head at its end (or at both)."""
    for a, b in itertools.pairwise(points):
        segment(a, b, colour, width, dashed)
    for corner in points[1:-1]:
        x, y, r = corner[0] * SCALE, corner[1] * SCALE, width * SCALE / 2
        draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)
    head(points[-2], points[-1], colour)
    if both:
        head(points[1], points[0], colour)


def segment(a: Point, b: Point, colour: str, width: float, dashed: bool) -> None:
    length = math.dist(a, b)
    step = 9 if dashed else length
    at = 0.0
    while at < length:
        end = min(at + step, length)
        ends = [(a[i] + (b[i] - a[i]) * t / length) * SCALE for t in (at, end) for i in (0, 1)]
        draw.line(ends, fill=colour, width=round(width * SCALE))
        at += step * 1.7


def head(a: Point, b: Point, colour: str, size: float = 13) -> None:
    angle = math.atan2(b[1] - a[1], b[0] - a[0])
    tip = (b[0] + math.cos(angle) * 3, b[1] + math.sin(angle) * 3)
    wings = [(tip[0] - size * math.cos(angle + t), tip[1] - size * math.sin(angle + t)) for t in (0.45, -0.45)]
    draw.polygon([(x * SCALE, y * SCALE) for x, y in (tip, *wings)], fill=colour)


def lane(y: float, instance: str, node: str) -> None:
    box(660, y, 210, 104, FILL[instance], EDGE[instance])
    text((765, y + 30), f"instance {instance}", 20, "-Bold")
    text((765, y + 57), "Flask + gunicorn", 15, fill=GREY)
    text((765, y + 79), "one MinIO client, its own", 15, fill=GREY)
    arrow([(870, y + 52), (972, y + 52)], EDGE[instance])
    text((921, y + 36), "S3 API", 14, fill=GREY)
    drum(978, y - 2, 160, 108, FILL[node], EDGE[node])
    text((1058, y + 56), f"MinIO {node}", 20, "-Bold")
    text((1058, y + 81), "bucket openim", 14, fill=GREY)


def drum(x: float, y: float, w: float, h: float, fill: str, edge: str) -> None:
    lid, line = 26, round(2.5 * SCALE)
    s = SCALE
    draw.ellipse((x * s, (y + h - lid) * s, (x + w) * s, (y + h) * s), fill=fill, outline=edge, width=line)
    draw.rectangle((x * s, (y + lid / 2) * s, (x + w) * s, (y + h - lid / 2) * s), fill=fill)
    for side in (x, x + w):
        at = side * s + (line / 2 if side == x else -line / 2)
        draw.line((at, (y + lid / 2) * s, at, (y + h - lid / 2) * s), fill=edge, width=line)
    draw.ellipse((x * s, y * s, (x + w) * s, (y + lid) * s), fill=PAPER, outline=edge, width=line)


text((60, 44), "An upload stays on one instance and its node", 28, "-Bold", anchor="lm")
text((60, 80), "from initiate to complete; bytes never pass through Python", 17, fill=GREY, anchor="lm")

box(60, 250, 150, 120, FILL["client"], EDGE["client"])
text((135, 297), "client", 21, "-Bold")
text((135, 326), "any OpenIM SDK", 13, fill=GREY)

box(310, 160, 240, 300, FILL["nginx"], EDGE["nginx"])
text((430, 190), "nginx", 21, "-Bold")
text((430, 216), "first of these that is there:", 14, fill=GREY)
for n, (title, note) in enumerate(
    [
        ("/i/<instance>/", "path of a redirect"),
        ("cookie", "OPENIM_INSTANCE=i1"),
        ("token hash", "for clients without cookies"),
    ]
):
    top = 234 + n * 73
    box(328, top, 204, 62, PAPER, EDGE["nginx"], 8, 1.5)
    text((430, top + 21), f"{n + 1}  {title}", 16, "-Bold")
    text((430, top + 44), note, 13, fill=GREY)

lane(160, "i1", "m1")
lane(356, "i2", "m2")

arrow([(210, 310), (304, 310)], INK)
text((257, 292), "JSON API", 14, fill=GREY)
arrow([(550, 212), (654, 212)], EDGE["i1"])
arrow([(550, 408), (654, 408)], EDGE["i2"])
arrow([(765, 270), (765, 350)], GREY, 2.5, both=True, dashed=True)
text((780, 301), "came to the wrong one:", 14, fill=GREY, anchor="lm")
text((780, 320), "forwarded once", 14, fill=GREY, anchor="lm")

arrow([(135, 370), (135, 548), (1058, 548), (1058, 470)], DATA, 4)
arrow([(1058, 548), (1176, 548), (1176, 212), (1144, 212)], DATA, 4)
text((596, 526), "parts go straight to MinIO: PUT and GET by signed URLs", 17, "-Bold", DATA)
text((596, 572), WAY, 14, fill=GREY)

box(60, 596, 14, 14, INK, INK, 2)
text((82, 603), "API calls", 13, fill=GREY, anchor="lm")
box(180, 596, 14, 14, DATA, DATA, 2)
text((202, 603), "file bytes", 13, fill=GREY, anchor="lm")

small = image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
small.quantize(128, dither=Image.Dither.NONE).save(sys.argv[1], optimize=True)
