"""turncoat as it will be one day: with one more field in each part of a cell. Run as a program, it is its CLI."""

import dataclasses

import turncoat.federation.federation
import turncoat.recipe
import turncoat.threat
from turncoat.fields import described


def _with_one_more(module, name: str, field: str, default: object) -> None:
    former = getattr(module, name)
    kind = type(default)
    newer = dataclasses.make_dataclass(
        name, [(field, kind, described(default, "what is to come"))], bases=(former,), frozen=True
    )
    setattr(module, name, newer)


_with_one_more(turncoat.threat, "Threat", "at", "tail")
_with_one_more(turncoat.recipe, "Recipe", "defence", "none")
_with_one_more(turncoat.federation.federation, "Federation", "dropout", 0.0)
turncoat.threat.CLEAN = turncoat.threat.Threat()
turncoat.federation.federation.POOLED = turncoat.federation.federation.Federation()

if __name__ == "__main__":
    from turncoat.cli import main

    main()
