"""Charts as inline SVG. Colours and sizes come from the page's style sheet by class; no style attribute, no script."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from opsml_cli.cli import text as texts

COLOURS = 6  # classes c0…c5 of the style sheet
_WIDTH, _HEIGHT = 420, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 14, 12, 44


def safe(value: object) -> str:
    """Untrusted text for HTML, in an element or an attribute."""
    return escape(texts.escape_line(str(value)), quote=True)


@dataclass(frozen=True, slots=True)
class Line:
    """A line through `points`, or its points alone (`dots`)."""

    points: Sequence[tuple[float, float]]
    label: str = ""
    colour: int = 0
    dots: bool = False
    line: bool = True


@dataclass(frozen=True, slots=True)
class Axes:
    """What the axes say and span. `reference`: the dashed line of a model that knows nothing, or of a perfect one."""

    x: str
    y: str
    x_span: tuple[float, float] = (0.0, 1.0)
    y_span: tuple[float, float] = (0.0, 1.0)
    reference: tuple[tuple[float, float], tuple[float, float]] | None = None


def chart(title: str, axes: Axes, lines: Sequence[Line], mark: tuple[float, float] | None = None) -> str:
    """One chart with a caption; `mark` is a point that stands out (the threshold in use)."""
    (x_low, x_high), (y_low, y_high) = axes.x_span, axes.y_span

    def place(point: tuple[float, float]) -> str:
        x = _LEFT + (point[0] - x_low) / (x_high - x_low) * (_WIDTH - _LEFT - _RIGHT)
        y = _HEIGHT - _BOTTOM - (point[1] - y_low) / (y_high - y_low) * (_HEIGHT - _TOP - _BOTTOM)
        return f"{x:.1f} {y:.1f}"

    parts = []
    for value in _ticks(y_low, y_high):
        x, y = place((x_low, value)).split()
        parts.append(f'<path class="grid" d="M{x} {y}H{_WIDTH - _RIGHT}"/>')
        parts.append(f'<text class="tick end" x="{_LEFT - 6}" y="{float(y) + 4:.1f}">{value:.4g}</text>')
    for value in _ticks(x_low, x_high):
        x = place((value, y_low)).split()[0]
        parts.append(f'<text class="tick middle" x="{x}" y="{_HEIGHT - _BOTTOM + 16}">{value:.4g}</text>')
    parts.append(f'<path class="axis" d="M{_LEFT} {_HEIGHT - _BOTTOM}H{_WIDTH - _RIGHT}"/>')
    parts.append(f'<text class="label middle" x="{(_WIDTH + _LEFT) / 2:.0f}" y="{_HEIGHT - 8}">{safe(axes.x)}</text>')
    middle = (_HEIGHT - _BOTTOM + _TOP) / 2
    parts.append(f'<text class="label middle" transform="translate(12 {middle:.0f}) rotate(-90)">{safe(axes.y)}</text>')
    if axes.reference is not None:
        parts.append(f'<path class="reference" d="M{place(axes.reference[0])}L{place(axes.reference[1])}"/>')
    for line in lines:
        colour = f"c{line.colour % COLOURS}"
        if line.line and len(line.points) > 1:
            parts.append(f'<path class="line {colour}" d="M{"L".join(place(point) for point in line.points)}"/>')
        if line.dots:
            for point in line.points:
                x, y = place(point).split()
                parts.append(f'<circle class="dot {colour}" cx="{x}" cy="{y}" r="{3.5 if line.line else 2}"/>')
    if mark is not None:
        x, y = place(mark).split()
        parts.append(f'<circle class="mark" cx="{x}" cy="{y}" r="5"/>')
    named = [line for line in lines if line.label]
    legend = "".join(f'<li class="c{line.colour % COLOURS}">{safe(line.label)}</li>' for line in named)
    return (
        f'<figure><figcaption>{safe(title)}</figcaption><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{safe(title)}">{"".join(parts)}</svg>{f"<ul>{legend}</ul>" if len(named) > 1 else ""}</figure>'
    )


def bars(title: str, values: Sequence[tuple[str, float]]) -> str:
    """Horizontal bars with their shares, largest first as given."""
    most = max((value for _, value in values), default=0.0) or 1.0
    height = 24 * len(values) + 8
    parts = []
    for index, (name, value) in enumerate(values):
        y = 24 * index + 6
        parts.append(f'<text class="tick end" x="208" y="{y + 12}">{safe(texts.shorten(texts.escape_line(name), 30))}</text>')
        parts.append(f'<rect class="bar" x="216" y="{y}" width="{max(1.0, 380 * value / most):.1f}" height="16" rx="2"/>')
        parts.append(f'<text class="tick" x="{222 + 380 * value / most:.1f}" y="{y + 12}">{100 * value:.1f} %</text>')
    drawing = f'<svg viewBox="0 0 680 {height}" role="img" aria-label="{safe(title)}">{"".join(parts)}</svg>'
    return f"<figure>{drawing}</figure>"


def span(values: Sequence[float]) -> tuple[float, float]:
    """The range of finite values with a little room; never empty."""
    sound = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    low, high = min(sound), max(sound)
    room = (high - low) * 0.04 or abs(low) * 0.1 or 1.0
    return low - room, high + room


def _ticks(low: float, high: float) -> list[float]:
    """About five round values in the range."""
    rough = (high - low) / 5
    size = 10.0 ** math.floor(math.log10(rough))
    step = size * next(factor for factor in (1, 2, 5, 10) if factor * size >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round((first + index) * step, 12) + 0.0 for index in range(int((high - first * step) / step + 1e-9) + 1)]
