//! `zerobuffer ls`: every buffer on the machine.
use std::io::IsTerminal as _;
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use zerobuffer::observe;

use super::buffer::{BufferView, PeerView};
use crate::fail::Fail;
use crate::{output, say, signals, size, text, time};

/// List every buffer on the machine; looking never disturbs a stream.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print JSON: an array of objects.
    #[arg(long)]
    json: bool,
    /// Print the list again and again until stopped, every two seconds or as often as is said;
    /// `zerobuffer top` shows more.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2", value_parser = time::parse_positive)]
    watch: Option<Duration>,
}

pub(crate) fn run(args: &Args) -> Result<(), Fail> {
    let Some(pause) = args.watch else { return once(args) };
    let terminal = std::io::stdout().is_terminal();
    loop {
        if terminal && !args.json {
            // From the top of an empty screen, so the list stands still.
            output::print("\x1b[H\x1b[2J")?;
        }
        once(args)?;
        if signals::sleep(pause) {
            return Err(signals::interrupted("the list is printed no more"));
        }
    }
}

fn once(args: &Args) -> Result<(), Fail> {
    let buffers: Vec<BufferView> = observe::list()?.into_iter().map(BufferView::new).collect();
    let unreadable = observe::unreadable()?;
    if !unreadable.is_empty() {
        let names: Vec<_> = unreadable.iter().map(|name| text::one_line(name)).collect();
        say::note(&format!(
            "no permission to look at {}: the mode is their owners' to widen",
            names.join(", ")
        ));
    }
    if args.json {
        return output::print_json(&buffers);
    }
    if buffers.is_empty() {
        if unreadable.is_empty() {
            say::note("there are no buffers on this machine");
        }
        return Ok(());
    }
    output::print(&format!("{}\n", table(&buffers).trim_fmt()))
}

fn table(buffers: &[BufferView]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["NAME", "RING", "FILL", "WRITER", "READER", "WRITTEN", "READ", "METADATA"]);
    for buffer in buffers {
        let mut about = buffer.metadata.as_ref().map_or_else(|| String::from("-"), |m| m.excerpt(60));
        if !buffer.defects.is_empty() {
            about = format!("DAMAGED: {}", text::excerpt(&buffer.defects.join(", "), 60));
        }
        table.add_row([
            text::one_line(&buffer.name),
            size::human(buffer.ring_bytes),
            format!("{} %", buffer.fill_percent()),
            PeerView::short(buffer.writer.as_ref()),
            PeerView::short(buffer.reader.as_ref()),
            buffer.frames_written.to_string(),
            buffer.frames_read().to_string(),
            about,
        ]);
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        let last = index == 7;
        column.set_padding((0, if last { 0 } else { 2 }));
        if (1..=6).contains(&index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}
