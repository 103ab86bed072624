"""The reference of environment variables: the launcher's from its table, the pipeline's from here."""

from documents.markdown import page, sentence, table
from stigmer_launcher.cli.grammar import VARIABLES
from stigmer_packaging.cli.options import VARIABLE
from stigmer_packaging.lib import debian

PIPELINE = (
    ("PYTHON", "The Python that scripts use, instead of the first one on `PATH` that is 3.11 or newer."),
    ("UV_PYTHON", "The same where `uv` is installed: a version, which uv brings, or a path."),
    ("XDG_CACHE_HOME", "Where caches are kept, in `stigmer-packaging`. Default: `~/.cache`."),
    ("SOURCE_DATE_EPOCH", "The time of all files in artefacts, in seconds. Default: 2026-01-01, whatever the commit."),
    (VARIABLE, "The targets of all commands that have `--target`, separated by spaces, or `all`."),
    (debian.MIRROR, "A URL below which `debian/` and `debian-security/` are, where apt has no Debian mirror."),
    (debian.FALLBACK, "Other places of pinned files that the mirror no longer has; see [Releasing](../releasing.md)."),
    ("GITHUB_TOKEN", "The token that publishes a release."),
    ("TAP_TOKEN", "The token that pushes to the tap, where that is another repository."),
    ("TAP_DEPLOY_KEY", "A deploy key for the tap, instead of a token."),
    ("GITHUB_API_URL, GITHUB_SERVER_URL", "Where GitHub is. Default: github.com."),
    ("GITHUB_SHA", "The commit that is released. Default: that of the checkout."),
    ("GITHUB_REF_TYPE, GITHUB_REF_NAME", "`tag`, and the tag that a workflow runs for: `v` and the version."),
)
TESTS = (
    ("STIGMER_RELEASE, STIGMER_NEXT_RELEASE", "Folders of two delivered releases, for `pytest -m brew`."),
    ("STIGMER_SERVICE_TRIAL", "`1`: try the service in a virtual machine, which takes minutes."),
    ("STIGMER_TEST_EMULATION", "`1`: build and verify a whole release under emulation."),
    ("STIGMER_PYTHON_TWICE", "A target, such as `linux-amd64`: compile its pinned Python twice, and compare."),
    ("STIGMER_TEST_KILLS, STIGMER_TEST_ROUNDS, STIGMER_TEST_SEED", "How many random trials there are, and their seed."),
    ("STIGMER_TEST_LOAD", "How many processes keep the processors busy during the trials of kills."),
)


def render_environment() -> str:
    """Give the page."""
    head = ("variable", "meaning")
    launcher = [(_names(names), sentence(meaning)) for names, meaning in VARIABLES]
    return page(
        "Environment",
        "Of another product, the command's variables begin with its name: `GREETINGS_HOME` in place of `STIGMER_HOME`.",
        f"## `stigmer`\n\n{table(head, launcher)}",
        f"## The pipeline\n\n{table(head, [(_names(names), meaning) for names, meaning in PIPELINE])}",
        f"## Tests\n\n{table(head, [(_names(names), meaning) for names, meaning in TESTS])}",
    )


def _names(names: str) -> str:
    return ", ".join(f"`{name}`" for name in names.split(", "))
