//! The caps parser: one pass over the text, bounded by its length.
use super::value::number;
use super::{Caps, Structure, Value};
use crate::error::excerpt;
use crate::{Error, Rate, Result};

/// Longest caps accepted: they stand in metadata blocks of a few KiB.
const LONGEST: usize = 64 * 1024;

pub(super) fn caps(text: &str) -> Result<Caps> {
    let mut parser = Parser { text, at: 0 };
    if text.len() > LONGEST {
        return Err(parser.fail("more than 65536 bytes"));
    }
    match text.trim() {
        "ANY" | "EMPTY" | "NONE" => return Ok(Caps { structures: Vec::new() }),
        short => {
            if let Some(caps) = picture(short) {
                return Ok(caps);
            }
        }
    }
    let mut structures = Vec::new();
    loop {
        parser.space();
        structures.push(parser.structure()?);
        parser.space();
        if !parser.take(';') {
            break;
        }
        parser.space();
        if parser.rest().is_empty() {
            break;
        }
    }
    if !parser.rest().is_empty() {
        return Err(parser.fail("',' or ';' is missing"));
    }
    // The same words, with a separator behind them.
    if let [only] = &structures[..]
        && matches!(only.to_string().as_str(), "ANY" | "EMPTY" | "NONE")
    {
        structures.clear();
    }
    Ok(Caps { structures })
}

/// `640x480 RGB` or `640x480 RGB @ 30.00fps`.
fn picture(text: &str) -> Option<Caps> {
    let mut words = text.split_ascii_whitespace();
    let (width, height) = words.next()?.split_once('x')?;
    let format = words.next()?;
    let name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !format.chars().all(name) {
        return None;
    }
    let mut structure = Structure::new("video/x-raw")
        .with("format", Value::string(format))
        .with("width", Value::int(crate::rate::digits(width)?.into()))
        .with("height", Value::int(crate::rate::digits(height)?.into()));
    match words.next() {
        None => {}
        Some("@") => {
            let rate = words.next()?.strip_suffix("fps")?;
            let rate = if rate.trim_matches(['0', '.']).is_empty() {
                None
            } else {
                Some(rate.parse::<Rate>().ok()?)
            };
            let rate = rate.map_or_else(|| String::from("0/1"), |rate| rate.reduced().to_string());
            structure = structure.with("framerate", Value::fraction(&rate));
        }
        Some(_) => return None,
    }
    words.next().is_none().then(|| structure.into())
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn fail(&self, reason: &'static str) -> Error {
        Error::CapsSyntax { caps: excerpt(self.text), at: self.at, reason }
    }

    fn space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn take(&mut self, c: char) -> bool {
        let found = self.rest().starts_with(c);
        if found {
            self.at += c.len_utf8();
        }
        found
    }

    /// The text up to the first character that is in `ends`, or all of it.
    fn until(&mut self, ends: &[char]) -> &'a str {
        let rest = self.rest();
        let taken = rest.find(ends).and_then(|end| rest.get(..end)).unwrap_or(rest);
        self.at += taken.len();
        taken
    }

    fn structure(&mut self) -> Result<Structure> {
        let name = self.until(&['(', ',', ';']).trim();
        let good = |c: char| c.is_ascii_alphanumeric() || "/-_.:+".contains(c);
        if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || !name.chars().all(good) {
            return Err(self.fail("a media type such as video/x-raw must come first"));
        }
        let mut structure = Structure::new(name);
        if self.take('(') {
            let features = self.until(&[')']).trim();
            if !self.take(')') {
                return Err(self.fail("')' is missing"));
            }
            structure = structure.with_features(features);
        }
        loop {
            self.space();
            if !self.take(',') {
                return Ok(structure);
            }
            self.space();
            // A comma at the end, as GStreamer lets pass.
            if self.rest().is_empty() || self.rest().starts_with(';') {
                return Ok(structure);
            }
            let field = self.until(&['=', ',', ';']).trim();
            if field.is_empty() || field.contains(char::is_whitespace) {
                return Err(self.fail("a field's name is missing"));
            }
            if !self.take('=') {
                return Err(self.fail("'=' is missing behind a field's name"));
            }
            let value = self.value()?;
            structure = structure.with(field, value);
        }
    }

    fn value(&mut self) -> Result<Value> {
        self.space();
        let mut kind = None;
        if self.take('(') {
            kind = Some(full_name(self.until(&[')']).trim()));
            if !self.take(')') {
                return Err(self.fail("')' is missing behind a type"));
            }
            self.space();
        }
        let brackets = [('{', '}'), ('[', ']'), ('<', '>')];
        if let Some((open, close)) = brackets.into_iter().find(|(open, _)| self.rest().starts_with(*open)) {
            let items = self.several(close)?;
            let first = items.first().map_or("string", |item| guess(item));
            return Ok(Value::several(kind.unwrap_or(first), open, items, close));
        }
        let quoted = self.rest().starts_with('"');
        let text = if quoted { self.quoted()? } else { self.bare() };
        let kind = kind.unwrap_or(if quoted { "string" } else { guess(&text) });
        let sound = match kind {
            "int" => number(&text).is_some_and(|value| i32::try_from(value).is_ok()),
            "fraction" => Value::one(kind, &text).as_fraction().is_some(),
            _ => !text.is_empty() || quoted,
        };
        if sound { Ok(Value::one(kind, &text)) } else { Err(self.fail("a value is not of its type")) }
    }

    /// The items between brackets; brackets inside them are part of the item.
    fn several(&mut self, close: char) -> Result<Vec<String>> {
        let start = self.at;
        let mut items = Vec::new();
        let (mut depth, mut quoted, mut escaped) = (0usize, false, false);
        let mut begin = start + 1;
        for (offset, c) in self.rest().char_indices() {
            let at = start + offset;
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => quoted = !quoted,
                _ if quoted => {}
                '{' | '[' | '<' => depth += 1,
                '}' | ']' | '>' | ',' if depth == 1 => {
                    let item = self.text.get(begin..at).unwrap_or_default().trim();
                    // A list may be empty, an item may not.
                    if !item.is_empty() || (items.is_empty() && c != ',') {
                        items.extend((!item.is_empty()).then(|| item.to_owned()));
                    } else {
                        return Err(self.fail("an item of a list is missing"));
                    }
                    begin = at + 1;
                    if c == close {
                        self.at = begin;
                        return Ok(items);
                    }
                    if c != ',' {
                        break;
                    }
                }
                '}' | ']' | '>' => depth -= 1,
                _ => {}
            }
        }
        Err(self.fail("a list or range does not end"))
    }

    /// A value without quotes: up to ',' or ';', with backslash escapes.
    fn bare(&mut self) -> String {
        let mut text = String::new();
        let mut escaped = false;
        let rest = self.rest();
        let mut taken = rest.len();
        for (offset, c) in rest.char_indices() {
            if !escaped && (c == ',' || c == ';') {
                taken = offset;
                break;
            }
            escaped = !escaped && c == '\\';
            if !escaped {
                text.push(c);
            }
        }
        self.at += taken;
        text.trim().to_owned()
    }

    /// A value in quotes. `\"` and the like are the character, three octal digits a byte.
    fn quoted(&mut self) -> Result<String> {
        let bytes = self.rest().as_bytes();
        let mut text = Vec::new();
        let mut index = 1;
        loop {
            let byte = |index: usize| bytes.get(index).copied();
            let octal = |index| byte(index).filter(|b| matches!(b, b'0'..=b'7')).map(|b| u32::from(b - b'0'));
            match byte(index) {
                None => return Err(self.fail("a quote does not end")),
                Some(b'"') => break,
                Some(b'\\') => {
                    let code = match (octal(index + 1), octal(index + 2), octal(index + 3)) {
                        (Some(a), Some(b), Some(c)) => u8::try_from(a * 64 + b * 8 + c).ok(),
                        _ => None,
                    };
                    match (code, byte(index + 1)) {
                        (Some(code), _) => {
                            text.push(code);
                            index += 4;
                        }
                        (None, Some(c)) => {
                            text.push(c);
                            index += 2;
                        }
                        (None, None) => return Err(self.fail("a quote does not end")),
                    }
                }
                Some(c) => {
                    text.push(c);
                    index += 1;
                }
            }
        }
        let text = String::from_utf8(text).map_err(|_| self.fail("a quoted value is not UTF-8"))?;
        self.at += index + 1;
        Ok(text)
    }
}

/// The type's name for one of its abbreviations.
fn full_name(kind: &str) -> &str {
    match kind {
        "i" => "int",
        "s" | "str" => "string",
        "b" | "bool" => "boolean",
        "d" => "double",
        "f" => "float",
        other => other,
    }
}

/// The type that GStreamer takes a value without one for.
fn guess(text: &str) -> &'static str {
    let fraction =
        || text.split_once('/').is_some_and(|(num, den)| number(num).is_some() && number(den).is_some());
    let text = text.trim();
    if number(text).is_some() {
        "int"
    } else if text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c))
        && text.parse::<f64>().is_ok()
    {
        "double"
    } else if fraction() {
        "fraction"
    } else if ["true", "false", "yes", "no"].iter().any(|word| word.eq_ignore_ascii_case(text)) {
        "boolean"
    } else {
        "string"
    }
}
