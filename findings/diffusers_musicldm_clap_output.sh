#!/bin/sh
# diffusers' MusicLDM takes what CLAP returns for a tensor, which under transformers 5 it is not.
#
# Library: diffusers 0.42.1, transformers 5.24.0, torch 2.13.0.
# Guess before running: the pipeline is called deprecated, but all of its parts load and fit together, so that it makes
# a sound.
# What happens: `ClapModel.get_text_features` returns an output object with the vectors in `pooler_output`. The pipeline
# calls `.to(...)` on it, which ends in an AttributeError, for any prompt.
# For users of this project: MusicLDM's folders load and run here (docs/checkpoints.md); the parity test mends that one
# call of diffusers.
#
# Seen output:
#   get_text_features returns BaseModelOutputWithPooling
#   MusicLDMPipeline: AttributeError: 'BaseModelOutputWithPooling' object has no attribute 'to'
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 diffusers==0.42.1 transformers==5.24.0
cat > "$folder/musicldm.py" <<'PYTHON'
import torch
from diffusers import AutoencoderKL, DDIMScheduler, MusicLDMPipeline, UNet2DConditionModel
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    ClapConfig,
    ClapFeatureExtractor,
    ClapModel,
    PreTrainedTokenizerFast,
    SpeechT5HifiGan,
    SpeechT5HifiGanConfig,
)

words = Tokenizer(models.WordLevel({"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "rain": 4}, unk_token="<unk>"))
words.pre_tokenizer = pre_tokenizers.Whitespace()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", unk_token="<unk>", model_max_length=16)
clap = ClapModel(
    ClapConfig(
        text_config={
            "vocab_size": 8, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
            "intermediate_size": 16, "projection_dim": 8,
        },
        audio_config={
            "spec_size": 32, "patch_size": 4, "patch_stride": [4, 4], "num_mel_bins": 8, "window_size": 4,
            "hidden_size": 32, "patch_embeds_hidden_size": 8, "depths": [1, 1], "num_attention_heads": [2, 2],
            "projection_dim": 8,
        },
        projection_dim=8,
    )
).eval()
pipeline = MusicLDMPipeline(
    vae=AutoencoderKL(in_channels=1, out_channels=1, block_out_channels=(4,), norm_num_groups=4),
    text_encoder=clap,
    tokenizer=tokenizer,
    feature_extractor=ClapFeatureExtractor(),
    unet=UNet2DConditionModel(
        block_out_channels=(4, 8), down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), cross_attention_dim=(4, 8), norm_num_groups=4,
        attention_head_dim=2, class_embed_type="simple_projection", projection_class_embeddings_input_dim=8,
        class_embeddings_concat=True,
    ),
    scheduler=DDIMScheduler(),
    vocoder=SpeechT5HifiGan(SpeechT5HifiGanConfig(model_in_dim=8, upsample_initial_channel=8, upsample_rates=[2], upsample_kernel_sizes=[4])),
)
pipeline.set_progress_bar_config(disable=True)
with torch.no_grad():
    print("get_text_features returns", type(clap.get_text_features(**tokenizer("rain", return_tensors="pt", return_token_type_ids=False))).__name__)
try:
    pipeline("rain", audio_length_in_s=0.1, num_inference_steps=1)
    print("MusicLDMPipeline: a sound")
except Exception as error:
    print(f"MusicLDMPipeline: {type(error).__name__}: {error}")
PYTHON
"$folder/venv/bin/python" "$folder/musicldm.py" 2>"$folder/warnings" | tee "$folder/found" || tail -5 "$folder/warnings"
cat > "$folder/expected" <<'TEXT'
get_text_features returns BaseModelOutputWithPooling
MusicLDMPipeline: AttributeError: 'BaseModelOutputWithPooling' object has no attribute 'to'
TEXT
diff "$folder/expected" "$folder/found"
