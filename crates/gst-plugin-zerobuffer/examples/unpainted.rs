//! Runs a pipeline whose source paints nothing: what is measured is the transport alone.
//!
//! ```sh
//! cargo run --release --example unpainted -- unpaintedsrc num-buffers=100 ! fakesink
//! ```
//!
//! `unpaintedsrc` gives 1080p I420 pictures. It takes buffers as any other source does, from what
//! downstream offers, and leaves in them what it finds. The plugin's elements are registered too.

use gst::glib;
use gst::prelude::*;

mod source {
    use std::sync::LazyLock;

    use super::glib;
    use gst::subclass::prelude::*;
    use gst_base::prelude::*;
    use gst_base::subclass::prelude::*;

    const CAPS: &str = "video/x-raw, format=I420, width=1920, height=1080, framerate=30/1";
    const SIZE: u32 = 1920 * 1080 * 3 / 2;

    #[derive(Default)]
    pub struct Unpainted;

    #[glib::object_subclass]
    impl ObjectSubclass for Unpainted {
        const NAME: &'static str = "GstUnpaintedSrc";
        type Type = super::Unpainted;
        type ParentType = gst_base::BaseSrc;
    }

    impl ObjectImpl for Unpainted {
        fn constructed(&self) {
            self.parent_constructed();
            self.obj().set_format(gst::Format::Time);
            self.obj().set_blocksize(SIZE);
        }
    }

    impl GstObjectImpl for Unpainted {}

    impl ElementImpl for Unpainted {
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
                gst::subclass::ElementMetadata::new(
                    "Unpainted",
                    "Source/Video",
                    "Pictures as they lie",
                    "ZeroBuffer",
                )
            });
            Some(&METADATA)
        }

        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
                let caps = CAPS.parse().unwrap_or_else(|_| gst::Caps::new_any());
                gst::PadTemplate::new("src", gst::PadDirection::Src, gst::PadPresence::Always, &caps)
                    .into_iter()
                    .collect()
            });
            &TEMPLATES
        }
    }

    impl BaseSrcImpl for Unpainted {
        fn is_seekable(&self) -> bool {
            false
        }

        fn fill(&self, _: u64, _: u32, _: &mut gst::BufferRef) -> Result<gst::FlowSuccess, gst::FlowError> {
            Ok(gst::FlowSuccess::Ok)
        }
    }
}

glib::wrapper! {
    pub struct Unpainted(ObjectSubclass<source::Unpainted>) @extends gst_base::BaseSrc, gst::Element, gst::Object;
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    gst::init()?;
    gstzerobuffer::plugin_register_static()?;
    gst::Element::register(None, "unpaintedsrc", gst::Rank::NONE, Unpainted::static_type())?;
    let words: Vec<String> = std::env::args().skip(1).collect();
    let pipeline = gst::parse::launch(&words.join(" "))?;
    pipeline.set_state(gst::State::Playing)?;
    let Some(bus) = pipeline.bus() else { return Ok(()) };
    let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
    let end = bus.timed_pop_filtered(gst::ClockTime::NONE, &kinds);
    pipeline.set_state(gst::State::Null)?;
    match end.as_ref().map(|end| end.view()) {
        Some(gst::MessageView::Error(error)) => Err(error.error().into()),
        _ => Ok(()),
    }
}
