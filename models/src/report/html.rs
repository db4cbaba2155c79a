//! The report as one self-contained page: no scripts, nothing fetched, light and dark.

use std::fmt::Write;

use super::plot::{self, Axes};
use super::{ReportContext, majority_share};
use crate::{Candidate, Confusion, Evaluation, Trained};

const STYLE: &str = include_str!("page.css");
/// Features shown with their importance.
const MAX_BARS: usize = 25;

/// What stands in `report.html`.
pub fn report_html(trained: &Trained, context: &ReportContext<'_>) -> String {
    let best = trained.best();
    let name = format!("{} {}", escaped(context.model), escaped(context.version));
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{name}: training report</title><style>\n{STYLE}</style></head><body><main>\n"
    );
    page += &header(best, context, &name);
    page += &figures(best, context);
    page += &candidates(trained, context);
    page += &plots(&best.test);
    page += "<div class=\"pair\">";
    page += &confusion(&best.test);
    page += &classification(&best.test);
    page += "</div>
";
    page += &importance(best);
    page += "</main></body></html>\n";
    page
}

fn header(best: &Candidate, context: &ReportContext<'_>, name: &str) -> String {
    let metadata = best.model.metadata();
    let [train, valid, test] = metadata.rows.map(thousands);
    let trained_at = match context.trained_at {
        "" => String::new(),
        at => format!(", trained {}", escaped(at)),
    };
    format!(
        "<header><h1>{name}</h1><p class=\"soft\">{} for <b>{}</b>{trained_at}. {} features; \
         {train} rows to train, {valid} to choose, {test} to report on; seed {}.</p></header>\n",
        best.algorithm,
        escaped(&metadata.label),
        best.model.features().len(),
        metadata.seed,
    )
}

fn figures(best: &Candidate, context: &ReportContext<'_>) -> String {
    let test = &best.test;
    let share = test.positives as f64 / test.rows as f64;
    let oracle = context.oracle_roc_auc.map_or_else(
        || "0.5 is chance, 1 is perfect".to_owned(),
        |oracle| format!("the most that can be known: {oracle:.4}"),
    );
    let majority = majority_share(best);
    let figure = |title: &str, value: f64, note: &str| {
        format!(
            "<div class=\"card\"><span class=\"soft\">{title}</span><b>{value:.4}</b>\
             <span class=\"soft\">{note}</span></div>"
        )
    };
    [
        "<div class=\"figures\">".to_owned(),
        figure("ROC-AUC on test", test.roc_auc, &oracle),
        figure("PR-AUC", test.pr_auc, &format!("chance: {share:.4}")),
        figure(
            "Log loss",
            test.log_loss,
            &format!("always {share:.2}: {:.4}", entropy(share)),
        ),
        figure(
            "Brier score",
            test.brier,
            &format!("always {share:.2}: {:.4}", share * (1.0 - share)),
        ),
        figure(
            "Accuracy",
            test.confusion.accuracy(),
            &format!("most frequent label: {majority:.4}"),
        ),
        "</div>\n".to_owned(),
    ]
    .concat()
}

fn candidates(trained: &Trained, context: &ReportContext<'_>) -> String {
    let mut rows = String::new();
    for (at, candidate) in trained.candidates.iter().enumerate() {
        let class = if at == trained.best {
            " class=\"best\""
        } else {
            ""
        };
        let seconds = context
            .seconds(candidate.algorithm)
            .map_or_else(|| "–".to_owned(), |seconds| format!("{seconds:.2} s"));
        let (valid, test) = (&candidate.valid, &candidate.test);
        push(
            &mut rows,
            format_args!(
                "<tr{class}><td>{}</td><td>{:.4}</td><td>{:.4}</td><td>{:.4}</td><td>{:.4}</td>\
             <td>{:.4}</td><td>{:.4}</td><td>{seconds}</td></tr>",
                candidate.algorithm,
                valid.log_loss,
                valid.roc_auc,
                test.roc_auc,
                test.pr_auc,
                test.log_loss,
                test.brier,
            ),
        );
    }
    format!(
        "<section class=\"card\"><h2>Candidates</h2><p class=\"soft\">The least log loss on \
         valid is chosen; test took part in nothing.</p><table><thead><tr><th>algorithm</th>\
         <th>valid log loss</th><th>valid ROC-AUC</th><th>test ROC-AUC</th><th>test PR-AUC</th>\
         <th>test log loss</th><th>test Brier</th><th>trained in</th></tr></thead>\
         <tbody>{rows}</tbody></table></section>\n"
    )
}

fn plots(test: &Evaluation) -> String {
    let confusion = test.confusion;
    let [of_zero, of_one] = confusion.classes();
    let share = test.positives as f64 / test.rows as f64;
    let roc = plot::curve(
        &test.roc,
        [(0.0, 0.0), (1.0, 1.0)],
        (1.0 - of_zero.recall, of_one.recall),
        Axes {
            x: "false positive rate",
            y: "true positive rate",
        },
    );
    let pr = plot::curve(
        &test.pr,
        [(0.0, share), (1.0, share)],
        (of_one.recall, of_one.precision),
        Axes {
            x: "recall",
            y: "precision",
        },
    );
    let calibration = plot::calibration(
        &test.calibration,
        Axes {
            x: "mean probability",
            y: "share with label 1",
        },
    );
    let scores = plot::scores(
        &test.scores,
        test.threshold,
        Axes {
            x: "probability",
            y: "rows",
        },
    );
    let card = |title: &str, note: &str, svg: &str| {
        format!(
            "<section class=\"card\"><h2>{title}</h2><p class=\"soft\">{note}</p>{svg}</section>"
        )
    };
    let key = "<span class=\"key zero\">label 0</span><span class=\"key one\">label 1</span>";
    format!(
        "<div class=\"pair\">{}{}</div>\n<div class=\"pair\">{}{}</div>\n",
        card(
            "ROC curve",
            "The dot is where the model decides; dashed is chance.",
            &roc
        ),
        card(
            "Precision and recall",
            "Dashed is the share of label 1.",
            &pr
        ),
        card(
            "Calibration",
            "Tenths of the rows; on the dashed line probabilities come true.",
            &calibration
        ),
        card(
            "Probabilities by label",
            &format!("Dashed is the threshold.{key}"),
            &scores
        ),
    )
}

fn confusion(test: &Evaluation) -> String {
    let Confusion {
        true_positives,
        false_positives,
        true_negatives,
        false_negatives,
    } = test.confusion;
    let [tp, fp, tn, fn_] = [
        true_positives,
        false_positives,
        true_negatives,
        false_negatives,
    ]
    .map(thousands);
    format!(
        "<section class=\"card\"><h2>Confusion matrix</h2><p class=\"soft\">Decisions from a \
         probability of {:.4} upwards, the best F1 on valid.</p><table class=\"confusion\">\
         <thead><tr><th></th><th>decided 0</th><th>decided 1</th></tr></thead><tbody>\
         <tr><td>label 0</td><td class=\"right\">{tn}</td><td>{fp}</td></tr>\
         <tr><td>label 1</td><td>{fn_}</td><td class=\"right\">{tp}</td></tr></tbody></table></section>",
        test.threshold,
    )
}

fn classification(test: &Evaluation) -> String {
    let mut rows = String::new();
    for (label, class) in test.confusion.classes().into_iter().enumerate() {
        push(
            &mut rows,
            format_args!(
                "<tr><td>{label}</td><td>{:.4}</td><td>{:.4}</td><td>{:.4}</td><td>{}</td></tr>",
                class.precision,
                class.recall,
                class.f1,
                thousands(class.support),
            ),
        );
    }
    format!(
        "<section class=\"card\"><h2>Classification report</h2><p class=\"soft\">On test, at \
         the same threshold.</p><table><thead><tr><th>label</th><th>precision</th><th>recall</th>\
         <th>F1</th><th>rows</th></tr></thead><tbody>{rows}</tbody></table></section>"
    )
}

fn importance(best: &Candidate) -> String {
    let shares = best.model.importance();
    let most = shares.first().map_or(0.0, |first| first.share);
    let mut bars = String::new();
    for importance in shares
        .iter()
        .take(MAX_BARS)
        .filter(|importance| importance.share > 0.0)
    {
        let (name, width) = (
            escaped(&importance.feature),
            importance.share / most * 100.0,
        );
        push(
            &mut bars,
            format_args!(
                "<span title=\"{name}\">{name}</span><i style=\"width:{width:.1}%\"></i><em>{:.1} %</em>",
                importance.share * 100.0,
            ),
        );
    }
    let rest = match shares.len().saturating_sub(MAX_BARS) {
        0 => String::new(),
        rest => format!("<p class=\"soft\">and {rest} more</p>"),
    };
    format!(
        "<section class=\"card\"><h2>What decides</h2><p class=\"soft\">Share of each feature: \
         gain of the splits for trees, weight for logistic regression.</p>\
         <div class=\"bars\">{bars}</div>{rest}</section>\n"
    )
}

/// Log loss of always answering with the share of label 1.
fn entropy(share: f64) -> f64 {
    -(share * share.ln() + (1.0 - share) * (1.0 - share).ln())
}

fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

fn push(text: &mut String, piece: std::fmt::Arguments<'_>) {
    text.write_fmt(piece).expect("a string takes every text");
}
