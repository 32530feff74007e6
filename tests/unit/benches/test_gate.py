"""What is claimed of the gate, held against populations whose truth is known: in short, and at
length by `make faults`. `make bench-gate` writes all of it down."""

from functools import cache

import numpy as np
import pytest

from benches.gate import trials
from benches.gate.acted import CLINICS as ACTING_CLINICS
from benches.gate.acted import lives
from benches.gate.beside import ServedBeside, looks_at
from benches.gate.corrections import half_years
from benches.gate.decay import Decay, calm_looks, weeks_until_told
from benches.gate.drift import Moves, Way, followed
from benches.gate.fast_learner import SERVICE_LUCK, TUTORIAL_LUCK
from benches.gate.late import CLINICS as LATE_ONES
from benches.gate.late import half_year
from benches.gate.lines import calm_lines, overfitted
from benches.gate.looks import first_looks
from benches.gate.margins import MARGINS, SETTINGS, simulate_margins
from benches.gate.page_of_lines import OVERFITTED
from benches.gate.page_of_looks import BY_LOG_LOSS
from benches.gate.page_of_measures import summary_of
from benches.gate.policies import LUCKY_SHIFT, SCENARIOS, WEEKS
from benches.gate.population import fresh_patients
from benches.gate.prevalences import PREVALENCES, Prevalence, simulate_prevalence
from benches.gate.served import looks_at as looks_on_top
from benches.gate.settled import (
    CHANGES,
    CLINICS,
    CLINICS_AT_ONCE,
    FREQUENT,
    RARE,
    Change,
    Clinic,
    calm_years,
    nights_told,
    outcomes_until_told,
)
from benches.gate.simulation import simulate
from benches.gate.visits import CLINICS as CLINICS_OF_VISITS
from benches.gate.visits import OF_VERDICTS, held, verdicts
from benches.year.population import Clinic as ClinicOfVisits
from pima.core.verdicts.gate import GateOptions
from pima.core.verdicts.verdict import Measure

pytestmark = pytest.mark.campaign

TRIALS = 200
AT_LENGTH = pytest.mark.at_length
LEARNERS = [
    pytest.param(1, TUTORIAL_LUCK, marks=AT_LENGTH),
    pytest.param(5, TUTORIAL_LUCK, marks=AT_LENGTH),
    (5, SERVICE_LUCK),
]
"""(seeds in a model, luck): the last is what the service runs, the others leave more to luck."""


@pytest.fixture(scope="module")
def count(at_length: bool) -> int:
    """How many trials there are of a kind that takes its time."""
    return TRIALS if at_length else 20


def test_of_random_pairs_none_is_promoted_that_is_not_more_often_right(at_length: bool) -> None:
    pairs = 10_000 if at_length else 1_000
    found = trials.random_pairs(0, pairs)
    assert found.promoted_without_more_correct == 0
    assert 0.2 < found.promoted / pairs < 0.5  # so the loop has tried what it is about


def test_the_holdout_has_its_share_and_nobody_moves_whatever_the_salt() -> None:
    found = [trials.membership(trial) for trial in range(40)]
    assert sum(each.moved for each in found) == 0
    # Within 3 sigma is 99.7 % of the salts: two of forty outside have a chance of 1 in 190.
    assert sum(abs(each.sigmas_off) >= 3 for each in found) <= 1


@pytest.mark.parametrize("trial", [0, *(pytest.param(trial, marks=AT_LENGTH) for trial in (1, 2))])
def test_nobody_is_trained_on_and_tested_on_in_a_year_of_corrections(trial: int) -> None:
    year = trials.a_year_of_sides(trial)
    assert len(year.ever_trained) > 600
    assert len(year.ever_tested) > 250
    assert not year.ever_trained & year.ever_tested
    assert year.twins_across == 0
    assert year.twins_left_out > 100  # so there were some to leave out,
    assert year.corrected > 50  # and rows that changed where they stood


def test_a_champion_that_memorises_gets_what_it_gets_on_fresh_patients(count: int) -> None:
    found = [trials.memorising_champion(trial) for trial in range(count)]
    gaps = np.array([each.by_the_gate - each.on_fresh_rows for each in found])
    assert abs(gaps.mean()) < 3 * gaps.std(ddof=1) / count**0.5
    # It does memorise: had the gate asked about training rows, it would show.
    assert all(each.on_training_rows > each.on_fresh_rows + 0.2 for each in found)


@cache
def _other_seeds(members: int, luck: float, count: int) -> list[trials.Contest]:
    return [trials.other_seeds(trial, members, luck) for trial in range(count)]


@pytest.mark.parametrize(("members", "luck"), LEARNERS)
@pytest.mark.parametrize(("veto", "at_most"), [(False, 0.50), (True, 0.35)])
def test_another_seed_alone_is_promoted_in_at_most_so_many_trials(
    members: int, luck: float, veto: bool, at_most: float, count: int
) -> None:
    promoted = trials.promotions(
        _other_seeds(members, luck, count), GateOptions(log_loss_veto=veto)
    )
    assert 0 < promoted <= at_most * count


def test_no_challenger_from_shuffled_labels_replaces_a_true_champion(count: int) -> None:
    contests = [trials.permuted_labels(trial, rows=1_600) for trial in range(count // 2)]
    assert trials.promotions(contests, GateOptions()) == 0


@AT_LENGTH
def test_the_simulation_tells_truth_and_report_apart() -> None:
    run = simulate(next(scenario for scenario in SCENARIOS if scenario.name == LUCKY_SHIFT), seed=0)
    always, never, stored = run.courses["h"], run.courses["i"], run.courses["a"]
    assert (len(always.harm), len(never.harm)) == (104, 0)
    assert len(set(never.true_accuracies[:39])) == len(set(never.true_accuracies[39:])) == 1
    assert never.true_accuracies[0] > never.true_accuracies[-1] + 0.03  # the drift
    assert len(set(stored.reported_accuracies)) <= 1 + len(stored.harm)  # a stored score stays
    assert run.drift is not None
    assert run.drift.of_fresh_fit > run.drift.of_old_fit + 0.03


@AT_LENGTH
@pytest.mark.parametrize("seed", [0, 1])
def test_of_a_rare_outcome_log_loss_gives_a_champion_at_once_which_recovers_from_a_drift(
    seed: int,
) -> None:
    run = simulate_prevalence(PREVALENCES[0], seed)
    by_accuracy, by_log_loss = (
        summary_of(measure, [run]) for measure in (Measure.ACCURACY, Measure.LOG_LOSS)
    )
    assert run.of_old_fit > run.of_fresh_fit + 0.02  # the drift
    assert (by_accuracy.has_first[0], by_log_loss.has_first[0]) == (0, 1)
    assert by_log_loss.recovered[0] == 1
    assert by_log_loss.net_benefit[0] > by_accuracy.net_benefit[0]
    # Most promotions are sound, and not every challenger is promoted.
    assert by_log_loss.harmful[0] < by_log_loss.promotions[0] / 2
    assert by_log_loss.promotions[0] < 80


@pytest.mark.parametrize("prevalence", PREVALENCES, ids=lambda each: f"{each.share:.0%}")
def test_the_population_has_the_prevalence_that_the_page_says(prevalence: Prevalence) -> None:
    fresh = fresh_patients(
        np.random.default_rng(0), 200_000, log_odds_lower=prevalence.log_odds_lower
    )
    assert fresh.probability.mean() == pytest.approx(prevalence.share, abs=0.002)


@AT_LENGTH
def test_the_smaller_the_margin_the_more_winners_are_kept_out_sound_ones_among_them() -> None:
    setting = next(each for each in SETTINGS if each.name.startswith("Small, shift"))
    found = simulate_margins(setting, seed=0)
    assert list(found) == list(MARGINS)
    kept_out = [course.rejected for course in found.values()]
    assert kept_out == sorted(kept_out)
    assert kept_out[0] == 0
    assert found[0.0].rejected > found[0.0].promotions
    for course in found.values():
        assert len(course.true_accuracies) == WEEKS
        assert course.falsely <= course.rejected
        assert course.spoiled_promotions <= course.spoiled_winners
        assert course.harmed <= course.promotions
    assert found[0.02].falsely > 0
    # What it is for: fewer of those get through that did not learn of a subgroup.
    assert found[0.02].spoiled_promotions < found[None].spoiled_promotions


def test_alarms_over_outcomes_ring_hardly_ever_in_calm_clinics(at_length: bool) -> None:
    seeds = range(40 if at_length else 8)
    tried = [calm_years(each, seed) for each in CLINICS for seed in seeds]
    rang = sum(np.isfinite(each).any(axis=1).sum() for each in tried)
    assert rang / (len(tried) * CLINICS_AT_ONCE) <= 0.02


def test_a_line_that_is_no_better_is_hardly_ever_told_to_be(at_length: bool) -> None:
    seeds = range(40 if at_length else 3)
    found = [calm_lines(each, seed).falsely for each in CLINICS for seed in seeds]
    assert np.mean(found) <= 0.004


def test_a_champion_that_learned_from_luck_is_told_of(at_length: bool) -> None:
    found = [overfitted(OVERFITTED[-1], seed) for seed in range(10 if at_length else 1)]
    assert np.mean([np.isfinite(each.weeks) for each in found]) > 0.9
    assert np.mean([each.true_gains for each in found]) < -0.05


def test_looking_again_lets_hardly_more_past_the_score_than_the_first_look(at_length: bool) -> None:
    seeds = range(16 if at_length else 1)
    equal = np.concatenate([first_looks(BY_LOG_LOSS[0], seed) for seed in seeds])
    better = np.concatenate([first_looks(BY_LOG_LOSS[-4], seed) for seed in seeds])
    assert (BY_LOG_LOSS[0].better, BY_LOG_LOSS[-4].better) == (0, 0.03)
    shares = np.isfinite(equal).mean(axis=0)
    assert shares[0] < 0.2
    assert shares[1] > 0.35  # what the first look's bar would do at each
    assert np.isfinite(better[:, 0]).mean() > 2 * shares[0]
    assert (better[:, 0] == 1).mean() > 0.25


@pytest.mark.parametrize("change", CHANGES[:4], ids=lambda each: f"{each.name}, {each.clinic.name}")
def test_a_change_is_told_within_the_outcomes_that_are_asked(
    change: Change, at_length: bool
) -> None:
    found = [outcomes_until_told(change, seed) for seed in range(20 if at_length else 2)]
    assert change.within is not None
    assert np.median(np.concatenate(found)) <= change.within


@pytest.mark.parametrize("change", CHANGES[:4], ids=lambda each: f"{each.name}, {each.clinic.name}")
def test_what_changed_is_told_until_it_is_as_before(change: Change, at_length: bool) -> None:
    found = [nights_told(change, seed) for seed in range(20 if at_length else 2)]
    told, outcomes_until_over = np.concatenate(found).T
    assert np.nanmean(told) >= 0.9
    asked = {None: 300}.get(change.prevalence, 350)
    assert np.nanmedian(outcomes_until_over) <= asked


@pytest.mark.parametrize(
    "clinic", [RARE, pytest.param(FREQUENT, marks=AT_LENGTH)], ids=lambda each: each.name
)
def test_honest_corrections_of_the_sickest_are_silent_and_hindsight_is_told(
    clinic: Clinic, at_length: bool
) -> None:
    seeds = range(4 if at_length else 1)
    for seed in seeds:
        honest = half_years(clinic, is_honest=True, has_hindsight=False, seed=seed)
        assert not honest.told.any()
        assert honest.errors.max() > 2  # so luck and risk had their say
        assert half_years(clinic, is_honest=True, has_hindsight=True, seed=seed).told.all()


@pytest.mark.parametrize("clinic", LATE_ONES, ids=lambda each: f"{each.name}, {each.prevalence}")
def test_late_or_lost_zeros_bend_no_model(clinic: ClinicOfVisits, at_length: bool) -> None:
    seeds = range(40 if at_length else 6)
    lived = [half_year(clinic, goes_by_rule=True, seed=seed) for seed in seeds]
    assert all(np.isfinite(each.told) for each in lived)
    promoted = [each for half in lived for each in half.promotions]
    if clinic.zeros_lost and clinic.lost_from < 0:
        assert promoted == []
        return
    assert np.mean([each.over_truth for each in lived]) == pytest.approx(1, abs=0.03)
    assert np.mean([each.lost > 0 for each in promoted]) < 0.2
    assert max(each.lost for each in promoted) < 0.2


def test_without_the_rule_lost_zeros_bend_every_model() -> None:
    lost = next(each for each in LATE_ONES if each.zeros_lost and each.prevalence < 0.1)
    lived = [half_year(lost, goes_by_rule=False, seed=seed) for seed in range(4)]
    assert min(each.over_truth for each in lived) > 1.15


def test_the_sentence_beside_a_score_is_hardly_ever_wrong_by_its_sign(at_length: bool) -> None:
    for better in (0.0, 0.02, -0.02):
        what = ServedBeside(0.35, 20, better)
        years = [year for seed in range(10 if at_length else 1) for year in looks_at(what, seed)]
        looks = [look for year in years for look in year]
        wrong = [
            look.gain.low * look.true < 0 < look.gain.low * look.gain.high
            for look in looks
            if look.gain.low is not None and look.gain.high is not None
        ]
        assert len(wrong) == len(looks)
        assert np.mean(wrong) <= 0.05


def test_by_person_intervals_hold_the_truth_that_those_by_visit_miss(at_length: bool) -> None:
    seeds = range(20 if at_length else 2)
    often = next(each for each in CLINICS_OF_VISITS if each.visits == 10)
    by_visit, by_person = np.concatenate([held(often, seed) for seed in seeds]).mean(axis=0)
    assert by_visit.mean() < 0.88
    assert 0.92 < by_person.mean() < 0.98
    assert by_person.min() > 0.85


def test_by_person_the_veto_keeps_out_some_more_and_lets_nobody_else_in(at_length: bool) -> None:
    seeds = range(40 if at_length else 12)
    found = np.concatenate([verdicts(OF_VERDICTS[2], seed) for seed in seeds])
    by_visit, by_person, _ = found.T
    assert not (by_person & ~by_visit).any()
    assert 0 < (by_visit & ~by_person).mean() < 0.1


def test_slow_decay_is_told_and_hardly_ever_where_there_is_none(at_length: bool) -> None:
    seeds = range(20 if at_length else 2)
    calm = np.concatenate([calm_looks(FREQUENT, seed) for seed in seeds], axis=1)
    assert np.isfinite(calm).mean() <= 0.04
    told = weeks_until_told(Decay(FREQUENT), 0)
    assert np.isfinite(told).mean() > 0.7


def test_intervals_on_top_hold_what_is_true_where_champions_change(at_length: bool) -> None:
    found = [looks_on_top(RARE, seed) for seed in range(8 if at_length else 1)]
    ratios = np.concatenate([each.ratios for each in found])
    assert 0.95 < np.nanmean(ratios) < 1.05
    misses, there = (
        np.concatenate([getattr(each, name) for each in found]).sum(axis=(0, 1, 2))
        for name in ("misses", "has_interval")
    )
    assert 0.02 < misses.sum() / there.sum() < 0.08
    assert (misses / there).max() < 0.1


def test_a_clinic_that_acts_does_not_unlearn_the_risk_where_that_is_meant(
    at_length: bool,
) -> None:
    for clinic in (ACTING_CLINICS["35 %"], ACTING_CLINICS["15 %"]):
        found = [lives(clinic, seed) for seed in range(40 if at_length else 6)]
        apart = {
            kind: np.mean([each[kind].risk - each["nobody acts"].risk for each in found])
            for kind in ("counts", "unknown")
        }
        assert apart["counts"] < -0.012
        assert abs(apart["unknown"]) < 0.007


@pytest.mark.parametrize("clinic", [RARE, FREQUENT])
def test_the_newest_weeks_follow_what_moves_and_cost_nothing_where_nothing_does(
    clinic: Clinic, at_length: bool
) -> None:
    def lost(moves: Moves) -> tuple[float, float]:
        """At the end of the weeks, by the challengers of all rows alike and of the newest weeks."""
        lived = [followed(clinic, moves, seed) for seed in range(20 if at_length else 3)]
        of_all, newest = (
            float(np.mean([each[way].fitted[-1] for each in lived]))
            for way in (Way.ALIKE, Way.NEWEST)
        )
        return of_all, newest

    for moves in (Moves.DECAY, Moves.BREAK):
        of_all, newest = lost(moves)
        assert newest < 0.6 * of_all
    for moves in (Moves.CALM, Moves.SEASON):
        of_all, newest = lost(moves)
        assert newest < of_all + 0.0005
