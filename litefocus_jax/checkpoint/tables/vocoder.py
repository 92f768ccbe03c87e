"""Where the tensors of transformers' ``SpeechT5HifiGan`` go, with weight norm already fused."""

from litefocus_jax.checkpoint.rules import Rule

VOCODER_RULES: tuple[Rule, ...] = (
    Rule("conv_{end:pre|post}.weight", "conv_{end}.kernel", "conv1d"),
    Rule("upsampler.{level}.weight", "upsampler.{level}.kernel", "conv_transpose1d"),
    Rule("resblocks.{block}.convs{side:1|2}.{pair}.weight", "resblocks.{block}.convs{side}.{pair}.kernel", "conv1d"),
    Rule("{layer}.bias", "{layer}.bias"),
    Rule("{statistic:mean|scale}", "{statistic}"),
)

VOCODER_IGNORED: tuple[str, ...] = ()
