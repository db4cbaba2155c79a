//! Some users in a row: their share of the four tables, as record batches. Called
//! by `generate` on every thread at once.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, DictionaryArray, Float64Array, Int32Array, Int64Array, RecordBatch,
    StringArray, TimestampMicrosecondArray,
};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, Int32Type, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;

use super::customer::{Customer, Profile, user_id};
use super::history::{EventColumns, Scratch, UserLog, World, live};
use super::journey::Kind;
use super::phrases::CATEGORIES;
use super::plan::Plan;
use super::random::Random;
use super::review::{ReviewColumns, TextColumn};
use super::truth::Tally;
use super::uuid::UUID_LENGTH;

/// The tables, in the order in which every array of four holds them.
pub(super) const TABLES: [&str; 4] = ["user_table", "event_logs", "review_table", "target_table"];
pub(super) const EVENT_LOGS: usize = 1;

/// The rows of some users.
pub(super) struct Chunk {
    pub(super) tables: [RecordBatch; 4],
    pub(super) tally: Tally,
}

/// Draws the users with these indices.
pub(super) fn draw(plan: &Plan, world: &World, users: Range<u64>) -> Result<Chunk, ArrowError> {
    let mut customers = Vec::with_capacity((users.end - users.start) as usize);
    let mut events = EventColumns::default();
    let mut reviews = ReviewColumns::default();
    let mut scratch = Scratch::default();
    let mut tally = Tally::default();
    for (number, index) in (0_i32..).zip(users.clone()) {
        let mut random = Random::stream(plan.seed, index);
        let customer = Customer::draw(&mut random, plan.end.0);
        let mut log = UserLog {
            user: number,
            columns: &mut events,
        };
        live(
            world,
            &customer,
            plan.end.0,
            &mut random,
            &mut scratch,
            &mut log,
        );
        for &written in &scratch.reviews {
            reviews.write(number, written, &mut random);
        }
        tally.add(customer.satisfaction.score(), customer.churned);
        customers.push(customer);
    }
    let ids = user_ids(users)?;
    let [user_schema, event_schema, review_schema, target_schema] = schemas();
    Ok(Chunk {
        tables: [
            RecordBatch::try_new(user_schema, user_columns(&ids, &customers))?,
            RecordBatch::try_new(event_schema, event_columns(&ids, world, events)?)?,
            RecordBatch::try_new(review_schema, review_columns(&ids, reviews)?)?,
            RecordBatch::try_new(target_schema, target_columns(&ids, &customers))?,
        ],
        tally,
    })
}

/// The columns of the four tables.
pub(super) fn schemas() -> [SchemaRef; 4] {
    let coded = || DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let instant = || DataType::Timestamp(TimeUnit::Microsecond, None);
    let present = |name: &str, dtype| Field::new(name, dtype, false);
    let optional = |name: &str, dtype| Field::new(name, dtype, true);
    [
        vec![
            present("user_id", DataType::Utf8),
            present("age", DataType::Int64),
            present("gender", DataType::Utf8),
            optional("location", DataType::Utf8),
            optional("income", DataType::Int64),
            optional("education", DataType::Utf8),
            present("loyalty_status", DataType::Utf8),
            present("account_age_days", DataType::Int64),
            present("premium", DataType::Boolean),
            optional("device", DataType::Utf8),
        ],
        vec![
            present("event_id", DataType::Utf8),
            present("user_id", coded()),
            present("timestamp", instant()),
            present("event_type", coded()),
            optional("metadata", coded()),
        ],
        vec![
            present("user_id", coded()),
            present("product_id", DataType::Int64),
            optional("review_text", DataType::Utf8),
            optional("summary", DataType::Utf8),
            optional("rating", DataType::Int64),
            present("review_time", instant()),
            present("helpful_yes", DataType::Int64),
            present("total_votes", DataType::Int64),
            present("helpful_ratio", DataType::Float64),
            optional("text_length", DataType::Int64),
            present("category", coded()),
        ],
        vec![
            present("user_id", DataType::Utf8),
            present("satisfaction_score", DataType::Int64),
            present("churned", DataType::Int64),
        ],
    ]
    .map(|fields| Arc::new(Schema::new(fields)))
}

fn user_columns(ids: &StringArray, customers: &[Customer]) -> Vec<ArrayRef> {
    let profiles = || customers.iter().map(|customer| &customer.profile);
    let text = |of: fn(&Profile) -> Option<&'static str>| -> ArrayRef {
        Arc::new(profiles().map(of).collect::<StringArray>())
    };
    let whole = |of: fn(&Profile) -> Option<i64>| -> ArrayRef {
        Arc::new(profiles().map(of).collect::<Int64Array>())
    };
    let premium = profiles().map(|profile| Some(profile.premium));
    vec![
        Arc::new(ids.clone()),
        whole(|profile| Some(profile.age)),
        text(|profile| Some(profile.gender)),
        text(|profile| profile.location),
        whole(|profile| profile.income),
        text(|profile| profile.education),
        text(|profile| Some(profile.loyalty_status)),
        whole(|profile| Some(profile.account_age_days)),
        Arc::new(premium.collect::<BooleanArray>()),
        text(|profile| profile.device),
    ]
}

fn event_columns(
    ids: &StringArray,
    world: &World,
    events: EventColumns,
) -> Result<Vec<ArrayRef>, ArrowError> {
    let offsets = OffsetBuffer::from_repeated_length(UUID_LENGTH, events.times.len());
    let uuids = StringArray::try_new(offsets, Buffer::from_vec(events.ids), None)?;
    let kinds = StringArray::from_iter_values(Kind::NAMES);
    Ok(vec![
        Arc::new(uuids),
        coded(events.users, ids.clone())?,
        Arc::new(TimestampMicrosecondArray::from(events.times)),
        coded(events.kinds, kinds)?,
        coded(events.metadata, world.catalogue.texts().clone())?,
    ])
}

fn review_columns(ids: &StringArray, reviews: ReviewColumns) -> Result<Vec<ArrayRef>, ArrowError> {
    let categories = StringArray::from_iter_values(CATEGORIES.iter().map(|category| category.name));
    Ok(vec![
        coded(reviews.users, ids.clone())?,
        Arc::new(Int64Array::from(reviews.products)),
        text_array(reviews.texts)?,
        text_array(reviews.summaries)?,
        Arc::new(Int64Array::from(reviews.ratings)),
        Arc::new(TimestampMicrosecondArray::from(reviews.times)),
        Arc::new(Int64Array::from(reviews.helpful)),
        Arc::new(Int64Array::from(reviews.votes)),
        Arc::new(Float64Array::from(reviews.ratios)),
        Arc::new(Int64Array::from(reviews.text_lengths)),
        coded(reviews.categories, categories)?,
    ])
}

fn target_columns(ids: &StringArray, customers: &[Customer]) -> Vec<ArrayRef> {
    let scores = customers
        .iter()
        .map(|customer| i64::from(customer.satisfaction.score()));
    let churned = customers.iter().map(|customer| i64::from(customer.churned));
    vec![
        Arc::new(ids.clone()),
        Arc::new(Int64Array::from_iter_values(scores)),
        Arc::new(Int64Array::from_iter_values(churned)),
    ]
}

fn user_ids(users: Range<u64>) -> Result<StringArray, ArrowError> {
    let bytes: Vec<u8> = users.clone().flat_map(user_id).collect();
    let count = bytes.len() / 12;
    let offsets = OffsetBuffer::from_repeated_length(12, count);
    StringArray::try_new(offsets, Buffer::from_vec(bytes), None)
}

/// Text by index; a negative index is a missing value.
fn coded(keys: Vec<i32>, texts: StringArray) -> Result<ArrayRef, ArrowError> {
    let nulls: NullBuffer = keys.iter().map(|&key| key >= 0).collect();
    let nulls = (nulls.null_count() > 0).then_some(nulls);
    let keys = Int32Array::try_new(keys.into(), nulls)?;
    let array = DictionaryArray::<Int32Type>::try_new(keys, Arc::new(texts))?;
    Ok(Arc::new(array))
}

fn text_array(column: TextColumn) -> Result<ArrayRef, ArrowError> {
    let offsets = OffsetBuffer::from_lengths(column.lengths);
    let nulls = NullBuffer::from(column.present);
    let array = StringArray::try_new(offsets, Buffer::from_vec(column.bytes), Some(nulls))?;
    Ok(Arc::new(array))
}
