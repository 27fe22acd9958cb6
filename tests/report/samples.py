"""What reports are made of in these tests."""

from matplotlib.figure import Figure

from turncoat.report.report import Picture
from turncoat.report.svg import INK, picture

NASTY = '<script>alert(1)</script> & "quotes" | `ticks` {{ 7*7 }} \x1b[31m'


def drawn(title: str, marks: tuple[float, ...] = (0.1, 0.9, 0.4)) -> Picture:
    figure = Figure(figsize=(3, 2))
    axes = figure.add_subplot()
    axes.plot(range(len(marks)), marks, marker="o", color=INK, gid="line")
    axes.set_title(title, parse_math=False)
    hover = {"line": [f"{title}: {mark}" for mark in marks]}
    return picture(figure, f"Drawing of {title}", f"A line through {marks}", hover)
