//! Ratios: frame rates (`25`, `29.97`, `30000/1001`) and pixel aspect ratios.
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::Error;
use crate::error::excerpt;

/// A ratio of two numbers from 1 to [`Rate::MOST`]: frames per second, or a pixel's width to its
/// height.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    num: u32,
    den: u32,
}

impl Rate {
    /// The largest part of a ratio: GStreamer's fractions hold no more.
    pub const MOST: u32 = i32::MAX.unsigned_abs();

    /// The ratio as given; `None` when either part is 0, which means unknown wherever video formats
    /// write ratios, or exceeds [`Rate::MOST`].
    #[must_use]
    pub const fn new(num: u32, den: u32) -> Option<Rate> {
        let fits = 0 < num && num <= Rate::MOST && 0 < den && den <= Rate::MOST;
        if fits { Some(Rate { num, den }) } else { None }
    }

    /// The numerator.
    #[must_use]
    pub const fn num(self) -> u32 {
        self.num
    }

    /// The denominator.
    #[must_use]
    pub const fn den(self) -> u32 {
        self.den
    }

    /// The same ratio in lowest terms.
    #[must_use]
    pub fn reduced(self) -> Rate {
        let (mut a, mut b) = (self.num, self.den);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        Rate { num: self.num / a, den: self.den / a }
    }

    /// Frames per second as a floating-point number.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        f64::from(self.num) / f64::from(self.den)
    }

    /// When frame `index` is due, counted from frame 0.
    #[must_use]
    pub fn due(self, index: u64) -> Duration {
        let nanos = u128::from(index) * u128::from(self.den) * 1_000_000_000 / u128::from(self.num);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // With its denominator even if that is 1: GStreamer's fractions need it, and it reads back.
        write!(f, "{}/{}", self.num, self.den)
    }
}

impl FromStr for Rate {
    type Err = Error;

    fn from_str(text: &str) -> Result<Rate, Error> {
        parse(text).ok_or_else(|| Error::Rate(excerpt(text)))
    }
}

fn parse(text: &str) -> Option<Rate> {
    if let Some((num, den)) = text.split_once(['/', ':']) {
        return Rate::new(digits(num)?, digits(den)?);
    }
    let Some((whole, fraction)) = text.split_once('.') else { return Rate::new(digits(text)?, 1) };
    let den = 10u32.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let num = digits(whole)?.checked_mul(den)?.checked_add(digits(fraction)?)?;
    Rate::new(num, den)
}

/// A decimal number without sign: `u32::from_str` alone would take `+5`.
pub(crate) fn digits(text: &str) -> Option<u32> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parsing() {
        for (text, num, den) in
            [("25", 25, 1), ("30000/1001", 30000, 1001), ("30000:1001", 30000, 1001), ("29.97", 2997, 100)]
        {
            assert_eq!(text.parse(), Ok(Rate { num, den }), "{text}");
        }
        for text in [
            "",
            "0",
            "0/1",
            "1/0",
            "-1",
            "+1",
            "x",
            "25.",
            ".5",
            "1e3",
            "1/2/3",
            "99999999999",
            "2147483648",
            "1/2147483648",
            "1.00000000000001",
        ] {
            let message = text.parse::<Rate>().unwrap_err().to_string();
            assert!(message.contains("is not a frame rate"), "{text}: {message}");
        }
    }

    #[test]
    fn lowest_terms() {
        let reduced = |num, den| Rate::new(num, den).map(Rate::reduced);
        assert_eq!(reduced(3000, 100), Rate::new(30, 1));
        assert_eq!(reduced(30000, 1001), Rate::new(30000, 1001));
        assert_eq!(reduced(Rate::MOST, Rate::MOST), Rate::new(1, 1));
    }
}
