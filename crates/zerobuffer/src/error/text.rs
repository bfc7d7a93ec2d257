//! Numbers in error texts, as people write them.

use std::time::Duration;

/// A configured value as its user writes it: a mode has octal digits.
pub(super) fn configured(what: &str, value: u64) -> String {
    if what == "mode" || what == "ZEROBUFFER_MODE" { format!("0{value:o}") } else { value.to_string() }
}

/// A user by number. This one stands for all users that a user namespace does not know.
pub(super) fn user(uid: u32) -> String {
    const UNMAPPED: u32 = 65_534;
    if uid == UNMAPPED {
        format!("user {uid} (`nobody`, or a user that this container's user namespace does not know)")
    } else {
        format!("user {uid}")
    }
}

/// How long was waited, if at all.
pub(super) fn after(waited: Duration) -> String {
    if waited.is_zero() { String::new() } else { format!(" after {}", span(waited)) }
}

/// A time as people say it: no more digits than anybody waits for.
pub(super) fn span(time: Duration) -> String {
    match time.as_millis() {
        0 => String::from("less than 1 ms"),
        millis @ 1..1000 => format!("{millis} ms"),
        _ => format!("{:.1} s", time.as_secs_f64()),
    }
}

/// Names a process that may not be known.
pub(super) fn numbered(pid: u64) -> String {
    if pid == 0 { String::new() } else { format!(" (process {pid})") }
}

/// A process by its number; 0 stands where an endpoint that is just coming or going has none.
pub(super) fn process(pid: u64) -> String {
    if pid == 0 { "just coming or going".to_owned() } else { format!("process {pid}") }
}
