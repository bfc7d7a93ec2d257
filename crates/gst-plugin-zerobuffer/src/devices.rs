//! Buffers that wait for a sender, for `gst-device-monitor-1.0`.
use std::sync::{LazyLock, Mutex};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use zerobuffer::observe;

use crate::pictures::incoming;
use crate::port::lock;

mod imp {
    use super::*;

    #[derive(Default)]
    pub struct Provider;

    #[glib::object_subclass]
    impl ObjectSubclass for Provider {
        const NAME: &'static str = "GstZeroDeviceProvider";
        type Type = super::Provider;
        type ParentType = gst::DeviceProvider;
    }

    impl ObjectImpl for Provider {}
    impl GstObjectImpl for Provider {}

    impl DeviceProviderImpl for Provider {
        fn metadata() -> Option<&'static gst::subclass::DeviceProviderMetadata> {
            static METADATA: LazyLock<gst::subclass::DeviceProviderMetadata> = LazyLock::new(|| {
                gst::subclass::DeviceProviderMetadata::new(
                    "ZeroBuffer buffers",
                    "Sink/Video",
                    "Lists the buffers in shared memory whose readers live",
                    "The ZeroBuffer developers",
                )
            });
            Some(&METADATA)
        }

        fn probe(&self) -> Vec<gst::Device> {
            super::found()
        }
    }

    #[derive(Default)]
    pub struct Device {
        pub name: Mutex<String>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Device {
        const NAME: &'static str = "GstZeroDevice";
        type Type = super::Device;
        type ParentType = gst::Device;
    }

    impl ObjectImpl for Device {}
    impl GstObjectImpl for Device {}

    impl DeviceImpl for Device {
        fn create_element(&self, name: Option<&str>) -> Result<gst::Element, gst::LoggableError> {
            gst::ElementFactory::make("zerosink")
                .name_if_some(name)
                .property("buffer-name", lock(&self.name).as_str())
                .build()
                .map_err(|error| gst::loggable_error!(gst::CAT_RUST, "{error}"))
        }
    }
}

glib::wrapper! {
    /// Lists buffers.
    pub struct Provider(ObjectSubclass<imp::Provider>) @extends gst::DeviceProvider, gst::Object;
}

glib::wrapper! {
    /// One buffer.
    pub struct Device(ObjectSubclass<imp::Device>) @extends gst::Device, gst::Object;
}

pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::DeviceProvider::register(
        Some(plugin),
        "zerodeviceprovider",
        gst::Rank::PRIMARY,
        Provider::static_type(),
    )
}

/// Every buffer whose reader lives.
fn found() -> Vec<gst::Device> {
    let buffers = observe::list().unwrap_or_default();
    buffers.into_iter().filter_map(|info| device(&info)).collect()
}

fn device(info: &observe::BufferInfo) -> Option<gst::Device> {
    let reader = info.reader.as_ref().filter(|reader| reader.alive)?;
    let caps =
        info.metadata.as_deref().and_then(|metadata| incoming(metadata).ok()).and_then(|(caps, _)| caps);
    let state = if info.writer.is_some() { "in use" } else { "waits for a sender" };
    let properties = gst::Structure::builder("zerobuffer")
        .field("buffer-name", &info.name)
        .field("ring-bytes", info.payload_size)
        .field("reader-pid", reader.pid)
        .field("state", state)
        .build();
    let device: Device = glib::Object::builder()
        .property("display-name", format!("{} ({state})", info.name))
        .property("device-class", "Sink/Video")
        .property("caps", caps.unwrap_or_else(gst::Caps::new_any))
        .property("properties", properties)
        .build();
    lock(&device.imp().name).clone_from(&info.name);
    Some(device.upcast())
}
