//! Every figure against its definition, written down naively.

use proptest::prelude::*;

use super::*;

/// Labels of both kinds, and probabilities with many ties.
fn scored() -> impl Strategy<Value = (Vec<bool>, Vec<f64>)> {
    let row = (
        any::<bool>(),
        prop_oneof![(0_u8..=8).prop_map(|x| f64::from(x) / 8.0), 0.0..1.0],
    );
    proptest::collection::vec(row, 0..60).prop_map(|mut rows| {
        rows.extend([(true, 0.5), (false, 0.5)]);
        rows.into_iter().unzip()
    })
}

fn close(a: f64, b: f64) -> Result<(), TestCaseError> {
    prop_assert!((a - b).abs() < 1e-12, "{a} is not {b}");
    Ok(())
}

fn rows_of(labels: &[bool], label: bool) -> impl Iterator<Item = usize> + Clone {
    (0..labels.len()).filter(move |&row| labels[row] == label)
}

proptest! {
    #[test]
    fn roc_auc_is_the_share_of_pairs_in_order((labels, p) in scored()) {
        let mut wins = Vec::new();
        for one in rows_of(&labels, true) {
            for zero in rows_of(&labels, false) {
                wins.push(if p[one] > p[zero] { 1.0 } else if p[one] == p[zero] { 0.5 } else { 0.0 });
            }
        }
        close(roc_auc(&labels, &p), wins.iter().sum::<f64>() / wins.len() as f64)?;
    }

    #[test]
    fn roc_auc_is_the_area_under_the_curve((labels, p) in scored()) {
        let curve = roc_curve(&labels, &p);
        let area = |pair: &[CurvePoint]| (pair[1].x - pair[0].x) * f64::midpoint(pair[0].y, pair[1].y);
        close(curve.windows(2).map(area).sum(), roc_auc(&labels, &p))?;
        let (first, last) = (curve[0], curve[curve.len() - 1]);
        prop_assert_eq!((first.x, first.y, last.x, last.y), (0.0, 0.0, 1.0, 1.0));
    }

    #[test]
    fn average_precision_is_the_mean_over_the_ones((labels, p) in scored()) {
        let precision = |one: usize| {
            let above = |rows: usize| usize::from(p[rows] >= p[one]);
            let hits: usize = rows_of(&labels, true).map(above).sum();
            let all: usize = (0..labels.len()).map(above).sum();
            hits as f64 / all as f64
        };
        let ones = rows_of(&labels, true);
        close(average_precision(&labels, &p), ones.clone().map(precision).sum::<f64>() / ones.count() as f64)?;
    }

    #[test]
    fn losses_are_means_of_their_costs((labels, p) in scored()) {
        let (mut log, mut square) = (0.0, 0.0);
        for (&label, &p) in labels.iter().zip(&p) {
            let of_truth: f64 = if label { p } else { 1.0 - p };
            log -= of_truth.max(1e-15).ln();
            square += (1.0 - of_truth).powi(2);
        }
        // 1 - 1e-15 is not a double, hence the wider bound.
        prop_assert!((log_loss(&labels, &p) - log / labels.len() as f64).abs() < 0.05);
        close(brier(&labels, &p), square / labels.len() as f64)?;
    }

    #[test]
    fn confusion_counts_every_row_once((labels, p) in scored(), threshold in 0.0..1.0) {
        let confusion = Confusion::at(&labels, &p, threshold);
        let count = |label: bool, decision: bool| {
            rows_of(&labels, label).filter(|&row| (p[row] >= threshold) == decision).count() as u64
        };
        prop_assert_eq!(confusion.true_positives, count(true, true));
        prop_assert_eq!(confusion.false_positives, count(false, true));
        prop_assert_eq!(confusion.true_negatives, count(false, false));
        prop_assert_eq!(confusion.false_negatives, count(true, false));
        for (class, label) in confusion.classes().into_iter().zip([false, true]) {
            prop_assert_eq!(class.support, rows_of(&labels, label).count() as u64);
            let sum = class.precision + class.recall;
            let f1 = if sum == 0.0 { 0.0 } else { 2.0 * class.precision * class.recall / sum };
            close(class.f1, f1)?;
        }
    }

    #[test]
    fn no_threshold_has_a_better_f1((labels, p) in scored(), other in 0.0..1.0) {
        let f1 = |threshold| Confusion::at(&labels, &p, threshold).classes()[1].f1;
        let best = f1(best_f1_threshold(&labels, &p));
        for threshold in p.iter().copied().chain([other]) {
            prop_assert!(f1(threshold) <= best + 1e-12);
        }
    }

    #[test]
    fn bins_hold_every_row_once((labels, p) in scored()) {
        let evaluation = Evaluation::of(&labels, &p, 0.5);
        let rows: usize = evaluation.calibration.iter().map(|bin| bin.rows).sum();
        prop_assert_eq!(rows, labels.len());
        let mean: f64 = evaluation.calibration.iter().map(|bin| bin.predicted * bin.rows as f64).sum();
        prop_assert!((mean - p.iter().sum::<f64>()).abs() < 1e-9);
        let positives: usize = evaluation.scores.iter().map(|bin| bin.positives).sum();
        let negatives: usize = evaluation.scores.iter().map(|bin| bin.negatives).sum();
        prop_assert_eq!((positives, positives + negatives), (evaluation.positives, labels.len()));
    }
}

#[test]
fn a_long_curve_is_thinned_and_keeps_its_ends() {
    let labels: Vec<bool> = (0..5000).map(|row| row % 3 == 0).collect();
    let p: Vec<f64> = (0..5000).map(|row| f64::from(row) / 5000.0).collect();
    let evaluation = Evaluation::of(&labels, &p, 0.5);
    assert_eq!(evaluation.roc.len(), MAX_POINTS);
    assert_eq!(
        (evaluation.roc[0].x, evaluation.roc[MAX_POINTS - 1].x),
        (0.0, 1.0)
    );
}
