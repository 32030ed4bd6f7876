"""A classification table turned on its side: a row for each method, a column for each input."""


def pivot(rows: list[dict], per_class: int | str = "all") -> list[dict]:
    """Accuracies in percent, method by input, for one number of labels; for `figures.table`.

    Parameters
    ----------
    rows : list of dict
        From `classification_table`, or from a record of it.
    per_class : int or "all", default "all"
        The rows with this many labelled images a class.

    Returns
    -------
    list of dict
        One for each method: its name, and for each input the accuracy and its deviation over the
        draws, a dash where the method does not take that input, or "not run".

    Examples
    --------
    >>> row = {"method": "KNN", "input": "pixels", "per_class": "all", "spread": None}
    >>> pivot([{**row, "accuracy": 0.5}, {**row, "input": "trained", "accuracy": 0.75}])
    [{'method': 'KNN', 'pixels': '50.0', 'trained': '75.0'}]
    """

    def cell(row):
        if row["accuracy"] is None:
            return "not run"
        spread = f" ± {100 * row['spread']:.1f}" if row["spread"] is not None else ""
        return f"{100 * row['accuracy']:.1f}{spread}"

    kept = [row for row in rows if row["per_class"] == per_class]
    if not kept:
        raise ValueError(f"no row has {per_class!r} labels a class")
    cells = {(row["method"], row["input"]): cell(row) for row in kept}
    methods, inputs = (dict.fromkeys(row[key] for row in kept) for key in ("method", "input"))
    return [
        {"method": method, **{source: cells.get((method, source), "-") for source in inputs}}
        for method in methods
    ]
