//! When people are there: the week, the day, the fade before leaving, how long a
//! session is and how far its events lie apart. Called by `history`.

use super::random::{Random, scale};

pub(super) const DAY: i64 = 86_400_000_000;
const SECOND: f64 = 1e6;

/// Monday to Sunday, relative.
const WEEK: [f64; 7] = [0.90, 0.86, 0.88, 0.95, 1.08, 1.22, 1.14];

/// Hours of a working day and of a weekend day, relative.
const WORKING_DAY: [f64; 24] = [
    1.6, 0.8, 0.4, 0.25, 0.2, 0.4, 1.0, 2.2, 3.0, 3.0, 3.2, 3.6, 5.0, 4.6, 3.6, 3.4, 3.8, 4.8, 6.2,
    7.8, 9.0, 8.8, 6.4, 3.4,
];
const WEEKEND: [f64; 24] = [
    2.6, 1.6, 0.9, 0.5, 0.3, 0.3, 0.5, 1.0, 2.2, 4.0, 5.4, 6.0, 6.0, 5.6, 5.4, 5.4, 5.4, 5.4, 5.6,
    6.2, 6.8, 6.8, 5.8, 4.0,
];

/// Steps of the tables below; drawing from them costs no logarithm per event.
const STEPS: usize = 1024;
const SHORTEST_GAP: f64 = 5.0;
const LONGEST_GAP: f64 = 1_200.0;
const LONGEST_SESSION: f64 = 60.0;

/// The habits that all people share, as tables of quantiles.
pub(super) struct Rhythm {
    working_day: Vec<i64>,
    weekend: Vec<i64>,
    gaps: Vec<i64>,
    lengths: Vec<u8>,
}

impl Rhythm {
    pub(super) fn new() -> Rhythm {
        let gap = |q: f64| SHORTEST_GAP * (LONGEST_GAP / SHORTEST_GAP).powf(q.powf(1.6));
        let length = |q: f64| 1.0 + 5.6 * (-(1.0 - q).ln()).powf(1.1);
        Rhythm {
            working_day: quantiles_of_day(&WORKING_DAY),
            weekend: quantiles_of_day(&WEEKEND),
            gaps: (0..=STEPS)
                .map(|step| (gap(step as f64 / STEPS as f64) * SECOND) as i64)
                .collect(),
            lengths: (0..STEPS)
                .map(|step| length((step as f64 + 0.5) / STEPS as f64).min(LONGEST_SESSION) as u8)
                .collect(),
        }
    }

    /// From one event of a session to the next: 5 s to 20 min, mostly short.
    #[inline]
    pub(super) fn gap(&self, bits32: u64) -> i64 {
        between_quantiles(&self.gaps, bits32)
    }

    /// How many events a session has.
    pub(super) fn session_length(&self, random: &mut Random) -> u8 {
        self.lengths[random.below(STEPS)]
    }

    /// The mean of `session_length`.
    pub(super) fn mean_session_length(&self) -> f64 {
        self.lengths
            .iter()
            .map(|&length| f64::from(length))
            .sum::<f64>()
            / STEPS as f64
    }

    /// An instant within a day (days since the epoch), by the hours of that kind of day.
    fn moment(&self, day: i64, random: &mut Random) -> i64 {
        let hours = if weekday(day) < 5 {
            &self.working_day
        } else {
            &self.weekend
        };
        day * DAY + between_quantiles(hours, random.bits() >> 32)
    }
}

/// When a user stops coming, and how fast.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fade {
    pub(super) from: i64,
    pub(super) half_life_days: f64,
}

/// The days of one user, weighted by how likely a session falls on them.
#[derive(Default)]
pub(super) struct Calendar {
    first_day: i64,
    from: i64,
    until: i64,
    /// Weight of the first day, of the first two, and so on.
    cumulative: Vec<f64>,
    kept: f64,
}

impl Calendar {
    /// Lays out the days of `from..until`.
    pub(super) fn lay_out(&mut self, from: i64, until: i64, fade: Option<Fade>) {
        self.first_day = from.div_euclid(DAY);
        self.from = from;
        self.until = until;
        self.cumulative.clear();
        let mut full = 0.0;
        let mut faded = 0.0;
        let mut strength = 1.0;
        let decay = fade.map_or(1.0, |fade| (-1.0 / fade.half_life_days).exp2());
        for day in self.first_day..=(until - 1).div_euclid(DAY) {
            let there = until.min((day + 1) * DAY) - from.max(day * DAY);
            let weight = WEEK[weekday(day)] * there as f64 / DAY as f64;
            if fade.is_some_and(|fade| day * DAY >= fade.from) {
                strength *= decay;
            }
            full += weight;
            faded += weight * strength;
            self.cumulative.push(faded);
        }
        self.kept = faded / full;
    }

    /// The share of sessions that fading leaves.
    pub(super) fn kept(&self) -> f64 {
        self.kept
    }

    /// Where a session starts.
    pub(super) fn session_start(&self, rhythm: &Rhythm, random: &mut Random) -> i64 {
        let total = self.cumulative.last().copied().unwrap_or(0.0);
        let target = random.unit() * total;
        let index = self.cumulative.partition_point(|&sum| sum <= target);
        let day = self.first_day + index.min(self.cumulative.len() - 1) as i64;
        let moment = rhythm.moment(day, random);
        if (self.from..self.until).contains(&moment) {
            return moment;
        }
        // The first and the last day are cut; what falls outside is spread over the rest.
        let from = self.from.max(day * DAY);
        let until = self.until.min((day + 1) * DAY);
        from + (random.unit() * (until - from) as f64) as i64
    }
}

/// 0 is Monday; day 0 of the epoch was a Thursday.
fn weekday(day: i64) -> usize {
    (day + 3).rem_euclid(7) as usize
}

/// Offsets into the day, in microseconds, at equal steps of probability.
fn quantiles_of_day(hours: &[f64; 24]) -> Vec<i64> {
    let total: f64 = hours.iter().sum();
    let mut offsets = Vec::with_capacity(STEPS + 1);
    let (mut hour, mut before) = (0, 0.0);
    for step in 0..STEPS {
        let target = total * step as f64 / STEPS as f64;
        while before + hours[hour] <= target {
            before += hours[hour];
            hour += 1;
        }
        let within = (target - before) / hours[hour];
        offsets.push(((hour as f64 + within) / 24.0 * DAY as f64) as i64);
    }
    offsets.push(DAY);
    offsets
}

/// A draw from a table of quantiles, linear between its steps.
#[inline]
fn between_quantiles(table: &[i64], bits32: u64) -> i64 {
    let step = scale(bits32, STEPS);
    let within = (bits32 & 0x3f_ffff) as i64;
    let (low, high) = (table[step], table[step + 1]);
    // 22 bits of the step's width; a day in microseconds times 2^22 fits in i64.
    low + (((high - low) * within) >> 22)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_lie_between_five_seconds_and_twenty_minutes() {
        let rhythm = Rhythm::new();
        let mut random = Random::stream(1, 1);
        for _ in 0..10_000 {
            let gap = rhythm.gap(random.bits() >> 32);
            assert!((5_000_000..=1_200_000_000).contains(&gap), "{gap}");
        }
    }

    #[test]
    fn sessions_start_inside_and_fading_moves_them_forward() {
        let rhythm = Rhythm::new();
        let mut random = Random::stream(2, 1);
        let (from, until) = (20_000 * DAY + 5, 20_100 * DAY + 7);
        let mut starts_late = |fade| {
            let mut calendar = Calendar::default();
            calendar.lay_out(from, until, fade);
            let starts = (0..2_000).map(|_| calendar.session_start(&rhythm, &mut random));
            let starts: Vec<i64> = starts.collect();
            assert!(starts.iter().all(|start| (from..until).contains(start)));
            starts.iter().filter(|&&start| start > 20_060 * DAY).count()
        };
        let fade = Fade {
            from: 20_050 * DAY,
            half_life_days: 5.0,
        };
        assert!(starts_late(None) > 5 * starts_late(Some(fade)));
    }

    #[test]
    fn a_day_has_its_night() {
        let rhythm = Rhythm::new();
        let mut random = Random::stream(3, 1);
        let mut hours = [0; 24];
        for _ in 0..20_000 {
            let moment = rhythm.moment(20_453, &mut random);
            hours[(moment.rem_euclid(DAY) * 24 / DAY) as usize] += 1;
        }
        assert!(hours[20] > 10 * hours[4]);
    }
}
