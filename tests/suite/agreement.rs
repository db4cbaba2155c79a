//! RESP, HTTP, the command line and a recomputation from the raw tables give the same
//! features, now and at instants in the past.

use std::collections::HashMap;

use redis::Commands;
use serde_json::{Map, Value as Json};

use crate::oracle::{Raw, equal};
use crate::support::{Home, Server};

/// A generator that needs no crate: the high bits of a linear congruence.
pub(crate) struct Dice(pub u64);

impl Dice {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        // 31 bits alone are half an hour of microseconds.
        (self.bits() << 31 | self.bits()) % bound
    }

    fn bits(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }
}

fn assert_agrees(user: &str, as_of: i64, found: &Map<String, Json>, wanted: &Map<String, Json>) {
    for (name, wanted) in wanted {
        let found = found
            .get(name)
            .unwrap_or_else(|| panic!("`{name}` is not served"));
        assert!(
            equal(found, wanted),
            "{user} as of {as_of}: `{name}` is served as {found}, the raw tables say {wanted}"
        );
    }
}

/// The text that RESP gives for a JSON value.
fn as_text(value: &Json) -> Option<String> {
    match value {
        Json::Null => None,
        Json::Bool(true) => Some("True".to_owned()),
        Json::Bool(false) => Some("False".to_owned()),
        Json::String(text) => Some(text.clone()),
        Json::Array(items) => Some(serde_json::to_string(items).unwrap()),
        number => Some(number.to_string()),
    }
}

fn features(server: &Server, path: &str) -> Map<String, Json> {
    let (status, body) = server.get(path);
    assert_eq!(status, 200, "{path}: {body}");
    body["features"].as_object().unwrap().clone()
}

#[test]
fn both_doors_and_the_raw_tables_agree() {
    let home = Home::with_demo(1_200, 7);
    let raw = Raw::read(&home.data().join("raw"));
    let clock = raw.clock();
    let server = home.serve();
    let mut redis = server.redis();
    for user in raw.users.iter().take(1_000) {
        let over_http = features(&server, &format!("/features/{user}"));
        assert_agrees(user, clock, &over_http, &raw.features(user, clock));
        let over_resp: HashMap<String, String> = redis.hgetall(format!("user:{user}")).unwrap();
        let expected: HashMap<String, String> = over_http
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), as_text(value)?)))
            .collect();
        let number = |text: &String| text.parse::<f64>().ok();
        assert_eq!(over_resp.len(), expected.len(), "{user}");
        for (name, text) in &over_resp {
            let same = text == &expected[name]
                || number(text).is_some_and(|x| Some(x) == number(&expected[name]));
            let vector =
                || serde_json::from_str::<Json>(text).is_ok_and(|x| equal(&x, &over_http[name]));
            assert!(
                same || vector(),
                "{user} {name}: RESP {text}, HTTP {}",
                expected[name]
            );
        }
    }
    // Any feature alone is the same as among all: reads decode only what is asked for.
    for user in raw.users.iter().take(10) {
        for (name, value) in features(&server, &format!("/features/{user}")) {
            let path = format!("/features/{user}?features={name}");
            assert_eq!(features(&server, &path)[&name], value, "{path}");
            let alone: Option<String> = redis.hget(format!("user:{user}"), &name).unwrap();
            assert_eq!(alone.is_none(), value.is_null(), "{user} {name}");
        }
    }
    let user = &raw.users[0];
    let over_cli: Json = serde_json::from_str(&home.ok(&["get", user, "--json"])).unwrap();
    assert_eq!(
        over_cli["features"],
        Json::Object(features(&server, &format!("/features/{user}")))
    );
}

#[test]
fn the_past_is_answered_as_it_was() {
    let home = Home::with_demo(400, 8);
    let raw = Raw::read(&home.data().join("raw"));
    let clock = raw.clock();
    let server = home.serve();
    let mut dice = Dice(8);
    let mut from_log = 0;
    for round in 0..1_000 {
        let user = &raw.users[dice.below(raw.users.len() as u64) as usize];
        let events = raw.events.get(user).map_or(&[][..], Vec::as_slice);
        // Half of the instants are an event's own, where an off-by-one would show.
        let as_of = match round % 2 {
            0 if !events.is_empty() => {
                events[dice.below(events.len() as u64) as usize].time + (round % 4) / 2
            }
            _ => clock - dice.below(500 * 86_400_000_000) as i64,
        };
        let path = format!("/features/{user}?as_of={}", iso(as_of));
        let (status, body) = server.get(&path);
        assert_eq!(status, 200, "{path}: {body}");
        from_log += u32::from(body["from"] == "log");
        assert_agrees(
            user,
            as_of,
            body["features"].as_object().unwrap(),
            &raw.features(user, as_of),
        );
    }
    assert!(from_log > 300, "only {from_log} of 1,000 came from the log");
}

/// An instant as ISO-8601, by the civil-from-days rule.
pub(crate) fn iso(micros: i64) -> String {
    let (days, rest) = (
        micros.div_euclid(86_400_000_000),
        micros.rem_euclid(86_400_000_000),
    );
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 {
        month_index + 3
    } else {
        month_index - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let seconds = rest / 1_000_000;
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:06}Z",
        seconds / 3_600,
        seconds / 60 % 60,
        seconds % 60,
        rest % 1_000_000
    )
}
