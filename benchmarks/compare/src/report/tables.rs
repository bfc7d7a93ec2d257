//! The record's `README.md`: machine, targets, and every figure.

use std::fmt::Write as _;

use super::record::{Case, Record, Run, Spread};
use super::show::{digits, ours, range, title};
use super::targets::verdicts;
use crate::case::{Kind, SIZES, SYSTEMS};

/// All tables of a record.
pub(crate) fn page(record: &Record, plots: &[(&str, &str)]) -> String {
    let machine = &record.machine;
    let mut page = format!(
        "# {}, {}, {} processors\n\n{}\n\n`cargo xtask bench --record` made this; PERFORMANCE.md says how it measures and how to read it.\n",
        machine.date,
        machine.processor,
        machine.processors,
        machine.text().replacen("; ", ".\n\n- ", 1).replace("; ", ".\n- "),
    );
    let pinned = if record.pinned { "each end on a processor of its own" } else { "placed by the system" };
    let read = match record.touch.as_str() {
        "head" => "the first 8 bytes of each frame",
        "all" => "every byte of each frame",
        _ => "8 bytes of each cache line (Python ends: one byte in frames of up to 4 KiB)",
    };
    let _ = writeln!(
        page,
        "\nTwo processes for each figure, {pinned}. Receivers read {read}. Of a loaned frame they read the 8 bytes \
         that were written. Each cell is the median of the runs (least to greatest), then its ratio to ZeroBuffer in the same language. \
         ⚠ n: others used up to n processors beside a run, although it was repeated.\n"
    );
    for (file, title) in plots {
        let _ = writeln!(page, "![{title}]({file})\n");
    }
    targets(&mut page, record);
    for (kind, heading) in [
        (Kind::Stream, "One way, copied in: µs per frame"),
        (Kind::Loan, "One way, written in place: µs per frame"),
    ] {
        by_size(&mut page, record, kind, heading);
    }
    round_trips(&mut page, record);
    fps(&mut page, record);
    start(&mut page, record);
    memory(&mut page, record);
    wrapped(&page)
}

/// Prose in lines of at most 100 columns; tables and headings as they are.
fn wrapped(page: &str) -> String {
    const COLUMNS: usize = 100;
    let mut text = String::new();
    for line in page.lines() {
        let mut column = 0;
        if line.starts_with(['#', '|', '!']) {
            text.push_str(line);
        } else {
            for word in line.split(' ') {
                let width = word.chars().count();
                if column + 1 + width > COLUMNS {
                    text.push('\n');
                    column = 0;
                } else if column > 0 {
                    text.push(' ');
                    column += 1;
                }
                text.push_str(word);
                column += width;
            }
        }
        text.push('\n');
    }
    text
}

fn targets(page: &mut String, record: &Record) {
    let verdicts = verdicts(record);
    if verdicts.is_empty() {
        return;
    }
    page.push_str("## Targets\n\n| case | against | target | measured | |\n|---|---|---|---|---|\n");
    for verdict in verdicts {
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} |",
            verdict.case,
            title(&verdict.against),
            verdict.target,
            verdict.measured,
            if verdict.met { "met" } else { "**missed**" }
        );
    }
}

/// Median, range, and ratio to ZeroBuffer.
fn cell(record: &Record, case: &Case, of: impl Fn(&Run) -> Option<f64>) -> String {
    let Some(spread) = case.spread(&of) else { return "–".into() };
    let base =
        record.case(case.kind, &case.size, ours(case.kind, &case.system)).and_then(|case| case.spread(of));
    let ratio = |base: Spread| format!(" ×{}", digits(spread.median / base.median));
    let foreign =
        if case.foreign() > 0.15 { format!(" ⚠ {}", digits(case.foreign())) } else { String::new() };
    format!("{} ({}){}{foreign}", digits(spread.median), range(spread), base.map_or_else(String::new, ratio))
}

/// The cases of one kind at one size, with their titles, in the order of the systems.
fn cases<'a>(
    record: &'a Record,
    kind: Kind,
    size: &'a str,
) -> impl Iterator<Item = (&'static str, &'a Case)> {
    SYSTEMS.iter().filter_map(move |system| Some((system.title, record.case(kind, size, system.name)?)))
}

fn by_size(page: &mut String, record: &Record, kind: Kind, heading: &str) {
    let sizes: Vec<_> =
        SIZES.into_iter().filter(|size| cases(record, kind, size.name).next().is_some()).collect();
    if sizes.is_empty() {
        return;
    }
    let _ = write!(page, "\n## {heading}\n\n| |");
    for size in &sizes {
        let _ = write!(page, " {}, {} deep |", size.title, size.depth);
    }
    let _ = writeln!(page, "\n|---|{}", "---|".repeat(sizes.len()));
    for system in SYSTEMS {
        let row: Vec<_> = sizes.iter().map(|size| record.case(kind, size.name, system.name)).collect();
        if row.iter().all(Option::is_none) {
            continue;
        }
        let _ = write!(page, "| {} |", system.title);
        for case in row {
            let text = case.map_or_else(String::new, |case| cell(record, case, |run| run.figure(kind)));
            let _ = write!(page, " {text} |");
        }
        page.push('\n');
    }
}

fn round_trips(page: &mut String, record: &Record) {
    for (kind, what) in [(Kind::Trip, "the next request at once"), (Kind::Paced, "1,000 requests a second")] {
        for size in SIZES {
            let mut rows = cases(record, kind, size.name).peekable();
            if rows.peek().is_none() {
                continue;
            }
            let _ = writeln!(
                page,
                "\n## Round trip of {}, {what}: µs\n\n| | p50 | p90 | p99 | p99.9 | CPU s per 1,000 |\n|---|---|---|---|---|---|",
                size.title
            );
            for (title, case) in rows {
                let of = |key: &'static str| cell(record, case, move |run| run.value(key));
                let _ = writeln!(
                    page,
                    "| {title} | {} | {} | {} | {} | {} |",
                    of("p50"),
                    of("p90"),
                    of("p99"),
                    of("p999"),
                    cell(record, case, Run::cpu_per_1000)
                );
            }
        }
    }
}

fn fps(page: &mut String, record: &Record) {
    let mut rows = cases(record, Kind::Fps, "1080p").peekable();
    if rows.peek().is_some() {
        page.push_str("\n## 1080p at 60 frames a second: CPU seconds of both processes per 1,000 frames\n\n| | CPU s |\n|---|---|\n");
    }
    for (title, case) in rows {
        let _ = writeln!(page, "| {title} | {} |", cell(record, case, Run::cpu_per_1000));
    }
}

fn start(page: &mut String, record: &Record) {
    let mut rows = cases(record, Kind::Start, "1080p").peekable();
    if rows.peek().is_some() {
        page.push_str(
            "\n## From nothing to the first frame, 1080p, 8 deep: ms\n\nCreating the receiving end, then from the start of \
             the sending end to the frame's arrival; without the start of the processes and of Python. ZeroBuffer and the floor \
             map all memory beforehand.\n\n| | in all | creating | first frame |\n|---|---|---|---|\n",
        );
    }
    for (title, case) in rows {
        let part = |key: &'static str| {
            case.spread(move |run| Some(run.value(key)? * 1e3))
                .map_or_else(String::new, |part| digits(part.median))
        };
        let all = cell(record, case, |run| run.figure(Kind::Start));
        let _ = writeln!(page, "| {title} | {all} | {} | {} |", part("create"), part("first"));
    }
}

/// At the end of a stream, in MiB.
fn memory(page: &mut String, record: &Record) {
    let mut heading = false;
    for system in SYSTEMS {
        let of = |size: &str, key: fn(&Run) -> [u64; 2]| -> Option<f64> {
            let case = record.case(Kind::Stream, size, system.name)?;
            let spread = case.spread(|run| Some(key(run).iter().sum::<u64>() as f64 / 1024.0))?;
            Some(spread.median)
        };
        let cell = |size, key| of(size, key).map_or_else(String::new, digits);
        let cells =
            ["64", "1080p"].map(|size| [cell(size, |run| run.memory.pss), cell(size, |run| run.memory.rss)]);
        if cells.iter().flatten().all(String::is_empty) {
            continue;
        }
        if !heading {
            heading = true;
            page.push_str(
                "\n## Memory of both processes at the end of a stream: MiB\n\nPSS counts shared pages once in all, RSS in each \
                 process. Python ends that read 1080p frames have numpy loaded, and the interpreter.\n\n| | 64 B: PSS | RSS | \
                 1080p: PSS | RSS |\n|---|---|---|---|---|\n",
            );
        }
        let _ = writeln!(page, "| {} | {} |", system.title, cells.map(|pair| pair.join(" | ")).join(" | "));
    }
}
