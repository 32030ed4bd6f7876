"""The methods of the classification tables: each a function from training rows, labels and test rows to answers."""

from functools import cached_property

import numpy as np
import torch

from dcgan_lib.classification.svm import L2SVM
from dcgan_lib.data.pixels import to_float
from dcgan_lib.models import Discriminator
from dcgan_lib.utils.device import default_device, has_bf16
from dcgan_lib.utils.random import rng

C_GRID = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2)  # for the linear SVM, on standardised features
RBF_LIMIT = 10_000  # training images: the kernel matrix grows with their square
RBF_GRID = (1, 10, 100)
BLOCK = 4_096  # rows in hand at a time
WITH_LABELS = "discriminator, with labels"  # the method that takes its shape from a network


class Rows:
    """Rows of a matrix as they are asked for: each column minus its mean, over its deviation, on the training rows.

    float32 (rows, columns). So a matrix larger than the memory stays in its file.
    """

    def __init__(self, matrix, training=None):
        self.matrix, self.training = matrix, training

    def __len__(self):
        return len(self.matrix)

    def __getitem__(self, rows):
        return self.scaler.transform(np.array(self.matrix[rows], np.float32))

    def blocks(self):
        return (self[start : start + BLOCK] for start in range(0, len(self), BLOCK))

    @cached_property
    def scaler(self):
        from sklearn.preprocessing import StandardScaler

        if self.training:
            return self.training.scaler
        scaler = StandardScaler(copy=False)
        for start in range(0, len(self), BLOCK):
            scaler.partial_fit(np.array(self.matrix[start : start + BLOCK], np.float32))
        return scaler


def _majority(train, labels, test, seed):
    """The most frequent class for every image: its accuracy is the base rate."""
    return np.full(len(test), np.bincount(labels).argmax())


def _knn(train, labels, test, seed):
    """The vote of the 5 nearest training images (gomez, section 3.7, which does not say how many)."""
    from sklearn.neighbors import KNeighborsClassifier

    neighbours = KNeighborsClassifier(min(5, len(train)), algorithm="brute").fit(train[:], labels)
    return np.concatenate([neighbours.predict(block) for block in test.blocks()])


def _linear_svm(train, labels, test, seed):
    """L2-SVM with C chosen on a fifth of the training images, held out."""
    device = "cuda" if default_device() == "cuda" else None
    svm = L2SVM(C_GRID, standardize=True, random_state=seed, device=device)
    return svm.fit(train.matrix, labels).predict(test.matrix)


def _rbf_kernel(A, B, gamma):
    """exp(-gamma |a - b|^2) for all pairs of rows; the product in float32, where scikit-learn's takes float64."""
    A, B = torch.from_numpy(A), torch.from_numpy(B)
    distance = A.square().sum(1)[:, None] + B.square().sum(1) - 2 * A @ B.T
    return torch.exp(-gamma * distance.clamp_(min=0)).double().numpy()


def _rbf_svm(train, labels, test, seed):
    """RBF kernel with C = 1e-4, as gomez, section 3.6, gives it; gamma is scikit-learn's "scale"."""
    return _rbf(train, labels, test, lambda kernel: 1e-4)


def _rbf_svm_tuned(train, labels, test, seed):
    """The same with C chosen on a fifth of the training images, held out."""
    from sklearn.svm import SVC

    order = torch.randperm(len(train), generator=rng(seed, "held-out images")).numpy()
    held_out, rest = np.split(order, [max(1, len(order) // 5)])

    def choose(kernel):
        if len(np.unique(labels[rest])) < 2:
            return RBF_GRID[0]
        ours, theirs = kernel[np.ix_(rest, rest)], kernel[np.ix_(held_out, rest)]
        tried = [SVC(C=C, kernel="precomputed").fit(ours, labels[rest]) for C in RBF_GRID]
        return max(zip(tried, RBF_GRID), key=lambda pair: pair[0].score(theirs, labels[held_out]))[
            1
        ]

    return _rbf(train, labels, test, choose)


def _rbf(train, labels, test, choose):
    """Answers of an RBF SVM whose C `choose` finds, given the kernel matrix of the training images."""
    from sklearn.svm import SVC

    if len(train) > RBF_LIMIT:
        raise NotRun(
            f"not run: its kernel matrix for {len(train):,} training images does not fit; "
            f"a number a class that gives at most {RBF_LIMIT:,} runs it"
        )
    rows = train[:]
    gamma = 1 / (rows.shape[1] * rows.var())
    kernel = _rbf_kernel(rows, rows, gamma)
    svm = SVC(C=choose(kernel), kernel="precomputed").fit(kernel, labels)
    return np.concatenate([svm.predict(_rbf_kernel(block, rows, gamma)) for block in test.blocks()])


def _sgd(train, labels, test, seed, passes=5):
    """Squared hinge fitted in batches (singh, section 4), so that no more than a block is in hand at a time."""
    from sklearn.linear_model import SGDClassifier

    # The loss is quadratic, so steps beyond 1/|x|^2 diverge; a standardised row has |x|^2 near its length.
    sgd = SGDClassifier(
        "squared_hinge",
        alpha=1e-4,
        learning_rate="constant",
        eta0=0.05 / train.matrix.shape[1],
        average=True,
        n_jobs=-1,
        random_state=seed,
    )
    classes = np.unique(labels)
    for number in range(passes):
        order = torch.randperm(len(train), generator=rng(seed, f"pass {number}")).numpy()
        for start in range(0, len(order), BLOCK):
            rows = np.sort(order[start : start + BLOCK])
            sgd.partial_fit(train[rows], labels[rows], classes)
    return np.concatenate([sgd.predict(block) for block in test.blocks()])


def _cnn(train, labels, test, seed, like):
    """A small convolutional network trained with labels on the pixels (gomez, Table 2, gives no architecture)."""
    from torch import nn

    def build():
        layers = []
        for before, after in ((train.shape[1], 16), (16, 32), (32, 64)):
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        return [*layers, nn.AdaptiveMaxPool2d(4)], 64

    return _learn(build, train, labels, test, seed)


def _labelled(train, labels, test, seed, like):
    """The discriminator's own blocks, trained with labels from the start: what the architecture can do."""
    network = Discriminator(like.image_size, like.channels, like.width, like.kernel_size, seed=seed)
    return _learn(lambda: (network.blocks, network.head.in_channels), train, labels, test, seed)


def _learn(build, train, labels, test, seed, batch_size=128):
    """Answers of layers that end in maps of 4x4, and a linear layer, trained by cross entropy with Adam.

    `build` makes the layers and says how many maps they end in.
    """
    from torch import nn

    device, bf16 = default_device(), has_bf16(default_device())
    with torch.random.fork_rng(
        devices=[]
    ):  # PyTorch's own initialisation draws from the global generator
        torch.manual_seed(seed)
        layers, maps = build()
        network = nn.Sequential(*layers, nn.Flatten(), nn.Linear(16 * maps, int(labels.max()) + 1))
    network.to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    target = torch.from_numpy(labels).to(device)
    passes = max(10, 300 * batch_size // len(train))  # at least 300 steps, however few the images
    for number in range(passes):
        order = torch.randperm(len(train), generator=rng(seed, f"pass {number}"))
        for rows in order.split(batch_size):
            if len(rows) == 1:  # BatchNorm cannot learn from one image
                continue
            with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=bf16):
                logits = network(to_float(train[rows].to(device)))
            loss = nn.functional.cross_entropy(logits.float(), target[rows.to(device)])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    network.eval()
    with torch.no_grad():
        return torch.cat(
            [network(to_float(x.to(device))).argmax(1).cpu() for x in test.split(BLOCK)]
        ).numpy()


class NotRun(Exception):
    """A method that cannot do this size; the message says what it could do."""


# name -> (function, what it works on). "images" are pictures, "pixels" their flattened pixels, "features" as well the
# columns of every feature matrix.
METHODS = {
    "majority class": (_majority, "pixels"),
    "KNN": (_knn, "pixels"),
    "linear L2-SVM": (_linear_svm, "features"),
    "RBF SVM, C = 1e-4": (_rbf_svm, "features"),
    "RBF SVM, C chosen": (_rbf_svm_tuned, "features"),
    "SGD, squared hinge": (_sgd, "features"),
    "small CNN": (_cnn, "images"),
    WITH_LABELS: (_labelled, "images"),
}


def available_methods():
    """Names of the methods."""
    return list(METHODS)
