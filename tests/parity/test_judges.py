"""The networks that judge sounds, and what they see of them, against PyTorch and transformers.

The references of Cnn14, VGGish and aiSFX are written for these tests, with the names of the published weights: those of
audioldm_eval and torchvggish download weights as they are made. docs/evaluation.md says how near ours are to theirs.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import transformers
from torch import nn
from transformers.audio_utils import mel_filter_bank

from litefocus_jax.checkpoint.weights import abstract, parameter_count
from litefocus_jax.evaluation.spectrograms import aisfx_blocks, cnn14_log_mel, vggish_examples
from litefocus_jax.models import aisfx, cnn14, vggish
from litefocus_jax.models.aisfx import AisfxConfig
from litefocus_jax.models.clap import audio as clap_audio
from litefocus_jax.models.clap.audio import ClapAudioConfig, ClapAudioModel
from litefocus_jax.models.clap.features import ClapFeaturesConfig, clap_features
from litefocus_jax.models.cnn14 import PUBLISHED, Cnn14, Cnn14Config
from litefocus_jax.models.vggish import Vggish, VggishConfig
from tests.support.parity import assert_parity, port, randomise, to_jax

judge = jax.jit(lambda network, *inputs: network(*inputs))


def noise(samples: int, seed: int = 0) -> np.ndarray:
    """Noise that grows and shrinks, so that frames differ."""
    waveform = np.random.default_rng(seed).normal(size=samples) * np.sin(np.linspace(0.0, 9.0, samples)) ** 2
    return (0.1 * waveform).astype(np.float32)


def with_statistics(module: Any) -> Any:
    """Give every batch normalisation statistics that are not those of no batch."""
    generator = torch.Generator().manual_seed(1)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean = 0.3 * torch.randn(layer.num_features, generator=generator)
            layer.running_var = 0.5 + torch.rand(layer.num_features, generator=generator)
    return module


class TorchBlock(nn.Module):
    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(out_channels), nn.BatchNorm2d(out_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.bn2(self.conv2(self.bn1(self.conv1(x)).relu())).relu()


class TorchCnn14(nn.Module):
    def __init__(self, config: Cnn14Config) -> None:
        super().__init__()
        self.bn0 = nn.BatchNorm2d(config.mel_bins)
        edges = (1, *config.channels)
        self.blocks = len(config.channels)
        for number in range(self.blocks):
            setattr(self, f"conv_block{number + 1}", TorchBlock(edges[number], edges[number + 1]))
        self.fc1 = nn.Linear(edges[-1], edges[-1])
        self.fc_audioset = nn.Linear(edges[-1], config.classes_num)

    def forward(self, log_mel: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.bn0(log_mel[:, None].transpose(1, 3)).transpose(1, 3)
        for number in range(1, self.blocks + 1):
            x = getattr(self, f"conv_block{number}")(x)
            if number < self.blocks:
                x = nn.functional.avg_pool2d(x, 2)
        x = x.mean(dim=3)
        embedding = self.fc1(x.amax(dim=2) + x.mean(dim=2)).relu()
        return embedding, self.fc_audioset(embedding)


class TorchVggish(nn.Module):
    def __init__(self, config: VggishConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 1
        for level in config.levels:
            for out_channels in level:
                layers += [nn.Conv2d(channels, out_channels, 3, padding=1), nn.ReLU()]
                channels = out_channels
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        halvings = 2 ** len(config.levels)
        width = config.num_frames // halvings * (config.num_bands // halvings) * channels
        dense: list[nn.Module] = []
        for out_features in config.features:
            dense += [nn.Linear(width, out_features), nn.ReLU()]
            width = out_features
        self.embeddings = nn.Sequential(*dense)

    def forward(self, examples: torch.Tensor, last_activation: bool = False) -> torch.Tensor:
        x = self.features(examples[:, None]).permute(0, 2, 3, 1).flatten(1)
        return (self.embeddings if last_activation else self.embeddings[:-1])(x)


@pytest.mark.parametrize("frames", [4, 5, 23])
def test_cnn14_hears_what_pytorch_hears(frames):
    config = Cnn14Config.tiny()
    theirs = with_statistics(randomise(TorchCnn14(config)))
    log_mel = torch.randn(2, frames, config.mel_bins, generator=torch.Generator().manual_seed(frames))
    embedding, logits = theirs(log_mel)
    heard = judge(port(cnn14.NETWORK, config, theirs), to_jax(log_mel))
    assert_parity(heard.embedding, embedding)
    assert_parity(heard.logits, logits)


@pytest.mark.parametrize("config", PUBLISHED.values(), ids=str)
def test_the_spectrogram_of_cnn14_is_that_of_pytorch(config):
    waveform = noise(5001)
    window = torch.hann_window(config.window_size, periodic=True, dtype=torch.float64)
    spectrum = torch.stft(
        torch.from_numpy(waveform).double(),
        config.window_size,
        config.hop_size,
        window=window,
        center=True,
        pad_mode="reflect",
        return_complex=True,
    )
    bank = mel_filter_bank(
        config.window_size // 2 + 1, 64, config.fmin, config.fmax, config.sampling_rate, "slaney", "slaney"
    )
    power = spectrum.abs().square().T @ torch.from_numpy(bank)
    assert_parity(jnp.asarray(cnn14_log_mel(waveform, config)), 10.0 * power.clamp(min=1e-10).log10())


def test_silence_is_a_hundred_decibels_down():
    assert set(cnn14_log_mel(np.zeros(16000, np.float32), Cnn14Config()).flat) == {-100.0}


class TorchAisfx(nn.Module):
    def __init__(self, config: AisfxConfig) -> None:
        super().__init__()
        self.embedding_net = nn.Module()
        edges = (1, *config.channels)
        self.blocks = [f"conv_block{number + 1}" for number in range(len(config.channels))]
        for number, name in enumerate(self.blocks):
            setattr(self.embedding_net, name, TorchBlock(edges[number], edges[number + 1]))
        self.fc = nn.ModuleList([nn.Linear(edges[-1], 7)])

    def forward(self, log_mel: torch.Tensor) -> torch.Tensor:
        x = log_mel[:, None]
        for name in self.blocks:
            x = getattr(self.embedding_net, name)(x)
            x = x if name == self.blocks[-1] else nn.functional.max_pool2d(x, 2)
        return x.mean(dim=3).amax(dim=2)


def test_aisfx_embeds_what_pytorch_embeds():
    config = AisfxConfig.tiny()
    theirs = with_statistics(randomise(TorchAisfx(config)))
    blocks = torch.randn(3, 11, 96, generator=torch.Generator().manual_seed(0))
    assert_parity(judge(port(aisfx.NETWORK, config, theirs), to_jax(blocks)), theirs(blocks))


def test_aisfx_sees_what_essentia_computes():
    seconds = np.arange(44100) / 44100
    sweep = (0.3 * np.sin(2 * np.pi * (200 + 4000 * seconds) * seconds) * seconds).astype(np.float32)
    (block,) = aisfx_blocks(sweep)
    assert block.shape == (100, 96)
    # essentia 2.1b6: FrameGenerator(frameSize=2048, hopSize=1024), Windowing(type="hann", normalized=False), and
    # MelBands as in aisfx 0.1.2; log10(1e4 x + 1).
    expected = [
        [0.03176, 2.87453, 0.00046, 0.0, 0.0, 0.0, 0.0],
        [4e-05, 1.98422, 0.00635, 0.0, 0.0, 0.0, 0.0],
        [0.0, 0.0, 0.0, 1e-05, 0.0, 0.0, 0.0],
        [2.70289, 2.70367, 2.7119, 2.78593, 3.28512, 2.79895, 1.99225],
        [0.02553, 0.0256, 0.02606, 0.03077, 0.09082, 0.03168, 0.00505],
    ]
    places = np.ix_([0, 1, 20, 43, 44], [0, 7, 20, 40, 60, 80, 95])
    np.testing.assert_allclose(9.457798957824707 * block[places], expected, atol=2e-5)
    assert not block[45:].any()  # silence


@pytest.mark.parametrize(("frames", "blocks"), [(100, 1), (149, 1), (150, 2), (246, 3)])
def test_aisfx_hears_whole_blocks_half_over_each_other(frames, blocks):
    waveform = noise(1024 * (frames - 1))
    heard = aisfx_blocks(waveform)
    assert len(heard) == blocks
    np.testing.assert_array_equal(heard[:-1, 50:], heard[1:, :50])


@pytest.mark.parametrize("last_activation", [False, True])
def test_vggish_embeds_what_pytorch_embeds(last_activation):
    config = VggishConfig.tiny()
    theirs = randomise(TorchVggish(config))
    examples = torch.randn(3, 96, 64, generator=torch.Generator().manual_seed(0))
    ours = port(vggish.NETWORK, config, theirs)
    embedded = ours(to_jax(examples), last_activation=last_activation)
    assert_parity(embedded, theirs(examples, last_activation))


def test_vggish_takes_whole_pieces_of_a_sound():
    waveform = noise(15600 + 15360)
    examples = vggish_examples(waveform)
    assert examples.shape == (2, 96, 64)
    assert vggish_examples(waveform[:-1]).shape == (1, 96, 64)
    np.testing.assert_array_equal(vggish_examples(waveform[15360:])[0], examples[1])
    with pytest.raises(ValueError, match="15599 samples; expected 15600"):
        vggish_examples(waveform[:15599])


def test_vggish_sees_magnitudes_on_the_mel_scale_of_htk():
    waveform = noise(15600)
    window = torch.hann_window(400, periodic=True, dtype=torch.float64)
    frames = torch.from_numpy(waveform).double().unfold(0, 400, 160)
    magnitudes = torch.fft.rfft(frames * window, 512).abs()
    bank = mel_filter_bank(257, 64, 125.0, 7500.0, 16000, None, "htk", triangularize_in_mel_space=True)
    bank[0] = 0.0
    expected = (magnitudes @ torch.from_numpy(bank) + 0.01).log()
    assert_parity(jnp.asarray(vggish_examples(waveform)[0]), expected)


def clap_reference(config: ClapAudioConfig) -> transformers.ClapAudioModelWithProjection:
    values: dict[str, Any] = {
        name: list(value) if isinstance(value, tuple) else value for name, value in vars(config).items()
    }
    return with_statistics(randomise(transformers.ClapAudioModelWithProjection(transformers.ClapAudioConfig(**values))))


def clap_embedding(theirs, mel: torch.Tensor, is_longer: torch.Tensor) -> torch.Tensor:
    embedding = theirs(input_features=mel, is_longer=is_longer[:, None]).audio_embeds
    return nn.functional.normalize(embedding, dim=-1)


@pytest.mark.parametrize("frames", [256, 201])
@pytest.mark.parametrize("fusion", [False, True])
def test_the_tower_of_clap_for_sound_embeds_what_pytorch_embeds(fusion, frames):
    config = dataclasses.replace(ClapAudioConfig.tiny(), enable_fusion=fusion)
    theirs = clap_reference(config)
    mel = torch.randn(3, 4 if fusion else 1, frames, 16, generator=torch.Generator().manual_seed(0))
    is_longer = torch.tensor([True, False, True])
    embedding = judge(port(clap_audio.NETWORK, config, theirs), to_jax(mel), to_jax(is_longer))
    assert_parity(embedding, clap_embedding(theirs, mel, is_longer))


@pytest.mark.parametrize(
    "changes",
    [
        {"enable_patch_layer_norm": False, "qkv_bias": False},
        {"window_size": 5, "depths": (3, 2)},  # which does not divide the grid
        {"patch_size": 6, "mlp_ratio": 2.0, "hidden_act": "relu"},
        {"depths": (1, 2), "spec_size": 32, "num_mel_bins": 16},  # the last image is one window
    ],
    ids=str,
)
def test_other_shapes_of_the_tower_match_too(changes):
    config = dataclasses.replace(ClapAudioConfig.tiny(), **changes)
    theirs = clap_reference(config)
    mel = torch.randn(1, 1, config.spec_size * config.freq_ratio, 16, generator=torch.Generator().manual_seed(0))
    longer = torch.tensor([False])
    embedding = judge(port(clap_audio.NETWORK, config, theirs), to_jax(mel), to_jax(longer))
    assert_parity(embedding, clap_embedding(theirs, mel, longer))


@pytest.mark.parametrize("samples", [500, 1500, 2400, 2401, 2479, 2480, 2640, 9000])
@pytest.mark.parametrize("truncation", ["fusion", "rand_trunc"])
@pytest.mark.parametrize("padding", ["repeatpad", "repeat", "pad"])
def test_features_of_clap_are_those_of_transformers(samples, truncation, padding, monkeypatch):
    config = dataclasses.replace(ClapFeaturesConfig.tiny(), truncation=truncation, padding=padding)
    # Where transformers draws, it is made to take the middle, as ours does without a generator.
    monkeypatch.setattr(np.random, "randint", lambda low, high: (high - 1 - low) // 2 + low)
    monkeypatch.setattr(np.random, "choice", lambda values: values[(len(values) - 1) // 2])
    values: dict[str, Any] = dict(vars(config))
    theirs = transformers.ClapFeatureExtractor(**values)
    theirs.nb_max_samples = 2400
    if truncation == "fusion":
        monkeypatch.setattr(torch.nn.functional, "interpolate", _eight_bins(torch.nn.functional.interpolate))
    waveform = noise(samples)
    # A long sound beside it, so that none is marked at random.
    both = theirs([waveform, noise(9000, 1)], sampling_rate=8000)
    ours = clap_features(waveform, config)
    np.testing.assert_allclose(ours.mel, both["input_features"][0], atol=2e-3)
    assert ours.is_longer == both["is_longer"][0][0]


def _eight_bins(interpolate):
    """transformers shrinks to 64 bins, whatever the configuration says."""
    return lambda mel, size, **keywords: interpolate(mel, size=[size[0], mel.shape[-1]], **keywords)


def test_a_generator_draws_the_pieces_of_long_sounds():
    config, waveform = ClapFeaturesConfig.tiny(), noise(20000)
    first, again = (clap_features(waveform, config, generator=np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first.mel, again.mel)
    other = clap_features(waveform, config, generator=np.random.default_rng(4))
    assert not np.array_equal(first.mel, other.mel)
    np.testing.assert_array_equal(first.mel[0], other.mel[0])  # the whole


def test_published_judges_have_the_weights_of_pytorch():
    def count(module: nn.Module) -> int:
        return sum(tensor.numel() for tensor in module.state_dict().values() if tensor.is_floating_point())

    with torch.device("meta"):
        assert parameter_count(abstract(Cnn14, Cnn14Config())) == count(TorchCnn14(Cnn14Config()))
        assert parameter_count(abstract(Vggish, VggishConfig())) == count(TorchVggish(VggishConfig())) == 72_141_184
    for depths, heads, channels, fusion in (
        ((2, 2, 12, 2), (4, 8, 16, 32), 128, False),
        ((2, 2, 6, 2), (4, 8, 16, 32), 96, True),
    ):
        values: dict[str, Any] = {"depths": depths, "num_attention_heads": heads, "patch_embeds_hidden_size": channels}
        values |= {"hidden_size": 8 * channels, "enable_fusion": fusion}
        with torch.device("meta"):
            theirs = transformers.ClapAudioModelWithProjection(transformers.ClapAudioConfig(**values))
        assert parameter_count(abstract(ClapAudioModel, ClapAudioConfig(**values))) == count(theirs)
