"""Segmentation uncertainty that keeps the experts' disagreement.

The science of ObserverUncertainty: several raters' masks of one structure, ways to fuse them or not to, a dropout
U-Net, Monte Carlo inference and the entropies of both. Pure Python; knows neither Slicer nor Qt. Importing this
package loads nothing heavy: torch comes with `training` and `inference`.

Source: Jungo et al., On the Effect of Inter-observer Variability for a Reliable Estimation of Uncertainty of Medical
Image Segmentation, MICCAI 2018.
"""

from ObserverUncertaintyLib.base.version import VERSION

__version__ = VERSION
