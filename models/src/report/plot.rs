//! Plots as SVG text, coloured by the classes of the page. Called by `html`.

use std::fmt::Write;

use crate::{CalibrationBin, CurvePoint, ScoreBin};

const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 46.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 42.0;

/// Labels of the axes.
#[derive(Clone, Copy)]
pub(super) struct Axes {
    pub(super) x: &'static str,
    pub(super) y: &'static str,
}

/// A curve over the unit square, the line that knows nothing, and the point at which the
/// model decides.
pub(super) fn curve(
    points: &[CurvePoint],
    chance: [(f64, f64); 2],
    decides_at: (f64, f64),
    axes: Axes,
) -> String {
    let mut plot = Plot::over_unit_square(axes);
    plot.line("chance", &chance);
    let line: Vec<(f64, f64)> = points.iter().map(|point| (point.x, point.y)).collect();
    if let (Some(first), Some(last)) = (line.first(), line.last()) {
        let mut area = vec![(first.0, 0.0)];
        area.extend_from_slice(&line);
        area.push((last.0, 0.0));
        plot.line("area", &area);
    }
    plot.line("curve", &line);
    plot.dot(
        "mark",
        decides_at,
        5.0,
        &format!("threshold: {:.3}, {:.3}", decides_at.0, decides_at.1),
    );
    plot.finish()
}

/// Mean probability against what happened; right is the diagonal.
pub(super) fn calibration(bins: &[CalibrationBin], axes: Axes) -> String {
    let mut plot = Plot::over_unit_square(axes);
    plot.line("chance", &[(0.0, 0.0), (1.0, 1.0)]);
    let points: Vec<(f64, f64)> = bins
        .iter()
        .map(|bin| (bin.predicted, bin.observed))
        .collect();
    plot.line("curve", &points);
    for (bin, &point) in bins.iter().zip(&points) {
        let title = format!(
            "{} rows: {:.3} predicted, {:.3} observed",
            bin.rows, point.0, point.1
        );
        plot.dot("dot", point, 4.0, &title);
    }
    plot.finish()
}

/// How many rows of each label have which probability.
pub(super) fn scores(bins: &[ScoreBin], threshold: f64, axes: Axes) -> String {
    let most = bins
        .iter()
        .map(|bin| bin.negatives.max(bin.positives))
        .max()
        .unwrap_or(0);
    let top = round_up(most.max(1) as f64);
    let mut plot = Plot::new(axes, top);
    for bin in bins {
        let half = (bin.high - bin.low) / 2.0;
        let sides = [
            ("zero", bin.low, bin.negatives),
            ("one", bin.low + half, bin.positives),
        ];
        for (class, from, rows) in sides {
            let title = format!("{rows} rows from {:.2} to {:.2}", bin.low, bin.high);
            plot.bar(class, (from, from + half * 0.92), rows as f64, &title);
        }
    }
    plot.line("threshold", &[(threshold, 0.0), (threshold, top)]);
    plot.finish()
}

/// An SVG under construction; x runs from 0 to 1, y from 0 to `top`.
struct Plot {
    svg: String,
    top: f64,
}

impl Plot {
    fn over_unit_square(axes: Axes) -> Plot {
        Plot::new(axes, 1.0)
    }

    fn new(axes: Axes, top: f64) -> Plot {
        let mut plot = Plot {
            svg: String::new(),
            top,
        };
        let name = format!("{} against {}", axes.y, axes.x);
        plot.push(format_args!(
            r#"<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{name}">"#
        ));
        for step in 0..=4 {
            let share = f64::from(step) / 4.0;
            let (x, y) = plot.place((share, share * top));
            let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
            plot.push(format_args!(
                r#"<line class="grid" x1="{LEFT}" y1="{y:.1}" x2="{right}" y2="{y:.1}"/>"#
            ));
            plot.push(format_args!(
                r#"<line class="grid" x1="{x:.1}" y1="{TOP}" x2="{x:.1}" y2="{bottom}"/>"#
            ));
            let (text_x, text_y) = (LEFT - 6.0, y + 4.0);
            let value = share * top;
            plot.push(format_args!(
                r#"<text x="{text_x}" y="{text_y:.1}" text-anchor="end">{value}</text>"#
            ));
            let text_y = bottom + 16.0;
            plot.push(format_args!(
                r#"<text x="{x:.1}" y="{text_y}" text-anchor="middle">{share}</text>"#
            ));
        }
        plot.axis_names(axes);
        plot
    }

    fn axis_names(&mut self, axes: Axes) {
        let (middle, foot) = (f64::midpoint(LEFT, WIDTH - RIGHT), HEIGHT - 6.0);
        self.push(format_args!(
            r#"<text x="{middle}" y="{foot}" text-anchor="middle">{}</text>"#,
            axes.x
        ));
        let middle = f64::midpoint(TOP, HEIGHT - BOTTOM);
        self.push(format_args!(
            r#"<text transform="translate(12 {middle}) rotate(-90)" text-anchor="middle">{}</text>"#,
            axes.y
        ));
    }

    fn line(&mut self, class: &str, points: &[(f64, f64)]) {
        let places: Vec<String> = points
            .iter()
            .map(|&point| {
                let (x, y) = self.place(point);
                format!("{x:.1},{y:.1}")
            })
            .collect();
        let places = places.join(" ");
        self.push(format_args!(
            r#"<polyline class="{class}" points="{places}"/>"#
        ));
    }

    fn dot(&mut self, class: &str, point: (f64, f64), radius: f64, title: &str) {
        let (x, y) = self.place(point);
        self.push(format_args!(
            r#"<circle class="{class}" cx="{x:.1}" cy="{y:.1}" r="{radius}"><title>{title}</title></circle>"#
        ));
    }

    fn bar(&mut self, class: &str, (from, to): (f64, f64), value: f64, title: &str) {
        let (x, y) = self.place((from, value));
        let (end, foot) = self.place((to, 0.0));
        let (width, height) = (end - x, foot - y);
        self.push(format_args!(
            r#"<rect class="{class}" x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}"><title>{title}</title></rect>"#
        ));
    }

    fn place(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let across = LEFT + x.clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT);
        let down = TOP + (1.0 - (y / self.top).clamp(0.0, 1.0)) * (HEIGHT - TOP - BOTTOM);
        (across, down)
    }

    fn push(&mut self, piece: std::fmt::Arguments<'_>) {
        self.svg
            .write_fmt(piece)
            .expect("a string takes every text");
    }

    fn finish(mut self) -> String {
        self.svg.push_str("</svg>");
        self.svg
    }
}

/// The next number of the form 4, 8, 12, 20, 40 times a power of ten, so that quarters
/// of it are easy to read.
fn round_up(most: f64) -> f64 {
    let power = 10_f64.powf((most / 4.0).log10().floor()).max(1.0);
    let fits = |times: &f64| times * power >= most;
    let steps = [4.0, 8.0, 12.0, 20.0, 40.0];
    steps.into_iter().find(fits).unwrap_or(40.0) * power
}
