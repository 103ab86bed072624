"""The tables of docs/releasing.md list exactly the names that the workflows and the commands use."""

import re
from pathlib import Path

from stigmer_packaging.ci.workflows import read_workflows
from stigmer_packaging.lib import errors
from stigmer_packaging.manifest.reader import load_manifest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "releasing.md").read_text(encoding="utf-8")
WORKFLOWS = ROOT / ".github" / "workflows"
USED = "".join(path.read_text(encoding="utf-8") for path in WORKFLOWS.glob("*.yml"))


def first_column(heading: str) -> set[str]:
    """Return the code words in the first column of the table with this first heading."""
    rows = TEXT[TEXT.index(f"| {heading} |") :].split("\n\n")[0].splitlines()[2:]
    return {word for row in rows for word in re.findall(r"`([\w-]+)`", row.split("|")[1])}


def test_every_variable_of_the_repository_is_explained() -> None:
    assert first_column("variable of the repository") == set(re.findall(r"\bvars\.(\w+)", USED))


def test_every_secret_is_explained_and_so_is_the_key_of_a_separate_tap() -> None:
    """With `tap: self` the job's own token is enough, and no workflow uses the key."""
    secrets = set(re.findall(r"\bsecrets\.(\w+)", USED)) | {"GITHUB_TOKEN"}
    own = load_manifest(ROOT / "packaging" / "manifest.yaml").product.tap == "self"
    assert first_column("secret") == secrets | ({"TAP_DEPLOY_KEY"} if own else set())


def test_every_job_of_the_release_is_explained() -> None:
    assert first_column("job") == {job.name for job in read_workflows(WORKFLOWS)["release"].jobs}


def test_every_exit_code_in_the_document_is_that_of_an_error() -> None:
    codes = {error.exit_code for name, error in vars(errors).items() if name.endswith("Error")}
    named = {int(code) for code in re.findall(r"\((\d+)\) \|", TEXT)}
    assert named
    assert named <= codes
