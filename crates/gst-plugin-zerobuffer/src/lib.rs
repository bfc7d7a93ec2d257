//! GStreamer elements that carry frames through shared memory: `zerosink`, `zerosrc`, `zerofilter`.
mod devices;
mod pictures;
mod port;
mod zerofilter;
mod zerosink;
mod zerosrc;

use gst::glib;
use gst::prelude::*;

fn plugin_init(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    zerosink::register(plugin)?;
    zerosrc::register(plugin)?;
    zerofilter::register(plugin)?;
    devices::register(plugin)
}

gst::plugin_define!(
    zerobuffer,
    env!("CARGO_PKG_DESCRIPTION"),
    plugin_init,
    concat!(env!("CARGO_PKG_VERSION"), "-", env!("COMMIT_ID")),
    "MIT/X11",
    env!("CARGO_PKG_NAME"),
    env!("CARGO_PKG_NAME"),
    "ZeroBuffer",
    env!("BUILD_REL_DATE")
);

/// A property's text with spaces around it cut, `None` for nothing.
fn filled(text: Option<String>) -> Option<String> {
    text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// A time-out property in milliseconds: -1 waits for ever.
fn patience(milliseconds: i64) -> Option<std::time::Duration> {
    u64::try_from(milliseconds).ok().map(std::time::Duration::from_millis)
}

/// Tells the application of a picture that was dropped, with the counts so far.
fn dropped(element: &gst::Element, buffer: Option<&gst::BufferRef>, processed: u64, dropped: u64) {
    let counts = (gst::format::Buffers::from_u64(processed), gst::format::Buffers::from_u64(dropped));
    let message = gst::message::Qos::builder(true)
        .timestamp(buffer.and_then(gst::BufferRef::pts))
        .duration(buffer.and_then(gst::BufferRef::duration))
        .stats(counts.0, counts.1)
        .src(element)
        .build();
    // Nobody has to listen.
    let _ = element.post_message(message);
}

/// The value of a property, whose type GObject has checked already.
fn taken<'a, T: glib::value::FromValue<'a>>(value: &'a glib::Value, old: T) -> T {
    value.get().unwrap_or(old)
}
