"""A group of commands that says what was probably meant."""

from typing import Any

import click

from turncoat.errors import choose


class Stopped(Exception):
    """The user has typed Ctrl-C during the command of this name; click's own answer prints an empty line."""


class Closed(Exception):
    """Whoever read our output has closed it; click's own answer is to fail."""


class Suggesting(click.Group):
    """A click group whose unknown commands and options are answered with the nearest known one."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command.

        Raises:
            TurncoatError: with the nearest name, if there is none.
        """
        if args and not args[0].startswith("-"):
            choose(args[0], self.list_commands(ctx), "command")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command.

        Raises:
            Stopped: when it is interrupted.
            Closed: when nobody reads what it prints.
        """
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise Stopped(ctx.invoked_subcommand or "") from error
        except BrokenPipeError as error:
            raise Closed from error
