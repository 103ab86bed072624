"""FakeMac: scripts on a PATH in place of the programs that only macOS has, and a bottle of FakeStigmer to check.

Each program appends its command line to `calls`. A test breaks one thing by replacing a program, or by a `twist`:
shell code that FakeStigmer runs at the start of every command.
"""

import json
import os
import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from stigmer_packaging.lib import command, digest
from stigmer_packaging.records.model import VerificationReport
from stigmer_packaging.verify.guest_report import parse_mac_report, read_mac_report
from support.native_code import place

SCRIPT = Path(__file__).parents[2] / "scripts/check-on-mac"
BOTTLE = "stigmer-2.0.0.arm64_sonoma.bottle.tar.gz"
MACH_O = bytes.fromhex("cffaedfe0c000001") + bytes(24)

INDEX = json.dumps(
    {"components": [{"ports": [["temporal", 7233], ["temporal-ui", 8233]]}], "version": "2.0.0"}, indent=1
)
FORMULA = 'class Stigmer < Formula\n  url "https://example.invalid/stigmer-2.0.0.tar.gz"\n  license "Apache-2.0"\nend\n'

FAKE_STIGMER = """#!/bin/sh
# FakeStigmer: its server is just a file in the home
keg=$(cd "$(dirname "$0")/.." && pwd -P)
[ -z "${DYLD_PRINT_LIBRARIES:-}" ] || printf 'dyld[12]: <0A1B-2C> %s\\n' "$keg/libexec/library.dylib" \
    /usr/lib/libSystem.B.dylib /System/Library/Frameworks/CoreFoundation >&2
@TWIST@
case "$*" in
    --version) echo 'stigmer 2.0.0' ;;
    'doctor --deep') ;;
    'server status --json') [ -e "$STIGMER_HOME/server" ] || exit 3 ;;
    'server stop') rm "$STIGMER_HOME/server" ;;
    'server --port temporal='*' --port temporal-ui='* | 'server --foreground --port temporal='*)
        mkdir -p "$STIGMER_HOME" && : >"$STIGMER_HOME/server" ;;
    smoke) [ -e "$STIGMER_HOME/server" ] ;;
    *) echo "unknown: $*" && exit 2 ;;
esac
"""
FAKE_RUNNER = """#!/bin/sh
# FakeRunner: passes its selftests, and exits with 1 without Temporal
[ -z "${DYLD_PRINT_LIBRARIES:-}" ] || echo 'dyld: loaded: <0A1B-2C> /usr/lib/libz.1.dylib' >&2
@TWIST@
case "$1" in
    --selftest) ;;
    --selftest-workflow) case $TEMPORAL_SERVICE_ADDRESS in 127.0.0.1:[23]????) ;; *) exit 1 ;; esac ;;
    '') [ "$TEMPORAL_SERVICE_ADDRESS" != 127.0.0.1:1 ] || { echo 'no Temporal' && exit 1; } ;;
    *) exit 2 ;;
esac
"""

FAKES = {
    "uname": "case $1 in -s) echo Darwin ;; *) echo arm64 ;; esac",
    "sw_vers": "case $1 in -productVersion) echo 15.1 ;; *) echo 24B83 ;; esac",
    "sysctl": "case $2 in hw.model) echo Mac15,3 ;; machdep.cpu.brand_string) echo 'Apple M3' ;; *) exit 1 ;; esac",
    "xcode-select": "echo /Library/Developer/CommandLineTools",
    "netstat": "",
    "codesign": '[ "$1 $2" = "--verify --strict" ] && [ -f "$3" ]',
    "otool": "printf '      cmd LC_BUILD_VERSION\\n platform 1\\n    minos 11.0\\n'",
    "launchctl": """
case $1 in
    bootstrap) cp "$3" "$fakes/service.plist" ;;
    kickstart)
        value() { sed -n "s,<key>$1</key><string>\\(.*\\)</string>,\\1,p" "$fakes/service.plist"; }
        words=$(sed -n '/<key>ProgramArguments/,/<\\/array>/s,<string>\\(.*\\)</string>,\\1,p' "$fakes/service.plist")
        env -i PATH="$PATH" HOME="$(value HOME)" STIGMER_HOME="$(value STIGMER_HOME)" $words ;;
    print) echo 'state = running' ;;
    bootout) rm "$(sed -n 's,<key>STIGMER_HOME</key><string>\\(.*\\)</string>,\\1,p' "$fakes/service.plist")/server" ;;
esac""",
    "brew": """
keg=$fakes/Cellar/stigmer/2.0.0
case $1 in
    list) exit 1 ;;
    --repository) echo "$fakes/Taps" ;;
    install)
        root=$(sed -n 's,^ *root_url "file://\\(.*\\)",\\1,p' "$fakes/Taps/Formula/stigmer.rb" | sed 's/%20/ /g')
        mkdir -p "$fakes/Cellar" && tar -xzf "$root/@BOTTLE@" -C "$fakes/Cellar" && ln -s "$keg/bin" "$fakes/bin"
        echo '==> Pouring @BOTTLE@' ;;
    --prefix) echo "$fakes" ;;
    --cellar) echo "$fakes/Cellar" ;;
    uninstall) rm -rf "$fakes/Cellar" "$fakes/bin" ;;
    untap) rm -rf "$fakes/Taps" ;;
esac""".replace("@BOTTLE@", BOTTLE),
}


class FakeMac(NamedTuple):
    """A folder with FakeMac's programs, a release with the bottle, and an empty folder for temporary files."""

    folder: Path

    @property
    def release(self) -> Path:
        """The folder of the release."""
        return self.folder / "a release"

    def replace(self, name: str, text: str) -> None:
        """Replace a program by a script."""
        script = f'#!/bin/sh\n# Fake {name}\nfakes=${{0%/*}}\necho "{name} $*" >>"$fakes/calls"\n{text}\n'
        place(self.folder / "fakes" / name, script.encode())

    def calls(self) -> str:
        """Return the command lines of all calls."""
        return (self.folder / "fakes/calls").read_text(encoding="utf-8")

    def check(
        self, *shell: str, what: str = "", script: Path = SCRIPT, environment: Mapping[str, str] = {}
    ) -> tuple[int | None, VerificationReport]:
        """Run the script; return its exit code and its report."""
        path = f"{self.folder}/fakes:{os.environ['PATH']}"
        env = {"PATH": path, "HOME": str(self.folder), "TMPDIR": str(self.folder / "tmp"), **environment}
        words = [*(shell or ("sh",)), str(script), what or str(self.release), "report.tap"]
        done = command.run(words, env=env, cwd=self.folder, seconds=100, check=False)
        assert done.stderr == "", done.stderr
        return done.code, parse_mac_report(self.text())[0]

    def text(self) -> str:
        """Return the report as the script wrote it."""
        return read_mac_report(self.folder / "report.tap")


def make_fake_mac(folder: Path, *, twist: str = "", runner: str = "", content: bytes = MACH_O) -> FakeMac:
    """Create a FakeMac whose release has a bottle of FakeStigmer with one Mach-O file, `content`.

    `runner` is the twist of FakeRunner.
    """
    mac = FakeMac(folder)
    for name, text in FAKES.items():
        mac.replace(name, text)
    (folder / "tmp").mkdir()
    keg = folder / "keg/stigmer/2.0.0"
    files = {
        "bin/stigmer": FAKE_STIGMER.replace("@TWIST@", twist).encode(),
        "libexec/library.dylib": content,
        "libexec/payload.json": f"{INDEX}\n".encode(),
        "libexec/components/agent-runner": FAKE_RUNNER.replace("@TWIST@", runner).encode(),
        "libexec/components/agent-runner.lib/data": b"",
        ".brew/stigmer.rb": FORMULA.encode(),
    }
    for path, data in files.items():
        place(keg / path, data)
    (keg / "libexec/SHA256SUMS").write_text(digest.render_sums((path, digest.sha256_of(keg / path)) for path in files))
    mac.release.mkdir()
    with tarfile.open(mac.release / BOTTLE, "w:gz") as archive:
        archive.add(keg, "stigmer/2.0.0")
    shutil.copyfile(keg / "bin/stigmer", mac.release / "stigmer-2.0.0-darwin-arm64")
    shutil.rmtree(folder / "keg")
    sums = digest.render_sums((path.name, digest.sha256_of(path)) for path in sorted(mac.release.iterdir()))
    (mac.release / "SHA256SUMS").write_text(sums)
    return mac
