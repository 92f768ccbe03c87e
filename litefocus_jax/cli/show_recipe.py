"""What a sound was made of, as ``litefocus-jax info`` shows it."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from litefocus_jax.cli.console import output

if TYPE_CHECKING:
    from litefocus_jax.generation.recipe import Recipe
    from litefocus_jax.generation.recipe_parts import GivenSound


def show_recipe(path: Path) -> None:
    """Print the recipe of a sound, a picture or a JSON file.

    Raises:
        RecipeError: when there is none.
        OSError: when the file cannot be read.
    """
    from litefocus_jax.generation.recipe_files import read_recipe

    recipe = read_recipe(path)
    output.print(f"{printable(str(path))}: made by litefocus-jax {printable(recipe.library_version)}\n", markup=False)
    for name, value in _rows(recipe):
        output.print(f"{name:<11}{printable(value)}", markup=False)
    output.print(f"\nMake it again: litefocus-jax generate --from {printable(str(path))} -o again.wav", markup=False)


def printable(text: str) -> str:
    """A text on one line, its control characters spelt out: it may come from anywhere.

    >>> printable("rain\\n\\x1b[2J")
    'rain\\\\n\\\\x1b[2J'
    """
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def _rows(recipe: "Recipe") -> list[tuple[str, str]]:
    rows = [("Prompt", recipe.prompt)]
    if recipe.negative_prompt:
        rows.append(("Negative", recipe.negative_prompt))
    if recipe.transcription is not None:
        rows.append(("Says", recipe.transcription))
    if recipe.phonemes is not None:
        rows.append(("Phonemes", recipe.phonemes))
    rows.append(("Seed", f"{recipe.seed}" + (f", waveform {recipe.waveform}" if recipe.waveform else "")))
    per_second = recipe.latent_frames_per_second
    counted = "" if per_second is None else f" of {per_second:g} latent frames each"
    rows.append(("Length", f"{recipe.audio_length_in_s:g} s{counted}" + (", a loop" if recipe.loop else "")))
    heads = "" if recipe.heads is None else f", heads as {recipe.heads}"
    rows.append(("Model", f"{recipe.model or 'in memory'}, {recipe.dtype}{heads}, digest {recipe.model_digest}"))
    eta = f", eta {recipe.eta:g}" if recipe.eta else ""
    zeros = ", zeros for empty prompts" if recipe.force_zeros_for_empty_prompt else ""
    rows.append(
        (
            "Sampling",
            f"{recipe.num_inference_steps} steps of {recipe.scheduler}, {recipe.timestep_spacing} spacing, "
            f"guidance {recipe.guidance_scale:g}{eta}{zeros}",
        )
    )
    attention = "dense" if recipe.litefocus is None else _fields(recipe.litefocus)
    if recipe.token_merging is not None:
        attention = f"tokens merged: {_fields(recipe.token_merging)}"
    rows.append(("Attention", attention + (", scaled scores" if recipe.scale_scores else "")))
    if recipe.audio is not None:
        rows.append(("Sound", _sound(recipe.audio)))
    if recipe.windowed is not None:
        rows.append(("Windows", _fields(recipe.windowed)))
    if recipe.neighbours is not None:
        count = len(recipe.neighbours.prompts) * recipe.neighbours.num_waveforms_per_prompt
        rows.append(("Batch", f"number {recipe.neighbours.row + 1} of {count} sounds that were made together"))
    if recipe.given:
        rows.append(("Given", f"{', '.join(recipe.given)}, which no file holds"))
    finish = _changes(recipe.finish)
    if finish or recipe.subtype:
        rows.append(("File", ", ".join([*([recipe.subtype] if recipe.subtype else []), *finish])))
    devices = "" if recipe.mesh is None else f", {' x '.join(f'{count} {axis}' for axis, count in recipe.mesh)}"
    rows.append(("Made on", f"{recipe.platform}{devices}, JAX {recipe.jax_version}"))
    return rows


def _sound(given: "GivenSound") -> str:
    """The sound that it was made of, and what was made of that."""
    made = [f"{start:g} to {end:g} s filled" for start, end in given.fill]
    made += [f"{given.lead_in_for_s:g} s before it"] if given.lead_in_for_s else []
    made += [f"{given.continue_for_s:g} s after it"] if given.continue_for_s else []
    made += ["in stereo"] if given.stereo else []
    made += [f"strength {given.strength:g}"] if given.strength < 1 or not made else []
    return ", ".join([given.path or "an array, which no file holds", *made, f"digest {given.digest}"])


def _fields(settings: Any) -> str:
    return ", ".join(
        f"{field.name} {getattr(settings, field.name)}"
        for field in dataclasses.fields(settings)
        if getattr(settings, field.name) is not None
    )


def _changes(settings: Any) -> list[str]:
    return [
        f"{field.name} {getattr(settings, field.name)}"
        for field in dataclasses.fields(settings)
        if getattr(settings, field.name) != field.default
    ]
