//! Which plots a record has.

use std::fs;
use std::path::Path;

use anyhow::Result;

use super::record::Record;
use super::show::title;
use super::svg::{Panel, Row, draw};
use crate::case::{Kind, SYSTEMS, size};

/// One picture: file, title, and its panels.
struct Plot {
    file: &'static str,
    title: &'static str,
    panels: &'static [(&'static str, Kind, &'static str)],
}

const PLOTS: &[Plot] = &[
    Plot {
        file: "stream.svg",
        title: "One way, frames copied in: µs per frame",
        panels: &[
            ("64 B", Kind::Stream, "64"),
            ("64 KiB", Kind::Stream, "64k"),
            ("1080p (3.1 MB)", Kind::Stream, "1080p"),
        ],
    },
    Plot {
        file: "loan.svg",
        title: "One way, written in place (8 bytes): µs per frame",
        panels: &[("64 B", Kind::Loan, "64"), ("1080p (3.1 MB)", Kind::Loan, "1080p")],
    },
    Plot {
        file: "trip-64.svg",
        title: "Round trip of 64 B: p50 in µs",
        panels: &[
            ("the next request at once", Kind::Trip, "64"),
            ("1,000 requests a second", Kind::Paced, "64"),
        ],
    },
    Plot {
        file: "trip-1080p.svg",
        title: "Round trip of 1080p: p50 in µs",
        panels: &[
            ("the next request at once", Kind::Trip, "1080p"),
            ("1,000 requests a second", Kind::Paced, "1080p"),
        ],
    },
    Plot {
        file: "cpu.svg",
        title: "1080p at 60 frames a second: CPU seconds of both processes per 1,000 frames",
        panels: &[("copied in", Kind::Fps, "1080p")],
    },
];

/// Writes the plots that the record has figures for; gives their files and titles.
pub(crate) fn write(folder: &Path, record: &Record) -> Result<Vec<(&'static str, &'static str)>> {
    let mut written = Vec::new();
    for plot in PLOTS {
        let panels: Vec<Panel> =
            plot.panels.iter().map(|(title, kind, size)| panel(record, title, *kind, size)).collect();
        if panels.iter().all(|panel| panel.rows.is_empty()) {
            continue;
        }
        let note = "Median, least and greatest of interleaved runs, less is better; polled systems and the floor keep a \
                    processor busy while they wait.";
        fs::write(folder.join(plot.file), draw(plot.title, note, &panels))?;
        written.push((plot.file, plot.title));
    }
    Ok(written)
}

fn panel(record: &Record, title_of: &str, kind: Kind, at: &str) -> Panel {
    let mut rows: Vec<Row> = SYSTEMS
        .iter()
        .filter_map(|system| {
            let spread = record.figure(kind, at, system.name)?;
            let class = match system.name {
                "floor" => "floor",
                _ if system.is_ours() => "ours",
                _ => "peer",
            };
            Some(Row { label: title(system.name), spread, class })
        })
        .collect();
    rows.sort_by(|a, b| a.spread.median.total_cmp(&b.spread.median));
    let depth = size(at).map_or(0, |size| size.depth);
    Panel { title: format!("{title_of}, {depth} frames deep"), rows }
}
