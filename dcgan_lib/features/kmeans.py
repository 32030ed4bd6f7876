"""Features of one layer of k-means (Coates, Lee and Ng 2011), the classical rival of a network.

There is no network and no gradient in it.
"""

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.cluster import MiniBatchKMeans
from sklearn.utils.validation import check_is_fitted
from tqdm import tqdm

from dcgan_lib.data.image_set import ImageSet
from dcgan_lib.utils.random import rng

PATCHES = 200_000  # from which centroids and whitening are learned
# Added to the variance of pixels (0...255) and of whitened directions, as in the paper.
CONTRAST, WHITENING = 10.0, 0.1
IMAGES_PER_BATCH = 32


class KMeansFeatures(TransformerMixin, BaseEstimator):
    """How near the patches of an image are to centroids of k-means, summed over its four quarters.

    A patch is brought to mean 0 and contrast 1, and whitened (ZCA). For each centroid it gives by
    how much it is nearer than the mean of all centroids, or 0 (the "triangle" activation of the
    paper's section 3.2.2).

    Parameters
    ----------
    n_centroids : int, default 800
        The features are four times as many.
    patch_size : int, default 6
        Side of a patch in pixels.
    random_state : int, default 0
        Decides which patches are taken, and where k-means starts.
    progress : bool, default False
        Show a progress bar.

    Attributes
    ----------
    centroids_ : Tensor of shape (n_centroids, channels * patch_size**2)
        In the space of whitened patches.
    mean_, whitening_ : Tensor
        A normalised patch p is whitened as (p - mean_) @ whitening_.

    Examples
    --------
    >>> from dcgan_lib import load_images
    >>> images = load_images("digits").subset(range(20))
    >>> KMeansFeatures(n_centroids=10).fit_transform(images).shape
    (20, 40)
    """

    def __init__(
        self,
        n_centroids: int = 800,
        *,
        patch_size: int = 6,
        random_state: int = 0,
        progress: bool = False,
    ):
        self.n_centroids = n_centroids
        self.patch_size = patch_size
        self.random_state = random_state
        self.progress = progress

    def fit(self, images: ImageSet | torch.Tensor, y: None = None) -> "KMeansFeatures":
        """Learn whitening and centroids from random patches.

        Parameters
        ----------
        images : ImageSet, or uint8 Tensor of shape (N, C, H, W)
        y : None
            Is not looked at; scikit-learn's pipelines hand it over.

        Raises
        ------
        ValueError, TypeError
            There are fewer patches than centroids, or the images are no uint8 (N, C, H, W).
        """
        pixels = getattr(images, "images", images)
        places = (pixels.shape[2] - self.patch_size + 1) ** 2
        taken = min(places, -(-PATCHES // len(pixels)))  # a few of every image, or all that it has
        stream, drawn = rng(self.random_state, "patches"), []
        for batch in pixels.split(IMAGES_PER_BATCH):
            patches = self._patches(batch)
            place = torch.randint(places, (len(batch), taken, 1), generator=stream)
            drawn.append(patches.gather(1, place.expand(-1, -1, patches.shape[2])).flatten(0, 1))
        patches = torch.cat(drawn)
        if len(patches) < self.n_centroids:
            raise ValueError(
                f"{len(patches)} patches are too few for {self.n_centroids} centroids; "
                "give more images"
            )
        self.mean_ = patches.mean(0)
        values, vectors = torch.linalg.eigh(torch.cov(patches.T))
        self.whitening_ = vectors @ torch.diag((values + WHITENING).rsqrt()) @ vectors.T
        kmeans = MiniBatchKMeans(
            self.n_centroids,
            batch_size=8192,
            n_init=1,
            max_no_improvement=None,
            max_iter=10,
            random_state=self.random_state,
        ).fit(((patches - self.mean_) @ self.whitening_).numpy())
        self.centroids_ = torch.from_numpy(kmeans.cluster_centers_).float()
        return self

    @torch.no_grad()
    def transform(self, images: ImageSet | torch.Tensor) -> np.ndarray:
        """Features of images, an ImageSet or uint8 (N, C, H, W): float32 (N, 4 * n_centroids)."""
        check_is_fitted(self)
        pixels, features = getattr(images, "images", images), []
        side = pixels.shape[2] - self.patch_size + 1
        halves = slice(-(-side // 2)), slice(-(-side // 2), None)
        for batch in tqdm(
            pixels.split(IMAGES_PER_BATCH), "k-means features", disable=not self.progress, delay=1
        ):
            patches = (self._patches(batch) - self.mean_) @ self.whitening_
            distance = torch.cdist(patches, self.centroids_)
            nearness = (distance.mean(2, keepdim=True) - distance).clamp_(min=0)
            nearness = nearness.unflatten(1, (side, side))
            quarters = [nearness[:, y, x].sum((1, 2)) for y in halves for x in halves]
            features.append(torch.cat(quarters, dim=1).numpy())
        return np.concatenate(features)

    def _patches(self, pixels):
        """All patches of images, with mean 0 and contrast 1: float32 (N, places, numbers)."""
        if pixels.dtype != torch.uint8 or pixels.ndim != 4:
            raise TypeError(
                f"images are {pixels.dtype} of shape {tuple(pixels.shape)}; give uint8 (N, C, H, W)"
            )
        patches = torch.nn.functional.unfold(pixels.float(), self.patch_size).transpose(1, 2)
        patches = patches - patches.mean(2, keepdim=True)
        return patches / (patches.square().mean(2, keepdim=True) + CONTRAST).sqrt()
