"""svg: line charts as small SVG files, readable on light and dark pages."""
from html import escape
from math import ceil, floor, log10

WIDTH, LEFT, RIGHT, TOP, BOTTOM, GAP = 760, 76, 24, 84, 52, 54
LIGHT = {"page": "#ffffff", "ink": "#1c2126", "soft": "#5b6670",
         "grid": "#e3e7ea"}
DARK = {"page": "#15191d", "ink": "#e6eaed", "soft": "#9aa5ae",
        "grid": "#2b3238"}
LINES = ("#0b62c4", "#c2410c", "#6d7a00", "#8b2fc9", "#00786f")
LINES_DARK = ("#6cb2ff", "#ff9a5c", "#c3d05a", "#d59bff", "#4fd1c5")


def colors(tone, lines):
    """Plain rules, no variables: some viewers know no var()."""
    return (f"text {{ fill: {tone['ink']} }} .soft {{ fill: {tone['soft']} }}"
            f" .page {{ fill: {tone['page']} }}"
            f" .grid {{ stroke: {tone['grid']} }}"
            f" .axis, .mark {{ stroke: {tone['soft']} }}\n" + " ".join(
                f".c{i} {{ stroke: {c} }} .d{i} {{ fill: {c} }}"
                for i, c in enumerate(lines)) + "\n")


STYLE = ("\ntext { font: 13px system-ui, 'DejaVu Sans', sans-serif }\n"
         ".title { font-size: 16px; font-weight: 600 }\n"
         ".line { fill: none; stroke-width: 2; stroke-linejoin: round }\n"
         ".mark { stroke-dasharray: 4 4 }\n" + colors(LIGHT, LINES) +
         "@media (prefers-color-scheme: dark) {\n" + colors(DARK, LINES_DARK) +
         "}\n")
DASHES = ("", "7 3", "2 3", "9 3 2 3", "5 2")


class Series:
    """points: (x, y) in order of x; color: 0..4; dots: a mark on each."""

    def __init__(self, name, points, color, dots=False):
        self.name, self.points = name, points
        self.color, self.dots = color, dots


class Panel:
    """One pair of axes.  ylog: from 1 on, what is under 1 stands at 0."""

    def __init__(self, label, series, height=220, ylog=False, ymin=0, ymax=None,
                 percent=False):
        self.label, self.series, self.height = label, series, height
        self.ylog, self.percent, self.ymin = ylog, percent, ymin
        top = max((y for s in series for _, y in s.points), default=1)
        self.ymax = ymax or (10 ** max(1, ceil(log10(max(top, 1))))
                             if ylog else top * 1.05 or 1)

    def place(self, y):
        """0 at the foot, 1 at the head."""
        if self.ylog:
            return 0 if y < 1 else (1 + log10(y)) / (1 + log10(self.ymax))
        return (y - self.ymin) / (self.ymax - self.ymin)

    def ticks(self):
        if self.ylog:
            return [0] + [10 ** k for k in range(int(log10(self.ymax)) + 1)]
        return steps(self.ymin, self.ymax)

    def text(self, y):
        return f"{100 * y:g} %" if self.percent else f"{y:,.10g}"


def steps(low, high, wanted=5):
    """Round numbers from low to high."""
    size = 10 ** floor(log10((high - low) / wanted))
    size *= next(m for m in (1, 2, 5, 10) if (high - low) / size / m <= wanted)
    k = ceil(low / size - 1e-9)
    out = []
    while k * size <= high + size * 1e-6:
        out.append(round(k * size, 10))
        k += 1
    return out


def draw(path, title, xlabel, panels, xs=None, mark=None):
    """xs: ticks of the x axis; mark: (x, text), a line across all panels."""
    low = min(x for p in panels for s in p.series for x, _ in s.points)
    high = max(x for p in panels for s in p.series for x, _ in s.points)
    low = min(low, 0)
    high = high if high > low else low + 1
    xs = xs or steps(low, high, 8)
    wide = WIDTH - LEFT - RIGHT

    def at(x):
        return LEFT + (x - low) / (high - low) * wide

    total = TOP + sum(p.height + GAP for p in panels) - GAP + BOTTOM
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} '
           f'{total}" role="img" aria-label="{escape(title)}">'
           f"<style>{STYLE}</style>",
           f'<rect class="page" width="{WIDTH}" height="{total}"/>',
           f'<text class="title" x="{LEFT}" y="24">{escape(title)}</text>']
    x = LEFT
    for s in panels[0].series:
        out.append(f'<path class="line c{s.color}" '
                   f'stroke-dasharray="{DASHES[s.color]}" '
                   f'd="M{x} 43h24"/><text x="{x + 30}" y="47">'
                   f"{escape(s.name)}</text>")
        x += 30 + 7.2 * len(s.name) + 18
    y0 = TOP
    for p in panels:
        foot = y0 + p.height

        def up(y):
            return foot - max(0, min(1, p.place(y))) * p.height

        out.append(f'<text class="soft" x="{LEFT}" y="{y0 - 9}">'
                   f"{escape(p.label)}</text>")
        for y in p.ticks():
            out.append(f'<path class="grid" d="M{LEFT} {up(y):.1f}h{wide}"/>'
                       f'<text class="soft" x="{LEFT - 8}" y="{up(y) + 4:.1f}" '
                       f'text-anchor="end">{p.text(y)}</text>')
        out.append(f'<path class="axis" d="M{LEFT} {foot}h{wide}"/>')
        if mark:
            out.append(f'<path class="mark" d="M{at(mark[0]):.1f} {y0}'
                       f'v{p.height}"/>')
        for x in xs:
            out.append(f'<text class="soft" x="{at(x):.1f}" y="{foot + 18}" '
                       f'text-anchor="middle">{x:g}</text>')
        for s in p.series:
            d = "L".join(f"{at(x):.1f} {up(y):.1f}" for x, y in s.points)
            out.append(f'<path class="line c{s.color}" '
                       f'stroke-dasharray="{DASHES[s.color]}" d="M{d}"/>')
            out += [f'<circle cx="{at(x):.1f}" cy="{up(y):.1f}" r="3.5" '
                    f'class="d{s.color}"/>'
                    for x, y in s.points if s.dots]
        y0 = foot + GAP
    if mark:
        out.append(f'<text class="soft" x="{at(mark[0]) + 6:.1f}" '
                   f'y="{TOP + 14}">{escape(mark[1])}</text>')
    out.append(f'<text class="soft" x="{LEFT + wide / 2}" y="{total - 12}" '
               f'text-anchor="middle">{escape(xlabel)}</text></svg>')
    with open(path, "w") as f:
        f.write("\n".join(out) + "\n")
