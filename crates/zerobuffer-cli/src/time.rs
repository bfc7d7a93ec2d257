//! Time spans on the command line (seconds, with a fraction if wanted) and the clocks that `demo`
//! measures with.
use std::time::Duration;

pub(crate) use crate::os::{cpu_ns, monotonic_ns};

/// Parses seconds: `2`, `0.25`.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    text.parse::<f64>()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| format!("'{text}' is not a number of seconds: write for instance 2 or 0.25"))
}

/// Parses seconds that must not be 0.
pub(crate) fn parse_positive(text: &str) -> Result<Duration, String> {
    match parse(text)? {
        Duration::ZERO => Err(String::from("must be more than 0 seconds")),
        time => Ok(time),
    }
}

/// Prints a limit for people as they give it: `0.3 s`, `10 s`.
pub(crate) fn seconds(time: Duration) -> String {
    // Milliseconds are enough for any limit that a person sets, and hide what clocks and floating
    // point add.
    let millis = time.as_millis();
    let (whole, rest) = (millis / 1000, millis % 1000);
    if rest == 0 {
        return format!("{whole} s");
    }
    format!("{} s", format!("{whole}.{rest:03}").trim_end_matches('0'))
}

/// Prints a span for people: `812 ns`, `45.3 µs`, `7.60 ms`, `1.25 s`.
pub(crate) fn human(nanos: u64) -> String {
    // Three digits are more than a latency on a busy machine is worth.
    #[allow(clippy::cast_precision_loss)]
    let value = nanos as f64;
    let (value, unit) = match nanos {
        0..1_000 => return format!("{nanos} ns"),
        1_000..1_000_000 => (value / 1e3, "µs"),
        1_000_000..1_000_000_000 => (value / 1e6, "ms"),
        _ => (value / 1e9, "s"),
    };
    let decimals = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.decimals$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parsing() {
        assert_eq!(parse("2"), Ok(Duration::from_secs(2)));
        assert_eq!(parse("0.25"), Ok(Duration::from_millis(250)));
        for text in ["", "-1", "x", "inf", "NaN", "1e30", "2s"] {
            assert!(parse(text).unwrap_err().contains("is not a number of seconds"), "{text}");
        }
        assert!(parse_positive("0").is_err());
    }

    #[test]
    fn spans() {
        for (nanos, text) in [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_000, "1.00 µs"),
            (45_300, "45.3 µs"),
            (250_000_000, "250 ms"),
            (1_250_000_000, "1.25 s"),
        ] {
            assert_eq!(human(nanos), text);
        }
    }

    #[test]
    fn limits() {
        for (millis, text) in [(0, "0 s"), (300, "0.3 s"), (10_000, "10 s"), (1_250, "1.25 s")] {
            assert_eq!(super::seconds(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn clocks_advance() {
        let (wall, cpu) = (monotonic_ns(), cpu_ns());
        // Processor time may count in ticks of the system. That this ends is the test.
        while cpu_ns() <= cpu {
            std::hint::black_box((0..100_000u64).fold(1u64, |a, b| a.wrapping_mul(b | 1)));
        }
        assert!(monotonic_ns() > wall);
    }
}
