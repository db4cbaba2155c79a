//! One user: who they say they are, how long they have been here, and the hidden
//! satisfaction with what follows from it. Called by `chunk`.

use super::calendar::{DAY, Fade};
use super::random::Random;
use super::truth::Satisfaction;

/// Ids are 48 bits wide; far fewer users than that are asked for.
pub(super) const MOST_USERS: u64 = 1 << 40;

const GENDERS: [&str; 2] = ["Female", "Male"];
const LOCATIONS: [&str; 4] = ["East", "West", "South", "North"];
const LOCATION_WEIGHTS: [f64; 4] = [0.3, 0.3, 0.2, 0.2];
const EDUCATIONS: [&str; 4] = ["HighSchool", "College", "Bachelor", "Masters"];
const EDUCATION_WEIGHTS: [f64; 4] = [0.2, 0.4, 0.3, 0.1];
const TYPICAL_INCOME: [f64; 4] = [22_000.0, 26_000.0, 33_000.0, 42_000.0];
const LOYALTIES: [&str; 3] = ["Regular", "Silver", "Gold"];
const PREMIUM_SHARE: [f64; 3] = [0.12, 0.7, 0.95];
const DEVICES: [&str; 3] = ["Android", "iOS", "Web"];
const DEVICE_WEIGHTS: [f64; 3] = [0.54, 0.325, 0.135];

/// Shares of missing profile values.
const NO_LOCATION: f64 = 0.038;
const NO_INCOME: f64 = 0.043;
const NO_EDUCATION: f64 = 0.040;
const NO_DEVICE: f64 = 0.036;

/// Account ages: share, youngest, one past the oldest, in days.
const ACCOUNT_AGES: [(f64, f64, f64); 5] = [
    (0.20, 0.0, 31.0),
    (0.25, 31.0, 91.0),
    (0.30, 91.0, 366.0),
    (0.20, 366.0, 1_001.0),
    (0.05, 1_001.0, 1_801.0),
];

/// The event log reaches this far back, however old the account.
const LOG_DAYS: i64 = 400;
/// Events of a typical user over the whole log, were there no fading.
const TYPICAL_EVENTS: f64 = 435.0;
const EVENTS_SPREAD: f64 = 0.75;

/// What `user_table` says of a user.
#[derive(Clone, Debug)]
pub(super) struct Profile {
    pub(super) age: i64,
    pub(super) gender: &'static str,
    pub(super) location: Option<&'static str>,
    pub(super) income: Option<i64>,
    pub(super) education: Option<&'static str>,
    pub(super) loyalty_status: &'static str,
    pub(super) account_age_days: i64,
    pub(super) premium: bool,
    pub(super) device: Option<&'static str>,
}

/// What decides the rest of a user's data.
#[derive(Clone, Debug)]
pub(super) struct Customer {
    pub(super) profile: Profile,
    pub(super) satisfaction: Satisfaction,
    pub(super) churned: bool,
    /// Where the user's events begin, in microseconds.
    pub(super) from: i64,
    pub(super) fade: Option<Fade>,
    /// Events to expect if the user does not fade.
    pub(super) events: f64,
    /// Satisfaction as it shows in what the user does, from 1 to 10.
    pub(super) mood: f64,
    /// Satisfaction as it shows in what the user writes, from 1 to 10.
    pub(super) tone: f64,
}

impl Customer {
    /// Draws a user whose account is some days old at `end`.
    pub(super) fn draw(random: &mut Random, end: i64) -> Customer {
        let account_age_days = draw_account_age(random);
        let account_start = end - account_age_days * DAY - (random.unit() * DAY as f64) as i64;
        let from = account_start.max(end - LOG_DAYS * DAY);
        let satisfaction = Satisfaction::draw(random, account_age_days);
        let mood = satisfaction.0 + 0.6 * random.normal();
        let there = (end - from) as f64 / (LOG_DAYS * DAY) as f64;
        // A log-normal of mean 1: most users are quiet, a few are very busy.
        let busyness = (EVENTS_SPREAD * random.normal() - EVENTS_SPREAD.powi(2) / 2.0).exp();
        let keenness = (0.05 * (mood - 6.5)).exp();
        Customer {
            profile: draw_profile(random, account_age_days, satisfaction),
            satisfaction,
            churned: satisfaction.churns(random),
            from,
            fade: draw_fade(random, satisfaction, from, end),
            events: TYPICAL_EVENTS * there.sqrt() * busyness * keenness,
            mood,
            tone: satisfaction.0 + 0.6 * random.normal(),
        }
    }
}

/// The id of the user with this index: 12 hexadecimal digits. The steps can be
/// undone (odd factors, shifts by half the width), so no two users share an id.
pub(super) fn user_id(index: u64) -> [u8; 12] {
    const MASK: u64 = (1 << 48) - 1;
    let mut id = index.wrapping_add(0x5bd1_e995_7c4d) & MASK;
    for factor in [0x9e37_79b9_7f4b, 0xbf58_476d_1ce5, 0x94d0_49bb_1331] {
        id = (id ^ (id >> 24)).wrapping_mul(factor) & MASK;
    }
    id ^= id >> 24;
    let digit = |place: usize| b"0123456789abcdef"[(id >> (44 - 4 * place)) as usize & 15];
    std::array::from_fn(digit)
}

fn draw_account_age(random: &mut Random) -> i64 {
    let (_, youngest, oldest) = ACCOUNT_AGES[random.weighted(&ACCOUNT_AGES.map(|age| age.0))];
    random.between(youngest, oldest) as i64
}

/// The profile tells little: loyalty rises a bit with satisfaction and tenure.
fn draw_profile(random: &mut Random, account_age_days: i64, satisfaction: Satisfaction) -> Profile {
    let education = random.weighted(&EDUCATION_WEIGHTS);
    let income = TYPICAL_INCOME[education] * (0.35 * random.normal()).exp();
    let happier = satisfaction.0 - 6.5;
    let tenure = match account_age_days {
        0..=60 => 0.5,
        61..=365 => 1.0,
        _ => 1.6,
    };
    let silver = 0.30 * tenure * (0.06 * happier).exp();
    let gold = 0.10 * tenure * (0.12 * happier).exp();
    let loyalty = random.weighted(&[0.60, silver, gold]);
    Profile {
        age: (30.5 + 5.5 * random.normal()).clamp(18.0, 70.0) as i64,
        gender: random.pick(&GENDERS),
        location: {
            let location = LOCATIONS[random.weighted(&LOCATION_WEIGHTS)];
            (!random.chance(NO_LOCATION)).then_some(location)
        },
        income: (!random.chance(NO_INCOME)).then_some(income as i64),
        education: (!random.chance(NO_EDUCATION)).then_some(EDUCATIONS[education]),
        loyalty_status: LOYALTIES[loyalty],
        account_age_days,
        premium: random.chance(PREMIUM_SHARE[loyalty]),
        device: {
            let device = DEVICES[random.weighted(&DEVICE_WEIGHTS)];
            (!random.chance(NO_DEVICE)).then_some(device)
        },
    }
}

/// The unhappy stop coming some weeks before the end; a few of them do not, and
/// a few happy users go quiet all the same.
fn draw_fade(random: &mut Random, satisfaction: Satisfaction, from: i64, end: i64) -> Option<Fade> {
    let fades = random.chance(satisfaction.fade_probability());
    let days_before_end = 18.0 + random.exponential(45.0);
    let share_of_account = random.between(0.55, 0.95);
    let half_life_days = 1.5 + random.exponential(3.5);
    let length = (end - from) as f64;
    let before_end = (days_before_end * DAY as f64).min(length * share_of_account);
    fades.then_some(Fade {
        from: end - before_end as i64,
        half_life_days,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_distinct_hexadecimal() {
        let ids: HashSet<[u8; 12]> = (0..200_000).map(user_id).collect();
        assert_eq!(ids.len(), 200_000);
        assert!(ids.iter().flatten().all(u8::is_ascii_hexdigit));
    }

    #[test]
    fn accounts_are_as_old_as_they_say() {
        let end = 20_454 * DAY;
        for user in 0..2_000 {
            let customer = Customer::draw(&mut Random::stream(1, user), end);
            assert!(customer.from < end || customer.profile.account_age_days == 0);
            if customer.profile.account_age_days < LOG_DAYS {
                let age = (end - customer.from).div_euclid(DAY);
                assert_eq!(age, customer.profile.account_age_days);
            }
        }
    }
}
