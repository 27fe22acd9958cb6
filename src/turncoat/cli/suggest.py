"""A group of commands that says what was probably meant."""

import click

from turncoat.errors import choose


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
