//! The embedder in the binary for now: hashed n-grams. Needs no weights and knows no
//! language.
//!
//! What it is: texts with the same words, word pairs and word pieces lie near each other,
//! whatever the words are, misspelt ones included. What it is not: an understanding of
//! meaning. "Cheap" and "inexpensive" are strangers to it, and so are a sentence and its
//! translation.
//!
//! How a text becomes a vector:
//!
//! 1. Words are the longest runs of letters and digits, lower-cased.
//! 2. Features are the words, the pairs of neighbouring words, and the runs of three
//!    characters of each word with its borders marked. A word is hashed by FNV-1a; pairs
//!    and runs are mixed from the hashes or characters they consist of.
//! 3. A feature that occurs n times weighs sqrt(n), times 1 for words, 0.5 for pairs and
//!    0.25 for runs.
//! 4. Each feature adds its weight to four of the 64 dimensions with a sign; dimensions
//!    and signs are bits of its mixed hash (a sparse random projection of a space of 2^62).
//! 5. The sum is brought to length one; without words it stays zero.
//!
//! Only additions, multiplications, divisions and square roots are used, in an order that
//! the text alone decides, so the bytes are the same on every platform. A change to any
//! of this is a new version in the id.

use std::cell::RefCell;

use super::Embedder;

const DIMENSION: usize = 64;
const BORDERS: (char, char) = ('<', '>');

/// Signed hashing of words, word pairs and word pieces into 64 dimensions.
#[derive(Clone, Copy, Debug, Default)]
pub struct HashedNgrams;

impl Embedder for HashedNgrams {
    fn id(&self) -> &'static str {
        "hashed-ngrams/1/64/f32"
    }

    fn dimension(&self) -> usize {
        DIMENSION
    }

    fn embed(&self, text: &str, out: &mut [f32]) {
        SCRATCH.with_borrow_mut(|features| {
            features.clear();
            collect(text, features);
            features.sort_unstable();
            project(features, out);
        });
    }
}

thread_local! {
    // The features of a text, kept between texts so that none of them allocates.
    static SCRATCH: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

/// Kinds of features, kept in the lowest two bits of their hashes.
#[derive(Clone, Copy)]
enum Kind {
    Word = 0,
    Pair = 1,
    Run = 2,
}

const WEIGHTS: [f32; 4] = [1.0, 0.5, 0.25, 0.0];

/// Walks the characters once: a word's hash grows with it, runs are complete at once.
fn collect(text: &str, features: &mut Vec<u64>) {
    let mut words = Words {
        features,
        word: None,
        previous: None,
    };
    for character in text.chars() {
        if character.is_ascii() {
            words.take(character.to_ascii_lowercase());
        } else {
            character.to_lowercase().for_each(|small| words.take(small));
        }
    }
    words.end_word();
}

struct Words<'a> {
    features: &'a mut Vec<u64>,
    word: Option<Word>,
    previous: Option<u64>,
}

/// A word that is being read: its hash so far and its last two characters.
struct Word {
    hash: u64,
    tail: [char; 2],
}

impl Words<'_> {
    fn take(&mut self, character: char) {
        if !character.is_alphanumeric() {
            self.end_word();
            return;
        }
        match &mut self.word {
            None => {
                let hash = fnv(FNV_START, character);
                self.word = Some(Word {
                    hash,
                    tail: [BORDERS.0, character],
                });
            }
            Some(word) => {
                word.hash = fnv(word.hash, character);
                self.features.push(run(word.tail, character));
                word.tail = [word.tail[1], character];
            }
        }
    }

    fn end_word(&mut self) {
        let Some(word) = self.word.take() else { return };
        self.features.push(run(word.tail, BORDERS.1));
        self.features.push(feature(Kind::Word, word.hash));
        if let Some(previous) = self.previous.replace(word.hash) {
            let pair = mix(previous).wrapping_add(word.hash);
            self.features.push(feature(Kind::Pair, pair));
        }
    }
}

fn run(tail: [char; 2], last: char) -> u64 {
    // A character has at most 21 bits.
    let bits = (u64::from(tail[0]) << 42) | (u64::from(tail[1]) << 21) | u64::from(last);
    feature(Kind::Run, bits)
}

fn feature(kind: Kind, bits: u64) -> u64 {
    (mix(bits ^ ((kind as u64) << 62)) & !3) | kind as u64
}

/// Sums the projections of the features, equal ones side by side, and normalises.
fn project(features: &[u64], out: &mut [f32]) {
    out.fill(0.0);
    for same in features.chunk_by(|a, b| a == b) {
        let feature = same[0];
        let weight = WEIGHTS[(feature & 3) as usize] * (same.len() as f32).sqrt();
        let mut bits = mix(feature);
        for _ in 0..4 {
            let sign = if bits & 64 == 0 { weight } else { -weight };
            out[(bits & 63) as usize] += sign;
            bits >>= 7;
        }
    }
    let norm = out.iter().map(|x| x * x).sum::<f32>().sqrt();
    if norm > 0.0 {
        for x in out {
            *x /= norm;
        }
    }
}

const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a over the bytes of a character's code point.
fn fnv(hash: u64, character: char) -> u64 {
    let step = |hash: u64, byte: u32| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let code = u32::from(character);
    if code < 0x80 {
        return step(hash, code);
    }
    let hash = step(hash, 0x80 | (code & 0x7f));
    step(step(hash, 0x80 | ((code >> 7) & 0x7f)), code >> 14)
}

/// The finalizer of SplitMix64: every bit of the input moves every bit of the output.
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::text::embedding::of_text;

    fn embed(text: &str) -> Vec<f32> {
        of_text(&HashedNgrams, text)
    }

    fn cosine(a: &str, b: &str) -> f32 {
        embed(a).iter().zip(embed(b)).map(|(x, y)| x * y).sum()
    }

    /// Worked out by a second implementation of the steps above. Other bytes need a new
    /// version in the id: stored vectors would no longer compare.
    #[test]
    fn the_bytes_of_version_one() {
        for (text, digest) in [
            ("Great phone, great battery!", 0x67b0_4f78_352d_1fa6),
            ("Schöne Grüße aus Köln; 配送很快。", 0x6d29_b630_5864_875c),
        ] {
            let mixed = |digest, x: &f32| mix(digest ^ u64::from(x.to_bits()));
            assert_eq!(embed(text).iter().fold(0, mixed), digest, "{text}");
        }
        assert_eq!(HashedNgrams.id(), "hashed-ngrams/1/64/f32");
    }

    #[test]
    fn near_wording_is_near() {
        let review = "The battery lasts two days and charging is fast";
        let typo = cosine(review, "the batery lasts two days, and charging is fast!");
        let same_topic = cosine(review, "battery charging is slow");
        let stranger = cosine(review, "Terrible customer service, never again");
        assert!(
            typo > same_topic && same_topic > stranger,
            "{typo} {same_topic} {stranger}"
        );
        assert!(typo > 0.8, "{typo}");
    }

    #[test]
    fn order_of_words_counts_a_little() {
        let swapped = cosine("not good but cheap", "cheap but not good");
        assert!(swapped > 0.6 && swapped < 0.999, "{swapped}");
    }

    proptest! {
        #[test]
        fn length_is_one_or_zero_and_scratch_leaves_no_trace(
            text in "\\PC{0,60}",
            before in "[a-z ]{0,40}",
        ) {
            let first = embed(&text);
            embed(&before);
            prop_assert_eq!(&embed(&text), &first);
            let norm = first.iter().map(|x| x * x).sum::<f32>().sqrt();
            prop_assert!(norm == 0.0 || (norm - 1.0).abs() < 1e-5);
            if !text.chars().any(char::is_alphanumeric) {
                prop_assert_eq!(norm, 0.0);
            }
        }

        #[test]
        fn case_and_punctuation_do_not_count(words in "[a-z]{1,8}( [a-z]{1,8}){0,5}") {
            let shouted = format!("  {}!!", words.to_uppercase().replace(' ', ", "));
            prop_assert_eq!(embed(&shouted), embed(&words));
        }
    }
}
