#!/usr/bin/env bash
# Makes the Python environment of the live suite and prints the path of its interpreter.
#
# usage: live/setup.sh [TORCH_VERSION]     (1.13.1, whose wheels are the smallest, unless given)
#        live/setup.sh trec                (pytrec_eval, without PyTorch)
#
# The environment lies in target/live/torch-VERSION, or target/live/trec. It is used again only if it was
# finished, and with the requirements it would be made with now.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
name=${1:-1.13.1}
if [ "$name" != trec ]; then
    name=torch-$name
fi
requirements=$here/requirements/$name.txt
root=$(dirname "$here")/target/live
environment=$root/$name
finished=$environment/finished-with.txt

if [ ! -f "$requirements" ]; then
    echo "setup.sh: no requirements for $name; there are: $(ls "$here/requirements")" >&2
    exit 2
fi

if ! cmp -s "$requirements" "$finished"; then
    mkdir -p "$root"
    uv=$(command -v uv || true)
    if [ -z "$uv" ]; then
        python3 -m venv "$root/uv" >&2
        "$root/uv/bin/pip" install --quiet uv >&2
        uv=$root/uv/bin/uv
    fi
    rm -rf "$environment"
    "$uv" venv --python 3.11 "$environment" >&2
    "$uv" pip install --python "$environment/bin/python" --requirement "$requirements" >&2
    cp "$requirements" "$finished"
fi

echo "$environment/bin/python"
