//! The columns of `top`: what each shows, how wide it is, and which ones go first when there is no
//! room.
use crate::{size, status, text};
use zerobuffer_view::live::{End, Live};

/// A column beside the name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) title: &'static str,
    pub(super) width: u16,
    pub(super) cell: fn(&Live) -> String,
}

/// In the order in which they stand.
const COLUMNS: [Column; 11] = [
    Column { title: "STATE", width: 7, cell: |buffer| buffer.state.word().to_owned() },
    Column { title: "FPS", width: 7, cell: |buffer| rate(buffer.frames_per_second) },
    Column { title: "MB/s", width: 7, cell: |buffer| rate(buffer.bytes_per_second.map(|bytes| bytes / 1e6)) },
    Column { title: "FILL", width: 5, cell: fill },
    Column { title: "WAIT", width: 5, cell: |buffer| status::thousands(buffer.frames_waiting) },
    Column { title: "DROPS", width: 6, cell: drops },
    Column { title: "AGE", width: 6, cell: |buffer| age(buffer.last_frame_age_seconds) },
    Column { title: "FRAMES", width: 13, cell: |buffer| status::thousands(buffer.frames) },
    Column { title: "RING", width: 10, cell: |buffer| size::human(buffer.ring_bytes) },
    Column { title: "WRITER", width: 12, cell: |buffer| end(buffer.writer) },
    Column { title: "READER", width: 12, cell: |buffer| end(buffer.reader) },
];
/// Which of them go first, by title.
const FIRST_TO_GO: [&str; 10] =
    ["RING", "FRAMES", "READER", "WRITER", "WAIT", "DROPS", "AGE", "MB/s", "FILL", "FPS"];
/// What a name needs to be of use.
const LEAST_NAME: u16 = 12;
/// From this width on what the frames are is shown, too.
const CAPS: u16 = 30;

/// The columns that fit a line of `width`, how wide the name's is, and what is left for the caps.
pub(super) fn fitting(width: u16, longest_name: u16) -> (Vec<Column>, u16, u16) {
    let mut columns = COLUMNS.to_vec();
    let taken = |columns: &[Column]| columns.iter().map(|column| column.width + 1).sum::<u16>();
    let name = longest_name.max(LEAST_NAME);
    // Long names give way before the columns do, down to what is of use.
    for title in FIRST_TO_GO {
        if taken(&columns) + LEAST_NAME.max(name.min(24)) <= width {
            break;
        }
        columns.retain(|column| column.title != title);
    }
    let room = width.saturating_sub(taken(&columns));
    let name = name.min(room);
    let caps = room.saturating_sub(name + 1);
    (columns, name, if caps >= CAPS { caps } else { 0 })
}

pub(super) fn caps(buffer: &Live) -> String {
    if buffer.defects.is_empty() {
        buffer.caps.as_deref().map_or_else(String::new, |caps| text::excerpt(caps, 200))
    } else {
        text::one_line(&buffer.defects.join(", "))
    }
}

fn rate(value: Option<f64>) -> String {
    match value {
        None => String::from("-"),
        Some(value) if value >= 1000.0 => format!("{value:.0}"),
        Some(value) => format!("{value:.1}"),
    }
}

fn fill(buffer: &Live) -> String {
    format!("{:.0} %", (buffer.fill() * 100.0).ceil().clamp(0.0, 100.0))
}

/// Numbers that are missing in the stamps; `-` where there are none.
pub(crate) fn drops(buffer: &Live) -> String {
    buffer.frames_dropped.map_or_else(|| String::from("-"), status::thousands)
}

/// `0.2 s`, `12 s`, `5 min`, `3 h`, `2 d`.
fn age(seconds: Option<f64>) -> String {
    match seconds {
        None => String::from("-"),
        Some(seconds) if seconds < 9.95 => format!("{seconds:.1} s"),
        Some(seconds) if seconds < 100.0 => format!("{seconds:.0} s"),
        Some(seconds) if seconds < 6000.0 => format!("{:.0} min", seconds / 60.0),
        Some(seconds) if seconds < 360_000.0 => format!("{:.0} h", seconds / 3600.0),
        Some(seconds) => format!("{:.0} d", seconds / 86_400.0),
    }
}

fn end(end: Option<End>) -> String {
    match end {
        None => String::from("-"),
        Some(End { pid, alive: true, .. }) => pid.to_string(),
        Some(End { pid, .. }) => format!("{pid} dead"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_the_width_the_line_fits_and_the_state_stays() {
        for width in 0..250 {
            for longest in [3, 30, 245] {
                let (columns, name, caps) = fitting(width, longest);
                let taken: u16 = columns.iter().map(|column| column.width + 1).sum();
                assert!(columns.iter().any(|column| column.title == "STATE"));
                if width >= 20 {
                    assert!(name + taken + if caps > 0 { caps + 1 } else { 0 } <= width, "{width} {longest}");
                }
                if width >= 40 {
                    assert!(columns.iter().any(|column| column.title == "FPS") && name >= 12, "{width}");
                }
            }
        }
    }

    #[test]
    fn ages() {
        for (seconds, text) in [
            (0.04, "0.0 s"),
            (9.9, "9.9 s"),
            (9.96, "10 s"),
            (90.0, "90 s"),
            (600.0, "10 min"),
            (7200.0, "2 h"),
        ] {
            assert_eq!(age(Some(seconds)), text);
        }
    }
}
