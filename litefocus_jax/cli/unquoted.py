"""Prompts whose quotes were forgotten, and values that were meant for an option."""

import mimetypes
import re
import shlex
from collections.abc import Sequence

from litefocus_jax.cli.console import UsageError


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_FUNCTION_WORDS = _words(
    "a an the this that these those my your his her its our their some any every each no "
    "on in at of off by to from with without into onto over under above below through across along around against "
    "behind beside between beneath beyond near past inside outside toward towards upon via up down out away "
    "and or but nor then than as while when where during before after until "
    "is are was were be being been it they he she who which "
    "not very too so just"
)
# Words in -ing and -ly that are sounds or things by themselves.
_NOUNS = _words(
    "lightning evening morning spring string ring king wing swing thing ping ding sing bring ceiling building "
    "family belly jelly bully"
)
_MOST_SINGLE_WORDS = 4
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?(s|sec|seconds)?")
_FILES = {"audio": "-o", "image": "--spectrogram"}
_ANSWERS = ("true", "false", "yes", "no", "1", "0")
_OPTIONS = {
    "ddim": "--scheduler",
    "dpm++": "--scheduler",
    "leading": "--spacing",
    "trailing": "--spacing",
    "linspace": "--spacing",
    "uniform": "--spacing",
    "authors": "--sampling",
    "swap": "--windows",
    "average": "--windows",
    "linear": "--litefocus",
    "auto": "--litefocus",
    "float32": "--dtype",
    "bfloat16": "--dtype",
    "float16": "--dtype",
    "pcm_16": "--subtype",
    "pcm_24": "--subtype",
    "float": "--subtype",
}


def check_quoted(prompts: Sequence[str]) -> None:
    """Notice prompts that look like one that lacks its quotes, or like the value of an option.

    Several prompts are taken for one where one of them is a word such as "on" or "the", ends in a comma, is a word in
    -ing or -ly beside words that are not ("dog barking"), or where there are more than four single words. Letters are
    not words. A number, the name of a sound file, or a value of an option is no prompt either.

    Args:
        prompts: the arguments, as the shell hands them over.

    Raises:
        UsageError: with the command that was probably meant, and how to say that these prompts are.
    """
    for prompt in prompts:
        if meant := _misplaced(prompt.strip(), len(prompts)):
            raise UsageError(
                f"{prompt!r} stands where a prompt is expected; {meant}. If it is a prompt, add --each, which takes "
                "all prompts as they are"
            )
    if len(prompts) > 1 and _is_one_sentence([prompt.strip().lower() for prompt in prompts]):
        joined = " ".join(prompt.strip() for prompt in prompts)
        each = " ".join(map(_quoted, prompts))
        raise UsageError(
            f"{len(prompts)} prompts would be {len(prompts)} sounds; put a prompt of several words in quotes:\n"
            f"  litefocus-jax generate {_quoted(joined)}\n"
            "or, if you mean a sound of each, say so:\n"
            f"  litefocus-jax generate --each {each}"
        )


def _is_one_sentence(prompts: list[str]) -> bool:
    if all(len(prompt) <= 1 for prompt in prompts):
        return False
    if any(prompt in _FUNCTION_WORDS or prompt.endswith(",") for prompt in prompts):
        return True
    if any(re.search(r"\s", prompt) for prompt in prompts):
        return False
    qualifying = [bool(re.fullmatch(r"\w{2,}(ing|ly)", prompt)) and not _is_noun(prompt) for prompt in prompts]
    return (any(qualifying) and not all(qualifying)) or len(prompts) > _MOST_SINGLE_WORDS


def _is_noun(word: str) -> bool:
    return word in _NOUNS or word.endswith("fly")


def _misplaced(prompt: str, count: int) -> str | None:
    """What to do about a prompt that is none; None for all others."""
    if prompt.startswith(("–", "—", "−")):  # noqa: RUF001
        return f"its dash is not the hyphen of an option: --{prompt.lstrip('–—−')}"  # noqa: RUF001
    if re.search(r"\s", prompt):
        return None
    kind = (mimetypes.guess_type(prompt)[0] or "").partition("/")[0]
    if kind in _FILES and not prompt.startswith("."):
        return f"a file to write is given by {_FILES[kind]}: {_FILES[kind]} {shlex.quote(prompt)}"
    if count > 1 and prompt.endswith("/"):
        return f"a folder to write to is given by -o: -o {shlex.quote(prompt)}"
    if count > 1 and prompt.lower() in _ANSWERS:
        return "an option such as --overwrite takes no value, and seconds are given by -d, steps by --steps"
    if _NUMBER.fullmatch(prompt.lower()):
        number = prompt.lower().rstrip("second")
        return f"seconds are given by -d: -d {number}; steps by --steps, a seed by --seed"
    if count > 1 and prompt.lower() in _OPTIONS:
        option = _OPTIONS[prompt.lower()]
        return f"it is a value of {option}: {option} {prompt}"
    if count > 1 and re.fullmatch(r"cvssp/[\w.-]+|https?://\S+", prompt):
        return f"a model is given by -m: -m {shlex.quote(prompt)}"
    return None


def _quoted(text: str) -> str:
    """In double quotes, which all shells know, unless the text holds what they give a meaning."""
    return shlex.quote(text) if re.search(r'["$`\\!]', text) else f'"{text}"'
