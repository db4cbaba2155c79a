//! The grown tree against one found by trying every division of every slot.

use proptest::prelude::*;

use super::*;
use crate::encoder::Encoded;
use crate::random::Random;

/// A matrix with gaps and ties, and whole-number targets.
#[derive(Debug, Clone)]
struct Case {
    encoded: Encoded,
    pairs: Vec<[i32; 2]>,
}

fn case() -> impl Strategy<Value = Case> {
    (2_usize..60, 1_usize..5).prop_flat_map(|(rows, width)| {
        let value = prop_oneof![1 => Just(f32::NAN), 4 => (-3_i8..4).prop_map(f32::from), 4 => -9.0_f32..9.0];
        let slots = proptest::collection::vec(value, rows * width);
        let pairs = proptest::collection::vec((-5_i32..6, 1_i32..4).prop_map(|(r, w)| [r, w]), rows);
        (slots, pairs).prop_map(move |(slots, pairs)| Case {
            encoded: Encoded::from_slots(slots, width),
            pairs,
        })
    })
}

fn growth(max_leaves: usize, width: usize) -> Growth {
    Growth {
        max_leaves,
        max_depth: 6,
        min_weight: 2.0,
        lambda: 1.0,
        min_gain: 1e-9,
        shrinkage: 1.0,
        features: FeatureChoice::OfTree((0..width as u32).collect()),
    }
}

fn grown(case: &Case, growth: &Growth) -> Grown {
    let bins = Bins::new(&case.encoded);
    let targets = Targets::counted(case.pairs.clone());
    grow(
        &bins,
        &targets,
        (0..case.pairs.len() as u32).collect(),
        growth,
        Random::new(1, 1),
    )
}

fn score(pairs: &[[i32; 2]], rows: &[usize]) -> (f64, i32) {
    let residual: i32 = rows.iter().map(|&row| pairs[row][0]).sum();
    let weight: i32 = rows.iter().map(|&row| pairs[row][1]).sum();
    (
        f64::from(residual * residual) / (f64::from(weight) + 1.0),
        weight,
    )
}

/// The most that any division of all rows gains.
fn best_gain(case: &Case) -> f64 {
    let all: Vec<usize> = (0..case.pairs.len()).collect();
    let mut best = 0.0_f64;
    for slot in 0..case.encoded.width() {
        let value = |row: usize| case.encoded.slots(row)[slot];
        for cut in all
            .iter()
            .map(|&row| value(row))
            .filter(|cut| !cut.is_nan())
        {
            for missing_left in [false, true] {
                let goes_left = |&row: &usize| {
                    if value(row).is_nan() {
                        missing_left
                    } else {
                        value(row) <= cut
                    }
                };
                let (left, right): (Vec<usize>, Vec<usize>) =
                    all.iter().partition(|row| goes_left(row));
                let ((left, left_weight), (right, right_weight)) =
                    (score(&case.pairs, &left), score(&case.pairs, &right));
                if left_weight >= 2 && right_weight >= 2 {
                    best = best.max(left + right - score(&case.pairs, &all).0);
                }
            }
        }
    }
    best
}

proptest! {
    #[test]
    fn the_first_split_is_the_best_of_all(case in case()) {
        let width = case.encoded.width();
        let mut gains = vec![0.0; width];
        grown(&case, &growth(2, width)).tree.add_gains(&mut gains);
        let (found, best): (f64, f64) = (gains.iter().sum(), best_gain(&case));
        prop_assert!((found - best).abs() < 1e-9, "{found} is not {best}");
    }

    #[test]
    fn walking_leads_to_the_leaf_that_a_row_was_put_in(case in case(), leaves in 1_usize..20) {
        let width = case.encoded.width();
        let per_split = Growth { features: FeatureChoice::PerSplit(2), ..growth(leaves, width) };
        for growth in [growth(leaves, width), per_split] {
            let grown = grown(&case, &growth);
            let flat = Trees::flatten(std::slice::from_ref(&grown.tree));
            prop_assert!(flat.is_sound(width));
            let mut seen = 0;
            for (rows, value) in grown.leaves() {
                let rows: Vec<usize> = rows.iter().map(|&row| row as usize).collect();
                let residual: i32 = rows.iter().map(|&row| case.pairs[row][0]).sum();
                let weight: i32 = rows.iter().map(|&row| case.pairs[row][1]).sum();
                prop_assert_eq!(value, (f64::from(residual) / (f64::from(weight) + 1.0)) as f32);
                for &row in &rows {
                    prop_assert_eq!(grown.tree.value(case.encoded.slots(row)), value);
                    prop_assert_eq!(flat.sum(case.encoded.slots(row)), f64::from(value));
                }
                seen += rows.len();
            }
            prop_assert_eq!(seen, case.pairs.len());
        }
    }
}

#[test]
fn many_distinct_values_become_even_ranges() {
    let mut random = Random::new(3, 3);
    let slots: Vec<f32> = (0..20_000).map(|_| random.normal().exp() as f32).collect();
    let bins = Bins::new(&Encoded::from_slots(slots, 1));
    let mut counts = [0_usize; 256];
    bins.slot(0)
        .codes()
        .iter()
        .for_each(|&code| counts[code as usize] += 1);
    assert_eq!(bins.slot(0).code_count(), 256);
    assert_eq!(counts[255], 0, "nothing is missing");
    assert!(
        counts[..255].iter().all(|count| (70..90).contains(count)),
        "{counts:?}"
    );
}

#[test]
fn a_gap_never_seen_goes_with_most_rows() {
    let slots: Vec<f32> = (0..100).map(|row| f32::from(u8::from(row >= 30))).collect();
    let pairs = (0..100)
        .map(|row| [if row < 30 { 5 } else { -5 }, 1])
        .collect();
    let case = Case {
        encoded: Encoded::from_slots(slots, 1),
        pairs,
    };
    let tree = grown(&case, &growth(2, 1)).tree;
    assert_eq!(tree.value(&[f32::NAN]), tree.value(&[1.0]));
    assert_ne!(tree.value(&[0.0]), tree.value(&[1.0]));
}
