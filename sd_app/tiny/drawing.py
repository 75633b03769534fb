"""Draw a scene: background, subject, style."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from .subjects import DRAWERS, SUPERSAMPLING, Color, Pen, jittered, mix
from .world import COLORS, PICTURE_PIXELS, Scene


def render(scene: Scene, rng: np.random.Generator) -> Image.Image:
    """Draw a scene as an RGB picture of 128x128 pixels; `rng` shifts place, size and tints a little."""
    pixels = PICTURE_PIXELS * SUPERSAMPLING
    base = jittered(COLORS[scene.color or "gray"], rng)
    picture = _draw_background(scene.background or "white", pixels, rng)
    if scene.style == "pencil sketch":
        picture = Image.blend(picture, Image.new("RGB", picture.size, (250, 249, 244)), 0.55)
    if scene.style == "Edvard Munch":
        picture = _wavy_stripes(picture, rng)

    pen = Pen(picture, scene, base, rng)
    DRAWERS[scene.subject or "circle"](pen)
    if scene.style == "watercolor":
        picture = picture.filter(ImageFilter.GaussianBlur(SUPERSAMPLING * 0.7))
    if scene.style == "Edvard Munch":
        picture = _warp(picture, rng)
    if scene.style == "pixel art":
        return picture.resize((32, 32), Image.Resampling.BOX).resize(
            (PICTURE_PIXELS,) * 2, Image.Resampling.NEAREST
        )
    picture = picture.resize((PICTURE_PIXELS,) * 2, Image.Resampling.BOX)
    return _watercolor_wash(picture, rng) if scene.style == "watercolor" else picture


def _draw_background(background: str, pixels: int, rng: np.random.Generator) -> Image.Image:
    if background in COLORS:
        return Image.new("RGB", (pixels, pixels), jittered(COLORS[background], rng, 5))
    top, middle, bottom, horizon = {
        "sea": ((160, 212, 245), (200, 232, 250), (24, 112, 178), 0.34),
        "beach": ((120, 196, 246), (178, 224, 250), (240, 214, 150), 0.60),
        "night sky": ((10, 14, 50), (34, 38, 98), (34, 38, 98), 1.0),
        "meadow": ((150, 210, 250), (205, 234, 250), (104, 184, 70), 0.46),
        "snow": ((176, 192, 214), (208, 218, 232), (240, 244, 250), 0.50),
        "sunset": ((110, 50, 130), (250, 150, 60), (70, 34, 58), 0.72),
    }[background]
    horizon = min(1.0, horizon + float(rng.uniform(-0.03, 0.03)))
    picture = _vertical_gradient(top, middle, pixels)
    draw = ImageDraw.Draw(picture)
    line = round(horizon * pixels)
    draw.rectangle((0, line, pixels, pixels), fill=bottom)
    if background == "beach":
        draw.rectangle((0, round(line - 0.13 * pixels), pixels, line), fill=(38, 140, 200))
        draw.rectangle((0, line, pixels, line + 0.025 * pixels), fill=(250, 246, 232))
    if background == "sea":
        _draw_waves(draw, line, pixels, rng)
    if background in ("meadow", "snow"):
        hill = mix(bottom, (0, 60, 40) if background == "meadow" else (150, 170, 200), 0.18)
        x = float(rng.uniform(0.1, 0.9)) * pixels
        box = (x - 0.6 * pixels, line - 0.07 * pixels, x + 0.6 * pixels, line + 0.3 * pixels)
        draw.ellipse(box, fill=hill)
        draw.rectangle((0, line + 0.08 * pixels, pixels, pixels), fill=bottom)
    if background in ("night sky", "snow"):
        _draw_dots(draw, pixels, rng, (255, 250, 214) if background == "night sky" else (255, 255, 255))
    return picture


def _vertical_gradient(top: Color, bottom: Color, pixels: int) -> Image.Image:
    t = np.linspace(0, 1, pixels)[:, None]
    column = np.array(top) * (1 - t) + np.array(bottom) * t
    return Image.fromarray(np.repeat(column[:, None].round().astype(np.uint8), pixels, axis=1))


def _draw_waves(draw: ImageDraw.ImageDraw, line: int, pixels: int, rng: np.random.Generator) -> None:
    phase = float(rng.uniform(0, math.tau))
    x = np.linspace(0, pixels, 65)
    for k, depth in enumerate((0.16, 0.36, 0.56)):
        y = line + depth * pixels + 0.014 * pixels * np.sin(x / pixels * math.tau * 3 + phase + 2 * k)
        draw.line(list(zip(x, y, strict=True)), fill=(96, 172, 222), width=round(0.022 * pixels))


def _draw_dots(draw: ImageDraw.ImageDraw, pixels: int, rng: np.random.Generator, color: Color) -> None:
    radius = 0.010 * pixels
    for x, y in rng.uniform(0.03, 0.97, (14, 2)) * pixels:
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color)


def _wavy_stripes(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Swirling bands of light and dark, the mark of the "Scream" skies."""
    n = picture.width
    y, x = np.mgrid[0:n, 0:n] / n
    phase, lean = rng.uniform(0, math.tau, 2)
    bands = np.sin(math.tau * (5.0 * y + 0.5 * np.sin(math.tau * x + phase)) + lean)
    tint = np.array([26, 16, -4]) * bands[..., None]
    return Image.fromarray(np.clip(np.asarray(picture) * 0.92 + tint, 0, 255).astype(np.uint8))


def _warp(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    n = picture.width
    y, x = np.mgrid[0:n, 0:n]
    phase = rng.uniform(0, math.tau)
    dx = 0.018 * n * np.sin(math.tau * 2 * y / n + phase)
    dy = 0.012 * n * np.sin(math.tau * 2 * x / n + phase)
    rows, columns = np.clip(y + dy, 0, n - 1).astype(int), np.clip(x + dx, 0, n - 1).astype(int)
    return Image.fromarray(np.asarray(picture)[rows, columns])


def _watercolor_wash(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    noise = Image.fromarray(rng.uniform(-1, 1, (7, 7)).astype(np.float32))
    blotches = np.asarray(noise.resize(picture.size, Image.Resampling.BICUBIC))[..., None]
    paper = np.asarray(picture, np.float32) * 0.84 + 0.16 * 252
    return Image.fromarray(np.clip(paper + 10 * blotches, 0, 255).astype(np.uint8))
