//! The words of the review grammar. `{x}` in a template is a slot that `review`
//! fills: p product, a aspect, g a judgement as strong as the rating, o the
//! judgement of the opposite rating, i an intensifier, w who, t when, d days,
//! u a use, s a shop service.

/// What products of a category are called, and what people judge about them.
pub(super) struct Category {
    pub(super) name: &'static str,
    pub(super) nouns: &'static [&'static str],
    pub(super) aspects: &'static [&'static str],
    pub(super) uses: &'static [&'static str],
}

/// Ten categories; products 1000 to 1009 belong to the first, and so on.
pub(super) const CATEGORIES: [Category; 10] = [
    Category {
        name: "Electronics",
        nouns: &["headphones", "charger", "keyboard", "speaker", "tablet", "smart watch", "webcam"],
        aspects: &[
            "battery life", "sound", "screen", "bluetooth connection", "build", "setup",
            "charging cable", "software",
        ],
        uses: &["video calls", "the gym", "long flights", "working from home", "my commute"],
    },
    Category {
        name: "Shoes",
        nouns: &["running shoes", "sneakers", "boots", "sandals", "trainers", "loafers"],
        aspects: &[
            "fit", "sole", "stitching", "cushioning", "grip", "arch support", "leather", "width",
        ],
        uses: &["daily runs", "long shifts", "hiking", "the office", "a wedding"],
    },
    Category {
        name: "Clothing",
        nouns: &["jacket", "t-shirt", "pair of jeans", "sweater", "dress", "hoodie", "shirt"],
        aspects: &[
            "fabric", "cut", "colour", "zipper", "sizing", "seams", "print", "feel on the skin",
        ],
        uses: &["cold mornings", "a party", "work", "travel", "everyday wear"],
    },
    Category {
        name: "Kitchen",
        nouns: &[
            "blender", "coffee maker", "frying pan", "knife set", "kettle", "air fryer", "mixer",
        ],
        aspects: &[
            "motor", "handle", "coating", "lid", "cleaning", "noise level", "size",
            "temperature control",
        ],
        uses: &["smoothies", "family dinners", "baking", "a small kitchen", "breakfast"],
    },
    Category {
        name: "Beauty",
        nouns: &["face cream", "shampoo", "perfume", "serum", "lipstick", "sunscreen"],
        aspects: &[
            "scent", "texture", "effect", "bottle", "ingredient list", "colour", "staying power",
        ],
        uses: &["dry skin", "sensitive skin", "curly hair", "evenings out", "the summer"],
    },
    Category {
        name: "Books",
        nouns: &["novel", "cookbook", "textbook", "thriller", "biography", "guide"],
        aspects: &[
            "plot", "writing", "characters", "paper", "print", "pacing", "ending", "illustrations",
        ],
        uses: &["the holidays", "our book club", "my course", "bedtime", "a long train ride"],
    },
    Category {
        name: "Toys",
        nouns: &["puzzle", "building set", "doll", "board game", "toy train", "plush bear"],
        aspects: &[
            "quality of the parts", "instructions", "colours", "box", "fun factor", "plastic",
            "sound effects",
        ],
        uses: &["a birthday", "rainy days", "family evenings", "the kindergarten", "christmas"],
    },
    Category {
        name: "Sports",
        nouns: &["yoga mat", "dumbbell set", "tent", "bicycle helmet", "backpack", "racket"],
        aspects: &["grip", "weight", "straps", "padding", "durability", "finish", "size", "smell"],
        uses: &["home workouts", "camping", "the club", "weekend trips", "physiotherapy"],
    },
    Category {
        name: "Home",
        nouns: &["lamp", "set of curtains", "pillow", "rug", "shelf", "mirror", "blanket"],
        aspects: &[
            "material", "colour", "assembly", "screws", "size", "finish", "light", "softness",
        ],
        uses: &["the living room", "our guest room", "a rented flat", "the nursery", "my desk"],
    },
    Category {
        name: "Grocery",
        nouns: &["green tea", "olive oil", "dark chocolate", "coffee beans", "granola", "honey"],
        aspects: &[
            "taste", "freshness", "smell", "packaging", "aftertaste", "price per pack",
            "best-before date",
        ],
        uses: &["breakfast", "the office kitchen", "baking", "a gift basket", "cold evenings"],
    },
];

pub(super) const WHO: &[&str] = &[
    "my wife", "my husband", "my son", "my daughter", "my mother", "my father", "a friend",
    "my sister", "my brother", "a colleague", "myself", "my partner", "my nephew", "my grandmother",
    "our neighbour", "my roommate", "the kids",
];

pub(super) const WHEN: &[&str] = &[
    "last week", "a month ago", "two months ago", "in spring", "before the holidays", "on sale",
    "last year", "three weeks ago", "on a whim", "after long research", "during the flash sale",
    "in december", "in march", "in july", "right after payday", "with a coupon", "ten days ago",
    "as a replacement", "for the second time", "after reading the other reviews",
];

pub(super) const DAYS: &[&str] = &[
    "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "2", "3", "4", "5", "6", "7", "14",
];

pub(super) const INTENSIFIERS: &[&str] = &[
    "really", "very", "quite", "so", "extremely", "pretty", "truly", "rather", "incredibly", "just",
    "honestly", "absolutely",
];

/// What the shop does, the focus of the service tags.
pub(super) const SERVICES: &[&str] = &[
    "delivery", "the packaging", "customer service", "the support team", "the return process",
    "shipping", "the courier", "the seller", "order tracking", "the box it came in",
];

/// Judgements, from one star to five.
pub(super) const JUDGEMENTS: [&[&str]; 5] = [
    &[
        "terrible", "awful", "horrible", "useless", "disgusting", "pathetic", "a disaster",
        "a complete waste of money", "the worst i have seen", "broken", "a joke", "unacceptable",
    ],
    &[
        "poor", "disappointing", "bad", "annoying", "weak", "cheap", "frustrating",
        "below what i expected", "flawed", "unpleasant", "a letdown", "mediocre at best",
    ],
    &[
        "okay", "average", "acceptable", "nothing special", "fine for the price", "so-so",
        "as described", "decent enough", "neither good nor bad", "ordinary", "passable",
        "what you would expect",
    ],
    &[
        "good", "nice", "solid", "pleasant", "reliable", "better than expected", "well made",
        "helpful", "a good buy", "comfortable", "likeable", "worth the money",
    ],
    &[
        "excellent", "amazing", "perfect", "fantastic", "wonderful", "outstanding", "superb",
        "lovely", "the best i have had", "awesome", "brilliant", "flawless",
    ],
];

/// How a review begins; no judgement yet.
pub(super) const OPENERS: &[&str] = &[
    "i bought this {p} for {w} {t}.", "got the {p} {t}, mainly for {u}.",
    "ordered this {p} {t} and used it for {d} days before writing this.",
    "this {p} was meant for {u}.", "we have had the {p} for {d} weeks now.",
    "{w} wanted a {p} for {u}, so i ordered this one {t}.",
    "second {p} from this shop, this one bought {t}.",
    "i was looking for a {p} for {u} and found this {t}.", "bought {t} for {u}.",
    "after {d} days with this {p} i can say a few words.", "a gift for {w}, ordered {t}.",
    "i compared {d} different models before choosing this {p}.", "{w} and i use the {p} for {u}.",
    "picked up this {p} {t} because {w} told me about it.",
];

/// Judgements of one aspect, by rating.
pub(super) const OPINIONS: [&[&str]; 5] = [
    &[
        "the {a} is {i} {g}", "i hate the {a}", "the {a} failed after {d} days",
        "there is nothing {o} about the {a}", "the {a} was {g} from day one",
        "the {a} is not {o}, it is {g}", "the {a} made me angry",
        "avoid it if you care about the {a}",
    ],
    &[
        "the {a} is {g}", "i am not happy with the {a}", "the {a} could not be called {o}",
        "the {a} turned out {i} {g}", "the {a} bothers me after {d} days",
        "i expected more from the {a}", "the {a} is not as good as the pictures suggest",
        "sadly the {a} is {g}",
    ],
    &[
        "the {a} is {g}", "the {a} does what it should", "no strong feelings about the {a}",
        "the {a} is {g}, not more", "the {a} took {d} days to get used to",
        "about the {a} i can not say much", "the {a} could be better but could be worse",
        "the {a} seems {g} to me",
    ],
    &[
        "the {a} is {i} {g}", "i like the {a}", "the {a} is {g}", "no problem with the {a}",
        "the {a} is not {o}", "after {d} days the {a} still feels {g}",
        "{w} is fine with the {a} too", "i am happy with the {a}",
    ],
    &[
        "the {a} is {i} {g}", "i love the {a}", "the {a} is {g}", "{w} loves the {a}",
        "the {a} exceeded my expectations", "never had a {p} with such a great {a}",
        "the {a} is simply {g}", "after {d} weeks the {a} is still {g}",
    ],
];

/// Sentences about the shop, by rating.
pub(super) const SERVICE_OPINIONS: [&[&str]; 5] = [
    &[
        "it took {d} weeks to arrive and nobody answered my mails", "{s} was {g}",
        "they refused the refund, {s} is {g}", "it arrived damaged and {s} did not care",
        "i opened {d} tickets about it and {s} ignored me",
    ],
    &[
        "{s} was {g}", "it came {d} days late", "{s} needs to improve",
        "had to ask {d} times before {s} reacted", "there was a problem with {s}",
    ],
    &[
        "{s} was {g}", "it arrived after {d} days", "{s} did its job",
        "nothing to report about {s}", "{s} was neither fast nor slow",
    ],
    &[
        "{s} was {g}", "it arrived in {d} days", "{s} was friendly and quick",
        "thanks, {s} was no trouble", "a small question was answered nicely, {s} was {g}",
    ],
    &[
        "{s} was {i} {g}", "it arrived in {d} days, great",
        "{s} solved my question within {d} hours, impressive", "kudos, {s} was {g}",
        "beautifully packed and delivered in {d} days",
    ],
];

/// Remarks that judge nothing.
pub(super) const REMARKS: &[&str] = &[
    "we use it mostly for {u}", "the manual comes in {d} languages",
    "mine is the {d} piece version", "i will update this review in {d} months",
    "for reference, i use it {d} times a week", "{w} has the same {p}",
    "the colour on the site differs a little from the real one",
    "it replaced a {p} that i had for {d} years", "for {u} you may want a second one",
    "i asked {w} for a second opinion", "it stands next to the old {p} now",
    "i have used it {d} times so far",
];

/// How two judgements that agree, or do not, are joined.
pub(super) const AGREEING: &[&str] = &[
    " and ", ", and ", ", plus ", ", also ", ". on top of that, ", ". ", "; ", ". besides, ",
];
pub(super) const CONTRASTING: &[&str] = &[
    ", but ", ". however, ", ", though ", ", although ", ". on the other hand, ", ", yet ",
    ". still, ",
];

/// How a review ends, by rating.
pub(super) const CLOSERS: [&[&str]; 5] = [
    &[
        "do not buy this {p}", "i want my money back", "never again", "returning it tomorrow",
        "stay away", "worst purchase this year", "i would give zero stars if i could",
        "i am done with this shop", "shame on them",
    ],
    &[
        "would not buy again", "i will probably return it", "not recommended for {u}",
        "look elsewhere", "i regret buying it {t}", "expected better", "not worth the price",
    ],
    &[
        "it is okay for {u}", "for the price it will do", "might buy again, might not",
        "three stars from me", "you get what you pay for", "fine for {w}, i guess",
        "make up your own mind",
    ],
    &[
        "would buy again", "recommended for {u}", "a good choice for {w}", "happy with it so far",
        "i would recommend this {p}", "good value", "no regrets",
    ],
    &[
        "highly recommended", "best {p} ever", "buy it, you will love it",
        "five stars from me and {w}", "i would buy it again in a heartbeat", "thank you so much",
        "could not be happier", "perfect for {u}",
    ],
];

/// Headlines, by rating.
pub(super) const HEADLINES: [&[&str]; 5] = [
    &[
        "terrible {p}", "waste of money", "do not buy", "broke after {d} days", "{a} is {g}",
        "awful, returned it", "worst {p} so far", "very angry customer",
    ],
    &[
        "disappointing {p}", "not worth it", "expected more", "poor {a}", "{a} is {g}",
        "meh, would not buy again", "problems after {d} days",
    ],
    &[
        "okay {p}", "it does the job", "average {a}", "{a} is {g}", "so-so", "fine for {u}",
        "mixed feelings after {d} days",
    ],
    &[
        "good {p}", "nice {a}", "happy with it", "{a} is {g}", "solid choice for {u}", "good value",
        "likes: {a}",
    ],
    &[
        "excellent {p}", "love it", "best {p} ever", "{a} is {g}", "perfect for {u}",
        "highly recommended", "great {a}, great {p}",
    ],
];

/// What follows an enthusiastic or furious sentence, besides a full stop.
pub(super) const EXCLAMATIONS: &[&str] = &["!", "!!", "!!!", "! :)", "!"];
pub(super) const SIGHS: &[&str] = &["!", "!!", "...", " :(", "!!!"];
