"""Groups of commands one of which need not be named."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup


def group_with_default(command: str) -> type[TyperGroup]:
    """Make a group in which words that begin with no command's name are meant for one of them.

    Args:
        command: the one: with `run`, `valley collect folder X` is `valley collect run folder X`.
    """

    class Group(TyperGroup):
        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 (typer brings its own click)
            if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
                args = [command, *args]
            return super().parse_args(ctx, args)

    return Group
