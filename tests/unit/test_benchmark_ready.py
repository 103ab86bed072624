"""`benchmarks.ready` refuses options that it cannot measure with."""

import pytest

from benchmarks import ready


@pytest.mark.parametrize("rounds", ["1", "0", "-3"])
def test_fewer_than_two_rounds_are_refused(rounds: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Regression: one round ended in a traceback, as quartiles need two samples."""
    with pytest.raises(SystemExit, match="2"):
        ready.main(["--text", "up", "--rounds", rounds, "echo up"])
    assert "expected at least 2 rounds" in capsys.readouterr().err
