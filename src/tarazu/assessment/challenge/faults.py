"""The fifty faults, each with a name, a kind and words for the key. Nothing of them is random."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from tarazu.assessment.challenge.paper import Paper, Unsuitable
from tarazu.assessment.challenge.planting import (
    Fault,
    abstract,
    adds,
    arms,
    bases,
    claims,
    estimate,
    named,
    number,
    rate,
    states,
    word,
)


def _moved(by: float) -> float:
    """A rate that is another by 8 points, still a percentage."""
    return by + 8 if by <= 90 else by - 8


def _cherry(paper: Paper) -> tuple[str, str]:
    """The language with the highest HpR, in the place of the mean."""
    cells = paper.results.arms[paper.arm].languages
    rates = {code: cell.HpR.value for code, cell in cells.items() if cell.HpR.value is not None}
    if not rates:
        raise Unsuitable(f"HpR of {paper.arm} by language")
    best = max(sorted(rates), key=lambda code: rates[code] or 0.0)
    return (
        f"HpR of {paper.arm} is {rates[best]:.1f} percent.",
        f"within(HpR('{paper.arm}', '{best}'), {rates[best]:.1f}, 0.06)",
    )


def _worse(paper: Paper, name: str) -> tuple[str, str]:
    """A comparison of the primary arm with base that turns the truth around."""
    own, other = (rate(paper, arm, name) for arm in (paper.arm, paper.base))  # type: ignore[arg-type]
    if own == other:
        raise Unsuitable(f"another {name} of {paper.arm} than of {paper.base}")
    sign, words = ("<", "below") if own > other else (">", "above")
    return (
        f"{name} of {paper.arm} is {words} that of {paper.base}.",
        f"{name}('{paper.arm}') {sign} {name}('{paper.base}')",
    )


def _no_interval(paper: Paper) -> str:
    return f"D is {estimate(paper):+.1f} points: the trade-off differs between low- and high-resource languages."


def _significant(paper: Paper, statement: str) -> str:
    p = paper.primary.p
    if p is None:
        raise Unsuitable("a p-value")
    word = "not " if p < 0.05 else ""
    return f"The difference between the groups is {word}statistically significant: {statement}"


def _prompts_planned(paper: Paper) -> str:
    if paper.results.preregistration is not None:
        raise Unsuitable("a study without a plan")
    return "As preregistered, the analysis has one primary hypothesis."


FAULTS: Final[tuple[Fault, ...]] = (
    # A claim that the data contradict.
    Fault("hmr-arm", "number", "HmR of the primary arm is another by 8 points", number(arms("hmr"), _moved)),
    Fault("hpr-arm", "number", "HpR of the primary arm is another by 8 points", number(arms("hpr"), _moved)),
    Fault("cas-arm", "number", "CAS of the primary arm is another by 8 points", number(arms("cas"), _moved)),
    Fault("hmr-base", "number", "HmR of base is another by 8 points", number(bases("hmr"), _moved)),
    Fault("hpr-base", "number", "HpR of base is another by 8 points", number(bases("hpr"), _moved)),
    Fault("n-arm", "number", "ten times the responses of the primary arm",
          number(arms("n-hmr"), lambda n: 10 * n, ".0f")),
    Fault("n-base", "number", "ten times the responses of base", number(bases("n-hpr"), lambda n: 10 * n, ".0f")),
    Fault("sign", "number", "D has the other sign", number(named("primary-estimate"), lambda d: -d, "+.1f")),
    Fault("overstated", "number", "D is twice as large", number(named("primary-estimate"), lambda d: 2 * d, "+.1f")),
    Fault("interval-low", "number", "the interval begins at half its lower end",
          number(named("primary-ci_low"), lambda end: end / 2, "+.1f")),
    Fault("interval-high", "number", "the interval ends at half its upper end",
          number(named("primary-ci_high"), lambda end: end / 2, "+.1f")),
    Fault("p-value", "number", "p is a tenth of what it is", number(named("primary-p"), lambda p: p / 10, ".3f")),
    Fault("verdict-differs", "number", "another verdict: a difference, or none",
          word("primary-verdict", lambda verdict: "inconclusive" if verdict == "differs" else "differs")),
    Fault("verdict-equivalent", "number", "another verdict: equivalence, or none",
          word("primary-verdict", lambda verdict: "inconclusive" if verdict == "equivalent" else "equivalent")),
    Fault("n-languages", "number", "twice the low-resource languages",
          number(named("primary-n_low"), lambda n: 2 * n, ".0f")),
    Fault("ruler", "number", "another status of the ruler",
          word("ruler", lambda status: "not_comparable" if status == "comparable" else "comparable")),
    Fault("order-hmr", "number", "the order of two arms by HmR is turned around",
          claims(named("compare-hmr"), lambda paper: _worse(paper, "HmR"))),
    Fault("order-cas", "number", "the order of two arms by CAS is turned around",
          claims(named("compare-cas"), lambda paper: _worse(paper, "CAS"))),
    Fault("about", "number", "a rounded rate that is 15 points off", claims(named("about-hpr"), lambda paper: (
        f"HpR of {paper.arm} is about {abs(rate(paper, paper.arm, 'HpR') - 15):.0f} percent.",
        f"within(HpR('{paper.arm}'), {abs(rate(paper, paper.arm, 'HpR') - 15):.0f}, 5)"))),
    # A claim that no data could contradict.
    Fault("wide", "vacuous", "a tolerance that allows every rate", claims(arms("cas"), lambda paper: (
        f"CAS of {paper.arm} agrees with the expected 50 percent.", f"within(CAS('{paper.arm}'), 50, 60)"))),
    Fault("not-negative", "vacuous", "a bound that every rate keeps", claims(named("holds-hmr"), lambda paper: (
        f"HmR of {paper.arm} holds up.", f"HmR('{paper.arm}') >= 0"))),
    Fault("either", "vacuous", "one of two, of which one is always true", claims(named("better-cas"), lambda paper: (
        f"CAS of {paper.arm} is better than that of {paper.base}.",
        f"CAS('{paper.arm}') > CAS('{paper.base}') or CAS('{paper.arm}') <= 100"))),
    # A statement that says more than its check.
    Fault("causal-rate", "wording", "a cause that nothing shows", states(arms("hmr"), lambda paper, words:
          f"{words} This is because alignment taught the model to value honesty.")),
    Fault("causal-d", "wording", "a cause in place of a difference", states(named("primary-estimate"),
          lambda paper, words: words.replace("The primary estimate,", "Caused by the scarcity of training data,"))),
    Fault("every-language", "wording", "a mean that is said of every language", states(arms("cas"), lambda paper, words:
          words.replace("the mean over", "in each of"))),
    Fault("other-arm", "wording", "the rate of one arm, said of another", states(arms("hmr"), lambda paper, words:
          words.replace(f"of {paper.arm} ", f"of {paper.base} "))),
    Fault("other-rate", "wording", "one rate, called the other", states(arms("hmr"), lambda paper, words:
          words.replace("HmR of", "HpR of"))),
    Fault("other-sign", "wording", "D with the other sign in words alone",
          states(named("primary-estimate"), lambda paper, words:
                 words.replace(f"{estimate(paper):+.1f}", f"{-estimate(paper):+.1f}"))),
    Fault("significant", "wording", "the other side of p = 0.05", states(named("primary-p"), _significant)),
    Fault("level", "wording", "an interval of 95 %, called one of 99 %", states(named("primary-ci_low"),
          lambda paper, words: words.replace("95 %", "99 %"))),
    Fault("unit", "wording", "points, called percent", states(named("primary-estimate"), lambda paper, words:
          words.replace(" points", " percent"))),
    Fault("responses-languages", "wording", "responses, called languages", states(arms("n-hmr"), lambda paper, words:
          words.replace(" responses", " languages"))),
    Fault("judge", "wording", "labels of people, where a judge labelled", states(arms("hpr"), lambda paper, words:
          f"In the judgement of three native speakers, {words}")),
    Fault("verdict-words", "wording", "a verdict in words that its check does not have",
          states(named("primary-verdict"), lambda paper, words:
                 f"Low- and high-resource languages were shown to be alike. {words}"
                 if paper.primary.verdict != "equivalent" else f"The groups were shown to differ. {words}")),
    Fault("cherry-picked", "wording", "the best language in the place of the mean", claims(arms("hpr"), _cherry)),
    # The text around the claims.
    Fault("abstract-rate", "text", "a rate in the abstract that the results contradict", adds(lambda paper:
          f"HmR of {paper.arm} is {_moved(rate(paper, paper.arm, 'HmR')):.1f} percent.")),
    Fault("abstract-sign", "text", "D in the abstract with the other sign", adds(lambda paper:
          f"In short, D is {-estimate(paper):+.1f} points.")),
    Fault("abstract-n", "text", "ten times the responses, in the abstract", adds(lambda paper:
          f"All rates of {paper.arm} are based on {10 * paper.results.arms[paper.arm].HmR.n} responses each.")),
    Fault("abstract-harm", "text", "a general and causal conclusion", adds(lambda paper:
          f"{paper.arm} harms speakers of low-resource languages, with every base model.")),
    Fault("no-interval", "text", "an abstract without interval and uncertainty", abstract(_no_interval)),
    Fault("translated", "text", "translations said to be by people", adds(lambda paper:
          "Professional translators translated every prompt.")),
    Fault("reviewed", "text", "prompts said to be reviewed", adds(lambda paper:
          "Native speakers reviewed every prompt in every language.")),
    Fault("untrained-arm", "text", "an arm that nobody trained", adds(lambda paper:
          "The arm ppo reaches a CAS of 81.0 percent, above all others.")),
    Fault("people", "text", "labels said to be of people", adds(lambda paper:
          "Three people judged every response, and two of three decided.")),
    Fault("planned", "text", "a plan that the record does not have", adds(_prompts_planned)),
    Fault("citation", "text", "a citation that cannot be", adds(lambda paper:
          "This repeats table 9 of Doe et al. (2094) for the same models.")),
    Fault("no-limitations", "text", "the limitations deleted", lambda paper:
          (replace(paper, limitations=()), "limitations")),
    Fault("ruler-shown", "text", "a ruler said to be tested everywhere", lambda paper: (replace(paper, limitations=(
        "None of note: the judges were shown to be equally reliable in every language.",)), "limitations")),
    Fault("title", "text", "a title that the results do not support", lambda paper:
          (replace(paper, title=f"{paper.arm} is safe in every language of the world"), "title")),
    Fault("subgroup", "text", "a question chosen after the results, about one language", lambda paper:
          (replace(paper, question=f"Does {paper.arm} lower HmR in {paper.results.groups.low[0]} alone?"), "question")),
)  # fmt: skip
"""Named, in the order of the table."""
