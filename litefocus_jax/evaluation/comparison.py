"""All that some judges say of a set of sounds: every metric that their answers allow, and what is to be known of it."""

import dataclasses
import functools
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import numpy as np

from litefocus_jax.evaluation.bootstrap import Estimate
from litefocus_jax.evaluation.classes import inception_score, kl_divergence
from litefocus_jax.evaluation.features import FewSoundsWarning, MetricError
from litefocus_jax.evaluation.frechet import frechet_distance, frechet_distance_at_infinity, pooled_frechet_distance
from litefocus_jax.evaluation.judges import Cnn14Judge, Embedder, VggishJudge
from litefocus_jax.evaluation.kernel import kernel_distance, kernel_distance_difference
from litefocus_jax.evaluation.similarity import clap_score
from litefocus_jax.evaluation.sounds import SoundFile, SoundFolder, check_pairs, listed
from litefocus_jax.models.clap.joint import Clap
from litefocus_jax.system.interruption import raise_if_interrupted
from litefocus_jax.system.same_run import digest

APART = "KAD, pairs apart"
"""KAD that does not compare a sound with the recording of its own name."""

AGAINST = "KAD against the baseline"
"""By how much `APART` is greater than that of other sounds of the same names; below 0, the judged ones are better."""

_SPLITS = 10  # of the Inception score
_FEWEST_AT_INFINITY = 10  # sounds, below which nothing can be followed

OnSound = Callable[[str], None]
"""Told what is listened to, before each sound and each metric."""

Heard = dict[str, dict[str, Any]]
"""What judges heard in folders, by the folder and its sounds, so that none is listened to twice."""


@dataclasses.dataclass(frozen=True)
class Judges:
    """Who listens; at least one of them.

    Attributes:
        vggish: for the Frechet audio distance.
        cnn14: for Frechet and kernel distances, the KL divergence and the Inception score.
        clap: for how well sounds fit captions, and a kernel distance.
        embedders: others by name, for a kernel distance each.
    """

    vggish: VggishJudge | None = None
    cnn14: Cnn14Judge | None = None
    clap: Clap | None = None
    embedders: Mapping[str, Embedder] = dataclasses.field(default_factory=dict)

    @property
    def by_name(self) -> dict[str, Any]:
        """Those that there are."""
        named = {"VGGish": self.vggish, "Cnn14": self.cnn14, "CLAP": self.clap, **self.embedders}
        return {name: judge for name, judge in named.items() if judge is not None}


@dataclasses.dataclass(frozen=True)
class Figure:
    """One metric.

    Attributes:
        metric: its name, such as ``"FAD"``.
        judge: who listened.
        value: the figure.
        interval: the ends of its interval, or None where there is none.
        better: which way.
    """

    metric: str
    judge: str
    value: float
    interval: tuple[float, float] | None
    better: Literal["less", "more"]


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What was found.

    Attributes:
        figures: in the order in which they are best looked at.
        notes: what is to be known of them, in sentences.
    """

    figures: tuple[Figure, ...]
    notes: tuple[str, ...]


def check_evaluation(judges: Judges, reference: SoundFolder | None, captions: Mapping[str, str] | None) -> None:
    """Refuse judges that have nothing to judge by, before any of them listens.

    Raises:
        MetricError: naming what is missing.
    """
    if judges.vggish is not None and reference is None:
        raise MetricError("VGGish compares sounds with recordings; give --reference too, or leave --vggish out")
    if judges.embedders and reference is None:
        name = next(iter(judges.embedders))
        raise MetricError(f"{name} compares sounds with recordings; give --reference too, or leave --{name} out")
    if judges.clap is not None and reference is None and captions is None:
        raise MetricError(
            "CLAP compares sounds with captions and recordings; give --captions or --reference too, or leave --clap out"
        )
    if judges.clap is None and captions is not None:
        raise MetricError("captions are judged by CLAP; give --clap too, or leave --captions out")


def evaluate(
    judges: Judges,
    generated: SoundFolder,
    reference: SoundFolder | None = None,
    captions: Mapping[str, str] | None = None,
    *,
    baseline: SoundFolder | None = None,
    paired: bool = True,
    bootstrap: int | None = 1000,
    seed: int = 0,
    heard: Heard | None = None,
    on_sound: OnSound = lambda what: None,
) -> Evaluation:
    """Listen to all sounds, and compute every metric that the judges allow.

    Args:
        judges: who listens.
        generated: the sounds that are judged.
        reference: recordings to compare them with.
        captions: of the sounds, by their names.
        baseline: other sounds of the same names, such as those of another model, whose distance from the recordings is
            held against that of the sounds.
        paired: whether a recording belongs to the sound of its name, for the KL divergence.
        bootstrap: sets to draw anew for an interval of 95%; None or 0 for none.
        seed: of these draws.
        heard: what the same judges heard before, which is added to; nothing unless given.
        on_sound: told what is being done.

    Raises:
        MetricError: as `check_evaluation` and `check_pairs`; when a judge hears something that is not finite; or when
            there is a baseline and nothing to measure it by, or of other names.
    """
    check_evaluation(judges, reference, captions)
    if baseline is not None:
        _check_baseline(judges, generated, baseline, reference, paired)
    if judges.cnn14 is not None and reference is not None and paired:
        check_pairs(generated, reference)
    draws: dict[str, Any] = {"bootstrap": bootstrap, "seed": seed}
    memory: Heard = {} if heard is None else heard
    sets = {"generated": generated, "reference": reference, "baseline": baseline}
    answers = {name: _listen(judges, each, memory, on_sound) for name, each in sets.items() if each is not None}
    figures, notes = [], [*_notes_of_silence(generated), *_notes_of_rates(judges, generated, reference)]
    for metric, judge, better, compute in _metrics(judges, answers, captions, paired, draws):
        raise_if_interrupted()
        on_sound(f"{metric} ({judge})")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", FewSoundsWarning)
            value = compute()
        notes += [f"{metric} ({judge}): {each.message}" for each in caught if each.category is FewSoundsWarning]
        interval = value.interval if isinstance(value, Estimate) else None
        figures.append(Figure(metric, judge, float(value), interval, better))
    if judges.cnn14 is not None and len(generated.sounds) < _SPLITS:
        notes.append(f"no Inception score: it takes {_SPLITS} sounds, and there are {len(generated.sounds)}")
    if judges.cnn14 is not None and reference is not None and not paired:
        notes.append("no KL divergence: the sounds are not paired with the recordings (--unpaired)")
    return Evaluation(tuple(figures), tuple(notes))


_Metric = tuple[str, str, Literal["less", "more"], Callable[[], float]]


def _metrics(
    judges: Judges,
    heard: Mapping[str, Mapping[str, Any]],
    captions: Mapping[str, str] | None,
    paired: bool,
    draws: Mapping[str, Any],
) -> Iterator[_Metric]:
    """Every metric that can be had: name, judge, which way is better, and how it is computed."""
    sounds, recordings = heard["generated"], heard.get("reference")
    if recordings is not None:
        for name, key in (("Cnn14", "embedding"), ("CLAP", "CLAP"), *((name, name) for name in judges.embedders)):
            if key in sounds:
                sets = sounds[key], recordings[key]
                yield "KAD", name, "less", lambda sets=sets: kernel_distance(*sets, **draws)
                if paired and sounds["names"] == recordings["names"]:
                    yield APART, name, "less", lambda sets=sets: kernel_distance(*sets, paired=True, **draws)
                if "baseline" in heard:
                    three = sounds[key], heard["baseline"][key], recordings[key]
                    yield AGAINST, name, "less", lambda three=three: kernel_distance_difference(*three, **draws)
        if judges.vggish is not None:
            ours, theirs = sounds["VGGish"], recordings["VGGish"]
            yield "FAD", "VGGish", "less", lambda: pooled_frechet_distance(ours, theirs, **draws)
            if len(ours) >= _FEWEST_AT_INFINITY:
                pooled = np.concatenate(ours), np.concatenate(theirs)
                yield "FAD, endless sounds", "VGGish", "less", lambda: frechet_distance_at_infinity(*pooled)
        if judges.cnn14 is not None:
            yield "FD", "Cnn14", "less", lambda: frechet_distance(sounds["embedding"], recordings["embedding"], **draws)
            if paired:
                logits = sounds["logits"], recordings["logits"]
                yield "KL", "Cnn14", "less", lambda: kl_divergence(*logits, **draws)
                sigmoid: Any = {"activation": "sigmoid", **draws}
                yield "KL of sigmoids", "Cnn14", "less", lambda: kl_divergence(*logits, **sigmoid)
    if judges.cnn14 is not None and len(sounds["logits"]) >= _SPLITS:
        bootstrap = draws["bootstrap"]  # the seed is that of its shuffling
        yield "IS", "Cnn14", "more", lambda: inception_score(sounds["logits"], splits=_SPLITS, bootstrap=bootstrap)
    if judges.clap is not None and captions is not None:
        embedded = judges.clap.embed_captions([captions[name] for name in sounds["names"]])
        yield "CLAP score", "CLAP", "more", lambda: clap_score(sounds["CLAP"], embedded, **draws)


def _check_baseline(
    judges: Judges, generated: SoundFolder, baseline: SoundFolder, reference: SoundFolder | None, paired: bool
) -> None:
    if reference is None or not paired:
        raise MetricError("a baseline is held against sounds by recordings of the same names; give --reference, paired")
    if not judges.embedders and judges.cnn14 is None and judges.clap is None:
        raise MetricError("a baseline is held against sounds by KAD; give --cnn14, --clap, --aisfx or --log-mel too")
    check_pairs(generated, reference)
    check_pairs(baseline, reference)


def _listen(judges: Judges, folder: SoundFolder, memory: Heard, on_sound: OnSound) -> dict[str, Any]:
    """What every judge hears in each sound, or heard in it before."""
    key = digest(str(folder.folder).encode(), *(sound.facts.digest.encode() for sound in folder.sounds.values()))
    if key not in memory:
        memory[key] = _listen_anew(judges, folder, on_sound)
    return memory[key]


def _listen_anew(judges: Judges, folder: SoundFolder, on_sound: OnSound) -> dict[str, Any]:
    heard: dict[str, list[Any]] = {"names": [], "VGGish": [], "embedding": [], "logits": [], "CLAP": []}
    heard |= {name: [] for name in judges.embedders}
    for name, sound in folder.sounds.items():
        raise_if_interrupted()
        on_sound(str(sound.path))
        heard["names"].append(name)
        for key, answer in _answers(judges, sound):
            if not np.isfinite(answer).all():
                raise MetricError(f"a judge hears NaN or infinity in {sound.path} ({key}); its weights may be damaged")
            heard[key].append(answer)
    joined = {key: np.stack(answers) for key, answers in heard.items() if answers and key not in ("names", "VGGish")}
    return {"names": heard["names"], "VGGish": heard["VGGish"], **joined}


def _answers(judges: Judges, sound: SoundFile) -> Iterator[tuple[str, np.ndarray]]:
    at_rate = functools.cache(sound.waveform)  # judges of one rate hear what was read once
    if judges.vggish is not None:
        yield "VGGish", judges.vggish.listen(at_rate(judges.vggish.sampling_rate))
    if judges.cnn14 is not None:
        embedding, logits = judges.cnn14.listen(at_rate(judges.cnn14.sampling_rate))
        yield "embedding", embedding
        yield "logits", logits
    if judges.clap is not None:
        yield "CLAP", judges.clap.embed_sound(at_rate(judges.clap.sampling_rate))
    for name, judge in judges.embedders.items():
        yield name, judge.listen(at_rate(judge.sampling_rate))


def _notes_of_silence(generated: SoundFolder) -> Iterator[str]:
    """Which sounds are silent, where that was no reason to refuse them."""
    if generated.silent:
        yield (
            f"{generated.folder}: {len(generated.silent)} of {len(generated.sounds)} sounds are silent, and judged as "
            f"that: {listed(generated.silent)}"
        )


def _notes_of_rates(judges: Judges, generated: SoundFolder, reference: SoundFolder | None) -> Iterator[str]:
    """Which sounds are resampled, and for whom."""
    folders = [folder for folder in (generated, reference) if folder is not None]
    for folder in folders:
        for name, judge in judges.by_name.items():
            others = {rate: count for rate, count in folder.rates.items() if rate != judge.sampling_rate}
            if others:
                rates = " and ".join(f"{count} at {rate} Hz" for rate, count in others.items())
                yield (
                    f"{folder.folder}: {rates} of {len(folder.sounds)} sounds are resampled to "
                    f"{judge.sampling_rate} Hz for {name}"
                )
    lowest = [min(folder.rates) for folder in folders]
    keen = [name for name, judge in judges.by_name.items() if judge.sampling_rate > min(lowest)]
    if len(set(lowest)) > 1 and keen:
        yield (
            f"{folders[0].folder} has sounds from {lowest[0]} Hz on and {folders[1].folder} from {lowest[1]} Hz on: "
            f"what the lower rate cannot hold is a difference to {' and '.join(keen)}"
        )
