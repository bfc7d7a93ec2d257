//! The properties of `zerosink`.
use gst::glib;
use gst::prelude::*;
use zerobuffer::FullRingPolicy;

use crate::port::Waiting;
use crate::{filled, patience, taken as get};

/// What to do when the ring is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstZeroSinkFull")]
pub(crate) enum Full {
    #[default]
    #[enum_value(name = "Wait for the reader, at most `write-timeout`", nick = "block")]
    Block,
    #[enum_value(name = "Stop with an error", nick = "refuse")]
    Refuse,
    #[enum_value(name = "Drop the frame and count it", nick = "drop")]
    Drop,
}

/// Whether frames are made in the ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstZeroSinkZeroCopy")]
pub(crate) enum ZeroCopy {
    #[default]
    #[enum_value(name = "Where upstream takes the offered memory", nick = "auto")]
    Auto,
    #[enum_value(name = "Always: a frame in other memory is an error", nick = "always")]
    Always,
    #[enum_value(name = "Never: every frame is copied", nick = "never")]
    Never,
}

/// What stands in front of each frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstZeroFrameHeader")]
pub(crate) enum FrameHeader {
    #[default]
    #[enum_value(
        name = "The stamp of the existing clients: number, time, exposure (24 bytes)",
        nick = "rocket-welder"
    )]
    RocketWelder,
    #[enum_value(name = "Nothing", nick = "none")]
    None,
}

/// Which time goes into the stamp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstZeroSinkTimestamp")]
pub(crate) enum Timestamp {
    #[default]
    #[enum_value(name = "The buffer's PTS", nick = "pts")]
    Pts,
    #[enum_value(name = "The buffer's running time", nick = "running-time")]
    RunningTime,
    #[enum_value(
        name = "The time of the machine's monotonic clock at which the buffer is due",
        nick = "monotonic"
    )]
    Monotonic,
}

/// All of them.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) buffer_name: Option<String>,
    pub(crate) connect_timeout: i64,
    pub(crate) wait_for_connection: bool,
    pub(crate) full: Full,
    pub(crate) write_timeout: i64,
    pub(crate) zero_copy: ZeroCopy,
    pub(crate) frame_header: FrameHeader,
    pub(crate) timestamp: Timestamp,
    pub(crate) reconnect: bool,
    pub(crate) buffer_size: u64,
    pub(crate) metadata_size: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            buffer_name: None,
            connect_timeout: 5000,
            wait_for_connection: true,
            full: Full::Block,
            write_timeout: 5000,
            zero_copy: ZeroCopy::Auto,
            frame_header: FrameHeader::RocketWelder,
            timestamp: Timestamp::Pts,
            reconnect: true,
            buffer_size: 0,
            metadata_size: 0,
        }
    }
}

impl Settings {
    pub(crate) fn stamped(&self) -> bool {
        self.frame_header == FrameHeader::RocketWelder
    }

    pub(crate) fn waiting(&self) -> Waiting {
        let policy = match self.full {
            Full::Block => FullRingPolicy::Block,
            Full::Refuse => FullRingPolicy::Refuse,
            Full::Drop => FullRingPolicy::DropNewest,
        };
        Waiting { policy, timeout: patience(self.write_timeout) }
    }

    pub(crate) fn properties() -> Vec<glib::ParamSpec> {
        vec![
            glib::ParamSpecString::builder("buffer-name")
                .nick("Buffer name")
                .blurb("Name of the buffer, which its reader creates")
                .mutable_ready()
                .build(),
            glib::ParamSpecInt64::builder("connect-timeout")
                .nick("Connect time-out")
                .blurb("Milliseconds to wait for the first reader; 0: not at all, -1: for ever")
                .minimum(-1)
                .default_value(5000)
                .mutable_ready()
                .build(),
            glib::ParamSpecBoolean::builder("wait-for-connection")
                .nick("Wait for a reader")
                .blurb("Wait for a reader; otherwise frames are dropped while there is none")
                .default_value(true)
                .mutable_ready()
                .build(),
            glib::ParamSpecEnum::builder::<Full>("full")
                .nick("Full ring")
                .blurb("What to do when the ring is full")
                .mutable_playing()
                .build(),
            glib::ParamSpecInt64::builder("write-timeout")
                .nick("Write time-out")
                .blurb("Milliseconds to wait for space in the ring; -1: for ever")
                .minimum(-1)
                .default_value(5000)
                .mutable_playing()
                .build(),
            glib::ParamSpecEnum::builder::<ZeroCopy>("zero-copy")
                .nick("Zero copy")
                .blurb("Whether upstream makes frames in the ring itself")
                .mutable_ready()
                .build(),
            glib::ParamSpecEnum::builder::<FrameHeader>("frame-header")
                .nick("Frame header")
                .blurb("What stands in front of each frame")
                .mutable_ready()
                .build(),
            glib::ParamSpecEnum::builder::<Timestamp>("timestamp")
                .nick("Time stamp")
                .blurb("Which time goes into the frame header")
                .mutable_ready()
                .build(),
            glib::ParamSpecBoolean::builder("reconnect")
                .nick("Reconnect")
                .blurb("When the reader goes, wait for the next one instead of stopping with an error")
                .default_value(true)
                .mutable_playing()
                .build(),
            glib::ParamSpecUInt64::builder("buffer-size")
                .nick("Buffer size")
                .blurb("Ignored: the reader chooses the size")
                .build(),
            glib::ParamSpecUInt64::builder("metadata-size")
                .nick("Metadata size")
                .blurb("Ignored: the reader chooses the size")
                .build(),
            glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
                .nick("Statistics")
                .blurb("Frames sent (in place and copied), dropped, bytes, time blocked, readers, reader-pid")
                .read_only()
                .build(),
        ]
    }

    pub(crate) fn set(&mut self, name: &str, value: &glib::Value) {
        match name {
            "buffer-name" => self.buffer_name = filled(value.get().unwrap_or_default()),
            "connect-timeout" => self.connect_timeout = get(value, self.connect_timeout),
            "wait-for-connection" => self.wait_for_connection = get(value, self.wait_for_connection),
            "full" => self.full = get(value, self.full),
            "write-timeout" => self.write_timeout = get(value, self.write_timeout),
            "zero-copy" => self.zero_copy = get(value, self.zero_copy),
            "frame-header" => self.frame_header = get(value, self.frame_header),
            "timestamp" => self.timestamp = get(value, self.timestamp),
            "reconnect" => self.reconnect = get(value, self.reconnect),
            "buffer-size" => self.buffer_size = get(value, self.buffer_size),
            "metadata-size" => self.metadata_size = get(value, self.metadata_size),
            _ => {}
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<glib::Value> {
        Some(match name {
            "buffer-name" => self.buffer_name.to_value(),
            "connect-timeout" => self.connect_timeout.to_value(),
            "wait-for-connection" => self.wait_for_connection.to_value(),
            "full" => self.full.to_value(),
            "write-timeout" => self.write_timeout.to_value(),
            "zero-copy" => self.zero_copy.to_value(),
            "frame-header" => self.frame_header.to_value(),
            "timestamp" => self.timestamp.to_value(),
            "reconnect" => self.reconnect.to_value(),
            "buffer-size" => self.buffer_size.to_value(),
            "metadata-size" => self.metadata_size.to_value(),
            _ => return None,
        })
    }
}
