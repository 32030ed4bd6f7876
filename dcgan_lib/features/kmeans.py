"""Features of one layer of k-means, the classical rival (Coates, Lee and Ng 2011): no network, no gradient."""

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted
from tqdm import tqdm

from dcgan_lib.utils.random import rng

PATCHES = 200_000  # from which centroids and whitening are learned
CONTRAST, WHITENING = (
    10.0,
    0.1,
)  # added to variances of pixels (0..255) and of whitened directions, as in the paper
AT_ONCE = 32  # images


class KMeansFeatures(TransformerMixin, BaseEstimator):
    """How near the patches of an image are to centroids of k-means, summed over its four quarters.

    A patch is brought to mean 0 and contrast 1 and whitened (ZCA). For each centroid it gives by
    how much it is nearer than the mean of all centroids, or 0 ("triangle" activation, section 3.2.2
    of the paper).

    Parameters
    ----------
    n_centroids : int
        The features are four times as many.
    patch_size : int
        Side of a patch in pixels.
    random_state : int
    progress : bool

    Attributes
    ----------
    centroids_ : Tensor of shape (n_centroids, channels * patch_size**2)
        In the space of whitened patches.
    mean_, whitening_ : Tensor
        A normalised patch p is whitened as (p - mean_) @ whitening_.
    """

    def __init__(self, n_centroids=800, *, patch_size=6, random_state=0, progress=False):
        self.n_centroids = n_centroids
        self.patch_size = patch_size
        self.random_state = random_state
        self.progress = progress

    def fit(self, images, y=None):
        """Learn whitening and centroids from random patches of images, an ImageSet or uint8 (N, C, H, W)."""
        from sklearn.cluster import MiniBatchKMeans

        pixels = getattr(images, "images", images)
        places = (pixels.shape[2] - self.patch_size + 1) ** 2
        taken = -(-PATCHES // len(pixels))  # a few of every image, or all that it has
        stream, found = rng(self.random_state, "patches"), []
        for batch in pixels.split(AT_ONCE):
            rows = self._patches(batch)
            place = torch.randint(places, (len(batch), min(taken, places)), generator=stream)
            found.append(
                rows.gather(1, place[..., None].expand(-1, -1, rows.shape[2])).flatten(0, 1)
            )
        found = torch.cat(found)
        self.mean_ = found.mean(0)
        values, vectors = torch.linalg.eigh(torch.cov(found.T))
        self.whitening_ = vectors @ torch.diag((values + WHITENING).rsqrt()) @ vectors.T
        found = ((found - self.mean_) @ self.whitening_).numpy()
        if len(found) < self.n_centroids:
            raise ValueError(
                f"{len(found)} patches are too few for {self.n_centroids} centroids; give more images"
            )
        kmeans = MiniBatchKMeans(
            self.n_centroids,
            batch_size=8192,
            n_init=1,
            max_no_improvement=None,
            max_iter=10,
            random_state=self.random_state,
        )
        self.centroids_ = torch.from_numpy(kmeans.fit(found).cluster_centers_).float()
        return self

    @torch.no_grad()
    def transform(self, images):
        """Features of images, float32 (N, 4 * n_centroids)."""
        check_is_fitted(self)
        pixels, features = getattr(images, "images", images), []
        side = pixels.shape[2] - self.patch_size + 1
        cut = -(-side // 2)
        for batch in tqdm(
            pixels.split(AT_ONCE), "k-means features", disable=not self.progress, delay=1
        ):
            rows = (self._patches(batch) - self.mean_) @ self.whitening_
            square = rows.square().sum(2, keepdim=True) + self.centroids_.square().sum(1)
            distance = square.sub_(2 * rows @ self.centroids_.T).clamp_(min=0).sqrt_()
            near = (
                (distance.mean(2, keepdim=True) - distance).clamp_(min=0).unflatten(1, (side, side))
            )
            quarters = [
                near[:, a, b].sum((1, 2))
                for a in (slice(cut), slice(cut, None))
                for b in (slice(cut), slice(cut, None))
            ]
            features.append(torch.cat(quarters, dim=1).numpy())
        return np.concatenate(features)

    def _patches(self, pixels):
        """Every patch of uint8 images with mean 0 and contrast 1: float32 (N, places, numbers in a patch)."""
        if pixels.dtype != torch.uint8 or pixels.ndim != 4:
            raise TypeError(
                f"images are {pixels.dtype} of shape {tuple(pixels.shape)}; give uint8 (N, C, H, W)"
            )
        rows = torch.nn.functional.unfold(pixels.float(), self.patch_size).transpose(1, 2)
        rows = rows - rows.mean(2, keepdim=True)
        return rows / (rows.square().mean(2, keepdim=True) + CONTRAST).sqrt()
