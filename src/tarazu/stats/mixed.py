"""A mixed-effects logistic model of single responses, fitted by statsmodels, as a cross-check of the difference."""

from __future__ import annotations

import itertools
import warnings
from dataclasses import dataclass

import numpy as np
from scipy import sparse, special
from scipy.sparse.linalg import splu

from tarazu.errors import MissingExtra
from tarazu.stats.contrast import Estimate, infer, infer_nothing

FIXED_SD = 10.0
"""Prior standard deviation of a fixed effect in logits. It is wide enough not to shift an estimate noticeably."""

_STEPS = 5_000


@dataclass(frozen=True, kw_only=True)
class Trials:
    """Responses of two arms to the same requests, each column (trials,).

    `passed` is 0 or 1. Several responses of one arm to one request are not independent, so they count as one trial with
    the share that passed. `language` and `prompt` are codes from 0, and the code of a prompt belongs to one kind.
    `aligned` (otherwise base), `benign` (otherwise harmful) and `low` (otherwise high) are booleans.
    """

    passed: np.ndarray
    language: np.ndarray
    prompt: np.ndarray
    aligned: np.ndarray
    benign: np.ndarray
    low: np.ndarray


@dataclass(frozen=True, kw_only=True)
class MixedFit:
    """The highest interaction of `fit_mixed` in log-odds, with its standard errors and the standard deviations.

    `se` is that of the Laplace approximation. `se_variational` is that of the variational posterior, which is too small
    because mean-field variational Bayes assumes independent fixed and random effects (Blei, Kucukelbir and McAuliffe
    2017).
    """

    estimate: float
    se: float
    se_variational: float
    sds: dict[str, float]
    converged: bool


def mixed_difference(trials: Trials) -> Estimate:
    """The difference between the groups in log-odds: the highest interaction of `fit_mixed`, with interval and p by
    Student's t with two degrees of freedom fewer than languages.

    Not defined with fewer than two languages in a group, if all responses have the same label, or if the fit does not
    converge. Raises MissingExtra without statsmodels.
    """
    n_low, n_high = (len(set(trials.language[group])) for group in (trials.low, ~trials.low))
    if min(n_low, n_high) < 2:
        return infer_nothing("the mixed model needs 2 languages in each group")
    if np.ptp(trials.passed) == 0:
        return infer_nothing("every response has the same label, so the mixed model has nothing to fit")
    fit = fit_mixed(trials)
    if not fit.converged:
        return infer_nothing("the mixed model did not converge")
    return infer(fit.estimate, fit.se, n_low + n_high - 2)


def fit_mixed(trials: Trials, *, slopes: bool = True) -> MixedFit:
    """Fit the model by statsmodels' BinomialBayesMixedGLM.

    1. logit P(passed) = arm x kind x group, each coded -1/2 and 1/2, so that the three-way coefficient is the tilt in
       low-resource languages minus the tilt in high-resource languages, in log-odds. With one kind of prompts, it is
       arm x group, and the coefficient the difference of the arm's change.
    2. Random intercepts of language within kind and of prompt; random slopes of arm by language within kind, by prompt,
       and by prompt within group. Without the slopes (`slopes` False, for demonstration) the model treats every
       response as independent evidence for the interaction, and reports false differences.
    3. Priors: N(0, 10^2) for fixed effects, log-normal (0, 1) for the random effects' standard deviations.
    4. Mean-field variational Bayes from a fixed start, so that equal data give equal numbers. Its standard error is too
       small. So the error is computed from the curvature of the joint density of fixed and random effects at the
       estimated means, with standard deviations fixed at theirs (the Laplace approximation).

    Time grows with trials x iterations, memory with the square of languages + prompts in the last step.
    """
    try:
        from statsmodels.genmod.bayes_mixed_glm import BinomialBayesMixedGLM
    except ImportError:
        raise MissingExtra("mixed", "statsmodels") from None
    arm, kind, group = (np.where(column, 0.5, -0.5) for column in (trials.aligned, trials.benign, trials.low))
    factors = (arm, kind, group) if np.ptp(kind) else (arm, group)
    crossed = [some for size in range(1, len(factors) + 1) for some in itertools.combinations(factors, size)]
    fixed = np.column_stack([np.ones(len(arm)), *(np.prod(some, axis=0) for some in crossed)])
    place = 2 * trials.language + trials.benign
    parts = {"language": (place, np.ones(len(arm))), "prompt": (trials.prompt, np.ones(len(arm)))}
    if slopes:
        parts |= {
            "language by arm": (place, arm),
            "prompt by arm": (trials.prompt, arm),
            "prompt by arm and group": (2 * trials.prompt + trials.low, arm),
        }
    blocks = [_block(codes, values) for codes, values in parts.values()]
    random = sparse.hstack(blocks).tocsr()
    component = np.repeat(np.arange(len(blocks)), [block.shape[1] for block in blocks])
    # statsmodels refuses shares, though its likelihood is linear in the response: pass 0 and 1 first, then the shares.
    binary = (np.arange(len(arm)) % 2).astype(float)
    model = BinomialBayesMixedGLM(binary, fixed, random, component, vcp_p=1.0, fe_p=FIXED_SD)
    model.endog = trials.passed.astype(float)
    size = fixed.shape[1] + len(blocks) + random.shape[1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `converged` reports it
        result = model.fit_vb(
            mean=np.zeros(size),
            sd=np.full(size, 0.4),
            fit_method="L-BFGS-B",
            minim_opts={"maxiter": _STEPS, "maxfun": 2 * _STEPS},
        )
    sds = np.exp(result.vcp_mean)
    return MixedFit(
        estimate=float(result.fe_mean[-1]),
        se=_laplace_error(fixed, random, np.concatenate([result.fe_mean, result.vc_mean]), sds[component]),
        se_variational=float(result.fe_sd[-1]),
        sds={name: float(sd) for name, sd in zip(parts, sds, strict=True)},
        converged=bool(result.optim_retvals.success),
    )


def _block(codes: np.ndarray, values: np.ndarray) -> sparse.csr_matrix:
    """The columns of one random effect: row i has `values[i]` at its level."""
    levels, column = np.unique(codes, return_inverse=True)
    return sparse.csr_matrix((values, (np.arange(len(codes)), column)), shape=(len(codes), len(levels)))


def _laplace_error(fixed: np.ndarray, random: sparse.csr_matrix, means: np.ndarray, sds: np.ndarray) -> float:
    """Standard error of the last fixed effect, from the inverse of X'WX + prior precision, X = [fixed, random]."""
    both = sparse.hstack([sparse.csr_matrix(fixed), random]).tocsr()
    rate = special.expit(both @ means)
    last = fixed.shape[1] - 1
    precision = np.concatenate([np.full(last + 1, FIXED_SD**-2), sds**-2.0])
    curvature = (both.T @ both.multiply((rate * (1 - rate))[:, None]) + sparse.diags(precision)).tocsc()
    unit = np.zeros(curvature.shape[0])
    unit[last] = 1.0
    return float(np.sqrt(splu(curvature).solve(unit)[last]))
