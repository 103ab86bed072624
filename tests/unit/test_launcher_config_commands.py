"""`stigmer config unset`, `edit`, `get` and `list`: the values in effect, what an editor saved, and no secrets."""

import io
import os
from pathlib import Path

import pytest

from stigmer_launcher.cli.main import main
from stigmer_launcher.config import file as config_file
from stigmer_launcher.config.effective import effective_values
from stigmer_launcher.config.schema import FIRST_FILE
from stigmer_launcher.errors import UsageError
from stigmer_launcher.system.places import Places

FILED = """\
backend:
  local:
    llm:
      provider: anthropic # the one we pay for
      model: claude-sonnet-4.5
      base_url: https://api.anthropic.com
"""


def write(places: Places, text: str) -> None:
    Path(places.home).mkdir(exist_ok=True)
    Path(places.config).write_text(text, encoding="utf-8")


def test_unset_removes_one_value_and_keeps_the_rest(places: Places) -> None:
    write(places, FILED)
    assert config_file.unset_value(places, "backend.local.llm.model")
    assert Path(places.config).read_text() == FILED.replace("      model: claude-sonnet-4.5\n", "")
    assert not config_file.unset_value(places, "backend.local.llm.model"), "it is gone already"
    with pytest.raises(UsageError, match=r"no key ports\.sever, did you mean ports\.server\?"):
        config_file.unset_value(places, "ports.sever")


def test_unset_removes_a_key_that_nothing_knows(places: Places) -> None:
    """It may be what keeps the file from being read."""
    Path(places.home).mkdir()
    Path(places.config).write_text("ports:\n  sever: 1\n  server: 2\n")
    assert config_file.unset_value(places, "ports.sever")
    assert config_file.read_config(places.config).value("ports.server") == 2


def effective(places: Places, **environ: str) -> dict[str, tuple[str, str]]:
    """Give each key's value in effect and its origin."""
    rows = effective_values(config_file.read_config(places.config), environ)
    return {row.key.removeprefix("backend.local."): (row.value, row.origin) for row in rows}


def test_a_variable_decides_before_the_file_and_the_file_before_the_default(places: Places) -> None:
    assert effective(places)["llm.provider"] == ("ollama", "default")
    write(places, FILED)
    assert effective(places)["llm.model"] == ("claude-sonnet-4.5", "file")
    chosen = effective(places, STIGMER_LLM_PROVIDER="openai", OPENAI_API_KEY="sk-very-secret")
    assert chosen["llm.provider"] == ("openai", "STIGMER_LLM_PROVIDER")
    assert chosen["llm.model"] == ("gpt-4", "default"), "the file's model is for another provider"
    assert chosen["llm.api_key"] == ("(set, not shown)", "OPENAI_API_KEY")


def test_the_address_of_a_temporal_decides_whether_ours_is_started(places: Places) -> None:
    read = effective(places, TEMPORAL_SERVICE_ADDRESS="there:7233")
    assert read["temporal.address"] == ("there:7233", "TEMPORAL_SERVICE_ADDRESS")
    assert read["temporal.managed"] == ("false", "TEMPORAL_SERVICE_ADDRESS")
    write(places, "backend:\n  local:\n    temporal:\n      address: there:1\n      port: 5\n")
    assert effective(places)["temporal.managed"] == ("false", "file")
    assert effective(places)["ports.temporal"] == ("5", "file")


def config(places: Places, *arguments: str, **environ: str) -> tuple[int, str, str]:
    """Run `stigmer config`: exit code, stdout, stderr."""
    out, err = io.StringIO(), io.StringIO()
    code = main(("config", *arguments), {"STIGMER_HOME": places.home, "PATH": os.environ["PATH"], **environ}, out, err)
    return code, out.getvalue(), err.getvalue()


def test_no_command_prints_a_secret(places: Places) -> None:
    write(places, "backend:\n  local:\n    llm:\n      provider: openai\n      api_key: sk-very-secret\n")
    assert config(places, "get", "backend.local.llm.api_key") == (0, "(set, not shown)\n", "")
    for arguments in (("list",), ("list", "--json")):
        code, out, err = config(places, *arguments, STIGMER_LLM_API_KEY="sk-other-secret")
        assert (code, "very" in out + err, "other" in out + err, "STIGMER_LLM_API_KEY" in out) == (
            0,
            False,
            False,
            True,
        )


def test_bytes_that_are_no_text_are_refused(places: Places) -> None:
    code, _, err = config(places, "set", "context.organization", os.fsdecode(b"\xff"))
    assert (code, "expected UTF-8 text" in err, Path(places.config).exists()) == (2, True, False)


def test_edit_opens_the_file_with_the_users_editor(places: Places) -> None:
    """With its options; the first edit begins with the explained file."""
    assert config(places, "edit", VISUAL="sed -i 's/managed: true/managed: false/'", EDITOR="false") == (0, "", "")
    assert Path(places.config).read_text() == FIRST_FILE.replace("managed: true", "managed: false")


def test_edit_checks_what_was_saved_and_leaves_it_to_be_corrected(places: Places) -> None:
    code, _, err = config(places, "edit", EDITOR="printf 'ports: [' >")
    assert (code, Path(places.config).read_text()) == (1, "ports: [")
    assert "line 1: a list in brackets" in err
    assert "Hint: run `stigmer config edit`" in err


@pytest.mark.parametrize("editor", ["false", "no-such-editor"])
def test_an_editor_that_fails_is_named(places: Places, editor: str) -> None:
    code, _, err = config(places, "edit", EDITOR=editor)
    assert code == 1
    assert f"the editor `{editor}` exited with status" in err
