"""The real Temporal in homes with paths that are special to it, and with the settings of a user of another Temporal."""

from pathlib import Path

import pytest

from support.hostile_places import HOSTILE_NAMES, assert_starts_twice
from support.launcher_checks import listens
from support.launcher_services import Stigmer
from support.reference_stack import reference_keg

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a keg of just the real Temporal, run as the manifest says."""
    return reference_keg(tmp_path_factory.mktemp("real"), "temporal")


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_temporal_keeps_its_database_in_a_home_of_any_name(tmp_path: Path, real: Path, name: str) -> None:
    """SQLite parses the option as a URI. Regression: the database of the home `c#` was in `c`."""
    with Stigmer(real, tmp_path / name / "home") as launcher:
        assert_starts_twice(launcher, tmp_path)


@pytest.mark.parametrize("text", ["{broken", "env:\n  default:\n    headless: true\n    log-level: bogus\n"])
def test_temporals_own_settings_file_does_not_affect_the_managed_one(tmp_path: Path, real: Path, text: str) -> None:
    """`temporal env` configures the user's own `temporal`; with its settings, ours would serve no UI."""
    settings = tmp_path / ".config" / "temporalio" / "temporal.yaml"
    settings.parent.mkdir(parents=True)
    settings.write_text(text)
    with Stigmer(real, tmp_path / "home") as launcher:
        launcher.started()
        assert listens(launcher.status()["ports"]["temporal-ui"])
        assert launcher("server", "stop").code == 0
        assert_starts_twice(launcher, tmp_path)


@pytest.mark.parametrize(
    "environment",
    [{"TEMPORAL_NAMESPACE": "prod.x"}, {"TEMPORAL_ADDRESS": "prod.example:7233", "TEMPORAL_ENV": "prod"}],
    ids=",".join,
)
def test_the_shell_of_a_user_of_another_temporal_does_not_affect_the_managed_one(
    tmp_path: Path, real: Path, environment: dict[str, str]
) -> None:
    """Regression: the launcher queried ours for that namespace, which it does not have, until the start gave up."""
    with Stigmer(real, tmp_path / "home", environment=environment) as launcher:
        assert_starts_twice(launcher, tmp_path)
