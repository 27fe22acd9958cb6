"""What a setting's fields mean: one description that help texts, experiment files and the docs all read."""

import dataclasses
from typing import Any

_KEY = "turncoat"


@dataclasses.dataclass(frozen=True)
class Description:
    """How one field is shown to people: its help text, allowed names (if any) and command-line flag.

    The flag of a field of ``several`` names may be repeated; they arrive as one text with commas.
    """

    help: str
    choices: tuple[str, ...] = ()
    flag: str | None = None
    several: bool = False


def described(
    default: Any, help: str, choices: tuple[str, ...] = (), flag: str | None = None, several: bool = False
) -> Any:  # a dataclass field; typed Any so that the field keeps its declared type
    """A dataclass field with a default and a description."""
    return dataclasses.field(default=default, metadata={_KEY: Description(help, choices, flag, several)})


def descriptions(cls: type) -> dict[str, tuple[dataclasses.Field[Any], Description]]:
    """The described fields of a dataclass, by name."""
    return {f.name: (f, f.metadata[_KEY]) for f in dataclasses.fields(cls) if _KEY in f.metadata}


def written(record: Any) -> str:
    """A dataclass of described fields as one would type it, without what is at its default."""
    own = descriptions(type(record))
    given = {name: getattr(record, name) for name, (field, _) in own.items()}
    told = [f"{name}={value!r}" for name, value in given.items() if value != own[name][0].default]
    return f"{type(record).__name__}({', '.join(told)})"
