//! Dot plots with ranges on a logarithmic axis, as SVG that suits light and dark pages.

use std::fmt::Write as _;

use super::record::Spread;
use super::show::digits;

/// One row of a panel.
pub(crate) struct Row {
    pub(crate) label: &'static str,
    pub(crate) spread: Spread,
    pub(crate) class: &'static str,
}

/// Rows that share an axis.
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) rows: Vec<Row>,
}

const WIDTH: f64 = 860.0;
/// Where the axis starts and ends: labels stand to its left, figures to its right.
const LEFT: f64 = 340.0;
const RIGHT: f64 = 780.0;
const ROW: f64 = 20.0;
const STYLE: &str = "text{font:13px system-ui,sans-serif;fill:#24292f}.h{font-weight:600;font-size:15px}\
.a{fill:#57606a;font-size:11px}.g{stroke:#d0d7de}.ours{fill:#0969da;stroke:#0969da}.peer{fill:#8c6d1f;stroke:#8c6d1f}\
.floor{fill:#6e7781;stroke:#6e7781}text.ours{stroke:none;font-weight:600}text.peer,text.floor{stroke:none;fill:#24292f}\
@media(prefers-color-scheme:dark){text,text.peer,text.floor{fill:#e6edf3}.a{fill:#9198a1}.g{stroke:#3d444d}\
.ours{fill:#58a6ff;stroke:#58a6ff}.peer{fill:#d4a72c;stroke:#d4a72c}.floor{fill:#8b949e;stroke:#8b949e}}";

/// The whole picture; panels without rows are left out.
pub(crate) fn draw(title: &str, note: &str, panels: &[Panel]) -> String {
    let mut body = String::new();
    let mut y = 52.0;
    for panel in panels.iter().filter(|panel| !panel.rows.is_empty()) {
        y = draw_panel(&mut body, panel, y);
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{title}\">\
         <style>{STYLE}</style>\n{heading}{note}{body}</svg>\n",
        height = y + 4.0,
        title = escape(title),
        heading = text(12.0, 22.0, "h", "start", title),
        note = text(12.0, 40.0, "a", "start", note),
    )
}

fn draw_panel(body: &mut String, panel: &Panel, top: f64) -> f64 {
    let axis = Axis::of(&panel.rows);
    body.push_str(&text(12.0, top + 16.0, "h", "start", &panel.title));
    let (first, last) = (top + 26.0, top + 26.0 + ROW * panel.rows.len() as f64);
    for (value, label) in axis.ticks() {
        let x = axis.x(value);
        let _ = writeln!(body, "<path class=\"g\" d=\"M{x:.1} {first}V{last}\"/>");
        if label {
            body.push_str(&text(x, last + 13.0, "a", "middle", &power(value)));
        }
    }
    for (index, row) in panel.rows.iter().enumerate() {
        let y = first + ROW * (index as f64 + 0.5);
        let Row { label, spread, class } = row;
        let [low, middle, high] = [spread.min, spread.median, spread.max].map(|value| axis.x(value));
        body.push_str(&text(LEFT - 12.0, y + 4.5, class, "end", label));
        let _ = writeln!(body, "<path class=\"{class}\" stroke-width=\"2\" d=\"M{low:.1} {y}H{high:.1}\"/>");
        let _ = writeln!(body, "<circle class=\"{class}\" cx=\"{middle:.1}\" cy=\"{y}\" r=\"4.5\"/>");
        body.push_str(&text(RIGHT + 12.0, y + 4.5, class, "start", &digits(spread.median)));
    }
    last + 30.0
}

/// Whole powers of ten at both ends.
struct Axis {
    low: i32,
    high: i32,
}

impl Axis {
    fn of(rows: &[Row]) -> Self {
        let low = rows.iter().map(|row| row.spread.min).fold(f64::MAX, f64::min).max(1e-6);
        let high = rows.iter().map(|row| row.spread.max).fold(low, f64::max);
        let (low, high) = (low.log10().floor() as i32, high.log10().ceil() as i32);
        Self { low, high: high.max(low + 1) }
    }

    fn x(&self, value: f64) -> f64 {
        let place = (value.max(1e-6).log10() - f64::from(self.low)) / f64::from(self.high - self.low);
        LEFT + place.clamp(0.0, 1.0) * (RIGHT - LEFT)
    }

    /// Powers of ten, and twice and five times them where there is room; the latter have no label.
    fn ticks(&self) -> Vec<(f64, bool)> {
        let mut ticks: Vec<(f64, bool)> =
            (self.low..=self.high).map(|exponent| (10f64.powi(exponent), true)).collect();
        if self.high - self.low <= 3 {
            for exponent in self.low..self.high {
                ticks.extend(
                    [2.0, 5.0].map(|factor| (factor * 10f64.powi(exponent), self.high - self.low == 1)),
                );
            }
        }
        ticks
    }
}

/// A tick's number as short as it gets.
fn power(value: f64) -> String {
    let text = format!("{value:.6}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if value >= 1e5 { format!("{value:e}") } else { text.to_owned() }
}

fn text(x: f64, y: f64, class: &str, anchor: &str, words: &str) -> String {
    format!(
        "<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\" text-anchor=\"{anchor}\">{}</text>\n",
        escape(words)
    )
}

fn escape(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_holds_all_ranges() {
        let row = |min, max| Row { label: "", spread: Spread { median: min, min, max }, class: "peer" };
        let axis = Axis::of(&[row(0.02, 0.03), row(40.0, 60.0)]);
        assert_eq!((axis.low, axis.high), (-2, 2));
        assert!(axis.x(0.01) >= LEFT && axis.x(100.0) <= RIGHT && axis.x(0.02) < axis.x(0.03));
        assert_eq!([power(0.01), power(1.0), power(20.0), power(0.002)], ["0.01", "1", "20", "0.002"]);
    }
}
