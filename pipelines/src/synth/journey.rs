//! Which event follows which: a chain over the 17 event types whose frictions
//! grow and whose joys shrink as the mood falls. Called by `history`.

use super::random::scale;

/// The types of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    AppOpen,
    PageView,
    Search,
    ViewProduct,
    AddToCart,
    RemoveFromCart,
    ApplyCoupon,
    Purchase,
    PaymentFailed,
    OrderCancelled,
    WishlistAdd,
    RatingGiven,
    ReviewSubmitted,
    TicketCreated,
    TicketClosed,
    EmailOpen,
    PushNotificationOpen,
}

use Kind::{
    AddToCart, AppOpen, ApplyCoupon, EmailOpen, OrderCancelled, PageView, PaymentFailed, Purchase,
    PushNotificationOpen, RatingGiven, RemoveFromCart, ReviewSubmitted, Search, TicketClosed,
    TicketCreated, ViewProduct, WishlistAdd,
};

impl Kind {
    pub(super) const COUNT: usize = 17;

    #[rustfmt::skip] // a table, not code
    pub(super) const ALL: [Kind; Kind::COUNT] = [
        AppOpen, PageView, Search, ViewProduct, AddToCart, RemoveFromCart, ApplyCoupon, Purchase,
        PaymentFailed, OrderCancelled, WishlistAdd, RatingGiven, ReviewSubmitted, TicketCreated,
        TicketClosed, EmailOpen, PushNotificationOpen,
    ];

    /// The names in the order of `ALL`, as `event_type` holds them.
    #[rustfmt::skip] // a table, not code
    pub(super) const NAMES: [&str; Kind::COUNT] = [
        "app_open", "page_view", "search", "view_product", "add_to_cart", "remove_from_cart",
        "apply_coupon", "purchase", "payment_failed", "order_cancelled", "wishlist_add",
        "rating_given", "review_submitted", "ticket_created", "ticket_closed", "email_open",
        "push_notification_open",
    ];
}

/// How often `to` follows, before the mood has its say.
type Weights = &'static [(Kind, f64)];

/// How sessions begin.
#[rustfmt::skip] // a table, not code
const OPENING: Weights = &[
    (AppOpen, 60.0), (PushNotificationOpen, 14.0), (EmailOpen, 10.0), (PageView, 8.0),
    (Search, 3.0), (TicketCreated, 2.0), (OrderCancelled, 1.0), (RatingGiven, 1.5),
];

/// What follows each kind, in the order of `Kind::ALL`. No ticket is closed here:
/// `history` does that, which knows of open ones.
#[rustfmt::skip] // a table, not code
const FOLLOWING: [(Kind, Weights); Kind::COUNT] = [
    (AppOpen, &[
        (PageView, 40.0), (Search, 24.0), (ViewProduct, 24.0), (WishlistAdd, 2.0),
        (TicketCreated, 1.8), (OrderCancelled, 0.8), (RatingGiven, 2.0), (ReviewSubmitted, 3.6),
    ]),
    (PageView, &[
        (PageView, 20.0), (Search, 20.0), (ViewProduct, 34.0), (AddToCart, 6.0), (WishlistAdd, 2.5),
        (TicketCreated, 2.2), (RatingGiven, 1.6), (ReviewSubmitted, 2.9), (OrderCancelled, 0.9),
        (AppOpen, 1.0),
    ]),
    (Search, &[
        (ViewProduct, 58.0), (Search, 22.0), (PageView, 14.0), (WishlistAdd, 2.0),
        (TicketCreated, 1.0),
    ]),
    (ViewProduct, &[
        (ViewProduct, 28.0), (AddToCart, 24.0), (PageView, 16.0), (Search, 13.0),
        (WishlistAdd, 6.0), (RemoveFromCart, 1.5), (TicketCreated, 0.8), (ReviewSubmitted, 1.7),
    ]),
    (AddToCart, &[
        (Purchase, 36.0), (ViewProduct, 16.0), (ApplyCoupon, 13.0), (RemoveFromCart, 8.0),
        (AddToCart, 7.0), (PageView, 8.0), (PaymentFailed, 8.0), (Search, 6.0), (WishlistAdd, 2.0),
    ]),
    (RemoveFromCart, &[
        (ViewProduct, 36.0), (PageView, 26.0), (Search, 20.0), (AddToCart, 12.0),
        (TicketCreated, 1.2), (WishlistAdd, 5.0),
    ]),
    (ApplyCoupon, &[
        (Purchase, 52.0), (PaymentFailed, 9.0), (AddToCart, 14.0), (RemoveFromCart, 7.0),
        (PageView, 16.0),
    ]),
    (Purchase, &[
        (PageView, 40.0), (ViewProduct, 22.0), (Search, 10.0), (RatingGiven, 10.0),
        (ReviewSubmitted, 12.0), (OrderCancelled, 7.0), (TicketCreated, 3.0),
    ]),
    (PaymentFailed, &[
        (Purchase, 30.0), (PaymentFailed, 16.0), (TicketCreated, 8.0), (PageView, 22.0),
        (RemoveFromCart, 12.0), (OrderCancelled, 5.0), (Search, 6.0),
    ]),
    (OrderCancelled, &[
        (PageView, 40.0), (Search, 20.0), (ViewProduct, 26.0), (TicketCreated, 12.0),
    ]),
    (WishlistAdd, &[(ViewProduct, 46.0), (Search, 20.0), (PageView, 20.0), (AddToCart, 14.0)]),
    (RatingGiven, &[
        (ReviewSubmitted, 44.0), (PageView, 38.0), (ViewProduct, 20.0), (Search, 12.0),
    ]),
    (ReviewSubmitted, &[(PageView, 50.0), (ViewProduct, 24.0), (Search, 16.0), (RatingGiven, 6.0)]),
    (TicketCreated, &[
        (PageView, 54.0), (ViewProduct, 14.0), (Search, 12.0), (OrderCancelled, 5.0),
        (AppOpen, 8.0),
    ]),
    (TicketClosed, &[
        (PageView, 50.0), (ViewProduct, 24.0), (RatingGiven, 10.0), (TicketCreated, 4.0),
    ]),
    (EmailOpen, &[(ViewProduct, 38.0), (PageView, 30.0), (AppOpen, 26.0), (ApplyCoupon, 4.0)]),
    (PushNotificationOpen, &[(ViewProduct, 45.0), (PageView, 30.0), (AppOpen, 25.0)]),
];

/// How the weight of a kind changes per point of mood, as an exponent.
fn slope(kind: Kind) -> f64 {
    match kind {
        TicketCreated => -0.30,
        PaymentFailed => -0.22,
        OrderCancelled => -0.28,
        RemoveFromCart => -0.10,
        Purchase => 0.13,
        WishlistAdd => 0.08,
        _ => 0.0,
    }
}

const MOODS: usize = 16;
const STEPS: usize = 1024;
const STATES: usize = Kind::COUNT + 1;
/// The mood in which the weights hold as they stand.
const NEUTRAL_MOOD: f64 = 6.0;

/// The chain, spread out so that one look-up draws the next kind.
pub(super) struct Journey {
    next: Vec<Kind>,
}

/// One of the moods that the chain tells apart.
#[derive(Clone, Copy)]
pub(super) struct Mood(usize);

impl Mood {
    /// The nearest mood to a value of 1 to 10.
    pub(super) fn nearest(value: f64) -> Mood {
        let share = (value.clamp(1.0, 10.0) - 1.0) / 9.0;
        Mood((share * (MOODS - 1) as f64).round() as usize)
    }

    fn value(self) -> f64 {
        1.0 + 9.0 * self.0 as f64 / (MOODS - 1) as f64
    }
}

impl Journey {
    pub(super) fn new() -> Journey {
        let mut next = Vec::with_capacity(MOODS * STATES * STEPS);
        for mood in (0..MOODS).map(Mood) {
            for (_, weights) in FOLLOWING {
                spread(weights, mood, &mut next);
            }
            spread(OPENING, mood, &mut next);
        }
        Journey { next }
    }

    /// The kind that follows `previous`, or that opens a session.
    #[inline]
    pub(super) fn next(&self, mood: Mood, previous: Option<Kind>, bits32: u64) -> Kind {
        let state = previous.map_or(Kind::COUNT, |kind| kind as usize);
        self.next[(mood.0 * STATES + state) * STEPS + scale(bits32, STEPS)]
    }
}

/// Appends `STEPS` kinds, each as often as its weight in this mood.
fn spread(weights: Weights, mood: Mood, next: &mut Vec<Kind>) {
    let weigh = |&(kind, weight): &(Kind, f64)| {
        let pull = slope(kind) * (mood.value() - NEUTRAL_MOOD);
        (kind, weight * pull.exp())
    };
    let total: f64 = weights.iter().map(|entry| weigh(entry).1).sum();
    let mut sum = 0.0;
    let mut filled = 0;
    for (kind, weight) in weights.iter().map(weigh) {
        sum += weight;
        let until = (sum / total * STEPS as f64).round() as usize;
        next.extend(std::iter::repeat_n(kind, until - filled));
        filled = until;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_stand_in_the_order_of_their_names() {
        for (index, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index);
            assert_eq!(FOLLOWING[index].0, kind);
            let camel: String = Kind::NAMES[index].split('_').map(capital).collect();
            assert_eq!(format!("{kind:?}"), camel);
        }
    }

    fn capital(word: &str) -> String {
        word[..1].to_uppercase() + &word[1..]
    }

    #[test]
    fn bad_moods_meet_more_friction() {
        let journey = Journey::new();
        let tickets = |mood: f64| {
            let steps = (0..STEPS as u64).map(|step| step << 22);
            steps
                .filter(|&bits| {
                    journey.next(Mood::nearest(mood), Some(PageView), bits) == TicketCreated
                })
                .count()
        };
        assert!(tickets(2.0) > 3 * tickets(9.0));
        assert_eq!(journey.next.len(), MOODS * STATES * STEPS);
    }
}
