"""Where a recipe is found: in a sound, in a picture, or in a JSON file."""

from pathlib import Path

from litefocus_jax.audio.tags import read_comment
from litefocus_jax.generation.recipe import Recipe, RecipeError
from litefocus_jax.system.files import write_json

SUFFIX = ".json"


def read_recipe(path: str | Path) -> Recipe:
    """The recipe of a sound.

    Args:
        path: a sound file or a picture that litefocus-jax wrote, or a JSON file of `write_recipe`.

    Raises:
        RecipeError: when there is none, or the file is damaged, or of another version.
        OSError: when it cannot be read.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; expected a sound, a picture or a JSON file")
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; expected a sound, a picture or a JSON file")
    if not path.is_file():  # a pipe would be waited for
        raise RecipeError(f"{path} is not a regular file; expected a sound, a picture or a JSON file")
    if path.suffix.lower() == SUFFIX:
        try:
            comment = path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise RecipeError(f"{path} is not UTF-8 text: {error}") from None
    else:
        try:
            comment = read_comment(path)
        except ValueError as error:
            raise RecipeError(str(error)) from None
    if comment is None:
        raise RecipeError(
            f"{path} does not say what it was made of: litefocus-jax did not make it, or another program wrote it anew"
        )
    return Recipe.from_json(comment, str(path))


def write_recipe(path: str | Path, recipe: Recipe) -> None:
    """Write a recipe as a JSON file, whole or not at all.

    Raises:
        OSError: when it cannot be written.
    """
    write_json(Path(path), recipe.to_dict())
