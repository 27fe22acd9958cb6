"""Reference pages written from the code while the site is built: a hook of MkDocs, with no plugin.

A page asks for a part by a comment of its own line, such as ``<!-- generate: commands -->``.
"""

import inspect
import re
import typing
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from turncoat.attack import rivals
from turncoat.attack.names import PLANNED
from turncoat.attack.selection import SELECTIONS
from turncoat.cli import turncoat
from turncoat.data.catalogue import DATASETS
from turncoat.defence import DEFENCES
from turncoat.federation import aggregators
from turncoat.federation.aggregators import AGGREGATORS, PREAGGREGATORS
from turncoat.federation.aggregators.contract import Limit
from turncoat.federation.attacks import GRADIENT_ATTACKS
from turncoat.fields import descriptions
from turncoat.figures import FIGURES
from turncoat.models import FORMS, MODELS
from turncoat.reproduce import gallery
from turncoat.sweep.cells import PARTS

HERE = Path(__file__).parent
TYPED = {
    "source_to_target:CLASS:CLASS": rivals.source_to_target,
    "all_to_one:CLASS": rivals.all_to_one,
    "class_by_class[:SHARE[:CLASS]]": rivals.class_by_class,
}
MARK = re.compile(r"^<!-- generate: ([a-z-]+) -->$", re.MULTILINE)
READS = {
    "nothing": "nothing",
    "scores": "label scores",
    "centred": "centred scores",
    "last_layer": "scores of the last layer",
    "logits": "the model's logits",
}


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """MkDocs calls this for every page before it is rendered."""
    return gallery.linked(filled(markdown), HERE / "figures", (HERE / page.file.src_uri).parent)


def filled(markdown: str) -> str:
    """The page with every part that it asks for."""
    return MARK.sub(lambda mark: GENERATED[mark[1]](), markdown)


def commands() -> str:
    """Every command: what it does, how it is called, its options and examples."""
    return "\n\n".join(_command(turncoat, ("turncoat",)))


def experiment_keys() -> str:
    """Every key of an experiment file, by the dataclass it belongs to."""
    parts = []
    for cls in PARTS.values():
        rows = [
            (
                f"`{name}`",
                _kind(field.type),
                f"`{_toml(field.default)}`",
                _capital(about.help) + _among(about.choices),
            )
            for name, (field, about) in descriptions(cls).items()
        ]
        heading = _first_line(cls)
        parts.append(
            f"### {cls.__name__}\n\n{heading}\n\n" + _table(("key", "kind", "default", "meaning"), rows)
        )
    return "\n\n".join(parts)


def aggregator_table() -> str:
    """Rules by name: what they need, what they do, where they come from."""
    return _table(
        ("name", "needs", "what it does", "source"),
        [_aggregator_row(name, rule) for name, rule in AGGREGATORS.items()],
    )


def preaggregator_table() -> str:
    """What may stand before a rule."""
    return _table(
        ("name", "needs", "what it does", "source"),
        [_aggregator_row(name, rule) for name, rule in PREAGGREGATORS.items()],
    )


def broken_messages() -> str:
    """The policy on NaN and infinities, as the package states it."""
    paragraphs = inspect.cleandoc(aggregators.__doc__ or "").split("\n\n")
    text = next(part for part in paragraphs if part.startswith("Broken messages."))
    return _flowing(text).replace("``", "`")


def gradient_attack_table() -> str:
    """Gradient attacks by name."""
    rows = [(f"`{name}`", _first_line(attack)) for name, attack in GRADIENT_ATTACKS.items()]
    return _table(("name", "what hostile workers send"), rows)


def selection_table() -> str:
    """Selections by name: what they read, and what they flip."""
    rows = [
        (f"`{name}`", READS[selection.needs], _first_line(selection.propose))
        for name, selection in SELECTIONS.items()
    ]
    rows += [(f"`{form}`", READS["nothing"], _first_line(factory)) for form, factory in TYPED.items()]
    rows.append((f"`{PLANNED}`", "the whole training", "What a [plan](../concepts/planning.md) of it says."))
    return _table(("name", "reads", "what it flips"), rows)


def defence_table() -> str:
    """Defences by name: where they act, and what they do."""
    where = {
        "loss": "loss", "step": "mini-batch", "round": "labels of a round", "labels": "who writes", "models": "models",
    }  # fmt: skip
    rows = []
    for name, kind in DEFENCES.items():
        example = ":".join([name, *(number.example for number in kind.numbers)])
        rows.append((f"`{example}`", where[kind.acts], kind.what))
    return _table(("such as", "acts on", "what it does"), rows)


def dataset_table() -> str:
    """Data sets by name."""
    rows = []
    for name, entry in DATASETS.items():
        files = ", ".join(f"`{file}`" for file in entry.collection.files) if entry.collection else "built in"
        kept = f"classes {', '.join(map(str, entry.kept))} alone" if entry.kept else "all classes"
        rows.append((f"`{name}`", kept, files))
    return _table(("name", "holds", "official files"), rows)


def model_table() -> str:
    """Models by name, and the forms that may be typed beside the names."""
    return "\n".join(f"- `{name}`" for name in (*MODELS, *FORMS))


def figure_table() -> str:
    """Pictures by name, with their own choices."""
    rows = []
    for name, spec in FIGURES.items():
        own = ", ".join(f"`{choice}`" for choice in spec.choices if choice != "where")
        rows.append((f"`{name}`", _capital(spec.help), own))
    return _table(("name", "what it shows", "choices"), rows)


GENERATED: Mapping[str, Callable[[], str]] = {
    "commands": commands,
    "experiment-keys": experiment_keys,
    "aggregators": aggregator_table,
    "preaggregators": preaggregator_table,
    "broken-messages": broken_messages,
    "gradient-attacks": gradient_attack_table,
    "selections": selection_table,
    "defences": defence_table,
    "datasets": dataset_table,
    "models": model_table,
    "figures": figure_table,
}


def _command(command: click.Command, path: tuple[str, ...]) -> Iterable[str]:
    context = click.Context(command, info_name=path[-1])
    yield f"{'#' * min(len(path) + 1, 4)} {' '.join(path)}"
    yield inspect.cleandoc(command.help or "").replace("\b\n", "")
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"```text\n{' '.join(path)} {usage}\n```"
    rows = []
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None:
            rows.append((f"`{record[0]}`", record[1]))
    if rows:
        yield _table(("option", "meaning"), rows)
    if command.epilog:
        yield f"```text\n{_examples(command.epilog)}\n```"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None and not inner.hidden:
                yield from _command(inner, (*path, name))


def _examples(epilog: str) -> str:
    return inspect.cleandoc(epilog).replace("\b\n", "").strip()


def _aggregator_row(name: str, rule: Callable[..., Any]) -> tuple[str, ...]:
    limit = _limit(rule)
    times = "f" if limit.factor == 1 else f"{limit.factor}f"
    plus = f" + {limit.offset}" if limit.offset else ""
    text = inspect.getdoc(rule) or ""
    found = re.search(r"^Sources?: (.+?)(?:\n\n|\Z)", text, re.MULTILINE | re.DOTALL)
    source = _flowing(found[1]) if found else limit.source
    return f"`{name}`", f"{times}{plus} < w", _first_line(rule), source


def _limit(rule: Callable[..., Any]) -> Limit:
    """What ``batched`` was given, under whatever wraps the rule."""
    found = [cell.cell_contents for cell in rule.__closure__ or ()]
    for value in found:
        if isinstance(value, Limit):
            return value
        if inspect.isfunction(value) and value.__closure__:
            found += [cell.cell_contents for cell in value.__closure__ if cell.cell_contents not in found]
    raise LookupError(f"{rule.__name__} is not batched")


def _first_line(thing: object) -> str:
    return _flowing((inspect.getdoc(thing) or "").split("\n\n")[0]).replace("``", "`")


def _flowing(text: str) -> str:
    return " ".join(text.split())


def _capital(text: str) -> str:
    # a symbol, as in "k: share of the data", keeps its case: K is something else
    return (text if text[1] == ":" else text[0].upper() + text[1:]) + "."


def _among(choices: Iterable[str]) -> str:
    names = ", ".join(f"`{choice}`" for choice in choices)
    return f" One of {names}." if names else ""


def _kind(annotation: Any) -> str:
    kinds = (annotation, *typing.get_args(annotation))
    words = {bool: "true or false", float: "number", int: "whole number", str: "text"}
    return next(word for kind, word in words.items() if kind in kinds)


def _toml(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *(tuple(map(_cell, row)) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
