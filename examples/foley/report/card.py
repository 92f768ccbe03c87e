"""The model card of the bundled model: what it knows, how well, and where it ends.

    python -m examples.foley.report RUN -o FOLDER

What has not been measured is said to be so.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import typer

from examples.foley.measure.audibility import AUDIBLE_IN_DBFS, quietest
from examples.foley.measure.variants import DENSE, SYNTHESISED
from examples.foley.parts.model import CONFIGS
from examples.foley.report.diary import write_diary
from examples.foley.report.tables import NOT_MEASURED, Results, circumstances, lengths_table, spread_text, table
from examples.foley.world.clips import SAMPLING_RATE, TRAINING_SECONDS
from examples.foley.world.kinds import KINDS
from examples.foley.world.vocabulary import vocabulary
from litefocus_jax.checkpoint.weights import abstract, parameter_count
from litefocus_jax.models.components import NETWORKS
from litefocus_jax.models.vocabulary import Vocabulary
from litefocus_jax.system.files import write_text

CARD = "MODEL_CARD.md"
LENGTHS = "lengths.png"
RESULTS = "evaluation.json"
AUDIBLE = "audible.json"

_GOALS = {"unseen": 0.95, "held out": 0.85, "one kind": 0.95, "two kinds": 0.7, "pairs": 0.8}

_NAMES = 4  # of each kind in the table, beside its first prompts


def write_card(run: Path, folder: Path, *, evaluation: Path | None = None) -> Path:
    """Write the card, and the picture of lengths where they were measured.

    Args:
        run: folder of the training run.
        folder: gets ``MODEL_CARD.md`` and the picture.
        evaluation: folder that `examples.foley.evaluate` and `examples.foley.audible` wrote; ``evaluation`` in the
            run unless given.

    Returns:
        The card's path.
    """
    evaluation = run / "evaluation" if evaluation is None else evaluation
    results, audible = _read(evaluation / RESULTS), _read(evaluation / AUDIBLE)
    has_lengths = len(results.get("lengths", ())) > 0 and (evaluation / LENGTHS).exists()
    if has_lengths and (evaluation / LENGTHS).resolve() != (folder / LENGTHS).resolve():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(evaluation / LENGTHS, folder / LENGTHS)
    path = folder / CARD
    write_text(path, card(results, audible, stored=stored_bytes(run / "model"), picture=has_lengths))
    return path


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def card(
    results: Results, audible: Results = MappingProxyType({}), *, stored: int | None, picture: bool = False
) -> str:
    """The text of the card.

    Args:
        results: what `evaluation.Evaluation.run` returned, or less.
        audible: what `examples.foley.audible` wrote, if it did.
        stored: bytes of all weights on disk.
        picture: whether that of `LENGTHS` lies beside the card.
    """
    multiples = {row["multiple"] for row in results.get("lengths", ())}
    parts = [
        _HEAD.format(kinds=len(KINDS), seconds=TRAINING_SECONDS, rate=SAMPLING_RATE),
        "## Kinds of sound\n\n" + kinds_table(vocabulary(), audible.get("levels", {})) + _how_audible(audible),
        _WORDS,
        "## Quality\n\n" + circumstances(results) + _command(results) + quality_table(results) + _HOW_QUALITY,
        _LIMITS,
        "## Size\n\n" + sizes_table(stored),
    ]
    if multiples - {1}:
        parts.append("## Beyond the training length\n" + _HOW_LENGTHS + "\n" + lengths_table(results["lengths"]))
        parts.append(f"![quality against length]({LENGTHS})" if picture else "")
    parts.append(_AGAIN)
    return "\n\n".join(part.strip("\n") for part in parts if part) + "\n"


def kinds_table(known: Vocabulary, levels: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    """Every kind with what it is called, and how loud the quietest sound of its prompts was."""
    rows = []
    for name, kind in known.kinds.items():
        names = ", ".join(f'"{text}"' for text in (*kind.prompts[:2], *kind.names[-_NAMES:]))
        rows.append([name, names, f"{quietest(levels[name])[1]:.0f} dBFS" if name in levels else NOT_MEASURED])
    return table(["kind", "some of its names", "quietest"], rows)


def _how_audible(audible: Results) -> str:
    if not audible:
        return ""
    levels: Mapping[str, Mapping[str, Sequence[float]]] = audible["levels"]
    fewest, most = (of(map(len, levels.values())) for of in (min, max))
    count = f"{most}" if fewest == most else f"{fewest} to {most}"
    prompts = "its bare name" if most == 1 else f"{count} of its prompts"
    command = "python -m examples.foley.audible foley -o runs/evaluation" + ("" if most == 1 else " --synonyms 3")
    return (
        f"\nQuietest: the level of the loudest half second, where that is least among {audible['seeds']} seeds of "
        f"{prompts} (`{command}`).{_not_heard(levels)}\n"
    )


def _not_heard(levels: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    """Which prompts had sounds too soft to be heard, and how many."""
    soft = {
        prompt: sum(level < AUDIBLE_IN_DBFS for level in found)
        for prompts in levels.values()
        for prompt, found in prompts.items()
    }
    named = [f'"{prompt}" at {count}' for prompt, count in soft.items() if count]
    return f" Under {AUDIBLE_IN_DBFS:.0f} dBFS: {', '.join(named)} of them." if named else ""


def _command(results: Results) -> str:
    """What measures that again, and what it leaves out."""
    config = results.get("config")
    if not config:
        return ""
    options = [f"--{name} {_listed(config[name])}" for name in ("multiples", "sounds", "seeds", "reference", "steps")]
    only = [] if "unseen" in results else ["--only-lengths"]
    command = " ".join(["python -m examples.foley.evaluate foley -o runs/evaluation", *only, *options])
    return f"`{command}`. What stands as not measured was not, since the last training.\n\n"


def _listed(value: int | Sequence[int]) -> str:
    return str(value) if isinstance(value, int) else ",".join(map(str, value))


def sizes_table(stored: int | None) -> str:
    """Parameters of every part of the model, and the bytes of all weights as stored."""
    counts = {name: parameter_count(abstract(network.model_class, CONFIGS[name])) for name, network in NETWORKS.items()}
    rows = [[f"`{name}`", f"{count:,}"] for name, count in counts.items()]
    rows.append(["all", f"{sum(counts.values()):,}"])
    size = NOT_MEASURED if stored is None else f"{stored / 1e6:.1f} MB"
    return table(["part", "parameters"], rows) + f"\nWeights as stored: {size}.\n"


def quality_table(results: Results) -> str:
    """What the classifier and the measures say, beside the goals."""
    unseen, pairs, drawn = results.get("unseen"), results.get("pairs", {}), results.get("drawn")
    first = [row for row in results.get("lengths", ()) if row["multiple"] == 1]
    dense = next((row for row in first if row["variant"] == DENSE), None)
    real = next((row for row in first if row["variant"] == SYNTHESISED), None)
    rows = [
        [
            "classifier right on unseen synthesised sounds",
            _share(unseen, "right"),
            f"at least {_GOALS['unseen']:.0%}",
        ],
        ["the same, scenes of one kind", _share(unseen, "right_of_one"), ""],
        ["the same, scenes of two kinds (both found)", _share(unseen, "right_of_two"), ""],
        ["share of all kinds found in them", _share(unseen, "kinds"), ""],
        [
            "classifier right on sounds generated from held-out captions",
            spread_text(dense, "right", ".1%"),
            f"at least {_GOALS['held out']:.0%}",
        ],
        [
            "the same, captions of one kind",
            spread_text(dense, "right_of_one", ".1%"),
            f"at least {_GOALS['one kind']:.0%}",
        ],
        [
            "the same, captions of two kinds (both found)",
            spread_text(dense, "right_of_two", ".1%"),
            f"at least {_GOALS['two kinds']:.0%}",
        ],
        ["the same, log-mels before the vocoder", spread_text(drawn, "right", ".1%"), ""],
        ["the same, log-mels, one kind", spread_text(drawn, "right_of_one", ".1%"), ""],
        ["the same, log-mels, two kinds", spread_text(drawn, "right_of_two", ".1%"), ""],
        ["the same captions, synthesised", spread_text(real, "right", ".1%"), ""],
    ]
    for parameter, measure in (("pitch", "spectral centroid"), ("speed", "onset rate")):
        spreads = pairs.get(parameter)
        goal = f"at least {_GOALS['pairs']:.0%}"
        rows.append(
            [f"{parameter} words move the {measure} the right way", spread_text(spreads, "generated", ".1%"), goal]
        )
        rows.append(["the same, synthesised", spread_text(spreads, SYNTHESISED, ".1%"), ""])
    rows += _reconstruction_rows(results.get("reconstruction"))
    return table(["measure", "found", "goal"], rows)


def _reconstruction_rows(found: Mapping[str, float] | None) -> list[list[str]]:
    names = {
        "autoencoder_db": "log-mel distance through the VAE",
        "vocoder_db": "log-mel distance through the vocoder",
        "both_db": "log-mel distance through both",
        "buzz_db": "energy beside a pure tone, through both",
    }
    return [
        [label, NOT_MEASURED if found is None or found.get(name) is None else f"{found[name]:.1f} dB", ""]
        for name, label in names.items()
    ]


def stored_bytes(model: Path) -> int | None:
    """Bytes of all weights of a model on disk, or None where it is not there."""
    files = list(model.rglob("*.safetensors"))
    return sum(file.stat().st_size for file in files) if files else None


def _share(figures: Mapping[str, Any] | None, name: str) -> str:
    return NOT_MEASURED if figures is None or figures.get(name) is None else f"{figures[name]:.1%}"


_HEAD = """
# foley: model card

The small model in the box. It is an AudioLDM2 in every part, trained from nothing by `examples/foley` on synthesised
sounds of {seconds} s, {rate} Hz, mono. It knows {kinds} kinds of sound, alone or in twos, in plain English. It is there
to try the tools out and to study attention beyond the training length. Nothing that it heard was recorded; how it was
trained, and what that took, is told in `examples/foley`.
"""

_WORDS = """
## Words

Case, punctuation and spaces do not matter. What a sound is like goes in front: low or high, slow or fast, soft or loud,
short or long, rising or falling, and their plain synonyms; so do numbers ("a", "two", "several"). Two sounds are joined
by "and", "with", "while" (at once) or "then", "before", "followed by" (in turn); behind them may stand "in a large
hall", "in a cave" (echo), "coming closer", "going away", "far away". All names and words are printed by

```bash
litefocus-jax info foley --prompts
```

A word that it was never taught gets a warning, and the sound that comes nearest: for one or two unknown words a kind
whose name is spelled alike, for sentences of them wind.
"""

_HOW_QUALITY = """
A sound is right when the kinds that its caption names are the likeliest ones by the classifier, all of them. Captions
are held out: each has a wording, or a combination of a kind and a word, that training captions never have. The
classifier was trained on synthesised sound only. Two captions of a pair differ in one word, and their sounds begin from
the same noise; a tie counts as wrong. Where there are several seeds, the figures are mean and sample deviation over
them.
"""

_HOW_LENGTHS = """
The same held-out captions at every length, the same noise for every kind of attention. The Frechet distance is between
the classifier's descriptions of these sounds and of unseen synthesised ones of the same length; it shrinks with the
number of sounds, so compare rows with one another, and with the row of synthesised sounds. The classifier and CLAP hear
long sounds in windows of the training length, and for each kind the classifier takes the surest one. The text tower of
the CLAP that judges is the one that the model listens to.
"""

_LIMITS = """
## Limits

- It knows its own small world. A piano is a music box to it, a dog a frog, a voice a whistle, and of what it does not
  know it makes something else that it does know.
- Three sounds at once, or in turn, were never heard in training.
- Of two sounds one is sometimes missing.
- The vocoder is the weakest part. It lays a buzz under tones, which is mostly filtered out again (`mel_corrections`);
  what lies between two multiples of 100 Hz it makes of both.
- What it draws too softly to be heard is made louder, as far as its peaks leave room (`least_level_in_dbfs`).
- The judges come from the same synthetic world. They say whether a sound is recognised, not whether it is good.
- Beyond the training length, the synthesised sounds that it is compared with repeat, go on or happen somewhere, as
  their kinds do; a model could do well in other ways.
"""

_AGAIN = """
## Measure it again

```bash
python -m examples.foley.train RUN
python -m examples.foley.evaluate RUN/model --run RUN -o RUN/evaluation
python -m examples.foley.report RUN -o FOLDER
```
"""


def main(
    run: Annotated[Path, typer.Argument(help="Folder of the training run.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder that gets both and their pictures.")],
    evaluation: Annotated[
        Path | None, typer.Option(help="Folder of the evaluation; RUN/evaluation unless given.")
    ] = None,
) -> None:
    """Write the model card, and what the training took."""
    typer.echo(write_card(run, output, evaluation=evaluation))
    typer.echo(write_diary(run, output))


if __name__ == "__main__":
    typer.run(main)
