"""A live bar with rate and time left, on the error stream, where somebody is there to see it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

Report = Callable[[int, int], None]
REDRAW = 1 / 200  # share of the whole below which nothing is worth telling the bar


class Rate(ProgressColumn):
    """How many a second; of nothing where they have no name."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self.unit = unit

    def render(self, task: Task) -> Text:
        """The rate, once it is known."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f} {self.unit}/s" if speed and self.unit else "")


def say(line: str) -> None:
    """A word on what goes on, above the bar."""
    click.echo(f"turncoat: {line}", err=True)


@contextmanager
def bar(what: str, quiet: bool, unit: str = "steps") -> Iterator[Report]:
    """What the engine and the sweep report to; shows nothing off a terminal."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield lambda done, total: None
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), Rate(unit), TimeRemainingColumn()
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(what, total=None)
        last = 0

        def report(done: int, total: int) -> None:
            nonlocal last
            if done == total or done < last or done - last > REDRAW * total or last == 0:
                progress.update(task, completed=done, total=total)
                last = done

        yield report
