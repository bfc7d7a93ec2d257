//! `zerosink`: frames into a ring that its reader has created.
mod imp;
mod pool;
mod settings;

pub(crate) use settings::FrameHeader;

use gst::glib;
use gst::prelude::*;

glib::wrapper! {
    /// The element.
    pub struct ZeroSink(ObjectSubclass<imp::ZeroSink>) @extends gst_base::BaseSink, gst::Element, gst::Object;
}

pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "zerosink", gst::Rank::NONE, ZeroSink::static_type())
}
