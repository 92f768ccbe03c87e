"""How the authors sample, as far as it is other than what is done here and in diffusers.

AudioLDM2: read off and run from their code (PyPI audioldm2 0.1.0, `text_to_audio` and what it calls); likewise
``audioldm_48k`` and ``audioldm_16k_crossattn_t5``, which are of the same code (``--latent_t_per_second`` is 12.8 for
the former). AudioLDM: read off PyPI audioldm 0.1.1, `text_to_audio`. MusicLDM: read off RetroCirce/MusicLDM c8100b5,
``musicldm.yaml`` and `generate_sample`. All of them take timesteps as AudioLDM2's do, with noise in every step
(``ddim_eta`` 1), and CLAP's or T5's reading of "" for the unconditional; AudioLDM2 alone has zeros for GPT-2's vectors.
Left out on purpose: in one text of ten they take CLAP's vector of "" for that of the prompt, while sounds are made too.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from litefocus_jax.models.components import LatentGeometry, ModelFacts

SamplingChoice = Literal["authors"]

_OF_MUSICLDM = {"guidance_scale": 2.0, "num_waveforms_per_prompt": 5}
_OF_AUDIOLDM = {"guidance_scale": 2.5}

_LATENT_FRAMES_PER_TRUE_FRAME = 1.024
"""They count 256 latent frames to 10 s, which are 10.24 s of sound."""

_OPTIONS: Mapping[str, Any] = {
    "scheduler": "ddim",
    "timestep_spacing": "uniform",
    "num_inference_steps": 200,
    "eta": 1.0,
    "guidance_scale": 3.5,
    # Candidates, of which they keep the one that CLAP finds to fit best.
    "num_waveforms_per_prompt": 3,
    "force_zeros_for_empty_prompt": True,
    "prompt_padding": "alone",
}


def with_sampling(options: Mapping[str, Any], model: "ModelFacts") -> dict[str, Any]:
    """The options of a request, with those that ``sampling="authors"`` stands for where they are not given.

    Args:
        options: as they were given; None stands for one that was not.
        model: what is known of it.

    Raises:
        ValueError: when ``sampling`` is unknown, or stands beside what cannot be had with it.
    """
    sampling = options.get("sampling")
    if sampling is None:
        return dict(options)
    if not isinstance(sampling, str) or sampling != "authors":
        raise ValueError(f"sampling = {sampling!r}; expected 'authors' or None")
    for name, fitting in (("quality", None), ("scheduler", "ddim")):
        if (value := options.get(name)) not in (None, fitting):
            raise ValueError(
                f"sampling = 'authors' beside {name} = {value!r}; expected one of them, since the authors' sampler is "
                "DDIM with steps of its own"
            )
    filled = _options(model)
    if options.get("audio") is None:  # which would say how long it is
        filled["latent_frames_per_second"] = authors_frames_per_second(model.geometry)
    if options.get("litefocus", "auto") == "auto":
        options = {**options, "litefocus": None}  # their attention is dense
    return {**options, **{name: value for name, value in filled.items() if options.get(name) is None}}


def authors_waveforms(model: "ModelFacts") -> int:
    """Candidates that the authors of a model make for each prompt.

    Args:
        model: what is known of it.
    """
    return _options(model)["num_waveforms_per_prompt"]


def authors_sampler(model: "ModelFacts") -> dict[str, Any]:
    """How the authors of a model sample, as options of a request: all but length, candidates and attention.

    Args:
        model: what is known of it.
    """
    options = _options(model)
    del options["num_waveforms_per_prompt"]
    return options


def _options(model: "ModelFacts") -> dict[str, Any]:
    """How the authors of a model sample: as those of AudioLDM2, but for what they do otherwise."""
    if model.model_type.has_language_model:
        return dict(_OPTIONS)
    # Not at the top: the help of the command line names what is here, and has no time for networks.
    from litefocus_jax.models.model_type import AUDIOLDM, MUSICLDM
    from litefocus_jax.models.unet.config import ClassConditionedAudioLDM2UNetConfig

    own: dict[str, Any] = {"force_zeros_for_empty_prompt": None}
    if model.model_type is MUSICLDM:
        own |= _OF_MUSICLDM
    elif model.model_type is AUDIOLDM and not isinstance(model.unet, ClassConditionedAudioLDM2UNetConfig):
        own |= _OF_AUDIOLDM
    return {**_OPTIONS, **own}


def authors_frames_per_second(geometry: "LatentGeometry") -> float:
    """Latent frames that they count to a second: 25.6, and 12.8 in ``audioldm_48k``.

    Args:
        geometry: of the model.
    """
    per_second = geometry.sampling_rate / geometry.samples_per_latent_frame
    return round(_LATENT_FRAMES_PER_TRUE_FRAME * per_second, 6)
