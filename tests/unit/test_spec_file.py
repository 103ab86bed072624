"""A PyInstaller spec file is read without running it: what it says about the project is used, the rest is noted."""

import pytest

from stigmer_packaging.sources.spec_file import Spec, parse_spec
from support.freezing import SAMPLES

ALL = {"collect_submodules": ("x",), "collect_data": ("x",)}
NO_FOLDER = 'a = Analysis(["main.py"], {})'


def test_a_spec_determines_what_is_frozen_but_not_the_form_of_the_bundle() -> None:
    """The sample makes a single compressed file and names two paths of its author's machine."""
    spec = parse_spec((SAMPLES / "freeze-spec/service/greeter.spec.txt").read_text(encoding="utf-8"), "greeter.spec")
    assert spec.values == {
        "entry": "main.py",
        "hidden_imports": ("python_multipart",),
        "excludes": ("tkinter", "unittest"),
        "add_data": ("texts/*.txt:texts",),
        "collect_submodules": ("words",),
    }
    assert spec.notes == (
        "greeter.spec:17: left out: one file; the bundle is a folder",
        "greeter.spec:17: left out: upx=True of EXE",
        "greeter.spec: left out: /home/somebody/notes.txt of datas is outside the project",
        "greeter.spec: left out: /home/somebody/service of pathex is outside the project",
    )


@pytest.mark.parametrize(
    ("lines", "argument", "values"),
    [
        ("", "hiddenimports=['a'] + ['b', *['c']]", {"hidden_imports": ("a", "b", "c")}),
        ("h = ['a']\nh += ['b']\nh.append('c')\nh.extend(['d'])", "hiddenimports=h", {"hidden_imports": ("a", "b", "c", "d")}),
        ("", "datas=[('conf', 'conf')]", {"add_data": ("conf:conf",)}),
        ("", "datas=[(os.path.join(SPECPATH, 'conf', '*.yaml'), 'conf')]", {"add_data": ("conf/*.yaml:conf",)}),
        ("root = Path(SPECPATH)", "datas=[(str(root / 'conf'), 'conf')]", {"add_data": ("conf:conf",)}),
        ("from PyInstaller.utils.hooks import *", "datas=collect_data_files('x')", {"collect_data": ("x",)}),
        ("", "datas=copy_metadata('x') + collect_data_files('y')", {"copy_metadata": ("x",), "collect_data": ("y",)}),
        ("", "binaries=collect_dynamic_libs('x')", {"collect_binaries": ("x",)}),
        ("d, b, h = collect_all('x')", "datas=d, binaries=b, hiddenimports=h", {**ALL, "collect_binaries": ("x",)}),
        ("d = []\nh = []\nr = collect_all('x')\nd += r[0]; h += r[2]", "datas=d, hiddenimports=h", ALL),
        ("", "hookspath=['hooks'], runtime_hooks=['./hook.py']", {"hooks": ("hooks",), "runtime_hooks": ("hook.py",)}),
        ("", "pathex=['.', 'src']", {"stand_ins": ("src",)}),
        ("", "['src'], hiddenimports=['a']", {"stand_ins": ("src",), "hidden_imports": ("a",)}),
        ("", "[], [], [('c', 'c')], ['a'], ['h']", {"add_data": ("c:c",), "hidden_imports": ("a",), "hooks": ("h",)}),
        ("datas = hidden = []\nhidden += ['a']", "datas=datas, hiddenimports=hidden", {"hidden_imports": ("a",)}),
        ("datas: list[tuple[str, str]] = [('conf', '.')]", "datas=datas", {"add_data": ("conf:.",)}),
        ("path = 's'\npath += 'rc'", "pathex=[path]", {"stand_ins": ("src",)}),
        ("here = os.path.dirname(os.path.abspath(SPEC))", "datas=[(os.path.join(here, 'c'), 'c')]", {"add_data": ("c:c",)}),
        ("root = Path(SPECPATH).resolve()", "datas=[(str(root / 'conf'), '.')]", {"add_data": ("conf:.",)}),
        ("root = Path(SPEC).parent", "datas=[(f'{root}/conf', '.')]", {"add_data": ("conf:.",)}),
        ("block_cipher = None", "cipher=block_cipher, hooksconfig={}", {}),
        ("", "pathex=('a',) + ('b',)", {"stand_ins": ("a", "b")}),
        ("exe = EXE(pyz, a.scripts, [], exclude_binaries=True, name='x', console=True)", "", {}),
        ("all = COLLECT(exe, a.binaries, a.datas, name='x')", "", {}),
    ],
)  # fmt: skip
def test_values_that_can_be_known_without_running_the_spec_are_read(
    lines: str, argument: str, values: dict[str, tuple[str, ...]]
) -> None:
    spec = parse_spec(f"{lines}\n{NO_FOLDER.format(argument)}\n", "x.spec")
    assert (spec.values, spec.notes) == ({"entry": "main.py", **values}, ())


@pytest.mark.parametrize(
    ("lines", "argument", "values", "note"),
    [
        ("", "hiddenimports=['a', find()]", {"hidden_imports": ("a",)}, "x.spec:2: not read: find()"),
        ("h = ['a'] + find()", "hiddenimports=h", {"hidden_imports": ("a",)}, "x.spec:1: not read: find()"),
        ("h = ['a']\nh += find()", "hiddenimports=h", {"hidden_imports": ("a",)}, "x.spec:2: not read: find()"),
        ("", "hiddenimports=['a', 1]", {"hidden_imports": ("a",)}, "x.spec: left out: 1 of hiddenimports"),
        ("", "excludes=collect_submodules('x')", {}, "of excludes"),
        ("", "datas=[('a', 'b', 'c')]", {}, "x.spec: left out: ('a', 'b', 'c') of datas, not a pair"),
        ("", "datas=[(os.path.dirname(SPECPATH), '.')]", {}, "x.spec: left out: .. of datas is outside the project"),
        ("", "datas=copy_metadata('x', recursive=True)", {"copy_metadata": ("x",)}, "left out: recursive=True of copy_metadata"),
        ("h = find()", "hiddenimports=['a'] + h", {"hidden_imports": ("a",)}, "x.spec:2: not read: h"),
        ("h = ['a']\nfor n in x:\n    h += [n]", "hiddenimports=h", {"hidden_imports": ("a",)}, "x.spec:2: not read: for n"),
        ("", "datas=[('../other', 'x')]", {}, "x.spec: left out: ../other of datas is outside the project"),
        ("", "datas=[(r'C:\\author\\x', 'x')]", {}, "is outside the project"),
        ("", "hookspath=['~/hooks']", {}, "x.spec: left out: ~/hooks of hookspath is outside the project"),
        ("", "binaries=[('libx.so', '.')]", {}, "left out: the library ('libx.so', '.') of binaries"),
        ("", "noarchive=True, cipher=None", {}, "x.spec:2: left out: noarchive=True of Analysis"),
        ("exe = EXE(pyz, runtime_tmpdir='/tmp')", "", {}, "x.spec:1: left out: runtime_tmpdir='/tmp' of EXE"),
        ("app = BUNDLE(exe, icon='x.icns')", "", {}, "x.spec:1: left out: icon='x.icns' of BUNDLE"),
        ("if x:\n    y = 1", "", {}, "x.spec:1: not read: if x: y = 1"),
        ("b = Analysis(['x.py'])", "", {"entry": "x.py"}, "x.spec:2: a further Analysis is left out"),
        ("h = ['a']\nh = find()", "hiddenimports=h", {}, "x.spec:3: not read: h"),
        ("", "hiddenimports=find('a')", {}, "x.spec:2: not read: find('a')"),
        ("d, b = collect_data_files('a')", "", {}, "x.spec:1: not read: collect_data_files('a')"),
        ("setup()", "", {}, "x.spec:1: not read: setup()"),
        ("n = 1", "hiddenimports=['a', f'b{n}']", {"hidden_imports": ("a",)}, "x.spec:2: not read: f'b{n}'"),
        ("n = 1", "hiddenimports=['a', n[0]]", {"hidden_imports": ("a",)}, "x.spec:2: not read: n[0]"),
        ("n = ['b']", "hiddenimports=['a', n[1]]", {"hidden_imports": ("a",)}, "x.spec:2: not read: n[1]"),
        ("", "pathex=['a', os.path.join('b', 1)]", {"stand_ins": ("a",)}, "x.spec:2: not read: os.path.join('b', 1)"),
        ("", "datas=collect_data_files()", {}, "x.spec:2: not read: collect_data_files()"),
        ("", "hooksconfig={'a': {}}", {}, "x.spec:2: left out: hooksconfig={'a': {}} of Analysis"),
    ],
)  # fmt: skip
def test_values_that_are_not_used_are_noted_and_the_rest_is_read(
    lines: str, argument: str, values: dict[str, object], note: str
) -> None:
    spec = parse_spec(f"{lines}\n{NO_FOLDER.format(argument)}\n", "x.spec")
    assert spec.values == {"entry": "main.py", **values}
    assert len(spec.notes) == 1
    assert note in spec.notes[0]


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("a = (", "not valid Python"),
        ("a\0", "not valid Python"),
        (f"x = {'+'.join(['1'] * 5_000)}", "not valid Python"),
        ("x = 1", "no Analysis"),
    ],
    ids=["unclosed", "null byte", "too deep", "no Analysis"],
)
def test_an_unreadable_spec_is_noted(text: str, note: str) -> None:
    spec = parse_spec(text, "x.spec")
    assert spec.values == {}
    assert note in spec.notes[0]


def test_unpacked_arguments_are_noted_and_not_mistaken_for_scripts() -> None:
    spec = parse_spec("more = ['other.py']\na = Analysis(['main.py'], *more)\n", "x.spec")
    assert (spec.values, spec.notes) == ({"entry": "main.py"}, ("x.spec:2: not read: *more",))


def test_only_the_first_script_is_the_entry_and_others_are_noted() -> None:
    spec = parse_spec("Analysis(['main.py', 'more.py'])\n", "x.spec")
    assert spec == Spec({"entry": "main.py"}, ("x.spec: left out: the further script more.py",))


def test_an_expression_that_is_nested_too_deeply_is_noted_and_the_rest_is_read() -> None:
    spec = parse_spec(f"x = {'+'.join(['[1]'] * 900)}\nAnalysis(['main.py'])\n", "x.spec")
    assert spec == Spec({"entry": "main.py"}, ("x.spec:1: not read: nested too deeply",))


@pytest.mark.parametrize(
    "source",
    [b"\xef\xbb\xbfAnalysis(['main.py'])", b"# coding: latin-1\n# \xe9\nAnalysis(['main.py'])"],
    ids=["byte order mark", "coding"],
)
def test_a_spec_is_decoded_as_python_decodes_it(source: bytes) -> None:
    assert parse_spec(source, "x.spec").values == {"entry": "main.py"}
