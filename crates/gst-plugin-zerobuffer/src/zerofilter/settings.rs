//! The properties of `zerofilter`.
use gst::glib;
use gst::prelude::*;

use crate::zerosink::FrameHeader;
use crate::{filled, taken};

/// What becomes of a picture that nobody answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstZeroFilterElse")]
pub(crate) enum Otherwise {
    #[default]
    #[enum_value(name = "It goes on as it is", nick = "pass")]
    Pass,
    #[enum_value(name = "It is dropped", nick = "drop")]
    Drop,
    #[enum_value(name = "The stream ends with an error", nick = "error")]
    Error,
}

/// All of them.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) channel_name: Option<String>,
    pub(crate) timeout_ms: u32,
    pub(crate) max_in_flight: u32,
    pub(crate) request_size: u64,
    pub(crate) response_size: u64,
    pub(crate) on_timeout: Otherwise,
    pub(crate) on_server_gone: Otherwise,
    pub(crate) frame_header: FrameHeader,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            channel_name: None,
            timeout_ms: 5000,
            max_in_flight: 1,
            request_size: 0,
            response_size: 64 << 20,
            on_timeout: Otherwise::Pass,
            on_server_gone: Otherwise::Pass,
            frame_header: FrameHeader::RocketWelder,
        }
    }
}

impl Settings {
    pub(crate) fn stamped(&self) -> bool {
        self.frame_header == FrameHeader::RocketWelder
    }

    pub(crate) fn properties() -> Vec<glib::ParamSpec> {
        vec![
            glib::ParamSpecString::builder("channel-name")
                .nick("Channel name")
                .blurb("Name of the duplex channel, whose server answers each picture")
                .mutable_ready()
                .build(),
            glib::ParamSpecUInt::builder("timeout-ms")
                .nick("Time-out")
                .blurb("Milliseconds to wait for the answer to a picture, and for space to ask in")
                .default_value(5000)
                .mutable_playing()
                .build(),
            glib::ParamSpecUInt::builder("max-in-flight")
                .nick("Most in flight")
                .blurb("Pictures that the server may have at a time; more than one keeps a server of several threads busy")
                .minimum(1)
                .maximum(64)
                .default_value(1)
                .mutable_playing()
                .build(),
            glib::ParamSpecUInt64::builder("request-size")
                .nick("Request size")
                .blurb("Ignored: the server chooses the size")
                .build(),
            glib::ParamSpecUInt64::builder("response-size")
                .nick("Response size")
                .blurb("Bytes of the ring that the answers come through")
                .minimum(64)
                .default_value(64 << 20)
                .mutable_ready()
                .build(),
            glib::ParamSpecEnum::builder::<Otherwise>("on-timeout")
                .nick("On time-out")
                .blurb("What becomes of a picture that is not answered in time")
                .mutable_playing()
                .build(),
            glib::ParamSpecEnum::builder::<Otherwise>("on-server-gone")
                .nick("Without a server")
                .blurb("What becomes of a picture while there is no server")
                .mutable_playing()
                .build(),
            glib::ParamSpecEnum::builder::<FrameHeader>("frame-header")
                .nick("Frame header")
                .blurb("What stands in front of each picture that is sent")
                .mutable_ready()
                .build(),
            glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
                .nick("Statistics")
                .blurb("Pictures answered, late, without a server, dropped; servers met")
                .read_only()
                .build(),
        ]
    }

    pub(crate) fn set(&mut self, name: &str, value: &glib::Value) {
        match name {
            "channel-name" => self.channel_name = filled(taken(value, None)),
            "timeout-ms" => self.timeout_ms = taken(value, self.timeout_ms),
            "max-in-flight" => self.max_in_flight = taken(value, self.max_in_flight),
            "request-size" => self.request_size = taken(value, self.request_size),
            "response-size" => self.response_size = taken(value, self.response_size),
            "on-timeout" => self.on_timeout = taken(value, self.on_timeout),
            "on-server-gone" => self.on_server_gone = taken(value, self.on_server_gone),
            "frame-header" => self.frame_header = taken(value, self.frame_header),
            _ => {}
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<glib::Value> {
        Some(match name {
            "channel-name" => self.channel_name.to_value(),
            "timeout-ms" => self.timeout_ms.to_value(),
            "max-in-flight" => self.max_in_flight.to_value(),
            "request-size" => self.request_size.to_value(),
            "response-size" => self.response_size.to_value(),
            "on-timeout" => self.on_timeout.to_value(),
            "on-server-gone" => self.on_server_gone.to_value(),
            "frame-header" => self.frame_header.to_value(),
            _ => return None,
        })
    }
}
