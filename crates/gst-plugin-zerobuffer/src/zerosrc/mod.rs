//! `zerosrc`: creates a ring and gives the frames that come.
mod imp;
mod incoming;
mod settings;
mod time;

use gst::glib;
use gst::prelude::*;

glib::wrapper! {
    /// The element.
    pub struct ZeroSrc(ObjectSubclass<imp::ZeroSrc>) @extends gst_base::PushSrc, gst_base::BaseSrc, gst::Element, gst::Object;
}

pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "zerosrc", gst::Rank::NONE, ZeroSrc::static_type())
}
