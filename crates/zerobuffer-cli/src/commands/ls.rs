//! `zerobuffer ls`: every buffer on the machine.
use std::collections::HashMap;
use std::io::IsTerminal as _;
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use zerobuffer::observe;
use zerobuffer_view::live::{Live, Poller};

use super::buffer::{BufferView, PeerView};
use super::top;
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
    let Some(pause) = args.watch else { return once(args, None) };
    let mut poller = Poller::new(&[]);
    let terminal = std::io::stdout().is_terminal();
    loop {
        if terminal && !args.json {
            // From the top of an empty screen, so the list stands still.
            output::print("\x1b[H\x1b[2J")?;
        }
        once(args, Some(&mut poller))?;
        if signals::sleep(pause) {
            return Err(signals::interrupted("the list is printed no more"));
        }
    }
}

/// Prints the list, with rates where it was looked at before.
fn once(args: &Args, poller: Option<&mut Poller>) -> Result<(), Fail> {
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
    let rates: Option<Rates> = match poller {
        Some(poller) => {
            let live = poller.look()?.into_iter();
            Some(live.map(|live| (live.name.clone(), live)).collect())
        }
        None => None,
    };
    output::print(&format!("{}\n", table(&buffers, rates.as_ref()).trim_fmt()))
}

/// What only a watch can tell of each buffer.
type Rates = HashMap<String, Live>;

fn table(buffers: &[BufferView], rates: Option<&Rates>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let mut titles = vec!["NAME", "RING", "FILL", "WRITER", "READER", "WRITTEN", "READ", "METADATA"];
    if rates.is_some() {
        titles.splice(titles.len() - 1..titles.len() - 1, ["FPS", "DROPS"]);
    }
    let last = titles.len() - 1;
    table.set_header(titles);
    for buffer in buffers {
        let mut about = buffer.metadata.as_ref().map_or_else(|| String::from("-"), |m| m.excerpt(60));
        if !buffer.defects.is_empty() {
            about = format!("DAMAGED: {}", text::excerpt(&buffer.defects.join(", "), 60));
        }
        let mut row = vec![
            text::one_line(&buffer.name),
            size::human(buffer.ring_bytes),
            format!("{} %", buffer.fill_percent()),
            PeerView::short(buffer.writer.as_ref()),
            PeerView::short(buffer.reader.as_ref()),
            buffer.frames_written.to_string(),
            buffer.frames_read().to_string(),
            about,
        ];
        if let Some(rates) = rates {
            let live = rates.get(&buffer.name);
            let rate = live.and_then(|live| live.frames_per_second);
            let rate = rate.map_or_else(|| String::from("-"), |rate| format!("{rate:.1}"));
            let drops = live.map_or_else(|| String::from("-"), top::drops);
            row.splice(row.len() - 1..row.len() - 1, [rate, drops]);
        }
        table.add_row(row);
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if index == last { 0 } else { 2 }));
        if (1..last).contains(&index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}
