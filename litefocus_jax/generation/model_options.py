"""Options that only some of the family have, refused for the others."""

from collections.abc import Mapping
from typing import Any

from litefocus_jax.models.model_type import AUDIOLDM2, ModelType

_VECTOR = "which knows a prompt by CLAP's vector of it and nothing else"
_WORDS = "which knows a prompt by T5's vectors of its words and nothing else"

# Options of AudioLDM2 alone: values that ask for nothing, and what to do instead.
_OF_AUDIOLDM2: Mapping[str, tuple[tuple[Any, ...], str]] = {
    "generated_prompt_embeds": ((None,), "give prompt_embeds alone"),
    "negative_generated_prompt_embeds": ((None,), "give negative_prompt_embeds alone"),
    "prompt_padding": ((None, "alone"), "leave it out: a prompt does not hang on its neighbours here"),
    "force_zeros_for_empty_prompt": ((None, False), "leave it out: there is no GPT-2 whose vectors could be zeros"),
}

# Options of models that read a prompt word by word.
_OF_WORDS: Mapping[str, tuple[tuple[Any, ...], str]] = {
    "attention_mask": ((None,), "give prompt_embeds alone, [prompts, features]"),
    "negative_attention_mask": ((None,), "give negative_prompt_embeds alone, [prompts, features]"),
}


def check_options_of_model(model_type: ModelType, asked: Mapping[str, Any]) -> None:
    """Refuse what a model of another type has.

    Args:
        model_type: of the model.
        asked: the options of a request.

    Raises:
        ValueError: naming the first such option that asks for something.
    """
    if model_type.has_language_model:
        return
    refused = {**_OF_AUDIOLDM2, **(_OF_WORDS if model_type.takes_class_labels else {})}
    known_by = _VECTOR if model_type.takes_class_labels else _WORDS
    for name, (neutral, instead) in refused.items():
        value = asked.get(name)
        if not any(value is each or (isinstance(each, str) and value == each) for each in neutral):
            shown = f" = {value!r}" if isinstance(value, str | bool) else ""
            raise ValueError(
                f"{name}{shown} is of {AUDIOLDM2.name}; this model is {model_type.described}, {known_by}: {instead}"
            )
