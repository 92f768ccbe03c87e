"""Where the tensors of the UNet go: PyTorch's names on the left, ours on the right."""

from litefocus_jax.models.keys import KeyTable, Rule

# The three kinds of blocks are alike inside.
_BLOCK = r"{block:(?:down_blocks|up_blocks)\.\d+|mid_block}."
_RESNET = _BLOCK + r"resnets.{n:\d+}."
_TRANSFORMER = _BLOCK + r"attentions.{n:\d+}."
_TRANSFORMER_BLOCK = _TRANSFORMER + r"transformer_blocks.{layer:\d+}."
_OUR_RESNET = "{block}.resnets.{n}."
_OUR_TRANSFORMER = "{block}.attentions.transformers.{n}."
_OUR_TRANSFORMER_BLOCK = _OUR_TRANSFORMER + "transformer_blocks.{layer}."

_RULES = (
    Rule("conv_{end:in|out}.weight", "conv_{end}.kernel", "conv2d"),
    Rule("conv_{end:in|out}.bias", "conv_{end}.bias"),
    Rule("conv_norm_out.weight", "conv_norm_out.scale"),
    Rule("conv_norm_out.bias", "conv_norm_out.bias"),
    Rule("time_embedding.{layer:linear_[12]}.weight", "time_embedding.{layer}.kernel", "linear"),
    Rule("time_embedding.{layer:linear_[12]}.bias", "time_embedding.{layer}.bias"),
    Rule(_RESNET + "{norm:norm[12]}.weight", _OUR_RESNET + "{norm}.scale"),
    Rule(_RESNET + "{norm:norm[12]}.bias", _OUR_RESNET + "{norm}.bias"),
    Rule(_RESNET + "{conv:conv1|conv2|conv_shortcut}.weight", _OUR_RESNET + "{conv}.kernel", "conv2d"),
    Rule(_RESNET + "{conv:conv1|conv2|conv_shortcut}.bias", _OUR_RESNET + "{conv}.bias"),
    Rule(_RESNET + "time_emb_proj.weight", _OUR_RESNET + "time_emb_proj.kernel", "linear"),
    Rule(_RESNET + "time_emb_proj.bias", _OUR_RESNET + "time_emb_proj.bias"),
    Rule(_BLOCK + "{way:down|up}samplers.0.conv.weight", "{block}.{way}sample.conv.kernel", "conv2d"),
    Rule(_BLOCK + "{way:down|up}samplers.0.conv.bias", "{block}.{way}sample.conv.bias"),
    Rule(_TRANSFORMER + "norm.weight", _OUR_TRANSFORMER + "norm.scale"),
    Rule(_TRANSFORMER + "norm.bias", _OUR_TRANSFORMER + "norm.bias"),
    Rule(_TRANSFORMER + "proj_{end:in|out}.weight", _OUR_TRANSFORMER + "proj_{end}.kernel", "linear_or_conv2d"),
    Rule(_TRANSFORMER + "proj_{end:in|out}.bias", _OUR_TRANSFORMER + "proj_{end}.bias"),
    Rule(_TRANSFORMER_BLOCK + "{norm:norm[123]}.weight", _OUR_TRANSFORMER_BLOCK + "{norm}.scale"),
    Rule(_TRANSFORMER_BLOCK + "{norm:norm[123]}.bias", _OUR_TRANSFORMER_BLOCK + "{norm}.bias"),
    Rule(
        _TRANSFORMER_BLOCK + "{attention:attn[12]}.to_{role:[qkv]}.weight",
        _OUR_TRANSFORMER_BLOCK + "{attention}.to_{role}.kernel",
        "linear",
    ),
    Rule(
        _TRANSFORMER_BLOCK + "{attention:attn[12]}.to_out.0.weight",
        _OUR_TRANSFORMER_BLOCK + "{attention}.to_out.kernel",
        "linear",
    ),
    Rule(_TRANSFORMER_BLOCK + "{attention:attn[12]}.to_out.0.bias", _OUR_TRANSFORMER_BLOCK + "{attention}.to_out.bias"),
    Rule(_TRANSFORMER_BLOCK + "ff.net.0.proj.weight", _OUR_TRANSFORMER_BLOCK + "ff.proj_in.kernel", "linear"),
    Rule(_TRANSFORMER_BLOCK + "ff.net.0.proj.bias", _OUR_TRANSFORMER_BLOCK + "ff.proj_in.bias"),
    Rule(_TRANSFORMER_BLOCK + "ff.net.2.weight", _OUR_TRANSFORMER_BLOCK + "ff.proj_out.kernel", "linear"),
    Rule(_TRANSFORMER_BLOCK + "ff.net.2.bias", _OUR_TRANSFORMER_BLOCK + "ff.proj_out.bias"),
)
_CLASS_RULES = (
    Rule("class_embedding.weight", "class_embedding.kernel", "linear"),
    Rule("class_embedding.bias", "class_embedding.bias"),
)

KEYS = KeyTable(_RULES)
CLASS_CONDITIONED_KEYS = KeyTable((*_RULES, *_CLASS_RULES))
