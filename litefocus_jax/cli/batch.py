"""``litefocus-jax batch``: many prompts, by any number of hosts that share a folder."""

import math
import time
from typing import TYPE_CHECKING

from litefocus_jax.cli.adapters import parse_adapter
from litefocus_jax.cli.attention import AttentionOptions
from litefocus_jax.cli.console import messages, naming_options, output, quieten, reporting_errors
from litefocus_jax.cli.models import open_model
from litefocus_jax.cli.options import attention, recipe, sampling, sound
from litefocus_jax.cli.options import batch as options
from litefocus_jax.cli.options.checkpoint import Heads, Lora, Revision
from litefocus_jax.cli.orders import sound_orders
from litefocus_jax.cli.prompt_files import read_prompts
from litefocus_jax.cli.seeds import chosen_seeds
from litefocus_jax.cli.start import find_devices

if TYPE_CHECKING:
    from jax.sharding import Mesh

    from litefocus_jax.cli.batches import Batch
    from litefocus_jax.generation.options import RequestOptions
    from litefocus_jax.generation.request import Request

_ARGUMENTS = {
    "negative_prompt": "--negative",
    "transcription": "--transcription",
    "audio_length_in_s": "--duration",
    "num_inference_steps": "--steps",
    "guidance_scale": "--guidance",
    "scheduler": "--scheduler",
}


def batch(
    file: options.PromptsFile,
    out: options.Folder,
    *,
    model: sound.Model = None,
    revision: Revision = None,
    heads: Heads = None,
    lora: Lora = None,
    duration: sound.Duration = None,
    negative: sound.Negative = None,
    transcription: sound.Transcription = None,
    waveforms: sound.Waveforms = None,
    seed: sound.Seed = None,
    seeds: sound.Seeds = None,
    quality: sampling.Quality = None,
    steps: sampling.Steps = None,
    guidance: sampling.Guidance = None,
    scheduler: sampling.Scheduler = None,
    litefocus: attention.LiteFocus = "auto",
    token_merging: attention.TokenMerging = None,
    dtype: attention.NumberType = None,
    suffix: options.Format = "wav",
    json: recipe.Json = False,
    batch_size: options.BatchSize = 1,
    lease: options.Lease = 300.0,
    no_wait: options.NoWait = False,
    quiet: sound.Quiet = False,
) -> None:
    """Make a sound of every prompt of a file, on any number of hosts that share a folder.

    Every host runs the same command. What one is at the others leave alone; what it was at when it died they take over.
    Files that are there are left out, each appears once it is complete, and the end is a table, report.csv. The paths
    of the files that this host makes are printed to standard output, all else to standard error.
    """
    started = time.perf_counter()
    with reporting_errors():
        if quiet:
            quieten()
        chosen_attention = AttentionOptions(litefocus)
        seed_list = chosen_seeds(seed, seeds)
        rows = read_prompts(file)
        for row in rows:
            if None in (row.seeds or seed_list):
                where = f"{row.place}, column seed" if row.seeds else "--seed"
                raise ValueError(f"{where}: random; expected numbers, since every host must make the same sounds")
        orders = sound_orders(rows, seed_list, waveforms or 1, None)
        adapters = [parse_adapter(text) for text in lora or ()]

        # In this order, because each part takes longer than the one before it.
        from litefocus_jax.audio.finish import NO_FINISH
        from litefocus_jax.cli.batches import grouped
        from litefocus_jax.cli.destinations import plan
        from litefocus_jax.cli.saving import Saving
        from litefocus_jax.cli.shared_work import SharedWork, UnmakeableError
        from litefocus_jax.system.files import expanded

        out = expanded(out)
        files = plan(orders, target=f"{out}/", spectrogram=None, suffix=f".{suffix}", json=json)
        work = SharedWork(out, grouped(orders, files, batch_size), lease)

        from litefocus_jax.checkpoint.fingerprint import model_digest
        from litefocus_jax.checkpoint.store import BUNDLED_MODEL
        from litefocus_jax.generation.needs import InsufficientMemoryError
        from litefocus_jax.generation.request import make_request
        from litefocus_jax.generation.sounding import sound_of_request
        from litefocus_jax.pipeline import AudioLDM2Pipeline

        find_devices(quiet=quiet)
        name = BUNDLED_MODEL if model is None else model
        if not quiet:
            messages.print(f"Loading {name}", markup=False)
        checkpoint = open_model(name, revision, heads)
        with naming_options(_ARGUMENTS):
            shared: RequestOptions = {
                "quality": quality,
                "num_inference_steps": steps,
                "guidance_scale": guidance,
                "scheduler": scheduler,
                "litefocus": chosen_attention.choose(checkpoint.facts.geometry.training_length_in_s),
                "token_merging": token_merging,
            }

        def request_of(sounds: "Batch") -> "Request":
            texts, own = sounds.options(
                negative_prompt=negative, audio_length_in_s=duration, transcription=transcription
            )
            with naming_options(_ARGUMENTS | sounds.own_arguments):
                return make_request(checkpoint.facts, texts, **{**shared, **own, "mesh": _mesh(len(sounds.sounds))})

        request_of(work.batches[0])  # what the model cannot honour is found before its weights are read
        work.agree({
            "model": model_digest(checkpoint),
            "adapters": [f"{adapter.path}:{adapter.scale:g}" for adapter in adapters],
            "dtype": dtype,
            "heads": heads,
            "quality": quality,
            "steps": steps,
            "guidance": guidance,
            "scheduler": scheduler,
            "litefocus": litefocus,
            "token_merging": token_merging,
            "duration": duration,
            "negative": negative,
            "transcription": transcription,
            "batch_size": batch_size,
        })  # fmt: skip

        pipe: AudioLDM2Pipeline | None = None
        saving = Saving(None, NO_FINISH, overwrite=False)

        def make(sounds: "Batch") -> None:
            """Make a batch whole, since its bytes hang on its size, and save what is missing of it."""
            nonlocal pipe
            if pipe is None:
                pipe = AudioLDM2Pipeline.from_checkpoint(checkpoint, dtype=dtype)
                for adapter in adapters:
                    pipe.load_lora_weights(adapter.path, scale=adapter.scale)
            try:
                request = request_of(sounds)
                result = pipe.run(request, output_type="latent", progress=False)
            except InsufficientMemoryError:  # another host may have more
                raise
            except ValueError as error:
                raise UnmakeableError(str(error)) from error
            for number, destination in enumerate(sounds.destinations):
                made_of = result.recipes[number] if result.recipes else None
                if destination.sound.exists():
                    if not destination.is_complete:  # a host was killed between the two
                        saving.write_recipe(destination, made_of)
                    continue
                blocks = sound_of_request(request, result.audios[number], pipe.decode_blocks, progress=False)
                rate, waveform = result.sampling_rate, request.waveforms[number]
                try:
                    saving.write(blocks, destination, rate, request.seed, waveform, made_of)
                except FileExistsError:  # a host that was thought to be dead was faster; its bytes are the same
                    continue
                output.print(str(destination.sound), markup=False)

        from litefocus_jax.system.progress import progress_bar

        with progress_bar("Sounds", work.total, enabled=not quiet) as show:
            ended = work.do(make, wait=not no_wait, show=show)
        report = None if ended.left else work.write_report()
        if not quiet:
            messages.print(
                f"{ended.there} of {work.total} sounds are there, {ended.made} of them made here in "
                f"{time.perf_counter() - started:.1f} s"
                + (f"; others are at {ended.left} more" if ended.left else f"; {report}"),
                markup=False,
            )
        if ended.failed:
            raise ValueError(f"{ended.failed} of {work.total} sounds could not be made; {report} says why of each")


def _mesh(sounds: int) -> "Mesh | None":
    """As many of this host's devices as can share so many sounds evenly; None for one."""
    import jax
    import numpy as np
    from jax.sharding import Mesh

    from litefocus_jax.parallel.mesh import DATA_AXIS, TIME_AXIS

    devices = jax.local_devices()
    count = math.gcd(len(devices), sounds)
    return None if count == 1 else Mesh(np.array(devices[:count]).reshape(-1, 1), (DATA_AXIS, TIME_AXIS))
