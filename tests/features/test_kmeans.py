"""Features of k-means against their definition, written out for one image."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from dcgan_lib import L2SVM, KMeansFeatures


def test_as_defined(make_images):
    images = make_images(60, channels=3)
    extractor = KMeansFeatures(20, random_state=3).fit(images)
    picture = images.images[7].double().numpy()
    rows = np.array(
        [picture[:, y : y + 6, x : x + 6].ravel() for y in range(27) for x in range(27)]
    )
    rows = (rows - rows.mean(1, keepdims=True)) / np.sqrt(rows.var(1, keepdims=True) + 10)
    rows = (rows - extractor.mean_.numpy()) @ extractor.whitening_.numpy()
    distance = cdist(rows, extractor.centroids_.numpy())
    near = np.maximum(0, distance.mean(1, keepdims=True) - distance).reshape(27, 27, 20)
    quarters = [near[:14, :14], near[:14, 14:], near[14:, :14], near[14:, 14:]]
    expected = np.concatenate([quarter.sum((0, 1)) for quarter in quarters])
    found = extractor.transform(images)
    assert found.shape == (60, 80) and found.dtype == np.float32
    np.testing.assert_allclose(found[7], expected, rtol=1e-3, atol=1e-2)


def test_whitening_makes_patches_white(make_images):
    images = make_images(100)
    extractor = KMeansFeatures(5).fit(images)
    patches = torch.nn.functional.unfold(images.images.float(), 6).transpose(1, 2).flatten(0, 1)
    patches = patches - patches.mean(1, keepdim=True)
    patches = patches / (patches.square().mean(1, keepdim=True) + 10).sqrt()
    whitened = (patches - extractor.mean_) @ extractor.whitening_
    assert 0.5 < torch.cov(whitened.T).diagonal().sqrt().median() < 1.05


def test_repeatable_and_useful(make_images):
    train, test = make_images(200), make_images(80, seed=1)
    first, again = (KMeansFeatures(10, random_state=1).fit(train) for _ in range(2))
    np.testing.assert_array_equal(first.transform(test), again.transform(test))
    svm = L2SVM(1e-3, standardize=True).fit(first.transform(train), train.labels.numpy())
    assert svm.score(first.transform(test), test.labels.numpy()) > 0.95


def test_bad_input(make_images):
    with pytest.raises(ValueError, match="729 patches are too few for 1000"):
        KMeansFeatures(1000).fit(make_images(1))
    with pytest.raises(TypeError, match="torch.float32 .* uint8"):
        KMeansFeatures(5).fit(torch.zeros(10, 3, 32, 32))
