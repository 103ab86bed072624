"""Ruby source, parsed by the real parser where there is one, and by a strict parser of string literals everywhere."""

import json
import re
import shutil
from typing import Any

import pytest
from hypothesis import strategies as st

from stigmer_packaging.lib import command

needs_ruby = pytest.mark.skipif(shutil.which("ruby") is None, reason="there is no ruby on this machine to parse with")

# Reads a JSON list of sources from standard input; prints for each its syntax tree without the contents of strings, and
# these contents in order. Interpolation appears in the tree as :string_embexpr.
_READ = r"""
require "json"
require "ripper"
def shape(node, strings)
  return node unless node.is_a?(Array)
  if node[0] == :@tstring_content
    strings << eval('"' + node[1] + '"')
    return [:text]
  end
  return node[0] if node[0].is_a?(Symbol) && node[0].to_s.start_with?("@") && node.length == 1
  node = node[0, 2] if node[0].is_a?(Symbol) && node[0].to_s.start_with?("@")
  node.map { |part| shape(part, strings) }
end
result = JSON.parse($stdin.read).map do |source|
  strings = []
  tree = Ripper.sexp(source)
  { "tree" => shape(tree, strings).inspect, "strings" => strings }
end
puts JSON.generate(result)
"""

_ESCAPE = re.compile(r'\\(?:["\\nrt#]|u\{([0-9a-f]{1,6})\})')
_NAMED = {'"': '"', "\\": "\\", "n": "\n", "r": "\r", "t": "\t", "#": "#"}


_HOSTILE = (
    '"',
    "\\",
    "#{system('id')}",
    "#$stdout",
    "#@x",
    "\n__END__\n",
    '" + `id` + "',
    "\\#{1}",
    "#",
    "##{",
    "\x00\x7f",
    "é 漢 \u2028",
)
_PARTS = [
    '"',
    "\\",
    "#",
    "{",
    "}",
    "$",
    "@",
    "`",
    "\n",
    "\r",
    "%",
    "'",
    "x",
    "\u202e",
    "EOS",
    "end",
    "${name}",
    "]",
    " ",
]
ANY_TEXT = st.one_of(st.sampled_from(_HOSTILE), st.text(), st.lists(st.sampled_from(_PARTS)).map("".join))
"""Any text, biased towards sequences that might escape from a string literal."""


def read_with_ruby(*sources: str) -> list[dict[str, Any]]:
    """Parse sources with Ruby's own parser; the tree of invalid Ruby is `nil`."""
    done = command.run(["ruby", "-W0", "-e", _READ], stdin=json.dumps(sources), env=None, seconds=60)
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def read_literal(source: str) -> str:
    """Return the value of a double-quoted literal; raise ValueError for all but plain text and simple escapes."""
    if len(source) < 2 or source[0] != '"' or source[-1] != '"':
        raise ValueError(f"not one literal: {source!r}")
    value, inside = "", source[1:-1]
    while inside:
        if escape := _ESCAPE.match(inside):
            value += chr(int(escape[1], 16)) if escape[1] else _NAMED[escape[0][1]]
            inside = inside[escape.end() :]
        elif inside[0] in '"\\' or not inside[0].isprintable() or re.match(r"#[{$@]", inside):
            raise ValueError(f"would be more than text: {inside[:10]!r}")
        else:
            value, inside = value + inside[0], inside[1:]
    return value
