"""Turn a checkpoint's JSON into a frozen dataclass, refusing what the code does not do."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self, TypeVar

from litefocus_jax.system.messages import plain, shown
from litefocus_jax.system.typed_json import Range, field_types, parse_object, read_as

T = TypeVar("T")

Count = Annotated[int, Range(1, 2**31 - 1)]
"""How many there are of something that is there. What a model has weights for is also bounded by those."""

Layers = Annotated[int, Range(1, 1_000)]
"""How many layers follow each other."""

Epsilon = Annotated[float, Range(1e-30, 0.1)]
"""What is added to a variance before it divides."""

_LARGEST_FILE = 2**27  # bytes: tokenizers and indices of shards have some megabytes


class ConfigError(ValueError):
    """A configuration asks for something that is not supported, or contradicts itself."""

    def __init__(self, message: str) -> None:
        super().__init__(plain(message))


_LISTED = 12  # problems of one file


def _name(key: str) -> str:
    """A key as messages show it: as it is where it is a plain name, else escaped."""
    return key if key.isidentifier() and key.isascii() and len(key) <= 60 else shown(key)


def _is_one_of(value: Any, allowed: tuple[Any, ...]) -> bool:
    """By type too, since False equals 0 and 2 equals 2.0."""
    return any(value == choice and type(value) is type(choice) for choice in allowed)


def _freeze(value: Any) -> Any:
    """Lists from JSON become tuples, at every depth, so that configs stay hashable."""
    if isinstance(value, list | tuple):
        return tuple(_freeze(item) for item in value)
    return value


@dataclasses.dataclass(frozen=True)
class JsonConfig:
    """Base of all model configurations.

    A subclass declares the fields the code honours; each is checked against its annotation, in which a `Range` may
    stand (``Annotated[int, Range(1, 8)]``). Every other key of the JSON is judged by two class tables:
    ``REQUIRED`` maps a key to the values under which our forward pass is right (anything else is an error), and
    ``IGNORED`` names keys that do not change the forward pass. With ``STRICT``, a key on neither table is an error
    unless its value is null or false; otherwise it is ignored (transformers' files carry dozens of such keys).
    """

    CLASS_NAME: ClassVar[str] = ""
    REQUIRED: ClassVar[Mapping[str, tuple[Any, ...]]] = {}
    IGNORED: ClassVar[frozenset[str]] = frozenset()
    STRICT: ClassVar[bool] = True

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], source: str | Path = "configuration") -> Self:
        """Read a configuration from the parsed JSON of a checkpoint.

        Args:
            values: the parsed JSON object.
            source: where it came from, for error messages.

        Raises:
            ConfigError: naming every field that is unsupported, unknown or malformed, all at once.
        """
        fields = {field.name for field in dataclasses.fields(cls)}
        problems = []
        if cls.CLASS_NAME and values.get("_class_name", cls.CLASS_NAME) != cls.CLASS_NAME:
            problems.append(f"_class_name = {shown(values['_class_name'])}; expected {cls.CLASS_NAME!r}")
        for key, allowed in cls.REQUIRED.items():
            if key in values and not _is_one_of(_freeze(values[key]), allowed):
                choices = " or ".join(repr(choice) for choice in allowed)
                problems.append(f"{key} = {shown(values[key])} is not supported; expected {choices}")
        if cls.STRICT:
            known = fields | set(cls.REQUIRED) | cls.IGNORED
            for key, value in values.items():
                if key not in known and not key.startswith("_") and value not in (None, False):
                    problems.append(f"{_name(key)} = {shown(value)} is not a field this version knows")
        hints = field_types(cls)
        for key in fields & set(values):
            try:
                read_as(hints[key], _freeze(values[key]), key)
            except ValueError as error:
                problems.append(str(error))
        if len(problems) == 1:
            raise ConfigError(f"{source}: {problems[0]}")
        if problems:
            more = [f"... and {len(problems) - _LISTED} more"] * (len(problems) > _LISTED)
            listed = "\n  ".join([*sorted(problems)[:_LISTED], *more])
            raise ConfigError(f"{source}: {cls.__name__} cannot be read:\n  {listed}")
        try:
            return cls(**{key: _freeze(value) for key, value in values.items() if key in fields})
        except ConfigError as error:
            raise ConfigError(f"{source}: {error}") from None
        except TypeError as error:
            raise ConfigError(f"{source}: {cls.__name__} is incomplete: {error}") from None

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """Read a configuration from a JSON file.

        Raises:
            ConfigError: when the file is missing, is not a JSON object, or fails `from_dict`.
        """
        return cls.from_dict(read_json(path), source=path)

    @classmethod
    def tiny(cls) -> Self:
        """A configuration of the published architecture that is small enough for tests."""
        raise NotImplementedError(f"{cls.__name__} has no tiny form")

    def to_dict(self) -> dict[str, Any]:
        """The JSON object that `from_dict` reads back to an equal configuration."""
        values = dataclasses.asdict(self)
        return {"_class_name": self.CLASS_NAME, **values} if self.CLASS_NAME else values


def read_json(path: str | Path) -> dict[str, Any]:
    """Parse a JSON object from a file.

    Raises:
        ConfigError: when the file is missing, is not valid JSON, or does not hold an object.
    """
    path = Path(path)
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise ConfigError(f"{path} is not a regular file; expected a JSON configuration there")
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise ConfigError(f"{path} has {path.stat().st_size:,} bytes; expected JSON of at most {_LARGEST_FILE:,}")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist; expected a JSON configuration there") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not valid JSON: {error}") from None
    try:
        return parse_object(text, str(path), allow_non_finite=True)
    except ValueError as error:
        raise ConfigError(str(error)) from None


def per_level(value: T | tuple[T, ...], levels: int, name: str) -> tuple[T, ...]:
    """Expand a field given once to one value per resolution level, or check the length of one given per level.

    Raises:
        ConfigError: when a tuple has another length than the number of levels.
    """
    if not isinstance(value, tuple):
        return (value,) * levels
    if len(value) != levels:
        raise ConfigError(f"{name} = {value!r} has {len(value)} entries; expected one for each of {levels} levels")
    return value
