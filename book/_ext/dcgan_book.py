"""What the book asks of Sphinx beyond `_config.yml`: settings of the theme, formulas, data sets."""

import inspect
from pathlib import Path

from sphinx.domains.math import MathDomain
from sphinx.util.docutils import SphinxDirective

STATIC = Path(__file__).resolve().parent.parent / "_static"


def configure(app, config):
    """Adds the book's static files; keeps the theme's second header off the pages."""
    config.html_static_path.append(str(STATIC))
    config.html_css_files.append("book.css")
    config.html_theme_options["navbar_persistent"] = []


class PageMath(MathDomain):
    """Loads MathJax only on pages that have formulas of their own.

    Sphinx also loads it on a page when any page below that one in the contents has formulas.
    """

    def has_equations(self, docname=None):
        return self.data["has_equations"].get(docname, False)


class DataSetTable(SphinxDirective):
    """All data sets in one table, from the facts that stand beside the loaders."""

    def run(self):
        from dcgan_lib import describe_datasets

        lines = ["| name | images | pixels | labels | paper |", "|---|---|---|---|---|"]
        lines += [
            f"| [`{row['name']}`](#data-{row['name']}) | {count(row)} | {row['pixels']} "
            f"| {row['labels']} | {papers(row)} |"
            for row in describe_datasets()
        ]
        return self.parse_text_to_nodes("\n".join(lines))


class DataSets(SphinxDirective):
    """A section for each data set; the last thing on its page, as sections join the page's own."""

    def run(self):
        from dcgan_lib.data.loading import DATASETS, describe_datasets

        lines = [
            line
            for row in describe_datasets()
            for line in section(row, inspect.getdoc(DATASETS[row["name"]].source))
        ]
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


def count(row):
    return "yours" if row["images"] is None else f"{row['images']:,}"


def papers(row):
    return ", ".join(f"{{cite:t}}`{paper}`" for paper in row["papers"]) or "none"


def section(row, about):
    """The lines of one data set: what its loader says of itself, then the facts."""
    call = (
        f'load_images("{row["name"]}")'
        if row["images"]
        else f'load_images("{row["name"]}", root="my/pictures")'
    )
    facts = {
        "published at": f"<{row['page']}>" if row["page"].startswith("http") else row["page"],
        "licence": row["licence"],
        "splits": ", ".join(f"`{split}`" for split in row["splits"]) or "those of your folders",
        "options": ", ".join(f"`{name}={default!r}`" for name, default in row["options"].items()),
        "how it comes": row["get"],
    }
    return [
        "",
        f"(data-{row['name']})=",
        f"## `{row['name']}`: {row['title']}",
        "",
        about,
        "",
        *(f"- {name}: {value}" for name, value in facts.items() if value),
        "",
        "```python",
        f"images = {call}",
        "```",
    ]


def setup(app):
    app.add_directive("data-sets-table", DataSetTable)
    app.add_directive("data-sets", DataSets)
    app.add_domain(PageMath, override=True)
    app.connect("config-inited", configure)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
