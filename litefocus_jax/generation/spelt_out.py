"""Keyword arguments that are written once, as a `TypedDict`, shown wherever a function takes them by ``**options``."""

import inspect
import re
import textwrap
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, get_type_hints

Function = TypeVar("Function", bound=Callable[..., Any])


def spells_out(*described: tuple[type, Mapping[str, Any]]) -> Callable[[Function], Function]:
    """Show options of a function as its own: in its signature, and in its docstring for ``{NameOfTheirType}``.

    They are written once, in the `TypedDict`, and `Unpack` tells them to type checkers; this tells them to `help` and
    to editors that ask a running program.

    Args:
        described: pairs of a `TypedDict` whose docstring has an entry for each of its attributes, and what holds where
            nothing is said of them.
    """

    def decorate(function: Function) -> Function:
        signature = inspect.signature(function)
        shown = [each for each in signature.parameters.values() if each.kind is not inspect.Parameter.VAR_KEYWORD]
        for options, defaults in described:
            hints = get_type_hints(options)
            shown += [
                inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hints[name])
                for name, default in defaults.items()
            ]
            entries = textwrap.dedent(inspect.cleandoc(options.__doc__ or "").partition("Attributes:\n")[2]).rstrip()
            function.__doc__ = with_entries(function.__doc__ or "", options.__name__, entries)
        function.__signature__ = signature.replace(parameters=shown)  # pyright: ignore[reportFunctionMemberAccess]
        return function

    return decorate


def with_entries(docstring: str, name: str, entries: str) -> str:
    """`docstring` with `entries` in the place of ``{name}``, as deep as that stands.

    How deep it stands is read and not known: since Python 3.13 the compiler takes the common indentation away.
    """
    place = re.compile(rf"^( *)\{{{name}\}}", re.MULTILINE)
    return place.sub(lambda found: textwrap.indent(entries, found[1]), docstring)
