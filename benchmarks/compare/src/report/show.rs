//! The terminal's view of one group.

use super::record::{Case, Record, Spread};
use crate::case::{Kind, SYSTEMS, Size};

/// Which figure a ratio is taken of: ZeroBuffer's in the same language.
pub(crate) fn ours(kind: Kind, system: &str) -> &'static str {
    match (system.starts_with("py-"), kind) {
        (false, _) => "ours",
        (true, Kind::Loan) => "py-ours-buffer",
        (true, _) => "py-ours",
    }
}

/// What to call a system.
pub(crate) fn title(name: &str) -> &'static str {
    SYSTEMS.iter().find(|system| system.name == name).map_or("?", |system| system.title)
}

pub(crate) fn unit(kind: Kind) -> &'static str {
    match kind {
        Kind::Stream | Kind::Loan => "µs/frame",
        Kind::Trip | Kind::Paced => "p50 µs",
        Kind::Fps => "CPU s/1000",
        Kind::Start => "ms",
    }
}

/// Three digits that count.
pub(crate) fn digits(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        size if size >= 0.1 => format!("{value:.3}"),
        _ => format!("{value:.4}"),
    }
}

pub(crate) fn range(spread: Spread) -> String {
    format!("{} to {}", digits(spread.min), digits(spread.max))
}

/// Prints the systems of one kind and size that the record has.
pub(crate) fn group(record: &Record, kind: Kind, size: Size) {
    println!("{kind}/{} ({}, {} frames deep)", size.name, size.title, size.depth);
    println!(
        "  {:<22}{:>10}  {:<20}{:>8}{:>12}{:>9}",
        "",
        unit(kind),
        "min to max",
        "x ours",
        "CPU s/1000",
        "foreign"
    );
    for system in SYSTEMS {
        let Some(case) = record.case(kind, size.name, system.name) else { continue };
        let Some(figure) = case.figure() else { continue };
        let base = record.figure(kind, size.name, ours(kind, system.name));
        let ratio = base.map_or_else(|| "-".into(), |base| digits(figure.median / base.median));
        let foreign = if case.foreign() > 0.05 { digits(case.foreign()) } else { String::new() };
        println!(
            "  {:<22}{:>10}  {:<20}{ratio:>8}{:>12}{foreign:>9}{}",
            system.name,
            digits(figure.median),
            range(figure),
            median(case, super::record::Run::cpu_per_1000),
            tails(case)
        );
    }
    println!();
}

fn median(case: &Case, of: impl Fn(&super::record::Run) -> Option<f64>) -> String {
    case.spread(of).map_or_else(String::new, |spread| digits(spread.median))
}

/// The higher percentiles of round trips.
fn tails(case: &Case) -> String {
    if !case.kind.is_round_trip() {
        return String::new();
    }
    let of = |key: &'static str| median(case, |run| run.value(key));
    format!("   p90 {}, p99 {}, p99.9 {}", of("p90"), of("p99"), of("p999"))
}
