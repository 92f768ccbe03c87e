"""How good sounds are: distances and scores on arrays of what judges heard; a public module.

Every metric takes arrays ``[sounds, features]`` or ``[sounds, classes]``, computes in double precision, and returns a
float; with ``bootstrap=1000`` that float is an `Estimate`, which knows its interval.
"""

from litefocus_jax.evaluation.bootstrap import Estimate as Estimate
from litefocus_jax.evaluation.classes import inception_score as inception_score
from litefocus_jax.evaluation.classes import kl_divergence as kl_divergence
from litefocus_jax.evaluation.features import FewSoundsWarning as FewSoundsWarning
from litefocus_jax.evaluation.features import MetricError as MetricError
from litefocus_jax.evaluation.frechet import Gaussian as Gaussian
from litefocus_jax.evaluation.frechet import frechet_distance as frechet_distance
from litefocus_jax.evaluation.frechet import frechet_distance_at_infinity as frechet_distance_at_infinity
from litefocus_jax.evaluation.frechet import pooled_frechet_distance as pooled_frechet_distance
from litefocus_jax.evaluation.kernel import kernel_distance as kernel_distance
from litefocus_jax.evaluation.kernel import kernel_distance_difference as kernel_distance_difference
from litefocus_jax.evaluation.similarity import clap_score as clap_score
