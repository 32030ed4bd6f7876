"""`coco`: everyday scenes with many things in each, of which one label an image is made."""

import json
from collections import Counter
from dataclasses import replace

import torch

from dcgan_lib.data.files import Archive, Dataset, Source, contents_of, files_in, provide, reading
from dcgan_lib.utils.random import rng

HOSTS = ("https://s3.amazonaws.com/images.cocodataset.org/", "http://images.cocodataset.org/")
IMAGES = Archive(
    "val2017.zip",
    "val2017",
    tuple(f"{host}zips/" for host in HOSTS),
    "md5:442b8da7639aecaf257c1dceb8ba8c80",
)
ANNOTATIONS = {
    kind: Archive(
        f"{name}.zip",
        f"annotations/{kind}_val2017.json",
        tuple(f"{host}annotations/" for host in HOSTS),
        checksum,
    )
    for kind, name, checksum in (
        ("instances", "annotations_trainval2017", "md5:f4bbac642086de4f52a3fdda2de5fa2c"),
        ("stuff", "stuff_annotations_trainval2017", None),
    )
}
RULES = ("largest", "frequent", "first")


def source(
    root, split, download, *, annotations="instances", label="largest", images=None
) -> Source:
    """The validation images of COCO 2017 (Lin et al. 2014): 5,000 photographs of any size.

    `annotations` is "instances" (80 things) or "stuff" (91 materials, and "other" for all that is a
    thing). One label an image is made by the rule `label`: "largest", the class of the annotation
    with the largest area; "frequent", the class with most annotations; "first", that of the first
    annotation in the file. Of equals the first in the file wins. An image without annotations is in
    no split, and is told in `.skipped`.

    "all" is every labelled image, "test" a fifth of them, rounded up, chosen at random but always
    the same, and "train" the others. `images` takes only so many in the first place, chosen in the
    same way: gomez kept 4,992, whole batches of 128, and tested on 999.
    """
    if annotations not in ANNOTATIONS:
        raise ValueError(
            f"annotations={annotations!r} is not known to 'coco': choose 'instances' or 'stuff'."
        )
    if label not in RULES:
        raise ValueError(
            f"label={label!r} is not a rule of 'coco': choose 'largest', 'frequent' or 'first'."
        )
    if images is not None and (not isinstance(images, int) or images < 2):
        raise ValueError(
            f"images={images!r} is not a number of images to split: "
            "give 2 or more, or None for all."
        )
    parts = [IMAGES, ANNOTATIONS[annotations]]
    file = ANNOTATIONS[annotations].holds
    root = provide(DATASET, root, download, parts, "put {files} from {page} into {root}")
    listing = files_in(root, "val2017")

    def read():
        with reading(root / file):
            data = json.loads((root / file).read_bytes())
            categories = sorted(data["categories"], key=lambda row: row["id"])
            positions = {row["id"]: position for position, row in enumerate(categories)}
            numbers = {f"val2017/{row['file_name']}": row["id"] for row in data["images"]}
            class_of = one_label_each(data["annotations"], label)
            labels = {
                path: positions[class_of[number]]
                for path, number in numbers.items()
                if number in class_of
            }
            classes = tuple(row["name"] for row in categories)
        named = sorted({path for path, _, _ in listing} | numbers.keys())
        known = contents_of(listing, named, labels.get, f"no annotation in {file}", classes)
        chosen = choose(len(known.pictures), split, images)
        return replace(
            known,
            pictures=[known.pictures[i] for i in chosen],
            labels=[known.labels[i] for i in chosen],
        )

    return Source(root, listing + files_in(root, file), read)


def one_label_each(annotations: list[dict], rule: str) -> dict[int, int]:
    """Make one label an image of its annotations.

    Parameters
    ----------
    annotations : list of dict
        With "image_id", "category_id" and "area", as in COCO's files.
    rule : str
        "largest", "frequent" or "first", as in `source`.

    Returns
    -------
    dict
        {number of an image: number of a class}.

    Examples
    --------
    >>> sizes = [("cup", 300), ("table", 21_000)]
    >>> rows = [{"image_id": 1, "category_id": name, "area": area} for name, area in sizes]
    >>> one_label_each(rows, "largest")
    {1: 'table'}
    """
    groups = {}
    for row in annotations:
        groups.setdefault(row["image_id"], []).append((row["category_id"], row["area"]))
    choices = {
        "largest": lambda group: max(group, key=lambda pair: pair[1])[0],
        "frequent": lambda group: Counter(number for number, _ in group).most_common(1)[0][0],
        "first": lambda group: group[0][0],
    }
    return {image: choices[rule](group) for image, group in groups.items()}


def choose(count, split, images):
    """The positions of a split among `count` labelled images, in order."""
    order = torch.randperm(count, generator=rng(0, "coco split"))[:images].tolist()
    tested = -(-len(order) // 5)  # rounded up, as scikit-learn does
    return sorted({"all": order, "test": order[:tested], "train": order[tested:]}[split])


DATASET = Dataset(
    name="coco",
    source=source,
    splits=("train", "test", "all"),
    title="COCO 2017, validation images",
    page="https://cocodataset.org/#download",
    licence="annotations CC BY 4.0; images under Flickr's terms of use, "
    "their copyright is not COCO's",
    images=5000,
    pixels="various",
    labels="80 things, or 91 materials and other",
    papers=("gomez",),
    get="downloaded (815 MB and 253 MB; materials 1.1 GB)",
)
