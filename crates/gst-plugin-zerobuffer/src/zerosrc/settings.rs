//! The properties of `zerosrc`.
use gst::glib;
use gst::prelude::*;

use crate::{filled, taken};

/// Where time stamps come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstZeroSrcTimestampMode")]
pub(crate) enum TimestampMode {
    #[default]
    #[enum_value(name = "The sender's where there is a stamp, else the arrival", nick = "auto")]
    Auto,
    #[enum_value(name = "The sender's as they are", nick = "sender")]
    Sender,
    #[enum_value(name = "The time of arrival", nick = "arrival")]
    Arrival,
    #[enum_value(name = "None", nick = "none")]
    None,
}

/// What to do when the writer has gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstZeroSrcWriterGone")]
pub(crate) enum WriterGone {
    #[default]
    #[enum_value(name = "Wait for the next one", nick = "wait")]
    Wait,
    #[enum_value(name = "End the stream", nick = "eos")]
    Eos,
    #[enum_value(name = "Stop with an error", nick = "error")]
    Error,
}

/// All of them.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) buffer_name: Option<String>,
    pub(crate) buffer_size: u64,
    pub(crate) metadata_size: u64,
    pub(crate) mode: u32,
    pub(crate) caps: Option<gst::Caps>,
    pub(crate) skip_to_latest: bool,
    pub(crate) timestamp_mode: TimestampMode,
    pub(crate) timeout: u64,
    pub(crate) on_writer_gone: WriterGone,
    pub(crate) copy_threshold: u32,
    pub(crate) is_live: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            buffer_name: None,
            buffer_size: 64 << 20,
            metadata_size: 4096,
            mode: 0o600,
            caps: None,
            skip_to_latest: false,
            timestamp_mode: TimestampMode::Auto,
            timeout: 0,
            on_writer_gone: WriterGone::Wait,
            copy_threshold: 50,
            is_live: true,
        }
    }
}

impl Settings {
    pub(crate) fn properties() -> Vec<glib::ParamSpec> {
        vec![
            glib::ParamSpecString::builder("buffer-name")
                .nick("Buffer name")
                .blurb("Name of the buffer, which this element creates")
                .mutable_ready()
                .build(),
            glib::ParamSpecUInt64::builder("buffer-size")
                .nick("Buffer size")
                .blurb("Bytes of the ring")
                .minimum(64)
                .default_value(64 << 20)
                .mutable_ready()
                .build(),
            glib::ParamSpecUInt64::builder("metadata-size")
                .nick("Metadata size")
                .blurb("Bytes of the metadata block")
                .default_value(4096)
                .mutable_ready()
                .build(),
            glib::ParamSpecUInt::builder("mode")
                .nick("Mode")
                .blurb("Permission bits of the buffer; 384 is 0600, 432 0660, 438 0666")
                .maximum(0o777)
                .default_value(0o600)
                .mutable_ready()
                .build(),
            glib::ParamSpecBoxed::builder::<gst::Caps>("caps")
                .nick("Caps")
                .blurb("What the frames are, for senders that do not say so")
                .mutable_ready()
                .build(),
            glib::ParamSpecBoolean::builder("skip-to-latest")
                .nick("Skip to latest")
                .blurb("Give the newest frame and drop the older ones")
                .mutable_playing()
                .build(),
            glib::ParamSpecEnum::builder::<TimestampMode>("timestamp-mode")
                .nick("Time-stamp mode")
                .blurb("Where the time stamps of buffers come from")
                .mutable_ready()
                .build(),
            glib::ParamSpecUInt64::builder("timeout")
                .nick("Time-out")
                .blurb("Nanoseconds without a frame after which the element message zerosrc-timeout is posted; 0: never")
                .mutable_playing()
                .build(),
            glib::ParamSpecEnum::builder::<WriterGone>("on-writer-gone")
                .nick("Writer gone")
                .blurb("What to do when the writer has gone")
                .mutable_playing()
                .build(),
            glib::ParamSpecUInt::builder("copy-threshold")
                .nick("Copy threshold")
                .blurb("Percent of the ring that buffers downstream may hold; above it frames are copied")
                .maximum(100)
                .default_value(50)
                .mutable_playing()
                .build(),
            glib::ParamSpecBoolean::builder("is-live")
                .nick("Live")
                .blurb("Whether the frames come in real time")
                .default_value(true)
                .mutable_ready()
                .build(),
            glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
                .nick("Statistics")
                .blurb("Frames received, skipped, lost, wrapped, copied; bytes of the ring held downstream; writers")
                .read_only()
                .build(),
        ]
    }

    pub(crate) fn set(&mut self, name: &str, value: &glib::Value) {
        match name {
            "buffer-name" => self.buffer_name = filled(taken(value, None)),
            "buffer-size" => self.buffer_size = taken(value, self.buffer_size),
            "metadata-size" => self.metadata_size = taken(value, self.metadata_size),
            "mode" => self.mode = taken(value, self.mode),
            "caps" => self.caps = taken(value, None),
            "skip-to-latest" => self.skip_to_latest = taken(value, self.skip_to_latest),
            "timestamp-mode" => self.timestamp_mode = taken(value, self.timestamp_mode),
            "timeout" => self.timeout = taken(value, self.timeout),
            "on-writer-gone" => self.on_writer_gone = taken(value, self.on_writer_gone),
            "copy-threshold" => self.copy_threshold = taken(value, self.copy_threshold),
            "is-live" => self.is_live = taken(value, self.is_live),
            _ => {}
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<glib::Value> {
        Some(match name {
            "buffer-name" => self.buffer_name.to_value(),
            "buffer-size" => self.buffer_size.to_value(),
            "metadata-size" => self.metadata_size.to_value(),
            "mode" => self.mode.to_value(),
            "caps" => self.caps.to_value(),
            "skip-to-latest" => self.skip_to_latest.to_value(),
            "timestamp-mode" => self.timestamp_mode.to_value(),
            "timeout" => self.timeout.to_value(),
            "on-writer-gone" => self.on_writer_gone.to_value(),
            "copy-threshold" => self.copy_threshold.to_value(),
            "is-live" => self.is_live.to_value(),
            _ => return None,
        })
    }
}
