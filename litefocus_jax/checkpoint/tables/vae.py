"""Where the tensors of diffusers' ``AutoencoderKL`` go.

Files written before diffusers 0.15 spell the attention ``query``, ``key``, ``value`` and ``proj_attn``;
`litefocus_jax.checkpoint.normalise.rename_deprecated_attention` gives those their present names first.
"""

from litefocus_jax.checkpoint.rules import Rule

_ATTENTION = "{side:encoder|decoder}.mid_block.attentions.0"

VAE_RULES: tuple[Rule, ...] = (
    Rule("{block}.conv{part:1|2|_in|_out|_shortcut}.weight", "{block}.conv{part}.kernel", "conv2d"),
    Rule("{block}.norm{part:1|2}.weight", "{block}.norm{part}.scale"),
    Rule("{side:encoder|decoder}.conv_norm_out.weight", "{side}.conv_norm_out.scale"),
    Rule("{block}samplers.0.conv.weight", "{block}samplers.0.conv.kernel", "conv2d", optional=True),
    Rule(f"{_ATTENTION}.group_norm.weight", f"{_ATTENTION}.group_norm.scale", optional=True),
    Rule(f"{_ATTENTION}.to_{{part:q|k|v|out.0}}.weight", f"{_ATTENTION}.to_{{part}}.kernel", "linear", optional=True),
    Rule("{side:quant|post_quant}_conv.weight", "{side}_conv.kernel", "conv2d", optional=True),
    Rule("{layer}.bias", "{layer}.bias"),
)

VAE_IGNORED: tuple[str, ...] = ()
