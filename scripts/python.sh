# shellcheck shell=sh
# Read by the scripts beside it: sets $root, and $python of an environment that holds requirements.lock.
# PYTHON may name another Python than the first one on PATH that is new enough; where a workflow has uv bring one, UV_PYTHON does.
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
if [ -z "${PYTHON:-}" ] && [ -n "${UV_PYTHON:-}" ] && command -v uv >/dev/null; then
    find_managed() { uv python find --no-project --managed-python "$UV_PYTHON"; } # one that is on PATH may freeze differently
    case $UV_PYTHON in
        */*) PYTHON=$UV_PYTHON ;;
        *)
            find_managed >/dev/null 2>&1 || uv python install --quiet --managed-python "$UV_PYTHON"
            PYTHON=$(find_managed)
            ;;
    esac
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
