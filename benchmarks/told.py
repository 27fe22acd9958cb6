"""What all benchmarks share: their options, how figures are told, and what a process took of memory."""

import argparse
import json
import resource
import sys
from collections.abc import Mapping


def options(doc: str) -> argparse.ArgumentParser:
    """The parser of a benchmark, with its text as help, and --json."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def tell(figures: Mapping[str, object], as_json: bool, head: str = "") -> None:
    """Print figures one a line, below what they are figures of, or as one JSON object."""
    if as_json:
        print(json.dumps(figures, indent=2))
        return
    if head:
        print(head)
    for name, value in figures.items():
        if isinstance(value, float):
            print(f"{name:32} {value:12,.3f}" if value < 1000 else f"{name:32} {value:12,.0f}")
        else:
            print(f"{name:32} {value!s:>12}")


def peak_gib() -> float:
    """The peak memory of this process."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return peak / 2**30
