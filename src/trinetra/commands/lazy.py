"""Groups of commands whose members are imported when they are called.

All commands together take seconds to import. A group therefore knows of each member only its module
and the line that help shows; this is the one place where the command line imports by name.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup


@dataclass(frozen=True, slots=True)
class LazyCommand:
    """A command or group that the ``register`` of a module of ``trinetra.commands`` adds.

    ``help`` repeats the command's own help, which cannot be read without importing it.
    """

    module: str
    help: str

    def load(self, name: str) -> Any:
        """Import the module and return the command."""
        holder = typer.Typer()
        import_module(f"trinetra.commands.{self.module}").register(holder)
        return typer.main.get_group(holder).commands[name]


class LazyGroup(TyperGroup):
    """A group that also has the commands of ``members``, listed last."""

    members: Mapping[str, LazyCommand]

    def __init__(self, *, commands: Mapping[str, Any] | None = None, **attributes: Any) -> None:
        listed = {name: TyperCommand(name, help=each.help) for name, each in self.members.items()}
        super().__init__(commands={**(commands or {}), **listed}, **attributes)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Return the command that the arguments name, imported, and the arguments after it."""
        name, command, rest = super().resolve_command(ctx, args)
        member = self.members.get(name or "")
        return name, member.load(args[0]) if member else command, rest


def lazy_group(members: Mapping[str, LazyCommand]) -> type[LazyGroup]:
    """Return the class of a group with these members, for ``typer.Typer(cls=...)``."""
    return type("LazyGroupOfMembers", (LazyGroup,), {"members": members})
