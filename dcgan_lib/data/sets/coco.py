"""`coco`: everyday scenes with many things in each, from which one label an image has to be made."""

import json
from collections import Counter

import torch

from dcgan_lib.data.files import Archive, files_below, place, provide, reading, stamp
from dcgan_lib.data.image_set import Contents, Dataset, Source
from dcgan_lib.utils.random import rng

HOSTS = ("https://s3.amazonaws.com/images.cocodataset.org/", "http://images.cocodataset.org/")
PACKED = {  # annotations: the archive's name, and its checksum where one is known
    "instances": ("annotations_trainval2017", "md5:f4bbac642086de4f52a3fdda2de5fa2c"),
    "stuff": ("stuff_annotations_trainval2017", None),
}
RULES = ("largest", "frequent", "first")


def coco(root, split, download, *, annotations="instances", label="largest", images=None):
    """The validation images of COCO 2017 (Lin et al. 2014): 5,000 photographs of any size.

    `annotations` is "instances" (80 things) or "stuff" (91 materials, and "other" for all that is a thing).
    One label an image is made by the rule `label`: "largest", the class of the annotation with the largest
    area; "frequent", the class with most annotations; "first", that of the first annotation in the file. Of
    equals the first in the file wins. An image without annotations is in no split, and is told in `.skipped`.

    "all" is every labelled image, "test" a fifth of them, rounded up, chosen at random but always the same,
    and "train" the others. `images` takes only so many in the first place, chosen in the same way: gomez kept
    4,992, whole batches of 128, and tested on 999.
    """
    if annotations not in PACKED:
        raise ValueError(
            f"annotations={annotations!r} is not known to 'coco': choose 'instances' or 'stuff'."
        )
    if label not in RULES:
        raise ValueError(
            f"label={label!r} is not a rule of 'coco': choose 'largest', 'frequent' or 'first'."
        )
    if images is not None and (not isinstance(images, int) or images < 2):
        raise ValueError(
            f"images={images!r} is not a number of images to split: give 2 or more, or None for all."
        )
    root = place(root, "coco")
    name, checksum = PACKED[annotations]
    file = f"annotations/{annotations}_val2017.json"
    parts = [
        Archive(
            "val2017.zip",
            "val2017",
            addresses("zips/val2017.zip"),
            "md5:442b8da7639aecaf257c1dceb8ba8c80",
        ),
        Archive(f"{name}.zip", file, addresses(f"annotations/{name}.zip"), checksum),
    ]
    provide(
        "coco", root, parts, download, lambda files: f"put {files} from {COCO.page} into {root}"
    )
    listing = files_below(root, "val2017")

    def read():
        with reading(root / file):
            data = json.loads((root / file).read_bytes())
            classes = {
                row["id"]: row["name"]
                for row in sorted(data["categories"], key=lambda row: row["id"])
            }
            positions = {number: position for position, number in enumerate(classes)}
            numbers = {f"val2017/{row['file_name']}": row["id"] for row in data["images"]}
            chosen = {
                number: positions[of]
                for number, of in one_label_each(data["annotations"], label).items()
            }
        there = [path for path, _, _ in listing]
        labelled = [path for path in there if numbers.get(path) in chosen]
        skipped = [
            (path, f"no annotation in {file}") for path in there if numbers.get(path) not in chosen
        ]
        skipped += [
            (path, "missing, though a list names it")
            for path in sorted(numbers.keys() - set(there))
        ]
        paths = [labelled[i] for i in choose(len(labelled), split, images)]
        return Contents(
            paths, [chosen[numbers[path]] for path in paths], tuple(classes.values()), skipped
        )

    return Source(root, [*listing, stamp(root, file)], read)


def addresses(path):
    return tuple(host + path for host in HOSTS)


def one_label_each(annotations, rule):
    """{number of an image: number of a class} by one of the rules."""
    groups = {}
    for row in annotations:
        groups.setdefault(row["image_id"], []).append((row["category_id"], row["area"]))
    if rule == "largest":
        return {image: max(group, key=lambda pair: pair[1])[0] for image, group in groups.items()}
    if rule == "frequent":
        return {
            image: Counter(of for of, _ in group).most_common(1)[0][0]
            for image, group in groups.items()
        }
    return {image: group[0][0] for image, group in groups.items()}


def choose(count, split, images):
    """The positions of a split among `count` labelled images, in order."""
    order = torch.randperm(count, generator=rng(0, "coco split"))[:images].tolist()
    tested = -(-len(order) // 5)  # rounded up, as scikit-learn does
    return sorted({"all": order, "test": order[:tested], "train": order[tested:]}[split])


COCO = Dataset(
    name="coco",
    source=coco,
    splits=("train", "test", "all"),
    title="COCO 2017, validation images",
    page="https://cocodataset.org/#download",
    licence="annotations CC BY 4.0; images under Flickr's terms of use, their copyright is not COCO's",
    images=5000,
    pixels="various",
    labels="80 things, or 91 materials and other",
    papers=("gomez",),
    get="downloaded (815 MB and 253 MB; materials 1.1 GB)",
)
