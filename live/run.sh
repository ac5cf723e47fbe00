#!/usr/bin/env bash
# The live suite as CI runs it: environment, checkpoint and collection are made, then compared both ways, and then
# indexes that were changed.
#
# usage: live/run.sh CONCORD [TORCH_VERSION]     (CONCORD: path of the program)
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
concord=${1:?usage: live/run.sh CONCORD [TORCH_VERSION]}
data=$(dirname "$here")/target/live/data

# The reference reads collections in the locale's encoding.
export PYTHONUTF8=1
python=$("$here/setup.sh" "${2:-1.13.1}")
"$python" "$here/minilm_checkpoint.py" "$data/minilm"
"$python" "$here/docstring_collection.py" "$data/docstrings" --passages 400
"$python" "$here/same_embeddings.py" --concord "$concord" --collection "$(dirname "$here")/data/collection.tsv"
"$python" "$here/both_ways.py" --concord "$concord" --checkpoint "$data/minilm" \
    --collection "$data/docstrings/collection.tsv" --queries "$data/docstrings/queries.tsv"
"$python" "$here/changed_indexes.py" --concord "$concord" --checkpoint "$data/minilm" \
    --collection "$data/docstrings/collection.tsv" --queries "$data/docstrings/queries.tsv"
