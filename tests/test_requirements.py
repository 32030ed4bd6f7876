"""What is to be installed: ranges stand in one place, and both lists of exact versions fit them."""

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
STANDARD = {*sys.stdlib_module_names, PROJECT["name"]}


def ranges():
    """{name: range} of everything that the package, its extras included, depends on."""
    found = {}
    for text in PROJECT["dependencies"] + [text for extra in EXTRAS.values() for text in extra]:
        requirement = Requirement(text)
        name = canonicalize_name(requirement.name)
        if name != canonicalize_name(PROJECT["name"]):
            assert found.setdefault(name, requirement.specifier) == requirement.specifier, text
    return found


def pins(file):
    lines = (ROOT / file).read_text().splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pairs}


def lines_of_requirements():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_requirements_take_every_range_from_pyproject():
    assert lines_of_requirements() == ["-e .[dev]"]
    reached, waiting = set(), ["dev"]
    while waiting:
        extra = waiting.pop()
        reached.add(extra)
        for requirement in map(Requirement, EXTRAS[extra]):
            waiting += requirement.extras if requirement.name == PROJECT["name"] else ()
    assert reached == set(EXTRAS)


@pytest.mark.parametrize("file", ["constraints.txt", "constraints-lowest.txt"])
def test_every_range_has_an_exact_version_that_fits(file):
    exact = pins(file)
    for name, allowed in ranges().items():
        assert allowed.contains(exact[name]), f"{name}: {file} has {exact[name]}, not {allowed}"


def test_the_lowest_versions_are_the_lower_ends():
    lower = {name: re.search(r">=([^,]+)", str(allowed))[1] for name, allowed in ranges().items()}
    assert pins("constraints-lowest.txt") == lower


def test_the_version_stands_in_one_place():
    import dcgan_lib

    assert "version" in PROJECT["dynamic"] and "version" not in PROJECT
    assert re.fullmatch(r"\d+\.\d+\.\d+", dcgan_lib.__version__)


def imported_modules(file):
    """The packages that a file imports, at its top or within its functions."""
    nodes = list(ast.walk(ast.parse(file.read_text())))
    plain = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    of_parts = [node.module for node in nodes if isinstance(node, ast.ImportFrom)]
    return {name.split(".")[0] for name in plain + of_parts}


def test_what_the_package_imports_is_declared():
    """threadpoolctl and filelock were once used, and came only with other packages."""
    modules = {"sklearn": "scikit-learn", "PIL": "pillow", "yaml": "pyyaml"}
    declared = {canonicalize_name(Requirement(text).name) for text in PROJECT["dependencies"]}
    declared |= {canonicalize_name(Requirement(text).name) for text in EXTRAS["batch"]}
    for file in (ROOT / "dcgan_lib").rglob("*.py"):
        for module in imported_modules(file):
            name = canonicalize_name(modules.get(module, module))
            assert module in STANDARD or name in declared, f"{file.name} imports {module}"
