"""The evaluation of the bundled model: what it makes, heard by judges that were trained on synthesised sound only.

Four questions: does the classifier know unseen synthesised sound; does it find in generated sound what held-out
captions ask for; do pitch and speed words move sound the right way; and what becomes of all that beyond the training
length, with the kinds of attention and the windows of `variants`.
"""

import dataclasses
import functools
import zlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float

from examples.foley.judges.clap import clap_scores
from examples.foley.judges.classifier import hear
from examples.foley.judges.listening import log_mels
from examples.foley.judges.panel import Judges
from examples.foley.measure.generation import EvaluationConfig, Generated, generated
from examples.foley.measure.ledger import Cell, Figures, Ledger
from examples.foley.measure.measures import (
    all_named,
    onset_rate,
    share_named,
    spectral_centroid,
)
from examples.foley.measure.reconstruction import measure_reconstruction
from examples.foley.measure.summaries import RIGHT, length_rows, pairs_summary, spreads
from examples.foley.measure.variants import ATTENTION, SYNTHESISED, Variant
from examples.foley.world.captions import contrasting_scenes, pitch_pair, speed_pair
from examples.foley.world.clips import SAMPLING_RATE, TRAINING_SECONDS
from examples.foley.world.corpus import Corpus, make_corpus
from examples.foley.world.sounds import render
from litefocus_jax.checkpoint.weights import to_numpy
from litefocus_jax.decoding.whole import decode_latents
from litefocus_jax.evaluation import Gaussian
from litefocus_jax.pipeline import AudioLDM2Pipeline
from litefocus_jax.system.progress import progress_bar

PAIRS: Mapping[str, tuple[Callable[..., tuple[str, str]], Callable[..., float]]] = MappingProxyType(
    {"pitch": (pitch_pair, spectral_centroid), "speed": (speed_pair, onset_rate)}
)
"""Each parameter with what makes two captions of it, and with the measure that should be higher for the second."""

# So that no draw of one thing has to do with a draw of another.
_PAIRS, _PAIR_NOISE, _LENGTH_NOISE = 1, 2, 3


Work = tuple[Cell, Callable[[], Figures]]
"""A cell of the ledger, and what measures it."""


class Evaluation:
    """All measurements of one model; what a folder has of them already is not measured again.

    Args:
        pipeline: the model.
        judges: what listens.
        folder: keeps the synthesised clips and the ledger.
        config: how much is measured.
        progress: draw bars.
    """

    def __init__(
        self,
        pipeline: AudioLDM2Pipeline,
        judges: Judges,
        folder: Path,
        config: EvaluationConfig,
        *,
        progress: bool = True,
    ) -> None:
        self.pipeline, self.judges, self.folder = pipeline, judges, folder
        self.config, self.progress = config, progress
        self.ledger = Ledger(folder / "ledger.jsonl")
        self._model = pipeline.model_digest
        self._judges = digest([judges.classifier, judges.clap])
        self.corpus = functools.lru_cache(self._corpus)
        self.reference = functools.lru_cache(self._reference)

    def run(
        self,
        variants: Mapping[str, Variant] = ATTENTION,
        *,
        skipped: Collection[tuple[int, str]] = (),
        only_lengths: bool = False,
    ) -> dict[str, Any]:
        """Measure what is missing, and put everything together.

        Args:
            variants: to compare at every length, by name: `variants.ATTENTION` or `variants.LONG`.
            skipped: multiples and names of what is not to be measured.
            only_lengths: leave out all else.

        Returns:
            What `report` makes tables of: ``config``; the figures ``unseen`` and ``reconstruction``; ``drawn``, what
            the classifier finds in log-mels before the vocoder, at the training length; under ``pairs``, for each
            parameter, the shares of pairs in the right order, ``generated`` and ``synthesised``; and under
            ``lengths`` a row for each variant and multiple with `summaries.LENGTH_FIGURES`, with ``right`` split by
            captions of one kind and of two. All but the first three are spreads over seeds. A figure that some seed
            lacks is None: the Frechet distance of few sounds, the time where nothing was generated, or a batch only.

        Raises:
            ValueError: when something is to be skipped that is not measured anyway.
        """
        for multiple, name in skipped:
            if multiple not in self.config.multiples or name not in (SYNTHESISED, *variants):
                raise ValueError(
                    f"{name!r} at {multiple} training lengths is not measured and cannot be skipped; expected one of "
                    f"{', '.join(map(repr, (SYNTHESISED, *variants)))} at one of {self.config.multiples}"
                )
        work = [] if only_lengths else self._work_at_training_length()
        work += self._work_on_lengths(variants, skipped)
        with progress_bar("Measuring", len(work), enabled=self.progress) as on_progress:
            found = []
            for done, (cell, measure) in enumerate(work, 1):
                found.append((cell, self.ledger.figures(cell, measure)))
                on_progress(done)
        of = {name: [(cell, figures) for cell, figures in found if cell["measure"] == name] for name in _MEASURES}
        results: dict[str, Any] = {"config": dataclasses.asdict(self.config), "lengths": length_rows(of["length"])}
        if not only_lengths:
            results |= {
                "unseen": of["unseen"][0][1],
                "reconstruction": of["reconstruction"][0][1],
                "drawn": spreads(of["drawn"], RIGHT),
                "pairs": {parameter: pairs_summary(of["pairs"], parameter) for parameter in PAIRS},
            }
        return results

    def _work_at_training_length(self) -> list[Work]:
        """Every cell and what measures it, quick ones first."""
        config = self.config
        part = functools.partial
        work: list[Work] = [
            ({"measure": "unseen", "sounds": config.unseen, "judges": self._judges}, self._unseen),
            (
                {"measure": "reconstruction", "sounds": config.reconstructed, "model": self._model},
                self._reconstruction,
            ),
        ]
        for parameter in PAIRS:
            cell = {"measure": "pairs", "parameter": parameter, "pairs": config.pairs}
            for seed in range(config.seeds):
                work.append(({**cell, "of": SYNTHESISED, "seed": seed}, part(self._synthesised_pairs, parameter, seed)))
                made = {**cell, "of": "generated", "seed": seed, "model": self._model, **config.sampling}
                work.append((made, part(self._pairs, parameter, seed)))
        for seed in range(config.seeds):
            cell = {"measure": "drawn", "sounds": self._drawn_sounds, "reference": config.reference, "seed": seed}
            cell |= {"judges": self._judges, "model": self._model, **config.sampling}
            work.append((cell, part(self._drawn, seed)))
        return work

    @property
    def _drawn_sounds(self) -> int:
        return self.config.sounds_at(min(self.config.multiples))

    def _work_on_lengths(self, variants: Mapping[str, Variant], skipped: Collection[tuple[int, str]]) -> list[Work]:
        """The same for lengths, from short to long, and seed by seed.

        How many seeds there are is not in the cells: more of them can be measured later.
        """
        config = self.config
        made_by = {"model": self._model, **config.sampling}
        compared: dict[str, Variant | None] = {SYNTHESISED: None, **variants}
        work: list[Work] = []
        for multiple in sorted(config.multiples):
            sizes = {"sounds": config.sounds_at(multiple), "reference": config.reference, "judges": self._judges}
            for seed in range(config.seeds):
                for name, variant in compared.items():
                    if (multiple, name) in skipped:
                        continue
                    cell = {"measure": "length", "multiple": multiple, "variant": name, "seed": seed, **sizes}
                    cell |= {} if variant is None else made_by
                    work.append((cell, functools.partial(self._length, multiple, variant, seed)))
        return work

    def _corpus(self, clips: int, *, first: int = 0, multiple: int = 1) -> Corpus:
        """Unseen clips of a length. A number stands for the same scene at every length, with held-out captions."""
        return make_corpus(
            self.folder / "clips",
            "test",
            clips,
            first=first,
            duration_in_s=multiple * TRAINING_SECONDS,
            held_out=True,
            progress=self.progress,
        )

    def _first_clips(self) -> Corpus:
        return self.corpus(max(self.config.unseen, self.config.reconstructed))

    def _reference(self, multiple: int) -> Gaussian:
        """How the classifier describes synthesised sounds of a length."""
        mels = self.corpus(self.config.reference, multiple=multiple).mels
        return Gaussian.of(hear(self.judges.classifier, mels).embeddings)

    def _unseen(self) -> Figures:
        corpus, count = self._first_clips(), self.config.unseen
        return _found(hear(self.judges.classifier, corpus.mels[:count]).logits, corpus.kinds[:count])

    def _reconstruction(self) -> Figures:
        components = self.pipeline.components
        mels = np.asarray(self._first_clips().mels[: self.config.reconstructed], np.float32)
        return dataclasses.asdict(measure_reconstruction(components.vae, components.vocoder, mels))

    def _pairs(self, parameter: str, seed: int) -> Figures:
        captions_of, measure = PAIRS[parameter]
        generator = np.random.default_rng([_PAIRS, seed, zlib.crc32(parameter.encode())])
        captions = [text for _ in range(self.config.pairs) for text in captions_of(generator)]
        noise_of = [(_PAIR_NOISE, seed, number // 2) for number in range(len(captions))]
        sounds = generated(self.pipeline, captions, noise_of, self.config).outputs
        return {"right": _in_order([measure(sound, SAMPLING_RATE) for sound in sounds])}

    def _synthesised_pairs(self, parameter: str, seed: int) -> Figures:
        """How often the measure itself is right."""
        _, measure = PAIRS[parameter]
        generator = np.random.default_rng([_PAIRS, seed, zlib.crc32(parameter.encode())])
        scenes = [scene for _ in range(self.config.pairs) for scene in contrasting_scenes(generator, parameter)]
        sounds = [render(scene, generator, duration_in_s=TRAINING_SECONDS) for scene in scenes]
        return {"right": _in_order([measure(sound, SAMPLING_RATE) for sound in sounds])}

    def _drawn(self, seed: int) -> Figures:
        """What the classifier finds in log-mels as the UNet draws them: what the vocoder loses is still there."""
        asked, vae = self._asked(self._drawn_sounds, seed), self.pipeline.components.vae
        latents = self._generated(asked, seed, output_type="latent").outputs
        pieces = [decode_latents(vae, vae.unscaled(jnp.asarray(latent[None]))) for latent in latents]
        return _found(hear(self.judges.classifier, np.concatenate(pieces)).logits, asked.kinds)

    def _asked(self, count: int, seed: int, *, multiple: int = 1) -> Corpus:
        """The scenes that sounds are generated for, and their synthesised sounds of a length."""
        return self.corpus(count, first=self.config.reference + seed * count, multiple=multiple)

    def _generated(self, asked: Corpus, seed: int, **options: Any) -> Generated:
        """Sounds for the captions of scenes: whatever the options of `generated`, they begin from the same noise."""
        noise_of = [(_LENGTH_NOISE, seed, number) for number in range(len(asked))]
        return generated(self.pipeline, asked.first_captions, noise_of, self.config, **options)

    def _length(self, multiple: int, variant: Variant | None, seed: int) -> Figures:
        """What the judges say of the sounds of a variant, or of synthesised ones where it is None."""
        count = self.config.sounds_at(multiple)
        # A caption is drawn after the sound is, and so differs from length to length: take those of one length.
        short = self._asked(count, seed)
        seconds = None
        if variant is None:
            mels = np.asarray(self._asked(count, seed, multiple=multiple).mels, np.float32)
        else:
            made = self._generated(short, seed, seconds=multiple * TRAINING_SECONDS, variant=variant)
            mels, seconds = log_mels(made.outputs), made.seconds_per_sound
        heard = hear(self.judges.classifier, mels)
        distance = None
        if self.config.measures_distance(multiple):
            distance = Gaussian.of(heard.embeddings).distance(self.reference(multiple))
        return {
            "frechet": distance,
            **_found(heard.logits, short.kinds),
            "clap": float(clap_scores(self.judges.clap, self.judges.tokenizer, short.first_captions, mels).mean()),
            "seconds": seconds,
        }


_MEASURES = ("unseen", "reconstruction", "pairs", "drawn", "length")


def _found(logits: Float[np.ndarray, "sounds kinds"], kinds: Sequence[Sequence[int]]) -> Figures:
    """How often the classifier finds what was asked for: everything, and the kinds one by one."""
    right, single = all_named(logits, kinds), np.array([len(asked) == 1 for asked in kinds])
    return {
        "right": float(right.mean()),
        "right_of_one": _mean(right[single]),
        "right_of_two": _mean(right[~single]),
        "kinds": share_named(logits, kinds),
    }


def _in_order(values: Sequence[float]) -> float:
    """The share of neighbouring pairs whose second value is higher; a tie is not."""
    return float(np.mean(np.asarray(values[1::2]) > np.asarray(values[::2])))


def _mean(values: Float[np.ndarray, " any"]) -> float | None:
    return float(np.mean(values)) if len(values) else None


def digest(modules: Iterable[nnx.Module]) -> str:
    """A checksum of all weights: by it the ledger knows judges again."""
    checksum = 0
    for module in modules:
        for _, array in sorted(to_numpy(module).items()):
            checksum = zlib.crc32(np.ascontiguousarray(array).tobytes(), checksum)
    return f"{checksum:08x}"
