"""Where the tensors of the text side go: CLAP's text tower, T5's encoder, GPT-2 and the projection between them.

T5's tied embedding is already one tensor, and GPT-2's keys carry no ``transformer.`` prefix.
"""

from litefocus_jax.checkpoint.rules import Rule

_CLAP_LAYER = r"text_model.encoder.layer.{n:\d+}."

CLAP_RULES: tuple[Rule, ...] = (
    Rule("text_model.embeddings.{table:[a-z_]+_embeddings}.weight", "embeddings.{table}.embedding"),
    Rule("text_model.embeddings.LayerNorm.weight", "embeddings.norm.scale"),
    Rule("text_model.embeddings.LayerNorm.bias", "embeddings.norm.bias"),
    Rule(_CLAP_LAYER + "attention.self.{role:query|key|value}.weight", "layers.{n}.attention.{role}.kernel", "linear"),
    Rule(_CLAP_LAYER + "attention.self.{role:query|key|value}.bias", "layers.{n}.attention.{role}.bias"),
    Rule(_CLAP_LAYER + "attention.output.dense.weight", "layers.{n}.attention.output.kernel", "linear"),
    Rule(_CLAP_LAYER + "attention.output.dense.bias", "layers.{n}.attention.output.bias"),
    Rule(_CLAP_LAYER + "attention.output.LayerNorm.weight", "layers.{n}.attention_norm.scale"),
    Rule(_CLAP_LAYER + "attention.output.LayerNorm.bias", "layers.{n}.attention_norm.bias"),
    Rule(_CLAP_LAYER + "{layer:intermediate|output}.dense.weight", "layers.{n}.{layer}.kernel", "linear"),
    Rule(_CLAP_LAYER + "{layer:intermediate|output}.dense.bias", "layers.{n}.{layer}.bias"),
    Rule(_CLAP_LAYER + "output.LayerNorm.weight", "layers.{n}.output_norm.scale"),
    Rule(_CLAP_LAYER + "output.LayerNorm.bias", "layers.{n}.output_norm.bias"),
    Rule("text_model.pooler.dense.weight", "pooler.kernel", "linear"),
    Rule("text_model.pooler.dense.bias", "pooler.bias"),
    Rule("text_projection.{layer:linear[12]}.weight", "projection.{layer}.kernel", "linear"),
    Rule("text_projection.{layer:linear[12]}.bias", "projection.{layer}.bias"),
)
CLAP_IGNORED: tuple[str, ...] = (
    # Sound is never an input; the audio tower only ranks finished waveforms.
    "audio_model.{rest}",
    "audio_projection.{rest}",
    # Temperatures of the contrastive loss.
    "logit_scale_{tower:[at]}",
    # Buffers that hold 0, 1, 2, ... and zeros.
    "text_model.embeddings.{buffer:position_ids|token_type_ids}",
)

_T5_BLOCK = r"encoder.block.{n:\d+}.layer."
_T5_BIAS = "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"

T5_RULES: tuple[Rule, ...] = (
    Rule("shared.weight", "token_embedding.embedding"),
    Rule(_T5_BIAS, "relative_position_bias.buckets.embedding"),
    Rule(_T5_BLOCK + "0.layer_norm.weight", "blocks.{n}.attention_norm.scale"),
    Rule(_T5_BLOCK + "0.SelfAttention.q.weight", "blocks.{n}.attention.query.kernel", "linear"),
    Rule(_T5_BLOCK + "0.SelfAttention.k.weight", "blocks.{n}.attention.key.kernel", "linear"),
    Rule(_T5_BLOCK + "0.SelfAttention.v.weight", "blocks.{n}.attention.value.kernel", "linear"),
    Rule(_T5_BLOCK + "0.SelfAttention.o.weight", "blocks.{n}.attention.output.kernel", "linear"),
    Rule(_T5_BLOCK + "1.layer_norm.weight", "blocks.{n}.feed_forward_norm.scale"),
    # Gated feed-forward networks have wi_0 and wi_1, others wi.
    Rule(_T5_BLOCK + "1.DenseReluDense.wi_0.weight", "blocks.{n}.feed_forward.gate.kernel", "linear", optional=True),
    Rule(_T5_BLOCK + "1.DenseReluDense.wi_1.weight", "blocks.{n}.feed_forward.value.kernel", "linear", optional=True),
    Rule(_T5_BLOCK + "1.DenseReluDense.wi.weight", "blocks.{n}.feed_forward.up.kernel", "linear", optional=True),
    Rule(_T5_BLOCK + "1.DenseReluDense.wo.weight", "blocks.{n}.feed_forward.down.kernel", "linear"),
    Rule("encoder.final_layer_norm.weight", "final_norm.scale"),
)
T5_IGNORED: tuple[str, ...] = (
    # A whole T5 may be stored; only its encoder is used.
    "decoder.{rest}",
    "lm_head.weight",
)

_GPT2_BLOCK = r"h.{n:\d+}."

# transformers stores the weights of GPT-2's linear layers ("Conv1D") as [in, out], as we do.
GPT2_RULES: tuple[Rule, ...] = (
    Rule("wte.weight", "token_embedding.embedding"),
    Rule("wpe.weight", "position_embedding.embedding"),
    Rule(_GPT2_BLOCK + "ln_1.weight", "blocks.{n}.attention_norm.scale"),
    Rule(_GPT2_BLOCK + "ln_1.bias", "blocks.{n}.attention_norm.bias"),
    Rule(_GPT2_BLOCK + "attn.c_attn.weight", "blocks.{n}.attention.query_key_value.kernel"),
    Rule(_GPT2_BLOCK + "attn.c_attn.bias", "blocks.{n}.attention.query_key_value.bias"),
    Rule(_GPT2_BLOCK + "attn.c_proj.weight", "blocks.{n}.attention.output.kernel"),
    Rule(_GPT2_BLOCK + "attn.c_proj.bias", "blocks.{n}.attention.output.bias"),
    Rule(_GPT2_BLOCK + "ln_2.weight", "blocks.{n}.feed_forward_norm.scale"),
    Rule(_GPT2_BLOCK + "ln_2.bias", "blocks.{n}.feed_forward_norm.bias"),
    Rule(_GPT2_BLOCK + "mlp.c_fc.weight", "blocks.{n}.feed_forward.up.kernel"),
    Rule(_GPT2_BLOCK + "mlp.c_fc.bias", "blocks.{n}.feed_forward.up.bias"),
    Rule(_GPT2_BLOCK + "mlp.c_proj.weight", "blocks.{n}.feed_forward.down.kernel"),
    Rule(_GPT2_BLOCK + "mlp.c_proj.bias", "blocks.{n}.feed_forward.down.bias"),
    Rule("ln_f.weight", "final_norm.scale"),
    Rule("ln_f.bias", "final_norm.bias"),
)
GPT2_IGNORED: tuple[str, ...] = (
    # Buffers of old files: the causal mask and the number that masks.
    r"h.{n:\d+}.attn.{buffer:bias|masked_bias}",
    # Tied to wte; no tokens are predicted.
    "lm_head.weight",
)

PROJECTION_RULES: tuple[Rule, ...] = (
    Rule("{name:projection|projection_1}.weight", "{name}.kernel", "linear"),
    Rule("{name:projection|projection_1}.bias", "{name}.bias"),
    Rule("{name:[se]os_embed|[se]os_embed_1}", "{name}"),
    Rule("learnable_positional_embedding", "position_embedding", optional=True),
)
PROJECTION_IGNORED: tuple[str, ...] = ()
