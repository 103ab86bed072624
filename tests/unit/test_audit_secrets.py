"""Secrets are found in their common formats, and known harmless texts are not reported."""

import pytest

from stigmer_packaging.audit.secrets import find_secrets
from support.audit_bottles import findings_of, good_bottle

BODY = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC" * 3
KEY_STORES = ("jks", "kdbx", "keystore", "p12", "pfx")
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJ"

# Assembled from parts, so that secret scanners do not report this file.
SECRETS = {
    "a private key": [
        f"-----BEGIN PRIVATE KEY-----\n{BODY}",
        f"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n{BODY}",
        f"-----BEGIN EC PRIVATE KEY-----\\n{BODY}",
        f"-----BEGIN OPENSSH PRIVATE KEY-----\r\n{BODY}",
        f"-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n{BODY}",
    ],
    "an AWS access key": ["AKIA" + "Z2J4W5EXAMPL1234"],
    "a GitHub token": [*(f"gh{kind}_{LETTERS[:36]}" for kind in "pousr"), "github_pat_" + LETTERS + LETTERS[:20]],
    "a GitLab token": ["glpat-" + LETTERS[:20]],
    "a PyPI token": ["pypi-AgEIcHlwaS5vcmc" + LETTERS],
    "an npm token": ["npm_" + LETTERS[:36]],
    "a Slack token": ["xoxb-" + "123456789012-" + LETTERS[:24]],
    "a Google API key": ["AIza" + LETTERS[:35]],
    "a Stripe API key": ["sk_live_" + LETTERS[:24]],
    "an Anthropic API key": ["sk-ant-api03-" + LETTERS],
    "an OpenAI API key": ["sk-" + LETTERS + LETTERS[:2], "sk-proj-" + LETTERS],
    "a JSON Web Token": [f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.{LETTERS}"],
}

HARMLESS = [
    "-----BEGIN PRIVATE KEY-----",
    "starts with -----BEGIN RSA PRIVATE KEY----- and so on, see the documentation of the format",
    f"-----BEGIN CERTIFICATE-----\n{BODY}",
    f"-----BEGIN PUBLIC KEY-----\n{BODY}",
    "AKIA" + "IOSFODNN7EXAMPLE",
    "MAKIA" + "Z2J4W5EXAMPL1234",
    "ghp_short",
    "sk-learn-contrib-and-more-of-the-same-words-here",
    "task-" + LETTERS,
    "eyJ.eyJ.eyJ",
]


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in SECRETS.items() for text in texts])
def test_a_secret_is_found_in_binary_data(kind: str, text: str) -> None:
    (found,) = find_secrets([("", b"\0\1key=" + text.encode() + b"\0more")])
    assert found.startswith(f"{kind}: ")


@pytest.mark.parametrize("text", HARMLESS)
def test_a_harmless_text_is_not_reported(text: str) -> None:
    assert find_secrets([("", b"\0" + text.encode() + b"\0")]) == ()


def test_a_secret_in_the_same_file_as_a_harmless_text_is_found() -> None:
    """An exception applies to a text, not to the whole file."""
    text = "\n".join([*HARMLESS[4:6], "AKIA" + "Z2J4W5EXAMPL1234"])
    assert len(find_secrets([("", text.encode())])) == 1


def test_a_finding_shows_only_the_beginning_of_the_secret() -> None:
    token = "ghp_" + LETTERS[:36]
    (found,) = find_secrets([("inner.txt", token.encode())])
    assert found == f"a GitHub token in inner.txt: {token[:12]}…"


def test_files_that_usually_hold_secrets_are_found_by_name() -> None:
    folders = [f"{folder}/anything" for folder in (".aws", ".git", ".gnupg", ".kube", ".ssh")]
    dotfiles = [".env", ".env.production", ".git-credentials", ".htpasswd", ".netrc", ".npmrc", ".pypirc"]
    keys = ["id_dsa", "id_ecdsa", "id_ed25519", "id_rsa", *(f"release.{end}" for end in KEY_STORES)]
    secret = [*folders, *dotfiles, *keys, "kubeconfig", "service-account-key.json", "service_account.json"]
    harmless = [".env.example", ".env.sample", ".env.template", "environment", "id_ed25519.pub", "cacert.pem"]
    builder = good_bottle()
    for name in (*secret, *harmless):
        builder.put(f"share/{name}", "nothing\n")
    found = [path for path, _ in findings_of("secret-file", builder)]
    assert sorted(found) == sorted(f"share/{name}" for name in secret)
