"""Where the tensors of the authors' ``AutoencoderKL`` go: their names on the left, diffusers' on the right.

Theirs counts the decoder's levels from its end, and its attention is made of convolutions of one pixel.
"""

from litefocus_jax.models.keys import Rule


def original_rules(levels: int) -> tuple[Rule, ...]:
    """The rules of a VAE of so many levels."""
    stage, kind = "first_stage_model.", "{kind:weight|bias}"
    last = levels - 1
    places = [("encoder.down_blocks.", f"encoder.down.{level}.", level, "down") for level in range(last + 1)]
    places += [("decoder.up_blocks.", f"decoder.up.{level}.", last - level, "up") for level in range(last + 1)]
    rules = []
    for ours, theirs, level, way in places:
        resnet, block = f"{ours}{level}.resnets.{{n}}.", stage + theirs + r"block.{n:\d+}."
        rules += [
            Rule(f"{block}{{part:norm1|conv1|norm2|conv2}}.{kind}", f"{resnet}{{part}}.{{kind}}"),
            Rule(f"{block}nin_shortcut.{kind}", f"{resnet}conv_shortcut.{{kind}}", optional=True),
            Rule(
                f"{stage}{theirs}{way}sample.conv.{kind}",
                f"{ours}{level}.{way}samplers.0.conv.{{kind}}",
                optional=True,
            ),
        ]
    side = "{side:encoder|decoder}"
    middle, attention = f"{stage}{side}.mid.", f"{side}.mid_block.attentions.0"
    for number in range(2):
        rules.append(Rule(f"{middle}block_{number + 1}.{{rest}}", f"{side}.mid_block.resnets.{number}.{{rest}}"))
    rules.append(Rule(f"{middle}attn_1.norm.{kind}", f"{attention}.group_norm.{{kind}}"))
    for theirs, ours in (("q", "to_q"), ("k", "to_k"), ("v", "to_v"), ("proj_out", "to_out.0")):
        rules.append(Rule(f"{middle}attn_1.{theirs}.weight", f"{attention}.{ours}.weight", "from_1x1"))
        rules.append(Rule(f"{middle}attn_1.{theirs}.bias", f"{attention}.{ours}.bias"))
    return (
        *rules,
        Rule(f"{stage}{side}.norm_out.{kind}", f"{side}.conv_norm_out.{{kind}}"),
        Rule(f"{stage}{side}.conv_{{end:in|out}}.{kind}", f"{side}.conv_{{end}}.{{kind}}"),
        Rule(f"{stage}{{way:quant|post_quant}}_conv.{kind}", "{way}_conv.{kind}"),
    )
