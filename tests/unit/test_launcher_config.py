"""config.yaml and `stigmer config set|unset|edit`: errors have line numbers, and edits keep everything else."""

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stigmer_launcher.cli.commands.config import effective_values
from stigmer_launcher.config import file as config_file
from stigmer_launcher.config import schema
from stigmer_launcher.config.schema import SCHEMA, TEMPLATE
from stigmer_launcher.errors import ConfigError, UsageError
from stigmer_launcher.system.places import Places
from support.configuring import UPSTREAM, config, put, write

# --- reading -----------------------------------------------------------------------------------------------------------


def test_a_missing_file_means_defaults_and_is_not_created(places: Places) -> None:
    read = config_file.read_config(places.config)
    assert read.text("ports.server") == "7234"
    assert {origin for _, origin in effective_values(read, {}).values()} == {"default"}
    assert not Path(places.home).exists()


def test_a_file_of_an_earlier_version_is_read_and_settings_without_effect_are_reported(places: Places) -> None:
    read = write(places, UPSTREAM)
    assert read.text("backend.local.llm.provider") == "anthropic"
    cleanup, ttl = (read.settings[f"backend.local.execution.{name}"].value for name in ("cleanup", "ttl"))
    assert (cleanup, ttl) == ("false", "60")

    notes = config_file.unused(read)
    keys = ["backend.local.endpoint", "backend.local.data_dir", "backend.local.temporal.version"]
    assert [line.split(": ")[1].split()[0] for line in notes] == keys
    assert f"{places.config}, line 5: " in notes[0]
    assert "`ports.server`" in notes[0]


def test_an_address_of_temporal_has_no_effect_only_where_the_file_says_managed(places: Places) -> None:
    for managed, count in (("true", 1), ("false", 0), ("~", 0)):
        text = f"backend:\n  local:\n    temporal:\n      managed: {managed}\n      address: there:1\n"
        assert len(config_file.unused(write(places, text))) == count


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("backend:\n  typ: local", 2, "there is no key backend.typ; did you mean `backend.type`?"),
        ("provider: openai", 1, "there is no key provider; did you mean `backend.local.llm.provider`?"),
        ("zzz: 1", 1, "there is no key zzz"),
        ("backend:\n  type: remote", 2, "invalid value 'remote' for backend.type: expected one of local, cloud"),
        ("ports:\n  server: 70000", 2, "expected 1-65535"),
        ("ports:\n  server: 7_234", 2, "expected 1-65535"),
        ("ports:\n  server: ٧٢٣٤", 2, "expected 1-65535"),
        ("backend:\n  local:\n    temporal:\n      managed: yes", 4, "expected true or false"),
        ("backend:\n  local:\n    temporal:\n      address: http://x:1", 4, "expected host:port, without a scheme"),
        ("backend:\n  local:\n    temporal:\n      address: x", 4, "host:port"),
        ("backend:\n  local:\n    execution:\n      ttl: -1", 4, "expected a whole number"),
        ("backend: local", 1, "backend holds other keys, not a value"),
        ("context:\n  organization:\n    id: x\n    name: y", 2, "context.organization is a map, as an old cloud"),
        ("backend:\n  local:\n    llm:\n      provider: gemini", 4, "expected one of ollama, anthropic, openai"),
        ("backend:\n - x", 2, "a list is not supported"),
        (b"x: \xff", 1, "not UTF-8"),
        (b"ports:\n# caf\xe9\n", 2, "not UTF-8"),
    ],
)
def test_a_problem_is_an_error_with_its_line_and_never_a_default(
    places: Places, text: str | bytes, line: int, problem: str
) -> None:
    put(places, text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as caught:
        config_file.read_config(places.config)
    assert str(caught.value).startswith(f"{places.config}, line {line}: ")
    assert problem in str(caught.value)


def test_all_problems_are_reported_at_once(places: Places) -> None:
    with pytest.raises(ConfigError) as caught:
        write(places, "ports:\n  server: x\n  ui: 1\nbackend:\n  type: y\n")
    lines = str(caught.value).splitlines()
    assert [line.split(", ")[1].split(":")[0] for line in lines] == ["line 2", "line 3", "line 5"]


def test_an_old_cloud_file_is_explained_once(places: Places) -> None:
    """The organization of an old cloud file is a map; every key in it would otherwise be reported as unknown."""
    with pytest.raises(ConfigError) as caught:
        write(places, "context:\n  organization:\n    id: 7\n    slug: acme\n    deep:\n      deeper: 1\n")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("value", ["", "~", "null", '""', "# nothing"])
def test_a_key_without_a_value_has_its_default(places: Places, value: str) -> None:
    read = write(places, f"ports:\n  server: {value}\n")
    assert read.text("ports.server") == "7234"
    assert read.find("ports.server") is None


def test_a_file_that_cannot_be_read_is_an_error(places: Places) -> None:
    Path(places.home).mkdir()
    Path(places.config).symlink_to("config.yaml")
    with pytest.raises(ConfigError, match=r"cannot read .*config\.yaml: Too many levels of symbolic links") as caught:
        config_file.read_config(places.config)
    assert "check that directory" in caught.value.remedy, "`config edit` could not read it, either"


@pytest.mark.timeout(20)
@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_a_config_that_is_not_a_regular_file_is_refused_at_once(places: Places, make: Callable[[Path], None]) -> None:
    """A pipe without a writer or a device used to block every command forever."""
    Path(places.home).mkdir()
    make(Path(places.config))
    with pytest.raises(ConfigError, match=r"config\.yaml is not a regular file") as caught:
        config_file.read_config(places.config)
    assert f"`mv {places.config} {places.config}.aside`" in caught.value.remedy


def test_a_huge_file_is_refused_without_reading_it(places: Places) -> None:
    """A sparse file needs no disk space but would fill the memory."""
    put(places, b"")
    os.truncate(places.config, 1 << 40)
    with pytest.raises(ConfigError, match="is no configuration"):
        config_file.read_config(places.config)


# --- edits -------------------------------------------------------------------------------------------------------------


def test_a_byte_order_mark_and_windows_line_ends_are_accepted_and_kept(places: Places) -> None:
    read = write(places, "\ufeffports:\r\n  server: 1\r\n")
    assert read.text("ports.server") == "1"
    config_file.set_value(places, "ports.server", "2")
    assert Path(places.config).read_bytes() == b"ports:\r\n  server: 2\r\n"


def test_set_changes_one_value_and_keeps_every_comment(places: Places) -> None:
    write(places, UPSTREAM)
    config_file.set_value(places, "backend.local.llm.model", "claude opus: 4 #1")
    config_file.set_value(places, "ports.temporal-ui", "8999")
    edited = UPSTREAM.replace("model: claude-sonnet-4.5", 'model: "claude opus: 4 #1"')
    assert Path(places.config).read_text() == f"{edited}ports:\n  temporal-ui: 8999\n"


def test_set_in_an_empty_home_writes_the_commented_template(places: Places) -> None:
    config_file.set_value(places, "backend.local.temporal.managed", "FALSE")
    assert Path(places.config).read_text() == TEMPLATE.replace("managed: true", "managed: false")


@pytest.mark.parametrize("key", [key for key in SCHEMA if not SCHEMA[key].secret])
def test_every_key_can_be_set_and_read_back(places: Places, key: str) -> None:
    values = {schema.read_flag: "false", schema.read_number: "4242", schema.read_port: "4242"}
    value = values.get(SCHEMA[key].read, "localhost:1")
    value = {"provider": "openai", "type": "cloud", "mode": "auto"}.get(key.rpartition(".")[2], value)
    config_file.set_value(places, key, value)
    read = config_file.read_config(places.config)
    assert read.text(key) == value
    assert read.find(key)


@pytest.mark.parametrize(("key", "value"), [("ports.server", "1"), ("backend.local.temporal.managed", "false")])
def test_setting_an_empty_value_restores_the_default(places: Places, key: str, value: str) -> None:
    config_file.set_value(places, key, value)
    config_file.set_value(places, key, "")
    assert config_file.read_config(places.config).text(key) == SCHEMA[key].default


def test_a_number_is_written_without_leading_zeros(places: Places) -> None:
    """Other programs would read such a number as octal."""
    config_file.set_value(places, "ports.server", "007")
    assert "  server: 7\n" in Path(places.config).read_text()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("ports.sever", "1", "there is no key ports.sever; did you mean `ports.server`?"),
        ("ports.server", "x", "invalid value 'x' for ports.server: expected 1-65535"),
        ("backend.local.llm.api_key", "sk-1", "is a secret and must not be given on a command line"),
        ("backend.cloud.token", "t", "is a secret"),
    ],
)
def test_a_refused_setting_is_a_usage_error_and_changes_nothing(
    places: Places, key: str, value: str, message: str
) -> None:
    write(places, UPSTREAM)
    with pytest.raises(UsageError, match=message.replace("?", r"\?")) as caught:
        config_file.set_value(places, key, value)
    assert caught.value.exit_code == 2
    assert "sk-1" not in str(caught.value) + caught.value.remedy
    assert Path(places.config).read_text() == UPSTREAM


@pytest.mark.parametrize(
    ("key", "value", "hint"),
    [
        (
            "backend.local.temporal.address",
            "there:7233",
            "run `stigmer config set backend.local.temporal.managed false`",
        ),
        ("backend.local.data_dir", "/elsewhere", "set STIGMER_HOME to move everything"),
    ],
)
def test_setting_a_key_without_effect_names_the_one_that_has_an_effect(
    places: Places, key: str, value: str, hint: str
) -> None:
    """The template of the first `config set` has Temporal managed, so an address alone was silently ignored."""
    code, _, err = config(places, "set", key, value)
    assert code == 0
    assert f"{key} has no effect: {hint}\n" in err
    assert "has no effect" not in config(places, "set", "backend.local.llm.model", "x")[2], "repeated for another key"
    assert config(places, "set", "backend.local.temporal.managed", "false")[2].count("temporal.address") == 0


def test_a_secret_on_the_command_line_is_refused_with_a_hint_to_config_edit(places: Places) -> None:
    """A launchd service does not see the user's variables, so a variable is not the only remedy."""
    with pytest.raises(UsageError) as caught:
        config_file.set_value(places, "backend.local.llm.api_key", "sk-1")
    assert caught.value.remedy.endswith("or run `stigmer config edit`")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("ports: [", "line 1: a list in brackets"),
        ("backend:\nports: ~\n", "line 2: ports has a value here"),
        ("ports:\nzzz: 1\n", "line 2: there is no key zzz"),  # below the line that would be added
    ],
)
def test_a_file_that_is_invalid_or_has_a_value_instead_of_a_map_is_not_edited(
    places: Places, text: str, problem: str
) -> None:
    put(places, text.encode())
    with pytest.raises(ConfigError, match=problem):
        config_file.set_value(places, "ports.server", "1")
    assert Path(places.config).read_text() == text


def test_an_edit_makes_the_file_readable_only_for_its_owner(places: Places) -> None:
    config_file.set_value(places, "ports.server", "1")
    assert stat.S_IMODE(Path(places.config).stat().st_mode) == 0o600
    Path(places.config).chmod(0o644)
    Path(f"{places.config}.new").write_text("of an edit that was killed")
    config_file.set_value(places, "ports.server", "2")
    assert stat.S_IMODE(Path(places.config).stat().st_mode) == 0o600


def test_a_symbolic_link_is_kept_when_its_target_is_edited(places: Places, tmp_path: Path) -> None:
    """Many users link their settings to a repository of dotfiles."""
    Path(places.home).mkdir()
    target = tmp_path / "dotfiles.yaml"
    target.write_text("# mine\n")
    Path(places.config).symlink_to(target)
    config_file.set_value(places, "ports.server", "1")
    assert Path(places.config).is_symlink()
    assert target.read_text() == "# mine\nports:\n  server: 1\n"


def test_the_template_with_all_defaults_is_written_only_once(places: Places) -> None:
    assert config_file.create_config(places)
    assert Path(places.config).read_text() == TEMPLATE
    assert stat.S_IMODE(Path(places.config).stat().st_mode) == 0o600
    settings = config_file.read_config(places.config).settings
    assert {key: setting.value for key, setting in settings.items()} == {key: SCHEMA[key].default for key in settings}
    Path(places.config).write_text("# changed\n")
    assert not config_file.create_config(places)
    assert Path(places.config).read_text() == "# changed\n"


def test_concurrent_edits_are_all_kept(places: Places) -> None:
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from stigmer_launcher.config import file as config; from stigmer_launcher.system import places\n"
        "config.set_value(places.find_places({'STIGMER_HOME': sys.argv[2]}), sys.argv[3], '4242')\n"
    )
    keys = [key for key in SCHEMA if SCHEMA[key].read in (schema.read_number, schema.read_port)]
    command = [sys.executable, "-c", program, str(Path(config_file.__file__).parents[2]), places.home]
    editors = [subprocess.Popen([*command, key]) for key in keys]
    assert [editor.wait() for editor in editors] == [0] * len(keys)
    read = config_file.read_config(places.config)
    assert [read.text(key) for key in keys] == ["4242"] * len(keys)


def test_unset_removes_one_value_and_keeps_the_rest(places: Places) -> None:
    write(places, UPSTREAM)
    assert config_file.unset_value(places, "backend.local.llm.model")
    assert Path(places.config).read_text() == UPSTREAM.replace("      model: claude-sonnet-4.5\n", "")
    assert not config_file.unset_value(places, "backend.local.llm.model"), "removed already"
    with pytest.raises(UsageError, match=r"no key ports\.sever; did you mean `ports\.server`\?"):
        config_file.unset_value(places, "ports.sever")


def test_unsetting_a_missing_key_changes_nothing(places: Places) -> None:
    """It neither creates a home nor needs to write to one."""
    assert not config_file.unset_value(places, "ports.server")
    with pytest.raises(UsageError):
        config_file.unset_value(places, "ports.sever")
    assert not Path(places.home).exists()


def test_unset_refuses_the_name_of_a_section(places: Places) -> None:
    """It would remove every setting below it."""
    put(places, b"ports:\n  server: 1\n  temporal: 2\n")
    with pytest.raises(UsageError, match=r"no key ports; did you mean `ports\.temporal`\?"):
        config_file.unset_value(places, "ports")
    assert Path(places.config).read_bytes() == b"ports:\n  server: 1\n  temporal: 2\n"


def test_unset_removes_an_unknown_key(places: Places) -> None:
    """The unknown key may be the reason why the file cannot be read."""
    put(places, b"ports:\n  sever: 1\n  server: 2\n")
    assert config_file.unset_value(places, "ports.sever")
    assert config_file.read_config(places.config).text("ports.server") == "2"


@pytest.mark.parametrize("value", [os.fsdecode(b"\xff"), "\x07", "a\rb", "\x7f", "\x85", "\ufffe", "\uffff:1"])
@pytest.mark.parametrize("key", ["context.organization", "backend.local.temporal.address"])
def test_characters_that_yaml_forbids_are_refused(places: Places, key: str, value: str) -> None:
    """So are bytes that are not UTF-8; other programs would refuse the whole file."""
    code, _, err = config(places, "set", key, value)
    assert (code, "expected UTF-8 text" in err, Path(places.config).exists()) == (2, True, False)


def test_edit_opens_the_file_with_the_users_editor(places: Places) -> None:
    """VISUAL may contain options and precedes EDITOR; the first edit starts with the template."""
    assert config(places, "edit", VISUAL="perl -pi -e 's/managed: true/managed: false/'", EDITOR="false") == (0, "", "")
    assert Path(places.config).read_text() == TEMPLATE.replace("managed: true", "managed: false")


def test_edit_waits_for_the_editor_even_if_sigchld_is_ignored(places: Places) -> None:
    """An ignored SIGCHLD, as after `trap '' CHLD`, is inherited, and then the kernel keeps no exit status."""
    ignored = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        assert config(places, "edit", EDITOR="true") == (0, "", "")
    finally:
        signal.signal(signal.SIGCHLD, ignored)


def test_the_editor_does_not_load_libraries_of_the_launcher(places: Places, tmp_path: Path) -> None:
    """The bootloader of a frozen program prepends its own directory to the user's LD_LIBRARY_PATH."""
    output = tmp_path / "output"
    frozen = {"LD_LIBRARY_PATH": "/keg/lib:/users", "LD_LIBRARY_PATH_ORIG": "/users"}
    config(places, "edit", EDITOR=f"printenv LD_LIBRARY_PATH >{output};:", **frozen)
    assert output.read_text(encoding="utf-8") == "/users\n"


def test_edit_reports_an_invalid_file_and_keeps_it_for_correction(places: Places) -> None:
    code, _, err = config(places, "edit", EDITOR="printf 'ports: [' >")
    assert (code, Path(places.config).read_text()) == (1, "ports: [")
    assert "line 1: a list in brackets" in err
    assert "Hint: run `stigmer config edit`" in err


def test_every_command_suggests_config_edit_for_a_broken_file(places: Places) -> None:
    put(places, b"ports: [")
    for arguments in (("list",), ("get", "ports.server"), ("set", "ports.server", "1")):
        assert config(places, *arguments)[2].endswith("Hint: run `stigmer config edit` and correct the lines named\n")


def test_edit_has_a_remedy_for_a_file_that_is_a_directory(places: Places) -> None:
    """Container engines create a directory for a mounted file that does not exist; an editor cannot fix that."""
    Path(places.config).mkdir(parents=True)
    code, _, err = config(places, "edit", EDITOR="true")
    assert code == 1
    assert f"Hint: move it away: `mv {places.config}" in err


@pytest.mark.parametrize("editor", ["false", "no-such-editor"])
def test_an_editor_that_fails_is_named(places: Places, editor: str) -> None:
    code, _, err = config(places, "edit", EDITOR=editor)
    assert (code, f"the editor `{editor}` exited with status" in err) == (1, True)
