"""The recipe of the bundled model: ``python -m examples.foley.train RUN``.

One command goes through every stage: render the clips, train the VAE, the classifier that judges, CLAP, T5 and GPT-2
on captions, then these with the UNet, these again on what people type, and the vocoder on what the UNet draws. RUN
keeps it all; an interrupted run goes on when the command is given again.

``--continue-from MODEL`` trains parts of a finished model further: the text encoders on captions, the UNet with its
text encoders, the text encoders on what people type, or the vocoder.
"""

import dataclasses
import enum
import functools
import logging
import math
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import jax
import numpy as np
import typer

from examples.foley.judges.clap import train_clap
from examples.foley.judges.classifier import train_classifier
from examples.foley.parts.autoencoder import train_autoencoder
from examples.foley.parts.budgets import DecoderBudget
from examples.foley.parts.diffusion import DiffusionBudget, train_diffusion
from examples.foley.parts.model import CONFIGS, GENERATION_DEFAULTS, scheduler_config
from examples.foley.parts.reading import train_reading
from examples.foley.parts.redrawn import redrawn
from examples.foley.parts.tokenizers import save_tokenizers
from examples.foley.parts.vocoder import train_vocoder
from examples.foley.parts.wording import train_wording
from examples.foley.world.corpus import Corpus, make_corpus
from examples.foley.world.vocabulary import vocabulary
from litefocus_jax.checkpoint import safetensors_files
from litefocus_jax.checkpoint.digests import write_digests
from litefocus_jax.checkpoint.native import save_native
from litefocus_jax.checkpoint.random_model import random_model
from litefocus_jax.checkpoint.store import load_components
from litefocus_jax.checkpoint.weights import to_numpy
from litefocus_jax.models.components import NETWORKS, AudioLDM2Components
from litefocus_jax.models.vocoder import Vocoder
from litefocus_jax.system.compilation_cache import use_compilation_cache
from litefocus_jax.system.files import written_beside


@dataclasses.dataclass(frozen=True, kw_only=True)
class Budget:
    """How much is made and how long each stage trains.

    Attributes:
        clips: sounds of 2.56 s that everything learns from.
        redrawn_clips: of these, how many the vocoder also learns from as the UNet draws them.
        decoders: of the VAE and the vocoder.
        clap_steps: updates of CLAP.
        classifier_steps: updates of the classifier.
        reading_steps: updates of T5, GPT-2 and the projection on captions alone.
        diffusion: of the UNet and the text encoders.
        wording_steps: updates of T5, GPT-2 and the projection on what people type.
    """

    clips: int
    redrawn_clips: int
    decoders: DecoderBudget
    clap_steps: int
    classifier_steps: int
    reading_steps: int
    diffusion: DiffusionBudget
    wording_steps: int


class Part(enum.StrEnum):
    """What of a finished model can be trained further."""

    TEXT = "text"
    UNET = "unet"
    WORDING = "wording"
    VOCODER = "vocoder"


# Hours on two cores: the bundled model.
_FULL = Budget(
    clips=24_576,
    redrawn_clips=2_000,
    decoders=DecoderBudget(
        autoencoder_steps=3_000,
        autoencoder_batch=8,
        vocoder_steps=12_000,
        adversarial_steps=0,
        vocoder_batch=4,
    ),
    clap_steps=700,
    classifier_steps=3_500,
    reading_steps=3_000,
    diffusion=DiffusionBudget(steps=6_000),
    wording_steps=3_600,
)

BUDGETS = {
    # A few minutes: shows that every stage runs. What it makes is noise.
    "trial": Budget(
        clips=256,
        redrawn_clips=16,
        decoders=DecoderBudget(
            autoencoder_steps=6,
            autoencoder_batch=8,
            vocoder_steps=6,
            adversarial_steps=4,
            vocoder_batch=4,
        ),
        clap_steps=6,
        classifier_steps=6,
        reading_steps=4,
        diffusion=DiffusionBudget(steps=4),
        wording_steps=4,
    ),
    "full": _FULL,
    # Under two hours on two cores, with one part on each.
    "further": dataclasses.replace(
        _FULL,
        decoders=dataclasses.replace(_FULL.decoders, vocoder_steps=15_000),
        diffusion=DiffusionBudget(steps=4_600, learning_rate=6e-4, timestep_shift=4.0, repeats_of_two=10),
    ),
    # What the bundled UNet was last trained by, in eleven minutes on one H200 with 16 cores: two to render, encode and
    # compile, nine to train. A GPU takes hardly longer for an update of 256 clips than for one of 128.
    "gpu": dataclasses.replace(
        _FULL,
        clips=98_304,
        redrawn_clips=8_192,
        decoders=dataclasses.replace(_FULL.decoders, vocoder_steps=8_000, vocoder_batch=32),
        diffusion=DiffusionBudget(
            steps=10_000, batch_size=256, learning_rate=1e-3, timestep_shift=4.0, repeats_of_two=4, save_every=2_000
        ),
    ),
}


def train_model(run: Path, budget: Budget, *, seed: int = 0, progress: bool = True) -> Path:
    """Go through all stages that are not done yet.

    Args:
        run: folder of the run.
        budget: how long each takes.
        seed: of everything.
        progress: draw bars.

    Returns:
        The folder of the model, in the native format, float16 where the pipeline casts anyway.
    """
    corpus = make_corpus(run / "clips", "training", budget.clips, seed=seed, progress=progress)
    vae = train_autoencoder(corpus, run / "decoders", budget.decoders, seed=seed, progress=progress)
    train_classifier(corpus, run / "classifier", steps=budget.classifier_steps, seed=seed, progress=progress)

    tokenizers = run / "tokenizers"
    if not tokenizers.exists():
        save_tokenizers((text for texts in corpus.captions for text in texts), tokenizers)
    tokenizer, tokenizer_2 = tokenizers / "tokenizer", tokenizers / "tokenizer_2"
    clap = train_clap(corpus, tokenizer, run / "clap", steps=budget.clap_steps, seed=seed, progress=progress)

    trained = {"vae": vae, "text_encoder": clap}
    modules = {
        name: trained.get(name) or random_model(network.model_class, CONFIGS[name], seed)
        for name, network in NETWORKS.items()
    }
    components = AudioLDM2Components(
        **modules,
        scheduler=scheduler_config(),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer_2,
        dtype="float32",
    )
    components = train_reading(components, run / "reading", steps=budget.reading_steps, seed=seed, progress=progress)
    components = train_diffusion(components, corpus, run / "diffusion", budget.diffusion, seed=seed, progress=progress)
    components = train_wording(components, run / "wording", steps=budget.wording_steps, seed=seed, progress=progress)
    return _save(_with_vocoder(components, corpus, run, budget, trained=None, seed=seed, progress=progress), run)


def train_further(
    run: Path,
    source: str | Path,
    budget: Budget,
    *,
    parts: Sequence[Part] = (Part.UNET,),
    seed: int = 0,
    progress: bool = True,
) -> Path:
    """Train parts of a finished model with another budget.

    Args:
        run: folder of the run, another one than the model's own.
        source: folder or name of the model.
        budget: its clips and the updates of the parts count.
        parts: what is trained; the UNet comes with the text encoders. After the text encoders alone, the UNet does not
            know yet what they say.
        seed: of the clips; chance in training follows the next number, so as not to repeat the first training.
        progress: draw bars.

    Returns:
        As `train_model`.

    Raises:
        CheckpointError: when the model cannot be read.
    """
    components = AudioLDM2Components.of(load_components(source, "float32"))
    chance = {"seed": seed + 1, "progress": progress}

    @functools.cache
    def corpus() -> Corpus:
        return make_corpus(run / "clips", "training", budget.clips, seed=seed, progress=progress)

    if Part.TEXT in parts:
        components = train_reading(components, run / "reading", steps=budget.reading_steps, **chance)
    if Part.UNET in parts:
        components = train_diffusion(components, corpus(), run / "diffusion", budget.diffusion, **chance)
    if Part.WORDING in parts:
        components = train_wording(components, run / "wording", steps=budget.wording_steps, **chance)
    if Part.VOCODER in parts:
        components = _with_vocoder(components, corpus(), run, budget, trained=components.vocoder, **chance)
    return _save(components, run)


def _with_vocoder(
    components: AudioLDM2Components,
    corpus: Corpus,
    run: Path,
    budget: Budget,
    *,
    trained: Vocoder | None,
    seed: int,
    progress: bool,
) -> AudioLDM2Components:
    """The model with a vocoder that has learnt from what its UNet draws."""
    folder, chance = run / "decoders", {"seed": seed, "progress": progress}
    drawn = redrawn(components, corpus, folder, clips=budget.redrawn_clips, **chance)
    vocoder = train_vocoder(corpus, drawn, folder, budget.decoders, trained=trained, **chance)
    return dataclasses.replace(components, vocoder=vocoder)


def _save(components: AudioLDM2Components, run: Path) -> Path:
    """Store the model in half precision, for 12 MB not to be exceeded; the parts that make sound compute in float32."""
    model = run / "model"
    components = dataclasses.replace(components, defaults=GENERATION_DEFAULTS, vocabulary=vocabulary())
    save_native(components, model, overwrite=model.exists(), dtype="float16")
    for folder in ("vae", "vocoder"):
        weights = {name: weight.astype(np.float16) for name, weight in to_numpy(getattr(components, folder)).items()}
        with written_beside(model / folder / "model.safetensors") as partial:
            safetensors_files.write_file(partial, weights)
    write_digests(model)
    return model


def main(
    run: Annotated[Path, typer.Argument(help="Folder that keeps clips, checkpoints, logs and the model.")],
    budget: Annotated[str, typer.Option(help=f"How long to train: {' or '.join(BUDGETS)}.")] = "full",
    seed: Annotated[int, typer.Option(help="Seed of everything.")] = 0,
    continue_from: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Train this model further; foley is the bundled one."),
    ] = None,
    part: Annotated[
        list[Part] | None, typer.Option(help="With --continue-from: what is trained, the UNet unless given.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Also copy the model here, when it is done.")
    ] = None,
) -> None:
    """Train the bundled model from nothing, train a model further, or go on with a run that was interrupted."""
    if budget not in BUDGETS:
        raise typer.BadParameter(f"{budget!r}; expected one of {', '.join(BUDGETS)}", param_hint="--budget")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    use_compilation_cache()
    # Operations of so small a network are too short to be shared among cores; the parts of a batch are not.
    jax.config.update("jax_num_cpu_devices", math.gcd(BUDGETS[budget].diffusion.batch_size, os.cpu_count() or 1))
    if continue_from is None:
        model = train_model(run, BUDGETS[budget], seed=seed)
    else:
        model = train_further(run, continue_from, BUDGETS[budget], parts=part or (Part.UNET,), seed=seed)
    if output is not None:
        shutil.copytree(model, output, dirs_exist_ok=True)
    typer.echo(f"The model is in {output or model}")


if __name__ == "__main__":
    typer.run(main)
