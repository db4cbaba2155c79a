//! The features of the demo registry again, from the raw tables, without any of the code
//! under test: what a person would write who read the definitions.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use granary_pipelines::text::{Embedder, HashedNgrams};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Map, Value as Json, json};
use vader_parity::SentimentIntensityAnalyzer;

const MINUTE: i64 = 60_000_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// An event of a user.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Event {
    pub time: i64,
    pub id: String,
    pub kind: String,
}

/// A review of a user.
#[derive(Clone, Debug)]
pub(crate) struct Review {
    pub time: i64,
    pub rating: Option<f64>,
    pub text_length: Option<f64>,
    pub helpful_ratio: Option<f64>,
    pub text: Option<String>,
}

/// The raw tables by user.
pub(crate) struct Raw {
    pub events: HashMap<String, Vec<Event>>,
    pub reviews: HashMap<String, Vec<Review>>,
    pub profiles: HashMap<String, Map<String, Json>>,
    pub users: Vec<String>,
}

const PROFILE: [&str; 9] = [
    "age",
    "gender",
    "location",
    "income",
    "education",
    "loyalty_status",
    "account_age_days",
    "premium",
    "device",
];

const KINDS: [&str; 17] = [
    "add_to_cart",
    "app_open",
    "apply_coupon",
    "email_open",
    "order_cancelled",
    "page_view",
    "payment_failed",
    "purchase",
    "push_notification_open",
    "rating_given",
    "remove_from_cart",
    "review_submitted",
    "search",
    "ticket_closed",
    "ticket_created",
    "view_product",
    "wishlist_add",
];

impl Raw {
    pub(crate) fn read(raw: &Path) -> Raw {
        let mut read = Raw {
            events: HashMap::new(),
            reviews: HashMap::new(),
            profiles: HashMap::new(),
            users: Vec::new(),
        };
        for batch in batches(&raw.join("event_logs.parquet")) {
            let (users, ids, kinds) = (
                texts(&batch, "user_id"),
                texts(&batch, "event_id"),
                texts(&batch, "event_type"),
            );
            let times = times(&batch, "timestamp");
            for row in 0..batch.num_rows() {
                let event = Event {
                    time: times[row].unwrap(),
                    id: ids[row].clone().unwrap(),
                    kind: kinds[row].clone().unwrap_or_default(),
                };
                read.events
                    .entry(users[row].clone().unwrap())
                    .or_default()
                    .push(event);
            }
        }
        for batch in batches(&raw.join("review_table.parquet")) {
            let (users, at) = (texts(&batch, "user_id"), times(&batch, "review_time"));
            let number = |name| numbers(&batch, name);
            let (ratings, lengths, ratios) = (
                number("rating"),
                number("text_length"),
                number("helpful_ratio"),
            );
            let words = texts(&batch, "review_text");
            for row in 0..batch.num_rows() {
                let review = Review {
                    time: at[row].unwrap(),
                    rating: ratings[row],
                    text_length: lengths[row],
                    helpful_ratio: ratios[row],
                    text: words[row].clone(),
                };
                read.reviews
                    .entry(users[row].clone().unwrap())
                    .or_default()
                    .push(review);
            }
        }
        for batch in batches(&raw.join("user_table.parquet")) {
            let users = texts(&batch, "user_id");
            for (row, user) in users.iter().enumerate() {
                let user = user.clone().unwrap();
                let cell = |name: &&str| ((*name).to_owned(), cell(&batch, name, row));
                read.profiles
                    .insert(user.clone(), PROFILE.iter().map(cell).collect());
                read.users.push(user);
            }
        }
        read
    }

    /// The data clock: one microsecond past the newest event of any event source.
    pub(crate) fn clock(&self) -> i64 {
        let events = self.events.values().flatten().map(|event| event.time);
        let reviews = self.reviews.values().flatten().map(|review| review.time);
        events.chain(reviews).max().unwrap() + 1
    }

    /// Every feature that this oracle knows of a user, as of an instant.
    pub(crate) fn features(&self, user: &str, as_of: i64) -> Map<String, Json> {
        self.features_of(user, as_of, |_| true)
    }

    /// The same of the events that count alone.
    pub(crate) fn features_of(
        &self,
        user: &str,
        as_of: i64,
        counts: impl Fn(&Event) -> bool,
    ) -> Map<String, Json> {
        let mut features = self.profiles.get(user).cloned().unwrap_or_else(|| {
            PROFILE
                .iter()
                .map(|name| ((*name).to_owned(), Json::Null))
                .collect()
        });
        let events = self.events.get(user).into_iter().flatten();
        let events = events.filter(|event| event.time < as_of && counts(event));
        activity(events.collect(), as_of, &mut features);
        self.review_features(user, as_of, &mut features);
        features
    }

    fn review_features(&self, user: &str, as_of: i64, features: &mut Map<String, Json>) {
        let reviews: Vec<&Review> = self
            .reviews
            .get(user)
            .into_iter()
            .flatten()
            .filter(|review| review.time < as_of)
            .collect();
        let mean = |of: fn(&Review) -> Option<f64>| {
            let known: Vec<f64> = reviews.iter().filter_map(|review| of(review)).collect();
            ratio(known.iter().sum(), known.len() as f64)
        };
        let ratings = reviews.iter().filter_map(|review| review.rating);
        let newest = reviews.iter().map(|review| review.time).max();
        let texts: Vec<&str> = reviews
            .iter()
            .filter_map(|review| review.text.as_deref())
            .collect();
        let sentiments = texts.iter().map(|text| sentiment(text));
        let mut set = |name: &str, value: Json| features.insert(name.to_owned(), value);
        set("total_reviews", reviews.len().into());
        set("avg_rating", mean(|review| review.rating));
        set(
            "min_rating",
            ratings.reduce(f64::min).map_or(Json::Null, Json::from),
        );
        set("avg_text_length", mean(|review| review.text_length));
        set("avg_helpful_ratio", mean(|review| review.helpful_ratio));
        set(
            "avg_sentiment_score",
            ratio(sentiments.sum(), texts.len() as f64),
        );
        set("topic_vector", mean_vector(&texts));
        set(
            "last_review_days",
            newest.map_or(Json::Null, |time| ((as_of - time) / DAY).into()),
        );
    }
}

fn activity(mut events: Vec<&Event>, as_of: i64, features: &mut Map<String, Json>) {
    events.sort();
    events.dedup();
    let inside = |days: i64| -> Vec<&Event> {
        let hop = if days > 12 { DAY } else { HOUR };
        let start = (as_of - days * DAY).div_euclid(hop) * hop;
        events
            .iter()
            .copied()
            .filter(|event| event.time >= start)
            .collect()
    };
    let of_kind =
        |events: &[&Event], kind: &str| events.iter().filter(|event| event.kind == kind).count();
    let lengths = session_lengths(&events);
    let mut set = |name: &str, value: Json| features.insert(name.to_owned(), value);
    set("total_events", events.len().into());
    set("purchase_count", of_kind(&events, "purchase").into());
    set("add_to_cart_count", of_kind(&events, "add_to_cart").into());
    set(
        "payment_failures",
        of_kind(&events, "payment_failed").into(),
    );
    set("session_count", lengths.len().into());
    let total: f64 = lengths
        .iter()
        .map(|length| *length as f64 / MINUTE as f64)
        .sum();
    set("avg_session_length", ratio(total, lengths.len() as f64));
    let newest = events.last().map(|event| (as_of - event.time) / DAY);
    set("last_active_days", newest.map_or(Json::Null, Json::from));
    let vector: Vec<usize> = KINDS.iter().map(|kind| of_kind(&events, kind)).collect();
    set("event_vector", json!(vector));
    for days in [7, 30, 90] {
        let inside = inside(days);
        set(&format!("events_{days}d"), inside.len().into());
        set(
            &format!("purchases_{days}d"),
            of_kind(&inside, "purchase").into(),
        );
        set(
            &format!("tickets_{days}d"),
            of_kind(&inside, "ticket_created").into(),
        );
        set(
            &format!("sessions_{days}d"),
            session_lengths(&inside).len().into(),
        );
    }
    let count = |kind: &str| of_kind(&events, kind) as f64;
    set(
        "cart_to_purchase",
        ratio(count("purchase"), count("add_to_cart")),
    );
    set(
        "payment_failure_rate",
        ratio(
            count("payment_failed"),
            count("payment_failed") + count("purchase"),
        ),
    );
    set(
        "events_per_session",
        ratio(events.len() as f64, lengths.len() as f64),
    );
    set(
        "recent_activity_share",
        ratio(inside(30).len() as f64, inside(90).len() as f64),
    );
}

fn session_lengths(events: &[&Event]) -> Vec<i64> {
    let sessions = events.chunk_by(|a, b| b.time - a.time <= 30 * MINUTE);
    sessions
        .map(|session| session[session.len() - 1].time - session[0].time)
        .collect()
}

/// The reference port of VADER itself.
fn sentiment(text: &str) -> f64 {
    thread_local! {
        static VADER: SentimentIntensityAnalyzer = SentimentIntensityAnalyzer::new();
    }
    VADER.with(|vader| vader.polarity_scores(text).compound)
}

/// The mean of the texts' vectors. One text's vector is the embedder's own: that it is the
/// same one everywhere is what is checked here.
fn mean_vector(texts: &[&str]) -> Json {
    let vectors: Vec<Vec<f32>> = texts
        .iter()
        .map(|text| {
            let mut vector = vec![0.0; HashedNgrams.dimension()];
            HashedNgrams.embed(text, &mut vector);
            vector
        })
        .collect();
    let Some(first) = vectors.first() else {
        return Json::Null;
    };
    let mean = |at: usize| {
        let sum: f64 = vectors.iter().map(|vector| f64::from(vector[at])).sum();
        (sum / vectors.len() as f64) as f32
    };
    json!((0..first.len()).map(mean).collect::<Vec<f32>>())
}

fn ratio(above: f64, below: f64) -> Json {
    if below == 0.0 {
        Json::Null
    } else {
        (above / below).into()
    }
}

/// Whether two values are the same feature: floats within 1e-9, elements of vectors, which
/// are 32-bit floats, within their last bit.
pub(crate) fn equal(found: &Json, wanted: &Json) -> bool {
    let near = |a: &Json, b: &Json, relative: f64| match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => (a - b).abs() <= 1e-12 + relative * a.abs().max(b.abs()),
        _ => a == b,
    };
    match (found, wanted) {
        (Json::Array(a), Json::Array(b)) => {
            let last_bit = f64::from(f32::EPSILON);
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| near(a, b, last_bit))
        }
        _ => near(found, wanted, 1e-9),
    }
}

/// A Parquet file as one object a row.
pub(crate) fn rows_of(path: &Path) -> Vec<Map<String, Json>> {
    let mut rows = Vec::new();
    for batch in batches(path) {
        let schema = batch.schema();
        for row in 0..batch.num_rows() {
            let cell = |name: &String| (name.clone(), cell(&batch, name, row));
            let names = schema.fields().iter().map(|field| field.name());
            rows.push(names.map(cell).collect());
        }
    }
    rows
}

fn batches(path: &Path) -> Vec<RecordBatch> {
    let file = File::open(path).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)
        .unwrap()
        .build()
        .unwrap();
    reader.map(Result::unwrap).collect()
}

fn column(batch: &RecordBatch, name: &str, dtype: &DataType) -> ArrayRef {
    cast(batch.column_by_name(name).unwrap(), dtype).unwrap()
}

fn texts(batch: &RecordBatch, name: &str) -> Vec<Option<String>> {
    let column = column(batch, name, &DataType::Utf8);
    column
        .as_string::<i32>()
        .iter()
        .map(|text| text.map(str::to_owned))
        .collect()
}

fn numbers(batch: &RecordBatch, name: &str) -> Vec<Option<f64>> {
    column(batch, name, &DataType::Float64)
        .as_primitive::<Float64Type>()
        .iter()
        .collect()
}

fn times(batch: &RecordBatch, name: &str) -> Vec<Option<i64>> {
    let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
    let column = column(batch, name, &micros);
    column
        .as_primitive::<TimestampMicrosecondType>()
        .iter()
        .collect()
}

fn cell(batch: &RecordBatch, name: &str, row: usize) -> Json {
    let column = batch.column_by_name(name).unwrap();
    if column.is_null(row) {
        return Json::Null;
    }
    match column.data_type() {
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).into(),
        DataType::Float64 => column.as_primitive::<Float64Type>().value(row).into(),
        DataType::Boolean => column.as_boolean().value(row).into(),
        DataType::Timestamp(..) => times(&batch.slice(row, 1), name)[0].into(),
        DataType::FixedSizeList(..) => elements(&column.as_fixed_size_list().value(row)),
        DataType::List(_) => elements(&column.as_list::<i32>().value(row)),
        _ => texts(&batch.slice(row, 1), name)[0]
            .clone()
            .map_or(Json::Null, Json::from),
    }
}

fn elements(list: &ArrayRef) -> Json {
    let floats = cast(list, &DataType::Float64).unwrap();
    json!(floats.as_primitive::<Float64Type>().values().to_vec())
}
