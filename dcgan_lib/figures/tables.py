"""Tables: HTML in a notebook and in the book, plain text elsewhere."""

import re
from html import escape

from dcgan_lib.models import Discriminator, Generator, layer_table

NUMBER = re.compile(r"[-+]?[\d.,]+(e[-+]?\d+)?( ± [\d.,]+)?\s?%?|-|not run|")


class Table:
    """Rows of text under a header: HTML in a notebook and in the book, plain text elsewhere.

    The numbers of a column that holds nothing else stand on the right.
    """

    def __init__(self, header, rows, caption=""):
        self.header, self.caption = [str(cell) for cell in header], caption
        self.rows = [[str(cell) for cell in row] for row in rows]

    def _repr_html_(self):
        columns = zip(*self.rows)
        numbers = [all(NUMBER.fullmatch(cell) for cell in column) for column in columns]
        kinds = [' class="number"' if number else "" for number in numbers]

        def line(cells, tag):
            pairs = zip(cells, kinds)
            return f"<tr>{''.join(f'<{tag}{kind}>{escape(c)}</{tag}>' for c, kind in pairs)}</tr>"

        caption = f"<caption>{escape(self.caption)}</caption>" if self.caption else ""
        body = "".join(line(row, "td") for row in self.rows)
        return (
            f'<table class="table">{caption}<thead>{line(self.header, "th")}</thead>'
            f"<tbody>{body}</tbody></table>"
        )

    def __repr__(self):
        columns = list(zip(self.header, *self.rows))
        widths = [max(map(len, column)) for column in columns]
        lines = [
            "  ".join(map(str.ljust, row, widths)).rstrip() for row in [self.header, *self.rows]
        ]
        return "\n".join([self.caption, *lines] if self.caption else lines)


def table(rows: list[dict], caption: str = "") -> Table:
    """A table from a list of dicts with the same keys; the keys are the header."""
    if not rows:
        raise ValueError("there are no rows to make a table of")
    return Table(rows[0], [row.values() for row in rows], caption)


def architecture_table(network: Generator | Discriminator) -> Table:
    """Layers, output shape and parameters of each block (Table 1 of gomez)."""
    rows = [
        {**row, "output": "x".join(map(str, row["output"])), "parameters": f"{row['parameters']:,}"}
        for row in layer_table(network)
    ]
    return table(rows)


def results_table(rows: list[dict], caption: str = "") -> Table:
    """The rows of `classification_table` as a reader wants them.

    Accuracies are in percent. The columns C and warnings are left out where no row has any.

    Parameters
    ----------
    rows : list of dict
        From `classification_table`, or from a record of it.
    caption : str, default ""

    Examples
    --------
    >>> from dcgan_lib import classification_table, load_images
    >>> train, test = (load_images("digits", split=split) for split in ("train", "test"))
    >>> rows = classification_table(train, test, methods=["majority class"], progress=False)
    >>> results_table(rows).header[:4]
    ['method', 'input', 'labels', 'error %']
    """

    def cells(row):
        size, chosen = row["per_class"], sorted(row.get("C") or ())
        line = {
            "method": row["method"],
            "input": row["input"],
            "labels": f"all {row['train_images']:,}" if size == "all" else f"{size} a class",
            "error %": "not run",
            "accuracy %": "",
            "classes predicted": row.get("note"),
            "seconds": "",
            "peak GB": "",
            "C": " to ".join(f"{C:g}" for C in sorted({*chosen[:1], *chosen[-1:]})),
            "warnings": "; ".join(row.get("warnings", ())),
        }
        if row["accuracy"] is not None:
            spread = f" ± {100 * row['spread']:.1f}" if row["spread"] is not None else ""
            memory = row.get("peak_memory_mb")
            line |= {
                "error %": f"{100 * row['error']:.2f}",
                "accuracy %": f"{100 * row['accuracy']:.2f}{spread}",
                "classes predicted": f"{row['classes_predicted']} of {row['classes']}",
                "seconds": f"{row['seconds']:.1f}",
                "peak GB": f"{memory / 1000:.1f}" if memory else "",
            }
        return line

    lines = [cells(row) for row in rows]
    unused = {name for name in ("C", "warnings") if not any(line[name] for line in lines)}
    return table(
        [{name: cell for name, cell in line.items() if name not in unused} for line in lines],
        caption,
    )
