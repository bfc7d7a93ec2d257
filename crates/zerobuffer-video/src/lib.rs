//! What frames are: GStreamer caps, pixel formats with planes and strides, time stamps, y4m, and
//! the metadata that says so.
//!
//! Programs that exchange pictures have to agree on more than bytes. This crate holds that
//! agreement once. It turns the metadata block of a buffer into a [`Description`]. It turns the
//! length of a frame into a [`Picture`] with its planes and its [`Stamp`]. It knows no buffers and
//! makes no system calls.
//!
//! ```
//! use zerobuffer_video::{Description, Format, Video};
//!
//! let video = Video::new(Format::from_name("I420")?, 854, 480)?;
//! let metadata = Description::video("my-camera", &video).stamped().to_json();
//!
//! // The other side: metadata and a frame of 24 + 614,880 bytes.
//! let description = Description::parse(&metadata)?;
//! let picture = description.picture(24 + 614_880)?;
//! assert_eq!(picture.layout.planes()[1].stride, 427);
//! # Ok::<(), zerobuffer_video::Error>(())
//! ```
//!
//! `docs/video.md` in the repository specifies the keys of the metadata for programs in other
//! languages.
#![forbid(unsafe_code)]

mod audio;
pub mod caps;
mod colour;
mod description;
mod error;
mod format;
mod layout;
mod picture;
mod rate;
mod stamp;
mod video;
pub mod y4m;

pub use audio::{Audio, Sample};
pub use caps::Caps;
pub use colour::{ChromaSite, Colorimetry, Range};
pub use description::{Clock, Content, Description};
pub use error::Error;
pub use format::{Format, Kind, Samples};
pub use layout::{Layout, Plane};
pub use picture::{Picture, Rows};
pub use rate::Rate;
pub use stamp::Stamp;
pub use video::{FieldOrder, Interlace, Video};

/// What this crate's functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;
