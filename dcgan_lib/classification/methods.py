"""The methods of the classification tables.

Each is a function of training images, their labels, test images, a seed and a discriminator (which
gives its shape to one of them). It returns the predicted labels of the test images, and the C that
it used or None. Images are rows of numbers, or uint8 pictures for the networks.
"""

import warnings

import numpy as np
import torch
from torch import nn

from dcgan_lib.classification.matrix import FeatureMatrix
from dcgan_lib.classification.svm import L2SVM, hold_out_fifth
from dcgan_lib.data.pixels import to_float
from dcgan_lib.models import Discriminator
from dcgan_lib.utils.device import default_device, has_bf16
from dcgan_lib.utils.random import rng

# Grids of C, on standardised features.
C_GRID = (1e-6, 3e-6, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
RBF_GRID = (0.1, 1, 10, 100, 1000)
RBF_LIMIT = 10_000  # training images: the kernel matrix grows with their square
CHUNK_ROWS = 4_096  # rows that are handed to scikit-learn at a time
LABELLED_DISCRIMINATOR = "discriminator, with labels"  # takes its shape from a network


def _majority(train, labels, test, seed, network):
    """The most frequent class for every image: its accuracy is the base rate."""
    return np.full(len(test), np.bincount(labels).argmax()), None


def _knn(train, labels, test, seed, network):
    """The vote of the 5 nearest training images (gomez, section 3.7, does not say how many)."""
    from sklearn.neighbors import KNeighborsClassifier

    train, test = _standardised(train, test)
    knn = KNeighborsClassifier(min(5, len(labels)), algorithm="brute")
    return _predict(knn.fit(train.rows().numpy(), labels).predict, test), None


def _standardised(train, test):
    """Both matrices, with the mean and the deviation of the training images."""
    matrices = FeatureMatrix(train), FeatureMatrix(test)
    statistics = matrices[0].statistics()
    for matrix in matrices:
        matrix.standardise(*statistics)
    return matrices


def _predict(predict, test):
    """Predictions for the rows of a matrix, chunk by chunk."""
    chunks = torch.arange(test.shape[0]).split(CHUNK_ROWS)
    return np.concatenate([predict(test.rows(chunk).numpy()) for chunk in chunks])


def _linear_svm(train, labels, test, seed, network):
    """L2-SVM with C chosen on a fifth of the training images, held out."""
    svm = L2SVM(C_GRID, standardize=True, random_state=seed).fit(train, labels)
    _warn_at_an_end(svm.C_, C_GRID)
    return svm.predict(test), svm.C_


def _warn_at_an_end(C, grid):
    if len(grid) > 1 and C in (grid[0], grid[-1]):
        warnings.warn(
            f"the chosen C = {C:g} is an end of its grid, {grid[0]:g} to {grid[-1]:g}; "
            "a better one may lie beyond it",
            stacklevel=2,
        )


def _rbf_svm(train, labels, test, seed, network, grid=RBF_GRID):
    """RBF kernel with C chosen on a fifth of the training images, held out.

    gamma is scikit-learn's "scale".
    """
    from sklearn.metrics.pairwise import rbf_kernel
    from sklearn.svm import SVC

    if len(labels) > RBF_LIMIT:
        raise NotRun(
            f"not run: its kernel matrix for {len(labels):,} training images does not fit; "
            f"a number a class that gives at most {RBF_LIMIT:,} runs it"
        )
    train, test = _standardised(train, test)
    rows = train.rows().numpy()
    gamma = 1 / (rows.shape[1] * (rows.var() or 1))  # 0: all are constant
    kernel = rbf_kernel(rows, gamma=gamma)
    held_out, rest = hold_out_fifth(len(labels), seed)

    def accuracy(C):
        svm = SVC(C=C, kernel="precomputed").fit(kernel[np.ix_(rest, rest)], labels[rest])
        return svm.score(kernel[np.ix_(held_out, rest)], labels[held_out])

    possible = len(grid) > 1 and len(np.unique(labels[rest])) > 1
    C = max(grid, key=accuracy) if possible else grid[0]
    svm = SVC(C=C, kernel="precomputed").fit(kernel, labels)
    _warn_at_an_end(C, grid)
    return _predict(lambda chunk: svm.predict(rbf_kernel(chunk, rows, gamma)), test), C


def _sgd(train, labels, test, seed, network, passes=5):
    """Squared hinge fitted in batches (singh, section 4): one chunk is in memory at a time."""
    from sklearn.linear_model import SGDClassifier

    train, test = _standardised(train, test)
    # The loss is quadratic, so steps beyond 1/|x|^2 diverge; a standardised row has |x|^2 near its
    # length.
    sgd = SGDClassifier(
        "squared_hinge",
        alpha=1e-4,
        learning_rate="constant",
        eta0=0.05 / train.shape[1],
        average=True,
        n_jobs=-1,
        random_state=seed,
    )
    for number in range(passes):
        order = torch.randperm(len(labels), generator=rng(seed, f"pass {number}"))
        for chunk in order.split(CHUNK_ROWS):
            positions = np.sort(chunk.numpy())
            sgd.partial_fit(train.rows(positions).numpy(), labels[positions], np.unique(labels))
    return _predict(sgd.predict, test), None


def _small_cnn(train, labels, test, seed, network):
    """A small convolutional network trained with labels on the pixels.

    The architecture is ours: gomez, Table 2, gives none.
    """
    layers = []
    for before, after in ((train.shape[1], 16), (16, 32), (32, 64)):
        convolution = nn.utils.skip_init(nn.Conv2d, before, after, 3, padding=1)
        layers += [convolution, nn.ReLU(), nn.MaxPool2d(2)]
    _initialise(layers, rng(seed, "small CNN weights"))
    return _train_with_labels([*layers, nn.AdaptiveMaxPool2d(4)], 64, train, labels, test, seed)


def _labelled_discriminator(train, labels, test, seed, network):
    """The blocks of a discriminator, trained with labels from the start.

    This is what the architecture can do.
    """
    new = Discriminator(
        network.image_size, network.channels, network.width, network.kernel_size, seed=seed
    )
    return _train_with_labels(new.blocks, new.head.in_channels, train, labels, test, seed)


@torch.no_grad()
def _initialise(layers, stream):
    """PyTorch's own initialisation of convolutions and linear layers, from a stream of our own."""
    for layer in layers:
        for parameter in layer.parameters():
            bound = layer.weight[0].numel() ** -0.5
            parameter.uniform_(-bound, bound, generator=stream)


def _train_with_labels(layers, maps, train, labels, test, seed, batch_size=128, least_steps=300):
    """Train layers that end in maps of 4x4, and a linear layer, by cross entropy with Adam."""
    device = torch.device(default_device())
    linear = nn.utils.skip_init(nn.Linear, 16 * maps, int(labels.max()) + 1)
    _initialise([linear], rng(seed, "linear layer weights"))
    network = nn.Sequential(*layers, nn.Flatten(), linear).to(
        device, memory_format=torch.channels_last
    )
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    # BatchNorm cannot learn from one image, so a last batch of 1 is left out.
    steps = len(train) // batch_size + (len(train) % batch_size > 1)
    for number in range(max(10, -(-least_steps // steps))):
        order = torch.randperm(len(train), generator=rng(seed, f"pass {number}"))
        for rows in order.split(batch_size)[:steps]:
            with torch.autocast(device.type, torch.bfloat16, enabled=has_bf16(device)):
                logits = network(to_float(train[rows].to(device)))
            loss = nn.functional.cross_entropy(
                logits.float(), torch.from_numpy(labels)[rows].to(device)
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    network.eval()
    with torch.no_grad():
        scores = [network(to_float(batch.to(device))) for batch in test.split(batch_size)]
    return torch.cat(scores).argmax(1).cpu().numpy(), None


class NotRun(Exception):
    """A method that cannot do this size; the message says what it could do."""


# name -> (function, what it works on). "images" are pictures; "pixels" are their pixels as a
# matrix; "features" are this matrix and every feature matrix as well.
METHODS = {
    "majority class": (_majority, "pixels"),
    "KNN": (_knn, "pixels"),
    "linear L2-SVM": (_linear_svm, "features"),
    # gomez, section 3.6, gives this C.
    "RBF SVM, C = 1e-4": (lambda *given: _rbf_svm(*given, grid=(1e-4,)), "features"),
    "RBF SVM, C chosen": (_rbf_svm, "features"),
    "SGD, squared hinge": (_sgd, "features"),
    "small CNN": (_small_cnn, "images"),
    LABELLED_DISCRIMINATOR: (_labelled_discriminator, "images"),
}


def available_methods() -> list[str]:
    """Names of the methods that `classification_table` knows.

    Examples
    --------
    >>> available_methods()[:3]
    ['majority class', 'KNN', 'linear L2-SVM']
    """
    return list(METHODS)
