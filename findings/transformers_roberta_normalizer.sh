#!/bin/sh
# A normalizer in tokenizer.json is dropped when transformers 5 loads it as a RobertaTokenizer.
#
# Library: transformers 5.24.0, with tokenizers 0.23.3.
# Guess before running: tokenizer.json is the whole tokenizer, so both libraries make the same ids of a text.
# What happens: tokenizers applies the file's normalizer, here lower case. RobertaTokenizer takes the words and merges of
# the file and builds the rest anew, without a normalizer and without a word, so that nothing is left of "RAIN".
# Loaded as PreTrainedTokenizerFast, which calls itself TokenizersBackend now, the same file keeps it.
# For users of this project: the tokenizer of CLAP's text encoder is of this class. What foley knows of case and
# punctuation stands in such a normalizer, which is read here, but not by diffusers after `litefocus-jax export`.
#
# Seen output:
#   tokenizers: rain [4], RAIN [4]
#   RobertaTokenizer: rain [0, 4, 1], RAIN [0, 1]
#   TokenizersBackend: rain [4], RAIN [4]
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet transformers==5.24.0 tokenizers==0.23.3 numpy==2.3.5
cat > "$folder/tokens.py" <<'PYTHON'
import sys

from tokenizers import Tokenizer, models, normalizers
from transformers import PreTrainedTokenizerFast, RobertaTokenizer

words = {"<s>": 0, "</s>": 1, "<pad>": 2, "<unk>": 3, "rain": 4, "r": 5, "a": 6, "i": 7, "n": 8, "ra": 9, "in": 10}
merges = [("r", "a"), ("i", "n"), ("ra", "in")]
tokenizer = Tokenizer(models.BPE(words, merges, unk_token="<unk>"))
tokenizer.normalizer = normalizers.Lowercase()
tokenizer.save(f"{sys.argv[1]}/tokenizer.json")


def show(name, ids_of):
    print(f"{name}: rain {ids_of('rain')}, RAIN {ids_of('RAIN')}")


show("tokenizers", lambda text: Tokenizer.from_file(f"{sys.argv[1]}/tokenizer.json").encode(text).ids)
for kind in (RobertaTokenizer, PreTrainedTokenizerFast):
    show(kind.__name__, lambda text: kind.from_pretrained(sys.argv[1])(text)["input_ids"])
PYTHON
"$folder/venv/bin/python" "$folder/tokens.py" "$folder" 2>/dev/null | tee "$folder/found"
cat > "$folder/expected" <<'TEXT'
tokenizers: rain [4], RAIN [4]
RobertaTokenizer: rain [0, 4, 1], RAIN [0, 1]
TokenizersBackend: rain [4], RAIN [4]
TEXT
diff "$folder/expected" "$folder/found"
