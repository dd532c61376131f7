"""Pieces of the grammar of each format, put into its files to damage them."""

from __future__ import annotations

from damage import PIECES

_OWN_PIECES: dict[str, tuple[str, ...]] = {
    "xsuite-json": (
        '"__class__": "Bend",', '"element_names": [],', '"Replica"', "vars['a']", "f.sin(",
        "element_refs['x'].k1", "NaN", "Infinity", '"_expr": "', '{"__class__": "Line"}', "[[]]",
    ),
    "madx": (
        "call, file=x;", ":=", "->", "*1e9", "if (1<2) {", "while (1<2) {", "a: macro = {",
        "line=(",
        "endsequence;", "1d400", "999999999*", "/0", "beam->pc", "q1->k1", "l=-1", "at=-5",
        "at=nan",
        "exec, m(1,2);", "call, file='deck.madx';", "from=ring", "install,", "sequence,",
        "refer=exit",
    ),
    "elegant": (
        "&\n", "% 1 sto a\n", "% a = * sto a\n", "#INCLUDE: x.lte\n", "#INCLUDE: deck.lte\n",
        "USE,",
        "RETURN\n", "9999999999*", "LINE=(", ": LINE=(A,A)\n", '"1 0 /"', '"-1 sqrt"', "RFCA",
        "KQUAD",
        "E1=", "&end", "&run_setup p_central=-1 &end", "&change_particle name=x &end", "L=-1",
        "= = =",
    ),
    "sixtrack": (
        "NEXT\n", "ENDE\n", "GO", "STRUCTURE INPUT\n", "BLOCK DEFINITIONS\n", "MULTICOL\n",
        "MULT\n",
        "D+3", "99999999999999999999", "BLOC1", "11", "12", "-23", "0x1", "SYNC\n", "INITIAL\n",
    ),
    "bmad": (
        "call, file = x\n", "call, file = r.bmad\n", "call, file = $HOME/x\n", "overlay = {",
        "line = (",
        "use, ", "[l]", "q1[k1]", "1d400", "::", "999999999*", "superimpose", "ref = d228",
        "l = -1",
        "angle = 7", "*[l] = ", "title\n", "lcavity, voltage = 1e6", "girder", "list = (",
        "x##3[l] = 1\n", "group = {", "offset = -1e9,", "multipass", "field_master = T", "--",
        "expand_lattice\n",
    ),
    "pals": (
        "&a ", "*a", "<<: ", "!!int ", "!!python/object:os.system ", "repeat: -3", "repeat: 1e9",
        "direction: -1", "inherit: q1", "kind: ", "line: ", "1e999", "q1>length", "Kn1L: 3",
        "angle_ref: 7", "---\n", "include: x", "- ", "  ", "? ", "| ", ">\n", "%YAML 9.9\n",
        "...\n",
    ),
    "cheetah": (
        '"Quadrupole"', '{"k1": [', "NaN", '"root": "x",', "[[1.0]]", '"lattices": {}', "null",
    ),
    "impactx": (
        "lattice.elements = ", "lattice.periods = 1e9", "my_constants.a = b\n",
        "my_constants.b = a\n",
        ".type = line\n", ".elements = ", ".repeat = 1e9\n", ".reverse = true\n", "geometry.",
        "FILE = x\n",
    ),
    "impactz": (
        " /\n", "!\n", "1.0d9", "-1", "0 0 0 -99 /\n", "103", "104 ", "1e9 4 20 ", "rfdata",
        "41",
    ),
    "ocelot": (
        "*10**9", "[::-1]", "lambda: 0", "import os\n", "eval(", "x = x\n", "d = Drift(",
        "l=", "**{}",
        "f'{d}'", "for i in cell:\n", "0x" + "f" * 300, "1j", "\n    ", "cell, ", "...",
    ),
    "jutrack": (
        "end\n", "for i in 1:10\n", "...", ";", "push!(", "KQUAD(", "len=", "1:10", "[1]", "π",
    ),
    "impactt": (
        " /\n", "!\n", "1.0d9", "-1", "0 0 0 -99 4 0 4.0 /\n", "0.5 0 0 1 ", "1e9 0 0 1 2 /\n",
    ),
}  # fmt: skip


def pieces(format: str) -> tuple[str, ...]:
    """Pieces to put into a file of the format."""
    return (*PIECES, *_OWN_PIECES[format] * 2)
