//! The promises of the demo data, checked on what `generate` writes.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, Write};
use std::sync::{Arc, LazyLock, Mutex};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimestampMicrosecondType};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::calendar::DAY;
use super::chunk::TABLES;
use super::csv::push_instant;
use super::truth::CHURN_PROBABILITY;
use super::{DEFAULT_END, Error, Formats, Output, Plan, Progress, Summary, generate};

type Files = BTreeMap<String, Vec<u8>>;

/// A file in memory, put on the shelf when committed.
struct Draft {
    name: String,
    bytes: Vec<u8>,
    /// Writing fails beyond this length.
    room: usize,
    shelf: Arc<Mutex<Files>>,
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.room {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output for Draft {
    fn commit(self: Box<Self>) -> io::Result<()> {
        self.shelf.lock().unwrap().insert(self.name, self.bytes);
        Ok(())
    }
}

fn try_make(plan: &Plan, threads: usize, room: usize) -> (Result<Summary, Error>, Files) {
    let shelf = Arc::new(Mutex::new(Files::new()));
    let open = |name: &str| -> io::Result<Box<dyn Output>> {
        Ok(Box::new(Draft {
            name: name.to_owned(),
            bytes: Vec::new(),
            room,
            shelf: Arc::clone(&shelf),
        }))
    };
    let last = Mutex::new(None::<Progress>);
    let watch = |progress: Progress| {
        let mut last = last.lock().unwrap();
        assert!(last.is_none_or(|last| last.users_done < progress.users_done));
        *last = Some(progress);
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
    let summary = pool
        .build()
        .unwrap()
        .install(|| generate(plan, &open, &watch));
    if summary.is_ok() {
        assert_eq!(
            last.lock().unwrap().map_or(0, |last| last.users_done),
            plan.users
        );
    }
    let files = std::mem::take(&mut *shelf.lock().unwrap());
    (summary, files)
}

fn make(users: u64, seed: u64, formats: Formats, threads: usize) -> (Summary, Files) {
    let plan = Plan {
        users,
        seed,
        formats,
        end: DEFAULT_END,
    };
    let (summary, files) = try_make(&plan, threads, usize::MAX);
    (summary.unwrap(), files)
}

fn read(files: &Files, table: &str) -> RecordBatch {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&files[&format!("{table}.parquet")]).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let schema = reader.schema().clone();
    let batches: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
    concat_batches(&schema, &batches).unwrap()
}

/// The tables that most tests look at.
struct Sample {
    summary: Summary,
    users: RecordBatch,
    events: RecordBatch,
    reviews: RecordBatch,
    targets: RecordBatch,
    truth: serde_json::Value,
}

static SAMPLE: LazyLock<Sample> = LazyLock::new(|| {
    let (summary, files) = make(4_000, 42, Formats::Parquet, 2);
    let [users, events, reviews, targets] = TABLES.map(|table| read(&files, table));
    Sample {
        summary,
        users,
        events,
        reviews,
        targets,
        truth: serde_json::from_slice(&files["truth.json"]).unwrap(),
    }
});

fn texts<'a>(batch: &'a RecordBatch, column: &str) -> impl Iterator<Item = &'a str> {
    let column = batch.column_by_name(column).unwrap().as_string::<i32>();
    column.iter().map(Option::unwrap_or_default)
}

fn whole<'a>(batch: &'a RecordBatch, column: &str) -> &'a [i64] {
    let column = batch.column_by_name(column).unwrap();
    column.as_primitive::<Int64Type>().values()
}

fn times<'a>(batch: &'a RecordBatch, column: &str) -> &'a [i64] {
    let column = batch.column_by_name(column).unwrap();
    column.as_primitive::<TimestampMicrosecondType>().values()
}

#[test]
fn the_same_seed_gives_the_same_bytes_on_any_number_of_threads() {
    let one = make(2_100, 7, Formats::Both, 1);
    let two = make(2_100, 7, Formats::Both, 2);
    let five = make(2_100, 7, Formats::Both, 5);
    assert!(one == two && one == five);
    assert_eq!(one.1.len(), 9);
}

#[test]
fn another_seed_gives_other_rows_for_the_same_users() {
    let (first, second) = (
        make(50, 1, Formats::Csv, 1).1,
        make(50, 2, Formats::Csv, 1).1,
    );
    assert_eq!(
        first.keys().collect::<Vec<_>>(),
        second.keys().collect::<Vec<_>>()
    );
    assert!(first.iter().all(|(name, bytes)| &second[name] != bytes));
}

#[test]
fn more_users_do_not_change_the_first_ones() {
    let (few, many) = (
        make(900, 3, Formats::Csv, 2).1,
        make(1_300, 3, Formats::Csv, 2).1,
    );
    for table in TABLES {
        let name = format!("{table}.csv");
        assert!(many[&name].starts_with(&few[&name]));
    }
}

#[test]
fn no_users_make_empty_tables() {
    let (summary, files) = make(0, 42, Formats::Both, 2);
    assert_eq!(summary.oracle_roc_auc, None);
    for table in TABLES {
        assert_eq!(read(&files, table).num_rows(), 0);
        assert_eq!(
            files[&format!("{table}.csv")]
                .iter()
                .filter(|&&b| b == b'\n')
                .count(),
            1
        );
    }
}

#[test]
fn a_full_disk_is_an_error_and_commits_nothing() {
    let plan = Plan {
        users: 12_500,
        ..Plan::default()
    };
    for threads in [1, 2] {
        let (summary, files) = try_make(&plan, threads, 2_000_000);
        assert!(
            matches!(
                summary,
                Err(Error::Encode {
                    table: "event_logs",
                    ..
                })
            ),
            "{summary:?}"
        );
        assert!(files.is_empty());
    }
}

#[test]
fn impossible_plans_are_refused() {
    let many = Plan {
        users: u64::MAX,
        ..Plan::default()
    };
    assert!(matches!(
        try_make(&many, 1, 0).0,
        Err(Error::TooManyUsers { .. })
    ));
    let never = Plan {
        end: granary_registry::EventTime::MIN,
        ..Plan::default()
    };
    assert!(matches!(try_make(&never, 1, 0).0, Err(Error::End { .. })));
}

#[test]
fn csv_and_parquet_hold_the_same_rows() {
    let (_, files) = make(150, 5, Formats::Both, 2);
    for table in TABLES {
        let batch = read(&files, table);
        let mut csv = csv::Reader::from_reader(files[&format!("{table}.csv")].as_slice());
        let header: Vec<String> = csv.headers().unwrap().iter().map(str::to_owned).collect();
        let names: Vec<&String> = batch
            .schema_ref()
            .fields()
            .iter()
            .map(|f| f.name())
            .collect();
        assert_eq!(header.iter().collect::<Vec<_>>(), names);
        let mut rows = 0;
        for (row, record) in csv.records().enumerate() {
            for (column, field) in batch.columns().iter().zip(&record.unwrap()) {
                assert_eq!(field, cell(column, row), "{table}");
            }
            rows += 1;
        }
        assert_eq!(rows, batch.num_rows());
        assert!(rows >= 150);
    }
}

/// A Parquet value as CSV should show it.
fn cell(column: &dyn Array, row: usize) -> String {
    if column.is_null(row) {
        return String::new();
    }
    match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().value(row).to_owned(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Float64 => column.as_primitive::<Float64Type>().value(row).to_string(),
        DataType::Boolean if column.as_boolean().value(row) => "True".to_owned(),
        DataType::Boolean => "False".to_owned(),
        DataType::Timestamp(_, None) => {
            let mut text = Vec::new();
            push_instant(
                &mut text,
                column.as_primitive::<TimestampMicrosecondType>().value(row),
            );
            String::from_utf8(text).unwrap()
        }
        other => panic!("unexpected type {other}"),
    }
}

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

/// Instants and types of the events, by user; copies taken out, in time order.
fn events_by_user() -> HashMap<&'static str, Vec<(i64, &'static str)>> {
    let mut seen = HashSet::new();
    let mut by_user: HashMap<&str, Vec<(i64, &str)>> = HashMap::new();
    let rows = texts(&SAMPLE.events, "event_id").zip(texts(&SAMPLE.events, "user_id"));
    let what = times(&SAMPLE.events, "timestamp")
        .iter()
        .zip(texts(&SAMPLE.events, "event_type"));
    for ((id, user), (&time, kind)) in rows.zip(what) {
        if seen.insert(id) {
            by_user.entry(user).or_default().push((time, kind));
        }
    }
    by_user
        .values_mut()
        .for_each(|events| events.sort_unstable());
    by_user
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

#[test]
fn churn_follows_the_score_with_the_promised_probabilities() {
    let scores = whole(&SAMPLE.targets, "satisfaction_score");
    let churned = whole(&SAMPLE.targets, "churned");
    let total = churned.iter().sum::<i64>() as f64 / churned.len() as f64;
    assert!((0.20..0.30).contains(&total), "{total}");
    for (score, probability) in (1..).zip(CHURN_PROBABILITY) {
        let of_score = scores.iter().zip(churned).filter(|pair| *pair.0 == score);
        let (users, gone) = of_score.fold((0.0, 0.0), |(n, g), pair| (n + 1.0, g + *pair.1 as f64));
        let spread = (probability * (1.0 - probability) / users).sqrt();
        assert!(users > 10.0, "score {score}: {users} users");
        assert!(
            (gone / users - probability).abs() <= 4.0 * spread,
            "score {score}: {gone}/{users}"
        );
    }
    let truth = &SAMPLE.truth;
    assert_eq!(
        truth["oracle_roc_auc"].as_f64(),
        SAMPLE.summary.oracle_roc_auc
    );
    assert_eq!(truth["label_instant"], "2026-01-01T00:00:00.000000Z");
    assert_eq!(truth["seed"], 42);
    let oracle: Vec<f64> = scores.iter().map(|&score| -score as f64).collect();
    let exact = roc_auc(&oracle, churned);
    assert!((exact - SAMPLE.summary.oracle_roc_auc.unwrap()).abs() < 1e-9);
}

/// What a model may see of each user, in the order of the target table.
fn features() -> Vec<[f64; 8]> {
    let events = events_by_user();
    let mut ratings: HashMap<&str, Vec<f64>> = HashMap::new();
    let stars = SAMPLE
        .reviews
        .column_by_name("rating")
        .unwrap()
        .as_primitive::<Int64Type>();
    for (user, stars) in texts(&SAMPLE.reviews, "user_id").zip(stars) {
        let of_user = ratings.entry(user).or_default();
        of_user.extend(stars.map(|stars| stars as f64));
    }
    let nothing = Vec::new();
    let users = texts(&SAMPLE.targets, "user_id");
    users
        .map(|user| {
            let events = events.get(user).unwrap_or(&nothing);
            let within = |days: i64| {
                let since = DEFAULT_END.0 - days * DAY;
                events.iter().filter(|event| event.0 >= since).count() as f64
            };
            let of = |kind: &str| events.iter().filter(|event| event.1 == kind).count() as f64;
            let total = events.len() as f64;
            let friction = of("ticket_created") + of("payment_failed") + of("order_cancelled");
            let quiet_days = events
                .last()
                .map_or(400, |last| (DEFAULT_END.0 - last.0) / DAY);
            let stars = ratings.get(user).map_or(&[][..], Vec::as_slice);
            let rating = (stars.iter().sum::<f64>() + 3.5) / (stars.len() as f64 + 1.0);
            [
                (quiet_days as f64).ln_1p(),
                within(30).ln_1p(),
                within(90).ln_1p(),
                (friction + 2.0) / (total + 30.0),
                (of("purchase") + 1.5) / (total + 30.0),
                -rating,
                -rating * (stars.len() as f64).min(6.0),
                total.ln_1p(),
            ]
        })
        .collect()
}

#[test]
fn the_unhappy_fade_out() {
    let scores = whole(&SAMPLE.targets, "satisfaction_score");
    let features = features();
    let mean_of_last_month = |wanted: std::ops::RangeInclusive<i64>| {
        let counts = scores
            .iter()
            .zip(&features)
            .filter(|pair| wanted.contains(pair.0));
        let counts: Vec<f64> = counts.map(|pair| pair.1[1].exp_m1()).collect();
        counts.iter().sum::<f64>() / counts.len() as f64
    };
    let (unhappy, happy) = (mean_of_last_month(1..=3), mean_of_last_month(8..=10));
    assert!(unhappy < 0.4 * happy, "{unhappy} {happy}");
    assert!(unhappy > 0.0);
}

#[test]
fn there_is_something_to_learn_and_no_leak() {
    let oracle = SAMPLE.summary.oracle_roc_auc.unwrap();
    let churned = whole(&SAMPLE.targets, "churned");
    let mut features = features();
    for (feature, name) in [(0, "quiet days"), (3, "friction"), (5, "rating")] {
        let values: Vec<f64> = features.iter().map(|row| row[feature]).collect();
        let auc = roc_auc(&values, churned);
        assert!(0.6 < auc && auc < oracle - 0.02, "{name}: {auc}");
    }
    standardize(&mut features);
    let half = churned.len() / 2;
    let weights = fit_logistic(&features[..half], &churned[..half]);
    let scores: Vec<f64> = features[half..]
        .iter()
        .map(|row| score(&weights, row))
        .collect();
    let auc = roc_auc(&scores, &churned[half..]);
    println!("logistic regression {auc:.3}, oracle {oracle:.3}");
    assert!(oracle - 0.12 < auc && auc < oracle, "{auc} {oracle}");
}

/// The share of pairs of a churned and a staying user that the scores order rightly.
fn roc_auc(scores: &[f64], churned: &[i64]) -> f64 {
    let mut users: Vec<(f64, i64)> = scores
        .iter()
        .copied()
        .zip(churned.iter().copied())
        .collect();
    users.sort_by(|a, b| a.0.total_cmp(&b.0));
    let gone = churned.iter().sum::<i64>() as f64;
    let stayed = churned.len() as f64 - gone;
    let (mut below, mut right) = (0.0, 0.0);
    for ties in users.chunk_by(|a, b| a.0 == b.0) {
        let gone_here = ties.iter().map(|user| user.1).sum::<i64>() as f64;
        let stay_here = ties.len() as f64 - gone_here;
        right += gone_here * (below + stay_here / 2.0);
        below += stay_here;
    }
    right / (gone * stayed)
}

fn standardize(rows: &mut [[f64; 8]]) {
    for feature in 0..8 {
        let n = rows.len() as f64;
        let mean = rows.iter().map(|row| row[feature]).sum::<f64>() / n;
        let variance = rows
            .iter()
            .map(|row| (row[feature] - mean).powi(2))
            .sum::<f64>()
            / n;
        for row in rows.iter_mut() {
            row[feature] = (row[feature] - mean) / variance.sqrt();
        }
    }
}

/// Weights and intercept by plain gradient descent.
fn fit_logistic(rows: &[[f64; 8]], churned: &[i64]) -> [f64; 9] {
    let mut weights = [0.0; 9];
    for _ in 0..400 {
        let mut gradient = [0.0; 9];
        for (row, &churned) in rows.iter().zip(churned) {
            let error = 1.0 / (1.0 + (-score(&weights, row)).exp()) - churned as f64;
            for (sum, value) in gradient.iter_mut().zip(row.iter().chain([&1.0])) {
                *sum += error * value;
            }
        }
        for (weight, sum) in weights.iter_mut().zip(gradient) {
            *weight -= 0.5 * sum / rows.len() as f64;
        }
    }
    weights
}

fn score(weights: &[f64; 9], row: &[f64; 8]) -> f64 {
    weights
        .iter()
        .zip(row.iter().chain([&1.0]))
        .map(|(w, x)| w * x)
        .sum()
}
