"""Requests become sounds, and sounds files, one batch after another."""

import time
from typing import TYPE_CHECKING

from litefocus_jax.audio.stages import FinishError
from litefocus_jax.cli.batches import Batch
from litefocus_jax.cli.processes import Processes
from litefocus_jax.cli.ranking import Ranking
from litefocus_jax.cli.run_files import RunFiles
from litefocus_jax.cli.saving import Saving
from litefocus_jax.generation.sounding import SoundBlocks
from litefocus_jax.system.progress import numbered_bars

if TYPE_CHECKING:
    from litefocus_jax.generation.request import Request
    from litefocus_jax.generation.run_options import RunOptions
    from litefocus_jax.pipeline import AudioLDM2Pipeline


def make_and_save(
    pipe: "AudioLDM2Pipeline",
    work: "list[tuple[Request, Batch]]",
    runs: RunFiles,
    saving: Saving,
    ranking: Ranking | None,
    group: Processes,
    *,
    row: int | None,
    check_memory: bool,
    progress: bool,
) -> str:
    """Run the requests, and write each one's files before the next; returns how long it took and how it was sampled.

    Sound goes to its file as it is decoded. A sound that cannot be finished keeps no other from being made.

    Args:
        pipe: the pipeline.
        work: each request with the destinations of its sounds.
        runs: where each request is kept while it runs.
        saving: what the files are to be.
        ranking: decides on the order in which files are printed; as they are made unless given.
        group: this process among those that do the same.
        row: number of the only sound that is wanted of each request; None for all.
        check_memory: find out before sampling whether a request can fit in memory.
        progress: draw bars.

    Raises:
        FinishError: at the end, naming all that could not be finished.
    """
    seconds_made = seconds_taken = 0.0
    total = sum(len(batch.destinations) for _, batch in work)
    done = 0
    unfinished = []
    saving.load_ahead([file for _, batch in work for file in batch.destinations])
    for request, batch in work:
        count = len(batch.destinations)
        started = time.perf_counter()
        with runs.kept(batch) as partial_run, numbered_bars(done + 1, done + count, total):
            options: RunOptions = {
                "partial_run": partial_run,
                "check_memory": check_memory,
                "output_type": "latent",
                "progress": progress,
            }
            if not group.gather:
                options["gather"] = False
            result = pipe.run(request, **options)
        seconds_taken += time.perf_counter() - started
        own = range(len(result.audios)) if result.numbers is None else result.numbers
        rows = range(count) if row is None else [row]
        files = {number: file for number, file in zip(rows, batch.destinations, strict=True) if number in own}
        places = [own.index(number) for number in files]
        sounds = pipe.decode_sounds(request, result.audios[places], gather=group.gather, progress=progress)
        for place, (number, file) in zip(places, files.items(), strict=True):
            made_of = result.recipes[place] if result.recipes else None
            started = time.perf_counter()
            done += 1
            with numbered_bars(done, done, total):
                blocks = next(sounds)
                try:
                    if group.writes:
                        waveform = request.waveforms[number]
                        seconds_made += saving.write(
                            blocks, file, result.sampling_rate, request.seed, waveform, made_of
                        )
                except FinishError as error:
                    unfinished.append(f"{file.sound}: {error}")
                    if ranking is not None:
                        ranking.leave_out(file, saving.show)
                    continue
                finally:
                    if group.are_several:  # the others go on with the next sound when all is decoded of this one
                        _take_the_rest(blocks)
            seconds_taken += time.perf_counter() - started
            if not group.writes:
                continue
            if ranking is None:
                saving.show(file, made_of)
            else:
                ranking.add(file, made_of, saving.show)
        if group.is_first:
            runs.remove(batch)
    if unfinished:
        raise FinishError("\n".join(unfinished))
    request = work[0][0]
    sampling = f"{request.sampling.describe()}, guidance {request.guidance_scale:g}"
    if not seconds_made:
        return sampling
    factor = seconds_taken / seconds_made
    return f"{seconds_made:.2f} s of sound in {seconds_taken:.1f} s, a real-time factor of {factor:.2f}; {sampling}"


def _take_the_rest(blocks: SoundBlocks) -> None:
    for _ in blocks:
        pass
