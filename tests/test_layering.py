"""What may import what, read from the source itself."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ELEMENTS = sorted((ROOT / "elements").rglob("*.py"))
BRIDGE = sorted(
    path
    for path in (ROOT / "sc_bridge").rglob("*.py")
    if "elements" not in path.relative_to(ROOT / "sc_bridge").parts
)
# What physics may use besides itself.
ALLOWED_IN_ELEMENTS = {"torch", "triton", "numpy", "scipy", "xobjects"} | set(
    sys.stdlib_module_names
)
XSUITE = {"xtrack", "xfields", "xpart", "xdeps", "xcoll", "xsuite"}
HEAVY = ("xtrack", "xfields", "matplotlib", "h5py", "pandas")


def imports(tree: ast.AST, everywhere: bool = True):
    """(module, level) of each import; only those that run on import if not `everywhere`."""
    if isinstance(tree, ast.Import):
        yield from ((alias.name, 0) for alias in tree.names)
    if isinstance(tree, ast.ImportFrom):
        yield tree.module or "", tree.level
    for child in ast.iter_child_nodes(tree):
        function = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        typing_only = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
        if everywhere or not (function or typing_only):
            yield from imports(child, everywhere)


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", ELEMENTS, ids=name_of)
def test_elements_import_nothing_of_the_bridge_nor_units_nor_formats(path):
    depth = len(path.relative_to(ROOT / "elements").parts)
    for module, level in imports(parse(path)):
        if level:
            assert level <= depth, f"{name_of(path)}: leaves elements by {'.' * level}{module}"
        else:
            assert module.split(".")[0] in ALLOWED_IN_ELEMENTS, f"{name_of(path)}: {module}"


@pytest.mark.parametrize("path", BRIDGE, ids=name_of)
def test_only_the_xsuite_folder_imports_xtrack_and_only_when_used(path):
    in_xsuite = "xsuite" in path.parent.parts
    for module, level in imports(parse(path), everywhere=not in_xsuite):
        assert level or module.split(".")[0] not in XSUITE, f"{name_of(path)}: {module}"


# What runs text, starts programs, or makes objects of what a file says.
FORBIDDEN_NAMES = {"eval", "exec", "compile", "__import__", "breakpoint", "input"}
FORBIDDEN_MODULES = {
    *("pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "code", "runpy"),
    *("subprocess", "pty", "socket", "urllib.request", "requests", "http", "ftplib", "telnetlib"),
}
FORBIDDEN_CALLS = {
    *("os.system", "os.popen", "os.fork", "os.startfile", "yaml.load", "yaml.load_all"),
    *("yaml.full_load", "yaml.unsafe_load", "torch.load", "np.fromfile", "builtins.eval"),
}
COMPILES_KERNELS = "elements/kernels"


def dotted(node: ast.AST) -> str:
    """Text of a name with dots, "" of anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return ""


@pytest.mark.parametrize("path", ELEMENTS + BRIDGE, ids=name_of)
def test_nothing_evaluates_text_starts_programs_or_unpickles(path):
    tree = parse(path)
    called = {dotted(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert not called.keys() & (FORBIDDEN_NAMES | FORBIDDEN_CALLS)
    assert not [name for name in called if name.startswith(("os.exec", "os.spawn", "os.posix_sp"))]
    modules = {module for module, _ in imports(tree)}
    found = (modules | {module.split(".")[0] for module in modules}) & FORBIDDEN_MODULES
    assert found <= ({"subprocess"} if name_of(path).startswith(COMPILES_KERNELS) else set())
    for name, node in called.items():
        if name in ("np.load", "numpy.load"):
            assert "allow_pickle=False" in ast.unparse(node)
        if name == "importlib.import_module":  # a fixed name, or a row of our own tables
            assert isinstance(node.args[0], ast.Constant) or "__package__" in ast.unparse(node)


@pytest.mark.parametrize("path", ELEMENTS + BRIDGE, ids=name_of)
def test_no_file_is_longer_than_four_hundred_lines(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


def test_importing_the_package_loads_no_optional_world():
    code = f"import sys, sc_bridge; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout.strip() == "[]"
