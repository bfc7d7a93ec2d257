//! The terminal while `top` has it: another screen, raw keys; given back however the run ends.
use std::io::{self, Stdout};

use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use crossterm::{cursor, execute};
use ratatui::Frame;
use ratatui::backend::CrosstermBackend;

use crate::fail::Fail;

pub(super) struct Terminal(ratatui::Terminal<CrosstermBackend<Stdout>>);

impl Terminal {
    pub(super) fn enter() -> Result<Terminal, Fail> {
        let failed = |error: io::Error| Fail::io("cannot use the terminal", &error);
        enable_raw_mode().map_err(failed)?;
        // From here on the value gives it back.
        let terminal = ratatui::Terminal::new(CrosstermBackend::new(io::stdout()));
        let terminal = terminal.map(Terminal).inspect_err(|_| give_back()).map_err(failed)?;
        execute!(io::stdout(), EnterAlternateScreen, cursor::Hide).map_err(failed)?;
        Ok(terminal)
    }

    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> Result<(), Fail> {
        self.0.draw(draw).map(drop).map_err(|error| Fail::io("cannot draw on the terminal", &error))
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
