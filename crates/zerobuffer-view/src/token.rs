//! The token that somebody at another machine has to know.
use std::fmt::{self, Write as _};
use std::io;

use crate::Error;

/// A secret text in the viewer's address.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// Shorter ones could be guessed.
const LEAST: usize = 16;

impl Token {
    /// A token of the caller's choice.
    ///
    /// # Errors
    ///
    /// [`Error::Token`] if it is shorter than 16 characters, or holds others than letters, digits,
    /// `-` and `_`.
    pub fn new(text: &str) -> Result<Token, Error> {
        let wrong = |found: String| Err(Error::Token { found });
        if let Some(odd) = text.chars().find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_')) {
            return wrong(format!("{odd:?} in it"));
        }
        if text.len() < LEAST { wrong(text.len().to_string()) } else { Ok(Token(text.to_owned())) }
    }

    /// 128 random bits.
    ///
    /// # Errors
    ///
    /// [`Error::System`] if the system has no random numbers.
    pub fn random() -> Result<Token, Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|error| Error::System {
            what: "no random numbers for a token",
            source: io::Error::other(error.to_string()),
        })?;
        // Writing to a String cannot fail.
        let digits = bytes.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
        Ok(Token(digits))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is this one; takes as long for a good guess as for a bad one.
    #[must_use]
    pub fn is(&self, given: &str) -> bool {
        let differences =
            self.0.bytes().zip(given.bytes()).fold(0u8, |seen, (ours, theirs)| seen | (ours ^ theirs));
        differences == 0 && self.0.len() == given.len()
    }
}

/// Logs are read by others.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_token() {
        let token = Token::new("0123456789abcdef").unwrap();
        assert!(token.is("0123456789abcdef"));
        for other in ["", "0123456789abcde", "0123456789abcdeF", "0123456789abcdef0"] {
            assert!(!token.is(other), "{other}");
        }
        assert!(Token::new("short").unwrap_err().to_string().ends_with("has 5"));
        assert!(Token::new("0123456789 abcdef").unwrap_err().to_string().contains("' '"));
        assert_ne!(Token::random().unwrap(), Token::random().unwrap());
        assert_eq!(format!("{token:?}"), "Token(…)");
    }
}
