//! The terminal while `top` has it: another screen, raw keys; given back however the run ends.
use std::io::{self, IsTerminal as _, Stdout};
use std::time::Duration;

use crossterm::event::{self, Event};
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use crossterm::{cursor, execute};
use ratatui::Frame;
use ratatui::backend::CrosstermBackend;

use crate::fail::Fail;
use crate::os;

pub(super) struct Terminal {
    screen: ratatui::Terminal<CrosstermBackend<Stdout>>,
    /// Keys come from standard input; otherwise the library opens the terminal by itself.
    keys_are_input: bool,
}

impl Terminal {
    pub(super) fn enter() -> Result<Terminal, Fail> {
        let failed = |error: io::Error| Fail::io("cannot use the terminal", &error);
        enable_raw_mode().map_err(failed)?;
        // From here on the value gives it back.
        let terminal = ratatui::Terminal::new(CrosstermBackend::new(io::stdout()));
        let screen = terminal.inspect_err(|_| give_back()).map_err(failed)?;
        let terminal = Terminal { screen, keys_are_input: io::stdin().is_terminal() };
        execute!(io::stdout(), EnterAlternateScreen, cursor::Hide).map_err(failed)?;
        Ok(terminal)
    }

    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> Result<(), Fail> {
        self.screen.draw(draw).map(drop).map_err(|error| Fail::io("cannot draw on the terminal", &error))
    }

    /// What the keyboard says within that time.
    pub(super) fn event(&self, time: Duration) -> Result<Option<Event>, Fail> {
        let wait = || {
            if self.keys_are_input {
                Ok(os::key_comes(time)? && event::poll(Duration::ZERO)?)
            } else {
                event::poll(time)
            }
        };
        let read = wait().and_then(|is_there| if is_there { event::read().map(Some) } else { Ok(None) });
        read.map_err(|error| Fail::io("cannot read the keyboard", &error))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        give_back();
    }
}

/// A terminal that is gone needs nothing any more.
fn give_back() {
    let _ = execute!(io::stdout(), LeaveAlternateScreen, cursor::Show);
    let _ = disable_raw_mode();
}
