//! `zerofilter`: sends each picture to a duplex server and goes on with its answer.
mod asking;
mod imp;
mod queue;
mod settings;

use gst::glib;
use gst::prelude::*;

glib::wrapper! {
    /// The element.
    pub struct ZeroFilter(ObjectSubclass<imp::ZeroFilter>) @extends gst::Element, gst::Object;
}

pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "zerofilter", gst::Rank::NONE, ZeroFilter::static_type())
}
