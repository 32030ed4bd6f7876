"""`compcars`: cars from the web and from surveillance cameras; through a form, by hand."""

from dcgan_lib.data.files import (
    Dataset,
    Source,
    contents_of,
    data_folder,
    files_in,
    is_image,
    not_there,
    read_list,
)

PLACES = {  # under surveillance or not: the images, the table of names, the list of a split
    True: (
        "sv_data/image",
        "sv_data/sv_make_model_name.mat",
        "sv_data/{}_surveillance.txt",
    ),
    False: (
        "data/image",
        "data/misc/make_model_name.mat",
        "data/train_test_split/classification/{}.txt",
    ),
}


def source(root, split, download, *, surveillance=False) -> Source:
    """The Comprehensive Cars data set (Yang et al. 2015): photographs of whole cars, of any size.

    From the web (`root/data/image/<make>/<model>/<year>/*.jpg`): labels are the 163 makes. With
    `surveillance=True`, fronts of cars under a camera (`root/sv_data/image/<model>/*.jpg`): labels
    are the models. The names of both stand in a .mat file; where that is not there or cannot be
    read, the numbers of the folders are the names.

    "train" and "test" are the authors' lists for classification (16,016 and 14,939 images from the
    web), "all" every image. gomez kept 16,000, which is what whole batches of 128 leave of that
    training list; the paper does not say which images it took.
    """
    root = data_folder(root, "compcars")
    folder, names, chosen = PLACES[bool(surveillance)]
    chosen = chosen.format(split)
    if not (root / folder).is_dir():
        part = folder.split("/")[0]
        cure = (
            f"To get it, follow the instructions at {DATASET.page}, unpack {part}.zip with all of "
            f"its parts, and put the folder {part} into {root}"
        )
        raise not_there("compcars", root, folder, cure)
    if split != "all" and not (root / chosen).is_file():
        raise FileNotFoundError(
            f"{root / chosen}, which says what is {split}, is missing. Put the authors' list "
            "there, or take split='all'."
        )
    images = files_in(root, folder)
    others = [path for path in (names, chosen) if (root / path).is_file()]

    def number_in(path):
        """The number of the make or model: the first folder below `folder`."""
        return path[len(folder) + 1 :].split("/")[0]

    def read():
        found = {number_in(path) for path, _, _ in images if is_image(path)}
        numbers = sorted(int(number) for number in found if number.isdecimal())
        classes = read_names(root / names, surveillance) or {n: str(n) for n in numbers}
        positions = {str(number): position for position, number in enumerate(classes)}
        named = None
        if split != "all":
            named = read_list(root / chosen, lambda path: f"{folder}/{path}")
        return contents_of(
            images,
            named,
            lambda path: positions.get(number_in(path)),
            "in a folder of no class",
            tuple(classes.values()),
        )

    return Source(root, images + files_in(root, *others), read)


def read_names(path, surveillance):
    """{number: name} from the authors' table, numbered from 1; None if it cannot be read."""
    from scipy.io import loadmat

    try:
        table = loadmat(path)
        # Cells of cells: a column of makes, or make, model and a number in a row.
        cells = table["sv_make_model_name"][:, 1] if surveillance else table["make_names"][:, 0]
        return {number: str(cell.item()).strip() for number, cell in enumerate(cells, 1)}
    except Exception:  # scipy has many ways to fail, and the numbers serve as well
        return None


DATASET = Dataset(
    name="compcars",
    source=source,
    splits=("train", "test", "all"),
    title="Comprehensive Cars",
    page="https://mmlab.ie.cuhk.edu.hk/datasets/comp_cars/index.html",
    licence="for non-commercial research purposes only",
    images=136726,
    pixels="various",
    labels="163 makes; under surveillance, models",
    papers=("gomez",),
    get="by hand, through a form",
)
