"""Run all chapters over parameter files: a run folder, notebooks and a record for each file.

Everything that can be known beforehand is checked before anything runs. A file whose chapter fails
does not keep the next file from running. The notebooks and the record of a whole run stay until a
later run is whole.
"""

import ast
import shutil
import sys
import time
from pathlib import Path

import numpy as np
from filelock import FileLock

from dcgan_lib.commands.parameters import (
    BadParameters,
    check_folder,
    check_run,
    did_you_mean,
    read_parameters,
    run_name,
)
from dcgan_lib.records import environment, read_record, write_record


def find_chapters(folder: Path = Path("notebooks")) -> dict[Path, dict]:
    """The chapters in reading order, and what each of them lets a user set.

    Raises
    ------
    BadParameters
        papermill is missing, or there are no chapters in the folder.
    """
    try:
        import papermill
    except ImportError:
        raise BadParameters(
            "papermill, which runs the notebooks, is missing: pip install papermill ipykernel"
        ) from None
    paths = sorted(folder.absolute().glob("[0-9a][0-9]_*.ipynb"))
    if not paths:
        raise BadParameters(
            f"no chapter in {folder.absolute()}; go to the folder of the book, where notebooks/ is"
        )
    return {
        path: {
            name: ast.literal_eval(parameter["default"])
            for name, parameter in papermill.inspect_notebook(str(path)).items()
        }
        for path in paths
    }


def defaults(chapters: dict[Path, dict]) -> dict:
    """Every parameter of the chapters with its default, which is the same in all of them."""
    return {name: default for declared in chapters.values() for name, default in declared.items()}


def fits(value: object, default: object) -> bool:
    """Whether a value has the type of the default; any but a list or a dict fits None."""
    if default is None:
        return not isinstance(value, (list, dict))
    return type(value) is type(default) or (type(default), type(value)) == (float, int)


def check_names(values: dict, known: dict) -> None:
    """Refuse names that no chapter declares, and values of another type than the chapters' own."""
    if "run_dir" in values:
        raise BadParameters(
            "run_dir follows from the file's name; --runs chooses the folder around it"
        )
    for name, value in values.items():
        if name not in known:
            raise BadParameters(
                f"no chapter has a parameter {name!r}; {did_you_mean(name, known)}There are: "
                f"{', '.join(sorted(known))}"
            )
        if not fits(value, known[name]):
            raise BadParameters(
                f"{name} is {value!r}, a {type(value).__name__}; the chapters' own value is "
                f"{known[name]!r}, a {type(known[name]).__name__}"
            )


def plan(
    paths: list[Path], overrides: list, chapters: dict[Path, dict], runs: Path
) -> dict[Path, dict]:
    """Read and check every file before the first one runs.

    Returns
    -------
    dict
        Run folder -> the parameters that the file and the command line give.

    Raises
    ------
    BadParameters
        With the sentence about the first file that is wrong.
    """
    plans, known = {}, defaults(chapters)
    for path in paths:
        values = read_parameters(path, overrides)
        try:
            check_names(values, known)
            folder = runs.absolute() / run_name(path, overrides, values)
            check_run(known | values, folder, download=False)
        except (ValueError, TypeError, RuntimeError, OSError, MemoryError) as error:
            raise BadParameters(f"{path}: {error}") from error
        if folder in plans:
            raise BadParameters(f"two files are called {path.stem}, and share the folder {folder}")
        plans[folder] = values
    for folder in plans:  # at the end, so that a refusal leaves nothing behind
        check_folder(folder)
    return plans


def run_chapters(
    folder: Path, values: dict, chapters: dict[Path, dict], notebooks: Path, seconds: dict
) -> None:
    """Execute the chapters in order; the first that fails raises what papermill raises.

    Parameters
    ----------
    folder : Path
        The run folder, which the chapters share.
    values : dict
        The parameters of the run; each chapter gets those that it declares.
    chapters : dict
        As `find_chapters` returns it.
    notebooks : Path
        Where the executed notebooks go.
    seconds : dict
        Receives chapter -> seconds for every chapter that is started.
    """
    import papermill

    check_run(defaults(chapters) | values, folder, download=True)
    given = {**values, "run_dir": str(folder)}
    for path, declared in chapters.items():
        start, outcome = time.perf_counter(), "failed after"
        try:
            papermill.execute_notebook(
                str(path),
                str(notebooks / path.name),
                {name: given[name] for name in declared if name in given},
                cwd=str(path.parent),
                kernel_name="python3",
                extra_arguments=["--log-level=CRITICAL"],
            )
            outcome = "done in"
        finally:
            seconds[path.stem] = round(time.perf_counter() - start, 1)
            print(
                f"{folder.name} [{len(seconds)}/{len(chapters)}] {path.stem} {outcome} "
                f"{seconds[path.stem]} s",
                flush=True,
            )


def run_file(folder: Path, values: dict, chapters: dict[Path, dict]) -> bool:
    """Run the chapters with one file's parameters, and leave notebooks and a record in the folder.

    Both lie in the folder `unfinished` until all chapters have passed. Only then do they take the
    place of those of an earlier run.

    Returns
    -------
    bool
        Whether all chapters passed.

    Raises
    ------
    KeyboardInterrupt
        After Ctrl-C or SIGTERM, once the record of what was done is written.
    """
    print(f"{folder.name}: {folder}", flush=True)
    attempt, seconds = folder / "unfinished", {}
    record = {
        "name": folder.name,
        "parameters": values,
        "environment": environment(),
        "seconds": seconds,  # filled as the chapters pass
    }
    with FileLock(folder / ".lock"):  # a second batch in this folder waits for the first
        shutil.rmtree(attempt, ignore_errors=True)
        (attempt / "notebooks").mkdir(parents=True)
        try:
            run_chapters(folder, values, chapters, attempt / "notebooks", seconds)
            record |= findings(folder)
        except BaseException as error:
            kind = getattr(error, "ename", type(error).__name__)  # papermill's, of the error inside
            words = getattr(error, "evalue", error)
            chapter = next(reversed(seconds), None)  # None: before the first
            record["failed"] = {
                "chapter": chapter,
                "error": f"{words}" if isinstance(error, KeyboardInterrupt) else f"{kind}: {words}",
                "notebook": chapter and str(attempt / "notebooks" / f"{chapter}.ipynb"),
            }
            print(f"  {record['failed']['error']}\n  see {attempt}", flush=True)
            if not isinstance(error, Exception):  # Ctrl-C and SIGTERM end the whole batch
                raise
            return False
        finally:
            write_record(attempt / "record.json", record)
        shutil.rmtree(folder / "notebooks", ignore_errors=True)
        for name in ("notebooks", "record.json"):
            (attempt / name).replace(folder / name)
        attempt.rmdir()
    return True


def findings(folder: Path) -> dict:
    """What the chapters left for the record: device, data, training, final metrics, tables."""
    setting = read_record(folder / "dcgan" / "config.json")
    steps = np.genfromtxt(folder / "dcgan" / "history.csv", delimiter=",", names=True)
    last = steps[steps["epoch"] == steps["epoch"].max()]
    return {
        **{
            path.stem: read_record(path)
            for path in (folder / "table.json", folder / "odd.json")
            if path.exists()
        },
        "seed": setting["config"]["seed"],
        "device": setting["device"],
        "data": setting["data"],
        "training": setting["config"],
        "final_metrics": {name: float(last[name].mean()) for name in steps.dtype.names},
    }


def main(file: list[Path], overrides: list, runs: Path) -> None:
    """Run the chapters over all files; the program ends with 1 where one of them failed."""
    chapters, passed = find_chapters(), {}
    plans = plan(file, overrides, chapters, runs)
    try:
        for folder, values in plans.items():
            passed[folder.name] = run_file(folder, values, chapters)
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(
            f"{stop} in {folder.name}; {', '.join(passed) or 'no file'} done. "
            "The same command goes on."
        ) from None
    if failed := [name for name, good in passed.items() if not good]:
        sys.exit(f"{len(failed)} of {len(passed)} failed: {', '.join(failed)}")
