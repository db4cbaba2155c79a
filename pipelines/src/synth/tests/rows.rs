//! What the rows look like: sizes, gaps, order, rhythm, words.

use std::collections::{HashMap, HashSet};

use super::super::DEFAULT_END;
use super::super::calendar::DAY;
use super::{SAMPLE, events_by_user, texts, times, whole};

#[test]
fn sizes_are_those_of_the_original() {
    let users = SAMPLE.users.num_rows() as f64;
    let events = SAMPLE.events.num_rows() as f64 / users;
    let reviews = SAMPLE.reviews.num_rows() as f64 / users;
    assert!((235.0..255.0).contains(&events), "{events} events per user");
    assert!((4.5..5.5).contains(&reviews), "{reviews} reviews per user");
    let mut counts: Vec<usize> = events_by_user().values().map(Vec::len).collect();
    counts.sort_unstable();
    let median = counts[counts.len() / 2] as f64;
    let busiest = counts[counts.len() * 99 / 100] as f64;
    assert!(
        median < 0.8 * events && busiest > 4.0 * events,
        "{median} {busiest}"
    );
    let written: Vec<u64> = SAMPLE
        .summary
        .tables
        .iter()
        .map(|table| table.rows)
        .collect();
    let held = [
        &SAMPLE.users,
        &SAMPLE.events,
        &SAMPLE.reviews,
        &SAMPLE.targets,
    ];
    assert_eq!(written, held.map(|table| table.num_rows() as u64));
}

#[test]
fn events_belong_to_users_and_lie_within_their_accounts() {
    let ids: Vec<&str> = texts(&SAMPLE.users, "user_id").collect();
    assert_eq!(ids, texts(&SAMPLE.targets, "user_id").collect::<Vec<_>>());
    let ages: HashMap<&str, i64> = (ids.iter().copied())
        .zip(whole(&SAMPLE.users, "account_age_days").iter().copied())
        .collect();
    assert_eq!(ages.len(), ids.len());
    for batch in [
        (&SAMPLE.events, "timestamp"),
        (&SAMPLE.reviews, "review_time"),
    ] {
        for (user, &time) in texts(batch.0, "user_id").zip(times(batch.0, batch.1)) {
            assert!(time < DEFAULT_END.0);
            assert!(time >= DEFAULT_END.0 - (ages[user] + 1) * DAY);
        }
    }
    let first = times(&SAMPLE.events, "timestamp").iter().min().unwrap();
    assert!((DEFAULT_END.0 - first) / DAY < 401);
}

#[test]
fn three_to_five_percent_of_values_are_missing() {
    for (batch, with_gaps) in [
        (
            &SAMPLE.users,
            &["location", "income", "education", "device"][..],
        ),
        (&SAMPLE.events, &["metadata"]),
        (
            &SAMPLE.reviews,
            &["review_text", "summary", "rating", "text_length"],
        ),
        (&SAMPLE.targets, &[]),
    ] {
        for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
            let share = column.null_count() as f64 / column.len() as f64;
            if with_gaps.contains(&field.name().as_str()) {
                assert!((0.03..0.05).contains(&share), "{}: {share}", field.name());
            } else {
                assert_eq!(column.null_count(), 0, "{}", field.name());
            }
        }
    }
}

#[test]
fn a_few_events_come_late_or_twice() {
    let rows = SAMPLE.events.num_rows();
    let mut newest: HashMap<&str, i64> = HashMap::new();
    let mut first_copy: HashMap<&str, usize> = HashMap::new();
    let (mut late, mut copies) = (0, 0);
    let ids = texts(&SAMPLE.events, "event_id").zip(texts(&SAMPLE.events, "user_id"));
    for (row, (id, user)) in ids.enumerate() {
        let time = times(&SAMPLE.events, "timestamp")[row];
        let newest = newest.entry(user).or_insert(time);
        if let Some(&first) = first_copy.get(id) {
            copies += 1;
            for column in SAMPLE.events.columns() {
                assert_eq!(
                    column.slice(first, 1).as_ref(),
                    column.slice(row, 1).as_ref()
                );
            }
        } else {
            first_copy.insert(id, row);
            late += usize::from(time < *newest);
        }
        assert!(*newest - time <= 2 * DAY);
        *newest = time.max(*newest);
    }
    let (late, copies) = (late as f64 / rows as f64, copies as f64 / rows as f64);
    assert!((0.001..0.01).contains(&late), "{late}");
    assert!((0.0005..0.0015).contains(&copies), "{copies}");
}

#[test]
fn days_weeks_and_sessions_have_their_rhythm() {
    let (mut hours, mut weekdays) = ([0_u32; 24], [0_u32; 7]);
    let (mut inside, mut outside) = (0, 0);
    for events in events_by_user().values() {
        for &(time, _) in events {
            hours[(time.rem_euclid(DAY) * 24 / DAY) as usize] += 1;
            weekdays[(time.div_euclid(DAY) + 3).rem_euclid(7) as usize] += 1;
        }
        for pair in events.windows(2) {
            match (pair[1].0 - pair[0].0) / 1_000_000 {
                5..=1_200 => inside += 1,
                1_860.. => outside += 1,
                gap => panic!("a gap of {gap} s is of no kind"),
            }
        }
    }
    assert!(hours[20] > 8 * hours[4], "{hours:?}");
    assert!(weekdays[5] * 10 > weekdays[1] * 12, "{weekdays:?}");
    assert!(inside > 3 * outside && outside > 0);
    let kinds: HashSet<&str> = texts(&SAMPLE.events, "event_type").collect();
    assert_eq!(kinds.len(), 17);
}

#[test]
fn texts_hardly_repeat_and_are_as_long_as_said() {
    let texts: Vec<&str> = texts(&SAMPLE.reviews, "review_text")
        .filter(|t| !t.is_empty())
        .collect();
    let distinct: HashSet<&&str> = texts.iter().collect();
    let repeated = texts.len() - distinct.len();
    assert!(
        repeated * 100 < texts.len(),
        "{repeated} of {}",
        texts.len()
    );
    let lengths = whole(&SAMPLE.reviews, "text_length");
    for (row, text) in self::texts(&SAMPLE.reviews, "review_text").enumerate() {
        assert!(text.is_empty() || text.len() as i64 == lengths[row]);
    }
    for (&helpful, &votes) in whole(&SAMPLE.reviews, "helpful_yes")
        .iter()
        .zip(whole(&SAMPLE.reviews, "total_votes"))
    {
        assert!((0..=votes).contains(&helpful));
    }
}
