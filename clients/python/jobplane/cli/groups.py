"""Groups of commands that do something when none of them is named."""

from __future__ import annotations

from typing import Any

import click


class DefaultGroup(click.Group):
    """Group that runs its default command when no command of it is named."""

    def __init__(self, *args: Any, default: str = "ls", **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self._default = default

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put in the command where there is none, or only its options."""
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = [self._default, *args]
        return super().parse_args(ctx, args)
