"""Secrets: private keys, tokens, and files that hold them. A published bottle cannot be taken back.

Sources of the forms: RFC 7468 for keys, and each provider's documentation for its tokens.
"""

import posixpath
import re
from collections.abc import Iterable, Iterator

from stigmer_packaging.audit.check import Subject, Violation, check

_WITHDRAW = "leave it out, and withdraw the secret where it is valid: it may have been seen"

# After the headline: line ends, also as an escape in a string, perhaps headers, then base64.
_KEY = rb"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY(?: BLOCK)?-----(?:\\[rn]|\s|[A-Z][\w-]+: [^\r\n]+)+[A-Za-z0-9+/=]{32}"

# Kind, anchor and form: the anchor is bytes that every secret of the kind holds, which are faster found than the form.
_SECRETS = (
    ("a private key", b"PRIVATE KEY", re.compile(_KEY)),
    ("an access key of AWS", b"AKIA", re.compile(rb"(?<![A-Za-z0-9])AKIA[A-Z0-9]{16}(?![A-Za-z0-9])")),
    ("a token of GitHub", b"gh", re.compile(rb"(?<![A-Za-z0-9])gh[pousr]_[A-Za-z0-9]{36}")),
    ("a token of GitHub", b"github_pat_", re.compile(rb"github_pat_[A-Za-z0-9_]{60}")),
    ("a token of GitLab", b"glpat-", re.compile(rb"glpat-[\w-]{20}")),
    ("a token of PyPI", b"pypi-AgE", re.compile(rb"pypi-AgE[\w-]{50}")),
    ("a token of npm", b"npm_", re.compile(rb"(?<![A-Za-z0-9])npm_[A-Za-z0-9]{36}")),
    ("a token of Slack", b"xox", re.compile(rb"xox[abeprs]-\d{9}[\w-]+")),
    ("a key of Google", b"AIza", re.compile(rb"(?<![\w-])AIza[\w-]{35}(?![\w-])")),
    ("a key of Stripe", b"_live_", re.compile(rb"(?<![A-Za-z0-9])[rs]k_live_[A-Za-z0-9]{24}")),
    ("a key of Anthropic", b"sk-ant-", re.compile(rb"sk-ant-[\w-]{32}")),
    ("a key of OpenAI", b"sk-", re.compile(rb"(?<![\w-])sk-(?:proj-|svcacct-)?(?!ant-)[A-Za-z0-9]{20}[\w-]{20}")),
    ("a signed web token", b"eyJ", re.compile(rb"(?<![\w-])eyJ[\w-]{15,}\.eyJ[\w-]{15,}\.[\w-]{40}")),
)
_BEFORE, _AFTER = 64, 2048  # bytes around an anchor in which its secret lies

_REVIEWED = {b"AKIAIOSFODNN7EXAMPLE": "the example of AWS's own documentation"}
"""What looks like a secret and was looked at: the very text, and why it is none."""

_FILES = re.compile(
    r"\.env(\.(?!example|sample|template)[\w.]+)?|\.netrc|\.pypirc|\.npmrc|\.git-credentials|\.htpasswd|id_(rsa|dsa|ecdsa|ed25519)|"
    r"kubeconfig|service[-_]account[\w-]*\.json|[\w.-]+\.(p12|pfx|jks|keystore|kdbx)"
)
_FOLDERS = {".git", ".ssh", ".aws", ".gnupg", ".kube"}
_SHOWN = 12  # bytes of a secret that a finding shows: enough to find it, too few to use it


def find_secrets(pieces: Iterable[tuple[str, bytes]]) -> tuple[str, ...]:
    """Name the secrets in a file's pieces, each by its kind, where in the file it is, and how it begins."""
    return tuple(dict.fromkeys(found for name, content in pieces for found in _find(name, content)))


def _find(name: str, content: bytes) -> Iterator[str]:
    for kind, anchor, form in _SECRETS:
        start = content.find(anchor)
        while start >= 0:
            match = _match_around(form, content, start)
            if match and match[0] not in _REVIEWED:
                shown = match[0][:_SHOWN].decode(errors="replace")
                yield f"{kind}{f' in {name}' if name else ''}: {shown}…"
            start = content.find(anchor, match.end() if match else start + 1)


def _match_around(form: re.Pattern[bytes], content: bytes, place: int) -> re.Match[bytes] | None:
    near = form.finditer(content, max(0, place - _BEFORE), place + _AFTER)
    return next((match for match in near if match.start() <= place < match.end()), None)


@check("secret", "everyone who downloads the bottle has it", _WITHDRAW)
def _secrets(subject: Subject) -> Iterator[Violation]:
    for path, content in subject.contents.files.items():
        yield from (Violation(path, seen) for seen in content.secrets)


@check("secret-file", "everyone who downloads the bottle has it", _WITHDRAW)
def _secret_files(subject: Subject) -> Iterator[Violation]:
    for path in subject.contents.files:
        *folders, name = path.split("/")
        if _FILES.fullmatch(name) or _FOLDERS & set(folders):
            yield Violation(path, f"{posixpath.basename(path)} is where people keep secrets")
