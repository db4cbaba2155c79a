//! What one user did: sessions laid over the calendar, events along the journey,
//! some of them arriving late or twice. Fills the columns of `event_logs` and
//! tells which reviews were written. Called by `chunk`.

use super::calendar::{Calendar, DAY, Rhythm};
use super::catalogue::{Basket, Catalogue, PRODUCTS, PRODUCTS_PER_CATEGORY};
use super::customer::Customer;
use super::journey::{Journey, Kind, Mood};
use super::random::{Random, scale};
use super::uuid::push_uuid;

/// Out of 65,536 events.
const DUPLICATES: u64 = 66;
const LATE: u64 = 300;
const WITHOUT_METADATA: u64 = 2_450;

/// A late row stands where rows of up to this much later stand.
const LATEST: f64 = 2.0 * DAY as f64;
/// Two sessions of a user are at least this far apart.
const BETWEEN_SESSIONS: i64 = 31 * 60 * 1_000_000;
/// Nobody has more sessions than this in a day, on average.
const SESSIONS_PER_DAY: f64 = 5.0;
/// Written reviews that left an event but no row, and rows without an event.
const REVIEW_LOST: f64 = 0.03;
const REVIEW_UNLOGGED: f64 = 0.03;

/// What all users have in common.
pub(super) struct World {
    pub(super) rhythm: Rhythm,
    pub(super) journey: Journey,
    pub(super) catalogue: Catalogue,
}

impl World {
    pub(super) fn new() -> World {
        World {
            rhythm: Rhythm::new(),
            journey: Journey::new(),
            catalogue: Catalogue::new(),
        }
    }
}

/// The columns of `event_logs`; user, kind and metadata are indices.
#[derive(Default)]
pub(super) struct EventColumns {
    pub(super) ids: Vec<u8>,
    pub(super) users: Vec<i32>,
    pub(super) times: Vec<i64>,
    pub(super) kinds: Vec<i32>,
    /// An index into the catalogue's texts, or -1 where the metadata is missing.
    pub(super) metadata: Vec<i32>,
}

/// A review that a user wrote; its words come later.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    pub(super) time: i64,
    pub(super) product: usize,
    pub(super) stars: usize,
}

/// Room that is used again for every user of a chunk.
#[derive(Default)]
pub(super) struct Scratch {
    calendar: Calendar,
    starts: Vec<i64>,
    /// Rows still to arrive, the next one last.
    underway: Vec<(i64, Event)>,
    pub(super) reviews: Vec<Written>,
}

#[derive(Clone, Copy)]
struct Event {
    time: i64,
    kind: Kind,
    metadata: i32,
    id: [u64; 2],
}

/// Appends the events of a customer before `end` to the columns, as user number
/// `user` of the chunk, and lists their reviews in `scratch.reviews`.
pub(super) fn live(
    world: &World,
    customer: &Customer,
    end: i64,
    random: &mut Random,
    scratch: &mut Scratch,
    log: &mut UserLog<'_>,
) {
    plan_sessions(world, customer, end, random, scratch);
    scratch.reviews.clear();
    let favourite = random.below(PRODUCTS / PRODUCTS_PER_CATEGORY);
    let mut life = Life {
        world,
        customer,
        mood: Mood::nearest(customer.mood),
        favourite,
        open_tickets: 0,
        end,
        random,
        underway: &mut scratch.underway,
        reviews: &mut scratch.reviews,
        log,
    };
    let mut free_from = i64::MIN;
    for &start in &scratch.starts {
        free_from = life.session(start.max(free_from)) + BETWEEN_SESSIONS;
    }
    life.arrivals_until(i64::MAX);
}

/// Where one user's rows go.
pub(super) struct UserLog<'a> {
    pub(super) user: i32,
    pub(super) columns: &'a mut EventColumns,
}

impl UserLog<'_> {
    #[inline]
    fn push(&mut self, event: &Event) {
        push_uuid(&mut self.columns.ids, event.id);
        self.columns.users.push(self.user);
        self.columns.times.push(event.time);
        self.columns.kinds.push(event.kind as i32);
        self.columns.metadata.push(event.metadata);
    }
}

fn plan_sessions(
    world: &World,
    customer: &Customer,
    end: i64,
    random: &mut Random,
    scratch: &mut Scratch,
) {
    scratch.starts.clear();
    if customer.from >= end {
        return;
    }
    let calendar = &mut scratch.calendar;
    calendar.lay_out(customer.from, end, customer.fade);
    let days = (end - customer.from) as f64 / DAY as f64;
    let expected = customer.events * calendar.kept() / world.rhythm.mean_session_length();
    let drawn = (expected + expected.sqrt() * random.normal()).round();
    let count = drawn.clamp(0.0, (days * SESSIONS_PER_DAY).ceil()) as usize;
    let starts = (0..count).map(|_| calendar.session_start(&world.rhythm, random));
    scratch.starts.extend(starts);
    scratch.starts.sort_unstable();
}

/// A user in the middle of it.
struct Life<'a, 'b> {
    world: &'a World,
    customer: &'a Customer,
    mood: Mood,
    /// The category this user looks at most.
    favourite: usize,
    open_tickets: u32,
    end: i64,
    random: &'a mut Random,
    underway: &'a mut Vec<(i64, Event)>,
    reviews: &'a mut Vec<Written>,
    log: &'a mut UserLog<'b>,
}

impl Life<'_, '_> {
    /// Lives through one session and returns when its last event was.
    fn session(&mut self, start: i64) -> i64 {
        let mut basket = Basket {
            product: self.browse(),
            discount: 0,
            stars: 1,
        };
        let mut previous = None;
        let (mut time, mut last) = (start, start);
        for _ in 0..self.world.rhythm.session_length(self.random) {
            if time >= self.end {
                break;
            }
            let bits = self.random.bits();
            let kind = self.choose(previous, bits & 0xffff_ffff);
            self.prepare(kind, &mut basket);
            self.record(kind, basket, time);
            previous = Some(kind);
            last = time;
            time += self.world.rhythm.gap(bits >> 32);
        }
        last
    }

    #[inline]
    fn choose(&mut self, previous: Option<Kind>, bits32: u64) -> Kind {
        // An open ticket is closed within some sixteen events.
        if self.open_tickets > 0 && bits32.trailing_zeros() >= 4 {
            self.open_tickets -= 1;
            return Kind::TicketClosed;
        }
        self.world.journey.next(self.mood, previous, bits32)
    }

    /// A product, mostly of the favourite category; the first ones sell best.
    fn browse(&mut self) -> usize {
        let bits = self.random.bits();
        let popular =
            |bits32: u64, count| scale(bits32, count).min(scale(bits32 << 16 & 0xffff_ffff, count));
        if bits.trailing_zeros() >= 2 {
            popular(bits >> 32, PRODUCTS)
        } else {
            self.favourite * PRODUCTS_PER_CATEGORY + popular(bits >> 32, PRODUCTS_PER_CATEGORY)
        }
    }

    /// What an event changes about the basket, the tickets and the reviews.
    #[inline]
    fn prepare(&mut self, kind: Kind, basket: &mut Basket) {
        match kind {
            Kind::ViewProduct => basket.product = self.browse(),
            Kind::ApplyCoupon => basket.discount = self.random.below(3),
            Kind::RatingGiven | Kind::ReviewSubmitted => basket.stars = self.stars(),
            Kind::TicketCreated => self.open_tickets += 1,
            _ => {}
        }
    }

    /// Stars follow the tone, give or take one.
    fn stars(&mut self) -> usize {
        let typical = 1.0 + (self.customer.tone - 1.0) * 4.0 / 9.0;
        (typical + 0.8 * self.random.normal())
            .round()
            .clamp(1.0, 5.0) as usize
    }

    #[inline]
    fn record(&mut self, kind: Kind, basket: Basket, time: i64) {
        let bits = self.random.bits();
        let text = self.world.catalogue.text(kind, basket, bits & 0xffff_ffff);
        let event = Event {
            time,
            kind,
            metadata: if (bits >> 32) & 0xffff < WITHOUT_METADATA {
                -1
            } else {
                text as i32
            },
            id: [self.random.bits(), self.random.bits()],
        };
        if matches!(kind, Kind::ReviewSubmitted | Kind::RatingGiven) {
            self.maybe_review(kind, basket, time);
        }
        self.arrivals_until(time);
        let fate = bits >> 48;
        if fate < DUPLICATES {
            self.log.push(&event);
            self.arrives_later(event);
        } else if fate < DUPLICATES + LATE {
            self.arrives_later(event);
        } else {
            self.log.push(&event);
        }
    }

    fn maybe_review(&mut self, kind: Kind, basket: Basket, time: i64) {
        let written = match kind {
            Kind::ReviewSubmitted => !self.random.chance(REVIEW_LOST),
            _ => self.random.chance(REVIEW_UNLOGGED),
        };
        if written {
            self.reviews.push(Written {
                time,
                product: basket.product,
                stars: basket.stars,
            });
        }
    }

    fn arrives_later(&mut self, event: Event) {
        let arrival = event.time + (self.random.unit() * LATEST) as i64;
        let place = self.underway.partition_point(|other| other.0 > arrival);
        self.underway.insert(place, (arrival, event));
    }

    /// Appends the rows that arrive before anything at `time` does.
    #[inline]
    fn arrivals_until(&mut self, time: i64) {
        while let Some(&(arrival, event)) = self.underway.last()
            && arrival <= time
        {
            self.log.push(&event);
            self.underway.pop();
        }
    }
}
