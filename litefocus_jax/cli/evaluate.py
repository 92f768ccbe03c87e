"""``litefocus-jax evaluate``: how good sounds are, by the judges and the metrics of publications."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from litefocus_jax.cli.console import messages, output, reporting_errors
from litefocus_jax.cli.start import find_devices

if TYPE_CHECKING:
    from litefocus_jax.evaluation.comparison import Judges

_JUDGES = "Judges, at least one of them"


def evaluate(
    generated: Annotated[Path, typer.Argument(metavar="SOUNDS", help="The folder of the sounds that are judged.")],
    *,
    reference: Annotated[
        Path | None, typer.Option("--reference", "-r", help="The folder of recordings that they are compared with.")
    ] = None,
    baseline: Annotated[
        Path | None,
        typer.Option(
            "--baseline",
            "-b",
            help="Other sounds of the same names, such as another model's: by how much theirs are nearer or farther.",
        ),
    ] = None,
    captions: Annotated[
        Path | None,
        typer.Option(
            "--captions",
            "-c",
            help="A table of what each sound was to be: CSV with file_name,text or with AudioCaps' columns.",
        ),
    ] = None,
    folder: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="The folder of the report.")],
    vggish: Annotated[
        Path | None, typer.Option(help="VGGish, for FAD: its weights as safetensors.", rich_help_panel=_JUDGES)
    ] = None,
    cnn14: Annotated[
        Path | None,
        typer.Option(
            help="PANNs' Cnn14, for KAD, FD, KL and the Inception score: its weights as safetensors.",
            rich_help_panel=_JUDGES,
        ),
    ] = None,
    clap: Annotated[
        str | None,
        typer.Option(
            help="CLAP, for the CLAP score and KAD: a checkpoint of AudioLDM2 in diffusers' layout, or of a ClapModel.",
            rich_help_panel=_JUDGES,
        ),
    ] = None,
    aisfx: Annotated[
        Path | None,
        typer.Option(help="aiSFX, of sound effects, for KAD: its weights as safetensors.", rich_help_panel=_JUDGES),
    ] = None,
    log_mel: Annotated[
        bool,
        typer.Option(
            "--log-mel",
            help="Statistics of log-mel spectrograms, for KAD without any weights: of levels and colours alone.",
            rich_help_panel=_JUDGES,
        ),
    ] = False,
    unpaired: Annotated[
        bool,
        typer.Option("--unpaired", help="Recordings do not belong to the sounds of their names: no KL divergence."),
    ] = False,
    bootstrap: Annotated[
        int, typer.Option(min=0, help="Sets of sounds to draw anew for the intervals; 0 for none.")
    ] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of these draws.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier report.")] = False,
) -> None:
    """Judge a folder of sounds: any sounds, ours or not.

    Sounds, recordings and captions belong together by their names without suffix. The report folder gets report.json
    and report.md, both or neither. What each metric says is in docs/evaluation.md.
    """
    with reporting_errors():
        from litefocus_jax.evaluation.captions import captions_of
        from litefocus_jax.evaluation.comparison import evaluate as judge
        from litefocus_jax.evaluation.report import MARKER, Report, write_report
        from litefocus_jax.evaluation.sounds import open_sounds
        from litefocus_jax.system.files import check_destination
        from litefocus_jax.system.progress import described_progress_bar

        check_destination(folder, overwrite=overwrite, marker=MARKER)
        find_devices()
        judges, weights = load_judges(vggish, cnn14, clap, aisfx, log_mel=log_mel)
        sounds = open_sounds(generated)
        recordings = None if reference is None else open_sounds(reference)
        others = None if baseline is None else open_sounds(baseline)
        texts = None if captions is None else captions_of(captions, sounds.sounds)
        count = sum(len(each.sounds) for each in (sounds, recordings, others) if each is not None)
        with described_progress_bar(count + _MOST_METRICS) as on_sound:
            found = judge(
                judges,
                sounds,
                recordings,
                texts,
                baseline=others,
                paired=not unpaired,
                bootstrap=bootstrap,
                seed=seed,
                on_sound=on_sound,
            )
        report = Report(found, sounds, recordings, others, captions, weights, bootstrap, seed)
        write_report(folder, report, overwrite=overwrite)
        output.print(report.table(), markup=False)
        for note in found.notes:
            messages.print(f"Note: {note}", markup=False)
        messages.print(f"The report is in {folder}", markup=False)


_MOST_METRICS = 10


def load_judges(
    vggish: Path | None, cnn14: Path | None, clap: str | None, aisfx: Path | None = None, *, log_mel: bool = False
) -> "tuple[Judges, dict[str, str]]":
    """The judges that are given, and where their weights lie.

    Args:
        vggish: file of its weights, or None.
        cnn14: likewise.
        clap: a checkpoint that holds it, or None.
        aisfx: file of its weights, or None.
        log_mel: have statistics of log-mels too, which take no weights.

    Raises:
        ValueError: when there is no judge at all, saying where each can be had; or weights cannot be read.
    """
    from litefocus_jax.checkpoint.clap import load_clap
    from litefocus_jax.checkpoint.judges import AISFX, CNN14, VGGISH, load_aisfx, load_cnn14, load_vggish
    from litefocus_jax.evaluation.comparison import Judges
    from litefocus_jax.evaluation.judges import AisfxJudge, Cnn14Judge, Embedder, LogMelJudge, VggishJudge

    if vggish is None and cnn14 is None and clap is None and aisfx is None and not log_mel:
        raise ValueError(
            "nobody is to listen; give the weights of a judge or more, which are not part of this package:\n"
            f"  --vggish FILE: {VGGISH.advice}\n"
            f"  --cnn14 FILE: {CNN14.advice}\n"
            f"  --aisfx FILE: {AISFX.advice}\n"
            "  --clap CHECKPOINT: a folder of AudioLDM2 in diffusers' layout or of a ClapModel, or a hub id of one\n"
            "  --log-mel: statistics of spectrograms, which take no weights"
        )
    embedders: dict[str, Embedder] = {} if aisfx is None else {"aisfx": AisfxJudge(load_aisfx(aisfx))}
    if log_mel:
        embedders["log-mel"] = LogMelJudge()
    judges = Judges(
        vggish=None if vggish is None else VggishJudge(load_vggish(vggish)),
        cnn14=None if cnn14 is None else Cnn14Judge(load_cnn14(cnn14)),
        clap=None if clap is None else load_clap(clap),
        embedders=embedders,
    )
    sources = {
        "VGGish": vggish,
        "Cnn14": cnn14,
        "CLAP": clap,
        "aisfx": aisfx,
        "log-mel": "its statistics" if log_mel else None,
    }
    return judges, {name: str(source) for name, source in sources.items() if source is not None}
