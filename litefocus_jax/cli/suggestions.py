"""Mistyped commands, options and choices: what was probably meant."""

import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

import typer
from typer.core import TyperCommand

_UsageError: type[Exception] = typer.BadParameter.__mro__[1]  # which typer does not export by name
_CHOICE = re.compile(r"(?:Value error, )?'(?P<value>.*)' is not one of (?P<choices>'.*')\.?", re.DOTALL)


def did_you_mean(value: str, known: Sequence[str]) -> str:
    """A sentence that names the known word nearest to one, with a space before it; empty where none is near.

    >>> did_you_mean("stesp", ["seed", "steps"])
    " Did you mean 'steps'?"
    """
    by_lower_case = {word.lower(): word for word in known}
    near = get_close_matches(value.lower(), by_lower_case, n=1)
    return f" Did you mean {by_lower_case[near[0]]!r}?" if near else ""


class SuggestingCommand(TyperCommand):
    """A command whose usage errors say which option or choice is near to what was typed."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the command line."""
        options = [option for parameter in self.params for option in parameter.opts if option.startswith("--")]
        try:
            return super().parse_args(ctx, args)
        except _UsageError as error:
            _add_suggestion(error, options)
            raise


def _add_suggestion(error: Any, options: list[str]) -> None:
    unknown = getattr(error, "option_name", None)
    if hasattr(error, "possibilities") and isinstance(unknown, str):
        error.possibilities = None
        if not error.message.rstrip().endswith("?"):
            error.message = f"{error.message.rstrip('.')}.{did_you_mean(unknown, options)}"
    elif match := _CHOICE.fullmatch(error.message):
        choices = re.findall(r"'([^']*)'", match["choices"])
        error.message = (
            f"{match['value']!r} is not one of {', '.join(map(repr, choices))}.{did_you_mean(match['value'], choices)}"
        )
    else:
        error.message = error.message.removeprefix("Value error, ")
