# Read by the scripts beside it: sets $root, and $python of an environment that holds requirements.lock.
# PYTHON may name another Python than the first one on PATH that is new enough; where a workflow has uv bring one, UV_PYTHON does.
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
if [ -z "${PYTHON:-}" ] && [ -n "${UV_PYTHON:-}" ] && command -v uv >/dev/null; then
    uv python find --no-project "$UV_PYTHON" >/dev/null 2>&1 || uv python install --quiet "$UV_PYTHON"
    PYTHON=$(uv python find --no-project "$UV_PYTHON")
fi
python=
for candidate in ${PYTHON:+"$PYTHON"} python3 python3.14 python3.13 python3.12 python3.11; do
    if "$candidate" -I -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        python=$("$candidate" -I "$root/scripts/bootstrap.py")
        break
    fi
done
if [ -z "$python" ]; then
    printf 'Error: there is no Python 3.11 or newer on PATH\nHint: install one, or name it: PYTHON=/path/to/python3\n' >&2
    exit 3
fi
