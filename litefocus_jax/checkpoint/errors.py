"""What is wrong with a checkpoint, all of it in one error."""

from collections.abc import Sequence

from litefocus_jax.system.messages import plain, shown

_LONGEST_NAME = 160
_LISTED = 12  # lines shown of each kind of problem


class CheckpointError(ValueError):
    """A checkpoint cannot be read, does not fit the model, or cannot be written."""

    def __init__(self, message: str) -> None:
        super().__init__(plain(message))


def listed(lines: Sequence[str], indent: int = 2) -> str:
    """Indented lines for an error message; a long list is cut and says how many more there are."""
    rest = [f"... and {len(lines) - _LISTED} more"] * (len(lines) > _LISTED)
    return "\n".join(" " * indent + line for line in [*lines[:_LISTED], *rest])


class Problems:
    """Collects problems by kind, and raises them all as one error."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._kinds: dict[str, list[str]] = {}

    def add(self, kind: str, line: str) -> None:
        """Note one line about a kind of problem."""
        self._kinds.setdefault(kind, []).append(line)

    def raise_any(self) -> None:
        """Raise one `CheckpointError` with all that was noted, if anything was."""
        if not self._kinds:
            return
        lines = [f"{self._source}: the weights do not fit the model"]
        for kind, found in self._kinds.items():
            lines += [f"  {kind} ({len(found)}):", listed(found, indent=4)]
        raise CheckpointError("\n".join(lines))


def describe(name: str, shape: Sequence[int]) -> str:
    """A tensor or parameter as error messages show it."""
    return f"{tensor_name(name)} {shown(list(shape), _LONGEST_NAME)}"


def tensor_name(name: str) -> str:
    """A name out of a file as error messages show it: as it is, unless it is long or has control characters."""
    return name if name.isascii() and name.isprintable() and len(name) <= _LONGEST_NAME else shown(name, _LONGEST_NAME)
