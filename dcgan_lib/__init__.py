"""The thin package behind the DCGAN book. Every public name stands in the table below.

Importing `dcgan_lib` costs nothing: a name is fetched from its module the first time it is used, so that a
reader who only looks at images never waits for matplotlib or scikit-learn.
"""

from importlib import import_module

__version__ = "0.1.0"

_HOME_OF = {
    "rng": "randomness",
    "load_images": "data", "available_datasets": "data", "describe_datasets": "data",
    "ImageSet": "data",
    "Generator": "models", "Discriminator": "models", "layer_table": "models", "count_parameters": "models",
    "latent": "sampling", "generate": "sampling", "sample": "sampling",
    "interpolate": "sampling", "latent_arithmetic": "sampling",
    "to_float": "step", "training_step": "step",
    "TrainConfig": "run", "Run": "run", "train": "training",
    "available_recipes": "features", "feature_size": "features", "extract_features": "features",
    "recalibrate_batchnorm": "features",
    "L2SVM": "svm", "KMeansFeatures": "kmeans",
    "available_methods": "methods", "classification_table": "classify", "draw_per_class": "classify",
    "read_record": "results", "write_record": "results", "published": "results",
    "environment": "results", "device_report": "results",
}  # fmt: skip

__all__ = sorted(_HOME_OF)


def __getattr__(name):
    if name not in _HOME_OF:
        raise AttributeError(f"dcgan_lib has no name {name!r}; it has {', '.join(__all__)}")
    module = import_module(f"dcgan_lib.{_HOME_OF[name]}")
    value = globals()[name] = getattr(module, name)
    return value


def __dir__():
    return __all__
