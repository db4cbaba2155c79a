//! Products, and the texts that the metadata column can hold. They are few, so
//! they are written once and events carry an index. Called by `history`, `review`.

use arrow::array::StringArray;

use super::journey::Kind;

/// The first product id; ten products of each category follow each other.
const FIRST_PRODUCT: usize = 1_000;
pub(super) const PRODUCTS: usize = 100;
pub(super) const PRODUCTS_PER_CATEGORY: usize = 10;

const PAGES: [&str; 4] = ["home", "search", "product", "profile"];
#[rustfmt::skip] // a list of words
const QUERIES: [&str; 32] = [
    "shoes", "laptop", "t-shirt", "iphone", "watch", "headphones", "running shoes", "backpack",
    "coffee maker", "blender", "yoga mat", "dumbbells", "jeans", "jacket", "sneakers", "novel",
    "cookbook", "puzzle", "lego", "doll", "face cream", "shampoo", "perfume", "lamp", "curtains",
    "pillow", "green tea", "olive oil", "chocolate", "keyboard", "tent", "gift for mom",
];
const COUPONS: [&str; 3] = ["NEW10", "SALE20", "FREESHIP"];
/// Percent off per coupon, and none.
const PERCENT_OFF: [usize; 3] = [0, 10, 20];
const PAYMENTS: [&str; 3] = ["upi", "card", "cod"];
const FAILURES: [&str; 3] = ["insufficient_funds", "card_declined", "timeout"];
const CANCELLATIONS: [&str; 3] = ["customer_request", "payment_issue", "inventory"];
pub(super) const TAGS: [&str; 4] = ["delivery", "quality", "packaging", "service"];
const PRIORITIES: [&str; 3] = ["low", "medium", "high"];
const TOPICS: [&str; 4] = ["delivery", "refund", "product", "account"];
const RESOLUTIONS: [&str; 3] = ["refund", "replacement", "info_provided"];
const CAMPAIGNS: [&str; 3] = ["promo_jan", "promo_feb", "winback"];
const TITLES: [&str; 3] = ["flash_sale", "price_drop", "new_arrival"];
const QUANTITIES: usize = 3;

/// What an event is about.
#[derive(Clone, Copy, Default)]
pub(super) struct Basket {
    /// Index of the product in hand.
    pub(super) product: usize,
    /// Which of the coupons has been applied, 0 for none.
    pub(super) discount: usize,
    /// Stars, 1 to 5, should the event give some.
    pub(super) stars: usize,
}

/// Every metadata text, kind after kind.
pub(super) struct Catalogue {
    texts: StringArray,
    first: [usize; Kind::COUNT],
    choices: [usize; Kind::COUNT],
}

impl Catalogue {
    pub(super) fn new() -> Catalogue {
        let mut texts = Vec::new();
        let mut first = [0; Kind::COUNT];
        let mut choices = [0; Kind::COUNT];
        for kind in Kind::ALL {
            let start = texts.len();
            write_texts(kind, &mut texts);
            first[kind as usize] = start;
            choices[kind as usize] = (texts.len() - start) / fixed_choices(kind);
        }
        Catalogue {
            texts: texts.into(),
            first,
            choices,
        }
    }

    /// The texts that indices point to.
    pub(super) fn texts(&self) -> &StringArray {
        &self.texts
    }

    /// The text of one event: the basket decides what it must, chance the rest.
    #[inline]
    pub(super) fn text(&self, kind: Kind, basket: Basket, bits32: u64) -> usize {
        let fixed = match kind {
            Kind::Purchase => basket.product * PERCENT_OFF.len() + basket.discount,
            Kind::RatingGiven => basket.product * 5 + basket.stars - 1,
            Kind::ApplyCoupon => basket.discount.min(COUPONS.len() - 1),
            kind if fixed_choices(kind) == PRODUCTS => basket.product,
            _ => 0,
        };
        let choices = self.choices[kind as usize];
        self.first[kind as usize] + fixed * choices + super::random::scale(bits32, choices)
    }
}

/// How many texts of a kind the basket tells apart; the rest is chance.
fn fixed_choices(kind: Kind) -> usize {
    match kind {
        Kind::Purchase => PRODUCTS * PERCENT_OFF.len(),
        Kind::RatingGiven => PRODUCTS * 5,
        Kind::ApplyCoupon => COUPONS.len(),
        Kind::ViewProduct
        | Kind::AddToCart
        | Kind::RemoveFromCart
        | Kind::WishlistAdd
        | Kind::PaymentFailed
        | Kind::OrderCancelled
        | Kind::ReviewSubmitted => PRODUCTS,
        _ => 1,
    }
}

/// Appends the texts of a kind; what the basket fixes varies slowest.
fn write_texts(kind: Kind, texts: &mut Vec<String>) {
    match kind {
        Kind::AppOpen => texts.push("{}".to_owned()),
        Kind::PageView => one_key(texts, "page", &PAGES),
        Kind::Search => one_key(texts, "query", &QUERIES),
        Kind::ApplyCoupon => one_key(texts, "coupon", &COUPONS),
        Kind::TicketClosed => one_key(texts, "resolution", &RESOLUTIONS),
        Kind::EmailOpen => one_key(texts, "campaign", &CAMPAIGNS),
        Kind::PushNotificationOpen => one_key(texts, "title", &TITLES),
        Kind::TicketCreated => {
            for priority in PRIORITIES {
                texts.extend(
                    TOPICS.map(|topic| {
                        format!(r#"{{"priority": "{priority}", "topic": "{topic}"}}"#)
                    }),
                );
            }
        }
        Kind::Purchase => (0..PRODUCTS).for_each(|product| write_purchases(product, texts)),
        Kind::ViewProduct
        | Kind::RemoveFromCart
        | Kind::WishlistAdd
        | Kind::AddToCart
        | Kind::PaymentFailed
        | Kind::OrderCancelled
        | Kind::RatingGiven
        | Kind::ReviewSubmitted => {
            (0..PRODUCTS).for_each(|product| write_about(kind, product, texts));
        }
    }
}

fn one_key(texts: &mut Vec<String>, key: &str, values: &[&str]) {
    texts.extend(
        values
            .iter()
            .map(|value| format!(r#"{{"{key}": "{value}"}}"#)),
    );
}

/// The texts of a kind that are about one product.
fn write_about(kind: Kind, product: usize, texts: &mut Vec<String>) {
    let id = product_id(product);
    let keyed = |key: &str, value: &str| format!(r#"{{"{key}": {value}, "product_id": {id}}}"#);
    let quoted = |value: &str| format!(r#""{value}""#);
    match kind {
        Kind::AddToCart => {
            texts.extend((1..=QUANTITIES).map(|n| keyed("quantity", &n.to_string())));
        }
        Kind::RatingGiven => texts.extend((1..=5).map(|n| keyed("rating", &n.to_string()))),
        Kind::PaymentFailed => texts.extend(FAILURES.map(|why| keyed("reason", &quoted(why)))),
        Kind::OrderCancelled => {
            texts.extend(CANCELLATIONS.map(|why| keyed("reason", &quoted(why))));
        }
        Kind::ReviewSubmitted => texts.extend(TAGS.map(|tag| keyed("tags", &quoted(tag)))),
        _ => texts.push(format!(r#"{{"product_id": {id}}}"#)),
    }
}

fn write_purchases(product: usize, texts: &mut Vec<String>) {
    let id = product_id(product);
    for percent in PERCENT_OFF {
        for quantity in 1..=QUANTITIES {
            let cents = price_in_cents(product) * quantity * (100 - percent) / 100;
            texts.extend(PAYMENTS.map(|payment| {
                format!(
                    r#"{{"payment_method": "{payment}", "amount": {}.{:02}, "quantity": {quantity}, "product_id": {id}}}"#,
                    cents / 100,
                    cents % 100
                )
            }));
        }
    }
}

/// The id of a product as events and reviews name it.
pub(super) fn product_id(product: usize) -> usize {
    FIRST_PRODUCT + product
}

/// From about 5 to about 500, without a pattern that the eye sees.
fn price_in_cents(product: usize) -> usize {
    let spread = (product * 37 + 11) % PRODUCTS;
    spread * spread * 5 + 499
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_json_and_says_what_the_basket_holds() {
        let catalogue = Catalogue::new();
        for text in catalogue.texts().iter().flatten() {
            let parsed: serde_json::Value = serde_json::from_str(text).unwrap();
            assert!(parsed.is_object());
        }
        for product in 0..PRODUCTS {
            for stars in 1..=5 {
                let basket = Basket {
                    product,
                    discount: stars % 3,
                    stars,
                };
                for kind in Kind::ALL {
                    for bits32 in [0, 1 << 31, u64::from(u32::MAX)] {
                        let text = catalogue
                            .texts()
                            .value(catalogue.text(kind, basket, bits32));
                        let parsed: serde_json::Value = serde_json::from_str(text).unwrap();
                        if let Some(id) = parsed.get("product_id") {
                            assert_eq!(id, product_id(product), "{kind:?}");
                        }
                        if kind == Kind::RatingGiven {
                            assert_eq!(parsed["rating"], stars);
                        }
                    }
                }
            }
        }
    }
}
