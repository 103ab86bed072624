"""The reference of environment variables: those of the launcher, from its table, and those of the pipeline and tests."""

from documents.markdown import page, sentence, table
from stigmer_launcher.cli.grammar import VARIABLES
from stigmer_packaging.cli.options import VARIABLE
from stigmer_packaging.lib import debian

PIPELINE = (
    ("PYTHON", "The Python that the scripts use instead of the first one on `PATH` that is 3.11 or newer."),
    ("UV_PYTHON", "The same if `uv` is installed: a version, which uv installs, or a path."),
    ("XDG_CACHE_HOME", "The directory of the cache `stigmer-packaging`. Default: `~/.cache`."),
    (
        "SOURCE_DATE_EPOCH",
        "The time of all files in artefacts, in seconds since 1970. Default: 2026-01-01, for any commit.",
    ),
    (VARIABLE, "The targets of all commands that have `--target`, separated by spaces, or `all`."),
    (debian.MIRROR, "The URL of a mirror with `debian/` and `debian-security/`, if apt has no Debian mirror."),
    (debian.FALLBACK, "Other URLs for pinned files that the mirror no longer has; see [Releasing](../releasing.md)."),
    ("GITHUB_TOKEN", "The token that publishes a release."),
    ("TAP_TOKEN", "The token that pushes to the tap if that is another repository."),
    ("TAP_DEPLOY_KEY", "A deploy key for the tap, instead of a token."),
    ("GITHUB_API_URL, GITHUB_SERVER_URL", "The URLs of GitHub. Default: those of github.com."),
    ("GITHUB_SHA", "The commit to release. Default: the commit of the checkout."),
    ("GITHUB_REF_TYPE, GITHUB_REF_NAME", "`tag`, and the tag that the workflow runs for: `v` and the version."),
)
TESTS = (
    ("STIGMER_RELEASE, STIGMER_NEXT_RELEASE", "Folders of two releases, for `pytest -m brew`."),
    ("STIGMER_SERVICE_TRIAL", "`1`: test the service in a virtual machine, which takes minutes."),
    ("STIGMER_TEST_EMULATION", "`1`: build and verify a whole release under emulation."),
    ("STIGMER_PYTHON_TWICE", "A target, such as `linux-amd64`: compile its pinned Python twice, and compare."),
    ("STIGMER_TEST_KILLS, STIGMER_TEST_ROUNDS, STIGMER_TEST_SEED", "The number of random trials, and their seed."),
    ("STIGMER_TEST_LOAD", "The number of processes that load the processors during the random kills."),
)


def render_environment() -> str:
    """Render the page."""
    head = ("variable", "meaning")
    launcher = [(_names(names), sentence(meaning)) for names, meaning in VARIABLES]
    return page(
        "Environment",
        "The variables of another product's command begin with its name: `GREETINGS_HOME` instead of `STIGMER_HOME`.",
        f"## `stigmer`\n\n{table(head, launcher)}",
        f"## The pipeline\n\n{table(head, [(_names(names), meaning) for names, meaning in PIPELINE])}",
        f"## Tests\n\n{table(head, [(_names(names), meaning) for names, meaning in TESTS])}",
    )


def _names(names: str) -> str:
    return ", ".join(f"`{name}`" for name in names.split(", "))
