//! As much JSON as the report of a failure needs: strings are written, one flat object is read.

use std::{fmt::Write as _, iter::Peekable, str::Chars};

/// Appends `value` as the inside of a JSON string of at most `room` bytes, cut between two
/// characters.
pub(super) fn escape_into(text: &mut String, value: &str, room: usize) {
    let end = text.len().saturating_add(room);
    for letter in value.chars() {
        let before = text.len();
        match letter {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            control if control < ' ' => {
                // Writing to a string does not fail.
                let _ = write!(text, "\\u{:04x}", u32::from(control));
            }
            other => text.push(other),
        }
        if text.len() > end {
            text.truncate(before);
            return;
        }
    }
}

/// The fields of a report; absent ones are empty.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) kind: String,
    pub(super) message: String,
    pub(super) detail: String,
    pub(super) size: Option<u64>,
    pub(super) max: Option<u64>,
}

impl Fields {
    /// `None`: the text is no JSON object, or a field has another type.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut scan = Scan(text.chars().peekable());
        let mut fields = Self::default();
        scan.require('{')?;
        if scan.take('}') {
            return scan.end().then_some(fields);
        }
        loop {
            let key = scan.string()?;
            scan.require(':')?;
            match key.as_str() {
                "kind" => fields.kind = scan.string()?,
                "message" => fields.message = scan.string()?,
                "detail" => fields.detail = scan.string()?,
                "size" => fields.size = Some(scan.number()?),
                "max" => fields.max = Some(scan.number()?),
                _ => scan.skip_value()?,
            }
            if scan.take('}') {
                return scan.end().then_some(fields);
            }
            scan.require(',')?;
        }
    }
}

/// How deep values that are skipped may be nested.
const DEEPEST: usize = 32;

struct Scan<'t>(Peekable<Chars<'t>>);

impl Scan<'_> {
    fn blanks(&mut self) {
        while self.0.next_if(|letter| matches!(letter, ' ' | '\n' | '\r' | '\t')).is_some() {}
    }

    fn take(&mut self, letter: char) -> bool {
        self.blanks();
        self.0.next_if_eq(&letter).is_some()
    }

    fn require(&mut self, letter: char) -> Option<()> {
        self.take(letter).then_some(())
    }

    fn end(&mut self) -> bool {
        self.blanks();
        self.0.peek().is_none()
    }

    fn string(&mut self) -> Option<String> {
        self.require('"')?;
        let mut text = String::new();
        loop {
            match self.0.next()? {
                '"' => return Some(text),
                '\\' => text.push(self.escaped()?),
                control if control < ' ' => return None,
                other => text.push(other),
            }
        }
    }

    fn escaped(&mut self) -> Option<char> {
        Some(match self.0.next()? {
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'u' => return self.unicode(),
            literal @ ('"' | '\\' | '/') => literal,
            _ => return None,
        })
    }

    fn unicode(&mut self) -> Option<char> {
        let unit = self.hex()?;
        if !(0xd800..0xdc00).contains(&unit) {
            return char::from_u32(unit);
        }
        // The second half of a character beyond the first 65,536.
        let escapes = self.0.next() == Some('\\') && self.0.next() == Some('u');
        let low = self.hex().filter(|low| escapes && (0xdc00..0xe000).contains(low))?;
        char::from_u32(0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00))
    }

    fn hex(&mut self) -> Option<u32> {
        (0..4).try_fold(0, |value, _| Some(value * 16 + self.0.next()?.to_digit(16)?))
    }

    fn number(&mut self) -> Option<u64> {
        self.blanks();
        let mut digits = String::new();
        while let Some(digit) = self.0.next_if(char::is_ascii_digit) {
            digits.push(digit);
        }
        digits.parse().ok()
    }

    /// Skips any value.
    fn skip_value(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            self.blanks();
            match *self.0.peek()? {
                '"' => drop(self.string()?),
                '[' | '{' if depth < DEEPEST => {
                    self.0.next();
                    depth += 1;
                    continue;
                }
                ']' | '}' if depth > 0 => {
                    self.0.next();
                    depth -= 1;
                }
                ',' | ':' if depth > 0 => {
                    self.0.next();
                    continue;
                }
                letter if letter.is_ascii_alphanumeric() || matches!(letter, '-' | '+' | '.') => {
                    while self
                        .0
                        .next_if(|l| l.is_ascii_alphanumeric() || matches!(l, '-' | '+' | '.'))
                        .is_some()
                    {}
                }
                _ => return None,
            }
            if depth == 0 {
                return Some(());
            }
        }
    }
}
