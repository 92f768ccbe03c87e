"""``litefocus-jax generate --from``: the sound that a command begins with, and what its options change."""

import dataclasses
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

import typer

from litefocus_jax.cli.console import logger

if TYPE_CHECKING:
    from litefocus_jax.audio.finish import Finish
    from litefocus_jax.checkpoint.opened import Checkpoint
    from litefocus_jax.generation.options import RequestOptions
    from litefocus_jax.generation.recipe import Recipe
    from litefocus_jax.pipeline import AudioLDM2Pipeline

T = TypeVar("T")

# The parameters of the command that say what an option of a request is; the recipe says it where none is given.
_PARAMETERS = {
    "num_inference_steps": ("steps", "quality", "way"),
    "guidance_scale": ("guidance", "way"),
    "eta": ("eta", "way"),
    "scheduler": ("scheduler", "quality", "way"),
    "timestep_spacing": ("spacing", "quality", "way"),
    "force_zeros_for_empty_prompt": ("zero_negative", "way"),
    "latent_frames_per_second": ("frames_per_second", "way", "audio", "continued"),
    "litefocus": ("litefocus", "sparse_ratio", "max_cross_tokens", "reach", "token_merging"),
    "scale_scores": ("scale_scores", "token_merging"),
    "token_merging": ("token_merging", "litefocus", "scale_scores"),
    "windowed": ("windows", "window_length", "window_overlap"),
    "loop": ("loop",),
    "prompt_padding": ("prompt_padding", "way"),
    "audio": ("audio", "continued"),
    "strength": ("strength", "audio", "continued"),
    "fill": ("fill", "keep", "audio", "continued"),
    "continue_for_s": ("continued", "audio"),
    "lead_in_for_s": ("lead_in", "audio", "continued"),
    "stereo": ("stereo", "audio", "continued"),
    "timeline": ("timeline", "prompt", "prompts_file"),
    "transcription": ("transcription", "phonemes", "prompts_file"),
    "phonemes": ("transcription", "phonemes", "prompts_file"),
}
_FINISH = {
    "trim": ("trim",),
    "sample_rate": ("sample_rate",),
    "start_fade_in_s": ("fade",),
    "end_fade_in_s": ("fade",),
    "loudness_in_lufs": ("normalize",),
    "peak_in_dbfs": ("peak",),
}
_OTHERS_SOUNDS = frozenset({"prompt", "prompts_file", "timeline", "waveforms", "waveform"})
_OTHERS = (*_OTHERS_SOUNDS, "negative", "duration", "seed", "seeds", "model", "heads", "dtype", "subtype")


@dataclasses.dataclass(frozen=True)
class Origin:
    """The recipe that a command follows, or none.

    Attributes:
        path: the file that holds it.
        recipe: what its sound was made of.
        given: parameters of the command that were given, and come before the recipe, with their options.
    """

    path: Path | None = None
    recipe: "Recipe | None" = None
    given: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @classmethod
    def read(cls, path: Path | None, context: typer.Context) -> Self:
        """Read the recipe of a file, if there is one to follow.

        Raises:
            RecipeError: when the file holds none.
            OSError: when it cannot be read.
        """
        if path is None:
            return cls()
        from litefocus_jax.generation.recipe_files import read_recipe

        given = {}
        for parameter in context.command.params:
            source = context.get_parameter_source(name := parameter.name or "")
            if source is not None and source.name == "COMMANDLINE":
                given[name] = max((option for option in parameter.opts if option[:1] == "-"), key=len, default="PROMPT")
        return cls(path, read_recipe(path), given)

    @property
    def is_remake(self) -> bool:
        """Whether the sound itself is made, in the batch it was made in; otherwise others are, in the same way."""
        return self.recipe is not None and not self.given.keys() & _OTHERS_SOUNDS

    @property
    def row(self) -> int | None:
        """Number of the only sound that is wanted of its request; None where all are."""
        return self.recipe.row if self.recipe is not None and self.is_remake else None

    @property
    def prompts(self) -> list[str]:
        """The prompts of the command where it gives none."""
        is_given = self.given.keys() & {"prompt", "prompts_file", "timeline"}
        return [] if self.recipe is None or is_given else [self.recipe.prompt]

    @property
    def seeds(self) -> list[int | None]:
        """The seed of the recipe where the command gives none."""
        return [] if self.recipe is None or self.given.keys() & {"seed", "seeds"} else [self.recipe.seed]

    @property
    def waveform(self) -> int | None:
        """Number of the waveform that is made again."""
        return self.recipe.waveform if self.recipe is not None and self.is_remake else None

    def choose(self, parameter: str, value: T, field: str | None = None) -> T:
        """What was given, or what the recipe says in a field, which has the parameter's name unless given."""
        if self.recipe is None or parameter in self.given:
            return value
        return getattr(self.recipe, field or parameter)

    def choose_subtype(self, subtype: str | None, target: str) -> str | None:
        """The sample format of the recipe, where it is one of the file that is to be written."""
        from litefocus_jax.audio.formats import SOUND_FORMATS

        chosen = self.choose("subtype", subtype)
        suffix = Path(target).suffix.lower()
        known = SOUND_FORMATS.get(suffix, next(iter(SOUND_FORMATS.values())))
        return chosen if chosen in known.subtypes or "subtype" in self.given or self.recipe is None else None

    def choose_finish(self, finish: "Finish") -> "Finish":
        """What was given of a finish, and the recipe's for the rest."""
        if self.recipe is None:
            return finish
        kept = {name: getattr(self.recipe.finish, name) for name in self._not_given(_FINISH)}
        return dataclasses.replace(finish, **kept)

    def request(self, prompts: list[str], options: "RequestOptions") -> "tuple[list[str], RequestOptions]":
        """The prompts and the options of a request, by the recipe where they were not given.

        Args:
            prompts: of a batch of the command.
            options: what the command says of it.

        Raises:
            RecipeError: when the sound cannot be made again.
        """
        if self.recipe is None:
            return prompts, options
        batch, followed = self.recipe.request_options()
        names = self._not_given(_PARAMETERS)
        if self.is_remake:
            prompts = list(batch)
            names += ["num_waveforms_per_prompt", "first_waveform", "negative_prompt"]
            if "negative" in self.given:
                texts = list(followed.get("negative_prompt") or [])
                own = options.get("negative_prompt") or [""]
                texts[self.recipe.row // followed.get("num_waveforms_per_prompt", 1)] = own[0]
                followed["negative_prompt"] = texts
        else:  # what is said in the sound itself, and not in its neighbours too
            followed["phonemes"] = self.recipe.phonemes
        kept = {name: value for name, value in followed.items() if name in names}
        return prompts, typing.cast("RequestOptions", {**options, **kept})

    def prepare(self, pipe: "AudioLDM2Pipeline") -> None:
        """Have a pipeline decode as the recipe's did, and say what may change the sound by rounding."""
        if self.recipe is None:
            return
        pipe.tiling = self.recipe.tiling
        if changes := self.recipe.changes_here():
            logger.warning("%s may not be made again to the same bytes: %s", self.path, "; ".join(changes))

    def check_model(self, checkpoint: "Checkpoint") -> None:
        """Refuse another model than the recipe's, unless it was asked for.

        Raises:
            RecipeError: saying which it is, and which it should be.
        """
        if self.recipe is None:
            return
        from litefocus_jax.checkpoint.fingerprint import model_digest
        from litefocus_jax.generation.recipe import RecipeError

        digest = model_digest(checkpoint)
        if digest == self.recipe.model_digest:
            return
        what = (
            f"{checkpoint.source or checkpoint.folder} is another model than the one that made {self.path}: its digest "
            f"is {digest}, and that one's, {self.recipe.model or 'in memory'}, {self.recipe.model_digest}"
        )
        if not self.given.keys() & {"model", "heads"}:
            raise RecipeError(f"{what}. Say where that one is now (--model), or take this one in spite of it (--model)")
        logger.warning("%s; the sound will be another", what)

    def model(self, model: str | None) -> str | None:
        """The model that was given, or the recipe's.

        Raises:
            RecipeError: when the recipe's was made in memory.
        """
        chosen = self.choose("model", model)
        if chosen is None and self.recipe is not None:
            from litefocus_jax.generation.recipe import RecipeError

            raise RecipeError(
                f"{self.path} was made with a model in memory, of no folder; give the folder that it was saved in "
                "since (--model)"
            )
        return chosen

    @property
    def in_words(self) -> str:
        """What is made, and what was given beside the recipe."""
        spoken = {*_OTHERS, *(name for names in (*_PARAMETERS.values(), *_FINISH.values()) for name in names)}
        changed = [option for name, option in self.given.items() if name in spoken]
        return f"As {self.path}" + (f", but for {', '.join(changed)}" if changed else "")

    def _not_given(self, parameters: dict[str, tuple[str, ...]]) -> list[str]:
        return [name for name, of in parameters.items() if not self.given.keys() & set(of)]
