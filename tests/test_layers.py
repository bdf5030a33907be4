"""Imports go spec <- checker <- refvmm <- popek; the solver is behind two modules."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LAYERS = ("spec", "checker", "refvmm", "popek")
MODULES = [path for layer in LAYERS for path in sorted((ROOT / layer).rglob("*.py"))]
SOLVER = {"checker/z3_terms.py", "checker/solve.py"}


def imports_of(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names.add((node.module or "").split(".")[0])
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_a_module_imports_only_from_its_own_layer_and_those_before(path: Path) -> None:
    layer = LAYERS.index(path.relative_to(ROOT).parts[0])

    later = set(LAYERS[layer + 1 :]) | {"tests"}

    assert not imports_of(path) & later


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_only_the_two_solver_modules_import_z3(path: Path) -> None:
    name = path.relative_to(ROOT).as_posix()

    assert "z3" not in imports_of(path) or name in SOLVER


def test_help_imports_neither_parser_nor_solver_nor_property_tester() -> None:
    program = (
        "import sys, popek.main; popek.main.main(['--help']); "
        "print(sorted({'lark', 'z3', 'hypothesis', 'spec', 'checker'} & set(sys.modules)))"
    )

    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert result.stdout.splitlines()[-1] == "[]"
