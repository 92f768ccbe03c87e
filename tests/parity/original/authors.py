"""Run the authors' classes on made-up weights, in an environment of their own: ``python authors.py FOLDER EXPECTED``.

FOLDER has the weights, and LiteFocus' code as ``litefocus_base.py``.

This file imports nothing of ours. Classes are built with the authors' own arguments, at a quarter of the widths; state
dictionaries are loaded strictly.
"""

# pyright: reportMissingImports=false

import importlib.machinery
import importlib.util
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

_MISSING = (
    "boto3 braceexpand ftfy h5py librosa matplotlib pandas progressbar sklearn soundfile timm torchaudio torchvision"
)
ABSENT = frozenset(f"{_MISSING} unidecode wandb webdataset wget".split())
"""Packages that the authors' files import for what is not run here."""

FULL, LARGE = "audioldm2-full", "audioldm2-full-large-1150k"
GPT2_WIDTH, T5_WIDTH, CLAP_WIDTH = 192, 256, 128


class StandIn(types.ModuleType):
    """A package that is not there: whatever is imported from it is another one."""

    __path__: Any = ()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return StandIn(f"{self.__name__}.{name}")

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        return self

    def __mro_entries__(self, bases: Any) -> tuple[type]:
        return (object,)


class StandIns:
    """Finds the packages in `ABSENT` and all below them."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> Any:
        """A specification of such a package; None for any other."""
        return importlib.machinery.ModuleSpec(name, StandIns, is_package=True) if name.split(".")[0] in ABSENT else None  # type: ignore[arg-type]

    @staticmethod
    def create_module(spec: Any) -> types.ModuleType:
        """An empty one."""
        return StandIn(spec.name)

    @staticmethod
    def exec_module(module: types.ModuleType) -> None:
        """Nothing."""


def find_authors(name: str = "audioldm2") -> None:
    """Let a package of the authors be imported without its ``__init__``, which wants all that it depends on."""
    if StandIns not in sys.meta_path:
        sys.meta_path.append(StandIns)  # type: ignore[arg-type]
    place = next(Path(folder) / name for folder in sys.path if (Path(folder) / name).is_dir())
    package = types.ModuleType(name)
    package.__path__ = [str(place)]
    sys.modules[name] = package


def below(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape, np.float32))


def unet_model(tensors: dict[str, torch.Tensor], context: list[int | None], depth: int) -> Any:
    from audioldm2.latent_diffusion.modules.diffusionmodules.openaimodel import UNetModel

    model = UNetModel(
        image_size=64,
        context_dim=context,
        in_channels=8,
        out_channels=8,
        model_channels=32,
        attention_resolutions=[8, 4, 2],
        num_res_blocks=2,
        channel_mult=[1, 2, 3, 5],
        num_head_channels=32,
        use_spatial_transformer=True,
        transformer_depth=depth,
    ).eval()
    model.load_state_dict(below(tensors, "model.diffusion_model."))
    return model


def unet(model: Any) -> dict[str, torch.Tensor]:
    sample, generated, text = noise(2, 8, 16, 16), noise(2, 8, GPT2_WIDTH, seed=1), noise(2, 6, T5_WIDTH, seed=2)
    mask = torch.tensor([[1.0] * 6, [1.0] * 4 + [0.0] * 2])
    timesteps = torch.tensor([500, 21])
    output = model(sample, timesteps, context_list=[generated, text], context_attn_mask_list=[torch.ones(2, 8), mask])
    inputs = {"sample": sample, "timesteps": timesteps, "generated": generated, "text": text, "mask": mask}
    return {**inputs, "prediction": output}


def litefocus(model: Any) -> dict[str, torch.Tensor]:
    """What becomes of the prediction of `unet` with LiteFocus, and the tokens that each attention draws."""
    import litefocus_base

    drawn: list[torch.Tensor] = []
    draw = torch.randperm

    def keep(count: int) -> torch.Tensor:
        drawn.append(draw(count))
        return drawn[-1]

    torch.manual_seed(0)
    torch.randperm = keep  # type: ignore[assignment]
    wrapper = types.SimpleNamespace(model=types.SimpleNamespace(diffusion_model=model))
    litefocus_base.inject_lite_focus(wrapper)
    try:
        prediction = unet(model)["prediction"]
    finally:
        litefocus_base.disable_lite_focus(wrapper)
        torch.randperm = draw
    return {"drawn": torch.stack(drawn), "prediction": prediction}


def ddim(model: Any) -> dict[str, torch.Tensor]:
    """Five steps as the authors sample, with the noise of each; and the table of 150, which are 167."""
    from audioldm2.latent_diffusion.models import ddim as authors
    from audioldm2.latent_diffusion.modules.diffusionmodules.util import make_beta_schedule

    betas = make_beta_schedule("linear", 1000, linear_start=0.0015, linear_end=0.0195)
    alphas = np.cumprod(1.0 - betas)
    tables = {
        "betas": betas,
        "alphas_cumprod": alphas,
        "alphas_cumprod_prev": np.append(1.0, alphas[:-1]),
    }

    def apply_model(sample: torch.Tensor, timesteps: torch.Tensor, conditions: dict[str, list[torch.Tensor]]) -> Any:
        # As their DiffusionWrapper does, whose file wants the network as it is imported.
        context, masks = zip(*conditions.values(), strict=True)
        return model(sample, timesteps, context_list=list(context), context_attn_mask_list=list(masks))

    diffusion = types.SimpleNamespace(
        **{name: torch.tensor(table, dtype=torch.float32) for name, table in tables.items()},
        num_timesteps=1000,
        parameterization="eps",
        device=torch.device("cpu"),
        apply_model=apply_model,
    )
    noises: list[torch.Tensor] = []

    def noise_like(shape: Any, *others: Any) -> torch.Tensor:
        noises.append(noise(*shape, seed=10 + len(noises)))
        return noises[-1]

    authors.noise_like = noise_like
    generated, text, empty = noise(1, 8, GPT2_WIDTH, seed=8), noise(1, 6, T5_WIDTH, seed=9), noise(1, 1, T5_WIDTH)
    sampler = authors.DDIMSampler(diffusion, device=diffusion.device)
    _, found = sampler.sample(
        5,
        1,
        (8, 16, 16),
        {"crossattn_audiomae_generated": [generated, torch.ones(1, 8)], "crossattn_flan_t5": [text, torch.ones(1, 6)]},
        eta=1.0,
        x_T=noise(1, 8, 16, 16, seed=16),
        unconditional_guidance_scale=3.5,
        unconditional_conditioning={
            "crossattn_audiomae_generated": [torch.zeros(1, 8, GPT2_WIDTH), torch.ones(1, 8)],
            "crossattn_flan_t5": [empty, torch.ones(1, 1)],
        },
        log_every_t=1,
        verbose=False,
    )
    sampler.make_schedule(150, ddim_eta=1.0, verbose=False)
    return {
        "generated": generated,
        "text": text,
        "empty": empty,
        "noises": torch.cat(noises),
        "latents": torch.cat(found["x_inter"]),
        "timesteps_150": torch.as_tensor(sampler.ddim_timesteps),
        "alphas_prev_150": torch.as_tensor(sampler.ddim_alphas_prev),
        "sigmas_150": torch.as_tensor(sampler.ddim_sigmas),
    }


def vae(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    from audioldm2.latent_encoder.autoencoder import AutoencoderKL

    own = {
        "double_z": True, "mel_bins": 64, "z_channels": 8, "resolution": 256, "downsample_time": False,
        "in_channels": 1, "out_ch": 1, "ch": 32, "ch_mult": [1, 2, 4], "num_res_blocks": 2, "attn_resolutions": [],
        "dropout": 0,
    }  # fmt: skip
    model = AutoencoderKL(ddconfig=own, embed_dim=8, image_key="stft").eval()
    state = below(tensors, "first_stage_model.")
    model.load_state_dict({key: tensor for key, tensor in state.items() if not key.startswith("vocoder.")})
    mel = noise(1, 1, 32, 16, seed=3)
    latents = noise(1, 8, 8, 4, seed=4)
    posterior = model.encode(mel)
    found = {"mel": mel, "mean": posterior.mean, "logvar": posterior.logvar}
    return {**found, "latents": latents, "decoded": model.decode(latents)}


def vocoder(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    from audioldm2 import hifigan
    from audioldm2.utilities.model import get_vocoder_config

    config = get_vocoder_config() | {"upsample_initial_channel": 256, "num_mels": 16}
    model = hifigan.Generator_old(hifigan.AttrDict(config)).eval()
    model.remove_weight_norm()
    model.load_state_dict(below(tensors, "first_stage_model.vocoder."))
    mel = noise(1, 16, 10, seed=5)
    return {"mel": mel, "waveform": model(mel)}


def clap_text(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    from audioldm2.clap.open_clip.model import CLAP
    from transformers import RobertaConfig, RobertaModel

    prefix = "cond_stage_models.0.cond_stage_models.0.model."
    # roberta-base, which their constructor downloads, but for its sizes
    config = RobertaConfig(
        vocab_size=400,
        hidden_size=GPT2_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=12,
        intermediate_size=768,
        max_position_embeddings=514,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
    )
    model: Any = CLAP.__new__(CLAP)
    torch.nn.Module.__init__(model)
    model.text_branch_type = "roberta"
    model.text_branch = RobertaModel(config).eval()
    model.text_projection = torch.nn.Sequential(
        torch.nn.Linear(GPT2_WIDTH, CLAP_WIDTH), torch.nn.ReLU(), torch.nn.Linear(CLAP_WIDTH, CLAP_WIDTH)
    )
    state = below(tensors, prefix + "text_branch.")
    if "embeddings.position_ids" not in model.text_branch.state_dict():
        state.pop("embeddings.position_ids")  # a buffer that transformers 4.30.2 stores, and later ones do not
    model.text_branch.load_state_dict(state)
    model.text_projection.load_state_dict(below(tensors, prefix + "text_projection."))
    ids = torch.tensor([[0, 17, 230, 5, 2, 1, 1], [0, 399, 2, 1, 1, 1, 1]])
    mask = (ids != 1).long()
    vectors = model.get_text_embedding({"input_ids": ids, "attention_mask": mask})
    return {"ids": ids, "mask": mask, "vectors": vectors}


def gpt2(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    from audioldm2.audiomae_gen.sequence_input import Sequence2AudioMAE
    from transformers import GPT2Config, GPT2Model

    model: Any = Sequence2AudioMAE.__new__(Sequence2AudioMAE)
    torch.nn.Module.__init__(model)  # their constructor has GPT-2's width written out
    model.mae_token_num = 8
    model.sequence_input_key = ["film_clap_cond1", "crossattn_flan_t5"]
    model.start_of_sequence_tokens = torch.nn.Embedding(32, GPT2_WIDTH)
    model.end_of_sequence_tokens = torch.nn.Embedding(32, GPT2_WIDTH)
    model.input_sequence_embed_linear = torch.nn.ModuleList(
        torch.nn.Linear(width, GPT2_WIDTH) for width in (CLAP_WIDTH, T5_WIDTH)
    )
    model.model = GPT2Model(GPT2Config(vocab_size=400, n_positions=256, n_embd=GPT2_WIDTH, n_layer=2)).eval()
    state = below(tensors, "cond_stage_models.0.")
    model.load_state_dict({key: each for key, each in state.items() if not key.startswith("cond_stage_models.")})
    clap, t5 = noise(2, 1, CLAP_WIDTH, seed=6), noise(2, 6, T5_WIDTH, seed=7)
    mask = torch.tensor([[1.0] * 6, [1.0] * 4 + [0.0] * 2])
    vectors, _ = model.generate(None, {"film_clap_cond1": clap, "crossattn_flan_t5": [t5, mask]})
    return {"clap": clap, "t5": t5, "mask": mask, "vectors": vectors}


def t5(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    from transformers import T5Config, T5EncoderModel

    # flan-t5-large, but for its sizes; the authors' class around it only calls it
    config = T5Config(
        vocab_size=400, d_model=T5_WIDTH, d_kv=16, d_ff=704, num_layers=2, num_heads=16, feed_forward_proj="gated-gelu"
    )
    model = T5EncoderModel(config).eval()
    model.load_state_dict(below(tensors, "cond_stage_models.1.model."))
    ids = torch.tensor([[7, 42, 399, 1, 0, 0], [12, 12, 13, 14, 15, 1]])
    mask = (ids != 0).long()
    return {"ids": ids, "mask": mask, "states": model(input_ids=ids, attention_mask=mask)[0]}


def main() -> None:
    """Run every class, and write inputs and outputs by the name of the network."""
    folder, expected = map(Path, sys.argv[1:3])
    sys.path.append(str(folder))
    find_authors()
    full, large = (load_file(folder / f"{name}.safetensors") for name in (FULL, LARGE))
    with torch.no_grad():
        full_unet = unet_model(full, [GPT2_WIDTH, T5_WIDTH], 1)
        large_unet = unet_model(large, [GPT2_WIDTH, T5_WIDTH, None], 2)
        found = {
            "unet": unet(full_unet),
            "unet_large": unet(large_unet),
            "litefocus": litefocus(full_unet),
            "litefocus_large": litefocus(large_unet),
            "ddim": ddim(full_unet),
            "vae": vae(full),
            "vocoder": vocoder(full),
            "text_encoder": clap_text(full),
            "text_encoder_2": t5(full),
            "language_model": gpt2(full),
        }
    arrays = {f"{network}.{name}": each.numpy() for network, values in found.items() for name, each in values.items()}
    np.savez_compressed(expected, **arrays)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
