//! Values of caps fields: typed scalars, and choices of several.
use std::fmt;

/// A value with its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    kind: String,
    content: Content,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Content {
    /// The text without quotes and escapes.
    One(String),
    /// A list `{ }`, a range `[ ]` or an array `< >`, as written between the brackets, and the
    /// brackets.
    Several(char, Vec<String>, char),
}

impl Value {
    /// An `int`, or a `gint64` where 32 bits do not hold the value.
    #[must_use]
    pub fn int(value: i64) -> Value {
        let kind = if i32::try_from(value).is_ok() { "int" } else { "gint64" };
        Value::one(kind, &value.to_string())
    }

    /// A `string`.
    #[must_use]
    pub fn string(value: &str) -> Value {
        Value::one("string", value)
    }

    /// A `fraction`, written `25/1`.
    #[must_use]
    pub fn fraction(value: &str) -> Value {
        Value::one("fraction", value)
    }

    pub(super) fn one(kind: &str, text: &str) -> Value {
        Value { kind: kind.to_owned(), content: Content::One(text.to_owned()) }
    }

    pub(super) fn several(kind: &str, open: char, items: Vec<String>, close: char) -> Value {
        Value { kind: kind.to_owned(), content: Content::Several(open, items, close) }
    }

    /// The name of its type: `int`, `string`, `fraction`, …
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The text of one value, without quotes; `None` for lists and ranges.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match &self.content {
            Content::One(text) => Some(text),
            Content::Several(..) => None,
        }
    }

    /// A whole number, decimal or hexadecimal.
    #[must_use]
    pub fn as_int(&self) -> Option<i64> {
        number(self.as_str()?)
    }

    /// Numerator and denominator; a whole number is a fraction of 1.
    #[must_use]
    pub fn as_fraction(&self) -> Option<(i32, i32)> {
        let (num, den) = self.as_str()?.split_once('/').unwrap_or((self.as_str()?, "1"));
        Some((num.trim().parse().ok()?, den.trim().parse().ok()?))
    }
}

pub(super) fn number(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix(['-', '+']) {
        Some(digits) => (text.starts_with('-'), digits),
        None => (false, text),
    };
    let value = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) if hex.bytes().all(|b| b.is_ascii_hexdigit()) => i64::from_str_radix(hex, 16).ok()?,
        None if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok()?,
        _ => return None,
    };
    Some(if negative { -value } else { value })
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.content {
            Content::One(text) => quoted(text, f),
            Content::Several(open, items, close) => write!(f, "{open} {} {close}", items.join(", ")),
        }
    }
}

/// Writes `text` as GStreamer does: bare if nothing in it could end it, else quoted, each special
/// byte escaped.
fn quoted(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let bare = |b: u8| b.is_ascii_alphanumeric() || b"_-+/:.".contains(&b);
    if !text.is_empty() && text != "NULL" && text.bytes().all(bare) {
        return f.write_str(text);
    }
    f.write_str("\"")?;
    for b in text.bytes() {
        match b {
            b if bare(b) => write!(f, "{}", char::from(b))?,
            b' '..b'\x7f' => write!(f, "\\{}", char::from(b))?,
            b => write!(f, "\\{b:03o}")?,
        }
    }
    f.write_str("\"")
}
