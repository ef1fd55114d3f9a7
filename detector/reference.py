"""The QRS detector once more, in plain Python, to be read and to be the kernel's oracle.

It takes one tick where the kernel takes a frame, and must agree with it to the last bit.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from detector import candidate, learning, levels, qrs, qrs_state, shape
from detector.envelope import CENTRE, PER_BAND, PER_SLOPE, SETTLE
from detector.feature import LEARNED, SILENT
from detector.reference_doubt import Decision
from detector.reference_filters import LeadTwin, microvolts
from detector.reference_memory import MemoryTwin
from detector.reference_pulses import PulsesTwin
from detector.reference_r_peak import locate
from detector.reference_shape import Candidate, ShapesTwin
from detector.score import BEGIN, BEGIN_STEPS, MEASURES, UNITS
from detector.scratch import WEIGHTS


@dataclass
class Peak:
    """One R peak: its tick, the tick of the decision, its score, the lead it was placed on."""

    tick: int
    found: int
    log_odds: float
    lead: int


class QrsTwin:
    """The online QRS detector, one tick at a time; see `detector.qrs` and `detector.candidate` for the method.

    Parameters
    ----------
    leads : int
        Number of leads given at each `step`.
    weights : sequence of two tables, optional
        Of a candidate's measures, as `detector.score` has them: in general, and of the first beats.
    """

    def __init__(self, leads: int, weights: Sequence[Sequence[Sequence[float]]] = WEIGHTS.tolist()) -> None:
        self.weights = weights
        self.leads = [LeadTwin() for _ in range(leads)]
        self.pulses = PulsesTwin(leads)
        self.held = [0] * leads
        self.mv: list[Sequence[float]] = []
        self.valid: list[Sequence[bool]] = []
        self.feature: list[np.float32] = []
        self.gains = [np.float32(0.0)] * leads
        self.best = np.float32(0.0)
        self.best_at = 0
        self.candidate: Candidate | None = None
        self.last = self.last_r = self.last_direct = -(10**9)
        self.last_slope = 1.0
        self.last_height = np.float32(0.0)
        self.refractory_checked = True
        self.wary = 0
        self.outdone = 0
        self.rr: list[float] = []
        self.expected = qrs_state.EXPECTED
        self.kept: Candidate | None = None
        self.refused: list[float] = []
        self.n = 0
        self.begun = -1
        self.decisions: list[Decision] = []
        self.shapes = ShapesTwin(leads)
        self.memory = MemoryTwin(leads)

    def step(self, mv: Sequence[float], valid: Sequence[bool] | None = None) -> Peak | None:
        """Take one tick.

        Parameters
        ----------
        mv : sequence of float
            Millivolts of each lead (float32 values); NaN where there is no reading.
        valid : sequence of bool, optional
            Whether the lead may carry beats; wherever it has a reading, if it is not said.
        """
        self.mv.append(mv)
        self.valid.append(valid or [not math.isnan(value) for value in mv])
        self.held = [h if math.isnan(v) else microvolts(v) for h, v in zip(self.held, mv, strict=True)]
        self.pulses.step(self.held)
        if len(self.mv) % 2:
            return None
        now = len(self.mv) // 2 - 1
        if self.begun < 0 and any(one and other for one, other in zip(*self.valid[-2:], strict=True)):
            self.begun = now
        ticks = zip(self.mv[-2], mv, self.valid[-2], self.valid[-1], strict=True)
        for number, (lead, (*pair, one, other)) in enumerate(zip(self.leads, ticks, strict=True)):
            if one and other and lead.hold > qrs.FORGET:
                self.memory.forget_lead(number)
            x = sum(map(microvolts, pair)) if one and other else 0
            taken = self.pulses.taken(number, now - CENTRE)
            lead.feed(now, x, one and other, taken, paced=self.pulses.paced)
        for lead in self.leads:
            lead.silent = lead.run > 0 and any(o.loud - lead.loud > SILENT for o in self.leads if o.run)
        if not self.refractory_checked and now == self.last + candidate.REFRACTORY + 1:
            self._look_behind()
        self._gain()
        unsure = now - self.last_direct
        if unsure > learning.FADE_AFTER and now > learning.FADE_AFTER:
            self._fade(unsure)
            self._gain()
        feature = self.gains[0] * self.leads[0].envelope
        for lead, gain in zip(self.leads[1:], self.gains[1:], strict=True):
            feature += gain * lead.envelope
        self.feature.append(feature)
        if now % levels.UNREST_EVERY == levels.UNREST_EVERY - 1:
            for lead in self.leads:
                if lead.run:
                    lead.restless = (1.0 - levels.UNREST) * lead.restless + levels.UNREST * float(lead.envelope)
                    bent = PER_SLOPE * abs(lead.d[-1] - lead.d[-2])
                    lead.sharp_unrest = (1.0 - levels.UNREST) * lead.sharp_unrest + levels.UNREST * bent
            self.memory.count_rest(min((lead.restless for lead in self.leads if lead.run), default=math.inf))
        return self._decide(now, feature)

    def _decide(self, now: int, feature: np.float32) -> Peak | None:
        """Follow the feature's peak, weigh it once it falls, and search back once a beat is overdue."""
        peak, refused = None, False
        late = now - self.best_at >= (qrs.WEAK_WAIT if self._doubtful else candidate.WAIT)
        begun = not self.wary and not self._doubtful and feature < np.float32(qrs.BEGUN) * self.best
        if self.best == 0.0 or feature > self.best:
            if self._doubtful:
                self._keep(self.candidate)
            self._follow(now, feature)
        elif late or begun:
            weighed = self.candidate or self._weigh_peak(now)
            if not self._doubtful or now - self.best_at >= qrs.WEAK_WAIT:
                closed = late or bool(feature < np.float32(qrs.DROP) * self.best)
                peak = self._judge(weighed, now, closed)
                refused = closed and peak is None
                if peak or closed:
                    self.best = np.float32(0.0)
                    self.candidate = None
                    self._follow(now, feature)
        return peak or self._search_back(now, refused=refused)

    def _keep(self, one: Candidate | None) -> None:
        if one is not None and (self.kept is None or one.score > self.kept.score):
            one.envelopes = [lead.at_best for lead in self.leads]
            self.kept = one

    def _gain(self) -> None:
        learned = any(lead.active and len(lead.beats) >= LEARNED for lead in self.leads)
        usable = [lead.active and (len(lead.beats) >= LEARNED or not learned) for lead in self.leads]
        total = 0.0
        for lead, counts in zip(self.leads, usable, strict=True):
            total += lead.weight if counts else 0.0
        self.gains = [
            np.float32(lead.weight / max(lead.level, levels.FLOOR) / total if counts else 0.0)
            for lead, counts in zip(self.leads, usable, strict=True)
        ]

    def _fade(self, silent: int) -> None:
        for lead in self.leads:
            faded = max(levels.FADE_TO * _median(lead.beats), levels.FLOOR)
            lowest = levels.FLOOR if silent > levels.FADE_FULL else faded
            if lead.level > lowest:
                lead.level = max(lead.level * levels.FADE, lowest)

    def _look_behind(self) -> None:
        """What was taken for a QRS may have been a P wave."""
        self.refractory_checked = True
        most = max(self.feature[-candidate.REFRACTORY :])
        if most > np.float32(learning.OUTDONE) * self.last_height:
            again, self.outdone = self.outdone == self.n - 1, self.n
            if not again:
                return
            times = min(float(most / self.last_height), learning.OUTDONE_MAX)
            raised = False
            for lead in self.leads:
                if lead.active and lead.beats:
                    lead.beats[-1] *= times
                    lead.sizes[-1] *= times
                    lead.sharps[-1] *= times
                    lead.size = _median(lead.sizes)
                    lead.sharp = _median(lead.sharps)
                    level, lead.level = lead.level, max(lead.level, _median(lead.beats))
                    raised = raised or lead.level > levels.RAISED * level
            if raised:
                self.shapes.forget()
                self.memory.forget_shape()
                self.wary = learning.WARY

    def _follow(self, now: int, feature: np.float32) -> None:
        """The peak may be here, if one is followed or may begin."""
        if self.best > 0.0 or (feature > np.float32(qrs.LOWEST) and now - self.last > candidate.REFRACTORY):
            self.best, self.best_at, self.candidate = feature, now, None
            for lead in self.leads:
                lead.at_best = float(lead.envelope)

    def _weigh_peak(self, now: int) -> Candidate:
        self.candidate = one = Candidate(self.best_at)
        before = self.feature[max(self.best_at - candidate.WAIT, 0) : self.best_at]
        is_peak = all(value <= self.best for value in before)
        apart = self.best_at - self.last > candidate.REFRACTORY
        if apart and is_peak and any(self.gains):
            self._weigh(one, now)
        return one

    @property
    def _doubtful(self) -> bool:
        low = self.best < np.float32(qrs.TALL)
        return self.candidate is not None and bool(low) and 0.0 < self.candidate.score <= qrs.WEAK_SCORE

    def _judge(self, one: Candidate, now: int, closed: bool) -> Peak | None:
        if one.score == candidate.UNLIKELY or not (closed or one.score > candidate.EARLY_SCORE):
            return None
        one.envelopes = [lead.at_best for lead in self.leads]
        told = one.score > (0.0 if closed else candidate.EARLY_SCORE)
        self.decisions.append(Decision(2 * now + 1, one.score, told))
        if told:
            self.last_r, chosen = locate(
                self.leads, self.mv, self.pulses.seen, one.at, one.envelopes, self.last_r, searched=False
            )
            self.shapes.learn(one)
            self.memory.learn(one)
            self._accept(one, searched=False)
            return Peak(self.last_r, 2 * now + 1, one.score, chosen)
        self._keep(one)
        if one.known:
            self.refused.append(one.sharpness)
        for lead, sharp in zip(self.leads, one.sharps, strict=True):
            if lead.active:
                lead.refused.append(lead.at_best)
                lead.refused_sharp.append(sharp)
                lead.noise = _median(lead.refused)
                lead.sharp_noise = _median(lead.refused_sharp)
        return None

    def _weigh(self, one: Candidate, now: int) -> None:
        """Find the candidate's score; the names are those of `detector.score.MEASURES`."""
        lost = one.at - self.last_direct > candidate.LOST
        measures = self._measure_leads(one, now - one.at, lost=lost)
        weights = [lead.weight if gain > 0.0 else 0.0 for lead, gain in zip(self.leads, self.gains, strict=True)]
        likeness = self.shapes.compare(one, weights)
        known = one.known = sum(self.shapes.seen) >= shape.KNOWN and likeness > -2.0 and not lost
        likeness = likeness if known else shape.UNKNOWN
        sharpness = self.shapes.sharpness(one, weights) if known else None
        one.sharpness, sharp_likeness = sharpness or (0.0, likeness)
        before = self.feature[max(one.at - candidate.WIDTH, 0) : one.at]
        measures |= self._compare_with_last(one, measures["size"])
        measures |= {
            "one": 1.0,
            "height": math.log(float(self.best) + 0.02),
            "likeness": likeness,
            "likeness squared": likeness * abs(likeness),
            "width": sum(value > np.float32(0.5) * self.best for value in before) / candidate.WIDTH,
            "sharpness": one.sharpness,
            "sharp likeness": sharp_likeness,
            "refused sharpness": _median(self.refused) if self.refused else learning.BLUNT,
            **self.memory.recall(one, weights, lost=lost),
        }
        one.score = self._score(measures, begins=self.n < BEGIN and one.at - self.begun < BEGIN_STEPS)
        if known and likeness > candidate.SURE_LIKENESS and float(self.best) > candidate.SURE_HEIGHT:
            one.score = max(one.score, candidate.CLEAR)

    def _measure_leads(self, one: Candidate, back: int, *, lost: bool) -> dict[str, float]:
        """What the leads say `back` steps ago, averaged by their weights or the most extreme of them."""
        slope = size = weights = restless = at_rest = noise = drift = sharp = sharp_noise = sharp_unrest = 0.0
        envelopes = []
        paced = self.pulses.paced
        for lead, gain in zip(self.leads, self.gains, strict=True):
            one.sharps.append(lead.sharpest(back) if lead.run else 0.0)
            if gain <= 0.0:
                one.sizes.append(0.0)
                one.waveform.append([0] * shape.WAVEFORM)
                continue
            middle = back + shape.CENTRE_BACK
            waveform = [lead.band(middle + shape.WAVEFORM // 2 - k, paced=paced) for k in range(shape.WAVEFORM)]
            one.waveform.append(waveform)
            one.sizes.append(max(abs(value) for value in waveform) * PER_BAND)
            level = max(lead.level, levels.FLOOR)
            envelopes.append(lead.at_best / level)
            slope += lead.weight * (lead.steepest(back) / level)
            size += lead.weight * (one.sizes[-1] / lead.size if lead.size > 0.0 and not lost else float(self.best))
            weights += lead.weight
            noise += lead.weight * min(lead.noise / level, candidate.NOISIEST)
            moved = lead.moved(back, candidate.DRIFT, paced=paced) + candidate.DRIFT_UV
            drift += lead.weight * math.log(moved / (one.sizes[-1] + candidate.DRIFT_UV))
            unrest = lead.restless / level
            restless += unrest
            at_rest = max(at_rest, min(envelopes[-1], 1.2) * min(max(1.0 - unrest / candidate.RESTLESS, 0.0), 1.0))
            sharp_level = max(lead.sharp if not lost else levels.SHARP_USUAL * level, levels.SHARP_FLOOR)
            sharp += lead.weight * (one.sharps[-1] / sharp_level)
            sharp_noise += lead.weight * min(lead.sharp_noise / sharp_level, candidate.NOISIEST)
            sharp_unrest += lead.weight * min(lead.sharp_unrest / sharp_level, candidate.NOISIEST)
        one.slope = slope / weights
        return {
            "steepness": math.log(one.slope + 0.02),
            "least": math.log(min(envelopes) + 0.02),
            "most": math.log(max(0.0, *envelopes, 0.0) + 0.02),
            "restless": restless / len(envelopes),
            "size": math.log(size / weights + 0.05),
            "height at rest": at_rest,
            "noise": math.log(noise / weights + 0.1),
            "drift": drift / weights,
            "sharp height": math.log(sharp / weights + 0.02),
            "sharp noise": math.log(sharp_noise / weights + 0.1),
            "sharp unrest": sharp_unrest / weights,
        }

    def _compare_with_last(self, one: Candidate, size: float) -> dict[str, float]:
        """Whether a beat is due, and whether this may be the T wave of the last."""
        since = one.at - self.last
        rr = since / self.expected if len(self.rr) >= 4 else 1.0
        off = (rr - 1.0) / candidate.RR_SPREAD
        steeper = math.log((one.slope + 0.02) / (self.last_slope + 0.05))
        return {
            "on time": math.exp(-0.5 * off * off),
            "due": min(rr, candidate.DUE),
            "steepness in T": steeper if since < candidate.t_wave(self.rr[-1] if self.rr else 0.0) else 0.0,
            "size in T": math.exp(-since / candidate.FADING) * size,
        }

    def _score(self, measures: dict[str, float], *, begins: bool) -> float:
        """Log odds of a beat: a linear term and softsign units, as `detector.score.score`."""
        units = [0.0] * (UNITS + 1)
        *rows, out = self.weights[begins]
        for name, row in zip(MEASURES, rows, strict=True):
            for k, weight in enumerate(row):
                units[k] += weight * measures[name]
        score = units[0]
        for unit, weight in zip(units[1:], out[1:], strict=True):
            score += weight * (unit / (1.0 + abs(unit)))
        return score

    def _search_back(self, now: int, *, refused: bool) -> Peak | None:
        if self.kept is None or self._doubtful:
            return None
        patience = min(qrs.SEARCH_BACK * self.expected, qrs.SEARCH_LIMIT)
        heard = max(lead.run for lead in self.leads)
        overdue = self.n >= levels.WEIGHED and min(now - self.last, heard) > patience
        if not overdue and not (refused and self.kept.score > 0.0):
            return None
        one, self.kept = self.kept, None
        enough = -candidate.SEARCHED if now - self.last <= candidate.LOST else 0.0
        if one.score <= enough or now - one.at > qrs.SEARCH_LIMIT + qrs.WEAK_WAIT:
            return None
        searched = one.score <= 0.0
        self.decisions.append(Decision(2 * now + 1, one.score, told=True, before=searched))
        self.last_r, chosen = locate(
            self.leads, self.mv, self.pulses.seen, one.at, one.envelopes, self.last_r, searched=searched
        )
        self._accept(one, searched=searched)
        self.refractory_checked = True
        return Peak(self.last_r, 2 * now + 1, one.score, chosen)

    def _accept(self, one: Candidate, *, searched: bool) -> None:
        faded = not searched and one.at - self.last_direct > learning.FADE_AFTER
        if self.n:
            self.rr.append(min(float(one.at - self.last), learning.LONGEST))
            self.expected = _median(self.rr)
        self.last, self.last_slope = one.at, one.slope
        self.last_height, self.refractory_checked = self.best, searched
        self.wary = max(self.wary - 1, 0)
        self.last_direct = self.last_direct if searched else one.at
        self.kept = None
        self.n += 1
        for lead, envelope, size, sharp in zip(self.leads, one.envelopes, one.sizes, one.sharps, strict=True):
            if lead.silent or lead.run <= (SETTLE if self.n > LEARNED else 0):
                continue
            if faded and envelope < 0.5 * _median(lead.beats):
                lead.beats = [envelope] * levels.MEDIAN_OF
                lead.sizes = [size] * levels.MEDIAN_OF
                lead.sharps = [sharp] * levels.MEDIAN_OF
            lead.beats.append(envelope)
            lead.sizes.append(size)
            lead.sharps.append(sharp)
            level = _median(lead.beats)
            lead.level = min(lead.level, level) if searched else level
            lead.size = _median(lead.sizes)
            lead.sharp = _median(lead.sharps)
            if len(lead.beats) > levels.WEIGHED:
                ratio = lead.level / (lead.noise + levels.CLEAN * lead.level + 1e-9)
                lead.weight = ratio * ratio


def _median(values: Sequence[float]) -> float:
    return statistics.median(values[-levels.MEDIAN_OF :]) if values else 0.0
