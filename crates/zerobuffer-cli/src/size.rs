//! Byte sizes on the command line: `3110400`, `64MiB`, `1.5 GB`; and their printed form.

/// Suffixes and their factors; `K`, `M`, `G` alone are binary, as in most ring-buffer tools.
const UNITS: &[(&str, u64)] = &[
    ("", 1),
    ("b", 1),
    ("k", 1 << 10),
    ("kib", 1 << 10),
    ("kb", 1_000),
    ("m", 1 << 20),
    ("mib", 1 << 20),
    ("mb", 1_000_000),
    ("g", 1 << 30),
    ("gib", 1 << 30),
    ("gb", 1_000_000_000),
    ("t", 1 << 40),
    ("tib", 1 << 40),
    ("tb", 1_000_000_000_000),
];

/// Parses a size in bytes with an optional suffix; a fraction must come to whole bytes.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let unit = unit.trim().to_ascii_lowercase();
    let factor =
        UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor).ok_or_else(|| {
            format!("unknown size suffix '{unit}': use B, KiB, MiB, GiB, TiB, KB, MB, GB or TB")
        })?;
    let number = number.replace('_', "");
    let too_large = || format!("'{text}' is more than 2^64 - 1 bytes");
    let (whole, fraction) = number.split_once('.').unwrap_or((&number, ""));
    if whole.is_empty() || fraction.contains('.') || (number.contains('.') && fraction.is_empty()) {
        return Err(format!("'{text}' is not a size: write for instance 3110400 or 64MiB"));
    }
    let whole: u64 = whole.parse().map_err(|_| too_large())?;
    let mut bytes = whole.checked_mul(factor).ok_or_else(too_large)?;
    if !fraction.is_empty() {
        let uneven = || format!("'{text}' is not a whole number of bytes");
        let scale =
            u32::try_from(fraction.len()).ok().and_then(|n| 10u128.checked_pow(n)).ok_or_else(uneven)?;
        let digits: u128 = fraction.parse().map_err(|_| uneven())?;
        let scaled = digits.checked_mul(u128::from(factor)).ok_or_else(uneven)?;
        if scaled % scale != 0 {
            return Err(uneven());
        }
        let part = u64::try_from(scaled / scale).map_err(|_| too_large())?;
        bytes = bytes.checked_add(part).ok_or_else(too_large)?;
    }
    Ok(bytes)
}

/// Parses a size that must not be zero.
pub(crate) fn parse_positive(text: &str) -> Result<u64, String> {
    match parse(text)? {
        0 => Err(String::from("a size of 0 bytes holds nothing: give at least 1")),
        bytes => Ok(bytes),
    }
}

/// Prints a size for people, in binary units: `2.97 MiB`.
pub(crate) fn human(bytes: u64) -> String {
    const NAMES: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0usize;
    let mut scale = 1u64;
    while unit + 1 < NAMES.len() && bytes / scale >= 1024 {
        scale <<= 10;
        unit += 1;
    }
    let name = NAMES.get(unit).copied().unwrap_or("B");
    let (whole, rest) = (bytes / scale, bytes % scale);
    if rest == 0 {
        return format!("{whole} {name}");
    }
    // Two decimals, rounded down: a size never reads as more than it is.
    let hundredths = u128::from(rest) * 100 / u128::from(scale);
    format!("{whole}.{hundredths:02} {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes() {
        for (text, bytes) in [
            ("0", 0),
            ("3110400", 3_110_400),
            ("3_110_400", 3_110_400),
            ("64B", 64),
            ("1k", 1024),
            ("64MiB", 64 << 20),
            ("64 mib", 64 << 20),
            ("1.5GiB", 3 << 29),
            ("2GB", 2_000_000_000),
            ("0.5KB", 500),
            ("18446744073709551615", u64::MAX),
            ("16777215.5TiB", ((16_777_215u64) << 40) + (1 << 39)),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn refusals() {
        for (text, part) in [
            ("", "not a size"),
            ("MiB", "not a size"),
            ("-1", "unknown size suffix '-1'"),
            ("12 parsecs", "unknown size suffix 'parsecs'"),
            ("1.", "not a size"),
            ("1.2.3", "not a size"),
            (".5M", "not a size"),
            ("0.3", "not a whole number"),
            ("1.0001KB", "not a whole number"),
            ("18446744073709551616", "more than 2^64 - 1"),
            ("99999999TiB", "more than 2^64 - 1"),
            ("16777215.9999999999999999999999999999999999999999TiB", "not a whole number"),
        ] {
            let message = parse(text).unwrap_err();
            assert!(message.contains(part), "{text}: {message}");
        }
        assert!(parse_positive("0KiB").unwrap_err().contains("at least 1"));
    }

    #[test]
    fn printed() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1 KiB"),
            (3_110_400, "2.96 MiB"),
            (32 << 20, "32 MiB"),
            (u64::MAX, "16777215.99 TiB"),
        ] {
            assert_eq!(human(bytes), text);
        }
    }
}
