"""A stand-in for the real product, built by the real stages: a bottle whose launcher and services are small scripts.

FakeStigmer implements the launcher's command line. For each component it starts a Perl process that listens on the
component's ports, from a home laid out like the real one. `twist` is shell code, run at the start of every command,
with which a test breaks one thing.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from stigmer_packaging.bottle.assemble import KegParts, assemble_keg
from stigmer_packaging.bottle.bottle import make_bottle
from stigmer_packaging.lib.target import parse_target
from stigmer_packaging.licensing.stage import write_sbom
from stigmer_packaging.manifest.model import Manifest
from stigmer_packaging.manifest.reader import load_manifest
from stigmer_packaging.records.model import BuiltPart, Credits, Ingredient, Keg, ReleaseFile
from stigmer_packaging.records.workspace import Workspace, scan_files
from support.native_code import place

TARGET = parse_target("linux-amd64")
TAG = "x86_64_linux"
EPOCH = 1_767_225_600
ROOT = Path(__file__).parents[2]
LAUNCHER = ROOT / "launcher"
REFERENCE = load_manifest(ROOT / "packaging/manifest.yaml", reference=True)

NAMES = ("temporal", "stigmer-server", "workflow-runner", "agent-runner")

SERVICE = """#!/usr/bin/perl
use strict; use warnings; use IO::Socket::INET;
$SIG{TERM} = sub { exit 0 };
my @sockets = map { IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => $_, Listen => 5, ReuseAddr => 1) or die "port $_: $!\\n" } @ARGV;
open my $up, ">", $ENV{UP} or die "$ENV{UP}: $!\\n"; close $up;
sleep 1 while 1;
"""

FAKE_STIGMER = r"""#!/bin/sh
# FakeStigmer
set -u
here=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
components=$here/../components
home=${STIGMER_HOME:-${HOME:?}/.stigmer}
version=$(sed -n 's/^ "version": "\(.*\)".*/\1/p' "$here/../payload.json")
clean() { # COMMAND...: exec it with only those variables of the environment that a service needs
    exec env -i "HOME=$HOME" "STIGMER_HOME=$home" "PATH=$PATH" "$@"
}
watchdog() { # PID: exec a process that ends the services when PID has exited
    exec perl -e 'select undef, undef, undef, 0.05 while getppid == $ARGV[0];
        open my $list, "<", $ARGV[1]; kill "TERM", (split)[1] while <$list>' "$1" "$home/run/services"
}
service() { # NAME PORT...
    name=$1
    shift
    clean "UP=$home/run/$name.up" perl "$home/bin/$name" "$@" >>"$home/logs/$name.log" 2>&1 </dev/null &
    echo "$name $! $*" >>"$home/run/services"
}
is_running() {
    [ -s "$home/run/services" ] && [ -e "/proc/$(sed -n '1s/^[^ ]* \([0-9]*\).*/\1/p' "$home/run/services")/exe" ] # a zombie has none
}
port_of() { # NAME DEFAULT WORD...
    wanted=$1 number=$2
    shift 2
    for word in "$@"; do case $word in "$wanted="*) number=${word#*=} ;; esac; done
    echo "$number"
}
end_services() {
    kill $(awk '{ print $2 }' "$home/run/services")
}
supervise() {
    echo $$ >"$home/run/supervisor"
    service temporal "$(port_of temporal 7233 "$@")" "$(port_of temporal-ui 8233 "$@")"
    service stigmer-server "$(port_of server 7234 "$@")"
    service workflow-runner
    service agent-runner
    watchdog $$ &
    watchdog=$!
    echo "$version" >"$home/run/version"
    trap 'kill "$watchdog"; end_services; wait; rm -f "$home"/run/*; exit 0' TERM
    while :; do sleep 0.1; done
}
start() {
    mkdir -p "$home/versions/$version" "$home/logs" "$home/run"
    rm -f "$home"/run/*
    (cd "$components" && find . -type f) | while read -r path; do
        cmp -s "$components/$path" "$home/versions/$version/$path" && continue
        mkdir -p "$home/versions/$version/${path%/*}"
        rm -f "$home/versions/$version/$path" && cp -p "$components/$path" "$home/versions/$version/$path"
    done
    [ "$(readlink "$home/bin")" = "versions/$version" ] || { rm -f "$home/bin"; ln -s "versions/$version" "$home/bin"; }
    open_store
    "$0" supervise "$@" >>"$home/logs/supervisor.log" 2>&1 </dev/null &
    while [ ! -e "$home/run/agent-runner.up" ] || [ ! -e "$home/run/stigmer-server.up" ] ||
        [ ! -e "$home/run/workflow-runner.up" ] || [ ! -e "$home/run/temporal.up" ]; do
        sleep 0.05
        for pid in $(awk '{ print $2 }' "$home/run/services"); do
            [ -e "/proc/$pid/exe" ] || { echo "Error: a service ended"; tail -n 1 "$home"/logs/*.log; exit 1; }
        done
    done
    echo 'All services running'
}
status() {
    if is_running; then state=running code=0; else state=stopped code=3; fi
    printf '{"state": "%s", "version": "%s", "supervisor_pid": %s, "services": [' \
        "$state" "$(cat "$home/run/version" 2>/dev/null)" "$(cat "$home/run/supervisor" 2>/dev/null || echo 0)"
    comma=''
    for name in temporal stigmer-server workflow-runner agent-runner; do
        printf '%s\n {"name": "%s", "state": "%s", "ports": {"a": [1, 2]}, "pid": %s}' "$comma" "$name" "$state" \
            "$(awk -v name="$name" '$1 == name { print $2; found = 1 } END { if (!found) print 0 }' "$home/run/services" 2>/dev/null || echo 0)"
        comma=,
    done
    printf ']}\n'
    return "$code"
}
stop() {
    supervisor=$(cat "$home/run/supervisor" 2>/dev/null) || return 0
    kill "$supervisor"
    while [ -e "/proc/$supervisor/exe" ]; do sleep 0.05; done
    close_store
}
open_store() {
    [ -e "$home/stigmer.db" ] || echo state >"$home/stigmer.db"
}
close_store() {
    :
}
put_execution() { # ID
    echo "$1" >>"$home/stigmer.db"
}
@TWIST@
case "$*" in
    --version) echo 'stigmer 2.0.0' ;;
    --help) echo 'Usage: stigmer server|smoke' ;;
    'completion bash') cat "$here/../../etc/bash_completion.d/stigmer" ;;
    'completion zsh') cat "$here/../../share/zsh/site-functions/_stigmer" ;;
    'completion fish') cat "$here/../../share/fish/vendor_completions.d/stigmer.fish" ;;
    'server status --json') status ;;
    'server stop') stop ;;
    'server restart'*) stop && start "$@" ;;
    server*) start "$@" ;;
    supervise*) supervise "$@" ;;
    smoke) is_running && put_execution "exec-$$" && echo "  execution: exec-$$" ;;
    *) exit 2 ;;
esac
"""


LSM_STORE = r"""
store=$home/stigmer.db
compact() { cat "$store"/*.sst "$store"/*.mem 2>/dev/null; }
write_tables() { # compact into one table with a new name; the lock and the memtable exist only while the server runs
    number=$(($(ls "$store" | sed -n 's/^MANIFEST-//p' | sort -n | tail -n 1) + 1))
    { compact; echo state; } >"$home/run/tables"
    rm -f "$store"/*.sst "$store"/*.mem "$store"/MANIFEST-*
    cp "$home/run/tables" "$store/$number.sst" && echo "$number.sst" >"$store/MANIFEST-$number"
    rm "$home/run/tables"
}
open_store() { mkdir -p "$store"; write_tables; echo 1 >"$store/LOCK"; echo memory >"$store/00001.mem"; }
close_store() { write_tables; rm -f "$store/LOCK"; }
put_execution() { echo "$1" >>"$store/00001.mem"; }
"""
"""FakeStigmer's store as the directory of an LSM tree: after a clean stop only the content survives, in a new file."""


class StandIn(NamedTuple):
    """A keg and its bottle in a workspace."""

    workspace: Workspace
    keg: Keg
    bottle: ReleaseFile


def standin_manifest(**changes: Any) -> Manifest:
    """Return the reference stack's manifest with version 2.0.0 and `changes` to its product."""
    return replace(REFERENCE, product=replace(REFERENCE.product, **{"version": "2.0.0", **changes}))


def standin_service(workspace: Workspace, component: str, files: Mapping[str, str]) -> BuiltPart:
    """Write one component's files into the workspace; the file named like the component is its executable."""
    root = _write(workspace, component, component, files)
    return BuiltPart(component, "1.0.0", str(TARGET), root, component, scan_files(workspace.path(root)))


def _write(workspace: Workspace, part: str, program: str, files: Mapping[str, str]) -> str:
    root = f"artefacts/{part}"
    for path, text in files.items():
        place(workspace.path(f"{root}/{path}"), text.encode(), 0o755 if path == program else 0o644)
    return root


def standin_parts(workspace: Workspace, folder: Path, twist: str = "") -> KegParts:
    """Return the parts of a keg: a FakeStigmer with a twist, and Perl services. Documents are written to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    documents = {name: folder / Path(name).name for name in ("LICENSE", "README.md", "share/man/man1/stigmer.1")}
    for document in documents.values():
        document.write_text("Read me.\n", encoding="utf-8")
    library = {"agent-runner": {"agent-runner.lib/libpython3.13.so": ""}}
    services = tuple(standin_service(workspace, name, {name: SERVICE, **library.get(name, {})}) for name in NAMES)
    fake = {"stigmer": FAKE_STIGMER.replace("@TWIST@", twist), "lib/library.so": "\x7fELF"}
    launcher = _write(workspace, "launcher", "stigmer", fake)
    source = ReleaseFile("source", "stigmer", "2.0.0", "dist/stigmer-2.0.0.tar.gz", 1, "0" * 64)
    perl = Ingredient("perl", "5.36.0", "Artistic-1.0-Perl", "pkg:generic/perl@5.36.0", ("artistic",))
    texts = {"artistic": "The Artistic License\n"}
    credited = tuple(Credits(part, "1.0.0", "Apache-2.0", str(TARGET), (perl,), texts) for part in ("launcher", *NAMES))
    product = standin_manifest().product
    sbom = write_sbom(product, TARGET, TAG, credited, source_date_epoch=EPOCH, workspace=workspace)
    frozen = BuiltPart("launcher", "2.0.0", str(TARGET), launcher, "stigmer", scan_files(workspace.path(launcher)))
    return KegParts(frozen, LAUNCHER, services, documents, source, credited, sbom)


def build_standin(folder: Path, *, twist: str = "") -> StandIn:
    workspace = Workspace(folder / "workspace", folder / "cache")
    keg = assemble_keg(
        standin_manifest(),
        TARGET,
        standin_parts(workspace, folder / "documents", twist),
        source_date_epoch=EPOCH,
        workspace=workspace,
    )
    bottle = make_bottle(keg, TAG, rebuild=0, source_date_epoch=EPOCH, workspace=workspace)
    return StandIn(workspace, keg, bottle)


def quiet(_: str) -> None:
    pass
