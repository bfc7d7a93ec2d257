//! GStreamer's caps: what a stream is, as text.
//!
//! Read are the typed form (`video/x-raw, width=(int)640`), the short one of command lines
//! (`video/x-raw,width=640`) and `640x480 RGB @ 30.00fps`. Written is the typed form, as
//! GStreamer's `gst_caps_to_string` does.
mod parse;
mod value;

use std::fmt;

use crate::Result;
pub use value::Value;

/// Caps: one structure for a stream whose form is settled, several where there is a choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caps {
    structures: Vec<Structure>,
}

/// A media type with its fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Structure {
    name: String,
    features: Option<String>,
    fields: Vec<(String, Value)>,
}

impl Caps {
    /// Reads caps in one of the forms above.
    pub fn parse(text: &str) -> Result<Caps> {
        parse::caps(text)
    }

    /// The first structure, which describes the stream once its form is settled; `None` for `ANY`
    /// and `EMPTY`.
    #[must_use]
    pub fn first(&self) -> Option<&Structure> {
        self.structures.first()
    }

    /// All structures.
    #[must_use]
    pub fn structures(&self) -> &[Structure] {
        &self.structures
    }
}

impl From<Structure> for Caps {
    fn from(structure: Structure) -> Caps {
        Caps { structures: vec![structure] }
    }
}

impl Structure {
    /// A media type such as `video/x-raw`, without fields.
    #[must_use]
    pub fn new(name: &str) -> Structure {
        Structure { name: name.to_owned(), features: None, fields: Vec::new() }
    }

    /// Adds a field or replaces its value.
    #[must_use]
    pub fn with(mut self, field: &str, value: Value) -> Structure {
        match self.fields.iter_mut().find(|(name, _)| name == field) {
            Some((_, old)) => *old = value,
            None => self.fields.push((field.to_owned(), value)),
        }
        self
    }

    /// Sets the features that stand in parentheses behind the media type.
    #[must_use]
    pub fn with_features(mut self, features: &str) -> Structure {
        self.features = Some(features.to_owned());
        self
    }

    /// The media type.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The features, such as `memory:DMABuf`.
    #[must_use]
    pub fn features(&self) -> Option<&str> {
        self.features.as_deref()
    }

    /// The value of a field.
    #[must_use]
    pub fn get(&self, field: &str) -> Option<&Value> {
        self.fields.iter().find(|(name, _)| name == field).map(|(_, value)| value)
    }

    /// All fields in their order.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value))
    }
}

impl fmt::Display for Caps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.structures.is_empty() {
            return f.write_str("EMPTY");
        }
        for (index, structure) in self.structures.iter().enumerate() {
            write!(f, "{}{structure}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl fmt::Display for Structure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(features) = &self.features {
            write!(f, "({features})")?;
        }
        for (name, value) in &self.fields {
            write!(f, ", {name}=({}){value}", value.kind())?;
        }
        Ok(())
    }
}
