"""``litefocus-jax info``: what a checkpoint holds, from its headers alone."""

from pathlib import Path
from typing import TYPE_CHECKING

from litefocus_jax.cli.console import output, reporting_errors
from litefocus_jax.cli.models import open_model
from litefocus_jax.cli.options.checkpoint import CheckpointOrSound, Prompts, Revision, Verify

if TYPE_CHECKING:
    from rich.table import Table

    from litefocus_jax.checkpoint import opened
    from litefocus_jax.diffusion.scheduler_config import SchedulerConfig
    from litefocus_jax.models.components import LatentGeometry
    from litefocus_jax.models.unet.config import UNetConfig
    from litefocus_jax.ops.litefocus.settings import LiteFocusConfig

_PROMPTS = {
    "batch": "padded to the longest of a batch, as in diffusers",
    "alone": "encoded one by one: neighbours in a batch change nothing",
}
_TRAINING_LENGTHS = (1, 2, 4, 8, 16)  # about the lengths of the paper's tables, and one beyond


def info(
    model: CheckpointOrSound,
    *,
    revision: Revision = None,
    prompts: Prompts = False,
    verify: Verify = False,
) -> None:
    """Show a checkpoint's sub-models, sizes and scheduler, and where LiteFocus applies; or what a sound was made of.

    Names and shapes of all weights are checked, but the weights are not loaded. A model on the hub is downloaded.
    """
    with reporting_errors():
        if Path(model).is_file():
            from litefocus_jax.cli.show_recipe import show_recipe

            show_recipe(Path(model))
            return

        from litefocus_jax.models.unet.heads import doubt
        from litefocus_jax.ops.litefocus.settings import PUBLISHED_TRAINING_LENGTH_IN_S, LiteFocusConfig

        checkpoint = open_model(model, revision)
        if verify:
            _verify(checkpoint)
            return
        if prompts:
            _print_prompts(checkpoint)
            return
        geometry = checkpoint.facts.geometry

        output.print(
            f"{checkpoint.folder}: {checkpoint.format} checkpoint of {checkpoint.model_type.described}\n", markup=False
        )
        output.print(_sub_models(checkpoint), "")
        output.print(f"Sound      {_describe_sound(geometry)}")
        output.print(f"Scheduler  {_describe_scheduler(checkpoint.scheduler)}")
        output.print(f"Prompts    {_PROMPTS[checkpoint.defaults.prompt_padding]}")
        if (least := checkpoint.defaults.least_level_in_dbfs) is not None:
            output.print(f"Level      sound whose loudest half second is softer than {least:g} dBFS is made louder")
        output.print()
        output.print(_sampling(checkpoint), "")
        output.print(_attention(checkpoint.configs["unet"], geometry), "")
        if (doubtful := doubt(checkpoint.configs["unet"])) is not None:
            output.print(f"Heads: {doubtful}\n", markup=False)
        output.print("LiteFocus by duration, if left to choose:")
        training_length = geometry.training_length_in_s or PUBLISHED_TRAINING_LENGTH_IN_S
        by_length = checkpoint.defaults.litefocus_by_length
        for multiple in _TRAINING_LENGTHS:
            seconds = multiple * training_length
            chosen = LiteFocusConfig.for_duration(seconds, training_length, by_length=by_length)
            output.print(f" {seconds:g} s  {_describe_litefocus(chosen)}")


def _verify(checkpoint: "opened.Checkpoint") -> None:
    """Read all of a model, compare it with its digests, and look for what is not finite.

    Raises:
        CheckpointError: naming what is damaged.
    """
    from litefocus_jax.checkpoint.digests import verify
    from litefocus_jax.checkpoint.matching import convert
    from litefocus_jax.checkpoint.weights import leaves

    files = verify(checkpoint.folder)
    for name, stored in checkpoint.networks.items():
        convert(stored.tensors, stored.keys, leaves(stored.module), str(checkpoint.folder / name))
    compared = "it has no digests to compare with" if files is None else f"all {files} files are as they were written"
    output.print(f"{checkpoint.folder}: {compared}, and every weight is finite", markup=False)


def _print_prompts(checkpoint: "opened.Checkpoint") -> None:
    """Print every kind of sound with prompts for it and all its names, then all other words.

    Raises:
        ValueError: when the model does not say what it knows.
    """
    known = checkpoint.vocabulary
    if known is None:
        raise ValueError(
            f"{checkpoint.folder} has no vocabulary.json: the model takes any English text; --prompts is for small "
            "models that know some kinds of sound only"
        )
    for name, kind in known.kinds.items():
        output.print(f"{name}: {', '.join(map(repr, kind.prompts))}", markup=False)
        output.print(f"    also {', '.join(other for other in kind.names if other not in kind.prompts)}", markup=False)
    names = {word for kind in known.kinds.values() for text in kind.names for word in text.split()}
    output.print(f"\nOther words: {', '.join(sorted(known.words - names))}", markup=False)


def _sub_models(checkpoint: "opened.Checkpoint") -> "Table":
    import jax.numpy as jnp

    # Whatever is chosen, some sub-models stay in float32.
    choices = ("float32", "bfloat16")
    table = _table("Sub-model", "Parameters", "Stored", "On disk", *(f"In {choice}" for choice in choices))
    total = [0] * (2 + len(choices))
    for name, stored in checkpoint.networks.items():
        types = sorted({str(tensor.dtype) for tensor in stored.tensors.values()})
        loaded = [stored.parameters * stored.network.weights_dtype(jnp.dtype(choice)).itemsize for choice in choices]
        numbers = [stored.parameters, stored.stored_bytes, *loaded]
        total = [one + other for one, other in zip(total, numbers, strict=True)]
        table.add_row(name, f"{numbers[0]:,}", ", ".join(types), *map(_size, numbers[1:]))
    table.add_section()
    table.add_row("all", f"{total[0]:,}", "", *map(_size, total[1:]))
    return table


def _sampling(checkpoint: "opened.Checkpoint") -> "Table":
    """The defaults and the qualities, each as it would run."""
    from litefocus_jax.generation.request import make_request
    from litefocus_jax.models.generation_defaults import QUALITIES

    table = _table("Sampling", "Scheduler", "Steps", "Spacing", "Guidance")
    for quality in (None, *QUALITIES):
        said = "" if checkpoint.model_type.speaks else None
        request = make_request(checkpoint.facts, "sound", audio_length_in_s=1.0, quality=quality, phonemes=said)
        sampling = request.sampling
        steps, guidance = str(sampling.num_inference_steps), f"{request.guidance_scale:g}"
        name = "if not told otherwise" if quality is None else f"--quality {quality}"
        table.add_row(name, sampling.scheduler, steps, sampling.timestep_spacing, guidance)
    return table


def _attention(config: "UNetConfig", geometry: "LatentGeometry") -> "Table":
    """Frequencies, heads and self-attentions of each level, and how many of these LiteFocus changes."""
    from litefocus_jax.models.unet.self_attention import sparse_attentions_per_level
    from litefocus_jax.ops.litefocus.settings import LiteFocusConfig

    table = _table("UNet level", "Frequencies", "Heads", "Self-attentions", "LiteFocus", "Authors'")
    frequencies = geometry.frequencies
    sparse = [
        sparse_attentions_per_level(config, chosen.layout(geometry.frame_in_s))
        for chosen in (LiteFocusConfig(), LiteFocusConfig.authors())
    ]
    for level, count in enumerate(config.self_attentions_per_level):
        heads = str(config.num_heads_per_level[level]) if count else ""
        table.add_row(
            str(level),
            str(frequencies),
            heads,
            str(count),
            *(str(each[level]) if each[level] else "" for each in sparse),
        )
        # The next level has half as many, rounded up.
        frequencies = -(-frequencies // 2)
    return table


def _table(name: str, *columns: str) -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, show_edge=False, header_style="bold")
    table.add_column(name)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _size(count: float) -> str:
    """Bytes in decimal units, as disks are sold."""
    for unit in ("kB", "MB"):
        count /= 1000
        if count < 1000:
            return f"{count:.1f} {unit}"
    return f"{count / 1000:.2f} GB"


def _describe_sound(geometry: "LatentGeometry") -> str:
    frame = geometry.samples_per_latent_frame
    length = geometry.training_length_in_s and f", trained on {geometry.training_length_in_s:g} s"
    return f"{geometry.sampling_rate} Hz, latent frames of {frame} samples{length or ''}"


def _describe_scheduler(config: "SchedulerConfig") -> str:
    betas = "" if config.beta_schedule == "squaredcos_cap_v2" else f" {config.beta_start:g} to {config.beta_end:g}"
    spacing = config.timestep_spacing or "default"
    return (
        f"{config.class_name} ({config.sampler}), betas {config.beta_schedule}{betas}, "
        f"{config.num_train_timesteps} timesteps, {spacing} spacing, predicts {config.prediction_type}"
    )


def _describe_litefocus(config: "LiteFocusConfig | None") -> str:
    if config is None:
        return "dense attention"
    reach = "" if config.reach_in_s is None else f" within {config.reach_in_s:g} s"
    most = "" if config.max_cross_tokens is None else f", at most {config.max_cross_tokens}"
    sets = [f"same frequency{reach}"] * config.same_frequency
    sets += [f"{config.sparse_ratio:.0%} of all tokens{most}"] * config.cross_frequency
    return " and ".join(sets) + (", at all levels" if config.levels == "all" else "")
