"""The command line: the only place that prints and the only one that ends the process.

Modules of commands import nothing heavy at their top, so that help comes at once.
"""

import errno
import io
import os
import sqlite3
import sys
from pathlib import Path

import click

from turncoat.cli.group import turncoat
from turncoat.cli.suggest import Closed, Stopped
from turncoat.errors import TurncoatError

USER = 2  # exit status of every mistake a user can mend
STOPPED = 130  # as shells count a process ended by Ctrl-C
FULL = "out of memory; take fewer or smaller cells at once, a smaller batch_size or a smaller model"
# how PyTorch says so, of the processor's memory, of sizes that no memory has, and of a GPU's
OUT_OF_MEMORY = ("can't allocate memory", "Storage size calculation overflowed", "out of memory")
GOES_ON = "stopped; a sweep goes on from its last checkpoint when the same command is typed again"
ONE_GO = (
    "stopped; an attack is trained in one go and keeps nothing, a sweep of the same keys can be gone on with"
)
AFTER = {"attack": ONE_GO, "sweep": GOES_ON, "reproduce": GOES_ON}  # what Ctrl-C leaves, of these commands

__all__ = ["main", "turncoat"]


def main() -> None:
    """Run the command line; every user's mistake is one line on the error stream."""
    _make_printable()
    try:
        status = turncoat.main(prog_name="turncoat", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message(), file=sys.stderr)
        sys.exit(USER)
    except click.ClickException as error:
        _fail(error.format_message())
    except (TurncoatError, sqlite3.Error) as error:
        _fail(str(error))
    except Stopped as stopped:
        _fail(AFTER.get(str(stopped), "stopped"), STOPPED)
    except (click.Abort, KeyboardInterrupt):
        _fail("stopped", STOPPED)
    except Closed:
        _leave()
    except MemoryError:
        _fail(FULL)
    except RuntimeError as error:
        if not any(sign in str(error) for sign in OUT_OF_MEMORY):
            raise
        _fail(FULL)
    except OSError as error:
        if error.errno == errno.EPIPE:
            _leave()
        where = f"{error.filename}: " if error.filename else ""
        _fail(f"{where}{error.strerror or error}")
    else:
        sys.exit(status if isinstance(status, int) else 0)


def _make_printable() -> None:
    """Nothing that is printed may fail: not where output is closed, nor for a letter that a terminal has not."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by whoever began us
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 (to the end)
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _leave() -> None:
    """Whoever read our output has closed it: nobody is left to tell."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(0)


def _fail(message: str, status: int = USER) -> None:
    print("turncoat:", " ".join(message.split()), file=sys.stderr)
    sys.exit(status)
