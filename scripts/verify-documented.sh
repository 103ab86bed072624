#!/bin/sh
# Install as the README says, with the real brew, and prove what was installed; leaves the machine as it was.
#
#   verify-documented.sh OWNER/TAP/FORMULA [vVERSION]
#
# Demands that brew pours the bottle and builds nothing, that it is this version, that the formula's own test and the
# whole trial of verify-install.sh pass, and that brew uninstall leaves nothing behind. Exit code 0 only if all of it holds.
set -eu
formula=${1:?the full name of the formula, such as stigmer/tap/stigmer} tag=${2:-}
name=${formula##*/} here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
log=$(mktemp)
trap 'rm -f "$log"' EXIT
step() { echo "== $*" && "$@"; }
fail() { printf 'Error: %s\n' "$1" >&2 && exit 1; }

! brew list --formula --versions "$name" >/dev/null 2>&1 || fail "$name is installed here already; this is for a fresh machine"
tap=${formula%/*}
if brew tap | grep -q -x -F "$tap"; then # setup-homebrew checks it out at the workflow's commit, before the formula's
    step brew untap "$tap" || fail "the tap $tap is an older checkout and cannot be removed; it must be fetched anew"
fi
echo "== brew install $formula"
brew install "$formula" >"$log" 2>&1 || { cat "$log" && fail "the documented command failed"; }
cat "$log"
grep -q '^==> Pouring ' "$log" || fail 'brew poured no bottle: it built from source'

prefix=$(brew --prefix)
version=$(brew list --formula --versions "$name") && version=${version#"$name "}
[ -z "$tag" ] || [ "v$version" = "$tag" ] || fail "brew installed $version, and $tag was released"
[ "$("$prefix/bin/$name" --version)" = "$name $version" ] || fail "$name does not answer that it is $version"
step brew test "$formula"
step "$here/verify-install.sh" --stigmer "$prefix/bin/$name"

step brew uninstall "$name"
for left in "$prefix/bin/$name" "$(brew --cellar)/$name"; do
    [ ! -e "$left" ] || fail "brew uninstall left $left"
done
echo "ok: $formula $version installs, proves itself and goes"
