"""Data sets that torchvision knows how to unpack and to read."""

import numpy as np

from dcgan_lib.data import downloads as network
from dcgan_lib.data.files import Contents, Source, data_folder, files_in, not_there


def torchvision_source(name, kind, root, split, download, archives, files, by_hand) -> Source:
    """The source of torchvision's class `kind`, which keeps its data in these `files` below `root`.

    `archives(class)` is {path below the root: (addresses, md5)}, where the class looks for what it
    unpacks. `by_hand` is the part of a sentence that says what a reader can do; "{}" in it stands
    for the root.
    """
    root = data_folder(root, name)
    by_hand = by_hand.format(root)

    def open_set(**options):
        from torchvision import datasets

        try:
            return getattr(datasets, kind)(root, train=split == "train", **options)
        except Exception as error:  # damaged files fail in many ways
            raise RuntimeError(
                f"The files of {name!r} are damaged ({error or type(error).__name__}). Delete "
                f"{(root / files[0]).parent} and take download=True, or {by_hand}."
            ) from error

    if missing := [file for file in files if not (root / file).is_file()]:
        from torchvision import datasets

        for path, (addresses, md5) in archives(getattr(datasets, kind)).items():
            if download:
                network.download(addresses, root / path, md5 and f"md5:{md5}")
            elif not (root / path).is_file():
                raise not_there(name, root, missing[0], f"Take download=True, or {by_hand}")
            elif wrong := network.mismatch(root / path, md5 and f"md5:{md5}"):
                raise RuntimeError(
                    f"{root / path} is damaged, or another file: {wrong}. Delete it, and take "
                    f"download=True, or {by_hand}."
                )
        open_set(download=True)  # finds the archives there, and unpacks them

    def read():
        data = open_set()
        return Contents(np.asarray(data.data), np.asarray(data.targets), [], tuple(data.classes))

    return Source(root, files_in(root, *files), read)
