"""Images on disk or by download, as `ImageSet`: uint8 pixels, labels, cached and memory-mapped."""

from dcgan_lib.data.cache import cache_size, clear_cache
from dcgan_lib.data.files import Contents, Dataset, Source
from dcgan_lib.data.image_set import ImageSet
from dcgan_lib.data.loading import available_datasets, describe_datasets, load_images

__all__ = [
    "Contents",
    "Dataset",
    "ImageSet",
    "Source",
    "available_datasets",
    "cache_size",
    "clear_cache",
    "describe_datasets",
    "load_images",
]
