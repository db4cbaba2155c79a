//! One review: words put together by a grammar whose tone is that of the stars,
//! and the votes it got. Fills the columns of `review_table`. Called by `chunk`.

use super::catalogue::{PRODUCTS_PER_CATEGORY, product_id};
use super::history::Written;
use super::phrases::{
    AGREEING, CATEGORIES, CLOSERS, CONTRASTING, Category, DAYS, EXCLAMATIONS, HEADLINES,
    INTENSIFIERS, JUDGEMENTS, OPENERS, OPINIONS, REMARKS, SERVICE_OPINIONS, SERVICES, SIGHS, WHEN,
    WHO,
};
use super::random::Random;

/// Shares of missing values.
const NO_TEXT: f64 = 0.035;
const NO_SUMMARY: f64 = 0.042;
const NO_RATING: f64 = 0.038;

/// How often a sentence is a star off the review's tone, and how often a text
/// has a slip of the keyboard.
const OFF_TONE: f64 = 0.15;
const TYPO: f64 = 0.12;

/// A review ends soon after it has its number of words, drawn between these; the
/// last sentences may carry it on to about 80.
const FEWEST_WORDS: f64 = 8.0;
const ENOUGH_WORDS: f64 = 48.0;

/// A column of text, laid out as Arrow wants it.
#[derive(Default)]
pub(super) struct TextColumn {
    pub(super) bytes: Vec<u8>,
    pub(super) lengths: Vec<usize>,
    pub(super) present: Vec<bool>,
}

impl TextColumn {
    fn push(&mut self, text: Option<&[u8]>) {
        self.bytes.extend_from_slice(text.unwrap_or_default());
        self.lengths.push(text.map_or(0, <[u8]>::len));
        self.present.push(text.is_some());
    }
}

/// The columns of `review_table`; users and categories are indices.
#[derive(Default)]
pub(super) struct ReviewColumns {
    pub(super) users: Vec<i32>,
    pub(super) products: Vec<i64>,
    pub(super) texts: TextColumn,
    pub(super) summaries: TextColumn,
    pub(super) ratings: Vec<Option<i64>>,
    pub(super) times: Vec<i64>,
    pub(super) helpful: Vec<i64>,
    pub(super) votes: Vec<i64>,
    pub(super) ratios: Vec<f64>,
    pub(super) text_lengths: Vec<Option<i64>>,
    pub(super) categories: Vec<i32>,
}

impl ReviewColumns {
    /// Writes one review of user number `user` of the chunk.
    pub(super) fn write(&mut self, user: i32, written: Written, random: &mut Random) {
        let category = written.product / PRODUCTS_PER_CATEGORY;
        let tone = written.stars - 1;
        let text = Author::new(category, random).review(tone);
        let summary = Author::new(category, random).headline(tone);
        let votes = (random.exponential(1.0).powf(1.7) * 4.0).min(400.0) as i64;
        // Long reviews help more, and people agree a little more with praise.
        let agreement = 0.45 + 0.04 * tone as f64 + (text.len() as f64 / 3_000.0).min(0.15);
        let helpful = (0..votes).filter(|_| random.chance(agreement)).count() as i64;
        let has_text = !random.chance(NO_TEXT);

        self.users.push(user);
        self.products.push(product_id(written.product) as i64);
        self.texts.push(has_text.then_some(&text));
        self.summaries
            .push((!random.chance(NO_SUMMARY)).then_some(&summary));
        self.ratings
            .push((!random.chance(NO_RATING)).then_some(written.stars as i64));
        self.times.push(written.time);
        self.helpful.push(helpful);
        self.votes.push(votes);
        self.ratios.push(helpful as f64 / votes.max(1) as f64);
        self.text_lengths
            .push(has_text.then_some(text.len() as i64));
        self.categories.push(category as i32);
    }
}

/// Someone writing about a product; all phrases are ASCII.
struct Author<'a> {
    text: Vec<u8>,
    words: usize,
    product: &'static str,
    category: &'static Category,
    random: &'a mut Random,
}

impl<'a> Author<'a> {
    fn new(category: usize, random: &'a mut Random) -> Author<'a> {
        let category = &CATEGORIES[category];
        Author {
            text: Vec::with_capacity(512),
            words: 0,
            product: random.pick(category.nouns),
            category,
            random,
        }
    }

    fn headline(mut self, tone: usize) -> Vec<u8> {
        let template = self.random.pick(HEADLINES[tone]);
        self.say(template, tone);
        self.end_sentence(0, "");
        self.text
    }

    fn review(mut self, tone: usize) -> Vec<u8> {
        let wanted = self.random.between(FEWEST_WORDS, ENOUGH_WORDS) as usize;
        if self.random.chance(0.7) {
            let opener = self.random.pick(OPENERS);
            self.sentence(opener, tone, "");
        }
        self.judge(tone);
        while self.words < wanted {
            match self.random.weighted(&[0.6, 0.2, 0.2]) {
                0 => self.judge(tone),
                1 => {
                    let service = self.random.pick(SERVICE_OPINIONS[tone]);
                    self.sentence(service, tone, ".");
                }
                _ => {
                    let remark = self.random.pick(REMARKS);
                    self.sentence(remark, tone, ".");
                }
            }
        }
        if self.random.chance(0.6) {
            let closer = self.random.pick(CLOSERS[tone]);
            let stop = self.emphasis(tone);
            self.sentence(closer, tone, stop);
        }
        self.slip();
        self.text
    }

    /// One or two judgements in a sentence, the second possibly a star off.
    fn judge(&mut self, tone: usize) {
        let start = self.begin_sentence();
        let first = self.waver(tone);
        let template = self.random.pick(OPINIONS[first]);
        self.say(template, first);
        if self.random.chance(0.45) {
            let second = self.waver(tone);
            let apart = (first >= 2) != (second >= 2) || (tone == 2 && self.random.chance(0.5));
            let joint = if apart { CONTRASTING } else { AGREEING };
            let joint = self.random.pick(joint);
            self.text.extend_from_slice(joint.as_bytes());
            let template = self.random.pick(OPINIONS[second]);
            self.say(template, second);
        }
        let stop = self.emphasis(tone);
        self.end_sentence(start, stop);
    }

    fn waver(&mut self, tone: usize) -> usize {
        if !self.random.chance(OFF_TONE) {
            return tone;
        }
        if self.random.chance(0.5) {
            tone.saturating_sub(1)
        } else {
            (tone + 1).min(4)
        }
    }

    /// How a judgement ends: mostly with a full stop.
    fn emphasis(&mut self, tone: usize) -> &'static str {
        match tone {
            4 if self.random.chance(0.35) => self.random.pick(EXCLAMATIONS),
            0 if self.random.chance(0.35) => self.random.pick(SIGHS),
            _ => ".",
        }
    }

    fn sentence(&mut self, template: &str, tone: usize, stop: &str) {
        let start = self.begin_sentence();
        self.say(template, tone);
        self.end_sentence(start, stop);
    }

    fn begin_sentence(&mut self) -> usize {
        if !self.text.is_empty() {
            self.text.push(b' ');
        }
        self.text.len()
    }

    /// Ends the sentence, sets its capitals, and counts its words.
    fn end_sentence(&mut self, start: usize, stop: &str) {
        self.text.extend_from_slice(stop.as_bytes());
        let sentence = &mut self.text[start..];
        capitalize(sentence);
        self.words += sentence.split(|&byte| byte == b' ').count();
    }

    /// Appends a template with its slots filled.
    fn say(&mut self, template: &str, tone: usize) {
        let mut rest = template.as_bytes();
        while let Some(open) = rest.iter().position(|&byte| byte == b'{') {
            self.text.extend_from_slice(&rest[..open]);
            let start = self.text.len();
            let word = self.fill(rest[open + 1], tone);
            self.text.extend_from_slice(word.as_bytes());
            if rest[open + 1] == b'g' && self.random.chance(0.04) {
                self.text[start..].make_ascii_uppercase();
            }
            rest = &rest[open + 3..];
        }
        self.text.extend_from_slice(rest);
    }

    fn fill(&mut self, slot: u8, tone: usize) -> &'static str {
        let choices = match slot {
            b'p' => return self.product,
            b'a' => self.category.aspects,
            b'u' => self.category.uses,
            b'g' => JUDGEMENTS[tone],
            b'o' => JUDGEMENTS[4 - tone],
            b'i' => INTENSIFIERS,
            b'w' => WHO,
            b't' => WHEN,
            b'd' => DAYS,
            _ => SERVICES,
        };
        self.random.pick(choices)
    }

    /// Sometimes swaps two letters, drops one, or writes all in lower case.
    fn slip(&mut self) {
        if self.random.chance(0.05) {
            self.text.make_ascii_lowercase();
        }
        if !self.random.chance(TYPO) {
            return;
        }
        let place = self.random.below(self.text.len() - 2) + 1;
        let letters = &self.text[place..place + 2];
        if !letters.iter().all(u8::is_ascii_lowercase) {
            return;
        }
        if self.random.chance(0.6) {
            self.text.swap(place, place + 1);
        } else {
            self.text.remove(place);
        }
    }
}

/// Capitals at the start, after a full stop, and for the word "i".
fn capitalize(sentence: &mut [u8]) {
    let mut before = [b'.', b' '];
    for place in 0..sentence.len() {
        let letter = sentence[place];
        let alone = letter == b'i' && before[1] == b' ' && sentence.get(place + 1) == Some(&b' ');
        if before == [b'.', b' '] || alone {
            sentence[place].make_ascii_uppercase();
        }
        before = [before[1], letter];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reviews(tone: usize, count: u64) -> impl Iterator<Item = String> {
        (0..count).map(move |user| {
            let mut random = Random::stream(9, user);
            let category = random.below(CATEGORIES.len());
            let text = Author::new(category, &mut random).review(tone);
            String::from_utf8(text).unwrap()
        })
    }

    #[test]
    fn reviews_have_between_eight_and_eighty_words() {
        for tone in 0..5 {
            for text in reviews(tone, 2_000) {
                let words = text.split(' ').count();
                assert!((8..=80).contains(&words), "{words}: {text}");
                assert!(text.is_ascii() && !text.contains(['{', '}']), "{text}");
            }
        }
    }

    #[test]
    fn sentences_have_capitals() {
        let mut text = *b"it failed. besides, i see no i-frame";
        capitalize(&mut text);
        assert_eq!(&text, b"It failed. Besides, I see no i-frame");
    }

    #[test]
    fn the_words_tell_the_stars() {
        let sentiment = |tone| {
            let analyzer = vader_parity::SentimentIntensityAnalyzer::new();
            let scores = reviews(tone, 300).map(|text| analyzer.polarity_scores(&text).compound);
            scores.sum::<f64>() / 300.0
        };
        let by_stars: Vec<f64> = (0..5).map(sentiment).collect();
        assert!(by_stars.is_sorted(), "{by_stars:?}");
        assert!(by_stars[0] < -0.3 && by_stars[4] > 0.3, "{by_stars:?}");
    }
}
