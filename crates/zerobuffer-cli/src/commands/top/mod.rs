//! `zerobuffer top`: all buffers, live.
mod columns;
mod screen;
mod terminal;

use std::io::IsTerminal as _;
use std::time::{Duration, Instant, SystemTime};

use clap::ValueEnum;
use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use serde::Serialize;

pub(super) use self::columns::drops;
use self::screen::Screen;
use self::terminal::Terminal;
use crate::exit::Exit;
use crate::fail::Fail;
use crate::{output, signals, time};
use zerobuffer_view::live::{Live, Poller};

/// The longest that a signal goes unnoticed.
const LOOK: Duration = Duration::from_millis(100);

/// Show all buffers with their frames per second, fill and ends, and go on showing them; looking
/// never disturbs a stream.
///
/// Keys: n, s, f, m, u and a sort by name, state, frames, bytes, use and age. r turns the order
/// round. Arrows and Page keys move, space holds the picture, q ends it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: zerobuffer top --sort fps")]
pub(crate) struct Args {
    /// Only these buffers; all of them if none is named.
    names: Vec<String>,
    /// Time between two looks.
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = time::parse_positive)]
    interval: Duration,
    /// What to sort by.
    #[arg(long, value_enum, default_value_t = Sort::Name)]
    sort: Sort,
    /// Turn the order round.
    #[arg(long)]
    reverse: bool,
    /// Use no colours; the environment variable NO_COLOR does the same.
    #[arg(long)]
    no_color: bool,
    /// Print JSON: one line for each look.
    #[arg(long)]
    json: bool,
    /// Stop after so many looks.
    #[arg(long, value_name = "COUNT")]
    count: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Sort {
    Name,
    /// The worst first.
    State,
    /// Frames per second, most first.
    Fps,
    /// Bytes per second, most first.
    Bytes,
    /// The fullest ring first.
    Use,
    /// The longest without a frame first.
    Age,
}

impl Sort {
    fn of_key(key: char) -> Option<Sort> {
        match key {
            'n' => Some(Sort::Name),
            's' => Some(Sort::State),
            'f' => Some(Sort::Fps),
            'm' => Some(Sort::Bytes),
            'u' => Some(Sort::Use),
            'a' => Some(Sort::Age),
            _ => None,
        }
    }

    /// Names break ties, so rows do not dance.
    fn apply(self, buffers: &mut [Live], reverse: bool) {
        let value = |buffer: &Live| match self {
            Sort::Name => 0.0,
            Sort::State => f64::from(buffer.state as u8),
            Sort::Fps => buffer.frames_per_second.unwrap_or(-1.0),
            Sort::Bytes => buffer.bytes_per_second.unwrap_or(-1.0),
            Sort::Use => buffer.fill(),
            Sort::Age => buffer.last_frame_age_seconds.unwrap_or(-1.0),
        };
        buffers.sort_by(|a, b| value(b).total_cmp(&value(a)).then_with(|| a.name.cmp(&b.name)));
        if reverse {
            buffers.reverse();
        }
    }
}

/// One look, as `--json` prints it.
#[derive(Serialize)]
struct Line<'a> {
    /// Seconds since 1970.
    time: f64,
    buffers: &'a [Live],
}

pub(crate) fn run(args: &Args) -> Result<(), Fail> {
    let mut poller = Poller::new(&args.names);
    if args.json {
        return lines(args, &mut poller);
    }
    if !std::io::stdout().is_terminal() {
        return Err(Fail::new(
            Exit::Usage,
            "standard output is no terminal: use --json, or `zerobuffer ls` for one look",
        ));
    }
    watch(args, &mut poller)
}

fn lines(args: &Args, poller: &mut Poller) -> Result<(), Fail> {
    let mut looks = 0u64;
    loop {
        let mut buffers = poller.look()?;
        args.sort.apply(&mut buffers, args.reverse);
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let line = Line { time: time.as_secs_f64(), buffers: &buffers };
        let mut text = serde_json::to_string(&line)
            .map_err(|error| Fail::new(Exit::Internal, format!("cannot write JSON: {error}")))?;
        text.push('\n');
        output::print(&text)?;
        looks += 1;
        if args.count.is_some_and(|count| looks >= count) {
            return Ok(());
        }
        if signals::sleep(args.interval) {
            return Err(signals::interrupted(&format!("{looks} looks")));
        }
    }
}

fn watch(args: &Args, poller: &mut Poller) -> Result<(), Fail> {
    let color = !args.no_color && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let mut screen = Screen::new(args.sort, args.reverse, color);
    let mut terminal = Terminal::enter()?;
    let mut looks = 0u64;
    let mut due = Instant::now();
    loop {
        if Instant::now() >= due {
            if args.count.is_some_and(|count| looks >= count) {
                return Ok(());
            }
            if !screen.held {
                screen.take(poller.look()?);
            }
            looks += 1;
            due = Instant::now() + args.interval;
        }
        terminal.draw(|frame| screen.draw(frame))?;
        if signals::caught().is_some() {
            return Err(signals::interrupted(&format!("{looks} looks")));
        }
        let wait = due.saturating_duration_since(Instant::now()).min(LOOK);
        if let Some(Event::Key(key)) = terminal.event(wait)?
            && key.kind != KeyEventKind::Release
            && pressed(&mut screen, key)
        {
            return Ok(());
        }
    }
}

/// Does what a key says; `true`: the end.
fn pressed(screen: &mut Screen, key: KeyEvent) -> bool {
    match key.code {
        KeyCode::Char('c' | 'd') if key.modifiers.contains(KeyModifiers::CONTROL) => return true,
        KeyCode::Char('q') | KeyCode::Esc => return true,
        KeyCode::Char(' ' | 'p') => screen.held = !screen.held,
        KeyCode::Char('r') => screen.turn_round(),
        KeyCode::Char(key) => {
            if let Some(sort) = Sort::of_key(key) {
                screen.sort_by(sort);
            }
        }
        KeyCode::Up => screen.move_by(-1),
        KeyCode::Down => screen.move_by(1),
        KeyCode::PageUp => screen.move_by(-10),
        KeyCode::PageDown => screen.move_by(10),
        KeyCode::Home => screen.move_by(isize::MIN),
        KeyCode::End => screen.move_by(isize::MAX),
        _ => {}
    }
    false
}
