"""The package as a whole: imports, public names, layers, and what the repository says of itself."""

import ast
import doctest
import inspect
import re
import subprocess
import sys
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

import jedi
import pytest
import yaml

import dcgan_lib

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "dcgan_lib"

# The stages of the book, in the order in which data flow through them.
ROWS = (
    "data",
    "models",
    "sampling",
    "training",
    "features",
    "classification",
    "quality",
    "attribution",
    "records",
    "figures",
    "commands",
    "__main__",
)


def test_import_is_light():
    heavy = ("matplotlib", "sklearn", "torchvision", "torch", "scipy", "papermill")
    code = "import sys, dcgan_lib; print([m for m in sys.argv[1:] if m in sys.modules])"
    out = subprocess.run(
        [sys.executable, "-c", code, *heavy], capture_output=True, text=True, check=True
    )
    assert out.stdout.strip() == "[]"


# --- Public names ---


def public_functions():
    """(name, function) for each function, method and property that a reader may call."""
    for name in dcgan_lib.__all__:
        thing = getattr(dcgan_lib, name)
        if inspect.isfunction(thing):
            yield name, thing
        elif inspect.isclass(thing) or inspect.ismodule(thing):
            for part, value in vars(thing).items():
                value = getattr(value, "fget", None) or inspect.unwrap(value)
                value = getattr(value, "__func__", value)
                ours = inspect.isfunction(value) and value.__module__ == (
                    thing.__name__ if inspect.ismodule(thing) else thing.__module__
                )
                if ours and (part == "__init__" or not part.startswith("_")):
                    yield f"{name}.{part}", value


def has_parameters(thing):
    """Whether a function or a class takes parameters of its own."""
    if inspect.isclass(thing) and issubclass(thing, Exception):
        return False
    return callable(thing) and bool(inspect.signature(thing).parameters)


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(AttributeError, match="Genertor.*Generator"):
        dcgan_lib.Genertor  # noqa: B018 (the look-up itself is what is tested)


def test_every_public_name_is_there_and_documented():
    assert [name for name in dcgan_lib.__all__ if not getattr(dcgan_lib, name).__doc__] == []


def test_every_public_function_with_parameters_has_examples():
    """The two functions of the loop are exempt: chapter 4 is their example."""
    exempt = {"train", "training_step"}
    lacking = []
    for name in set(dcgan_lib.__all__) - exempt:
        thing = getattr(dcgan_lib, name)
        if has_parameters(thing):
            _, _, section = inspect.getdoc(thing).partition("\nExamples\n--------\n")
            if not doctest.DocTestParser().get_examples(section):
                lacking.append(name)
    assert sorted(lacking) == []


def test_every_public_function_has_type_hints():
    lacking = []
    for name, function in public_functions():
        signature = inspect.signature(function)
        hints = [
            parameter.annotation
            for parameter in signature.parameters.values()
            if parameter.name not in ("self", "cls")
        ]
        if not name.endswith(".__init__"):
            hints.append(signature.return_annotation)
        if inspect.Signature.empty in hints:
            lacking.append(name)
    assert lacking == []


@pytest.mark.parametrize(
    "code, name",
    [
        ("from dcgan_lib import load_im", "load_images"),
        ("import dcgan_lib\ndcgan_lib.ext", "extract_features"),
        ("import dcgan_lib\ndcgan_lib.figures.loss_c", "loss_curves"),
        ("from dcgan_lib import load_images\nload_images('digits').fingerp", "fingerprint"),
    ],
)
def test_an_editor_completes_public_names(code, name):
    script = jedi.Script(
        code, project=jedi.Project(ROOT), environment=jedi.InterpreterEnvironment()
    )
    assert name in [completion.name for completion in script.complete()]


def test_the_package_says_that_it_is_typed():
    assert (PACKAGE / "py.typed").is_file()


# --- The order of the parts ---


def package_modules(folder):
    """{module name: syntax tree} of every Python file below the package `folder`."""
    trees = {}
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder.parent).with_suffix("").parts
        trees[".".join(part for part in parts if part != "__init__")] = ast.parse(path.read_text())
    return trees


def homes_of_public_names():
    """{public name: module that defines it}, as `__init__.pyi` has them."""
    homes = {}
    for line in ast.parse((PACKAGE / "__init__.pyi").read_text()).body:
        if isinstance(line, ast.ImportFrom):
            for alias in line.names:
                homes[alias.name] = f"dcgan_lib.{line.module or alias.name}"
    return homes


def modules_imported(tree, modules, homes):
    """The modules of the package that a module imports, at its head or inside a function."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports inside the package are written with its name"
            names = [
                homes.get(alias.name, "dcgan_lib")
                if node.module == "dcgan_lib"
                else f"{node.module}.{alias.name}"
                for alias in node.names
            ]
        else:
            continue
        for name in names:
            if name.split(".")[0] == "dcgan_lib":
                yield name if name in modules else name.rpartition(".")[0]


def import_graph(folder=PACKAGE):
    """{module: the modules of the package that it imports}."""
    modules, homes = package_modules(folder), homes_of_public_names()
    return {
        name: set(modules_imported(tree, modules, homes)) - {"dcgan_lib"}
        for name, tree in modules.items()
    }


def upward_arrows(graph):
    """(importing, imported) for each import of a row below; utils come before all rows."""
    rank = {row: i for i, row in enumerate(("utils", *ROWS))}
    return sorted(
        (module, imported)
        for module, imports in graph.items()
        for imported in imports
        if rank[module.split(".")[1]] < rank[imported.split(".")[1]]
    )


def test_every_module_belongs_to_a_row():
    rows = {name.split(".")[1] for name in import_graph() if name != "dcgan_lib"}
    assert rows <= {"utils", *ROWS}


def test_rows_import_only_rows_above_them_and_utils():
    assert upward_arrows(import_graph()) == []


def test_no_circular_imports():
    tuple(TopologicalSorter(import_graph()).static_order())  # raises CycleError, which names them


def test_an_upward_arrow_is_noticed_in_every_way_of_writing_it(tmp_path):
    """If this fails, the two tests above are worth nothing."""
    folder = tmp_path / "dcgan_lib"
    (folder / "data").mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "figures.py").touch()
    (folder / "models.py").write_text("from dcgan_lib import figures")
    (folder / "sampling.py").write_text("import dcgan_lib.figures")
    (folder / "data" / "__init__.py").write_text("def later():\n    from dcgan_lib import train")
    (folder / "records.py").write_text("from dcgan_lib.figures import table")
    (folder / "commands.py").write_text("from dcgan_lib.figures import table")
    assert upward_arrows(import_graph(folder)) == [
        ("dcgan_lib.data", "dcgan_lib.training"),
        ("dcgan_lib.models", "dcgan_lib.figures"),
        ("dcgan_lib.records", "dcgan_lib.figures"),
        ("dcgan_lib.sampling", "dcgan_lib.figures"),
    ]


def test_no_function_has_the_name_of_a_module():
    """Neither of its own module, nor, where it is public, of one at the top of the package."""
    modules = package_modules(PACKAGE)
    twins = [
        f"{module}.{node.name}"
        for module, tree in modules.items()
        for node in tree.body
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
        and node.name == module.rpartition(".")[2]
    ]
    tops = {path.stem for path in PACKAGE.iterdir()}
    twins += [
        name
        for name in dcgan_lib.__all__
        if name in tops and not inspect.ismodule(getattr(dcgan_lib, name))
    ]
    assert twins == []


# --- What the repository says of itself ---


def make_targets():
    """The targets of the Makefile that have a plain name."""
    return set(re.findall(r"^([a-z][a-z-]*):(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE))


def strings_in(value):
    """Every string in a parsed YAML document."""
    if isinstance(value, dict):
        value = value.values()
    elif isinstance(value, str):
        return [value]
    elif not isinstance(value, list):
        return []
    return [string for part in value for string in strings_in(part)]


WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_call_targets_that_exist(path):
    workflow = yaml.safe_load(path.read_text())
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert all(("run" in step) != ("uses" in step) for step in steps)
    unpinned = [s["uses"] for s in steps if "uses" in s and not re.search(r"@v\d+$", s["uses"])]
    assert unpinned == []
    lines = "\n".join(strings_in(workflow))
    called = set(re.findall(r"^\s*make (?:[A-Z]+=\S+ )*([a-z-]+)", lines, re.MULTILINE))
    assert called <= make_targets()


def test_there_are_workflows_for_lint_tests_book_and_colab():
    assert {"lint", "tests", "book", "colab"} <= {path.stem for path in WORKFLOWS}


def test_contributors_are_told_of_targets_and_files_that_exist():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    text += (ROOT / ".github" / "pull_request_template.md").read_text()
    called = set(re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE))
    assert {"quick", "test", "test-all", "lint"} <= called <= make_targets()
    files = re.findall(r"`([\w.]+(?:/[\w.]+)*/?)`", text)
    here = [name for name in files if "/" in name and "NN_" not in name and "NAME" not in name]
    assert here
    assert [name for name in here if not (ROOT / name).exists()] == []


def test_address_title_and_version_are_the_same_everywhere():
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    address = config["repository"]["url"]
    newest = re.search(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[1]
    assert citation["title"] == config["title"]
    assert citation["repository-code"] == address
    assert [url for url in project["urls"].values() if not url.startswith(address)] == []
    assert citation["license"] == project["license"]
    assert citation["version"] == newest == dcgan_lib.__version__


def test_commit_hooks_run_files_that_exist():
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    hooks = [hook for repository in config["repos"] for hook in repository["hooks"]]
    assert {hook["id"] for hook in hooks} == {"ruff-format", "ruff-check", "notebooks-in-step"}
    scripts = re.findall(r"\S+\.py", " ".join(hook["entry"] for hook in hooks))
    assert scripts == ["book/make_notebooks.py"]
    assert (ROOT / scripts[0]).is_file()
