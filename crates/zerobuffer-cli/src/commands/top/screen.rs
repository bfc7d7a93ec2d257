//! What `top` shows: one line of summary, a table, one line of keys.
use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Text};
use ratatui::widgets::{Cell, Paragraph, Row, Table, TableState};

use super::Sort;
use super::columns::{self, Column};
use crate::text;
use zerobuffer_view::live::{Live, State};

pub(super) struct Screen {
    buffers: Vec<Live>,
    sort: Sort,
    reverse: bool,
    color: bool,
    table: TableState,
    /// No new looks are shown.
    pub(super) held: bool,
}

impl Screen {
    pub(super) fn new(sort: Sort, reverse: bool, color: bool) -> Screen {
        Screen { buffers: Vec::new(), sort, reverse, color, table: TableState::default(), held: false }
    }

    pub(super) fn take(&mut self, buffers: Vec<Live>) {
        self.buffers = buffers;
        self.order();
    }

    pub(super) fn sort_by(&mut self, sort: Sort) {
        self.sort = sort;
        self.order();
    }

    pub(super) fn turn_round(&mut self) {
        self.reverse = !self.reverse;
        self.order();
    }

    fn order(&mut self) {
        self.sort.apply(&mut self.buffers, self.reverse);
    }

    pub(super) fn move_by(&mut self, rows: isize) {
        let last = self.buffers.len().saturating_sub(1);
        let at = self.table.selected().unwrap_or(0).saturating_add_signed(rows).min(last);
        self.table.select(Some(at));
    }

    pub(super) fn draw(&mut self, frame: &mut Frame<'_>) {
        let [top, middle, bottom] =
            Layout::vertical([Constraint::Length(1), Constraint::Min(1), Constraint::Length(1)])
                .areas(frame.area());
        frame.render_widget(Paragraph::new(self.summary()).style(self.style(Color::Cyan)), top);
        if self.buffers.is_empty() {
            let words = "no buffers yet: start one with `zerobuffer recv NAME`";
            frame.render_widget(Paragraph::new(words), middle);
        } else {
            let table = self.table(middle.width);
            frame.render_stateful_widget(table, middle, &mut self.table);
        }
        frame.render_widget(
            Paragraph::new(keys(bottom.width)).style(Style::new().add_modifier(Modifier::DIM)),
            bottom,
        );
    }

    fn summary(&self) -> Line<'static> {
        let live = self.buffers.iter().filter(|buffer| buffer.state == State::Live).count();
        // The sum of nothing would be minus zero.
        let bytes = self
            .buffers
            .iter()
            .filter_map(|buffer| buffer.bytes_per_second)
            .fold(0.0, |sum, bytes| sum + bytes);
        let bad = self.buffers.iter().filter(|buffer| buffer.state >= State::Full).count();
        let trouble = if bad > 0 { format!(", {bad} in trouble") } else { String::new() };
        let held = if self.held { " (held)" } else { "" };
        let megabytes = bytes / 1e6;
        Line::from(format!("{} buffers, {live} live, {megabytes:.1} MB/s{trouble}{held}", self.buffers.len()))
    }

    fn table(&self, width: u16) -> Table<'static> {
        let names: Vec<String> = self.buffers.iter().map(|buffer| text::one_line(&buffer.name)).collect();
        let longest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        let (columns, name_width, caps_width) =
            columns::fitting(width, u16::try_from(longest).unwrap_or(u16::MAX));
        let row = |(buffer, name): (&Live, String)| {
            let mut cells = vec![Cell::from(text::excerpt(&name, usize::from(name_width)))];
            cells.extend(columns.iter().map(|column| self.cell(column, buffer)));
            if caps_width > 0 {
                cells.push(Cell::from(text::excerpt(&columns::caps(buffer), usize::from(caps_width))));
            }
            Row::new(cells)
        };
        let mut titles = vec![Cell::from("NAME")];
        titles.extend(columns.iter().map(|column| right(column, column.title.to_owned())));
        let mut widths = vec![Constraint::Length(name_width)];
        widths.extend(columns.iter().map(|column| Constraint::Length(column.width)));
        if caps_width > 0 {
            titles.push(Cell::from("FRAMES ARE"));
            widths.push(Constraint::Length(caps_width));
        }
        Table::new(self.buffers.iter().zip(names).map(row), widths)
            .header(Row::new(titles).style(Style::new().add_modifier(Modifier::BOLD)))
            .column_spacing(1)
            .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED))
    }

    fn cell(&self, column: &Column, buffer: &Live) -> Cell<'static> {
        let cell = right(column, (column.cell)(buffer));
        if column.title != "STATE" {
            return cell;
        }
        cell.style(self.style(match buffer.state {
            State::Live => Color::Green,
            State::Idle | State::Waiting => Color::Yellow,
            State::Full | State::Dead | State::Damaged => Color::Red,
        }))
    }

    fn style(&self, color: Color) -> Style {
        if self.color { Style::new().fg(color) } else { Style::new() }
    }
}

/// Numbers stand on the right; the state is a word.
fn right(column: &Column, text: String) -> Cell<'static> {
    let side = if column.title == "STATE" { Alignment::Left } else { Alignment::Right };
    Cell::from(Text::from(text).alignment(side))
}

/// The keys, as many as fit.
fn keys(width: u16) -> String {
    let mut line = String::from("q quit");
    for word in ["space hold", "sort: n name", "s state", "f fps", "m MB/s", "u fill", "a age", "r reverse"] {
        if line.len() + word.len() + 2 > usize::from(width) {
            break;
        }
        line.push_str("  ");
        line.push_str(word);
    }
    line
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;
    use zerobuffer_view::live::End;

    fn buffer(name: &str, state: State, fps: f64) -> Live {
        Live {
            name: name.to_owned(),
            state,
            caps: Some(String::from("video/x-raw, format=(string)I420, width=(int)1920, height=(int)1080")),
            frames: 12_345,
            frames_per_second: Some(fps),
            bytes_per_second: Some(fps * 3_110_400.0),
            frames_waiting: 2,
            frames_dropped: (state == State::Live).then_some(3),
            ring_bytes: 32 << 20,
            used_bytes: 6 << 20,
            metadata_bytes: 4096,
            last_frame_age_seconds: Some(0.016),
            writer: Some(End { pid: 4711, alive: true, level: 3 }),
            reader: Some(End { pid: 4712, alive: state != State::Dead, level: 3 }),
            defects: Vec::new(),
        }
    }

    /// What stands on a screen of that size, without the spaces at the ends of lines.
    fn shown(screen: &mut Screen, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| screen.draw(frame)).unwrap();
        let buffer = terminal.backend().buffer();
        let cells = buffer.content().chunks(usize::from(width));
        let lines = cells.map(|row| row.iter().map(ratatui::buffer::Cell::symbol).collect::<String>());
        lines.fold(String::new(), |text, line| text + line.trim_end() + "\n")
    }

    fn screen(color: bool) -> Screen {
        let mut screen = Screen::new(Sort::Name, false, color);
        let mut lonely = buffer("lonely", State::Waiting, 0.0);
        (lonely.writer, lonely.caps, lonely.bytes_per_second) = (None, None, None);
        (lonely.last_frame_age_seconds, lonely.used_bytes, lonely.frames_waiting) = (None, 0, 0);
        screen.take(vec![
            buffer("cam/\u{1b}[2J", State::Dead, 0.0),
            buffer("cam", State::Live, 59.94),
            lonely,
        ]);
        screen
    }

    #[test]
    fn at_full_width() {
        let expected = "\
3 buffers, 1 live, 186.4 MB/s, 1 in trouble
NAME          STATE       FPS    MB/s  FILL  WAIT  DROPS    AGE        FRAMES       RING       WRITER       READER FRAMES ARE
cam           live       59.9   186.4  19 %     2      3  0.0 s        12,345     32 MiB         4711         4712 video/x-raw, format=(string)I420, width…
cam/\\u{1b}[2J dead        0.0     0.0  19 %     2      -  0.0 s        12,345     32 MiB         4711    4712 dead video/x-raw, format=(string)I420, width…
lonely        waiting     0.0       -   0 %     0      -      -        12,345     32 MiB            -         4712
q quit  space hold  sort: n name  s state  f fps  m MB/s  u fill  a age  r reverse
";
        assert_eq!(shown(&mut screen(true), 155, 6), expected);
    }

    #[test]
    fn at_eighty_and_at_forty_columns() {
        let expected = "\
3 buffers, 1 live, 186.4 MB/s, 1 in trouble
NAME             STATE       FPS    MB/s  FILL  WAIT  DROPS    AGE       WRITER
cam              live       59.9   186.4  19 %     2      3  0.0 s         4711
cam/\\u{1b}[2J    dead        0.0     0.0  19 %     2      -  0.0 s         4711
lonely           waiting     0.0       -   0 %     0      -      -            -
";
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert!(words(&shown(&mut screen(false), 80, 6)).starts_with(&words(expected)));
        let expected = "\
3 buffers, 1 live, 186.4 MB/s, 1 in trou
NAME               STATE       FPS  FILL
cam                live       59.9  19 %
cam/\\u{1b}[2J      dead        0.0  19 %
lonely             waiting     0.0   0 %
q quit  space hold  sort: n name
";
        assert_eq!(words(&shown(&mut screen(false), 40, 6)), words(expected));
    }

    #[test]
    fn sorting_holding_and_an_empty_machine() {
        let mut top = screen(false);
        let first = |top: &mut Screen| {
            let text = shown(top, 60, 6);
            text.lines().nth(2).unwrap().split_whitespace().next().unwrap().to_owned()
        };
        assert_eq!(first(&mut top), "cam");
        top.turn_round();
        assert_eq!(first(&mut top), "lonely");
        top.turn_round();
        top.sort_by(Sort::State);
        assert_eq!(first(&mut top), "cam/\\u{1b}[2J");
        top.move_by(isize::MAX);
        top.held = true;
        assert!(shown(&mut top, 60, 6).contains("(held)"));
        let mut empty = Screen::new(Sort::Name, false, false);
        let text = shown(&mut empty, 60, 6);
        assert!(text.starts_with("0 buffers, 0 live, 0.0 MB/s") && text.contains("no buffers yet"), "{text}");
        for (width, height) in [(1, 1), (5, 2), (20, 3), (300, 100)] {
            shown(&mut top, width, height);
        }
    }

    #[test]
    fn colours_only_where_they_are_wanted() {
        for color in [true, false] {
            let mut terminal = Terminal::new(TestBackend::new(80, 6)).unwrap();
            terminal.draw(|frame| screen(color).draw(frame)).unwrap();
            let colored = terminal.backend().buffer().content().iter().any(|cell| cell.fg != Color::Reset);
            assert_eq!(colored, color);
        }
    }
}
