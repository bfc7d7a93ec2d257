//! Time spans on the command line.
use std::time::Duration;

/// Parses seconds that are more than 0: `2`, `0.25`.
pub(crate) fn parse_positive(text: &str) -> Result<Duration, String> {
    text.parse::<f64>()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|time| !time.is_zero())
        .ok_or_else(|| format!("'{text}' is not a number of seconds above 0: write for instance 2 or 0.25"))
}
