"""Do the outcomes that the chapters tell hold for other seeds?

    python benchmarks/claims.py [CHAPTER ...] [--seeds 0 1 2] [--runs FOLDER] [--out RECORD]

A chapter states an outcome in its text and checks it in a hidden cell tagged `claim`, whose first
line is `# claim: WORDS` and which prints "holds: True" or "holds: False". This program executes the
chapters with each seed, in a run folder for each, and lists chapter, claim and what was printed.
It exits with 1 where a claim fails.
"""

import argparse
import sys
from pathlib import Path

import nbformat
import papermill
from tqdm import tqdm

from dcgan_lib import environment, read_record, write_record

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"


def claims_of(notebook):
    """{words of the claim: what its cell printed} of an executed notebook."""
    found = {}
    for cell in notebook.cells:
        if "claim" in cell.metadata.get("tags", []):
            words = cell.source.splitlines()[0].removeprefix("# claim:").strip()
            found[words] = "".join(output.get("text", "") for output in cell.outputs).strip()
    return found


def run(chapter, seed, runs):
    """Execute a chapter with a seed, the runs of that seed in a folder of their own."""
    folder = runs / f"seed-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    out = folder / chapter.name
    known = papermill.inspect_notebook(str(chapter))
    parameters = {"seed": seed} if "seed" in known else {}
    papermill.execute_notebook(
        str(chapter), str(out), parameters, cwd=str(folder), progress_bar=False
    )
    return claims_of(nbformat.read(out, as_version=4))


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("chapter", nargs="*", help="first letters, such as 05; all by default")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--runs", type=Path, default=Path("runs/claims"))
    parser.add_argument("--out", type=Path, help="write a record; other chapters' rows stay")
    options = parser.parse_args(arguments)
    chapters = [
        path
        for path in sorted(NOTEBOOKS.glob("[0-9a][0-9]_*.ipynb"))
        if not options.chapter or path.name.startswith(tuple(options.chapter))
    ]
    rows = {}
    for seed in options.seeds:
        for chapter in tqdm(chapters, desc=f"seed {seed}"):
            for words, printed in run(chapter, seed, options.runs.resolve()).items():
                rows.setdefault((chapter.stem, words), {})[str(seed)] = printed
    listed = [
        {"chapter": chapter, "claim": words, "holds": holds(printed), "printed": printed}
        for (chapter, words), printed in rows.items()
    ]
    for row in listed:
        verdict = "holds" if row["holds"] else "FAILS"
        print(f"{row['chapter']}: {row['claim']}: {verdict} {row['printed']}")
    if options.out:
        done = {row["chapter"] for row in listed}
        others = read_record(options.out)["rows"] if options.out.exists() else []
        others = [row for row in others if row["chapter"] not in done]
        kept = sorted(others + listed, key=lambda row: row["chapter"])
        write_record(options.out, {"environment": environment(), "rows": kept})
    sys.exit(not all(row["holds"] for row in listed))


def holds(printed):
    """Whether a claim holds with every seed."""
    return all(text.endswith("holds: True") for text in printed.values())


if __name__ == "__main__":
    main()
