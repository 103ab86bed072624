# ruff: noqa: T201, S310 - a program that prints, and fetches the URLs of its formula
"""FakeBrew: the Homebrew commands that a verification uses, with their output.

Run as a program, it is the brew of its own directory: `prefix/` there is the prefix, and each line of `faults` names
one thing it does wrong. Like Homebrew 7, it skips the formulae of a tap that is not trusted, unless it is `without trust`.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PREFIX, FAULTS, TRUST = HERE / "prefix", HERE / "faults", HERE / "trust"
KEGS, TAP = PREFIX / "Cellar" / "stigmer", HERE / "taps" / "stigmer" / "homebrew-tap"
PROGRAM = """#!/bin/sh
run="$HOME/.stigmer/run"
case "$*" in
    'server status --json') [ -e "$run" ] && echo "{\\"state\\": \\"running\\", \\"version\\": \\"$(cat "$run")\\"}" ;;
    'server stop') rm -f "$run" ;;
    smoke) [ -e "$run" ] && echo 'call returned' ;;
    server*) mkdir -p "$HOME/.stigmer" && echo data >"$HOME/.stigmer/stigmer.db" && echo VERSION >"$run" ;;
esac
"""


def fault(name: str) -> bool:
    return name in FAULTS.read_text().splitlines()


def formula() -> tuple[str, str]:
    text = (TAP / "Formula" / "stigmer.rb").read_text()
    return re.findall(r"/stigmer-([\d.]+)\.tar\.gz", text)[0], text


def tap(remote: str) -> None:
    TAP.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["git", "clone", "--quiet", remote, TAP], check=True)
    print("==> Tapping stigmer/tap\nTapped 1 formula (14 files, 86.7KB).")
    if fault("warns"):
        print("Warning: something about this tap")


def trust(word: str) -> None:
    if fault("without trust"):
        sys.exit(f"Error: Unknown command: brew {word}")
    (TRUST.touch if word == "trust" else TRUST.unlink)()


def read_tap() -> None:
    if not (TRUST.exists() or fault("without trust")):
        print("Warning: Skipping stigmer/tap because it is not trusted.")


def install() -> None:
    if TRUST.exists():
        sys.exit("no user has trusted the tap before the documented command")
    if not TAP.exists():
        tap("https://github.com/stigmer/homebrew-tap")
    pour()


def pour() -> None:
    import urllib.error
    import urllib.request

    version, text = formula()
    root, sha256 = re.findall(r'root_url "(.*)"', text)[0], re.findall(r'x86_64_linux: "(.*)"', text)[0]
    file = f"stigmer-{version}.x86_64_linux.bottle.tar.gz"
    try:
        urllib.request.urlopen(f"{root}/{file}").read()
    except urllib.error.HTTPError as error:
        if not fault("builds when missing"):
            sys.exit(
                f'Error: Failed to download resource "stigmer"\ncurl: (22) The requested URL returned error: {error.code}'
            )
    if sha256 == "0" * 64 and not fault("takes any bytes"):
        sys.exit("Error: Bottle reports different checksum: 000")
    print("==> make install" if fault("builds") else f"==> Pouring {file}")
    keg = KEGS / version
    for path, content in (("bin/stigmer", PROGRAM.replace("VERSION", version)), ("libexec/data", "data\n")):
        (keg / path).parent.mkdir(parents=True, exist_ok=True)
        (keg / path).write_text(content)
    (keg / "bin" / "stigmer").chmod(0o755)
    (keg / "libexec" / "SHA256SUMS").write_text(
        "6667b2d1aab6a00caa5aee5af8ad9f1465e567abf1c209d15727d57b3e8f6e5f  libexec/data\n"
    )
    unit = "ExecStart=/opt/stigmer/bin/stigmer server --foreground\n"
    (keg / "homebrew.stigmer.service").write_text("" if fault("no service") else unit)
    if fault("rewrites"):
        (keg / "libexec" / "data").write_text("other\n")
    link = PREFIX / "bin" / "stigmer"
    link.parent.mkdir(exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(keg / "bin" / "stigmer")


def upgrade() -> None:
    old = [path for path in KEGS.iterdir() if path.name != formula()[0]]
    pour()
    for path in [] if fault("keeps the old keg") else old:
        shutil.rmtree(path)
    if fault("kills the server"):
        (Path(os.environ["HOME"]) / ".stigmer" / "run").unlink()


def uninstall() -> None:
    shutil.rmtree(KEGS, ignore_errors=True)
    if not fault("leaves a link"):
        (PREFIX / "bin" / "stigmer").unlink(missing_ok=True)
    if fault("takes the data"):
        shutil.rmtree(Path(os.environ["HOME"]) / ".stigmer")


def info() -> None:
    versions = sorted(path.name for path in KEGS.iterdir()) if KEGS.exists() else []
    installed = [{"version": version, "poured_from_bottle": not fault("builds")} for version in versions]
    print("Warning: a line before the JSON\n" + json.dumps({"formulae": [{"name": "stigmer", "installed": installed}]}))


def main(words: list[str]) -> None:
    if words[0] == "tap" and words[1:]:
        tap("https://github.com/stigmer/homebrew-tap")
    if words[0] in {"tap", "readall"} and words[1:]:
        read_tap()
    elif words[0] in {"trust", "untrust"}:
        trust(words[0])
    elif words[0] == "outdated":
        print(f"stigmer/tap/stigmer ({next(KEGS.iterdir()).name}) < {formula()[0]}")
    commands = {"install": install, "reinstall": pour, "upgrade": upgrade, "uninstall": uninstall, "info": info}
    if words[0] in commands:
        commands[words[0]]()
    if words[0] == "untap":
        shutil.rmtree(TAP, ignore_errors=True)
    outputs = {
        "--prefix": str(PREFIX),
        "--cellar": str(PREFIX / "Cellar"),
        "--repository": str(TAP),
        "--version": "Homebrew 6.0.18\nHomebrew/homebrew-core (git revision 0eb5099)",
        "style": "1 file inspected, no offenses detected" if not fault("style") else "1 offense detected",
        "linkage": "Unwanted system libraries:\n  /usr/lib/libz.so.1" if fault("linkage") else "",
        "test": "==> Testing stigmer/tap/stigmer\n==> stigmer --version",
        "audit": "1 problem in 1 formula detected" if fault("audit") else "",
    }
    print(outputs.get(words[0], ""))
    sys.exit(1 if fault("test") and words[0] == "test" else 0)


if __name__ == "__main__":
    main(sys.argv[1:])
