//! Text from other processes made safe for a terminal: names and metadata may hold anything.

/// `text` on one line, control characters written as escapes.
pub(crate) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        // Bidirectional overrides can make a name read as another one, so they count as control
        // characters here.
        if c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}

/// The first `limit` characters of `text`, with an ellipsis where something is left out.
pub(crate) fn excerpt(text: &str, limit: usize) -> String {
    let line = one_line(text);
    if line.chars().count() <= limit {
        return line;
    }
    let mut short: String = line.chars().take(limit.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// Lower-case hexadecimal digits of `bytes`.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len().saturating_mul(2)), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_escapes_do_not_get_through() {
        assert_eq!(one_line("cam\x1b[2J\r\n\u{202e}ü"), "cam\\u{1b}[2J\\r\\n\\u{202e}ü");
    }

    #[test]
    fn excerpts() {
        assert_eq!(excerpt("abc", 3), "abc");
        assert_eq!(excerpt("abcd", 3), "ab…");
        assert_eq!(excerpt("äöüß", 3), "äö…");
    }

    #[test]
    fn hexadecimal() {
        assert_eq!(hex(&[0, 0x7f, 0xff]), "007fff");
    }
}
