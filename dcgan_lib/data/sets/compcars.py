"""`compcars`: cars from the web and from surveillance cameras; through a form, by hand."""

from dcgan_lib.data.files import (
    files_below,
    images_among,
    not_there,
    place,
    reading,
    stamp,
    those_there,
)
from dcgan_lib.data.image_set import Contents, Dataset, Source


def compcars(root, split, download, *, surveillance=False):
    """The Comprehensive Cars data set (Yang et al. 2015): photographs of whole cars, of any size.

    From the web (`root/data/image/<make>/<model>/<year>/*.jpg`): labels are the 163 makes. With
    `surveillance=True`, fronts of cars under a camera (`root/sv_data/image/<model>/*.jpg`): labels are the
    models. The names of both stand in a .mat file; where that is not there or cannot be read, the numbers of
    the folders are the names.

    "train" and "test" are the authors' lists for classification (16,016 and 14,939 images from the web), "all"
    every image. gomez kept 16,000, which is what whole batches of 128 leave of that training list; the paper
    does not say which images it took.
    """
    root = place(root, "compcars")
    if surveillance:
        folder, names = "sv_data/image", "sv_data/sv_make_model_name.mat"
        lists = {part: f"sv_data/{part}_surveillance.txt" for part in ("train", "test")}
    else:
        folder, names = "data/image", "data/misc/make_model_name.mat"
        lists = {
            part: f"data/train_test_split/classification/{part}.txt" for part in ("train", "test")
        }
    if not (root / folder).is_dir():
        part = folder.split("/")[0]
        raise not_there(
            "compcars",
            root,
            folder,
            f"To get it, follow the instructions at {COMPCARS.page}, unpack {part}.zip "
            f"with all of its parts, and put the folder {part} into {root}",
        )
    if split != "all" and not (root / lists[split]).is_file():
        raise FileNotFoundError(
            f"{root / lists[split]}, which says what is {split}, is missing. Put the authors' list there, or take "
            "split='all'."
        )
    images = files_below(root, folder)
    others = [path for path in (names, lists.get(split)) if path and (root / path).is_file()]

    def read():
        paths, skipped = images_among(images)
        numbers = sorted(
            {int(part) for path in paths if (part := number_in(path, folder)).isdecimal()}
        )
        classes = read_names(root / names, surveillance) or {
            number: str(number) for number in numbers
        }
        positions = {str(number): position for position, number in enumerate(classes)}
        if split != "all":
            with reading(root / lists[split]):
                lines = (root / lists[split]).read_text().splitlines()
            paths, _, skipped = those_there([(f"{folder}/{line}", None) for line in lines], images)
        skipped += [
            (path, "in a folder of no class")
            for path in paths
            if number_in(path, folder) not in positions
        ]
        paths = [path for path in paths if number_in(path, folder) in positions]
        return Contents(
            paths,
            [positions[number_in(path, folder)] for path in paths],
            tuple(classes.values()),
            skipped,
        )

    return Source(root, images + [stamp(root, path) for path in others], read)


def number_in(path, folder):
    """The number of the make, or of the model under surveillance: the first folder below `folder`."""
    return path[len(folder) + 1 :].split("/")[0]


def read_names(path, surveillance):
    """{number: name} from the authors' table, numbered from 1; None where it is missing or cannot be read."""
    from scipy.io import loadmat

    try:
        table = loadmat(path)
        # Cells of cells: make_names is a column of them, sv_make_model_name has make, model and a number in a row.
        cells = table["sv_make_model_name"][:, 1] if surveillance else table["make_names"][:, 0]
        return {number: str(cell.item()).strip() for number, cell in enumerate(cells, 1)}
    except (
        Exception
    ):  # scipy fails in many ways on what it does not know, and numbers serve as well
        return None


COMPCARS = Dataset(
    name="compcars",
    source=compcars,
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
