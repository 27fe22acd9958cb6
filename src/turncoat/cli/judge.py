"""``turncoat reproduce claims`` and ``extract``: verdicts, and the numbers behind them in small files."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from turncoat.cli.asked import asking, made, refuse_both, typed, wish
from turncoat.errors import TurncoatError
from turncoat.writing import is_shown, refuse_places, write_whole

if TYPE_CHECKING:
    import pandas as pd

    from turncoat.reproduce.evidence import Evidence
    from turncoat.reproduce.plan import Known, Wanted
    from turncoat.reproduce.verdicts import Judged, Plans


@click.command("claims")
@asking
@click.option(
    "--csv", metavar="FILE", help="Write one row per claim, scale and statistic; - is standard output."
)
@click.option("--json", "json_file", metavar="FILE", help="Write the same as a JSON list.")
@click.option("-o", "--output", metavar="FILE.md", help="Write all tables, pictures and rules as Markdown.")
@click.option("--all", "whole", is_flag=True, help="Print every scale, reading and part, and what was run.")
@click.option(
    "--pictures",
    default="reproduced",
    show_default=True,
    metavar="FOLDER",
    help="Where the Markdown's pictures and links lead: what `turncoat reproduce -o FOLDER` drew; '' for none.",
)
def claims_(
    store: str,
    extract: str | None,
    csv: str | None,
    json_file: str | None,
    output: str | None,
    whole: bool,
    pictures: str,
    **asked: Any,
) -> None:
    """Judge the papers' claims by stated rules from what was measured."""
    from turncoat.reproduce import claims_page, gallery, verdicts

    places = [Path(file) for file in (csv, json_file, output) if file]
    refuse_places(places)
    evidence, plans = gathered(store, extract, wish(asked))
    rows = verdicts.judged(evidence, plans, typed(asked) + f" --store {store}")
    table = verdicts.details(rows)
    if csv:
        write_whole(Path(csv), lambda path: table.to_csv(path, index=False))
    if json_file:
        write_whole(Path(json_file), lambda path: table.to_json(path, orient="records", indent=1))
    if output:
        runs, folder, start = verdicts.coverage(evidence, plans), Path(pictures or "."), Path(output).parent
        text = claims_page.markdown(rows, runs, evidence.origins, folder if pictures else None, start)
        if pictures:
            text = gallery.linked(text, folder, start)
        write_whole(Path(output), lambda path: path.write_text(text, encoding="utf-8"))
    for path in () if any(map(is_shown, places)) else places:
        click.echo(str(path))
    if not places or whole:
        show_claims(rows, verdicts.coverage(evidence, plans) if whole else None)


def gathered(store: str, extract: str | None, wanted: "Wanted") -> "tuple[Evidence, Plans]":
    """The evidence on all artefacts' runs, and the runs that each wants in each scale.

    Raises:
        TurncoatError: if there is none with these settings.
    """
    from turncoat.reproduce import artefacts, evidence, plan
    from turncoat.reproduce.verdicts import Share
    from turncoat.sweep import experiment
    from turncoat.sweep.cells import key

    held, known = holdings(store, extract)
    plans: dict[str, dict[str, Share]] = {}
    cells: dict[str, Any] = {}
    for artefact in artefacts.chosen(["all"]):
        plans[artefact.name] = {}
        for one in plan.as_measured(artefact, wanted, known):
            own = {key(cell): cell for cell in experiment.cells(one)}
            plans[artefact.name][one.axes["scale"][0]] = Share(own.keys(), plan.shortened(artefact, one))
            cells |= own
    found = held.of(cells.values()) if held else evidence.from_store(store, cells.values())
    if found.points.empty:
        raise TurncoatError(
            f"{extract or store} holds no run of an artefact with these settings; were they other --epochs, --scale,"
            " --seeds, or --quick?"
        )
    return found, plans


def holdings(store: str, extract: str | None) -> "tuple[Evidence | None, Known]":
    """What extracts hold, if they are to be read in place of the store, and which runs are known."""
    from turncoat.reproduce import extracts
    from turncoat.reproduce.plan import Known
    from turncoat.sweep.store import open_store

    refuse_both(extract)
    if extract is None:
        if not Path(store).exists():
            raise TurncoatError(
                f"{store}: there is no such store; train into it with: turncoat reproduce NAMES --store {store}"
            )
        with open_store(store) as opened:
            return None, Known(opened.keys(), opened.lengths())
    held = extracts.read(Path(extract))
    return held, Known(set(held.points["key"]), set(held.points["epochs"]))


def show_claims(rows: "list[Judged]", runs: "pd.DataFrame | None") -> None:
    """Print one row per claim; with what was run, every scale, reading and part as well."""
    from turncoat.cli.show import console
    from turncoat.reproduce import claims_page, verdicts

    out = console()
    _print(claims_page.first_table(rows))
    if runs is None:
        out.print(
            "every scale, reading and part: --all; with rules and pictures: -o FILE.md; as data: --csv, --json"
        )
        return
    for group in verdicts.by_claim(rows):
        out.print(f"\nclaim {group[0].claim.number}: {claims_page.outcome(group)}")
        out.print(f"rule: {group[0].claim.rule}.")
        if group[0].train and not any(row.finding for row in group):
            out.print(f"train it with: {group[0].train}")
            continue
        _print(claims_page.readings(group))
        _print(claims_page.parts(group))
    out.print("\nwhat was run")
    _print(runs)


def _print(table: "pd.DataFrame") -> None:
    from turncoat.cli.show import Column, print_table, records

    prose = ("claim", "paper", "part", "ours", "what", "warnings", "cut", "command")
    columns = [Column(str(name), "prose" if name in prose else "figure") for name in table.columns]
    columns = [dataclasses.replace(column, justify="left") for column in columns]
    print_table(columns, [[str(value) for value in row.values()] for row in records(table)])


@click.command("extract")
@click.argument("names", nargs=-1, metavar="NAME...")
@asking
@click.option("-o", "--output", default="results", show_default=True, metavar="FOLDER", help="Where to.")
def extract_(names: tuple[str, ...], output: str, store: str, extract: str | None, **asked: Any) -> None:
    """Write what pictures and claims need to small files (of the artefacts NAME..., or all)."""
    from turncoat.reproduce import artefacts, evidence, extracts, plan

    wanted = wish(asked)
    named = artefacts.chosen(names or ("all",))
    held, known = holdings(store, extract)
    chosen = {a: plan.cells(plan.as_measured(a, wanted, known)) for a in named}
    every = dict.fromkeys(cell for cells in chosen.values() for cell in cells)
    if held is not None:
        found = held.of(every)
    else:
        long = [cell for a, cells in chosen.items() if a.figure == "epochs" for cell in cells]
        found = evidence.from_store(store, every, long)
    if found.points.empty:
        raise TurncoatError(
            f"{store} holds none of these cells; say which epochs and scale it has, or train them"
        )
    for path in extracts.write(found, made(output)):
        click.echo(f"{path}: {path.stat().st_size / 2**20:.2f} MiB")
