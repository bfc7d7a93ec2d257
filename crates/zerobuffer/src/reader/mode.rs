//! Which users may open a buffer.

use crate::error::{Error, Result};
use std::env;

/// The default of all readers, for programs that cannot be changed.
const VARIABLE: &str = "ZEROBUFFER_MODE";
/// Nobody but the own user.
const PRIVATE: u32 = 0o600;

/// The permission bits of a buffer: those asked for, else those of the environment, else the own
/// user's alone.
pub(super) fn of(asked: Option<u32>) -> Result<u32> {
    chosen(asked, || env::var_os(VARIABLE).map(|text| text.to_string_lossy().into_owned()))
}

fn chosen(asked: Option<u32>, variable: impl FnOnce() -> Option<String>) -> Result<u32> {
    let refused = |what, value: u32, reason| Err(Error::InvalidConfig { what, value: value.into(), reason });
    let (what, mode) = match (asked, asked.is_none().then(variable).flatten()) {
        (Some(mode), _) => ("mode", mode),
        (None, None) => return Ok(PRIVATE),
        (None, Some(text)) if text.is_empty() => return Ok(PRIVATE),
        (None, Some(text)) => match u32::from_str_radix(text.trim_start_matches("0o"), 8) {
            Ok(mode) => (VARIABLE, mode),
            Err(_) => return refused(VARIABLE, 0, "the variable has an octal number as 0660, or is not set"),
        },
    };
    if mode & !0o777 != 0 || mode & 0o600 != 0o600 {
        return refused(
            what,
            mode,
            "permission bits are 0600 to 0777, and the owner needs to read and write",
        );
    }
    Ok(mode)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_gives_the_default_and_no_more() {
        for (asked, variable, expected) in [
            (None, None, Some(0o600)),
            (None, Some(""), Some(0o600)),
            (None, Some("0666"), Some(0o666)),
            (None, Some("660"), Some(0o660)),
            (None, Some("0o640"), Some(0o640)),
            (Some(0o620), Some("0666"), Some(0o620)),
            (Some(0o620), Some("nonsense"), Some(0o620)),
            (None, Some("nonsense"), None),
            (None, Some("668"), None),
            (None, Some("0066"), None),
            (None, Some("01777"), None),
            (None, Some("-1"), None),
            (Some(0o1777), None, None),
            (Some(0o066), None, None),
        ] {
            let mode = chosen(asked, || variable.map(str::to_owned));
            assert_eq!(mode.as_ref().ok().copied(), expected, "{asked:?} {variable:?}: {mode:?}");
        }
        let error = chosen(None, || Some("0066".to_owned())).unwrap_err().to_string();
        assert!(error.contains("ZEROBUFFER_MODE") && error.contains("066"), "{error}");
    }
}
