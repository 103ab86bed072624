"""Checks for secrets: private keys, tokens, and files that usually contain them. Publishing a bottle is irreversible.

Sources of the patterns: RFC 7468 for keys, and each provider's documentation for its tokens.
"""

import re
from collections.abc import Iterable, Iterator

from stigmer_packaging.audit.check import Subject, Violation, check

_REVOKE = "leave it out, and revoke the secret, which may have been exposed already"

# After the header line: newlines, also escaped as in a string literal, optional headers, then base64.
_KEY = rb"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY(?: BLOCK)?-----(?:\\[rn]|\s|[A-Z][\w-]+: [^\r\n]+)+[A-Za-z0-9+/=]{32}"

# Kind, anchor and pattern. Every secret of the kind contains the anchor, which is faster to find than the pattern.
_SECRETS = (
    ("a private key", b"PRIVATE KEY", re.compile(_KEY)),
    ("an AWS access key", b"AKIA", re.compile(rb"(?<![A-Za-z0-9])AKIA[A-Z0-9]{16}(?![A-Za-z0-9])")),
    ("a GitHub token", b"gh", re.compile(rb"(?<![A-Za-z0-9])gh[pousr]_[A-Za-z0-9]{36}")),
    ("a GitHub token", b"github_pat_", re.compile(rb"github_pat_[A-Za-z0-9_]{60}")),
    ("a GitLab token", b"glpat-", re.compile(rb"glpat-[\w-]{20}")),
    ("a PyPI token", b"pypi-AgE", re.compile(rb"pypi-AgE[\w-]{50}")),
    ("an npm token", b"npm_", re.compile(rb"(?<![A-Za-z0-9])npm_[A-Za-z0-9]{36}")),
    ("a Slack token", b"xox", re.compile(rb"xox[abeprs]-\d{9}[\w-]+")),
    ("a Google API key", b"AIza", re.compile(rb"(?<![\w-])AIza[\w-]{35}(?![\w-])")),
    ("a Stripe API key", b"_live_", re.compile(rb"(?<![A-Za-z0-9])[rs]k_live_[A-Za-z0-9]{24}")),
    ("an Anthropic API key", b"sk-ant-", re.compile(rb"sk-ant-[\w-]{32}")),
    ("an OpenAI API key", b"sk-", re.compile(rb"(?<![\w-])sk-(?:proj-|svcacct-)?(?!ant-)[A-Za-z0-9]{20}[\w-]{20}")),
    ("a JSON Web Token", b"eyJ", re.compile(rb"(?<![\w-])eyJ[\w-]{15,}\.eyJ[\w-]{15,}\.[\w-]{40}")),
)
_BEFORE, _AFTER = 64, 2048  # bytes around an anchor in which its secret is searched for

_REVIEWED = {b"AKIAIOSFODNN7EXAMPLE": "the example in AWS's own documentation"}
"""Texts that match a pattern but were reviewed, each with the reason why it is not a secret."""

_FILES = re.compile(
    r"\.env(\.(?!example|sample|template)[\w.]+)?|\.netrc|\.pypirc|\.npmrc|\.git-credentials|\.htpasswd|"
    r"id_(rsa|dsa|ecdsa|ed25519)|kubeconfig|service[-_]account[\w-]*\.json|[\w.-]+\.(p12|pfx|jks|keystore|kdbx)"
)
_FOLDERS = {".git", ".ssh", ".aws", ".gnupg", ".kube"}
_SHOWN = 12  # bytes of a secret that a finding shows: enough to locate it, too few to use it


def find_secrets(pieces: Iterable[tuple[str, bytes]]) -> tuple[str, ...]:
    """Describe the secrets in a file's pieces, each by its kind, the piece it is in, and its first characters."""
    return tuple(dict.fromkeys(found for name, content in pieces for found in _find(name, content)))


def _find(name: str, content: bytes) -> Iterator[str]:
    for kind, anchor, pattern in _SECRETS:
        start = content.find(anchor)
        while start >= 0:
            match = _match_around(pattern, content, start)
            if match and match[0] not in _REVIEWED:
                shown = match[0][:_SHOWN].decode(errors="replace")
                yield f"{kind}{f' in {name}' if name else ''}: {shown}…"
            start = content.find(anchor, match.end() if match else start + 1)


def _match_around(pattern: re.Pattern[bytes], content: bytes, anchor: int) -> re.Match[bytes] | None:
    near = pattern.finditer(content, max(0, anchor - _BEFORE), anchor + _AFTER)
    return next((match for match in near if match.start() <= anchor < match.end()), None)


@check("secret", "everyone who downloads the bottle can read it", _REVOKE)
def _secrets(subject: Subject) -> Iterator[Violation]:
    for path, content in subject.contents.files.items():
        yield from (Violation(path, observation) for observation in content.secrets)


@check("secret-file", "everyone who downloads the bottle can read it", _REVOKE)
def _secret_files(subject: Subject) -> Iterator[Violation]:
    for path in subject.contents.files:
        *folders, name = path.split("/")
        if _FILES.fullmatch(name) or _FOLDERS & set(folders):
            yield Violation(path, "a file with this name or in this folder usually contains secrets")
