//! `zerobuffer inspect`: all about one buffer.
use std::fmt::Write as _;

use zerobuffer::observe;

use super::buffer::{BufferView, MetadataView, PeerView};
use crate::fail::Fail;
use crate::{output, size, text};

/// Show all about one buffer; looking never disturbs its stream.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The buffer's name.
    name: String,
    /// Print JSON: one object.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<(), Fail> {
    let buffer = BufferView::new(observe::inspect(&args.name)?);
    if args.json { output::print_json(&buffer) } else { output::print(&page(&buffer)) }
}

/// The view for people; writing to a String cannot fail, hence the ignored results.
fn page(buffer: &BufferView) -> String {
    let mut page = String::new();
    let mut row = |key: &str, value: &str| {
        let _ = writeln!(page, "{key:<12} {value}");
    };
    row("name", &text::one_line(&buffer.name));
    row("ring", &format!("{} ({} bytes)", size::human(buffer.ring_bytes), buffer.ring_bytes));
    row(
        "fill",
        &format!(
            "{} % ({} bytes used, {} free)",
            buffer.fill_percent(),
            buffer.used_bytes,
            buffer.free_bytes
        ),
    );
    row("positions", &format!("write {}, read {}", buffer.write_position, buffer.read_position));
    row(
        "frames",
        &format!(
            "{} written, {} read, {} waiting",
            buffer.frames_written,
            buffer.frames_read(),
            buffer.frames_waiting
        ),
    );
    row("writer", &peer(buffer.writer.as_ref()));
    row("reader", &peer(buffer.reader.as_ref()));
    row("tokens", &format!("data {}, space {}", tokens(buffer.data_tokens), tokens(buffer.space_tokens)));
    row("mode", &format!("{}, owner uid {}", buffer.mode, buffer.uid));
    row("metadata", &metadata(buffer.metadata.as_ref(), buffer.metadata_bytes));
    for defect in &buffer.defects {
        row("DAMAGED", &text::one_line(defect));
    }
    page
}

fn peer(peer: Option<&PeerView>) -> String {
    let Some(peer) = peer else { return String::from("none") };
    // A dead one announces nothing, whichever implementation it was of.
    match (peer.alive, peer.level) {
        (false, _) => format!("process {}, dead", peer.pid),
        (true, 0) => format!("process {}, alive, another implementation", peer.pid),
        (true, level) => format!("process {}, alive, capability level {level}", peer.pid),
    }
}

fn tokens(count: Option<u32>) -> String {
    count.map_or_else(|| String::from("not readable"), |count| count.to_string())
}

fn metadata(metadata: Option<&MetadataView>, block: u64) -> String {
    match metadata {
        None => format!("none (block of {block} bytes)"),
        Some(metadata) => {
            let full = match &metadata.json {
                Some(json) => text::one_line(&json.to_string()),
                None => metadata.excerpt(usize::MAX),
            };
            format!("{} of {block} bytes: {full}", metadata.bytes)
        }
    }
}
