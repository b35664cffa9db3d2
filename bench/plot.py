"""Plots for what was measured, as plain SVG."""

from collections.abc import Mapping
from html import escape

ROW = 26
LEFT = 230
WIDTH = 520


def bars(title: str, values: Mapping[str, float]) -> str:
    """A horizontal bar for each value."""
    top = max(values.values(), default=1.0) or 1.0
    height = 50 + ROW * len(values)
    width, heading = LEFT + WIDTH + 110, escape(title)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}">',
        "<style>text { font: 13px sans-serif }</style>",
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="12" y="24">{heading}</text>',
    ]
    for at, (name, value) in enumerate(values.items()):
        y = 42 + at * ROW
        width = WIDTH * value / top
        lines += [
            f'<text x="{LEFT - 8}" y="{y + 14}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="{ROW - 8}" fill="#3b6ea8"/>',
            f'<text x="{LEFT + width + 6:.1f}" y="{y + 14}">{value:,.0f}</text>',
        ]
    return "\n".join([*lines, "</svg>"]) + "\n"
